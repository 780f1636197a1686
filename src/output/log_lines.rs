//! The lines of logs: with the Pod before them and colours, as they were written, or as JSON.

use std::collections::HashMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use k8s_openapi::jiff::Timestamp;
use regex::Regex;
use serde::Serialize;

use super::{Format, terminal};
use crate::error::Result;
use crate::kubernetes::logs::{ContainerLine, LineOrigin};
use crate::model::diagnosis::level_in_json;
use crate::model::keyword::keywords;

keywords! {
    enum LogFormat {
        Text = "text": "The Pod and the line, with colors on a terminal",
        Raw = "raw": "The lines as they were written",
        Json = "json": "An object for each line: time, level, message, cluster, role, pod and container",
    }
}

#[derive(Clone, Copy)]
pub(crate) struct LogStyle<'a> {
    pub(crate) format: LogFormat,
    pub(crate) grep: Option<&'a Regex>,
    pub(crate) exclude: Option<&'a Regex>,
    pub(crate) highlight: Option<&'a Regex>,
    pub(crate) prefix: bool,
    pub(crate) timestamps: bool,
}

/// Colours of Pods, in order. Red is reserved for errors.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];

pub(crate) struct LogLines<'a> {
    style: LogStyle<'a>,
    out: terminal::Bulk,
    text: String,
    /// The prefix of each container's lines.
    prefixes: HashMap<usize, String>,
}

impl<'a> LogLines<'a> {
    pub(crate) fn new(style: LogStyle<'a>) -> Self {
        Self {
            style,
            out: terminal::Bulk::new(),
            text: String::new(),
            prefixes: HashMap::new(),
        }
    }

    pub(crate) fn add(&mut self, from: &ContainerLine<'_>) {
        let text = terminal::cleaned(from.line.text);
        let wanted = self.style;
        if wanted.grep.is_some_and(|grep| !grep.is_match(&text))
            || wanted.exclude.is_some_and(|exclude| exclude.is_match(&text))
        {
            return;
        }
        match wanted.format {
            LogFormat::Text => {}
            LogFormat::Raw => {
                self.text.push_str(&text);
                return self.text.push('\n');
            }
            LogFormat::Json => {
                let line = Line {
                    time: from.line.at,
                    level: level(&text).map(|(word, _)| word),
                    message: &text,
                    origin: from.origin,
                };
                // A line has no part that JSON cannot hold.
                self.text
                    .push_str(&super::line(Format::Json, &line).unwrap_or_default());
                return;
            }
        }
        if wanted.prefix {
            // Each container gets the next colour with its first line.
            let colour = COLOURS[self.prefixes.len() % COLOURS.len()].on_default();
            let style = if self.out.is_coloured() { colour } else { Style::new() };
            let prefix = self.prefixes.entry(from.source);
            let prefix = prefix.or_insert_with(|| format!("{style}{}{style:#} ", terminal::clean(&from.origin.label)));
            self.text.push_str(prefix);
        }
        if wanted.timestamps {
            // A write to a String never fails.
            let _ = write!(self.text, "{:.6} ", from.line.at);
        }
        if self.out.is_coloured() {
            self.text.push_str(&coloured(&text, wanted.highlight));
        } else {
            self.text.push_str(&text);
        }
        self.text.push('\n');
    }

    pub(crate) fn write(&mut self) -> Result<()> {
        self.out.write(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    level: Option<&'a str>,
    message: &'a str,
    #[serde(flatten)]
    origin: &'a LineOrigin,
}

/// The level of a line and its end in it: the first words are the time, the level and the logger, in Flink's layout and in
/// most others. In JSON it is a field of the record, which is all of the line.
fn level(text: &str) -> Option<(&str, usize)> {
    if let Some(word) = level_in_json(text) {
        return Some((word, text.len()));
    }
    let words = text.split(' ').scan(0, |at, word| {
        let end = *at + word.len();
        *at = end + 1;
        Some((word.trim_matches(['[', ']', ':']), end))
    });
    let known = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let mut first = words.filter(|(word, _)| !word.is_empty()).take(4);
    first.find(|(word, _)| known.contains(word))
}

/// The line with a colour for its level, and marks where `highlight` finds something.
fn coloured(text: &str, highlight: Option<&Regex>) -> String {
    let level = level(text);
    let style = match level.map(|(word, _)| word) {
        Some("ERROR" | "FATAL") => AnsiColor::Red.on_default().bold(),
        Some("WARN") => AnsiColor::Yellow.on_default(),
        Some("DEBUG" | "TRACE") => Style::new().dimmed(),
        _ => Style::new(),
    };
    let mark = Style::new().invert();
    let mut out = String::new();
    let mut last = 0;
    // A warning is coloured up to its level, and an error as a whole: users look for errors.
    let end = match level {
        Some(("WARN", end)) => end,
        _ => text.len(),
    };
    let part = |out: &mut String, from: usize, to: usize| {
        let (head, tail) = (&text[from..to.min(end).max(from)], &text[to.min(end).max(from)..to]);
        let _ = write!(out, "{style}{head}{style:#}{tail}");
    };
    for found in highlight.into_iter().flat_map(|highlight| highlight.find_iter(text)) {
        part(&mut out, last, found.start());
        let _ = write!(out, "{mark}{}{mark:#}", found.as_str());
        last = found.end();
    }
    part(&mut out, last, text.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_where_they_stand() {
        let flink = "2026-01-01 10:00:00,001 ERROR org.apache.flink.Job [] - it failed";
        assert_eq!(level(flink).map(|(word, _)| word), Some("ERROR"));
        let expected = Some("WARN");
        assert_eq!(level("2026-01-01T10:00:00Z [WARN] x").map(|(word, _)| word), expected);
        for line in [
            "",
            "at java.lang.Thread.run(Thread.java:840)",
            "a b c d ERROR of another",
        ] {
            assert_eq!(level(line), None, "{line}");
        }
    }

    #[test]
    fn levels_are_found_in_layouts_of_json() {
        for (line, expected) in [
            (
                r#"{"@timestamp":"2026-01-01T10:00:00.000Z","log.level":"ERROR","message":"it failed"}"#,
                Some("ERROR"),
            ),
            (r#"{"severity": "WARNING", "message": "a b c ERROR"}"#, Some("WARN")),
            (r#"{"version":"1.1","level":6,"short_message":"fine"}"#, Some("INFO")),
            (r#"{"log":{"level":"debug"},"message":"fine"}"#, Some("DEBUG")),
            (r#"{"message":"of a program"}"#, None),
        ] {
            assert_eq!(level(line).map(|(word, _)| word), expected, "{line}");
        }
        let warning = coloured(r#"{"level": "WARN", "message": "x"}"#, None);
        assert!(
            warning.starts_with("\u{1b}[33m{") && warning.ends_with("}\u{1b}[0m"),
            "{warning:?}"
        );
    }

    #[test]
    fn colours_change_no_text() {
        let highlight = Regex::new("fail[a-z]*|2026").unwrap();
        for line in [
            "2026-01-01 10:00:00,001 ERROR x [] - it failed",
            "2026-01-01 10:00:00,001 WARN  x [] - it fails to fail",
            "2026-01-01 10:00:00,001 INFO  x [] - fine",
            "",
        ] {
            for highlight in [None, Some(&highlight)] {
                let shown = coloured(line, highlight);
                assert_eq!(anstream::adapter::strip_str(&shown).to_string(), line);
                let marks = highlight.map_or(0, |highlight| highlight.find_iter(line).count());
                assert_eq!(shown.matches("\u{1b}[7m").count(), marks, "{shown:?}");
            }
        }
        assert!(coloured("10:00 ERROR x", None).contains("\u{1b}[31m"));
    }
}
