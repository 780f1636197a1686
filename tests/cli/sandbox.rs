//! A place of its own for each run of the real binary: home folder, kubeconfig, API server, no environment, no
//! terminal, a fixed width, and a time limit.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use tempfile::TempDir;

use crate::answer::Gate;
use crate::server::Server;

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-flink");
/// Longest run of the program. It is long because machines of continuous integration are slow at times.
const LIMIT: Duration = Duration::from_secs(30);

/// See [`crate::server`] for an example.
pub struct Sandbox {
    home: TempDir,
    /// The API server that the kubeconfig's context `test` points to.
    pub server: Server,
    /// Opens when [`Sandbox::run_and_signal`] has sent its signal.
    pub signaled: Gate,
    variables: Vec<(String, String)>,
    stdin: String,
}

/// What came of a run. Printed, it is the text for a snapshot.
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    /// Exit code; `None`: killed.
    pub code: Option<i32>,
    /// Requests in the order of their arrival, as `METHOD /path?query`, decoded.
    pub requests: Vec<String>,
    arguments: String,
}

/// Compares an [`Outcome`] with the snapshot of the test's name, in the folder `snapshots`.
/// `INSTA_UPDATE=always cargo test --test cli` writes snapshots: read them before you commit them.
#[macro_export]
macro_rules! snapshot {
    ($outcome:expr) => {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => true }, {
            insta::assert_snapshot!($outcome.to_string());
        })
    };
}

impl Sandbox {
    /// With `~/.kube/config`, whose current context is `test`: the server, user `tester` with token `s3cret`,
    /// namespace `default`.
    pub fn new() -> Self {
        let sandbox = Self::bare();
        sandbox.file(".kube/config", &sandbox.kubeconfig("test"));
        sandbox
    }

    /// Without a kubeconfig.
    pub fn bare() -> Self {
        Self {
            home: TempDir::new().unwrap(),
            server: Server::start(),
            signaled: Gate::default(),
            variables: Vec::new(),
            stdin: String::new(),
        }
    }

    /// The text of a kubeconfig with this context for the server.
    pub fn kubeconfig(&self, context: &str) -> String {
        let server = self.server.url();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context}\n\
             contexts:\n- name: {context}\n  context: {{cluster: {context}-cluster, user: tester}}\n\
             clusters:\n- name: {context}-cluster\n  cluster: {{server: \"{server}\"}}\n\
             users:\n- name: tester\n  user: {{token: s3cret}}\n"
        )
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file below the home folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a program below the home folder. Another process writes it: a child that another test starts meanwhile would have this
    /// one's open file, and Linux runs no file that is open for writing.
    #[cfg(unix)]
    pub fn program(&self, name: &str, text: &str) {
        let written = self.file(&format!("{name}.text"), text);
        let target = self.home().join(name);
        let done = std::process::Command::new("install")
            .args(["-m", "755"])
            .args([written, target])
            .status();
        assert!(done.unwrap().success(), "{name}");
    }

    /// Sets an environment variable for all runs.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Text for the program's standard input, which is empty otherwise.
    pub fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// Runs `kubectl-flink` and checks that all requests came that were expected, and no others.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let before = self.server.requests().len();
        let output = Command::from_std(self.command(arguments))
            .write_stdin(self.stdin.clone())
            .timeout(LIMIT)
            .output()
            .unwrap();
        self.outcome(arguments, output, before)
    }

    /// Runs it until all expected requests have come and `text` is on its stdout, then presses Ctrl-C.
    #[cfg(unix)]
    pub fn run_and_interrupt(&self, arguments: &[&str], text: &str) -> Outcome {
        self.run_and_signal(arguments, text, "-INT")
    }

    /// The same with another signal.
    pub fn run_and_signal(&self, arguments: &[&str], text: &str, signal: &str) -> Outcome {
        // The program leaves an ignored SIGHUP ignored, as the tests have it under nohup.
        let mut command = if cfg!(target_os = "linux") {
            let mut command = std::process::Command::new("env");
            command.args(["--default-signal=HUP", PROGRAM]);
            self.prepared(command, arguments)
        } else {
            self.command(arguments)
        };
        command.stdin(Stdio::null());
        let send = |child: &mut Child, in_time: bool| {
            let signal = if in_time { signal } else { "-KILL" };
            // It may have ended by itself, as the outcome shows.
            let _ = std::process::Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            self.signaled.open();
        };
        self.run_until(command, arguments, text, send)
    }

    /// Runs it in a terminal until all expected requests have come and it shows `prompt`, then does `meanwhile` and types
    /// `answer`. What it writes is all in the outcome's stdout.
    pub fn run_in_terminal(
        &self,
        arguments: &[&str],
        prompt: &str,
        meanwhile: impl FnOnce(&Server),
        answer: &str,
    ) -> Outcome {
        let program = self.command(&[]);
        let line = [&[program.get_program().to_str().unwrap()], arguments]
            .concat()
            .join(" ");
        let mut command = std::process::Command::new("script");
        command
            .env_clear()
            .args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .env("TERM", "xterm")
            .current_dir(self.home())
            .stdin(Stdio::piped());
        let reply = |child: &mut Child, in_time: bool| {
            assert!(in_time, "the prompt did not come");
            meanwhile(&self.server);
            child.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
        };
        self.run_until(command, arguments, prompt, reply)
    }

    /// The output of a command on a terminal of this kind (`TERM`), and whether the command succeeds. `line` follows the
    /// name of the program.
    #[cfg(target_os = "linux")]
    pub fn shown_in_terminal(&self, line: &str, kind: &str, variable: Option<(&str, &str)>) -> (String, bool) {
        let line = format!("timeout --foreground 20 {} {line}", env!("CARGO_BIN_EXE_kubectl-flink"));
        let output = std::process::Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(self.home())
            .env("HOME", self.home())
            .env("TERM", kind)
            .envs(variable)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.success())
    }

    /// Runs it in a terminal of this size. `press` sees what is on it, and says which keys are pressed then.
    #[cfg(target_os = "linux")]
    pub fn run_on_screen(
        &self,
        arguments: &[&str],
        size: (u16, u16),
        press: impl FnMut(&crate::terminal::Frame) -> Option<&'static str>,
    ) -> crate::terminal::Session {
        let session = crate::terminal::run(&self.command(arguments), size, press);
        let faults = self.server.faults();
        assert!(
            faults.is_empty(),
            "the requests were not as expected:\n{faults}\n{session}"
        );
        session
    }

    /// Runs `command` until all expected requests have come and `text` is on its stdout, and then does `then`, which hears
    /// whether that was in time.
    fn run_until(
        &self,
        mut command: std::process::Command,
        arguments: &[&str],
        text: &str,
        then: impl FnOnce(&mut Child, bool),
    ) -> Outcome {
        let before = self.server.requests().len();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                    seen.lock().unwrap().extend_from_slice(&buffer[..count]);
                }
            }
        });
        let begun = Instant::now();
        let there = || String::from_utf8_lossy(&seen.lock().unwrap()).contains(text) && self.server.faults().is_empty();
        while !there() && begun.elapsed() < LIMIT && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        then(&mut child, begun.elapsed() < LIMIT);
        let mut output = child.wait_with_output().unwrap();
        reader.join().unwrap();
        output.stdout.clone_from(&seen.lock().unwrap());
        self.outcome(arguments, output, before)
    }

    /// The program with its arguments and environment.
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.prepared(std::process::Command::new(PROGRAM), arguments)
    }

    fn prepared(&self, mut command: std::process::Command, arguments: &[&str]) -> std::process::Command {
        self.server.begin();
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/bin:/bin")
            .env("COLUMNS", "100")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            // The images of tests do not exist, so no registry is asked for them.
            .env("KUBECTL_FLINK_NO_IMAGE_CHECK", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home());
        command
    }

    fn outcome(&self, arguments: &[&str], output: Output, before: usize) -> Outcome {
        let plain = |bytes: Vec<u8>| self.redact(&String::from_utf8(bytes).unwrap());
        let outcome = Outcome {
            stdout: plain(output.stdout),
            stderr: plain(output.stderr),
            code: output.status.code(),
            requests: self.server.requests()[before..]
                .iter()
                .map(ToString::to_string)
                .collect(),
            arguments: self.redact(&arguments.join(" ")),
        };
        let faults = self.server.faults();
        assert!(
            faults.is_empty(),
            "the requests were not as expected:\n{faults}\n{outcome}"
        );
        assert!(
            outcome.code.is_some(),
            "killed after {LIMIT:?}, or by itself\n{outcome}"
        );
        crate::documents::check(&outcome.stdout);
        outcome
    }

    /// The same text with what differs from run to run replaced.
    fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for written in self.server.world().iter().flat_map(|world| &world.disk) {
            if written.path.starts_with("file:/savepoints/") {
                text = text.replace(&written.path, "[SAVEPOINT]");
            }
        }
        text.replace(&self.server.url(), "[SERVER]")
            .replace(self.server.url().trim_start_matches("http://"), "[ADDRESS]")
            .replace(&self.home().display().to_string(), "[HOME]")
    }
}

impl Outcome {
    /// The requests that may change something.
    pub fn changes(&self) -> Vec<&String> {
        let reads = |request: &str| {
            request.starts_with("GET") || request.contains("dryRun=All") || request.contains("reviews?")
        };
        self.requests.iter().filter(|request| !reads(request)).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        writeln!(f, "$ kubectl flink {}", self.arguments)?;
        writeln!(f, "exit code: {code}\n--- stdout ---")?;
        write!(f, "{}--- stderr ---\n{}", self.stdout, self.stderr)
    }
}
