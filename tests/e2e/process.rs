//! Programs run with a time limit, and what came of them.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest run of any program. JVMs on a loaded machine take minutes to start.
pub const LIMIT: Duration = Duration::from_secs(700);
/// Time between two looks at something that sends no notice of its changes.
const POLL: Duration = Duration::from_millis(200);

/// A program that ended.
#[derive(Clone, Debug)]
pub struct Run {
    pub line: String,
    pub stdout: String,
    pub stderr: String,
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub took: Duration,
}

impl Run {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code of\n{self}");
        self
    }

    /// Asserts that stderr has all of these texts.
    #[track_caller]
    pub fn reports(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not on stderr of\n{self}");
        }
        self
    }

    /// Asserts that stderr does not have this text.
    #[track_caller]
    pub fn does_not_report(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} is on stderr of\n{self}");
        self
    }

    /// Asserts that it took less than `limit`.
    #[track_caller]
    pub fn within(self, limit: Duration) -> Self {
        assert!(self.took < limit, "took longer than {limit:?}:\n{self}");
        self
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("a signal".to_owned(), |code| code.to_string());
        let shorter = |text: &str| text.chars().take(4000).collect::<String>();
        writeln!(f, "$ {}", shorter(&self.line))?;
        writeln!(f, "exit code {code} after {:.1} s", self.took.as_secs_f64())?;
        writeln!(f, "--- stdout ---\n{}", self.stdout.trim_end())?;
        write!(f, "--- stderr ---\n{}", self.stderr.trim_end())
    }
}

/// A program that runs. It is killed when this is dropped.
pub struct Running {
    child: Child,
    line: String,
    begun: Instant,
    out: Option<JoinHandle<String>>,
    err: Option<JoinHandle<String>>,
}

/// Starts a program that reads `input`.
pub fn start(command: &mut Command, input: &str) -> Running {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {line}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    // From a thread: a pipe holds 64 KiB. Who does not read it to the end may leave it.
    let input = input.to_owned();
    std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    Running {
        line,
        begun: Instant::now(),
        out: Some(collect(child.stdout.take().unwrap())),
        err: Some(collect(child.stderr.take().unwrap())),
        child,
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command, input: &str) -> Run {
    start(command, input).end()
}

impl Running {
    /// Sends it a signal, such as `INT`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success(), "no process for signal {signal}");
    }

    /// Whether it runs still.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asserts that it runs still; otherwise what it printed says why.
    #[track_caller]
    pub fn still_runs(mut self) -> Self {
        assert!(self.runs(), "it gave up: {}", self.end());
        self
    }

    /// Waits for its end.
    pub fn end(mut self) -> Run {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.begun.elapsed() > LIMIT {
                let _ = self.child.kill();
                let stderr = self.err.take().unwrap().join().unwrap();
                panic!("{} has not ended after {LIMIT:?}\n{stderr}", self.line);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Run {
            line: self.line.clone(),
            stdout: self.out.take().unwrap().join().unwrap(),
            stderr: self.err.take().unwrap().join().unwrap(),
            code: status.code(),
            took: self.begun.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Looks again and again until there is something, at most for `limit`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(POLL);
    }
}
