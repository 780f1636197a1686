//! Amounts of memory and CPU, in Flink's notation and in Kubernetes'.
//!
//! The two differ dangerously: `2048m` is 2048 MiB in Flink and 2.048 bytes in Kubernetes.

use std::fmt;

use crate::error::{Error, Result};

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    bytes: u64,
}

/// An amount of CPU, in thousandths of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu {
    millis: u64,
}

const KIB: u64 = 1024;
const UNITS: [(&str, u64); 4] = [
    ("t", KIB * KIB * KIB * KIB),
    ("g", KIB * KIB * KIB),
    ("m", KIB * KIB),
    ("k", KIB),
];

impl Memory {
    pub(crate) const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    pub(crate) const fn bytes(self) -> u64 {
        self.bytes
    }

    /// The number of the largest unit that keeps it whole.
    fn whole(self) -> Option<(u64, &'static str)> {
        let mut units = UNITS.iter();
        let (unit, size) = units.find(|(_, size)| self.bytes > 0 && self.bytes.is_multiple_of(*size))?;
        Some((self.bytes / size, unit))
    }

    /// Flink's spelling, with the largest unit that keeps it whole: `1600m`.
    #[must_use]
    pub fn to_flink(self) -> String {
        match self.whole() {
            Some((number, unit)) => format!("{number}{unit}"),
            None => format!("{}b", self.bytes),
        }
    }

    /// Kubernetes' spelling of the same: `1600Mi`.
    #[must_use]
    pub fn to_kubernetes(self) -> String {
        match self.whole() {
            Some((number, unit)) => format!("{number}{}i", unit.to_uppercase()),
            None => self.bytes.to_string(),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_flink())
    }
}

impl Cpu {
    /// `millis` thousandths of a core.
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// Thousandths of a core.
    pub(crate) const fn millis(self) -> u64 {
        self.millis
    }
}

impl fmt::Display for Cpu {
    /// Kubernetes' canonical spelling: `2`, `500m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis.is_multiple_of(1000) {
            write!(f, "{}", self.millis / 1000)
        } else {
            write!(f, "{}m", self.millis)
        }
    }
}

/// Splits `text` into its number and its unit, both trimmed.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// `number` × `numerator` ÷ `denominator` without a rounding error; `None` when it is no decimal number, not whole, or
/// too large.
fn scaled(number: &str, numerator: u64, denominator: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let power = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let product = digits.checked_mul(u128::from(numerator))?;
    let divisor = power * u128::from(denominator);
    (product % divisor == 0)
        .then(|| u64::try_from(product / divisor).ok())
        .flatten()
}

/// Size of a unit of Kubernetes' binary notation, such as `Mi`.
fn binary_unit(unit: &str) -> Option<u64> {
    UNITS
        .iter()
        .find(|(name, _)| unit.len() == 2 && unit.ends_with('i') && unit[..1].eq_ignore_ascii_case(name))
        .map(|(_, size)| *size)
}

/// Parses memory like Flink and its operator: `2048m`, `2 gb`, `1073741824` (bytes), and also `2Gi`.
///
/// Source of the units: Flink's `MemorySize.MemoryUnit`; all of them are powers of 1024.
pub fn memory_flink(text: &str) -> Result<Memory> {
    let (number, unit) = split(text);
    let lower = unit.to_ascii_lowercase();
    let size = match lower.as_str() {
        "" | "b" | "bytes" => Some(1),
        "k" | "kb" | "kibibytes" => Some(KIB),
        "m" | "mb" | "mebibytes" => Some(UNITS[2].1),
        "g" | "gb" | "gibibytes" => Some(UNITS[1].1),
        "t" | "tb" | "tebibytes" => Some(UNITS[0].1),
        _ => binary_unit(unit),
    };
    size.and_then(|size| scaled(number, size, 1))
        .filter(|bytes| *bytes > 0)
        .map(Memory::from_bytes)
        .ok_or_else(|| invalid_memory(text))
}

/// Parses memory of a FlinkDeployment like the operator: in Flink's notation, else in Kubernetes', where a `B` at the end
/// does not count: `2048m`, `2Gi`, `2GiB`, `1e9`.
///
/// A fraction has no meaning in Flink's notation. The operator reads `1.5g` as Kubernetes' `1.5G`, and Flink refuses the
/// product `1500000000.0`. Source: its `ResourceConfigUtils.parseResourceMemoryString`, fabric8's
/// `Quantity.getAmountInBytes`, Flink's `MemorySize.parseBytes`.
pub(crate) fn memory_of_file(text: &str) -> Result<Memory> {
    let (number, unit) = split(text);
    if exponent(unit).is_some() {
        return memory_kubernetes(text);
    }
    let lower = unit.to_ascii_lowercase();
    match lower.strip_suffix('b').unwrap_or(&lower).strip_suffix('i') {
        Some(binary) => memory_flink(&format!("{number}{binary}i")).map_err(|_| invalid_memory(text)),
        None if number.contains('.') => {
            Err(invalid_memory(text).hint("a part of a GiB is a whole number of MiB: 1536m for one and a half"))
        }
        None => memory_flink(text),
    }
}

/// The factor of Kubernetes' notation with an exponent, such as `e9`.
fn exponent(unit: &str) -> Option<u64> {
    let digits = unit.strip_prefix(['e', 'E'])?;
    10_u64.checked_pow(digits.parse().ok()?)
}

fn invalid_memory(text: &str) -> Error {
    Error::usage(format!(
        "invalid amount of memory {text:?}: it must be like 1600m, 2g or 2Gi"
    ))
}

/// Parses memory like Kubernetes: `2Gi`, `2G` (10^9), `1e9`, `128974848`, `1500M` (10^6), and `2048m`, which is 2.048 bytes.
///
/// # Errors
/// Usage error for anything else, and for a value that is not a whole number of bytes: `2048m` is probably in Flink's
/// notation.
pub fn memory_kubernetes(text: &str) -> Result<Memory> {
    let (number, unit) = split(text);
    let (numerator, denominator) = match unit {
        "" => (1, 1),
        "m" => (1, 1000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        _ => (exponent(unit).or_else(|| binary_unit(unit)).unwrap_or(0), 1),
    };
    if numerator > 0
        && let Some(bytes) = scaled(number, numerator, denominator).filter(|bytes| *bytes > 0)
    {
        return Ok(Memory::from_bytes(bytes));
    }
    let error = Error::usage(format!(
        "invalid amount of memory {text:?}: Kubernetes' notation is like 1600Mi or 2Gi"
    ));
    Err(if unit == "m" {
        error.hint(format!(
            "in Kubernetes' notation {text:?} is a thousandth of {number} bytes; {number} MiB are written {number}Mi"
        ))
    } else {
        error
    })
}

/// Reads CPU in cores: `1`, `0.5`, `1.0`, `500m`.
pub fn cpu(text: &str) -> Result<Cpu> {
    let (number, unit) = split(text);
    let millis = match unit {
        "" => scaled(number, 1000, 1),
        "m" => scaled(number, 1, 1),
        _ => None,
    };
    millis
        .filter(|millis| *millis > 0)
        .map(Cpu::from_millis)
        .ok_or_else(|| {
            Error::usage(format!(
                "invalid amount of CPU {text:?}: it must be like 1, 0.5 or 500m"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flinks_m_is_mebibytes() {
        for (text, kubernetes) in [
            ("2048m", "2Gi"),
            ("1600m", "1600Mi"),
            ("1 gb", "1Gi"),
            ("2Gi", "2Gi"),
            ("1500Mi", "1500Mi"),
            ("1073741824", "1Gi"),
            ("1.5g", "1536Mi"),
            ("1025b", "1025"),
        ] {
            assert_eq!(memory_flink(text).unwrap().to_kubernetes(), kubernetes, "{text}");
        }
        assert_eq!(memory_flink("2Gi").unwrap().to_flink(), "2g");
        for bad in ["", "m", "-1m", "1x", "1e3m", "0", "99999999999999t", "1.0000000000001g"] {
            assert!(memory_flink(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_has_flinks_notation_without_fractions_or_that_of_kubernetes() {
        for (text, kubernetes) in [
            ("2048m", "2Gi"),
            ("2G", "2Gi"),
            ("2 gb", "2Gi"),
            ("2Gi", "2Gi"),
            ("2GiB", "2Gi"),
            ("2048MiB", "2Gi"),
            ("1.5Gi", "1536Mi"),
            ("1e9", "1000000000"),
            ("1024b", "1Ki"),
        ] {
            assert_eq!(memory_of_file(text).unwrap().to_kubernetes(), kubernetes, "{text}");
        }
        for bad in ["1.5g", "1.5gb", "1.5m", "1.5", "", "e9", "1e99", "0e1", "2xi", "1ib"] {
            assert!(memory_of_file(bad).is_err(), "{bad}");
        }
        assert!(memory_of_file("1.5g").unwrap_err().hints[0].contains("1536m"));
    }

    #[test]
    fn kubernetes_m_is_a_thousandth() {
        for (text, flink) in [
            ("2Gi", "2g"),
            ("1600Mi", "1600m"),
            ("2G", "1953125k"),
            ("1e3", "1000b"),
            ("2048000m", "2k"),
            ("1024", "1k"),
        ] {
            assert_eq!(memory_kubernetes(text).unwrap().to_flink(), flink, "{text}");
        }
        let error = memory_kubernetes("2048m").unwrap_err();
        assert!(error.hints[0].contains("2048Mi"), "{error:?}");
        for bad in ["", "2g", "2Xi", "Gi", "2 GB"] {
            assert!(memory_kubernetes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cpu_is_printed_as_kubernetes_prints_it() {
        for (text, want) in [
            ("1", "1"),
            ("1.0", "1"),
            ("0.5", "500m"),
            ("1500m", "1500m"),
            ("2000m", "2"),
        ] {
            assert_eq!(cpu(text).unwrap().to_string(), want, "{text}");
        }
        for bad in ["", "0", "1.0001", "x", "1c"] {
            assert!(cpu(bad).is_err(), "{bad}");
        }
    }
}
