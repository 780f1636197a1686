//! Option values that are one of a few keywords.

use crate::error::{Error, Result};

/// A value that is one of a few keywords.
pub(crate) trait Keyword: Copy + PartialEq + Send + Sync + 'static {
    /// Each value, its keyword, and its meaning.
    const WORDS: &'static [(Self, &'static str, &'static str)];

    fn as_str(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(value, ..)| *value == self);
        found.map_or("", |(_, word, _)| word)
    }

    /// The value of a keyword.
    fn parse(text: &str) -> Result<Self> {
        let found = Self::WORDS.iter().find(|(_, word, _)| *word == text);
        found.map(|(value, ..)| *value).ok_or_else(|| {
            let words: Vec<&str> = Self::WORDS.iter().map(|(_, word, _)| *word).collect();
            Error::usage(format!("{text:?} is not possible, only {}", words.join(", ")))
        })
    }
}

/// Declares an enum of keywords: each value, its keyword, and its meaning.
macro_rules! keywords {
    ($(#[$meta:meta])* enum $name:ident { $($(#[$default:ident])? $value:ident = $word:literal: $meaning:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$default])? $value,)+
        }

        impl $crate::model::keyword::Keyword for $name {
            const WORDS: &'static [(Self, &'static str, &'static str)] = &[$((Self::$value, $word, $meaning)),+];
        }
    };
}
pub(crate) use keywords;
