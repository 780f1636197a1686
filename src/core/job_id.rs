//! Flink job IDs: 32 hexadecimal digits.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Computes a job ID from a seed: the first 16 bytes of the seed's SHA-256, in hexadecimal.
///
/// Flink's own `--job-id-seed` was on a branch only and is in no release, so this algorithm is ours, and stable for
/// ever: `printf %s SEED | sha256sum | cut -c1-32` gives the same.
#[must_use]
pub fn from_seed(seed: &str) -> String {
    Sha256::digest(seed.as_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Checks a job ID and gives it in lower case, as Flink prints it.
///
/// # Errors
/// Usage error when it is not 32 hexadecimal digits. Flink itself would print its usage and exit with 1.
pub fn parse(id: &str) -> Result<String> {
    if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(id.to_ascii_lowercase())
    } else {
        Err(Error::usage(format!(
            "invalid job ID {id:?}: it must be 32 hexadecimal digits"
        )))
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
    fn job_ids_are_32_hexadecimal_digits() {
        assert_eq!(
            parse("000000000000000000000000000000AB").unwrap(),
            "000000000000000000000000000000ab"
        );
        for bad in [
            "",
            "0",
            "0000000000000000000000000000000g",
            "00000000-0000-0000-0000-000000000000",
            &"0".repeat(33),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
