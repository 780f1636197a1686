//! Failures of a job: `GET /jobs/:id/exceptions`.

use serde::Deserialize;

use super::root_of;

/// Reply of `GET /jobs/:id/exceptions`. Source: Flink's `JobExceptionsInfoWithHistory`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Exceptions {
    exception_history: ExceptionHistory,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ExceptionHistory {
    entries: Vec<Failure>,
}

/// A failure that ended the run of some or all tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// When, in milliseconds since 1970 by the JobManager's clock.
    pub timestamp: u64,
    stacktrace: String,
}

impl Exceptions {
    /// The newest failure (1.13+).
    #[must_use]
    pub fn newest(&self) -> Option<&Failure> {
        self.exception_history
            .entries
            .iter()
            .max_by_key(|entry| entry.timestamp)
    }
}

impl Failure {
    /// Its root cause, in one line.
    #[must_use]
    pub fn root(&self) -> &str {
        root_of(&self.stacktrace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the entries differs between releases.
    #[test]
    fn the_newest_failure_and_its_root_are_found() {
        let exceptions: Exceptions = serde_json::from_str(
            r#"{"exceptionHistory":{"entries":[
                {"exceptionName":"a.Old","stacktrace":"a.Old: x","timestamp":1,"taskName":"t"},
                {"exceptionName":"java.io.IOException","timestamp":2,
                 "stacktrace":"java.io.IOException: outer\n\tat a.B\nCaused by: java.lang.UnsupportedOperationException: Not supported yet.\n\tat c.D\n"}
               ],"truncated":false}}"#,
        )
        .unwrap();
        let newest = exceptions.newest().unwrap();
        assert_eq!(newest.timestamp, 2);
        assert_eq!(
            newest.root(),
            "java.lang.UnsupportedOperationException: Not supported yet."
        );
        assert_eq!(serde_json::from_str::<Exceptions>("{}").unwrap().newest(), None);
    }
}
