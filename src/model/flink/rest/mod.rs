//! Replies of Flink's REST, read tolerantly.
//!
//! Flink 1.13 to 2.3 are spoken to by one set of types: every field that any of them lacks has a default, fields that
//! are not needed are skipped, and numbers that Flink writes as text (`"NaN"`) count as absent.

pub mod checkpoints;
pub mod exceptions;
pub mod operation;

use serde::{Deserialize, Deserializer};

use crate::model::diagnosis::first_line;

/// Flink's error reply.
#[derive(Debug, Deserialize)]
pub struct Errors {
    errors: Vec<String>,
}

impl Errors {
    /// The first line of what Flink says; the rest is its stack trace. `None`: the body is not Flink's.
    #[must_use]
    pub fn told(body: &[u8]) -> Option<String> {
        let reply: Self = serde_json::from_slice(body).ok()?;
        // Some releases send a headline first, such as "Internal server error.", and then the trace that tells.
        let telling = reply.errors.iter().map(|text| first_line(text)).collect::<Vec<_>>();
        let best = telling.iter().find(|line| !is_headline(line)).or(telling.first());
        Some(best.cloned().unwrap_or_default())
    }
}

fn is_headline(line: &str) -> bool {
    line.is_empty() || line.trim_end_matches('.') == "Internal server error"
}

/// The root cause in a stack trace: its last `Caused by:`, or its first line.
fn root_of(trace: &str) -> &str {
    let mut causes = trace.lines().filter_map(|line| line.trim().strip_prefix("Caused by: "));
    causes
        .next_back()
        .or_else(|| trace.lines().next().map(str::trim))
        .unwrap_or_default()
}

/// A number; `None` for `null`, for text such as `"NaN"`, and for -1, by which Flink says that it does not know.
pub fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Whole(u64),
        Real(f64),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Any::deserialize(deserializer)? {
        Any::Whole(number) => Some(number),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Any::Real(number) if number.is_finite() && number >= 0.0 => Some(number as u64),
        Any::Real(_) | Any::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_absent() {
        #[derive(Deserialize)]
        struct Reply {
            #[serde(default, deserialize_with = "lenient")]
            n: Option<u64>,
        }
        for (text, want) in [
            (r#"{"n": 7}"#, Some(7)),
            (r#"{"n": 7.9}"#, Some(7)),
            (r#"{"n": -1}"#, None),
            (r#"{"n": "NaN"}"#, None),
            (r#"{"n": null}"#, None),
            (r#"{"n": {"deep": []}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str::<Reply>(text).unwrap().n, want, "{text}");
        }
    }

    #[test]
    fn an_error_is_reduced_to_its_first_telling_line() {
        let told = |text: &str| Errors::told(text.as_bytes());
        assert_eq!(
            told(r#"{"errors":["Config key [state.savepoints.dir] is not set.\n\tat a.B"]}"#).as_deref(),
            Some("Config key [state.savepoints.dir] is not set")
        );
        assert_eq!(
            told(r#"{"errors":["Internal server error.","<Exception on server side:\njava.lang.X: why\n\tat a"]}"#)
                .as_deref(),
            Some("java.lang.X: why")
        );
        assert_eq!(told(r#"{"kind":"Status"}"#), None);
        assert_eq!(told("<html>"), None);
        assert_eq!(told(r#"{"errors":[]}"#).as_deref(), Some(""));
    }
}
