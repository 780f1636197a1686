//! Lines of container logs: parsed, recognized after a reconnect, sorted by time.

use std::collections::HashMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A line in the format of the API server with `timestamps=true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When the container runtime received it.
    pub(crate) at: Timestamp,
    /// The line itself, without its end.
    pub text: &'a str,
}

/// Parses raw lines. Many lines of a log have the same second, whose date is parsed once.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    /// Year to second of the last line, and its value; only for UTC.
    second: Option<([u8; SECOND], i64)>,
}

/// Length of `2026-01-01T10:00:00`.
const SECOND: usize = 19;

impl Stamps {
    /// Parses a raw line. A line without a timestamp, such as the kubelet's own messages, has that of the previous
    /// line.
    #[must_use]
    pub fn parse<'a>(&mut self, raw: &'a str, before: Option<Timestamp>) -> LogLine<'a> {
        let raw = raw.trim_end_matches(['\n', '\r']);
        let (stamp, text) = raw.split_once(' ').unwrap_or((raw, ""));
        match self.known(stamp.as_bytes()).or_else(|| self.read(stamp)) {
            Some(at) => LogLine { at, text },
            None => LogLine {
                at: before.unwrap_or_default(),
                text: raw,
            },
        }
    }

    /// A time within the second of the last line.
    fn known(&self, stamp: &[u8]) -> Option<Timestamp> {
        let (written, second) = self.second.as_ref()?;
        let fraction = stamp.strip_prefix(written)?.strip_suffix(b"Z")?;
        let Some(digits) = fraction.strip_prefix(b".") else {
            return fraction.is_empty().then(|| Timestamp::from_second(*second).ok())?;
        };
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        let mut nanoseconds = 0;
        for place in 0..9 {
            let digit = digits.get(place).map_or(0, |digit| digit.wrapping_sub(b'0'));
            if digit > 9 {
                return None;
            }
            nanoseconds = nanoseconds * 10 + i32::from(digit);
        }
        Timestamp::new(*second, nanoseconds).ok()
    }

    fn read(&mut self, stamp: &str) -> Option<Timestamp> {
        let at: Timestamp = stamp.parse().ok()?;
        if let Some((written, b"Z" | [b'.', ..])) = stamp.as_bytes().split_first_chunk()
            && stamp.ends_with('Z')
            && at.as_second() >= 0
        {
            self.second = Some((*written, at.as_second()));
        }
        Some(at)
    }
}

/// The position in a container's log: what to request after a reconnect, and which lines of the answer are known.
///
/// The API server only supports whole seconds, so it repeats up to a second of lines. A line is recognized by its time
/// and its content. Of lines that are equal in both, as many are new as there are more than before.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogPosition {
    last: Option<Timestamp>,
    /// Digests of the lines since the start of the last line's second.
    seen: Vec<u64>,
    /// Those that the present answer has not repeated yet.
    repeated: HashMap<u64, u32>,
}

impl LogPosition {
    /// The start time of the next request; `None`: nothing was read so far.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.last.map(second)
    }

    pub(crate) const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Starts a new answer, which may repeat lines.
    pub(crate) fn reconnect(&mut self) {
        self.repeated.clear();
        for line in &self.seen {
            *self.repeated.entry(*line).or_default() += 1;
        }
    }

    pub(crate) fn admit(&mut self, line: LogLine<'_>) -> bool {
        let key = digest(line);
        if !self.repeated.is_empty()
            && let Some(left) = self.repeated.get_mut(&key).filter(|left| **left > 0)
        {
            *left -= 1;
            return false;
        }
        if self.last.is_none_or(|last| line.at > last) {
            if self.last.is_none_or(|last| second(line.at) > second(last)) {
                self.seen.clear();
                self.repeated.clear();
            }
            self.last = Some(line.at);
        }
        self.seen.push(key);
        true
    }
}

fn second(at: Timestamp) -> Timestamp {
    at - SignedDuration::from_nanos(at.subsec_nanosecond().into())
}

/// The digest that identifies a line. A collision only hides a line after a lost connection, so the digest only has to
/// be fast.
fn digest(line: LogLine<'_>) -> u64 {
    // Knuth's multiplier of linear congruential generators; the rotation moves high bits back to the low end.
    let mix = |digest: u64, word: u64| (digest.rotate_left(29) ^ word).wrapping_mul(6_364_136_223_846_793_005);
    let (words, rest) = line.text.as_bytes().as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let at = line.at.as_second().cast_unsigned();
    let at = mix(at, u64::from(line.at.subsec_nanosecond().unsigned_abs()));
    let text = words
        .iter()
        .fold(at, |digest, word| mix(digest, u64::from_le_bytes(*word)));
    mix(mix(text, u64::from_le_bytes(last)), line.text.len() as u64)
}

/// A short name of a Pod as a prefix of lines: its role and its unique suffix.
pub(crate) fn label(role: &str, pod: &str, container: Option<&str>) -> String {
    let suffix = pod.rsplit('-').next().unwrap_or(pod);
    match container {
        None => format!("{role}/{suffix}"),
        Some(container) => format!("{role}/{suffix}/{container}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(raw: &str) -> LogLine<'_> {
        Stamps::default().parse(raw, None)
    }

    #[test]
    fn lines_are_taken_apart() {
        let found = line("2026-01-01T10:00:00.123456789Z  at a.B(C.java)\r\n");
        assert_eq!(found.at.to_string(), "2026-01-01T10:00:00.123456789Z");
        assert_eq!(found.text, " at a.B(C.java)");
        assert_eq!(line("2026-01-01T10:00:00Z").text, "");
        let before = Some(found.at);
        let odd = Stamps::default().parse("unable to retrieve container logs for containerd://1", before);
        assert_eq!((odd.at, odd.text.starts_with("unable to")), (found.at, true));
    }

    #[test]
    fn times_of_one_second_are_read_as_any_other() {
        let mut stamps = Stamps::default();
        for fraction in ["", ".5", ".000000001", ".123456789", ".1234567890", ".", ".5x", ".5é"] {
            for zone in ["Z", "+02:00", "z", ""] {
                let raw = format!("2026-01-01T10:00:00{fraction}{zone} x");
                // The first is read as a whole, and the date is known then.
                assert_eq!(stamps.parse(&raw, None), line(&raw), "{raw}");
                assert_eq!(stamps.second.map(|(_, second)| second), Some(1_767_261_600), "{raw}");
            }
        }
        let next = "2026-01-01T10:00:01.5Z x";
        assert_eq!(stamps.parse(next, None), line(next));
        assert_eq!(stamps.second.map(|(_, second)| second), Some(1_767_261_601));
    }

    #[test]
    fn lines_differ_by_each_of_their_parts() {
        let lines = [
            "2026-01-01T10:00:00.1Z a",
            "2026-01-01T10:00:00.2Z a",
            "2026-01-01T10:00:01.1Z a",
            "2026-01-01T10:00:00.1Z b",
            "2026-01-01T10:00:00.1Z a\0",
            "2026-01-01T10:00:00.1Z aaaaaaaab",
            "2026-01-01T10:00:00.1Z aaaaaaaac",
            "2026-01-01T10:00:00.1Z baaaaaaab",
        ];
        let digests: std::collections::BTreeSet<u64> = lines.iter().map(|raw| digest(line(raw))).collect();
        assert_eq!(digests.len(), lines.len());
    }

    /// Each list is one answer; what is admitted in all must be every line once.
    fn admitted(answers: &[&[&str]]) -> Vec<String> {
        let mut place = LogPosition::default();
        let mut lines = Vec::new();
        for answer in answers {
            place.reconnect();
            for raw in *answer {
                let line = line(raw);
                if place.admit(line) {
                    lines.push(line.text.to_owned());
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
        let mut place = LogPosition::default();
        for at in 0..1000 {
            let at = Timestamp::from_second(at).unwrap();
            assert!(place.admit(LogLine { at, text: "x" }));
        }
        assert_eq!(place.seen.len(), 1);
    }
}
