//! The picture at the README's top: drawn from the transcript of a real run, of the commands that the README shows.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use unicode_width::UnicodeWidthStr;

/// Columns of the picture; longer lines end in an ellipsis.
const COLUMNS: usize = 104;
/// Lines of it: the rest of the transcript is not shown.
const LINES: usize = 36;

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A terminal as SVG: text that can be read aloud and searched, in the fonts of whoever looks at it.
fn draw(transcript: &str) -> String {
    // On a terminal, progress is a spinner that goes: what stays is what came of it.
    let progress =
        |line: &&str| line.starts_with("demo: ") && !line.contains("stopped with") || *line == "writing a savepoint";
    let lines = transcript.trim_end().lines().filter(|line| !progress(line));
    let lines: Vec<&str> = lines.take(LINES).collect();
    let (width, height) = (COLUMNS * 8 + 32, lines.len() * 19 + 56);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"A terminal session with kubectl flink\">\n\
         <style>text{{font:13.3px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre}}\
         .typed{{fill:#7ee787;font-weight:bold}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"6\" fill=\"#ff5f56\"/><circle cx=\"40\" cy=\"18\" r=\"6\" fill=\"#ffbd2e\"/>\
         <circle cx=\"60\" cy=\"18\" r=\"6\" fill=\"#27c93f\"/>\n"
    );
    let mut typed = false;
    for (index, line) in lines.iter().enumerate() {
        let begins = line.starts_with("$ ");
        let class = if begins || typed { " class=\"typed\"" } else { "" };
        typed = (begins || typed) && line.ends_with('\\');
        let mut shown = (*line).to_owned();
        while shown.width() > COLUMNS {
            shown.pop();
            if shown.width() < COLUMNS {
                shown.push('…');
                break;
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"{}\"{class}>{}</text>",
            index * 19 + 50,
            escape(&shown)
        );
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_is_drawn_from_the_transcript() {
    let transcript = fs::read_to_string(document("docs/session.txt")).unwrap();
    let svg = draw(&transcript);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(document("docs/session.svg"), &svg).unwrap();
    }
    assert_eq!(
        fs::read_to_string(document("docs/session.svg")).unwrap(),
        svg,
        "UPDATE_DOCS=1 cargo test --test cli session draws it again"
    );
}

/// What the script runs on the bed is what the README tells to type, and what the transcript shows.
#[test]
fn the_commands_are_those_of_the_readme() {
    let plain = |text: &str| {
        text.replace("\\\n", " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let script = fs::read_to_string(document("docs/session")).unwrap();
    let readme = plain(&fs::read_to_string(document("README.md")).unwrap());
    let transcript = plain(&fs::read_to_string(document("docs/session.txt")).unwrap());
    let commands: Vec<&str> = script
        .split("\nshow '")
        .skip(1)
        .map(|rest| rest.split('\'').next().unwrap())
        .collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let typed = format!("$ {}", plain(command));
        assert!(readme.contains(&typed), "not in the README: {typed}");
        assert!(transcript.contains(&typed), "not in docs/session.txt: {typed}");
    }
}
