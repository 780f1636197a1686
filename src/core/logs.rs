//! Lines of containers' logs: taken apart, known again after a reconnect, ordered by time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A line as the API server sends it with `timestamps=true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the container's runtime got it.
    pub at: Timestamp,
    /// The line itself, without its end.
    pub text: String,
}

impl Line {
    /// Takes a raw line apart. One without a timestamp, such as the kubelet's own words, has that of the line before.
    #[must_use]
    pub fn parse(raw: &str, before: Option<Timestamp>) -> Self {
        let raw = raw.trim_end_matches(['\n', '\r']);
        let (stamp, text) = raw.split_once(' ').unwrap_or((raw, ""));
        match stamp.parse() {
            Ok(at) => Self {
                at,
                text: text.to_owned(),
            },
            Err(_) => Self {
                at: before.unwrap_or_default(),
                text: raw.to_owned(),
            },
        }
    }
}

/// Where a container's log was left: what to ask for after a reconnect, and which lines of the answer are known.
///
/// The API server goes back to whole seconds only, so it repeats up to a second of lines. A line is known again by
/// its time and its content; of lines that are equal in both as many are new as there are more than before.
#[derive(Clone, Debug, Default)]
pub struct Place {
    last: Option<Timestamp>,
    /// Lines since the beginning of the last line's second.
    seen: HashMap<(Timestamp, u64), u32>,
    /// Those of them that the present answer has not repeated yet.
    repeated: HashMap<(Timestamp, u64), u32>,
}

impl Place {
    /// What to ask for next: lines since this time; `None`: nothing was read so far.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.last.map(second)
    }

    /// The time of the last line.
    #[must_use]
    pub const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// A new answer begins, which may repeat lines.
    pub fn reconnect(&mut self) {
        self.repeated.clone_from(&self.seen);
    }

    /// Whether the line is new.
    pub fn admit(&mut self, line: &Line) -> bool {
        let key = (line.at, digest(&line.text));
        if let Some(left) = self.repeated.get_mut(&key).filter(|left| **left > 0) {
            *left -= 1;
            return false;
        }
        let from = self.since();
        if from.is_none_or(|from| line.at >= from) {
            if self.last.is_none_or(|last| second(line.at) > second(last)) {
                self.seen.clear();
                self.repeated.clear();
            }
            self.last = self.last.max(Some(line.at));
        }
        *self.seen.entry(key).or_default() += 1;
        true
    }
}

fn second(at: Timestamp) -> Timestamp {
    at - SignedDuration::from_nanos(at.subsec_nanosecond().into())
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A short name of a Pod for the beginning of lines: its role and what tells it from others.
#[must_use]
pub fn label(role: &str, pod: &str, container: Option<&str>) -> String {
    let suffix = pod.rsplit('-').next().unwrap_or(pod);
    match container {
        None => format!("{role}/{suffix}"),
        Some(container) => format!("{role}/{suffix}/{container}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(raw: &str) -> Line {
        Line::parse(raw, None)
    }

    #[test]
    fn lines_are_taken_apart() {
        let found = line("2026-01-01T10:00:00.123456789Z  at a.B(C.java)\r\n");
        assert_eq!(found.at.to_string(), "2026-01-01T10:00:00.123456789Z");
        assert_eq!(found.text, " at a.B(C.java)");
        assert_eq!(line("2026-01-01T10:00:00Z").text, "");
        let before = Some(found.at);
        let odd = Line::parse("unable to retrieve container logs for containerd://1", before);
        assert_eq!((odd.at, odd.text.starts_with("unable to")), (found.at, true));
    }

    /// Each list is one answer; what is admitted in all must be every line once.
    fn admitted(answers: &[&[&str]]) -> Vec<String> {
        let mut place = Place::default();
        let mut lines = Vec::new();
        for answer in answers {
            place.reconnect();
            for raw in *answer {
                let line = line(raw);
                if place.admit(&line) {
                    lines.push(line.text);
                }
            }
        }
        lines
    }

    #[test]
    fn a_reconnect_neither_loses_nor_repeats() {
        assert_eq!(
            admitted(&[
                &[
                    "2026-01-01T10:00:00.1Z a",
                    "2026-01-01T10:00:01.2Z b",
                    "2026-01-01T10:00:01.3Z c"
                ],
                &[
                    "2026-01-01T10:00:01.2Z b",
                    "2026-01-01T10:00:01.3Z c",
                    "2026-01-01T10:00:01.3Z d",
                    "2026-01-01T10:00:02Z e"
                ],
                &["2026-01-01T10:00:02Z e"],
                &["2026-01-01T10:00:02Z e", "2026-01-01T10:00:03Z f"],
            ]),
            ["a", "b", "c", "d", "e", "f"]
        );
    }

    #[test]
    fn equal_lines_are_counted() {
        let twice = ["2026-01-01T10:00:00.5Z x", "2026-01-01T10:00:00.5Z x"];
        let thrice = [twice[0], twice[0], twice[0]];
        assert_eq!(admitted(&[&twice]).len(), 2);
        assert_eq!(admitted(&[&twice, &thrice]).len(), 3);
        assert_eq!(admitted(&[&twice, &thrice, &thrice]).len(), 3);
    }

    #[test]
    fn lines_out_of_order_are_not_lost() {
        assert_eq!(
            admitted(&[&[
                "2026-01-01T10:00:00.5Z a",
                "2026-01-01T10:00:00.4Z b",
                "2026-01-01T10:00:00.6Z c"
            ]]),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn a_long_log_is_not_kept() {
        let mut place = Place::default();
        for at in 0..1000 {
            let at = Timestamp::from_second(at).unwrap();
            assert!(place.admit(&Line { at, text: "x".into() }));
        }
        assert_eq!(place.seen.len(), 1);
    }
}
