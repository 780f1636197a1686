//! A terminal of a given size: the program runs in it, and an emulator shows what people see.

use std::fmt;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

/// The longest run, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(60);
/// A redraw is written as a whole: what is there after so long without a byte is what people see.
const QUIET: Duration = Duration::from_millis(20);
/// Lines that have left the screen at its top and are kept.
const KEPT: usize = 10_000;

/// Columns and rows of the terminals that are tried.
pub const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (50, 20)];

/// What is on the terminal at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// All lines since the start of the program, up to the last that is not empty.
    pub lines: Vec<Line>,
    /// Whether it is the page of a program that takes the whole screen.
    pub is_page: bool,
}

/// A row of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// Whether its text continues in the next row: it was longer than the terminal.
    pub is_wrapped: bool,
}

impl Line {
    /// Whether it is redrawn: it begins with one of the signs of a spinner.
    pub fn is_live(&self) -> bool {
        self.text.starts_with(|c| ('\u{2800}'..='\u{28ff}').contains(&c))
    }
}

impl Frame {
    /// The text of all lines.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The texts in one line, without indentation: what was broken to fit is whole again.
    pub fn joined(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.trim()).collect();
        lines.join(" ")
    }

    /// The lines that are redrawn.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        let live = self.lines.iter().filter(|line| line.is_live());
        live.map(|line| line.text.as_str())
    }
}

/// A run of the program.
pub struct Session {
    /// What was on the terminal, without repetitions.
    pub frames: Vec<Frame>,
    /// Its exit code; `None`: it was killed.
    pub code: Option<i32>,
    columns: usize,
    /// All bytes that it wrote.
    pub bytes: Vec<u8>,
}

impl Session {
    /// What is on the terminal at the end.
    pub fn last(&self) -> &Frame {
        self.frames.last().unwrap()
    }

    /// The first line that is wider than the terminal.
    pub fn too_wide(&self) -> Option<&str> {
        let lines = self.frames.iter().flat_map(|frame| &frame.lines);
        let wide = |line: &&Line| line.is_wrapped || line.text.width() > self.columns;
        lines.into_iter().find(wide).map(|line| line.text.as_str())
    }

    /// The first line that fills a row and is followed by the sequence which erases the rest: in xterm that erases its end.
    pub fn erased_end(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        lines.find_map(|line| {
            let line = anstream::adapter::strip_str(line.strip_suffix("\u{1b}[K")?).to_string();
            (line.width() >= self.columns).then_some(line)
        })
    }

    /// What is wrong with a checklist: lines that stay are lost, lines that are redrawn are left at the end, wider than the
    /// terminal or more than two, or what is there becomes shorter.
    pub fn fault_of_checklist(&self) -> Option<String> {
        let last = self.last();
        if let Some(stale) = last.live().next() {
            return Some(format!("it leaves {stale:?}"));
        }
        let whole = last.text();
        for (index, frame) in self.frames.iter().enumerate() {
            let of_block = |line: &&Line| line.is_live() || line.text.starts_with(['✔', '✘']);
            if let Some(line) = frame.lines.iter().filter(of_block).find(|line| line.is_wrapped) {
                return Some(format!("{:?} is wider than the terminal", line.text));
            }
            if frame.live().count() > 2 {
                return Some(format!("more than two lines are redrawn:\n{}", frame.text()));
            }
            let mut stays = frame.lines.iter().filter(|line| line.text.starts_with(['✔', '✘']));
            if let Some(lost) = stays.find(|line| !whole.contains(&line.text)) {
                return Some(format!("{:?} does not stay", lost.text));
            }
            let before = index.checked_sub(1).map_or(0, |before| self.frames[before].lines.len());
            if frame.lines.len() + 1 < before {
                return Some(format!("it jumps up to\n{}", frame.text()));
            }
        }
        None
    }

    /// The times that a redrawn line with this text has shown, in seconds.
    pub fn times(&self, text: &str) -> Vec<f64> {
        let mut times: Vec<f64> = Vec::new();
        for line in self
            .frames
            .iter()
            .flat_map(Frame::live)
            .filter(|line| line.contains(text))
        {
            let word = line.split(' ').next_back().and_then(|word| word.strip_suffix('s'));
            if let Some(time) = word.and_then(|word| word.parse().ok())
                && times.last() != Some(&time)
            {
                times.push(time);
            }
        }
        times
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "exit code {:?}, {} frames, the last one:",
            self.code,
            self.frames.len()
        )?;
        write!(f, "{}", self.last().text())
    }
}

/// Runs `program` in a terminal. `press` sees each frame, and says which keys are pressed then.
pub fn run(
    program: &Command,
    (columns, rows): (u16, u16),
    mut press: impl FnMut(&Frame) -> Option<&'static str>,
) -> Session {
    let mut child = start(program, (columns, rows));
    let chunks = chunks(&mut child);
    let size = |number| NonZeroU16::new(number).unwrap();
    let mut parser = vt100::Parser::new(size(rows), size(columns), KEPT);
    let mut session = Session {
        frames: Vec::new(),
        code: None,
        columns: columns.into(),
        bytes: Vec::new(),
    };
    let begun = Instant::now();
    let mut is_new = false;
    loop {
        match chunks.recv_timeout(QUIET) {
            Ok(bytes) => {
                parser.process(&bytes);
                session.bytes.extend(bytes);
                is_new = true;
            }
            Err(RecvTimeoutError::Timeout) if std::mem::take(&mut is_new) => {
                let frame = frame(&mut parser, (columns, rows));
                if let Some(keys) = press(&frame) {
                    // A program that an earlier key has ended reads no more.
                    let stdin = child.stdin.as_mut().unwrap();
                    let _ = stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush());
                }
                if session.frames.last() != Some(&frame) {
                    session.frames.push(frame);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            break;
        }
    }
    session.code = child.wait().unwrap().code();
    session.frames.push(frame(&mut parser, (columns, rows)));
    session
}

fn start(program: &Command, (columns, rows): (u16, u16)) -> Child {
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")));
    let line = format!(
        "stty rows {rows} cols {columns}; exec {}",
        quoted.collect::<Vec<_>>().join(" ")
    );
    let mut command = Command::new("script");
    command
        .env_clear()
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("PATH", "/usr/bin:/bin")
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm-256color")
        .env_remove("COLUMNS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(folder) = program.get_current_dir() {
        command.current_dir(folder);
    }
    command.spawn().unwrap()
}

fn chunks(child: &mut Child) -> Receiver<Vec<u8>> {
    let mut stdout = child.stdout.take().unwrap();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 14];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

fn frame(parser: &mut vt100::Parser, (columns, rows): (u16, u16)) -> Frame {
    let screen = parser.screen_mut();
    let mut lines = Vec::new();
    let line = |screen: &vt100::Screen, row: u16| {
        let text = screen.rows(0, columns).nth(row.into()).unwrap_or_default();
        let text = text.trim_end().to_owned();
        // A row that was filled with spaces is not wrapped, and one that is broken at a space lacks that at most.
        let is_wrapped = screen.row_wrapped(row) && text.width() + 1 >= columns.into();
        Line { text, is_wrapped }
    };
    for above in (1..=screen.scrollback_len()).rev() {
        screen.set_scrollback(above);
        lines.push(line(screen, 0));
    }
    screen.set_scrollback(0);
    lines.extend((0..rows).map(|row| line(screen, row)));
    while lines.last().is_some_and(|line| line.text.is_empty()) {
        lines.pop();
    }
    Frame {
        lines,
        is_page: screen.alternate_screen(),
    }
}
