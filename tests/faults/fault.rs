//! What goes wrong on the way between the program and a server.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::registry::{Meddler, Met};
use crate::server::send;
use crate::world::reply::Reply;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// From this request on the server is gone.
    Gone,
    /// The connection is closed before the request is carried out.
    CutBefore,
    /// It is carried out, and the connection closed before the answer.
    CutAfter,
    /// It is carried out, and the answer does not come.
    Silence,
    /// It is refused with this status.
    Status(u16),
    /// It is carried out, and the connection closed in the middle of the answer.
    Truncate,
    /// It is carried out, and the answer is no JSON.
    Garbage,
    /// It is carried out, and the answer is nested deeper than any stack.
    Nested,
    /// It is carried out, and the answer is not UTF-8.
    Utf8,
    /// It is carried out, and the answer does not end.
    Flood,
    /// The program is killed before the request is carried out.
    KillBefore,
    /// The program is killed after it.
    KillAfter,
    /// It is a watch, and instead of its first event the version from which it starts is too old (410 Gone): what
    /// happened meanwhile is seen in a new list only.
    Expired,
}

/// Those of every request: all but the flood, which takes seconds, and what only a watch can meet.
pub const FAULTS: [Fault; 17] = [
    Fault::CutAfter,
    Fault::KillAfter,
    Fault::Gone,
    Fault::Silence,
    Fault::Status(500),
    Fault::Garbage,
    Fault::CutBefore,
    Fault::Status(503),
    Fault::KillBefore,
    Fault::Truncate,
    Fault::Status(409),
    Fault::Status(429),
    Fault::Status(504),
    Fault::Status(502),
    Fault::Status(401),
    Fault::Nested,
    Fault::Utf8,
];

/// Chunks of 64 KiB after which a program that still reads counts as one without a limit.
const FLOOD: usize = 3200;

/// Which request the fault meets, counted from 1, and the program that it may kill.
#[derive(Default)]
pub struct Plan {
    pub at: usize,
    pub fault: Option<Fault>,
    /// Whether all texts in answers have terminal escape sequences.
    pub escapes: bool,
    pub victim: Mutex<Option<Arc<Mutex<Child>>>>,
    /// Whether all of a flood was read.
    pub drowned: AtomicBool,
    /// Where the program is held for a while.
    pub gate: Option<Arc<Gate>>,
    /// Whether the deletion of an object ends each watch as if its version were too old: the object is missing from the
    /// new list, and no event says so.
    pub hides_deletions: bool,
    /// Watches that were opened.
    pub watches: AtomicUsize,
    /// Requests that came.
    pub requests: AtomicUsize,
    /// When the program is ended, where that is not as usual.
    pub limit: Option<Duration>,
}

impl Meddler for Plan {
    fn before(&self, number: usize, writer: &mut TcpStream) -> io::Result<Met> {
        self.requests.fetch_max(number, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.pass(number);
        }
        Ok(match self.fault.filter(|_| number == self.at) {
            Some(Fault::Gone) => Met::Gone,
            Some(Fault::CutBefore) => Met::Over,
            Some(Fault::KillBefore) => {
                self.kill()?;
                Met::Over
            }
            Some(Fault::Status(code)) => {
                refuse(writer, code)?;
                Met::Answered
            }
            _ => Met::Goes,
        })
    }

    fn after(&self, number: usize, writer: &mut TcpStream, body: Option<&[u8]>) -> io::Result<Met> {
        let most = if body.is_some() { usize::MAX } else { 0 };
        let mut instead = |kind: &str, text: &[u8]| {
            send(writer, 200, kind, text, most)?;
            Ok(Met::Answered)
        };
        match self.fault.filter(|_| number == self.at) {
            Some(Fault::CutAfter) => Ok(Met::Over),
            Some(Fault::KillAfter) => {
                self.kill()?;
                Ok(Met::Over)
            }
            Some(Fault::Silence) => {
                // Ends when the program gives up.
                let _ = writer.read(&mut [0]);
                Ok(Met::Over)
            }
            Some(Fault::Garbage) => instead("text/html", b"<html><body>captive portal</body></html>"),
            Some(Fault::Nested) => {
                let text = format!("{{\"metadata\":{}", "[".repeat(200_000));
                instead("application/json", text.as_bytes())
            }
            Some(Fault::Utf8) => instead(
                "application/json",
                b"{\"kind\": \"Status\", \"metadata\": {\"name\": \"\xff\xfe\"}}",
            ),
            Some(Fault::Flood) => {
                flood(writer)?;
                self.drowned.store(true, Ordering::SeqCst);
                Ok(Met::Over)
            }
            Some(Fault::Truncate) => {
                let body = body.unwrap_or_default();
                send(writer, 200, "application/json", body, body.len() / 2)?;
                Ok(Met::Over)
            }
            _ => Ok(Met::Goes),
        }
    }
}

impl Plan {
    /// Whether the watch that is the request of this number expires at an event of this kind.
    pub fn expires(&self, number: usize, kind: &str) -> bool {
        let here = self.fault == Some(Fault::Expired) && number == self.at;
        here || self.hides_deletions && kind == "DELETED"
    }

    pub fn kill(&self) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if let Some(child) = &*self.victim.lock().unwrap() {
                return child.lock().unwrap().kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// A string that continues until the program has had enough.
fn flood(writer: &mut TcpStream) -> io::Result<()> {
    writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    write!(writer, "e\r\n{{\"metadata\": \"\r\n")?;
    for _ in 0..FLOOD {
        writer.write_all(chunk.as_bytes())?;
    }
    Ok(())
}

fn refuse(writer: &mut TcpStream, code: u16) -> io::Result<()> {
    let reason = match code {
        401 => "Unauthorized",
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let Reply::Whole(_, body) = Reply::fault(code, reason, "a fault of the test") else {
        return Ok(());
    };
    let wait = if code == 429 { "retry-after: 1\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {code} Fault\r\ncontent-type: application/json\r\n{wait}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    writer.write_all(head.as_bytes())
}
