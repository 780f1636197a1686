//! Exceptions of a job: `GET /jobs/:id/exceptions`.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::age::time;
use crate::model::flink::numbers::lenient;

/// Reply of `GET /jobs/:id/exceptions`. Source: Flink's `JobExceptionsInfo` (up to 1.20) and
/// `JobExceptionsInfoWithHistory` (from 1.13 on; the only one from 2.0 on).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Exceptions {
    #[serde(rename = "exceptionHistory")]
    history: History,
    #[serde(rename = "root-exception")]
    root: Option<String>,
    #[serde(deserialize_with = "lenient")]
    timestamp: Option<u64>,
    /// What each task failed with (up to 1.20).
    #[serde(rename = "all-exceptions")]
    of_tasks: Vec<OfTask>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OfTask {
    exception: String,
    task: Option<String>,
    location: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct History {
    entries: Vec<Entry>,
    truncated: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    exception_name: String,
    stacktrace: String,
    #[serde(deserialize_with = "lenient")]
    timestamp: Option<u64>,
    task_name: Option<String>,
    endpoint: Option<String>,
    /// The only name of `endpoint` up to 1.18; 1.19 and 1.20 give both.
    location: Option<String>,
    task_manager_id: Option<String>,
    concurrent_exceptions: Vec<Entry>,
}

/// An exception. An item of an ExceptionList, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exception {
    /// ID of its job; empty until it is known, like the name.
    pub(crate) job_id: String,
    pub(crate) job: String,
    pub(crate) time: Option<Timestamp>,
    /// Its root cause: class and message in one line.
    pub(crate) cause: String,
    pub(crate) class: String,
    /// The task in which it was thrown; absent if it concerns the whole job.
    pub(crate) task: Option<String>,
    /// The host and port of its TaskManager.
    pub(crate) location: Option<String>,
    pub(crate) task_manager: Option<String>,
    /// Exceptions of other tasks that were thrown together with it.
    pub(crate) concurrent: usize,
    pub(crate) stack_trace: String,
}

/// A failure that ended the run of some or all tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// When it happened, in milliseconds since 1970 by the JobManager's clock.
    pub(crate) timestamp: u64,
    trace: &'a str,
}

impl<'a> Failure<'a> {
    /// Its root cause, in one line.
    pub(crate) fn root(&self) -> &'a str {
        root_of(self.trace)
    }
}

impl Exceptions {
    /// The exceptions, newest first; `cause` finds the root cause in a stack trace.
    pub(crate) fn newest_first(self, cause: fn(&str) -> String) -> Vec<Exception> {
        let entries = self.history.entries.into_iter();
        let mut found: Vec<Exception> = entries.map(|entry| entry.into_exception(cause)).collect();
        if let (true, Some(root)) = (found.is_empty(), self.root.filter(|root| !root.is_empty())) {
            // Flink fills the history when it has canceled the other tasks, and has this one and the root alone until then.
            let of_task = self.of_tasks.into_iter().find(|one| {
                let first = one.exception.lines().next().unwrap_or_default();
                !first.is_empty() && root.contains(first)
            });
            let of_task = of_task.unwrap_or_default();
            let entry = Entry {
                stacktrace: root,
                timestamp: self.timestamp,
                task_name: of_task.task,
                location: of_task.location,
                ..Entry::default()
            };
            found.push(entry.into_exception(cause));
        }
        found.sort_by_key(|exception| std::cmp::Reverse(exception.time));
        found
    }

    /// The newest failure (1.13+).
    #[must_use]
    pub fn newest(&self) -> Option<Failure<'_>> {
        let newest = self.history.entries.iter().max_by_key(|entry| entry.timestamp)?;
        Some(Failure {
            timestamp: newest.timestamp.unwrap_or_default(),
            trace: &newest.stacktrace,
        })
    }

    /// Whether Flink has more.
    pub(crate) fn is_truncated(&self) -> bool {
        self.history.truncated
    }
}

impl Entry {
    fn into_exception(self, cause: fn(&str) -> String) -> Exception {
        let class = match self.exception_name.as_str() {
            "" => {
                let head = self.stacktrace.lines().next().unwrap_or_default();
                head.split(':').next().unwrap_or_default().trim().to_owned()
            }
            name => name.to_owned(),
        };
        let present = |text: Option<String>| text.filter(|text| !text.is_empty() && text != "(unassigned)");
        Exception {
            job_id: String::new(),
            job: String::new(),
            time: time(self.timestamp),
            cause: cause(&self.stacktrace),
            class,
            task: present(self.task_name),
            location: present(self.endpoint.or(self.location)),
            task_manager: present(self.task_manager_id),
            concurrent: self.concurrent_exceptions.len(),
            stack_trace: self.stacktrace,
        }
    }
}

/// The root cause in a stack trace: its last `Caused by:`, or its first line.
pub(super) fn root_of(trace: &str) -> &str {
    let mut causes = trace.lines().filter_map(|line| line.trim().strip_prefix("Caused by: "));
    causes
        .next_back()
        .or_else(|| trace.lines().next().map(str::trim))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::trace_summary;

    const TRACE: &str = "org.apache.flink.runtime.JobException: Recovery is suppressed\\n\\tat a.B.c(B.java:1)\\nCaused by: java.lang.IllegalStateException: on purpose\\n\\tat org.example.Job.run(Job.java:7)\\n";

    fn read(text: &str) -> Vec<Exception> {
        serde_json::from_str::<Exceptions>(&text.replace("TRACE", TRACE))
            .unwrap()
            .newest_first(trace_summary)
    }

    #[test]
    fn old_and_new_replies_say_the_same() {
        let old = read(
            r#"{"root-exception":"TRACE","timestamp":1700000000000,"all-exceptions":[],"truncated":false,
            "exceptionHistory":{"entries":[{"exceptionName":"org.apache.flink.runtime.JobException","stacktrace":"TRACE",
              "timestamp":1700000000000,"taskName":"total (1/1)","location":"10.0.0.1:6122","taskManagerId":"tm-1","concurrentExceptions":[]}],"truncated":false}}"#,
        );
        let new = read(
            r#"{"exceptionHistory":{"entries":[{"exceptionName":"org.apache.flink.runtime.JobException","stacktrace":"TRACE",
              "timestamp":1700000000000,"failureLabels":{},"taskName":"total (1/1)","endpoint":"10.0.0.1:6122","taskManagerId":"tm-1","concurrentExceptions":[]}],"truncated":false}}"#,
        );
        assert_eq!(old, new);
        assert_eq!(new[0].task.as_deref(), Some("total (1/1)"));
        assert!(new[0].cause.contains("on purpose"), "{}", new[0].cause);
        assert_eq!(new[0].time.unwrap().to_string(), "2023-11-14T22:13:20Z");
    }

    /// Flink 1.19 and 1.20: a task's exception has the old name and the new one.
    #[test]
    fn an_exception_may_have_its_place_twice() {
        let found = read(
            r#"{"root-exception":"TRACE","timestamp":1700000000000,"exceptionHistory":{"entries":[{"exceptionName":"a.B","stacktrace":"TRACE",
              "timestamp":1700000000000,"failureLabels":{},"taskName":"total (1/1)","location":"10.0.0.1:6122","endpoint":"10.0.0.1:6122",
              "taskManagerId":"tm-1","concurrentExceptions":[]}],"truncated":false}}"#,
        );
        assert_eq!(found[0].location.as_deref(), Some("10.0.0.1:6122"));
    }

    #[test]
    fn without_a_history_the_root_exception_is_all() {
        let found = read(r#"{"root-exception":"TRACE","timestamp":1700000000000}"#);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].class, "org.apache.flink.runtime.JobException");
        assert_eq!(found[0].task, None);
        assert!(read("{}").is_empty());
        assert!(
            read(r#"{"root-exception":null,"timestamp":null,"exceptionHistory":{"entries":[],"truncated":false}}"#)
                .is_empty()
        );
    }

    #[test]
    fn before_the_history_has_it_the_task_is_the_one_that_failed_with_the_root_exception() {
        let found = read(
            r#"{"root-exception":"TRACE","timestamp":1700000000000,"exceptionHistory":{"entries":[],"truncated":false},
              "all-exceptions":[{"exception":"a.Other: x\n\tat a.B","task":"keys (1/1)","location":"10.0.0.1:6122","timestamp":1},
              {"exception":"TRACE","task":"total (1/1)","location":"10.0.0.2:6122","timestamp":2,"taskManagerId":"tm-1"}],"truncated":false}"#,
        );
        let place = (found[0].task.as_deref(), found[0].location.as_deref());
        assert_eq!(place, (Some("total (1/1)"), Some("10.0.0.2:6122")));
    }

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
        let expected = "java.lang.UnsupportedOperationException: Not supported yet.";
        assert_eq!(newest.root(), expected);
        assert_eq!(serde_json::from_str::<Exceptions>("{}").unwrap().newest(), None);
    }

    #[test]
    fn the_newest_is_the_first() {
        let found = read(
            r#"{"exceptionHistory":{"entries":[
              {"exceptionName":"a","stacktrace":"a: 1","timestamp":1,"taskName":null,"endpoint":"(unassigned)"},
              {"exceptionName":"b","stacktrace":"b: 2","timestamp":2,"concurrentExceptions":[{"exceptionName":"c"}]}],"truncated":true}}"#,
        );
        assert_eq!(
            found
                .iter()
                .map(|e| (e.class.as_str(), e.concurrent))
                .collect::<Vec<_>>(),
            [("b", 1), ("a", 0)]
        );
        assert_eq!(found[1].location, None);
    }

    #[test]
    fn exceptions_of_old_and_new_releases_are_the_same() {
        let old: Exceptions = serde_json::from_str(
            r#"{"root-exception":"java.lang.X: why","timestamp":5,"all-exceptions":[],"truncated":false}"#,
        )
        .unwrap();
        assert_eq!(old.newest_first(trace_summary)[0].stack_trace, "java.lang.X: why");
        let new: Exceptions = serde_json::from_str(
            r#"{"exceptionHistory":{"entries":[
                {"exceptionName":"a.B","stacktrace":"a.B: one","timestamp":7,"taskName":"total (1/1)","concurrentExceptions":[]},
                {"exceptionName":"a.B","stacktrace":"a.B: two","timestamp":9,"taskName":null}],"truncated":false}}"#,
        )
        .unwrap();
        let all = new.newest_first(trace_summary);
        let expected = ("a.B: two", Some("total (1/1)"));
        assert_eq!((all[0].stack_trace.as_str(), all[1].task.as_deref()), expected);
        let none: Exceptions = serde_json::from_str(r#"{"root-exception":null,"timestamp":null}"#).unwrap();
        assert!(none.newest_first(trace_summary).is_empty());
    }
}
