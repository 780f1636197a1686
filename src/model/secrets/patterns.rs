//! Secrets in running text: logs, messages, and values whose form is not known.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::redaction::REDACTED;
use crate::model::flink::effective_config::SENSITIVE;

/// The user info of a URL, up to its last `@`: a password may have one. That of Oracle, such as
/// `jdbc:oracle:thin:scott/tiger@db`, has no `//` before it.
const USER_INFO: &str = r#"([A-Za-z][A-Za-z0-9+.\-]*://|jdbc:oracle:[a-z0-9]+:)([^\s"'<>]*)@"#;

static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    compiled()
        .into_iter()
        .filter_map(|(pattern, by)| Some((pattern.ok()?, by)))
        .collect()
});
static URL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(USER_INFO).ok());

/// A setting with the name of a secret: on a line of its own its value goes to the end of the line.
static SETTING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = secret_name();
    let line = format!(r#"^([ \t]*["']?{name}["']?[ \t]*[:=][ \t]*)(\S.*)$"#);
    let value = r#"("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|["'].*|[^\s,;&)}\]<>"']+)"#;
    Regex::new(&format!(
        r#"(?im){line}|({name}\\*["']?[ \t]*(?:=>|[:=])[ \t]*\\*){value}"#
    ))
    .ok()
});

fn secret_name() -> String {
    let words: Vec<String> = SENSITIVE.iter().map(|word| regex::escape(word)).collect();
    let words = words.join("|");
    format!(r"[A-Za-z0-9_.\-/]*(?:(?:{words})[A-Za-z0-9_.\-/]*|[._\-](?:key|pass|pwd))")
}

fn compiled() -> Vec<(Result<Regex, regex::Error>, &'static str)> {
    let name = secret_name();
    let element = name.replace(r"\-/", r"\-");
    let all = [
        (
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)".to_owned(),
            REDACTED,
        ),
        // The query of a URL: that of a signed one is as good as a password.
        (
            r#"([A-Za-z][A-Za-z0-9+.\-]*://[^\s"'<>?]*)\?[^\s"'<>]+"#.to_owned(),
            "${1}?****",
        ),
        (
            r"\b([Bb]earer|BEARER|Basic)\s+[A-Za-z0-9+/._~=\-]{6,}".to_owned(),
            "${1} ****",
        ),
        // Tokens that are known by their form: JSON Web Tokens, AWS, GitHub, GitLab, Slack, Google.
        (
            r"\b(?:eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{15,}|xox[abprs]-[A-Za-z0-9\-]{10,}|AIza[A-Za-z0-9_\-]{30,}|ya29\.[A-Za-z0-9_\-]{20,})".to_owned(),
            REDACTED,
        ),
        // A line of a file of settings: its value goes to the end of the line.
        (
            format!(r#"(?im)^(\s*["']?{name}["']?[ \t]*[:=][ \t]*)\S.*$"#),
            "${1}****",
        ),
        // A setting within a line; in a text in JSON within JSON quotes have backslashes.
        (
            format!(
                r#"(?i)({name}\\*["']?\s*(?:=>|[:=])\s*\\*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|["'].*|[^\s,;&)}}\]<>"']+)"#
            ),
            "${1}****",
        ),
        // A flag with its value as the next word.
        (format!(r"(?i)(--?{name}[ \t]+)[^\s\-]\S*"), "${1}****"),
        // An element of XML.
        (format!(r"(?i)(<{element}>)[^<]+"), "${1}****"),
    ];
    all.into_iter()
        .map(|(pattern, by)| (Regex::new(&pattern), by))
        .collect()
}

/// The text without what looks like a secret in it.
pub(super) fn without_secrets(text: &str) -> String {
    let mut text = match URL.as_ref() {
        Some(url) => url.replace_all(text, user_info).into_owned(),
        None => text.to_owned(),
    };
    for (pattern, by) in PATTERNS.iter() {
        if let std::borrow::Cow::Owned(replaced) = pattern.replace_all(&text, *by) {
            text = replaced;
        }
    }
    text
}

/// Hides user info in URLs. The name in addresses of Flink's RPC (`pekko.tcp://flink@10.0.0.1:6123`) and the container of
/// Azure's storage (`abfss://container@account.dfs.core.windows.net`) are in the same place, and stay.
fn user_info(found: &Captures<'_>) -> String {
    let (scheme, user) = (&found[1], &found[2]);
    if is_login(scheme, user) {
        format!("{scheme}{REDACTED}@")
    } else {
        found[0].to_owned()
    }
}

fn is_login(scheme: &str, user: &str) -> bool {
    let is_container = ["abfs", "wasb"].iter().any(|start| scheme.starts_with(start));
    !matches!(user, "" | "flink") && (!is_container || user.contains(':'))
}

/// Passes the secrets within a text to `see`, which may return a replacement: those of settings, and the user info of URLs.
pub(super) fn within(text: &str, see: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let (Some(setting), Some(url)) = (SETTING.as_ref(), URL.as_ref()) else {
        return text.to_owned();
    };
    let text = setting.replace_all(text, |found: &Captures<'_>| {
        let part = |one: usize, other: usize| found.get(one).or(found.get(other)).map_or("", |part| part.as_str());
        let (name, value) = (part(1, 3), part(2, 4));
        format!("{name}{}", see(value).unwrap_or_else(|| value.to_owned()))
    });
    let text = url.replace_all(&text, |found: &Captures<'_>| {
        let (scheme, user) = (&found[1], &found[2]);
        let shown = if is_login(scheme, user) { see(user) } else { None };
        format!("{scheme}{}@", shown.as_deref().unwrap_or(user))
    });
    text.into_owned()
}

/// Whether a text with slashes is a key in Base64, or has one between them, as the address of a webhook has.
pub(super) fn has_key(text: &str) -> bool {
    let is_key = |part: &str| {
        let has = |kind: fn(&u8) -> bool| part.as_bytes().iter().any(kind);
        part.len() >= 16
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte))
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_digit)
    };
    !text.starts_with(['/', '.']) && is_key(text) || text.split('/').any(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::columns;

    #[test]
    fn the_patterns_are_valid() {
        assert!(
            compiled().iter().all(|(pattern, _)| pattern.is_ok()),
            "{:?}",
            compiled()
        );
        assert!(URL.is_some() && SETTING.is_some());
    }

    #[test]
    fn secrets_in_text_are_replaced() {
        for row in [
            "GET s3://u:p@b/k | GET s3://****@b/k",
            "'url' = 'jdbc:oracle:thin:scott/ti@ger@//db:1521/x' | 'url' = 'jdbc:oracle:thin:****@//db:1521/x'",
            "AccountName=shop;AccountKey=a+b/c==;EndpointSuffix=x | AccountName=shop;AccountKey=****;EndpointSuffix=x",
            "jdbc:postgresql://u:p@ss@db:5432/x?sslmode=on | jdbc:postgresql://****@db:5432/x?****",
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=ab&X-Amz-Date=1 done | https://b.s3.amazonaws.com/k?**** done",
            "pekko.tcp://flink@10.0.0.1:6123/user/rpc | pekko.tcp://flink@10.0.0.1:6123/user/rpc",
            "abfss://box@account.dfs.core.windows.net/x | abfss://box@account.dfs.core.windows.net/x",
            "sent Authorization: Bearer abc.def-1 to x | sent Authorization: **** **** to x",
            "header 'bearer abcdef123' | header 'bearer ****'",
            "a=1 password=secret, b=2 | a=1 password=****, b=2",
            "x Api-Key => \"a b\\\" c\", x | x Api-Key => ****, x",
            "{\\\"client_secret\\\":\\\"abc\\\"} | {\\\"client_secret\\\":\\****",
            "'properties.sasl.jaas.config' = 'x required password=\"y\";', | 'properties.sasl.jaas.config' = ****",
            "run --api-token abc --fast | run --api-token **** --fast",
            "db.pass: a b c | db.pass: ****",
            "  \"token\": \"a, b\", |   \"token\": ****",
            "<fs.secret>ab</fs.secret> | <fs.secret>****</fs.secret>",
            "x eyJhbGciOiJI.eyJzdWIiOiIx.c2ln y AKIAIOSFODNN7EXAMPLE | x **** y ****",
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb | a\n****\nb",
            "a private-key=\"never closed | a private-key=****",
        ] {
            let [text, want] = columns(row);
            assert_eq!(without_secrets(text), want, "{text}");
        }
    }

    #[test]
    fn other_text_stays() {
        for text in [
            "Triggering checkpoint 3 (type=CheckpointType{name='Checkpoint'}) @ 1 for job 0.",
            "Job demo (0) switched from state CREATED to RUNNING.",
            "java.lang.RuntimeException: no key: k1",
            "Sink: Writer (1/2)#0 (a1_b2_0_0) at http://10.0.0.1:8081/jobs/overview",
            "basic checks of SecurityOptions",
            "keyed: true, monkey=1",
            "jdbc:oracle:thin:@//db:1521/x",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }
}
