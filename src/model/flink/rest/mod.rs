//! Replies of Flink's REST, parsed leniently.
//!
//! One set of types is used for Flink 1.13 to 2.3: every field that any of them lacks has a default, unneeded fields
//! are skipped, and numbers that Flink writes as text (`"NaN"`) count as absent.

pub(crate) mod operation;

use serde::Deserialize;

use crate::model::diagnosis::first_line;

/// Flink's error reply.
#[derive(Debug, Deserialize)]
pub struct Errors {
    errors: Vec<String>,
}

impl Errors {
    /// The first line of Flink's message; the rest is its stack trace. `None`: the body is not Flink's.
    #[must_use]
    pub fn message(body: &[u8]) -> Option<String> {
        let reply: Self = serde_json::from_slice(body).ok()?;
        // Some releases send a headline first, such as "Internal server error.", and then the trace with the cause.
        let telling = reply.errors.iter().map(|text| first_line(text)).collect::<Vec<_>>();
        let best = telling.iter().find(|line| !is_headline(line)).or(telling.first());
        Some(best.cloned().unwrap_or_default())
    }
}

fn is_headline(line: &str) -> bool {
    line.is_empty() || line.trim_end_matches('.') == "Internal server error"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_reduced_to_its_first_telling_line() {
        let message = |text: &str| Errors::message(text.as_bytes());
        assert_eq!(
            message(r#"{"errors":["Config key [state.savepoints.dir] is not set.\n\tat a.B"]}"#).as_deref(),
            Some("Config key [state.savepoints.dir] is not set")
        );
        assert_eq!(
            message(r#"{"errors":["Internal server error.","<Exception on server side:\njava.lang.X: why\n\tat a"]}"#)
                .as_deref(),
            Some("java.lang.X: why")
        );
        assert_eq!(message(r#"{"kind":"Status"}"#), None);
        assert_eq!(message("<html>"), None);
        assert_eq!(message(r#"{"errors":[]}"#).as_deref(), Some(""));
    }
}
