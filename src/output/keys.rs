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
    /// None was pressed: the program was stopped by Ctrl-Z, and continues on an empty page.
    Continued,
}

/// The byte of Ctrl-Z.
const SUSPEND: u8 = 0x1a;

/// Reads keys as they are pressed, without Enter and without an echo, until it is dropped. Ctrl-C stays an interruption.
pub(crate) struct Keys {
    #[cfg(unix)]
    before: rustix::termios::Termios,
    #[cfg(unix)]
    now: rustix::termios::Termios,
    bytes: mpsc::UnboundedReceiver<u8>,
}

impl Keys {
    /// The keys; `None`: stdin is no terminal.
    #[cfg(unix)]
    pub(crate) fn open() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
        // Source: `_POSIX_VDISABLE`.
        const NO_KEY: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // Ctrl-Z is read as a byte, and the terminal is left before the program stops.
        now.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
        Some(Self {
            before,
            now,
            bytes: bytes(),
        })
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
                    Ok(b'[' | b'O') => match self.end_of_sequence() {
                        Some(b'A') => Key::Up,
                        Some(b'B') => Key::Down,
                        _ => continue,
                    },
                    _ => Key::Escape,
                },
                SUSPEND => {
                    #[cfg(unix)]
                    self.suspend();
                    Key::Continued
                }
                byte @ b' '..=b'~' => Key::Char(char::from(byte)),
                _ => continue,
            };
            return key;
        }
    }

    /// Whether `q` is pressed within this time, which is over where the page is empty. Other keys do nothing.
    pub(crate) async fn quits_within(&mut self, pause: Duration) -> bool {
        let end = async {
            loop {
                let key = self.next().await;
                if matches!(key, Key::Char('q') | Key::Continued) {
                    return key == Key::Char('q');
                }
            }
        };
        tokio::time::timeout(pause, end).await.unwrap_or(false)
    }

    /// Stops the program as Ctrl-Z does elsewhere, and gives the terminal to the shell. Without a shell that waits for it, the
    /// system stops nothing.
    #[cfg(unix)]
    fn suspend(&self) {
        use super::terminal::show_page;
        use rustix::process::{Signal, kill_current_process_group};
        let set = |modes| rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, modes);
        // An error of the terminal cannot be reported anywhere.
        let _ = show_page(false);
        let _ = set(&self.before);
        let _ = kill_current_process_group(Signal::TSTP);
        let _ = set(&self.now);
        let _ = show_page(true);
    }

    /// The last byte of an escape sequence: digits are before that of a key such as Delete.
    fn end_of_sequence(&mut self) -> Option<u8> {
        loop {
            match self.bytes.try_recv() {
                Ok(b' '..=b'?') => {}
                end => return end.ok(),
            }
        }
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
