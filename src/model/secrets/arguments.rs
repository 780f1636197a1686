//! Secrets in a command line: the options of Flink stay, of all others the names.

use super::Redaction;
use super::redaction::{REDACTED, is_plain};
use crate::model::flink::arguments::takes_value;
use crate::model::flink::effective_config::is_secret;

/// What the next word of a command line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// An option, or a value.
    Any,
    /// `key=value` after `-D`.
    Pair,
    /// The value of an option of Flink.
    Plain,
    /// The value of an option with the name of a secret.
    Secret,
}

/// A command line, word by word.
#[derive(Clone, Debug)]
pub(super) struct Arguments {
    /// Whether the words are still Flink's own: its options end at the first that it does not know.
    flink: bool,
    next: Next,
}

impl Arguments {
    /// The arguments of Flink's entrypoint, or of another program.
    pub(super) const fn new(flink: bool) -> Self {
        Self { flink, next: Next::Any }
    }

    /// Replaces the secrets of the next word, and gives what was hidden, and whether it had the name of a secret.
    pub(super) fn next(&mut self, redaction: &Redaction, word: &mut String) -> Option<(String, bool)> {
        let next = std::mem::replace(&mut self.next, Next::Any);
        if next == Next::Plain {
            *word = redaction.text(word);
            return None;
        }
        if next == Next::Pair {
            return pair(redaction, word, "");
        }
        if word == "-D" {
            self.next = Next::Pair;
            return None;
        }
        if word.starts_with("-D") {
            return pair(redaction, word, "-D");
        }
        let option = word.split_once('=').map_or(word.as_str(), |(option, _)| option);
        if let Some(takes_value) = takes_value(option).filter(|_| self.flink) {
            if takes_value && option == word {
                self.next = Next::Plain;
            } else if takes_value {
                *word = redaction.text(word);
            }
            return None;
        }
        self.flink = false;
        if let Some(name) = word
            .strip_prefix('-')
            .filter(|_| next != Next::Secret || word.starts_with("--"))
        {
            if let Some((name, value)) = name.split_once('=') {
                let named = is_secret(name);
                if !named && is_plain(value) {
                    return None;
                }
                let hidden = value.to_owned();
                *word = format!("-{}={REDACTED}", redaction.text(name));
                return Some((hidden, named));
            }
            // A short option may have its value attached, as in `-pPASSWORD`.
            if !name.starts_with('-') && name.len() > 1 {
                return Some((std::mem::replace(word, format!("-{}{REDACTED}", first(name))), false));
            }
            if is_secret(name) {
                self.next = Next::Secret;
            }
            *word = redaction.text(word);
            return None;
        }
        if next != Next::Secret && is_plain(word) {
            return None;
        }
        Some((std::mem::replace(word, REDACTED.to_owned()), next == Next::Secret))
    }
}

fn first(text: &str) -> &str {
    text.char_indices().nth(1).map_or(text, |(at, _)| &text[..at])
}

/// A `key=value` of Flink after `before`.
fn pair(redaction: &Redaction, word: &mut String, before: &str) -> Option<(String, bool)> {
    let (key, value) = word[before.len()..].split_once('=')?;
    let shown = redaction.option(key, value);
    let hidden = (shown == REDACTED).then(|| (value.to_owned(), is_secret(key)));
    *word = format!("{before}{key}={shown}");
    hidden
}
