//! What the version of an API server says, and whether it fits.

use serde_json::Value;

/// Oldest Kubernetes whose Tables of Jobs have all listed data: for older versions, lists read whole objects.
const OLDEST_MINOR: u32 = 31;

/// A number in the answer of `GET /version`, which may end in a plus sign.
pub(crate) fn version_number(server: &Value, key: &str) -> Option<u32> {
    let text = server[key].as_str()?;
    text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Why the version of an API server, from `GET /version`, does not fit, if it does not.
pub(crate) fn misfit(server: &Value) -> Option<String> {
    let (major, minor) = (version_number(server, "major")?, version_number(server, "minor")?);
    ((major, minor) < (1, OLDEST_MINOR)).then(|| {
        format!("Kubernetes {major}.{minor} is older than 1.{OLDEST_MINOR}, the oldest that this plugin supports")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::misfit;

    #[test]
    fn an_old_kubernetes_is_reported() {
        let misfit_of = |major: &str, minor: &str| misfit(&json!({"major": major, "minor": minor}));
        assert_eq!(misfit_of("1", "34"), None);
        assert_eq!(misfit_of("1", "31+"), None);
        assert_eq!(misfit_of("2", "0"), None);
        assert!(misfit_of("1", "30+").is_some_and(|text| text.contains("1.30")));
        assert_eq!(misfit(&json!({})), None);
    }
}
