//! The command line of Flink's standalone application entrypoint.
//!
//! Flink stops at the first unknown token and silently passes it and all following tokens to the program: so options
//! come first, and program arguments last, after a `--` that ends the options for good.

use crate::error::{Error, Result};
use crate::model::config::{Config, JobId};

/// Maximum length of an argument of a Linux process: `MAX_ARG_STRLEN` minus the final NUL.
pub(crate) const MAX_ARGUMENT: usize = 131_071;

/// A JobManager's arguments, parsed with Flink's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobManagerArguments {
    pub(crate) job_class: Option<String>,
    pub(crate) job_id: Option<String>,
    /// `--job-id-seed`, which Flink's template has and no Flink release supports.
    pub(crate) job_id_seed: Option<String>,
    pub(crate) from_savepoint: Option<String>,
    pub(crate) allow_non_restored_state: bool,
    /// `--jars`, split at its commas.
    pub(crate) jars: Vec<String>,
    /// `-D`, in order.
    pub(crate) dynamic: Vec<(String, String)>,
    /// Other options of Flink with their values, unchanged, such as `--configDir /conf`.
    pub(crate) other: Vec<String>,
    pub(crate) program: Vec<String>,
}

/// Options with a value, in every spelling. Source: Flink's StandaloneApplicationClusterConfigurationParserFactory.
const JOB_CLASS: [&str; 2] = ["-j", "--job-classname"];
const JOB_ID: [&str; 2] = ["-jid", "--job-id"];
const JOB_ID_SEED: &str = "--job-id-seed";
const FROM_SAVEPOINT: [&str; 2] = ["-s", "--fromSavepoint"];
const ALLOW_NON_RESTORED: [&str; 2] = ["-n", "--allowNonRestoredState"];
const JARS: [&str; 2] = ["-jars", "--jars"];
const OTHER: [&str; 8] = [
    "-c",
    "--configDir",
    "-h",
    "--host",
    "-r",
    "--webui-port",
    "-x",
    "--executionMode",
];

/// Whether a value follows this option of Flink's entrypoint; `None`: it is no option of Flink, or `-D`.
pub(crate) fn takes_value(option: &str) -> Option<bool> {
    if ALLOW_NON_RESTORED.contains(&option) {
        return Some(false);
    }
    let with_value = [&JOB_CLASS[..], &JOB_ID, &[JOB_ID_SEED], &FROM_SAVEPOINT, &JARS, &OTHER];
    with_value.iter().any(|names| names.contains(&option)).then_some(true)
}

impl JobManagerArguments {
    /// Reads `tokens` with Flink's rules.
    pub(crate) fn parse(tokens: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut rest = tokens.iter();
        while let Some(token) = rest.next() {
            let (option, joined) = match token.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
                _ => (token.as_str(), None),
            };
            let mut value = || {
                joined
                    .clone()
                    .or_else(|| rest.next().cloned())
                    .ok_or_else(|| Error::usage(format!("Flink's option {option} lacks its value")))
            };
            if JOB_CLASS.contains(&option) {
                parsed.job_class = Some(value()?);
            } else if JOB_ID.contains(&option) {
                parsed.job_id = Some(value()?);
            } else if option == JOB_ID_SEED {
                parsed.job_id_seed = Some(value()?);
            } else if FROM_SAVEPOINT.contains(&option) {
                parsed.from_savepoint = Some(value()?);
            } else if JARS.contains(&option) {
                parsed.jars = value()?.split(',').map(ToOwned::to_owned).collect();
            } else if ALLOW_NON_RESTORED.contains(&option) {
                parsed.allow_non_restored_state = true;
            } else if OTHER.contains(&option) {
                let value = value()?;
                parsed.other.extend([option.to_owned(), value]);
            } else if option == "-D" {
                parsed.dynamic.push(key_value(&value()?)?);
            } else if let Some(pair) = token.strip_prefix("-D") {
                parsed.dynamic.push(key_value(pair)?);
            } else {
                if token != "--" {
                    parsed.program.push(token.clone());
                }
                parsed.program.extend(rest.cloned());
                break;
            }
        }
        Ok(parsed)
    }

    /// Formats the arguments so that [`Self::parse`], and Flink, parse them to the same value.
    pub(crate) fn to_tokens(&self) -> Vec<String> {
        let mut tokens = Vec::new();
        let mut option = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                tokens.extend([name.to_owned(), value.clone()]);
            }
        };
        option("--job-classname", self.job_class.as_ref());
        option("--job-id", self.job_id.as_ref());
        option("--fromSavepoint", self.from_savepoint.as_ref());
        let jars = (!self.jars.is_empty()).then(|| self.jars.join(","));
        option("--jars", jars.as_ref());
        if self.allow_non_restored_state {
            tokens.push("--allowNonRestoredState".to_owned());
        }
        tokens.extend(self.other.iter().cloned());
        tokens.extend(self.dynamic.iter().map(|(key, value)| format!("-D{key}={value}")));
        if self.program.first().is_some_and(|first| may_be_option(first)) {
            tokens.push("--".to_owned());
        }
        tokens.extend(self.program.iter().cloned());
        tokens
    }

    pub(crate) fn into_layer(self) -> Config {
        Config {
            job_class: self.job_class,
            job_id: self.job_id.map(JobId::Fixed).or(self.job_id_seed.map(JobId::Seed)),
            from_savepoint: self.from_savepoint,
            allow_non_restored_state: self.allow_non_restored_state.then_some(true),
            jars: (!self.jars.is_empty()).then_some(self.jars),
            configuration: self.dynamic.into_iter().collect(),
            arguments: (!self.program.is_empty()).then_some(self.program),
            ..Config::default()
        }
    }
}

/// Names of Flink's options, long and short. Source: as above; 2.0 removed `-h`, `-r` and `-x`.
const LONG: [&str; 10] = [
    "job-classname",
    "job-id",
    "fromSavepoint",
    "allowNonRestoredState",
    "jars",
    "configDir",
    "host",
    "webui-port",
    "executionMode",
    "job-id-seed",
];
const SHORT: [char; 8] = ['c', 'D', 'j', 's', 'n', 'h', 'r', 'x'];

/// Whether Flink may parse a program's first argument as an option of its own, so that a `--` has to come before it.
///
/// Its parser accepts abbreviations of long names, with one dash or two, and short options followed by a value: it
/// parses `-name` as `-n` with the value `ame`. Source: commons-cli's DefaultParser.
fn may_be_option(token: &str) -> bool {
    let Some(rest) = token.strip_prefix('-') else {
        return false;
    };
    let name = rest.trim_start_matches('-').split('=').next().unwrap_or_default();
    LONG.iter().any(|long| long.starts_with(name)) || rest.starts_with(SHORT)
}

/// Splits `key=value` of a `-D`.
///
/// # Errors
/// Usage error when there is no `=`, or the key is empty or has white space.
pub(crate) fn key_value(pair: &str) -> Result<(String, String)> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(Error::usage(format!(
            "invalid configuration {pair:?}: it must be KEY=VALUE"
        ))),
    }
}

/// Reads the variable FLINK_JOB_ARGUMENTS of Flink's templates: the inside of a YAML list, such as `"--job-classname", "com.example.Job"`.
pub fn split_arguments(text: &str) -> Result<Vec<String>> {
    // Flink's template leaves a trailing comma when there are no arguments.
    let inner = text.trim().trim_end_matches(',');
    let words: Option<Vec<String>> = serde_yaml::from_str(&format!("[{inner}]")).ok();
    // An option and its value without quotes are one word of a YAML list, and Flink would not find the option.
    let is_option_with_value = |word: &String| word.starts_with('-') && word.contains(' ') && !word.contains('=');
    words
        .filter(|words| !words.iter().any(is_option_with_value))
        .ok_or_else(|| {
            Error::usage(format!(
                "invalid FLINK_JOB_ARGUMENTS {text:?}: it must be a list of quoted words"
            ))
            .hint("for example FLINK_JOB_ARGUMENTS='\"--job-classname\", \"com.example.Job\", \"--input\", \"a b\"'")
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn flinks_options_end_at_the_first_unknown_token() {
        let parsed = JobManagerArguments::parse(&words(
            "-j a.B --job-id 00 -Dx=1 -D y=2=3 --fromSavepoint=/sp -n --jars a,b -c /conf input --job-id 5",
        ))
        .unwrap();
        assert_eq!(parsed.job_class.as_deref(), Some("a.B"));
        assert_eq!(parsed.job_id.as_deref(), Some("00"));
        assert_eq!(parsed.dynamic, [("x".into(), "1".into()), ("y".into(), "2=3".into())]);
        assert_eq!(parsed.from_savepoint.as_deref(), Some("/sp"));
        assert!(parsed.allow_non_restored_state);
        assert_eq!(parsed.jars, ["a", "b"]);
        assert_eq!(parsed.other, ["-c", "/conf"]);
        assert_eq!(parsed.program, ["input", "--job-id", "5"]);
    }

    #[test]
    fn a_dash_dash_comes_only_before_what_flink_could_take_for_its_own() {
        for safe in ["input", "", "--input", "--rate=5", "-i", "-5", "--Host"] {
            assert!(!may_be_option(safe), "{safe}");
        }
        for taken in [
            "--", "-", "--job-id", "--job", "-job-id", "-name", "-Dx=y", "--jars=a", "-s", "--host=x", "-",
        ] {
            assert!(may_be_option(taken), "{taken}");
        }
    }

    #[test]
    fn an_option_without_its_value_is_refused() {
        assert!(JobManagerArguments::parse(&words("--job-id")).is_err());
        assert!(JobManagerArguments::parse(&words("-Dx")).is_err());
    }

    #[test]
    fn the_variable_of_arguments_is_a_yaml_list_without_brackets() {
        assert_eq!(
            split_arguments(r#""--job-classname", "a.B", "x y", 'it''s', plain, 5"#).unwrap(),
            ["--job-classname", "a.B", "x y", "it's", "plain", "5"]
        );
        assert_eq!(split_arguments("").unwrap(), Vec::<String>::new());
        assert_eq!(split_arguments("\"a\",").unwrap(), ["a"]);
        for bad in ["\"a", "a]", "{a: b}", "[a]"] {
            assert!(split_arguments(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            class in proptest::option::of("[a-z.]{1,9}"),
            dynamic in proptest::collection::vec(("[a-z.]{1,9}", ".*"), 0..4),
            program in proptest::collection::vec(
                prop_oneof![".*", "-{0,3}[a-zA-Z-]{0,12}", Just("--job-id".to_owned()), Just("-Dx=y".to_owned()), Just("-n".to_owned())],
                0..5,
            ),
        ) {
            let arguments = JobManagerArguments { job_class: class, dynamic, program, ..Default::default() };
            prop_assert_eq!(JobManagerArguments::parse(&arguments.to_tokens()).unwrap(), arguments);
        }
    }
}
