//! The text of users' files: with a byte order mark, in UTF-16, or as a template that is not rendered yet.

use crate::error::{Error, Result};

/// The text of a file, as kubectl reads it: UTF-8, or UTF-16 by its byte order mark or by the zeros in it.
pub(crate) fn decode(bytes: Vec<u8>, source: &str) -> Result<String> {
    let wrong = |why: &str| Error::usage(format!("{source}: it is not text: {why}"));
    let text = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Err(wrong("it is in UTF-32").hint("save it in UTF-8"));
        }
        [0x1f, 0x8b, ..] => return Err(wrong("it is compressed").hint("gunzip it first")),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // Without a mark: a manifest starts with one byte of ASCII, which in UTF-16 has a zero beside it.
        [1..=0x7f, 0, ..] => utf16(&bytes, u16::from_le_bytes),
        [0, 1..=0x7f, ..] => utf16(&bytes, u16::from_be_bytes),
        _ => String::from_utf8(bytes).map_err(|e| {
            let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            format!("line {line} is not in UTF-8")
        }),
    };
    let text = text.map_err(|why| wrong(&why).hint("save it in UTF-8"))?;
    // Files that were put together have a mark each.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.replace("\n\u{feff}", "\n"))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("it is in UTF-16, and damaged".to_owned()),
    }
}

/// The YAML parser's error in the file `source`, with its position; `what` is before the reason.
pub(crate) fn yaml_error(source: &str, what: &str, error: &serde_yaml::Error) -> Error {
    let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column()));
    let why = yaml_fault(error);
    Error::usage(format!("{source}{}: {what}{why}", place.unwrap_or_default()))
}

/// The YAML parser's error, in terms of the text.
pub(crate) fn yaml_fault(error: &serde_yaml::Error) -> String {
    let place = error.location().map(|at| (at.line(), at.column()));
    let error = error.without_snippet();
    let why = match error {
        serde_yaml::Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key} occurs twice"),
        serde_yaml::Error::DuplicateMappingKey { key: None, .. } => "a key occurs twice".to_owned(),
        serde_yaml::Error::UnknownAnchor { .. } => {
            "the alias (*NAME) has no anchor (&NAME) before it in the same document".to_owned()
        }
        other if is_too_large(other) => "it is too large when its aliases are filled in".to_owned(),
        other => {
            let mut options = serde_yaml::RenderOptions::default();
            options.formatter = &serde_yaml::UserMessageFormatter;
            other.render_with_options(options)
        }
    };
    let first = why
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .trim_start_matches("error: ")
        .to_owned();
    // The caller adds the position, in front.
    match place {
        Some((line, column)) => first
            .replace(&format!(" at line {line}, column {column}"), "")
            .replace(&format!("line {line} column {column}: "), ""),
        None => first,
    }
}

fn is_too_large(error: &serde_yaml::Error) -> bool {
    match error {
        serde_yaml::Error::AliasError { error, .. } => is_too_large(error),
        serde_yaml::Error::Budget { .. }
        | serde_yaml::Error::AliasReplayLimitExceeded { .. }
        | serde_yaml::Error::AliasExpansionLimitExceeded { .. }
        | serde_yaml::Error::AliasReplayStackDepthExceeded { .. } => true,
        _ => false,
    }
}

/// Unrendered placeholders of a template engine, in the order of the text: `{{ … }}` of Helm and similar tools.
pub(crate) fn helm_expression(text: &str) -> Option<&str> {
    let start = text.find("{{")?;
    let end = text[start..].find("}}")? + start + 2;
    let inner = text[start + 2..end - 2].trim_matches(['-', ' ']);
    // Compact JSON also has adjacent braces, followed by a quotation mark or another brace.
    let word = inner.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '.' | '$' | '/' | '('));
    (word && !text[start..end].contains('\n')).then(|| &text[start..end])
}

/// The first placeholder of a chart that is part of the YAML itself, with its line: not in quotes, a block of text or a
/// comment, where a program may mean it, such as Vault's agent, or the operator in the template of an Ingress.
pub(crate) fn unrendered(text: &str) -> Option<(usize, &str)> {
    // The indentation of the key whose text the lines are that are indented more.
    let mut block: Option<usize> = None;
    for (index, line) in text.lines().map(str::trim_end).enumerate() {
        let content = line.trim_start();
        let dash = line.len() - content.len();
        if content.is_empty() || content.starts_with('#') || block.is_some_and(|key| dash > key) {
            continue;
        }
        let key = content.trim_start_matches("- ");
        let last = key.split_whitespace().next_back().unwrap_or_default();
        let indicator = last.strip_prefix(['|', '>']);
        block = indicator
            .filter(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-')))
            .map(|_| if key == last { dash } else { line.len() - key.len() });
        let Some((before, _)) = line.split_once("{{") else {
            continue;
        };
        let is_quoted = ['"', '\''].iter().any(|quote| before.matches(*quote).count() % 2 == 1);
        let found = helm_expression(line).filter(|found| !is_quoted && !["{{name}}", "{{namespace}}"].contains(found));
        if let Some(found) = found {
            return Some((index + 1, found));
        }
    }
    None
}

/// A variable that the shell or `envsubst` did not replace: `${NAME}`.
pub(crate) fn shell_variable(text: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(start) = text[from..].find("${").map(|at| at + from) {
        let end = text[start..].find('}').map(|at| at + start)?;
        let name = &text[start + 2..end];
        let name = name.split(":-").next().unwrap_or_default();
        let mut letters = name.chars();
        if letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Some(&text[start..=end]);
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_however_it_is_stored() {
        let text = "kind: Flink\nname: \u{fc}ber \u{1f600}\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            le.clone(),
            [b"\xff\xfe".to_vec(), le.clone()].concat(),
            be.clone(),
            [b"\xfe\xff".to_vec(), be].concat(),
        ] {
            assert_eq!(decode(bytes, "x").unwrap(), text);
        }
        assert_eq!(decode(Vec::new(), "x").unwrap(), "");
        for (bytes, why) in [
            (b"\xff\xfe\0\0k\0\0\0".to_vec(), "UTF-32"),
            (b"\x1f\x8b\x08".to_vec(), "compressed"),
            (b"a: b\nc: \xff\n".to_vec(), "line 2 is not in UTF-8"),
            ([b"\xff\xfe".to_vec(), le[..3].to_vec()].concat(), "damaged"),
            (b"\xff\xfe\x00\xd8".to_vec(), "damaged"),
        ] {
            let error = decode(bytes, "a.yaml").unwrap_err();
            assert!(
                error.message.starts_with("a.yaml: ") && error.message.contains(why),
                "{error}"
            );
        }
    }

    #[test]
    fn what_was_not_filled_in_is_seen() {
        for (text, want) in [
            ("image: {{ .Values.image }}", Some("{{ .Values.image }}")),
            ("{{- if .x }}", Some("{{- if .x }}")),
            ("a {{include \"x\" .}} b", Some("{{include \"x\" .}}")),
            ("{\"a\":{\"b\":{\"c\":1}}}", None),
            ("[{{\"a\":1}}]", None),
            ("{{", None),
            ("", None),
        ] {
            assert_eq!(helm_expression(text), want, "{text}");
        }
        for (text, want) in [
            ("a: 1\nb: {{ .x }}", Some((2, "{{ .x }}"))),
            ("- {{ .x }}", Some((1, "{{ .x }}"))),
            ("- a: |\n    {{ .x }}\n  b: {{ .y }}", Some((3, "{{ .y }}"))),
            ("a: \"{{ .x }}\"\n# {{ .y }}\n{{- if .z }}", Some((3, "{{- if .z }}"))),
            ("a: '/{{ .x }}'", None),
            ("a: {{name}}.{{namespace}}.example.com", None),
            ("a: |-\n  {{- with .x }}\n\n  {{ end }}\nb: c", None),
            ("a:\n- >\n  {{ .x }}\nb: c", None),
        ] {
            assert_eq!(unrendered(text), want, "{text}");
        }
        for (text, want) in [
            ("flink:${TAG}", Some("${TAG}")),
            ("${TAG:-latest}", Some("${TAG:-latest}")),
            ("$TAG", None),
            ("$(TAG)", None),
            ("${sys:log.file} ${X}", Some("${X}")),
            ("${", None),
            ("${}", None),
            ("${1}", None),
        ] {
            assert_eq!(shell_variable(text), want, "{text}");
        }
    }

    #[test]
    fn faults_of_yaml_speak_of_the_text() {
        let fault = |text: &str| yaml_fault(&serde_yaml::from_str::<serde_json::Value>(text).unwrap_err());
        assert_eq!(fault("a: 1\nb: {c: 1, c: 2}"), "the key c occurs twice");
        assert!(fault("a: *b").contains("has no anchor (&NAME)"));
        for text in [
            "a: 1\na: 2",
            "a: [",
            "a: *b",
            "a: b: c",
            "a:\n\tb: 1",
            "a: &x [*x]",
            "a: \"b",
            "a: [}",
        ] {
            let fault = fault(text);
            for word in "Options Policy policy deserialize serde snippet budget -->".split(' ') {
                assert!(!fault.contains(word), "{text:?}: {fault}");
            }
            assert!(!fault.is_empty() && !fault.contains('\n'), "{text:?}: {fault}");
        }
    }
}
