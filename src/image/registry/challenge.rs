//! The challenge of a registry to an unauthenticated request: the header `WWW-Authenticate`.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// With user and password in each request.
    Basic,
    /// With a token from another address.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// The service, as the token server names it.
        service: Option<String>,
    },
}

/// Parses a header. Of several methods it selects the one with tokens.
pub(crate) fn read(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = parameters(rest);
    Some(Challenge::Bearer {
        realm: parameters.remove("realm")?,
        service: parameters.remove("service"),
    })
}

/// `name="value", name=value`: values in quotes may have commas in them, as scopes do.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        rest = next.trim_start_matches([',', ' ']);
    }
    found
}

/// The requested scope: `repository:NAME:ACTIONS`.
pub(crate) fn scope(repository: &str, push: bool) -> String {
    format!("repository:{repository}:{}", if push { "pull,push" } else { "pull" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(ToOwned::to_owned),
            })
        };
        for (header, want) in [
            (
                r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push""#,
                bearer("https://auth.example/token", Some("reg")),
            ),
            (r#"bearer scope="x,y" , realm="r""#, bearer("r", None)),
            ("Bearer realm=r, service=s", bearer("r", Some("s"))),
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("Bearer", None),
            ("Bearer service=\"s\"", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(read(header), want, "{header}");
        }
    }

    #[test]
    fn the_scope_says_what_is_meant() {
        assert_eq!(scope("a/b", true), "repository:a/b:pull,push");
        assert_eq!(scope("a/b", false), "repository:a/b:pull");
    }
}
