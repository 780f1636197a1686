//! Secrets in a log, line by line.

use super::Redaction;
use super::arguments::Arguments;
use super::redaction::REDACTED;

/// Replaces secrets in the lines of one log.
pub(crate) struct LogRedaction<'a> {
    redaction: &'a Redaction,
    /// While Flink logs the arguments that it was started with, one a line. Source: `EnvironmentInformation`, which logs
    /// `Program Arguments:` before them and `Classpath:` after them.
    arguments: Option<Arguments>,
    /// Whether a private key has begun.
    in_key: bool,
}

impl<'a> LogRedaction<'a> {
    pub(crate) const fn new(redaction: &'a Redaction) -> Self {
        Self {
            redaction,
            arguments: None,
            in_key: false,
        }
    }

    /// The next line, without its end and without secrets.
    pub(crate) fn line(&mut self, line: &str) -> String {
        if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
            self.in_key = true;
        }
        if self.in_key {
            self.in_key = !line.contains("-----END ");
            return REDACTED.to_owned();
        }
        if line.contains("Program Arguments:") {
            self.arguments = Some(Arguments::new(true));
            return self.redaction.text(line);
        }
        if line.contains("Classpath:") {
            self.arguments = None;
        }
        let Some(arguments) = &mut self.arguments else {
            return self.setting(line).unwrap_or_else(|| self.redaction.text(line));
        };
        // Of other formats than Flink's own it is not known what of a line is the argument.
        let Some((head, argument)) = line.split_once("[] - ") else {
            return REDACTED.to_owned();
        };
        if !argument.starts_with("  ") {
            self.arguments = None;
            return self.redaction.text(line);
        }
        let mut argument = argument.trim().to_owned();
        arguments.next(self.redaction, &mut argument);
        format!("{head}[] -     {argument}")
    }

    /// A line in which Flink logs one of its settings. Source: `GlobalConfiguration`.
    fn setting(&self, line: &str) -> Option<String> {
        let (head, pair) = line.split_once("configuration property: ")?;
        let (key, value) = pair.split_once(", ")?;
        let value = self.redaction.option(key.trim(), value);
        Some(format!(
            "{}configuration property: {key}, {value}",
            self.redaction.text(head)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_settings_in_a_log_are_those_of_the_command_line() {
        let redaction = Redaction::default();
        let mut log = LogRedaction::new(&redaction);
        let before = "2026-01-01 10:00:00,000 INFO  o.a.f.ClusterEntrypoint [] - ";
        for (line, want) in [
            ("Loading configuration property: state.backend.type, rocksdb", None),
            (
                "Loading configuration property: s3.secret-key, a b",
                Some("Loading configuration property: s3.secret-key, ****"),
            ),
            (
                "Loading dynamic configuration property: my.own, abc",
                Some("Loading dynamic configuration property: my.own, ****"),
            ),
            (" Program Arguments:", None),
            ("    --job-classname", None),
            ("    org.Job", None),
            ("    -D", None),
            ("    s3.access-key=abc", Some("    s3.access-key=****")),
            ("    -Drest.port=8081", None),
            ("    --input", None),
            ("    file:/x", Some("    ****")),
            ("    --rate", None),
            ("    50", None),
            (" Classpath: /opt/flink/lib/a.jar", None),
            ("Job x switched from state CREATED to RUNNING.", None),
        ] {
            let expected = format!("{before}{}", want.unwrap_or(line));
            assert_eq!(log.line(&format!("{before}{line}")), expected);
        }
        for (line, want) in [
            (
                "{\"message\": \" Program Arguments:\"}",
                "{\"message\": \" Program Arguments:\"}",
            ),
            ("{\"message\": \"    --name\"}", "****"),
            ("{\"message\": \" Classpath: x\"}", "{\"message\": \" Classpath: x\"}"),
            ("-----BEGIN PRIVATE KEY-----", "****"),
            ("MIIEvQ", "****"),
            ("-----END PRIVATE KEY-----", "****"),
            ("plain", "plain"),
        ] {
            assert_eq!(log.line(line), want);
        }
    }
}
