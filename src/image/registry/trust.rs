//! Limits the trust in a registry: which of the URLs that it returns may get requests and credentials.
//!
//! Credentials are only sent to the registry's own origin (scheme, host and port) and to its https realm. A request
//! that starts with TLS never continues without it.

use http::Uri;

use crate::error::{Error, Result};
use crate::kubernetes::no_proxy::is_loopback;

/// A URL that `base` returns: from https only https is allowed. A registry behind a proxy that terminates TLS may
/// return its own host with http; then https is used.
pub(crate) fn with_tls_of(base: &Uri, next: Uri) -> Result<Uri> {
    match (base.scheme_str(), next.scheme_str()) {
        (Some("http"), Some("http" | "https")) | (_, Some("https")) => return Ok(next),
        (_, Some("http")) => {}
        _ => {
            return Err(Error::failure(format!(
                "{} names an address that is neither https nor http",
                origin(base)
            )));
        }
    }
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    let same_port = next.port_u16() == base.port_u16() || (port(&next), port(base)) == (80, 443);
    if host(base) != host(&next) || !same_port {
        let text = format!("{} redirects to {}, which has no TLS", origin(base), origin(&next));
        return Err(Error::failure(text).hint("the administrator of the registry must change this address to https"));
    }
    let mut parts = next.into_parts();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    Uri::from_parts(parts).map_err(|e| Error::failure(format!("{} names no address: {e}", origin(base))))
}

/// Whether both have the same scheme, host and port.
pub(crate) fn same_origin(one: &Uri, other: &Uri) -> bool {
    origin(one) == origin(other)
}

/// Scheme, host and port. The rest of a URL may be secret, such as a signature.
pub(crate) fn origin(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    format!("{scheme}://{}:{}", host.to_ascii_lowercase(), port(uri))
}

/// The URL of the token server for `registry`, whose API is at `api`, if credentials may be sent there: with https; or,
/// for a registry without TLS, on its own host, on this machine, or on a host in `insecure`, for which the user allowed
/// it.
pub(crate) fn realm(realm: &str, registry: &str, api: &Uri, insecure: Option<&[String]>) -> Result<String> {
    let refused = |what: &str| {
        let text = format!("registry {registry} wants a login at {what}, and credentials are not sent there");
        Error::forbidden(text)
            .hint("the administrator of the registry must set the realm of its tokens to an https address")
    };
    let named: Uri = realm.parse().map_err(|_| refused("an invalid address"))?;
    let uri = with_tls_of(api, named.clone()).map_err(|_| refused(&origin(&named)))?;
    let host = uri.host().unwrap_or_default();
    let with_port = format!("{host}:{}", port(&uri));
    let allowed = uri.scheme_str() == Some("https")
        || insecure.is_some_and(|insecure| {
            api.host() == Some(host)
                || is_loopback(host)
                || insecure.iter().any(|named| *named == host || *named == with_port)
        });
    if allowed {
        Ok(uri.to_string())
    } else {
        Err(refused(&origin(&uri)))
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16()
        .unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn led(base: &str, location: &str) -> Result<String> {
        let location = HeaderValue::from_str(location).unwrap();
        crate::image::registry::http::resolve(&base.parse().unwrap(), &location).map(|uri| uri.to_string())
    }

    #[test]
    fn from_https_only_https_follows() {
        let base = "https://registry.example/v2/app/blobs/uploads/";
        for (location, want) in [
            (
                "/v2/app/blobs/uploads/1?_state=x",
                "https://registry.example/v2/app/blobs/uploads/1?_state=x",
            ),
            ("https://storage.example/b?sig=x", "https://storage.example/b?sig=x"),
            // A proxy ends TLS, and the registry behind it does not know.
            ("http://registry.example/v2/1", "https://registry.example/v2/1"),
            ("http://Registry.Example:80/v2/1", "https://registry.example/v2/1"),
        ] {
            assert_eq!(led(base, location).unwrap(), want);
        }
        let expected = "https://a:5000/1";
        assert_eq!(led("https://a:5000/v2/", "http://a:5000/1").unwrap(), expected);
        for (base, location) in [
            (base, "http://storage.example/b?sig=secret"),
            (base, "http://registry.example:8080/1"),
            ("https://a:5000/v2/", "http://a/1"),
            ("https://a:5000/v2/", "http://a:5001/1"),
            (base, "http://registry.example@evil.example/1"),
            (base, "ftp://registry.example/1"),
            ("http://a/", "ftp://a/1"),
        ] {
            let error = led(base, location).unwrap_err();
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
        assert_eq!(led("http://a:1/", "http://b:2/x").unwrap(), "http://b:2/x");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |one: &str, other: &str| same_origin(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("https://a/x", "https://A:443/y"));
        assert!(same("http://a/", "http://a:80/"));
        assert!(same("https://user@a/x", "https://a"));
        for other in ["http://a/", "https://a:444/", "https://b/", "https://a@b/"] {
            assert!(!same("https://a/", other), "{other}");
        }
    }

    #[test]
    fn a_password_goes_to_realms_with_tls_only() {
        let at = |api: &str, insecure: Option<&[&str]>, text: &str| {
            let insecure: Option<Vec<String>> = insecure.map(|hosts| hosts.iter().map(ToString::to_string).collect());
            realm(text, "reg.example", &api.parse().unwrap(), insecure.as_deref()).ok()
        };
        let (own, auth) = ("https://reg.example/v2/a/", "https://auth.example/token");
        assert_eq!(at(own, None, auth).as_deref(), Some(auth));
        assert_eq!(
            at(own, None, "http://reg.example/service/token?a=b").as_deref(),
            Some("https://reg.example/service/token?a=b")
        );
        for refused in [
            "http://auth.example/token",
            "http://127.0.0.1/token",
            "http://reg.example:81/token",
            "http://reg.example@auth.example/token",
            "ftp://reg.example/token",
            "/token",
            "",
        ] {
            assert_eq!(at(own, None, refused), None, "{refused}");
        }
        let plain = "http://reg.example:5000/v2/a/";
        for (insecure, text, allowed) in [
            (&["reg.example:5000"][..], "http://reg.example:5001/token", true),
            (&["reg.example:5000"], auth, true),
            (&["reg.example:5000"], "http://auth.example/token", false),
            (&["reg.example:5000", "auth.example"], "http://auth.example/token", true),
            (
                &["reg.example:5000", "auth.example:81"],
                "http://auth.example:81/token",
                true,
            ),
            (
                &["reg.example:5000", "auth.example:81"],
                "http://auth.example/token",
                false,
            ),
            (&[], "http://localhost:5001/token", true),
            (&[], "http://[::1]:5001/token", true),
        ] {
            assert_eq!(
                at(plain, Some(insecure), text).is_some(),
                allowed,
                "{insecure:?} {text}"
            );
        }
    }
}
