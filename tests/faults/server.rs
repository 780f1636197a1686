//! The connection between the program and the world, and what goes wrong on it.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::call::Request;
use crate::hostile;
use crate::reply::{Reply, Watch};
use crate::world::World;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// From this request on nobody listens any more.
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
}

/// All but the flood, which takes seconds.
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

/// Which request the fault meets, counted from 1, and the program that it may kill.
#[derive(Default)]
pub struct Plan {
    pub at: usize,
    pub fault: Option<Fault>,
    /// Whether all texts in answers have terminal escape sequences.
    pub escapes: bool,
    pub victim: Mutex<Option<Arc<Mutex<Child>>>>,
}

/// Chunks of 64 KiB after which a program that still reads counts as one without a limit.
const FLOOD: usize = 3200;

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    world: Arc<Mutex<World>>,
    plan: Arc<Plan>,
    count: AtomicUsize,
    requests: Mutex<Vec<String>>,
    closed: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub fn start(world: &Arc<Mutex<World>>, plan: &Arc<Plan>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                world: Arc::clone(world),
                plan: Arc::clone(plan),
                count: AtomicUsize::new(0),
                requests: Mutex::default(),
                closed: AtomicBool::new(false),
                connections: Mutex::default(),
            }),
        };
        let shared = Arc::clone(&server.shared);
        let address = server.address;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                // A connection that the program closes is none of the server's business.
                std::thread::spawn(move || drop(shared.serve(stream, address)));
            }
        });
        let shared = Arc::clone(&server.shared);
        std::thread::spawn(move || {
            while !shared.closed.load(Ordering::SeqCst) {
                shared.world.lock().unwrap().tick();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.close(self.address);
    }
}

impl Shared {
    fn close(&self, address: SocketAddr) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        // The listener ends when it hears this.
        let _ = TcpStream::connect(address);
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader)? {
            let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
            self.requests.lock().unwrap().push(request.to_string());
            let fault = self.plan.fault.filter(|_| number == self.plan.at);
            match fault {
                Some(Fault::Gone) => {
                    self.close(address);
                    return Ok(());
                }
                Some(Fault::CutBefore) => return writer.shutdown(Shutdown::Both),
                Some(Fault::KillBefore) => return self.kill(),
                Some(Fault::Status(code)) => {
                    refuse(&mut writer, code)?;
                    continue;
                }
                _ => {}
            }
            let mut reply = self.world.lock().unwrap().answer(&request);
            if self.plan.escapes {
                hostile::poison(&mut reply);
            }
            match fault {
                Some(Fault::CutAfter) => return writer.shutdown(Shutdown::Both),
                Some(Fault::KillAfter) => return self.kill(),
                Some(Fault::Silence) => {
                    // Ends when the program gives up.
                    let _ = reader.read(&mut [0]);
                    return Ok(());
                }
                Some(Fault::Garbage) => {
                    send(
                        &mut writer,
                        200,
                        "text/html",
                        b"<html><body>captive portal</body></html>",
                        usize::MAX,
                    )?;
                    continue;
                }
                Some(Fault::Nested) => {
                    let text = format!("{{\"metadata\":{}", "[".repeat(200_000));
                    send(&mut writer, 200, "application/json", text.as_bytes(), usize::MAX)?;
                    continue;
                }
                Some(Fault::Utf8) => {
                    let text = b"{\"kind\": \"Status\", \"metadata\": {\"name\": \"\xff\xfe\"}}";
                    send(&mut writer, 200, "application/json", text, usize::MAX)?;
                    continue;
                }
                Some(Fault::Flood) => return self.flood(&mut writer),
                Some(Fault::Truncate) => {
                    let body = match &reply {
                        Reply::Whole(_, body) => body,
                        Reply::Watch(_) => "{\"type\":\"ADDED\",\"object\":{\"kind\":",
                    };
                    send(&mut writer, 200, "application/json", body.as_bytes(), body.len() / 2)?;
                    return writer.shutdown(Shutdown::Both);
                }
                _ => {}
            }
            match reply {
                Reply::Whole(code, body) => send(&mut writer, code, "application/json", body.as_bytes(), usize::MAX)?,
                Reply::Watch(watch) => return self.watch(&mut writer, &watch),
            }
        }
        Ok(())
    }

    /// A string that goes on until the program has had enough.
    fn flood(&self, writer: &mut TcpStream) -> io::Result<()> {
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        write!(writer, "e\r\n{{\"metadata\": \"\r\n")?;
        for _ in 0..FLOOD {
            writer.write_all(chunk.as_bytes())?;
        }
        self.world
            .lock()
            .unwrap()
            .violations
            .push("it reads without a limit".to_owned());
        Ok(())
    }

    fn kill(&self) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if let Some(child) = &*self.plan.victim.lock().unwrap() {
                return child.lock().unwrap().kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn watch(&self, writer: &mut TcpStream, watch: &Watch) -> io::Result<()> {
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let mut after = watch.after;
        while !self.closed.load(Ordering::SeqCst) {
            let events: Vec<_> = {
                let world = self.world.lock().unwrap();
                let new = world.events.iter().rev().take_while(|event| event.version > after);
                let mut new: Vec<_> = new.cloned().collect();
                new.reverse();
                new
            };
            for event in events {
                after = after.max(event.version);
                if event.collection == watch.collection && watch.selector.fits(&event.object) {
                    let line = format!("{}\n", json!({"type": event.kind, "object": event.object}));
                    write!(writer, "{:x}\r\n{line}\r\n", line.len())?;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn send(writer: &mut TcpStream, code: u16, kind: &str, body: &[u8], most: usize) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {code} Answer\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    writer.write_all(head.as_bytes())?;
    writer.write_all(&body[..body.len().min(most)])?;
    writer.flush()
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
