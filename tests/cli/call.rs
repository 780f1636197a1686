//! Requests that a test expects. See [`crate::server`].

use std::fmt;

use serde_json::Value;

use crate::world::Request;

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
pub fn post(path: &str) -> Call {
    Call::new("POST", path)
}

/// A PUT to `path`.
pub fn put(path: &str) -> Call {
    Call::new("PUT", path)
}

/// A PATCH of `path`.
pub fn patch(path: &str) -> Call {
    Call::new("PATCH", path)
}

/// A DELETE of `path`.
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
