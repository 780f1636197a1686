//! A scripted API server for tests of the real binary.
//!
//! A test says which requests it expects, and how each is answered. A request that nobody expects fails the test, and
//! so does an expected one that does not come; both are checked when the program has ended, in [`Sandbox::run`].
//!
//! ```ignore
//! #[test]
//! fn a_cluster_that_is_there_is_deleted() {
//!     let sandbox = Sandbox::new();
//!     let server = &sandbox.server;
//!     server.expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master")).answer(json(&job));
//!     server
//!         .expect(delete("/apis/batch/v1/namespaces/default/jobs/demo-master").query("propagationPolicy", "Foreground"))
//!         .answer(status(409, "Conflict", "it was changed").after(Duration::from_millis(50)));
//!     server
//!         .expect(patch("/api/v1/namespaces/default/services/demo-master").body(json!({"kind": "Service"})))
//!         .times(2)
//!         .answer(json(&service).header("warning", "299 - \"would violate\""));
//!     let outcome = sandbox.run(&["delete", "demo", "--yes"]);
//!     assert_eq!(outcome.requests, ["GET /apis/…", "DELETE /apis/…", "PATCH /api/…", "PATCH /api/…"]);
//!     snapshot!(outcome);
//! }
//! ```
//!
//! An expectation is used once, or as often as [`Expected::times`] says. A request takes the first one, in the order of
//! writing, that it fits and that is not used up: so the first of two equal ones answers the first request. Which
//! *different* request comes first is free, as they are often sent side by side; after [`Server::in_order`] it is not.
//!
//! Answers: [`json`], [`status`], [`text`], [`watch`], [`cut`]; each can be late ([`Answer::after`]), cut short
//! ([`Answer::cut_at`]) or kept open ([`Answer::held`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// The longest that an answer is held open.
const HOLD: Duration = Duration::from_secs(60);

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

/// A GET of `path`, which is given without a query and not percent-encoded.
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

    fn fits(&self, request: &Request) -> bool {
        self.method == request.method
            && self.path == request.path
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
fn has(whole: &Value, part: &Value) -> bool {
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

/// How a request is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// One piece has its length told; several go out as chunks.
    body: Vec<Piece>,
    chunked: bool,
    delay: Duration,
    end: End,
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Pause(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Proper,
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// The connection is closed before the first byte.
    Nothing,
    /// The body does not end.
    Held,
}

/// 200 with a JSON body.
pub fn json(value: &Value) -> Answer {
    text(200, &value.to_string()).header("content-type", "application/json")
}

/// Any status, with a body that is not JSON.
pub fn text(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: vec![Piece::Bytes(body.as_bytes().to_vec())],
        chunked: false,
        delay: Duration::ZERO,
        end: End::Proper,
    }
}

/// A refusal with a Kubernetes `Status` as its body.
pub fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = status_object(code, reason, message);
    Answer {
        status: code,
        ..json(&body)
    }
}

/// A Kubernetes `Status`, also for the `object` of an ERROR event.
pub fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code
    })
}

/// A watch: each event is a chunk of its own, `{"type": …, "object": …}`. It ends as a server ends it.
pub fn watch(events: impl IntoIterator<Item = (&'static str, Value)>) -> Answer {
    let pieces = events
        .into_iter()
        .map(|(kind, object)| Piece::Bytes(format!("{}\n", json!({"type": kind, "object": object})).into_bytes()));
    Answer {
        body: pieces.collect(),
        chunked: true,
        ..text(200, "").header("content-type", "application/json")
    }
}

/// No answer: the connection is closed as soon as the request is read.
pub fn cut() -> Answer {
    Answer {
        end: End::Nothing,
        ..text(200, "")
    }
}

impl Answer {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Nothing is sent before this time has passed.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.end = End::Cut(bytes);
        self
    }

    /// Sends a further piece of the body after a pause.
    #[allow(dead_code)]
    pub fn then(mut self, pause: Duration, more: &str) -> Self {
        self.chunked = true;
        self.body
            .extend([Piece::Pause(pause), Piece::Bytes(more.as_bytes().to_vec())]);
        self
    }

    /// After the body neither ends it nor closes the connection, until the program ends.
    pub fn held(mut self) -> Self {
        self.chunked = true;
        self.end = End::Held;
        self
    }

    /// False: the connection is of no more use.
    fn send(&self, stream: &mut TcpStream) -> io::Result<bool> {
        std::thread::sleep(self.delay);
        if self.end == End::Nothing {
            return Ok(false);
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let length: usize = self
            .body
            .iter()
            .map(|piece| {
                if let Piece::Bytes(bytes) = piece {
                    bytes.len()
                } else {
                    0
                }
            })
            .sum();
        head.push_str(&if self.chunked {
            "transfer-encoding: chunked\r\n\r\n".to_owned()
        } else {
            format!("content-length: {length}\r\n\r\n")
        });
        stream.write_all(head.as_bytes())?;
        let mut left = if let End::Cut(at) = self.end { at } else { usize::MAX };
        for piece in &self.body {
            match piece {
                Piece::Pause(pause) => std::thread::sleep(*pause),
                Piece::Bytes(bytes) => {
                    let sent = &bytes[..bytes.len().min(left)];
                    left -= sent.len();
                    if self.chunked && !sent.is_empty() {
                        write!(stream, "{:x}\r\n", sent.len())?;
                    }
                    stream.write_all(sent)?;
                    if self.chunked && !sent.is_empty() {
                        stream.write_all(b"\r\n")?;
                    }
                }
            }
        }
        stream.flush()?;
        match self.end {
            End::Proper if self.chunked => stream.write_all(b"0\r\n\r\n").map(|()| true),
            End::Proper => Ok(true),
            End::Cut(_) | End::Nothing => Ok(false),
            End::Held => {
                // Ends when the program does, because its end of the connection closes then.
                stream.set_read_timeout(Some(HOLD))?;
                let _ = stream.read(&mut [0]);
                Ok(false)
            }
        }
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
    fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
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

#[derive(Default)]
struct Script {
    expected: Vec<(Call, Answer, usize)>,
    in_order: bool,
    requests: Vec<Request>,
    unexpected: Vec<String>,
}

/// The server. It ends with the test's process.
pub struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

/// An expectation that still needs its answer.
#[must_use]
pub struct Expected<'a> {
    server: &'a Server,
    call: Call,
    times: usize,
}

impl Expected<'_> {
    /// How often the request comes; once where this is not said.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// How it is answered.
    pub fn answer(self, answer: Answer) {
        self.server
            .script
            .lock()
            .unwrap()
            .expected
            .push((self.call, answer, self.times));
    }
}

impl Server {
    /// Starts on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::default(),
        };
        let script = Arc::clone(&server.script);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = Arc::clone(&script);
                // A connection that the program closes is none of the server's business.
                std::thread::spawn(move || drop(serve(stream, &script)));
            }
        });
        server
    }

    /// Where it listens, such as `http://127.0.0.1:40000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says that a request will come.
    pub fn expect(&self, call: Call) -> Expected<'_> {
        Expected {
            server: self,
            call,
            times: 1,
        }
    }

    /// From now on requests must come in the order in which they were, and will be, written down.
    #[allow(dead_code)]
    pub fn in_order(&self) {
        self.script.lock().unwrap().in_order = true;
    }

    /// The requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.script.lock().unwrap().requests.clone()
    }

    /// What is wrong with the requests so far; empty: nothing.
    pub fn faults(&self) -> String {
        let script = self.script.lock().unwrap();
        let mut faults = String::new();
        for request in &script.unexpected {
            faults.push_str(&format!("  came unexpected: {request}\n"));
        }
        for (call, _, left) in script.expected.iter().filter(|(_, _, left)| *left > 0) {
            faults.push_str(&format!("  did not come ({left} left): {call}\n"));
        }
        faults
    }
}

fn serve(stream: TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let answer = script.lock().unwrap().answer(request);
        if !answer.send(&mut writer)? {
            writer.shutdown(std::net::Shutdown::Both)?;
            break;
        }
    }
    Ok(())
}

impl Script {
    fn answer(&mut self, request: Request) -> Answer {
        let in_order = self.in_order;
        let mut open = self.expected.iter_mut().filter(|(_, _, left)| *left > 0);
        let found = if in_order {
            open.next().filter(|(call, _, _)| call.fits(&request))
        } else {
            open.find(|(call, _, _)| call.fits(&request))
        };
        let answer = if let Some((_, answer, left)) = found {
            *left -= 1;
            answer.clone()
        } else {
            let headers: BTreeMap<_, _> = request.headers.iter().cloned().collect();
            let body = String::from_utf8_lossy(&request.body);
            self.unexpected
                .push(format!("{request}\n      {headers:?}\n      {body}"));
            status(500, "InternalError", "the test did not expect this request")
        };
        self.requests.push(request);
        answer
    }
}
