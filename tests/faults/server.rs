//! The connection between the program and the world.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::fault::Plan;
use crate::hostile;
use crate::registry::{Meddler, Met};
use crate::world::reply::Reply;
use crate::world::{Request, World, stream};

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
                if shared.is_closed() {
                    return;
                }
                shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                // A connection that the program closes is none of the server's business.
                std::thread::spawn(move || drop(shared.serve(stream, address)));
            }
        });
        let shared = Arc::clone(&server.shared);
        world.lock().unwrap().wake();
        std::thread::spawn(move || stream::pass_time(&shared.world, || shared.is_closed()));
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
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn close(&self, address: SocketAddr) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        // The listener ends at this connection.
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
            if number == 1 {
                self.world.lock().unwrap().wake();
            }
            match self.plan.before(number, &mut writer)? {
                Met::Goes => {}
                Met::Answered => continue,
                Met::Over => return writer.shutdown(Shutdown::Both),
                Met::Gone => {
                    self.close(address);
                    return Ok(());
                }
            }
            let mut reply = self.world.lock().unwrap().answer(&request);
            if self.plan.escapes {
                hostile::poison(&mut reply);
            }
            let body = match &reply {
                Reply::Whole(_, body) => body,
                Reply::Watch(_) => "{\"type\":\"ADDED\",\"object\":{\"kind\":",
            };
            match self.plan.after(number, &mut writer, Some(body.as_bytes()))? {
                Met::Goes => {}
                Met::Answered => continue,
                Met::Over | Met::Gone => return writer.shutdown(Shutdown::Both),
            }
            match reply {
                Reply::Whole(code, body) => send(&mut writer, code, "application/json", body.as_bytes(), usize::MAX)?,
                Reply::Watch(watch) => {
                    self.plan.watches.fetch_add(1, Ordering::SeqCst);
                    let expires = |kind: &str| self.plan.expires(number, kind);
                    stream::watch(&mut writer, &self.world, &watch, || self.is_closed(), expires)?;
                }
            }
        }
        Ok(())
    }
}

pub fn send(writer: &mut TcpStream, code: u16, kind: &str, body: &[u8], most: usize) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {code} Answer\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    writer.write_all(head.as_bytes())?;
    writer.write_all(&body[..body.len().min(most)])?;
    writer.flush()
}
