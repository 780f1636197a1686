//! Flink's IDs, of jobs, triggers and vertices: 32 hexadecimal digits.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Computes a job ID from a seed: the first 16 bytes of the seed's SHA-256, in hexadecimal.
///
/// Flink's own `--job-id-seed` was only on a branch and is in no release, so this algorithm is ours, and stable for
/// ever: `printf %s SEED | sha256sum | cut -c1-32` returns the same.
pub(crate) fn from_seed(seed: &str) -> String {
    Sha256::digest(seed.as_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Number of characters of a nonce.
const NONCE: usize = 8;

/// A nonce derived from the seed: lower-case letters and digits, which all Kubernetes names allow.
pub(crate) fn nonce(seed: &str) -> String {
    from_seed(seed).chars().take(NONCE).collect()
}

/// Whether the text has the form of Flink's IDs.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

/// Checks a job ID and returns it in lower case, as Flink prints it.
///
/// # Errors
/// Usage error when it is not 32 hexadecimal digits. Flink itself would print its usage and exit with 1.
pub(crate) fn parse(id: &str) -> Result<String> {
    if is_id(id) {
        Ok(id.to_ascii_lowercase())
    } else {
        Err(Error::usage(format!(
            "invalid job ID {id:?}: it must be 32 hexadecimal digits"
        )))
    }
}

/// An ID from Flink or a history, checked for a path of Flink's REST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlinkId<'a>(&'a str);

impl<'a> FlinkId<'a> {
    /// Checks it.
    ///
    /// # Errors
    /// Failure when it is not 32 hexadecimal digits: it would lead to another path of the REST, or of the API server.
    pub(crate) fn new(id: &'a str) -> Result<Self> {
        if is_id(id) {
            return Ok(Self(id));
        }
        let shown: String = id.chars().take(40).collect();
        Err(Error::failure(format!(
            "{shown:?} is not an ID of Flink: it must be 32 hexadecimal digits"
        )))
    }
}

impl fmt::Display for FlinkId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_algorithm_never_changes() {
        assert_eq!(from_seed("demo"), "2a97516c354b68848cdbd8f54a226a0a");
        assert_eq!(from_seed(""), "e3b0c44298fc1c149afbf4c8996fb924");
        assert_eq!(from_seed("demo").len(), 32);
    }

    #[test]
    fn an_id_in_a_path_is_as_flink_wrote_it() {
        let id = "00000000002EFDE30000000000000000";
        assert_eq!(FlinkId::new(id).unwrap().to_string(), id);
    }

    #[test]
    fn job_ids_are_32_hexadecimal_digits() {
        let expected = "000000000000000000000000000000ab";
        assert_eq!(parse("000000000000000000000000000000AB").unwrap(), expected);
        for bad in [
            "",
            "0",
            "0000000000000000000000000000000g",
            "00000000-0000-0000-0000-000000000000",
            &"0".repeat(33),
            "../../../api/v1/namespaces/ns/se",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
            assert!(FlinkId::new(bad).is_err(), "{bad}");
        }
    }
}
