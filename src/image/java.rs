//! Parses Java versions: of class files, images and runtimes.

/// Java's version by the major version of a class file: 52 is Java 8, 61 is Java 17.
///
/// Source: Java Virtual Machine Specification, table 4.1-A.
pub(crate) fn of_class_file(start: &[u8]) -> Option<u16> {
    match start {
        [0xca, 0xfe, 0xba, 0xbe, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]).checked_sub(44),
        _ => None,
    }
}

/// The feature release in a version string: 17 of `jdk-17.0.9+9`, 8 of `1.8.0_392` and of `jdk8u392-b08`.
pub(crate) fn release(text: &str) -> Option<u16> {
    let text = text.trim_matches('"').trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        number => Some(number),
    }
}

/// The release in a tag of the official images: 17 of `2.3.0-scala_2.12-java17`.
pub(crate) fn of_tag(tag: &str) -> Option<u16> {
    let digits = tag.split('-').find_map(|part| part.strip_prefix("java"))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_in_use_is_read() {
        for (text, want) in [
            ("jdk-17.0.9+9", Some(17)),
            ("jdk8u392-b08", Some(8)),
            ("1.8.0_392", Some(8)),
            ("\"17.0.9\"", Some(17)),
            ("11", Some(11)),
            ("openjdk-21-jre", Some(21)),
            ("", None),
            ("none", None),
        ] {
            assert_eq!(release(text), want, "{text}");
        }
        assert_eq!(of_tag("2.3.0-scala_2.12-java17"), Some(17));
        assert_eq!(of_tag("2.3.0"), None);
    }

    #[test]
    fn class_files_have_a_version() {
        assert_eq!(of_class_file(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61, 0]), Some(17));
        assert_eq!(of_class_file(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52]), Some(8));
        assert_eq!(of_class_file(b"PK\x03\x04\0\0\0\0"), None);
        assert_eq!(of_class_file(&[]), None);
    }
}
