//! Numbers of things, in sentences.

use std::fmt::Display;

/// A number with its noun: `1 task`, `3 tasks`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let plural = if number == N::from(1_u8) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_singular() {
        let texts = [0_u32, 1, 2].map(|number| counted(number, "file"));
        assert_eq!(texts, ["0 files", "1 file", "2 files"]);
    }
}
