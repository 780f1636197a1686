//! Parses values of flags.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser, ValueParserFactory};
use k8s_openapi::jiff::SignedDuration;

use crate::error::{Error, Result};
use crate::kubernetes::api::access::Access;
use crate::model::config::{Entrypoint, PullPolicy, Restart};
use crate::model::keyword::Keyword;
use crate::model::listing::check_name;
use crate::operations::profile::{Mode as ProfileMode, Threads};
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::upgrade::{Strategy, Surge};
use crate::output::Format;
use crate::output::log_lines::LogFormat;
use crate::output::template::{CustomColumns, Template};

/// The shortest time between two looks, as `watch` has it.
const SHORTEST: Duration = Duration::from_millis(100);

/// Lets flags of these types accept their keywords.
macro_rules! keywords {
    ($($keyword:ty),*) => {$(
        impl ValueParserFactory for $keyword {
            type Parser = ValueParser;

            fn value_parser() -> ValueParser {
                keyword::<Self>()
            }
        }
    )*};
}

keywords!(
    Access,
    Entrypoint,
    LogFormat,
    ProfileMode,
    PullPolicy,
    Restart,
    SavepointFormat,
    Strategy,
    Surge,
    Threads
);

impl ValueParserFactory for Format {
    type Parser = FormatParser;

    fn value_parser() -> FormatParser {
        FormatParser
    }
}

/// Parses a format: one of its words, or kubectl's `jsonpath=TEMPLATE` and `custom-columns=COLUMNS`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = Format;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Format, clap::Error> {
        // What is parsed lives as long as the program, so that a format stays a small value.
        let parsed = value.to_str().and_then(|text| {
            let template = |text| Template::parse(text).map(|it| Format::JsonPath(Box::leak(Box::new(it))));
            let columns = |text| CustomColumns::parse(text).map(|it| Format::CustomColumns(Box::leak(Box::new(it))));
            // The name alone has an empty template: clap would offer the word `json` for it.
            let after = |name: &str| match text.strip_prefix(name)? {
                "" => Some(""),
                rest => rest.strip_prefix('='),
            };
            after("jsonpath")
                .map(template)
                .or_else(|| after("custom-columns").map(columns))
        });
        match parsed {
            Some(Ok(format)) => Ok(format),
            Some(Err(why)) => {
                let place = arg.map_or_else(|| "--output".to_owned(), ToString::to_string);
                let text = format!("invalid value for '{place}': {why}\n");
                Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, text).with_cmd(command))
            }
            None => {
                let words = PossibleValuesParser::new(self.possible_values().into_iter().flatten());
                let word = words.parse_ref(command, arg, value)?;
                Format::parse(&word).map_err(|error| {
                    clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{}\n", error.message))
                        .with_cmd(command)
                })
            }
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = Format::WORDS
            .iter()
            .map(|(_, word, help)| PossibleValue::new(*word).help(*help));
        let kubectl = [
            PossibleValue::new("jsonpath=TEMPLATE").help("Fields of JSON, as in kubectl"),
            PossibleValue::new("custom-columns=HEADER:PATH,…").help("A table of fields of JSON, as in kubectl"),
        ];
        Some(Box::new(words.chain(kubectl)))
    }
}

fn keyword<T: Keyword>() -> ValueParser {
    let words = T::WORDS.iter().map(|(_, word, help)| {
        let value = PossibleValue::new(*word);
        if help.is_empty() { value } else { value.help(*help) }
    });
    // A flag may ignore case, and returns the word as typed.
    let parse = |text: String| {
        let word = T::WORDS.iter().find(|(_, word, _)| word.eq_ignore_ascii_case(&text));
        word.map(|(value, ..)| *value)
            .ok_or_else(|| format!("{text:?} is not possible"))
    };
    ValueParser::new(PossibleValuesParser::new(words).try_map(parse))
}

/// Parses one of a few formats.
pub(crate) fn one_of<const N: usize>(formats: [&'static str; N]) -> ValueParser {
    ValueParser::new(PossibleValuesParser::new(formats).try_map(|word| Format::parse(&word)))
}

/// Reads a duration as kubectl does: `10s`, `1m30s`, `2h`, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write it like 30s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

/// The limit that a timeout sets; 0: none.
pub(crate) fn limit(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

/// Reads the time between two looks: without a pause they would be a load on the API server.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if given < SHORTEST {
        return Err(format!("it must be {} ms or longer", SHORTEST.as_millis()));
    }
    Ok(given)
}

/// Parses a label selector. An empty one would select everything, and is what an unset variable results in.
pub(crate) fn selector(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("an empty selector would select all clusters; `-l app` does that".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn label_value(text: &str) -> Result<String, String> {
    check_name(text)
        .map_err(|_| format!("{text:?} is not a value of a label: letters, digits, '-', '_' and '.', at most 63"))
}

/// Parses a duration in whole seconds, as Kubernetes counts it.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let given = duration(text)?;
    u32::try_from(given.as_secs())
        .ok()
        .filter(|seconds| i32::try_from(*seconds).is_ok())
        .ok_or_else(|| format!("{text:?} is longer than Kubernetes counts"))
}

/// Reads `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::usage(format!("{text:?} must be NAME=VALUE"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubectl_reads_them() {
        for (text, seconds) in [("0", 0), ("90", 90), ("10s", 10), ("1m30s", 90), ("2h", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        for bad in ["", "x", "-1s", "10 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_is_a_pause_between_two_looks() {
        assert_eq!(interval("100ms"), Ok(SHORTEST));
        for bad in ["0", "0s", "99ms", "x"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
