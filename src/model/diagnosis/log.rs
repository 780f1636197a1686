//! Finds the root exception in the log of a JobManager or a TaskManager.

use super::log_words::{BLAND, ENDS, HOLLOW, NOISE, PLATFORM, SHELL_ERRORS, START_ERRORS, WRAPPERS, WRAPPING_MESSAGES};
use super::trace::{Level, Record, Throwable, is_class, one_line, records, short_class};
use super::{CauseKind, json_log, python};
use crate::model::diagnosis::known_failures;

/// Maximum bytes to read at a log's end. A trace has some tens of kilobytes at most.
const TAIL: usize = 512 * 1024;

/// The failure in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCause {
    /// Full name of the exception's class; `None` if it is not a Java exception, such as a shell's error.
    pub(crate) class: Option<String>,
    /// Its message in one line; may be empty.
    pub(crate) message: String,
    /// The first stack frame that is neither Flink's nor the JDK's: the user's code.
    pub(crate) frame: Option<String>,
    pub(crate) kind: Option<CauseKind>,
    /// How to fix it, if the failure is known.
    pub(crate) hints: Vec<String>,
}

impl LogCause {
    pub(crate) fn short_class(&self) -> Option<&str> {
        self.class.as_deref().map(short_class)
    }

    /// `FileNotFoundException: Cannot find …`: one line.
    pub(crate) fn summary(&self) -> String {
        match self.short_class() {
            None => self.message.clone(),
            Some(class) if self.message.is_empty() => class.to_owned(),
            Some(class) => format!("{class}: {}", self.message),
        }
    }

    /// With kind and hints of a failure that it explains, where its own are unknown.
    fn or_known_as(mut self, other: Self) -> Self {
        self.kind = self.kind.or(other.kind);
        if self.hints.is_empty() {
            self.hints = other.hints;
        }
        self
    }
}

/// How the message begins by which a job fails whose checkpoints fail: why they do is in the records before. Source:
/// `CheckpointFailureManager`, which in 2.3 adds the kind of the last failure, and in 1.15 nothing.
const TOO_MANY_CHECKPOINTS: &str = "Exceeded checkpoint tolerable failure threshold";

/// The last failure at the end of a log, reduced to its root cause; `None` if there is none.
///
/// Reads the log4j pattern of the official image, logs in JSON, Java stack traces in it or alone, and the output of the JVM's
/// launcher and of shells. The log may be truncated at any position.
#[must_use]
pub fn root_cause(log: &str) -> Option<LogCause> {
    let records = last_records(log);
    // More reliable records take precedence over later ones.
    let ranks: [fn(&Record) -> bool; 5] = [is_end, is_failure, is_trace, is_error, |record| {
        shell_error(record).is_some()
    }];
    let found = ranks
        .into_iter()
        .find_map(|rank| {
            let mut relevant = records.iter().rev().filter(|record| !is_noise(record));
            relevant.find(|record| rank(record))
        })
        .map(reduce)?;
    let of_python = found.message.starts_with("Python process exits with code");
    let printed = of_python.then(|| python::printed_error(&records)).flatten();
    if let Some(line) = printed {
        return Some(by_python(line, found));
    }
    let of_checkpoints = found.message.starts_with(TOO_MANY_CHECKPOINTS);
    let failed = of_checkpoints.then(|| last_checkpoint(&records)).flatten();
    let not_reached = (found.kind == Some(CauseKind::Unregistered))
        .then(|| last_association(&records))
        .flatten();
    Some(match (failed, not_reached) {
        (Some(failed), _) => failed.or_known_as(found),
        (None, Some(why)) => LogCause {
            message: format!("{}: {why}", found.message),
            ..found
        },
        (None, None) => found,
    })
}

/// Why a TaskManager that runs does not reach the JobManager: what its log says of its last attempt.
#[must_use]
pub(crate) fn not_reached(log: &str) -> Option<LogCause> {
    let message = last_association(&last_records(log))?;
    Some(LogCause {
        class: None,
        message,
        frame: None,
        kind: Some(CauseKind::Unregistered),
        hints: Vec::new(),
    })
}

/// The reason of the last association with another process that failed, since the TaskManager was last registered. Source:
/// `ReliableDeliverySupervisor` of Akka and Pekko, which writes it at WARN and without a trace, and Flink's `TaskExecutor`.
fn last_association(records: &[Record]) -> Option<String> {
    let is_registered = |record: &&Record| record.message.contains("Successful registration at resource manager");
    let mut since = records.iter().rev().take_while(|record| !is_registered(record));
    since.find_map(|record| {
        let (_, failed) = record.message.split_once("Association with remote system ")?;
        let (_, why) = failed.split_once("Caused by: [")?;
        let why = why.trim_end();
        Some(one_line(why.strip_suffix(']').unwrap_or(why)))
    })
}

/// The failure of the last checkpoint whose trace is in a JobManager's log. An older failure of a task is not its cause, although
/// Flink writes it at a higher level.
#[must_use]
pub(crate) fn checkpoint_failure(log: &str) -> Option<LogCause> {
    last_checkpoint(&last_records(log))
}

fn last_checkpoint(records: &[Record]) -> Option<LogCause> {
    // Source: `CheckpointFailureManager` and `CheckpointCoordinator`, which write at WARN, ERROR and INFO.
    let of_checkpoint =
        |record: &&Record| !record.chain.is_empty() && record.message.contains("heckpoint") && !is_noise(record);
    records.iter().rev().find(of_checkpoint).map(reduce)
}

/// The records at the end of a log.
fn last_records(log: &str) -> Vec<Record> {
    let mut from = log.len().saturating_sub(TAIL);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    records(&log[from..])
}

/// `found`, which has no more than the exit code of Python, with the line of its exception.
fn by_python(line: &str, found: LogCause) -> LogCause {
    let message = one_line(line);
    let (kind, hints) = known_failures::look_up(&message);
    let printed = LogCause {
        class: None,
        message,
        frame: found.frame.clone(),
        kind,
        hints,
    };
    printed.or_known_as(found)
}

/// The last non-empty line of a log, formatted for a sentence.
#[must_use]
pub fn last_line(log: &str) -> Option<String> {
    let text = |line: &str| json_log::record(line).map_or_else(|| one_line(line), |json| one_line(&json.message));
    log.lines().rev().map(text).find(|line| !line.is_empty())
}

/// Whether a JobManager's log shows a job: one that exits with 0 may have run none.
#[must_use]
pub fn mentions_job(log: &str) -> bool {
    // Source: Flink's ExecutionGraph and Dispatcher, 1.13 to 2.3. In 2.3 an application, which may run no job, logs its
    // state changes with the same words (AbstractApplication).
    log.lines().any(|line| {
        line.contains("reached terminal state")
            || line.contains("switched from state") && !line.contains("Application ")
    })
}

/// The record of a failure by which Flink ends: what comes after it is of its shutdown.
fn is_end(record: &Record) -> bool {
    let of_job = record.message.contains("switched from state") && record.message.contains(" to FAILED");
    let of_process = || ENDS.iter().any(|begin| record.message.starts_with(begin));
    !record.chain.is_empty() && (of_job || of_process())
}

/// A trace at level ERROR, of an uncaught exception, or of a failed task or job; or a start error.
fn is_failure(record: &Record) -> bool {
    if record.chain.is_empty() {
        return start_error(record).is_some();
    }
    // Flink reports failed tasks at WARN and failed jobs at INFO: "… switched from RUNNING to FAILED …".
    let switched = record.message.contains("switched from");
    record.level == Level::Error || switched || record.message.starts_with("Terminating cluster entrypoint")
}

fn is_trace(record: &Record) -> bool {
    !record.chain.is_empty() && record.level >= Level::Warn
}

fn is_error(record: &Record) -> bool {
    record.level == Level::Error && !record.plain && !record.message.is_empty()
}

fn start_error(record: &Record) -> Option<&str> {
    crash_frame(record).or_else(|| {
        line_with(record, |line| {
            let is_error = START_ERRORS.iter().any(|e| line.contains(e)) || line.starts_with("[ERROR] ");
            is_error && !HOLLOW.iter().any(|hollow| line.contains(hollow))
        })
    })
}

/// The frame in which a JVM crashed: in native code, its own, or compiled Java. Source: HotSpot's `VMError::report`.
fn crash_frame(record: &Record) -> Option<&str> {
    let mut lines = record.lines.iter().map(String::as_str);
    lines.find(|line| line.trim_end() == "# Problematic frame:")?;
    lines.next()
}

fn shell_error(record: &Record) -> Option<&str> {
    line_with(record, |line| SHELL_ERRORS.iter().any(|e| line.contains(e)))
}

/// The last line that `matches` accepts, in a record without a stack trace.
fn line_with(record: &Record, matches: impl Fn(&str) -> bool) -> Option<&str> {
    record.lines.iter().rev().map(String::as_str).find(|line| matches(line))
}

fn is_noise(record: &Record) -> bool {
    let noisy = |text: &str| NOISE.iter().any(|noise| text.contains(noise));
    noisy(&record.message)
        || record.chain.iter().any(|t| {
            NOISE
                .iter()
                .any(|noise| t.message.contains(noise) || t.short() == *noise)
        })
}

fn reduce(record: &Record) -> LogCause {
    let Some(at) = root(&record.chain) else {
        let line = start_error(record).or_else(|| shell_error(record));
        let message = one_line(line.unwrap_or(&record.message));
        let message = ["[ERROR] ", "# "]
            .iter()
            .find_map(|begin| message.strip_prefix(begin))
            .unwrap_or(&message)
            .to_owned();
        let (kind, hints) = known_failures::look_up(&message);
        return LogCause {
            class: None,
            message,
            frame: None,
            kind,
            hints,
        };
    };
    let root = &record.chain[at];
    // A cause's frames end with "... 12 more" if they are the same as those of its consequence.
    let frame = record.chain[..=at].iter().rev().find_map(user_frame);
    let text: String = record
        .chain
        .iter()
        .rev()
        .map(|t| format!("{}: {}\n", t.class, t.message))
        .chain([record.message.clone()])
        .collect();
    let (kind, hints) = known_failures::look_up(&text);
    LogCause {
        class: Some(root.class.clone()),
        message: with_bland(root, &record.chain[at + 1..]),
        frame,
        kind,
        hints,
    }
}

/// The message of a failure, with that of a bland one below it: only both say what was waited for.
fn with_bland(root: &Throwable, below: &[Throwable]) -> String {
    let message = message_of(root);
    let bland = below.iter().rev().find(|t| is_bland(t));
    let added = bland.map(|bland| (innermost(bland), message_of(bland)));
    match added.filter(|(_, added)| !added.is_empty() && !message.contains(added.as_str())) {
        Some((class, added)) => format!("{message}: {class}: {added}"),
        None => message,
    }
}

/// The message in one line, without classes that its exception repeats: `a.b.C: a.b.C: message`. Of the traceback of a Python
/// function its exception, which is its last line.
fn message_of(throwable: &Throwable) -> String {
    let mut rest = python::quoted_error(&throwable.message).unwrap_or(&throwable.message);
    while let Some((class, message)) = rest.split_once(": ").filter(|(class, _)| is_class(class)) {
        // The class of another failure is useful.
        if short_class(class) != throwable.short() && !WRAPPERS.contains(&short_class(class)) {
            break;
        }
        rest = message;
    }
    one_line(rest)
}

/// The deepest throwable that is no wrapper; otherwise the deepest that has a message; otherwise the deepest. One below which
/// there is none wraps nothing.
fn root(chain: &[Throwable]) -> Option<usize> {
    let last = chain.len().checked_sub(1)?;
    let telling = |at: &usize| !is_wrapper(&chain[*at]) || (*at == last && says_more(&chain[*at]));
    let is_bland = |at: &usize| is_bland(&chain[*at]);
    let deepest = || (0..chain.len()).rev();
    Some(
        deepest()
            .find(|at| telling(at) && !is_bland(at))
            .or_else(|| deepest().find(telling))
            .or_else(|| deepest().find(|at| !chain[*at].message.is_empty()))
            .unwrap_or(last),
    )
}

/// Whether it says less than its consequence. The ConnectException of Kafka Connect, which Debezium throws, says all.
fn is_bland(throwable: &Throwable) -> bool {
    BLAND.contains(&innermost(throwable)) && !throwable.class.starts_with("org.apache.kafka.connect.")
}

/// Whether it has a message of its own, and not the name of another class.
fn says_more(throwable: &Throwable) -> bool {
    !throwable.message.is_empty() && !throwable.message.split(": ").next().is_some_and(is_class)
}

/// The class without its package and the classes around it: Netty's is `Errors$NativeIoException`.
fn innermost(throwable: &Throwable) -> &str {
    let class = throwable.short();
    class.rsplit('$').next().unwrap_or(class)
}

fn is_wrapper(throwable: &Throwable) -> bool {
    let class = innermost(throwable);
    if WRAPPERS.contains(&class) {
        return true;
    }
    WRAPPING_MESSAGES.iter().any(|(wrapper, begin)| {
        *wrapper == class
            && if begin.is_empty() {
                // Without its own message, or with its cause's message: "java.io.IOException: disk full".
                !says_more(throwable) || throwable.message.starts_with("Could not")
            } else {
                throwable.message.starts_with(begin)
            }
    })
}

fn user_frame(throwable: &Throwable) -> Option<String> {
    throwable
        .frames
        .iter()
        .find(|frame| frame.contains('.') && !PLATFORM.iter().any(|package| frame.starts_with(package)))
        .map(|frame| one_line(frame))
}

/// The root cause in a stack trace, or its first meaningful line.
pub(crate) fn trace_summary(trace: &str) -> String {
    root_cause(trace).map_or_else(|| first_line(trace), |cause| cause.summary())
}

/// The first meaningful line of a text such as REST's `errors: ["message
/// \tat stack…"]`: without control characters, without the classes of wrapping exceptions before it, limited in length.
pub(crate) fn first_line(text: &str) -> String {
    let line = text
        .lines()
        .map(one_line)
        // Source: RestClusterClient's servers put this line before a trace.
        .find(|line| !line.is_empty() && !line.starts_with("<Exception on server side"))
        .unwrap_or_default();
    let mut rest = line.as_str();
    while let Some((_, message)) = rest.split_once(": ").filter(|(class, message)| {
        let wraps = WRAPPERS.contains(&short_class(class)) || short_class(class) == "RestHandlerException";
        is_class(class) && wraps && !message.is_empty()
    }) {
        rest = message;
    }
    rest.to_owned()
}
