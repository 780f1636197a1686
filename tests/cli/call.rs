//! Requests: those that a test expects, and those that come. See [`crate::server`].

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;

use serde_json::Value;

/// What a request must be like.
#[derive(Clone, Debug)]
pub struct Call {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    no_query: Vec<String>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

/// A GET of `path`, which is given without a query and not percent-encoded. A `*` at its end stands for anything: IDs
/// that the program chooses.
pub fn get(path: &str) -> Call {
    Call::new("GET", path)
}

/// A POST to `path`.
#[allow(dead_code)]
pub fn post(path: &str) -> Call {
    Call::new("POST", path)
}

/// A PUT to `path`.
#[allow(dead_code)]
pub fn put(path: &str) -> Call {
    Call::new("PUT", path)
}

/// A PATCH of `path`.
#[allow(dead_code)]
pub fn patch(path: &str) -> Call {
    Call::new("PATCH", path)
}

/// A DELETE of `path`.
#[allow(dead_code)]
pub fn delete(path: &str) -> Call {
    Call::new("DELETE", path)
}

impl Call {
    fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            query: Vec::new(),
            no_query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// The query has this parameter with this value, not percent-encoded. Others may be there.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The query does not have this parameter.
    pub fn no_query(mut self, name: &str) -> Self {
        self.no_query.push(name.to_owned());
        self
    }

    /// A header of this name has exactly this value.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }

    /// The body is JSON that has all that `part` has: fields that `part` does not mention are free, in every object.
    /// Lists are compared as a whole, their items in the same way.
    #[allow(dead_code)]
    pub fn body(mut self, part: Value) -> Self {
        self.body = Some(part);
        self
    }

    pub fn fits(&self, request: &Request) -> bool {
        self.method == request.method
            && match self.path.strip_suffix('*') {
                Some(start) => request.path.starts_with(start),
                None => self.path == request.path,
            }
            && self.query.iter().all(|pair| request.query.contains(pair))
            && !self
                .no_query
                .iter()
                .any(|name| request.query.iter().any(|(other, _)| other == name))
            && self.headers.iter().all(|pair| request.headers.contains(pair))
            && self
                .body
                .as_ref()
                .is_none_or(|part| serde_json::from_slice(&request.body).is_ok_and(|whole: Value| has(&whole, part)))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (name, value) in &self.query {
            write!(f, "\n      with {name}={value}")?;
        }
        for name in &self.no_query {
            write!(f, "\n      without {name}")?;
        }
        for (name, value) in &self.headers {
            write!(f, "\n      with {name}: {value}")?;
        }
        if let Some(body) = &self.body {
            write!(f, "\n      with {body} in its body")?;
        }
        Ok(())
    }
}

/// Whether `whole` has all that `part` has.
pub fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| has(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| has(whole, part))
        }
        _ => whole == part,
    }
}

/// A request that came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Percent-decoded, without the query.
    pub path: String,
    /// Percent-decoded.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, address) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: decode(path),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
            ..Self::default()
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            request.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length = request
            .header("content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// Whether it asks for the operations that are unfinished.
    #[allow(dead_code)]
    pub fn asks_for_operations(&self) -> bool {
        let mut query = self.query.iter();
        self.path.ends_with("/configmaps") && query.any(|(_, value)| value == "kubectl-flink/operation=open")
    }

    /// Whether it asks for the Pods in which Flink may have ended beside others.
    #[allow(dead_code)]
    pub fn asks_for_running_pods(&self) -> bool {
        let mut query = self.query.iter();
        self.path.ends_with("/pods") && query.any(|(_, value)| value == "status.phase=Running")
    }

    /// Whether it asks for the metadata of one object, as every begin does of the Job that its plan was made from.
    #[allow(dead_code)]
    pub fn asks_for_metadata(&self) -> bool {
        self.header("accept")
            .is_some_and(|accept| accept.contains("as=PartialObjectMetadata;"))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        write!(f, "{} {}{mark}{}", self.method, self.path, query.join("&"))
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            (b'+', _) => b' ',
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
