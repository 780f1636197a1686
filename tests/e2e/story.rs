//! The lines of a document, typed one after the other by a user who has kubectl, the plugin from an archive, and
//! nothing else.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lines::{self, Line};
use crate::place::{Place, kubectl};
use crate::process::{self, Run, Running};
use crate::shipped::{installed, program};

/// Who follows until Ctrl-C watches for so long.
const WATCHED: Duration = Duration::from_secs(3);

/// A document that is read from its beginning to its end.
pub struct Story<'a> {
    pub place: &'a Place,
    document: &'static str,
    lines: VecDeque<Line>,
    swaps: Vec<(String, String)>,
    /// Home folder, and the one where everything is typed.
    home: PathBuf,
    bin: PathBuf,
}

impl<'a> Story<'a> {
    /// A reader whose kubeconfig names the place's namespace.
    pub fn new(place: &'a Place, document: &'static str) -> Self {
        let home = place.folder().join("home");
        if !home.exists() {
            std::fs::create_dir(&home).unwrap();
            installed(&home);
            let config = kubectl(&["config", "view", "--raw", "--flatten", "--minify"]);
            std::fs::write(home.join("kubeconfig"), config).unwrap();
        }
        let read = lines::lines(&lines::text(document));
        let story = Self {
            place,
            document,
            lines: read.into_iter().filter(|line| lines::is_run(document, line)).collect(),
            swaps: Vec::new(),
            bin: home.join("bin"),
            home,
        };
        let namespace = format!("kubectl config set-context --current --namespace {}", place.namespace);
        story.aside(&namespace);
        story
    }

    /// What the reader has in the place of what is in the document: names of registries, images and folders.
    pub fn swap(&mut self, text: &str, by: &str) {
        self.swaps.push((text.to_owned(), by.to_owned()));
    }

    /// A file of the reader's.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The folder of the reader's files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    fn start(&self, line: &str) -> Running {
        let mut script = program(&self.bin, "bash");
        script
            .args(["-c", &format!("set -o pipefail; {line}")])
            .env("HOME", &self.home)
            .env("KUBECONFIG", self.home.join("kubeconfig"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("KUBECTL_FLINK_NO_IMAGE_CHECK")
            .current_dir(&self.home);
        process::start(&mut script, "")
    }

    /// What a user does between the lines, and the document leaves out. It must succeed.
    #[track_caller]
    pub fn aside(&self, line: &str) -> Run {
        self.place.note(self.start(line).end()).ok()
    }

    fn take(&mut self) -> Line {
        let document = self.document;
        let mut line = self
            .lines
            .pop_front()
            .unwrap_or_else(|| panic!("{document} has no more lines"));
        for (text, by) in &self.swaps {
            line.typed = line.typed.replace(text, by);
        }
        line
    }

    /// Types the next line; it ends as the document says.
    #[track_caller]
    pub fn line(&mut self) -> Run {
        let line = self.take();
        let run = self.place.note(self.start(&line.typed).end());
        println!("{}: $ {} ({:.1} s)", self.document, line.typed, run.took.as_secs_f64());
        run.exits(line.exit)
    }

    /// Types all lines before the one that begins so.
    #[track_caller]
    pub fn up_to(&mut self, start: &str) {
        while !self.lines.front().is_some_and(|line| line.typed.starts_with(start)) {
            assert!(!self.lines.is_empty(), "{} has no line {start}", self.document);
            self.line();
        }
    }

    /// Types the next line, which follows something until Ctrl-C.
    #[track_caller]
    pub fn watched(&mut self) -> Run {
        let line = self.take();
        let begun = Instant::now();
        let mut running = self.start(&format!("exec {}", line.typed));
        while begun.elapsed() < WATCHED {
            assert!(running.runs(), "ended by itself: {}", running.end());
            std::thread::sleep(Duration::from_millis(100));
        }
        running.signal("INT");
        println!("{}: $ {} (Ctrl-C)", self.document, line.typed);
        let run = self.place.note(running.end());
        assert!(matches!(run.code, Some(0 | 130)), "{run}");
        run
    }

    /// Types the next line, which is killed as soon as `look` sees something.
    #[track_caller]
    pub fn killed(&mut self, mut look: impl FnMut() -> Option<()>) {
        let line = self.take();
        let mut running = self.start(&format!("exec {}", line.typed));
        crate::place::soon("something to be killed at", || {
            let seen = look();
            assert!(seen.is_some() || running.runs(), "ended before anything was seen");
            seen
        });
        running.signal("KILL");
        println!("{}: $ {} (killed)", self.document, line.typed);
        let run = self.place.note(running.end());
        assert_eq!(run.code, None, "{run}");
    }

    /// Types what is left.
    #[track_caller]
    pub fn rest(mut self) {
        while !self.lines.is_empty() {
            self.line();
        }
    }
}

/// A file of the test cluster, by the script that prints its path.
pub fn jar() -> String {
    let jar = process::run(&mut Command::new(crate::place::bed("jar")), "").ok();
    jar.stdout.trim().to_owned()
}
