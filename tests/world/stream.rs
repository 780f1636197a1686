//! What happens in a world while nothing is asked: time passes, and watches hear of it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::flink::Flink;
use super::reply::{Watch, expired};
use super::{Event, World};

/// How often time passes.
const MOMENT: Duration = Duration::from_millis(10);
/// How often a watch without events looks whether it is over.
const QUIET: Duration = Duration::from_millis(100);

impl World {
    /// What passed since the last run was the test's time, and not that of the world.
    pub fn wake(&mut self) {
        self.flinks.values_mut().for_each(Flink::wake);
    }
}

/// Lets time pass until it is `over`.
pub fn pass_time(world: &Mutex<World>, over: impl Fn() -> bool) {
    while !over() {
        world.lock().unwrap().tick();
        std::thread::sleep(MOMENT);
    }
}

/// Answers a watch until it is `over`, or until it `expires` at an event of this kind.
pub fn watch(
    writer: &mut TcpStream,
    world: &Mutex<World>,
    watch: &Watch,
    over: impl Fn() -> bool,
    expires: impl Fn(&'static str) -> bool,
) -> io::Result<()> {
    writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let news = Arc::clone(&world.lock().unwrap().news.0);
    let mut after = watch.after;
    while !over() {
        let events: Vec<_> = {
            let is_new = |event: &&Event| event.version > after;
            let world = world.lock().unwrap();
            let none = |world: &mut World| world.events.last().is_none_or(|event| !is_new(&event));
            let (world, _) = news.wait_timeout_while(world, QUIET, none).unwrap();
            let mut new: Vec<_> = world.events.iter().rev().take_while(is_new).cloned().collect();
            new.reverse();
            new
        };
        for event in events {
            after = after.max(event.version);
            if event.collection == watch.collection && watch.selector.fits(&event.object) {
                if expires(event.kind) {
                    let end = chunk(&json!({"type": "ERROR", "object": expired()}));
                    return write!(writer, "{end}0\r\n\r\n");
                }
                write!(writer, "{}", chunk(&watch.event(&event)))?;
            }
        }
    }
    Ok(())
}

/// A line of a watch.
fn chunk(event: &Value) -> String {
    let line = format!("{event}\n");
    format!("{:x}\r\n{line}\r\n", line.len())
}
