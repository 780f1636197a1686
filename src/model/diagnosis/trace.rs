//! Text of logs taken apart: records of log4j, Java stack traces, lines made fit for a terminal.

use super::json_log;

/// Longest line that is kept, in characters.
const LINE_CAP: usize = 2_000;
/// Longest message of a throwable that is kept, in bytes: that of a Python function has its whole traceback.
const MESSAGE_CAP: usize = 32_000;
/// Longest text that goes into one sentence, in characters.
const SENTENCE_CAP: usize = 600;

/// `line` without terminal escape sequences and control characters, and not too long. Tabs stay: they mark frames.
pub(super) fn clean(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(LINE_CAP));
    let mut chars = line.chars().peekable();
    let mut kept = 0;
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            skip_escape(&mut chars);
        } else if c == '\t' || !(c.is_control() || is_invisible(c)) {
            kept += 1;
            if kept > LINE_CAP {
                out.push('…');
                break;
            }
            out.push(c);
        }
    }
    out
}

/// Format characters that reorder or hide text on a terminal.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Skips what follows an ESC: CSI up to its final byte, OSC up to BEL or ESC \, else one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// `text` as one line for a sentence: cleaned, white space folded, capped, without a full stop at its end.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<String> = text.lines().map(clean).collect();
    let mut line = words.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(SENTENCE_CAP) {
        line.truncate(at);
        line.push('…');
    }
    if line.ends_with('.') && !line.ends_with("..") {
        line.pop();
    }
    line
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Throwable {
    /// Full class name.
    pub(crate) class: String,
    /// Message, empty if it has none.
    pub(crate) message: String,
    /// Frames, such as `com.example.Job.main(Job.java:42)`, outermost call last.
    pub(crate) frames: Vec<String>,
}

impl Throwable {
    /// The class without its package.
    pub(super) fn short(&self) -> &str {
        short_class(&self.class)
    }
}

pub(super) fn short_class(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// The severity of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Low,
    Warn,
    Error,
}

impl Level {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "ERROR" | "FATAL" | "SEVERE" | "CRITICAL" => Self::Error,
            "WARN" | "WARNING" => Self::Warn,
            _ => Self::Low,
        }
    }
}

/// One record: a line of the log, and its continuation lines.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(crate) level: Level,
    /// The first line's message, without time, level and logger.
    pub(crate) message: String,
    /// Throwables from the outermost to the deepest `Caused by`; empty without a trace.
    pub(crate) chain: Vec<Throwable>,
    pub(crate) lines: Vec<String>,
    /// Whether it has no log4j prefix: written by the JVM, a shell, or `System.err`.
    pub(crate) plain: bool,
}

/// Splits a log into records. Lines before the first record (a truncated one) are a record too.
pub(super) fn records(log: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut first: Option<Head> = None;
    let mut lines: Vec<String> = Vec::new();
    for line in log.lines() {
        if let Some(json) = json_log::record(line) {
            finish(&mut records, first.take(), &mut lines);
            let mut text = json.message.lines().chain(json.trace.lines()).map(clean);
            let head = Head {
                level: json.level,
                message: text.next().unwrap_or_default().trim().to_owned(),
            };
            lines.extend(text);
            // What another program writes after it is not part of it.
            finish(&mut records, Some(head), &mut lines);
            continue;
        }
        let line = clean(line);
        if let Some(next) = head(&line) {
            finish(&mut records, first.take(), &mut lines);
            first = Some(next);
        } else if line.starts_with("Exception in thread ") || is_plain_start(&line) {
            // Not part of the previous record, even if that has no trace of its own.
            finish(&mut records, first.take(), &mut lines);
            lines.push(line);
        } else {
            lines.push(line);
        }
    }
    finish(&mut records, first, &mut lines);
    records
}

/// Lines of the JVM's launcher, of a JVM that aborts, and of shells.
fn is_plain_start(line: &str) -> bool {
    [
        "Error: ",
        "[ERROR]",
        "Error occurred ",
        "# A fatal error has been detected by the Java",
        "# There is insufficient memory for the Java",
        "Terminating due to java.lang.",
        "Aborting due to java.lang.",
    ]
    .iter()
    .any(|begin| line.starts_with(begin))
}

struct Head {
    level: Level,
    message: String,
}

/// The head of a record, in the layouts of Flink's `log4j-console.properties` (time, level, logger, message) and
/// `logback-console.xml` (time, thread, level, logger, message), and in logback's own, which has no date.
fn head(line: &str) -> Option<Head> {
    let (dated, rest) = after_time(line)?;
    let before = rest.split_once(" - ").map_or(rest, |(before, _)| before);
    let level = before.split_whitespace().find(|word| is_level(word));
    if level.is_none() && !dated {
        return None;
    }
    let message = match (rest.split_once(" - "), level) {
        (Some((_, message)), _) => message,
        (None, Some(word)) => rest.split_once(word)?.1,
        (None, None) => rest.split_once(char::is_whitespace)?.1,
    };
    Some(Head {
        level: level.map_or(Level::Low, |word| Level::of(bare(word))),
        message: message.trim().to_owned(),
    })
}

/// The text after the time at the beginning of a line, and whether the time has a date.
fn after_time(line: &str) -> Option<(bool, &str)> {
    let line = line.strip_prefix('[').unwrap_or(line);
    let begins = |text: &str, digits: &str| {
        let same = |(b, of): (u8, u8)| if of == b'0' { b.is_ascii_digit() } else { b == of };
        text.len() >= digits.len() && text.bytes().zip(digits.bytes()).all(same)
    };
    // What was compared is ASCII.
    let dated = begins(line, "0000-00-00") || begins(line, "0000/00/00");
    let time = if dated {
        line[10..].strip_prefix([' ', 'T'])?
    } else {
        line
    };
    let rest = begins(time, "00:00:00").then(|| &time[8..])?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ',' | '.' | 'Z' | '+' | ':' | ']'));
    Some((dated, rest.trim_start()))
}

fn bare(word: &str) -> &str {
    word.trim_matches(['[', ']', ':'])
}

fn is_level(word: &str) -> bool {
    let level = bare(word);
    Level::of(level) > Level::Low || matches!(level, "INFO" | "DEBUG" | "TRACE")
}

fn finish(records: &mut Vec<Record>, head: Option<Head>, lines: &mut Vec<String>) {
    if head.is_none() && lines.is_empty() {
        return;
    }
    let plain = head.is_none();
    let Head { level, mut message } = head.unwrap_or(Head {
        level: Level::Error,
        message: String::new(),
    });
    // The first line itself may contain a throwable: the message may be the throwable's toString.
    let mut text = vec![message.clone()];
    text.append(lines);
    let chain = chain(&text);
    if plain {
        let first = text.iter().find(|line| !line.trim().is_empty());
        message = first.cloned().unwrap_or_default();
    }
    if !chain.is_empty() {
        text.clear();
    }
    records.push(Record {
        level,
        message,
        chain,
        lines: text,
        plain,
    });
}

/// The throwables in the lines of a record. Of several traces the last one counts.
fn chain(lines: &[String]) -> Vec<Throwable> {
    let mut chain: Vec<Throwable> = Vec::new();
    let mut in_message = false;
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        // Suppressed throwables are indented, and not relevant.
        let indented = line.starts_with('\t') || line.starts_with("    ");
        if line.starts_with("\t\t") {
            continue;
        }
        if let Some(frame) = text
            .strip_prefix("at ")
            .filter(|_| indented || !in_message || text.ends_with(')'))
        {
            if let Some(last) = chain.last_mut() {
                last.frames.push(frame_of(frame));
            }
            in_message = false;
        } else if text
            .strip_prefix("... ")
            .is_some_and(|left_out| left_out.starts_with(|c: char| c.is_ascii_digit()))
        {
            // "... 12 more", in logback "... 12 common frames omitted".
            in_message = false;
        } else if let Some(cause) = text.strip_prefix("Caused by: ") {
            // Indented ones are the causes of suppressed throwables.
            in_message = !indented
                && throwable(cause)
                    .or_else(|| without_package(cause))
                    .is_some_and(|found| {
                        chain.push(found);
                        true
                    });
        } else if text.starts_with("Suppressed: ") || text.starts_with("[CIRCULAR REFERENCE") {
            in_message = false;
        } else if let Some(found) = (!indented).then(|| outermost(text)).flatten().filter(|found| {
            let framed = is_framed(&lines[at + 1..]);
            // Part of a message is a line that quotes a throwable, and in that of a cause also one that quotes a trace.
            if in_message {
                framed && chain.len() == 1
            } else {
                framed || looks_thrown(&found.class)
            }
        }) {
            chain.clear();
            chain.push(found);
            in_message = true;
        } else if at == 0
            && let Some(found) = after_words(text).filter(|_| is_framed(&lines[1..]))
        {
            chain.push(found);
            in_message = true;
        } else if in_message
            && !text.is_empty()
            && let Some(last) = chain.last_mut().filter(|last| last.message.len() < MESSAGE_CAP)
        {
            last.message.push('\n');
            last.message.push_str(text);
        }
    }
    chain
}

/// Whether the lines after a throwable are of a trace.
fn is_framed(after: &[String]) -> bool {
    after
        .iter()
        .take(8)
        .any(|next| next.trim_start().starts_with("at ") || next.starts_with("Caused by: "))
}

/// The throwable after the words of a record, where Flink up to 1.15 begins the trace of a failed task: `… with failure cause:
/// a.b.C: message`.
fn after_words(text: &str) -> Option<Throwable> {
    let ends = text.match_indices(": ").map(|(at, _)| at + 2);
    ends.filter_map(|at| throwable(&text[at..]))
        .find(|found| looks_thrown(&found.class))
}

/// `Exception in thread "main" a.b.C: message` or `a.b.C: message`.
fn outermost(text: &str) -> Option<Throwable> {
    let text = text.strip_prefix("Exception in thread ").map_or(text, |rest| {
        rest.strip_prefix('"')
            .and_then(|rest| rest.split_once("\" "))
            .map_or(rest, |(_, rest)| rest)
    });
    throwable(text)
}

fn throwable(text: &str) -> Option<Throwable> {
    let (class, message) = match text.split_once(": ") {
        Some((class, message)) => (class, message),
        None => (text.trim_end().trim_end_matches(':'), ""),
    };
    // Hadoop's has the class of the other side: `RemoteException(a.b.C): message`.
    let sent = class.strip_suffix(')').and_then(|class| class.split_once('('));
    let class = sent.filter(|(own, _)| is_class(own)).map_or(class, |(_, sent)| sent);
    // What Flink sends between processes is in this class, with the class and the message of the original as its message.
    if class.ends_with(".SerializedThrowable")
        && let Some(original) = throwable(message).filter(|original| looks_thrown(&original.class))
    {
        return Some(original);
    }
    let message = match message.trim() {
        // Of log4j, where there is no message.
        "null" => "",
        message => message,
    };
    is_class(class).then(|| Throwable {
        class: class.to_owned(),
        message: message.to_owned(),
        frames: Vec::new(),
    })
}

/// A cause whose class prints itself without its package: `GSSException: no ticket` of the JDK, and those that Thrift has
/// generated, as Hive's `MetaException(message:no table)`.
fn without_package(text: &str) -> Option<Throwable> {
    let of_thrift = text.split_once("(message:");
    let (class, message) = of_thrift.or_else(|| text.split_once(": ")).unwrap_or((text, ""));
    let is_exception = looks_thrown(class) && class.chars().all(char::is_alphanumeric);
    is_exception.then(|| Throwable {
        class: class.to_owned(),
        message: message
            .trim_end_matches(|c: char| of_thrift.is_some() && c == ')')
            .trim()
            .to_owned(),
        frames: Vec::new(),
    })
}

/// A full class name: at least one package, and a class that begins with a capital letter.
pub(super) fn is_class(text: &str) -> bool {
    let valid = text
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '$' | '-'));
    valid
        && text.rsplit_once('.').is_some_and(|(package, class)| {
            !package.is_empty() && class.starts_with(char::is_uppercase) && package.starts_with(char::is_lowercase)
        })
}

/// Usual names of throwables, for those without frames: traces are often truncated.
fn looks_thrown(class: &str) -> bool {
    let class = short_class(class);
    ["Exception", "Error", "Throwable", "Failure", "Timeout"]
        .iter()
        .any(|end| class.ends_with(end))
}

/// A frame without module, class loader and jar: `app//a.b.C.m(C.java:1) ~[x.jar:1]` → `a.b.C.m(C.java:1)`.
fn frame_of(frame: &str) -> String {
    let frame = frame
        .split_once(" ~[")
        .or_else(|| frame.split_once(" ["))
        .map_or(frame, |(f, _)| f);
    let (call, place) = frame.split_once('(').map_or((frame, ""), |(call, place)| (call, place));
    let call = call.rsplit('/').next().unwrap_or(call);
    if place.is_empty() {
        call.trim().to_owned()
    } else {
        format!("{call}({}", place.trim())
    }
}
