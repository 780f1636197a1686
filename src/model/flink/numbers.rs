//! Numbers in Flink's REST.

use serde::{Deserialize, Deserializer};

/// A number; `None` for `null`, for text such as `"NaN"`, and for -1, which is Flink's value for unknown.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Whole(u64),
        Real(f64),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Any::deserialize(deserializer)? {
        Any::Whole(number) => Some(number),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Any::Real(number) if number.is_finite() && number >= 0.0 => Some(number as u64),
        Any::Real(_) | Any::Other(_) => None,
    })
}

/// A number of tasks; 0 for -1, which Flink gives until it has decided.
pub(crate) fn decided<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = lenient(deserializer)?;
    Ok(number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0))
}

/// A number; `None` for anything else, including text such as `"NaN"`.
pub(crate) fn real<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Real(f64),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Any::deserialize(deserializer)? {
        Any::Real(number) if number.is_finite() => Some(number),
        Any::Real(_) | Any::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_absent() {
        #[derive(Deserialize)]
        struct Reply {
            #[serde(default, deserialize_with = "lenient")]
            n: Option<u64>,
        }
        for (text, want) in [
            (r#"{"n": 7}"#, Some(7)),
            (r#"{"n": 7.9}"#, Some(7)),
            (r#"{"n": -1}"#, None),
            (r#"{"n": "NaN"}"#, None),
            (r#"{"n": null}"#, None),
            (r#"{"n": {"deep": []}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str::<Reply>(text).unwrap().n, want, "{text}");
        }
    }
}
