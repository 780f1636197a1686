//! The grammar of the URIs by which Flink gets a jar.

/// Why this is no URI of a jar; `None`: it may be one.
///
/// Source: Java's `URI`, which Flink and the operator make of it.
pub(crate) fn fault(uri: &str) -> Option<String> {
    let path = uri.strip_prefix("local://").filter(|path| !path.starts_with('/'));
    if let Some(path) = path {
        return Some(format!(
            "{uri:?} has no absolute path: the text between // and the next slash is a host; write local:///{path}"
        ));
    }
    let found = uri
        .char_indices()
        .find(|(at, c)| !is_allowed(*c, &uri[..*at], &uri[at + c.len_utf8()..]));
    found.map(|(_, c)| format!("{uri:?} is not a URI, in which {c:?} is not allowed"))
}

fn is_allowed(c: char, before: &str, after: &str) -> bool {
    let is_hex = |at: usize| after.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    match c {
        '%' => is_hex(0) && is_hex(1),
        // A host and a query can have them, and no path.
        '[' | ']' => before.matches('/').count() < 3 || before.contains(['?', '#']),
        _ => !c.is_whitespace() && !"\"<>\\^`{|}".contains(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_does_not_read_as_a_uri_is_found() {
        for (uri, reason) in [
            ("local://opt/a.jar", "write local:///opt/a.jar"),
            ("local:///opt/my job.jar", "' ' is not allowed"),
            ("s3://<bucket>/a.jar", "'<' is not allowed"),
            ("local:///opt/a[1].jar", "'[' is not allowed"),
            ("local:///opt/a%zz.jar", "'%' is not allowed"),
            ("local:///opt/a%2", "'%' is not allowed"),
        ] {
            let said = fault(uri).unwrap_or_default();
            assert!(said.contains(reason), "{uri}: {said}");
        }
        for uri in [
            "local:///opt/ä.jar",
            "local:///opt/a%20b.jar",
            "http://[::1]:80/a.jar",
            "https://host/a.jar?x=[1]&y=%2F",
        ] {
            assert_eq!(fault(uri), None, "{uri}");
        }
    }
}
