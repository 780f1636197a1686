//! Records of logs in JSON, one object in each line.
//!
//! Source: the templates of log4j's `JsonTemplateLayout` (ECS, Logstash, GCP, GELF and its own), and logback's Logstash encoder.

use serde_json::Value;

use super::trace::Level;

/// The fields of a record that can describe a failure.
pub(super) struct JsonRecord {
    pub(super) level: Level,
    pub(super) message: String,
    /// The stack trace, or the class and the message of the exception; may be empty.
    pub(super) trace: String,
}

/// Where the templates put the level, and the message.
const LEVELS: [&str; 4] = ["/log.level", "/level", "/severity", "/log/level"];
const MESSAGES: [&str; 2] = ["/message", "/short_message"];
/// Where they put the class of an exception and its message, for one without frames.
const THROWN: [(&str, &str); 4] = [
    ("/error.type", "/error.message"),
    ("/error/type", "/error/message"),
    ("/exception/exception_class", "/exception/exception_message"),
    ("/_exception/class", "/_exception/message"),
];
/// Where log4j's `JsonLayout` and logback's `JsonEncoder` put an exception with its causes in it, and the field of its class.
const NESTED: [(&str, &str); 2] = [("/thrown", "name"), ("/throwable", "className")];

/// The record in a line; `None` for a line of another layout.
pub(super) fn record(line: &str) -> Option<JsonRecord> {
    let fields = fields(line)?;
    let level = name_of(level_in(&fields)?);
    let text = |at: &str| fields.pointer(at).and_then(Value::as_str);
    let message = MESSAGES.iter().find_map(|at| text(at)).unwrap_or_default();
    let thrown = || {
        let (class, said) = THROWN.iter().find(|(class, _)| text(class).is_some())?;
        Some(format!("{}: {}", text(class)?, text(said).unwrap_or_default()))
    };
    let trace = trace_in(&fields)
        .map(str::to_owned)
        .or_else(|| nested(&fields))
        .or_else(thrown);
    Some(JsonRecord {
        level: level.map_or(Level::Low, Level::of),
        message: message.to_owned(),
        trace: trace.unwrap_or_default(),
    })
}

/// The level of the record in a line, by log4j's name.
pub(crate) fn level(line: &str) -> Option<&'static str> {
    name_of(level_in(&fields(line)?)?)
}

fn fields(line: &str) -> Option<Value> {
    let line = line.trim();
    line.starts_with('{').then(|| serde_json::from_str(line).ok())?
}

fn level_in(fields: &Value) -> Option<&Value> {
    LEVELS
        .iter()
        .find_map(|at| fields.pointer(at).filter(|level| !level.is_object()))
}

/// log4j's name of a level: GCP has names of its own, and GELF has the numbers of syslog.
fn name_of(level: &Value) -> Option<&'static str> {
    let word = level.as_str().map(str::to_ascii_uppercase);
    Some(match (word.as_deref(), level.as_u64()) {
        (Some("TRACE"), _) => "TRACE",
        (Some("DEBUG"), _) | (_, Some(7)) => "DEBUG",
        (Some("INFO"), _) | (_, Some(5 | 6)) => "INFO",
        (Some("WARN" | "WARNING"), _) | (_, Some(4)) => "WARN",
        (Some("ERROR" | "SEVERE"), _) | (_, Some(3)) => "ERROR",
        (Some("FATAL" | "CRITICAL" | "ALERT" | "EMERGENCY"), _) | (_, Some(..=2)) => "FATAL",
        _ => return None,
    })
}

/// An exception and its causes, without their frames, as in a stack trace.
fn nested(fields: &Value) -> Option<String> {
    let (mut thrown, class) = NESTED
        .iter()
        .find_map(|(at, class)| Some((fields.pointer(at)?, *class)))?;
    let mut chain = Vec::new();
    while let Some(name) = thrown[class].as_str() {
        chain.push(format!("{name}: {}", thrown["message"].as_str().unwrap_or_default()));
        thrown = &thrown["cause"];
    }
    (!chain.is_empty()).then(|| chain.join("\nCaused by: "))
}

/// The longest stack trace in the fields.
fn trace_in(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => ["\n\tat ", "\nCaused by: "]
            .iter()
            .any(|words| text.contains(words))
            .then_some(text.as_str()),
        Value::Object(fields) => fields.values().filter_map(trace_in).max_by_key(|trace| trace.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::diagnosis::{CauseKind, last_line, root_cause};

    const TRACE: &str = "org.apache.flink.util.FlinkException: Could not execute\n\tat a.B.c(B.java:1)\n\
        Caused by: java.net.UnknownHostException: kafka\n\tat com.example.Job.main(Job.java:7)\n";

    #[test]
    fn the_layouts_are_read() {
        for fields in [
            json!({"@timestamp": "2026-01-01T10:00:00.000Z", "ecs.version": "1.2.0", "log.level": "ERROR", "message": "Fatal error",
                "error.type": "org.apache.flink.util.FlinkException", "error.stack_trace": TRACE}),
            json!({"@version": 1, "level": "ERROR", "message": "Fatal error", "logger_name": "x",
                "exception": {"exception_class": "org.apache.flink.util.FlinkException", "stacktrace": TRACE}}),
            json!({"severity": "ERROR", "message": "Fatal error", "_exception": {"stackTrace": TRACE}}),
            json!({"severity": "EMERGENCY", "message": "Fatal error", "_exception": {"stackTrace": TRACE}}),
            json!({"level": "ERROR", "message": "Fatal error", "stack_trace": TRACE}),
            json!({"version": "1.1", "level": 3, "short_message": "Fatal error", "full_message": TRACE}),
            json!({"log": {"level": "error"}, "message": "Fatal error", "error": {"stack_trace": TRACE}}),
        ] {
            let log = format!(
                "{}\n{fields}\n{}\n",
                json!({"level": "INFO", "log.level": "INFO", "message": "Starting"}),
                json!({"level": "WARN", "log.level": "WARN", "message": "Shutting down", "stack_trace": "java.io.IOException: late\n\tat a.B.c(B.java:1)"})
            );
            let found = root_cause(&log).unwrap_or_else(|| panic!("{log}"));
            assert_eq!(found.summary(), "UnknownHostException: kafka", "{log}");
            assert_eq!(found.kind, Some(CauseKind::UnknownHost));
            assert_eq!(found.frame.as_deref(), Some("com.example.Job.main(Job.java:7)"));
            assert_eq!(last_line(&log).as_deref(), Some("Shutting down"));
        }
    }

    #[test]
    fn a_failed_task_and_an_exception_without_frames_are_read() {
        let failed = json!({"log.level": "WARN", "message": "Map (1/1)#0 switched from RUNNING to FAILED with failure cause:",
            "error.stack_trace": TRACE});
        let log = format!("{failed}\n{}\n", json!({"log.level": "INFO", "message": "Restarting"}));
        assert_eq!(root_cause(&log).unwrap().summary(), "UnknownHostException: kafka");
        let bare = json!({"level": "ERROR", "message": "Fatal error", "thrown": {"name": "java.lang.IllegalStateException", "message": "no"}});
        let log = format!("{bare}\n");
        assert_eq!(root_cause(&log).unwrap().summary(), "IllegalStateException: no");
    }

    #[test]
    fn causes_in_an_exception_that_is_an_object_are_read() {
        for (field, class) in [("thrown", "name"), ("throwable", "className")] {
            let cause = json!({class: "java.net.UnknownHostException", "message": "kafka", "extendedStackTrace": []});
            let outer = json!({class: "org.apache.flink.util.FlinkException", "message": null, "cause": cause});
            let log = json!({"level": "ERROR", "message": "Fatal error", field: outer});
            assert_eq!(
                root_cause(&format!("{log}\n")).unwrap().summary(),
                "UnknownHostException: kafka"
            );
        }
    }

    /// A program may print objects too, and what the JVM says is in no layout.
    #[test]
    fn other_lines_stay_what_they_are() {
        assert_eq!(root_cause("{\"message\": \"no level\"}\n{broken\n"), None);
        let log = "{\"level\": \"INFO\", \"message\": \"a\"}\nException in thread \"main\" java.net.UnknownHostException: kafka\n\tat a.B.c(B.java:1)\n";
        assert_eq!(root_cause(log).unwrap().summary(), "UnknownHostException: kafka");
    }
}
