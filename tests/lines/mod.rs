//! The command lines of the documents, as a reader types them: taken from the documents themselves, so that a changed
//! document is a changed test.

use std::fs;
use std::path::Path;

/// A command line of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As it is typed, without what is said about it behind ` # `; a line that continues below is one.
    pub typed: String,
    /// How it ends: what the document shows of `echo $?` below it, else success.
    pub exit: i32,
}

/// Lines that no test runs, by how they begin, and why.
pub const LEFT_OUT: [(&str, &str, &str); 12] = [
    ("README.md", "tests/bed/demo", "is what this test runs on"),
    ("README.md", "tests/run", "runs the tests"),
    (
        "README.md",
        "kubectl krew install flink",
        "no release is in the index of krew",
    ),
    ("README.md", "cargo install", "compiles a release, as krew/check does"),
    (
        "docs/installing.md",
        "kubectl krew install flink",
        "no release is in the index of krew",
    ),
    (
        "docs/installing.md",
        "kubectl krew install --manifest",
        "tests/cli/krew.rs does it where there is a krew",
    ),
    (
        "docs/installing.md",
        "gh attestation verify",
        "asks GitHub about a release",
    ),
    (
        "docs/installing.md",
        "sha256sum --check",
        "needs the files of a release",
    ),
    (
        "docs/installing.md",
        "cargo install",
        "compiles a release, as krew/check does",
    ),
    (
        "docs/benchmarks.md",
        "cargo build --release",
        "measures, on a machine that does nothing else",
    ),
    (
        "docs/benchmarks.md",
        "tests/bed/run benches/bench",
        "measures, on a machine that does nothing else",
    ),
    (
        "docs/reference.md",
        "",
        "the examples of the help texts, each of its own; tests/e2e runs their commands one by one",
    ),
];

/// Whether a test runs the line of the document.
pub fn is_run(document: &str, line: &Line) -> bool {
    !LEFT_OUT
        .iter()
        .any(|(of, start, _)| *of == document && line.typed.starts_with(start))
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a document.
pub fn text(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The command lines of a text's blocks: lines of a session after `$ `, and lines of scripts.
pub fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut fence, mut open) = (None, String::new());
    let mut asked = false;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() {
                None
            } else {
                Some(language.to_owned())
            };
            continue;
        }
        if std::mem::take(&mut asked) {
            lines.last_mut().unwrap().exit = line.trim().parse().unwrap();
            continue;
        }
        let typed = match fence.as_deref() {
            Some("console") if !open.is_empty() => line.trim(),
            Some("console") => line.strip_prefix("$ ").unwrap_or_default(),
            Some("sh" | "bash") => line.trim(),
            // Indented blocks are scripts too.
            None => line.strip_prefix("    ").map_or("", str::trim),
            _ => "",
        };
        let typed = typed.split(" # ").next().unwrap_or_default().trim_end();
        match typed.strip_suffix('\\') {
            Some(begun) => open.push_str(begun),
            None if typed == "echo $?" => asked = true,
            None => {
                open.push_str(typed);
                let typed = std::mem::take(&mut open);
                lines.extend((!typed.is_empty()).then_some(Line { typed, exit: 0 }));
            }
        }
    }
    lines
}
