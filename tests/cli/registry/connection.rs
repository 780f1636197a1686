//! Connections to the registry: requests are read, faults happen, answers are sent.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::answers::{Request, refused, reply};
use super::{Door, Fault, State, close};

/// What a [`Meddler`] does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
pub enum Met {
    /// It is handled as usual.
    Goes,
    /// It is answered.
    Answered,
    /// Its connection is closed.
    Over,
    /// So is the server.
    Gone,
}

/// Interferes between a server and its clients.
pub trait Meddler: Send + Sync {
    /// Before the request of this number, counted from 1, is carried out.
    fn before(&self, number: usize, writer: &mut TcpStream) -> io::Result<Met>;
    /// After it, before its answer with this body is sent; `None`: the answer must not have one.
    fn after(&self, number: usize, writer: &mut TcpStream, body: Option<&[u8]>) -> io::Result<Met>;
}

/// The next request without its body, and its target as it was sent; `None`: the connection is closed.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(Request, String)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: pairs
            .map(|(name, value)| (name.to_owned(), value.replace("%3A", ":")))
            .collect(),
        headers: HashMap::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some((request, target)));
        };
        request.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

pub(super) fn serve(stream: TcpStream, state: &Mutex<State>, door: &Door, address: SocketAddr) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some((mut request, target)) = read_head(&mut reader)? {
        let path = request.path.clone();
        let fault = {
            let mut state = state.lock().unwrap();
            let range = request
                .headers
                .get("content-range")
                .map_or(String::new(), |range| format!(" [{range}]"));
            state.log.push(format!("{} {target}{range}", request.method));
            let open = state
                .faults
                .iter_mut()
                .find(|(method, part, times, _)| *method == request.method && target.contains(part) && *times > 0);
            open.map(|(_, _, times, fault)| {
                *times -= 1;
                fault.clone()
            })
        };
        let length: usize = request
            .headers
            .get("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if let Some(Fault::CutRequest(after)) = fault {
            let mut part = vec![0; after.min(length)];
            reader.read_exact(&mut part)?;
            if let Some(upload) = state.lock().unwrap().uploads.get_mut(&path) {
                upload.extend(part);
            }
            return writer.shutdown(Shutdown::Both);
        }
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
        if door.closed.load(Ordering::SeqCst) {
            return writer.shutdown(Shutdown::Both);
        }
        let number = door.count.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(meddler) = &door.meddler {
            match meddler.before(number, &mut writer)? {
                Met::Goes => {}
                Met::Answered => continue,
                Met::Over => return writer.shutdown(Shutdown::Both),
                Met::Gone => {
                    close(door, address);
                    return writer.shutdown(Shutdown::Both);
                }
            }
        }
        let answer = match &fault {
            Some(Fault::Status(status, headers, message)) => {
                let mut answer = refused(*status, message);
                answer.headers = reply(0, headers, b"").headers;
                answer
            }
            _ => state
                .lock()
                .unwrap()
                .answer(&request, &writer.local_addr()?.to_string()),
        };
        let mut head = format!(
            "HTTP/1.1 {} Status\r\ncontent-length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            head = format!("{head}{name}: {value}\r\n");
        }
        let body = if request.method == "HEAD" {
            &[]
        } else {
            answer.body.as_slice()
        };
        if let Some(meddler) = &door.meddler {
            match meddler.after(number, &mut writer, (request.method != "HEAD").then_some(body))? {
                Met::Goes => {}
                Met::Answered => continue,
                Met::Over | Met::Gone => return writer.shutdown(Shutdown::Both),
            }
        }
        writer.write_all(format!("{head}\r\n").as_bytes())?;
        if let Some(Fault::CutAnswer(after)) = fault {
            writer.write_all(&body[..after.min(body.len())])?;
            return writer.shutdown(Shutdown::Both);
        }
        writer.write_all(body)?;
    }
    Ok(())
}
