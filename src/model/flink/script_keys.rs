//! Configuration that only Flink's shell scripts read, not its Java processes: with `-D` it has no effect, so it is
//! passed to the scripts in environment variables.
//!
//! Source: `config.sh`, `bash-java-utils.sh`, `flink-console.sh`, `standalone-job.sh` and `taskmanager.sh` of 1.13.6,
//! 1.14.6, 1.15.4, 1.16.3, 1.17.2, 1.18.1, 1.19.3, 1.20.1, 2.0.0, 2.1.0 and 2.3.0. Each of them prefers the variable to
//! the configuration file, but for `env.java.home`, which images do not set.

use std::collections::BTreeMap;
use std::str::Chars;

use super::{FlinkVersion, Role};

/// Keys that have their own variable.
const VARIABLES: [(&str, &str); 9] = [
    ("env.hadoop.conf.dir", "HADOOP_CONF_DIR"),
    ("env.hbase.conf.dir", "HBASE_CONF_DIR"),
    ("env.java.home", "JAVA_HOME"),
    ("env.log.dir", "FLINK_LOG_DIR"),
    ("env.log.level", "ROOT_LOG_LEVEL"),
    ("env.log.max", "MAX_LOG_FILE_NUMBER"),
    ("env.pid.dir", "FLINK_PID_DIR"),
    ("env.stdout-err.redirect-to-file", "STD_REDIRECT_TO_FILE"),
    ("env.yarn.conf.dir", "YARN_CONF_DIR"),
];

/// JVM options for both roles, in the order of the scripts; of the last two, the first one that is set.
const JAVA_OPTIONS: [&str; 3] = ["env.java.default-opts.all", "env.java.opts.all", "env.java.opts"];

/// JVM options of one role, and their variable.
///
/// It includes the options for both roles: so the options for both roles in the image's configuration file, which open
/// the modules of Java 17 to Flink, still apply. `FLINK_ENV_JAVA_OPTS` would replace them.
const fn java_options(role: Role) -> ([&'static str; 2], &'static str) {
    match role {
        Role::JobManager => (
            ["env.java.default-opts.jobmanager", "env.java.opts.jobmanager"],
            "FLINK_ENV_JAVA_OPTS_JM",
        ),
        Role::TaskManager => (
            ["env.java.default-opts.taskmanager", "env.java.opts.taskmanager"],
            "FLINK_ENV_JAVA_OPTS_TM",
        ),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The key as the user wrote it; the last one, if there are several.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// Whether only the scripts read `key`.
pub(crate) fn is_for_scripts(key: &str) -> bool {
    let of_role = |role: Role| java_options(role).0.contains(&key);
    VARIABLES.iter().any(|(known, _)| *known == key)
        || JAVA_OPTIONS.contains(&key)
        || of_role(Role::JobManager)
        || of_role(Role::TaskManager)
}

pub(crate) fn variables(configuration: &BTreeMap<String, String>, role: Role) -> Vec<Variable> {
    let set = |key: &'static str| {
        let value = configuration.get(key)?.trim();
        (!value.is_empty()).then_some((key, value))
    };
    let plain = VARIABLES.iter().filter_map(|(key, name)| {
        let (key, value) = set(key)?;
        let value = value.to_owned();
        Some(Variable { key, name, value })
    });
    let [default, all, old] = JAVA_OPTIONS;
    let ([role_default, role_options], name) = java_options(role);
    let options: Vec<(&str, &str)> = [
        set(default),
        set(all).or_else(|| set(old)),
        set(role_default),
        set(role_options),
    ]
    .into_iter()
    .flatten()
    .collect();
    let java = options.last().map(|(key, _)| Variable {
        key,
        name,
        value: options
            .iter()
            .map(|(_, value)| unquoted(value))
            .collect::<Vec<_>>()
            .join(" "),
    });
    plain.chain(java).collect()
}

/// Why the scripts lose JVM options, or make two of one: from 1.14 on a shell reads them. Source: `flink-console.sh`, which has
/// `FLINK_ENV_JAVA_OPTS=$(eval echo ${FLINK_ENV_JAVA_OPTS})` and then splits them at spaces.
pub(crate) fn lost_by_shell(key: &str, value: &str, version: Option<FlinkVersion>) -> Option<String> {
    let has_options = key.starts_with("env.java.opts") || key.starts_with("env.java.default-opts");
    if !has_options || version.is_some_and(|version| version < FlinkVersion::new(1, 14)) {
        return None;
    }
    let space = || Some("no option can have a space: escaped or in quotes, too, it becomes two".to_owned());
    let no_end = |what: String| Some(format!("its {what} does not end, and all options are lost"));
    let mut quote: Option<char> = None;
    let mut before = ' ';
    let mut chars = unquoted(value.trim()).chars();
    let fault = loop {
        let Some(c) = chars.next() else {
            break quote.and_then(|quote| no_end(format!("quote {quote}")));
        };
        let found = match quote {
            Some(open) if open == c => {
                quote = None;
                None
            }
            Some(_) if c.is_whitespace() => space(),
            _ if c == '\\' && quote != Some('\'') => match chars.next() {
                Some(' ' | '\t') => space(),
                _ => None,
            },
            _ if quote != Some('\'') && !ends(c, &mut chars) => no_end(c.to_string()),
            None if matches!(c, '"' | '\'') => {
                quote = Some(c);
                None
            }
            None => meaning(c, before, chars.as_str())
                .map(|meaning| format!("{c} {meaning}: write \\{c}, or the option in quotes")),
            Some(_) => None,
        };
        if found.is_some() {
            break found;
        }
        before = c;
    };
    fault.map(|fault| format!("{key}: Flink's scripts read it like a shell: {fault}"))
}

/// Skips what a shell replaces: commands and variables; `false` if it does not end.
fn ends(c: char, chars: &mut Chars<'_>) -> bool {
    let (open, close) = match (c, chars.clone().next()) {
        ('`', _) => return chars.any(|c| c == '`'),
        ('$', Some('(')) => ('(', ')'),
        ('$', Some('{')) => ('{', '}'),
        _ => return true,
    };
    let mut depth = 0;
    chars.any(|c| {
        depth += i32::from(c == open) - i32::from(c == close);
        depth == 0
    })
}

/// What a character outside quotes means to a shell; `None`: only itself.
fn meaning(c: char, before: char, after: &str) -> Option<&'static str> {
    let is_choice = || {
        let inside = after.split_once('}').map_or("", |(inside, _)| inside);
        inside.contains(',') && !inside.contains(char::is_whitespace)
    };
    match c {
        ';' | '&' | '|' | '<' | '>' | '(' | ')' => Some("is an operator there, and options are lost"),
        '#' if before.is_whitespace() => Some("begins a comment there, and the options after it are lost"),
        '{' if is_choice() => Some("makes several options of one"),
        _ => None,
    }
}

/// Without the surrounding quotes, as in the scripts. These remove a single one too, and those around the first and the last
/// of several options, with which no shell reads the options.
fn unquoted(value: &str) -> &str {
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let inside = inside.filter(|inside| !inside.replace("\\\"", "").contains('"'));
    inside.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)], role: Role) -> Vec<String> {
        let pairs = pairs.iter();
        let configuration = pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let found = variables(&configuration, role);
        found
            .into_iter()
            .map(|one| format!("{}={}", one.name, one.value))
            .collect()
    }

    #[test]
    fn each_jvm_gets_the_options_of_both_and_its_own() {
        let pairs = [
            ("env.java.default-opts.all", "-Da=default"),
            ("env.java.opts.all", "\"-Da=all -Db\""),
            ("env.java.opts", "-Dold"),
            ("env.java.opts.jobmanager", "-Djm"),
            ("env.java.opts.taskmanager", " -XX:+UseG1GC "),
            ("state.backend.type", "rocksdb"),
        ];
        let expected = ["FLINK_ENV_JAVA_OPTS_JM=-Da=default -Da=all -Db -Djm"];
        assert_eq!(of(&pairs, Role::JobManager), expected);
        let expected = ["FLINK_ENV_JAVA_OPTS_TM=-Da=default -Da=all -Db -XX:+UseG1GC"];
        assert_eq!(of(&pairs, Role::TaskManager), expected);
        let expected = ["FLINK_ENV_JAVA_OPTS_TM=-Dold"];
        assert_eq!(of(&[("env.java.opts", "-Dold")], Role::TaskManager), expected);
        let expected = ["FLINK_ENV_JAVA_OPTS_TM=-Da=\"b c\""];
        assert_eq!(of(&[("env.java.opts.all", "-Da=\"b c\"")], Role::TaskManager), expected);
        assert!(of(&[("env.java.opts.taskmanager", "-Dtm")], Role::JobManager).is_empty());
        assert!(of(&[("env.java.opts.all", "")], Role::JobManager).is_empty());
    }

    #[test]
    fn options_that_a_shell_takes_apart_are_found() {
        let of = |value: &str, version: &str| lost_by_shell("env.java.opts.all", value, version.parse().ok());
        for (value, reason) in [
            ("-Dhttp.nonProxyHosts=localhost|a", "| is an operator there"),
            ("-Da=(b)", "( is an operator there"),
            ("-Da=b;c", "write \\;"),
            ("-Da=b #c", "# begins a comment there"),
            ("-Da={x,y}", "{ makes several options of one"),
            ("-Da=b\\ c", "no option can have a space"),
            ("-Da=\"b\\ c\"", "no option can have a space"),
            ("-Da=$(hostname -Db", "its $ does not end"),
            ("-Da=`hostname -Db", "its ` does not end"),
            ("-Da=\"b c\"", "no option can have a space"),
            ("-Da='b", "its quote ' does not end"),
            ("-Da=\"b\\\"", "its quote \" does not end"),
        ] {
            let said = of(value, "1.14").unwrap_or_default();
            assert!(
                said.starts_with("env.java.opts.all: ") && said.contains(reason),
                "{value}: {said}"
            );
            assert_eq!(of(value, "1.13"), None, "{value}");
        }
        for value in [
            "-Da=\"b|c\" -Db='(c)'",
            "-Da=b\\|c -Dd=$HOME -De=*",
            "\"-Da=b -Dc=d\"",
            "-Da=\"b'c\" -Dd='e\"f' -Dg='h\\'",
            "-Da=$(hostname) -Db=\"$(hostname -f | cut -d. -f1)\" -Dc=`hostname -s`",
            "-Da=${NO:-(b,c)} -Dd=$((1+2)) -De=$HOME",
            "\"-Da=b\" \"-Dc=d\"",
            "\"-Da=b|c\" -Dd=\"e\"",
            "\"-Da=\\\"b\\\" -Dc=d\"",
            "-Da=b#c -Dd={x} -De={x,y -Df=\\{x,y} -Dg=\"{x,y}\"",
            "-Da=b \\\n -Dc=d",
            "",
        ] {
            assert_eq!(of(value, "2.3"), None, "{value}");
        }
        assert_eq!(lost_by_shell("env.java.home", "/a;b", None), None);
    }

    #[test]
    fn keys_that_the_scripts_read_are_known_and_no_others() {
        let all = VARIABLES.map(|(key, _)| key);
        for key in all.into_iter().chain(JAVA_OPTIONS) {
            assert!(is_for_scripts(key), "{key}");
            assert_eq!(of(&[(key, "3")], Role::JobManager).len(), 1, "{key}");
        }
        for key in ["env.ssh.opts", "env.java.opts.client", "env.own", "taskmanager.host"] {
            assert!(!is_for_scripts(key), "{key}");
        }
    }
}
