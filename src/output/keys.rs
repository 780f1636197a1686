//! Single keys from the terminal, for screens that are redrawn, and the line that names them.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;

use super::charts;
use super::terminal::{DIM, clean};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
}

/// Reads keys as they are pressed, without Enter and without an echo, until it is dropped. Ctrl-C stays an interruption.
pub(crate) struct Keys {
    #[cfg(unix)]
    before: rustix::termios::Termios,
    bytes: mpsc::UnboundedReceiver<u8>,
}

impl Keys {
    /// The keys; `None`: stdin is no terminal.
    #[cfg(unix)]
    pub(crate) fn open() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
        Some(Self { before, bytes: bytes() })
    }

    /// Without a terminal of Unix there are none.
    #[cfg(not(unix))]
    pub(crate) fn open() -> Option<Self> {
        None
    }

    pub(crate) async fn next(&mut self) -> Key {
        loop {
            let key = match self.byte().await {
                b'\n' | b'\r' => Key::Enter,
                0x7f | 0x08 => Key::Backspace,
                0x1b => match self.bytes.try_recv() {
                    Ok(b'[' | b'O') => match self.bytes.try_recv() {
                        Ok(b'A') => Key::Up,
                        Ok(b'B') => Key::Down,
                        _ => continue,
                    },
                    _ => Key::Escape,
                },
                byte @ b' '..=b'~' => Key::Char(char::from(byte)),
                _ => continue,
            };
            return key;
        }
    }

    /// Whether `q` is pressed within this time. Other keys do nothing.
    pub(crate) async fn quits_within(&mut self, pause: Duration) -> bool {
        let quits = async { while self.next().await != Key::Char('q') {} };
        tokio::time::timeout(pause, quits).await.is_ok()
    }

    async fn byte(&mut self) -> u8 {
        match self.bytes.recv().await {
            Some(byte) => byte,
            // The terminal is gone, and its hangup ends the program.
            None => std::future::pending().await,
        }
    }
}

/// The first line of a screen: the clock, the context, the interval and the keys, which have a line of their own where a
/// terminal of `width` columns has no room for them.
pub(crate) fn heading(context: &str, interval: Duration, keys: &str, width: Option<usize>, now: Timestamp) -> String {
    let clock = now.strftime("%H:%M:%S");
    let every = charts::millis(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX));
    let about = format!("{clock} UTC  {}  every {every}", clean(context));
    let keys = format!("{DIM}{}{DIM:#}", clean(keys));
    let line = format!("{about}  {keys}\n");
    if width.is_some_and(|width| console::measure_text_width(line.trim_end()) > width) {
        return format!("{about}\n{keys}\n");
    }
    line
}

/// The bytes of stdin, read by a thread of their own: a read cannot be given up.
fn bytes() -> mpsc::UnboundedReceiver<u8> {
    let (send, receive) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut buffer) {
            // An escape sequence comes as a whole.
            for byte in &buffer[..count] {
                if send.send(*byte).is_err() {
                    return;
                }
            }
        }
    });
    receive
}

#[cfg(unix)]
impl Drop for Keys {
    fn drop(&mut self) {
        // An error of the terminal cannot be reported anywhere.
        let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.before);
    }
}
