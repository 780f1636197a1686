//! Lines of one container that arrived together: they are sent, sorted and printed together.

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::model::log_lines::LogLine;

/// Length of the text of a full batch.
const FULL: usize = 32 << 10;

/// Lines in the order of arrival.
#[derive(Debug)]
pub(super) struct Batch {
    /// When the first line arrived.
    pub(super) came: Instant,
    text: String,
    /// The time of each line, and where its text ends.
    lines: Vec<(Timestamp, usize)>,
    printed: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            came: Instant::now(),
            text: String::new(),
            lines: Vec::new(),
            printed: 0,
        }
    }
}

impl Batch {
    pub(super) fn push(&mut self, line: LogLine<'_>) {
        if self.lines.is_empty() {
            self.came = Instant::now();
        }
        self.text.push_str(line.text);
        self.lines.push((line.at, self.text.len()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= FULL || self.lines.len() >= FULL / 64
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.lines.get(self.printed).map(|(at, _)| *at)
    }

    pub(super) fn next(&mut self) -> Option<LogLine<'_>> {
        let (at, end) = *self.lines.get(self.printed)?;
        let begin = self.printed.checked_sub(1).map_or(0, |before| self.lines[before].1);
        self.printed += 1;
        Some(LogLine {
            at,
            text: &self.text[begin..end],
        })
    }
}
