//! The pictures of README and docs: drawn from what real runs showed; the one at the README's top is of its commands.

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

/// The lines of a session. On a terminal, progress is a block that is drawn again: its result stays.
fn of_session(transcript: &str) -> String {
    let progress =
        |line: &&str| line.starts_with("demo: ") && !line.contains("stopped with") || *line == "writing a savepoint";
    let lines = transcript.trim_end().lines().filter(|line| !progress(line));
    lines.take(LINES).collect::<Vec<_>>().join("\n")
}

/// The runs of one style in a line that has escape sequences for bold, faint and colored text, each with its class.
fn runs(line: &str) -> Vec<(&'static str, &str)> {
    let mut parts = line.split("\x1b[");
    let mut runs = vec![("", parts.next().unwrap_or_default())];
    for part in parts {
        let Some((code, text)) = part.split_once('m') else {
            panic!("no style begins with {part:?}")
        };
        let class = match code {
            "0" => "",
            "1" => "bold",
            "2" => "faint",
            "31" | "1;31" => "red",
            "32" | "1;32" => "green",
            "33" | "1;33" => "yellow",
            "36" | "1;36" => "cyan",
            _ => panic!("no class for the style {code}"),
        };
        runs.push((class, text));
    }
    runs.retain(|(_, text)| !text.is_empty());
    runs
}

/// Cut to `left` columns, which it takes its own off.
fn cut(text: &str, left: &mut usize) -> String {
    let mut shown = text.to_owned();
    if shown.width() > *left {
        while shown.width() + 1 > *left && shown.pop().is_some() {}
        if *left > 0 {
            shown.push('…');
        }
    }
    *left -= shown.width();
    shown
}

/// A terminal as SVG: text that can be read aloud and searched, in the fonts of the reader.
fn draw(transcript: &str, label: &str) -> String {
    let lines: Vec<&str> = transcript.trim_end().lines().collect();
    let (width, height) = (COLUMNS * 8 + 32, lines.len() * 19 + 56);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{label}\">\n\
         <style>text{{font:13.3px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre}}\
         .typed{{fill:#7ee787;font-weight:bold}}.bold{{font-weight:bold}}.faint{{fill:#8b949e}}.red{{fill:#ff7b72}}\
         .green{{fill:#7ee787}}.yellow{{fill:#e3b341}}.cyan{{fill:#79c0ff}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"6\" fill=\"#ff5f56\"/><circle cx=\"40\" cy=\"18\" r=\"6\" fill=\"#ffbd2e\"/>\
         <circle cx=\"60\" cy=\"18\" r=\"6\" fill=\"#27c93f\"/>\n"
    );
    let mut typed = false;
    for (index, line) in lines.iter().enumerate() {
        let begins = line.starts_with("$ ");
        let class = if begins || typed { " class=\"typed\"" } else { "" };
        typed = (begins || typed) && line.ends_with('\\');
        let mut left = COLUMNS;
        let text: String = runs(line)
            .into_iter()
            .map(|(class, text)| {
                let text = escape(&cut(text, &mut left));
                match class {
                    "" => text,
                    class => format!("<tspan class=\"{class}\">{text}</tspan>"),
                }
            })
            .collect();
        let _ = writeln!(svg, "<text x=\"16\" y=\"{}\"{class}>{text}</text>", index * 19 + 50);
    }
    svg + "</svg>\n"
}

/// Holds a picture against the text that it is drawn from, or draws it again.
fn is_drawn(picture: &str, svg: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(document(picture), svg).unwrap();
    }
    assert_eq!(
        fs::read_to_string(document(picture)).unwrap(),
        svg,
        "UPDATE_DOCS=1 cargo test --test cli pictures draws {picture} again"
    );
}

#[test]
fn pictures_are_drawn_from_transcripts() {
    let transcript = |name: &str| fs::read_to_string(document(name)).unwrap();
    let session = of_session(&transcript("docs/session.txt"));
    is_drawn(
        "docs/session.svg",
        &draw(&session, "A terminal session with kubectl flink"),
    );
    for (name, label) in [
        ("list", "kubectl flink list on a terminal"),
        ("status", "kubectl flink status on a terminal"),
        ("upgrade", "kubectl flink upgrade on a terminal"),
    ] {
        let screen = transcript(&format!("docs/pictures/{name}.txt"));
        is_drawn(&format!("docs/pictures/{name}.svg"), &draw(&screen, label));
    }
}

/// The script on the test cluster runs what the README says to type, and the transcript shows.
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
