//! The log of one container for a report: its beginning and its end, line by line into a file, without secrets.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{PODS, Target, encode};
use crate::model::secrets::{LogRedaction, Redaction};

/// Longest line. The rest of it is left out.
const MAX_LINE: usize = 256 << 10;
/// Lines of the end that are asked for first.
const TAIL: usize = 20_000;
/// The part of a log's limit that its begin takes: that has the configuration.
const HEAD: usize = 8;

/// A container whose log is read.
pub(crate) struct Container<'a> {
    pub(crate) pod: &'a str,
    pub(crate) name: &'a str,
    /// Whether its run before the present one.
    pub(crate) previous: bool,
}

/// A log in a file, whose position is its end.
pub(crate) struct Log {
    pub(crate) file: File,
    /// What is left out, or why it breaks off.
    pub(crate) note: Option<String>,
}

/// Reads a log of at most about `limit` bytes. A longer one has its begin and its end.
pub(crate) async fn read(
    cluster: &Cluster,
    container: &Container<'_>,
    limit: usize,
    redaction: &Redaction,
) -> Result<Log> {
    let file = tempfile::tempfile().map_err(|e| unwritable(&e))?;
    let mut lines = Lines::new(BufWriter::new(file), redaction);
    let head = limit / HEAD;
    let query = format!("limitBytes={head}");
    let mut note = None;
    match ask(cluster, container, &query, &mut lines).await {
        Ok(()) if lines.seen < head => lines.end(),
        // The last line is not whole, and with it perhaps a secret by which it would be known.
        Ok(()) => note = Some(tail(cluster, container, limit, &mut lines).await?),
        Err(error) if lines.seen == 0 => return Err(error),
        Err(error) => note = Some(format!("it breaks off: {}", error.message)),
    }
    if let Some(e) = &lines.failed {
        return Err(unwritable(e));
    }
    let file = lines.out.into_inner().map_err(|e| unwritable(e.error()))?;
    Ok(Log { file, note })
}

/// Adds the end. The server counts its bytes from the first line that is asked for, so that a long answer lacks the last
/// lines: then fewer are asked for.
async fn tail(cluster: &Cluster, container: &Container<'_>, limit: usize, lines: &mut Lines<'_>) -> Result<String> {
    let begin = lines.out.stream_position().map_err(|e| unwritable(&e))?;
    let mut number = TAIL;
    lines.after.clone_from(&lines.last);
    loop {
        lines.restart();
        let query = format!("tailLines={number}&limitBytes={limit}");
        if let Err(error) = ask(cluster, container, &query, lines).await {
            return Ok(format!("its end cannot be read: {}", error.message));
        }
        if lines.seen < limit || number == 1 {
            lines.end();
            return Ok(if lines.is_gapless {
                String::new()
            } else {
                format!("lines between its beginning and the last {number} are left out")
            });
        }
        number = (number / 4).max(1);
        let back = lines.out.seek(SeekFrom::Start(begin));
        back.and_then(|_| lines.out.get_mut().set_len(begin))
            .map_err(|e| unwritable(&e))?;
    }
}

async fn ask(cluster: &Cluster, container: &Container<'_>, query: &str, lines: &mut Lines<'_>) -> Result<()> {
    let target = Target::object("get", PODS, cluster.namespace(), container.pod).subresource("log");
    let query = format!(
        "container={}&previous={}&timestamps=true&{query}",
        encode(container.name),
        container.previous
    );
    let mut feed = |bytes: &[u8]| lines.feed(bytes);
    cluster.stream(&target, &query, "*/*", &mut feed).await.map(drop)
}

fn unwritable(e: &io::Error) -> Error {
    Error::failure(format!("a temporary file cannot be written: {e}"))
}

/// Writes lines without secrets.
struct Lines<'a> {
    out: BufWriter<File>,
    redaction: &'a Redaction,
    log: LogRedaction<'a>,
    begun: Vec<u8>,
    is_long: bool,
    /// Number of bytes of the answer.
    seen: usize,
    last: String,
    after: String,
    /// Whether the end continues where the begin stopped.
    is_gapless: bool,
    is_first: bool,
    failed: Option<io::Error>,
}

impl<'a> Lines<'a> {
    fn new(out: BufWriter<File>, redaction: &'a Redaction) -> Self {
        Self {
            out,
            redaction,
            log: LogRedaction::new(redaction),
            begun: Vec::new(),
            is_long: false,
            seen: 0,
            last: String::new(),
            after: String::new(),
            is_gapless: false,
            is_first: false,
            failed: None,
        }
    }

    /// Begins another answer.
    fn restart(&mut self) {
        self.log = LogRedaction::new(self.redaction);
        self.begun.clear();
        (self.is_long, self.seen, self.is_gapless, self.is_first) = (false, 0, false, true);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.seen += bytes.len();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if !self.is_long {
                self.begun.extend_from_slice(piece);
                if self.begun.len() > MAX_LINE {
                    // Neither half of a secret is shown: the line ends at a space.
                    self.begun.truncate(MAX_LINE);
                    let end = self.begun.iter().rposition(|byte| *byte == b' ').unwrap_or(0);
                    self.begun.truncate(end);
                    self.is_long = true;
                }
            }
            if ends {
                self.end();
                self.is_long = false;
            }
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.begun);
        if line.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        let (stamp, text) = match line.split_once(' ') {
            // The kubelet writes all nine digits of a second, so that times are in the order of their text.
            Some((stamp, text)) if stamp.ends_with('Z') => (stamp, text),
            _ => ("", line),
        };
        // Lines that are written already tell what the next ones are, such as arguments.
        let text = self.log.line(text);
        if !self.after.is_empty() && stamp <= self.after.as_str() {
            (self.is_gapless, self.is_first) = (true, false);
            return;
        }
        if std::mem::take(&mut self.is_first) {
            self.write("… lines are left out here …", "");
        }
        self.write(&text, stamp);
        if !stamp.is_empty() {
            stamp.clone_into(&mut self.last);
        }
    }

    fn write(&mut self, text: &str, stamp: &str) {
        let between = if stamp.is_empty() { "" } else { " " };
        let written = writeln!(self.out, "{stamp}{between}{text}");
        self.failed = self.failed.take().or(written.err());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn written(out: BufWriter<File>) -> String {
        let mut file = out.into_inner().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn arguments_are_hidden_where_the_begin_stopped_between_them() {
        let redaction = Redaction::default();
        let mut lines = Lines::new(BufWriter::new(tempfile::tempfile().unwrap()), &redaction);
        let line = |stamp: u8, text: &str| format!("{stamp}Z x [] - {text}\n");
        let begin = line(1, " Program Arguments:") + &line(2, "    --in");
        lines.feed(begin.as_bytes());
        lines.after.clone_from(&lines.last);
        lines.restart();
        lines.feed((begin + &line(3, "    planted")).as_bytes());
        let want = "1Z x [] -  Program Arguments:\n2Z x [] -     --in\n3Z x [] -     ****\n";
        assert_eq!(written(lines.out), want);
    }

    #[test]
    fn the_end_continues_after_the_begin_and_half_lines_are_left_out() {
        let redaction = Redaction::default();
        let mut lines = Lines::new(BufWriter::new(tempfile::tempfile().unwrap()), &redaction);
        for piece in ["1Z one\n2Z pass", "word=abc\n3Z thr"] {
            lines.feed(piece.as_bytes());
        }
        lines.after.clone_from(&lines.last);
        lines.restart();
        lines.feed(b"2Z password=abc\n3Z three\n4Z four");
        lines.end();
        assert!(lines.is_gapless);
        lines.restart();
        lines.feed(b"9Z nine\n");
        assert!(!lines.is_gapless);
        let long = format!("10Z {} {}\n11Z next\n", "a".repeat(MAX_LINE - 10), "b".repeat(20));
        lines.after.clear();
        lines.feed(long.as_bytes());
        let want = format!(
            "1Z one\n2Z password=****\n3Z three\n4Z four\n… lines are left out here …\n9Z nine\n10Z {}\n11Z next\n",
            "a".repeat(MAX_LINE - 10)
        );
        assert_eq!(written(lines.out), want);
    }
}
