//! Answers to requests. See [`crate::server`].

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::whole::complete;
use crate::world::Request;

/// The longest that an answer is held open.
const HOLD: Duration = Duration::from_secs(60);

/// How a request is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// One piece is sent with its length; several are sent as chunks.
    body: Vec<Piece>,
    chunked: bool,
    gate: Option<Gate>,
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

/// What answers wait for, such as a signal that the test sends: a machine under load may send it late.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Opens it for good.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let closed = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(closed, HOLD, |open| !*open).unwrap());
    }
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
        gate: None,
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
    /// The same with what each object of a real API server has, where the script says nothing of it: see
    /// [`crate::whole`].
    pub fn completed(&self, request: &Request) -> Self {
        let mut answer = self.clone();
        if self.status < 300 && matches!(self.end, End::Proper | End::Held) {
            for piece in &mut answer.body {
                if let Piece::Bytes(bytes) = piece {
                    complete(request, bytes);
                }
            }
        }
        answer
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Nothing is sent before the gate is open; the time of [`Answer::after`] begins then.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
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
    pub fn send(&self, stream: &mut TcpStream) -> io::Result<bool> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        std::thread::sleep(self.delay);
        if self.end == End::Nothing {
            return Ok(false);
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head = format!("{head}{name}: {value}\r\n");
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
        let framing = if self.chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {length}")
        };
        head = format!("{head}{framing}\r\n\r\n");
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
