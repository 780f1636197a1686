//! Selects the proxy for an API server from the environment, and the servers that are reached without one, with kubectl's rules.
//!
//! Source: Go's `golang.org/x/net/http/httpproxy`, which kubectl uses. kube's own implementation compares NO_PROXY with
//! the proxy's address, and fails for an empty entry.

use std::net::IpAddr;

use http::Uri;

use crate::error::{Error, Result};

/// The proxy in the environment for `server`; `None`: connect directly.
pub(super) fn proxy(server: &Uri, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Uri>> {
    let names = match server.scheme_str() {
        Some("http") => ["HTTP_PROXY", "http_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy"],
    };
    let Some((name, proxy)) = first(names, &variable) else {
        return Ok(None);
    };
    if is_direct(server, variable) {
        return Ok(None);
    }
    let text = proxy.trim();
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    match text.parse::<Uri>() {
        Ok(uri) if uri.host().is_some() => Ok(Some(uri)),
        _ => Err(Error::usage(format!(
            "{name} is not the address of a proxy: {:?}",
            without_login(&proxy)
        ))
        .hint("it is like http://proxy.example:3128; NO_PROXY lists the hosts that are reached without it")),
    }
}

/// The address of a proxy for a message: before its last `@` may be a password, often one whose characters make it invalid.
pub(super) fn without_login(proxy: &str) -> &str {
    proxy.rsplit_once('@').map_or(proxy, |(_, host)| host)
}

/// The first of these variables that has a value.
pub(crate) fn first(
    names: [&'static str; 2],
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let mut values = names.into_iter().filter_map(|name| Some((name, variable(name)?)));
    values.find(|(_, value)| !value.trim().is_empty())
}

/// Whether a server is reached without a proxy: it is on this machine, or NO_PROXY lists it.
pub(crate) fn is_direct(server: &Uri, variable: impl Fn(&str) -> Option<String>) -> bool {
    let host = server.host().unwrap_or_default();
    let default = if server.scheme_str() == Some("http") { 80 } else { 443 };
    let port = server.port_u16().unwrap_or(default);
    let listed = first(["NO_PROXY", "no_proxy"], variable);
    is_loopback(host) || listed.is_some_and(|(_, list)| is_in(&list, host, port))
}

/// Whether a list such as `.example.com,10.0.0.0/8,host:6443` contains this host.
fn is_in(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',')
        .map(|part| part.trim().to_ascii_lowercase())
        .filter(|part| !part.is_empty())
        .any(|part| {
            if part == "*" {
                return true;
            }
            if let Some((network, bits)) = part.split_once('/') {
                let (Ok(network), Ok(bits)) = (network.parse(), bits.parse()) else {
                    return false;
                };
                return address.is_some_and(|address| is_within(address, network, bits));
            }
            let (name, wanted) = split_port(&part);
            if wanted.is_some_and(|wanted| wanted != port) {
                return false;
            }
            if let Ok(listed) = name.parse::<IpAddr>() {
                return address == Some(listed);
            }
            let name = name
                .strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(name);
            match name.strip_prefix('.') {
                Some("") => false,
                Some(_) => host.ends_with(name),
                None => !name.is_empty() && (host == name || host.ends_with(&format!(".{name}"))),
            }
        })
}

/// Host, without brackets, and port, if there is one.
fn split_port(part: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = part.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match part.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (part, None),
        },
        // An IPv6 address without a port, or an invalid one.
        _ => (part, None),
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    match width - bits.min(width) {
        _ if bits > width => false,
        128 => true,
        rest => address >> rest == network >> rest,
    }
}

/// Whether a host, with or without a port, is this machine. All container tools connect to registries there without
/// TLS.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = |ip: std::net::IpAddr| ip.is_loopback();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_listed_as_for_kubectl() {
        for (list, host, port, listed) in [
            ("api.example.com", "api.example.com", 6443, true),
            ("api.example.com,", "api.example.com", 6443, true),
            (",, api.example.com ,", "API.example.com", 6443, true),
            ("example.com", "api.example.com", 6443, true),
            ("example.com", "badexample.com", 6443, false),
            (".example.com", "api.example.com", 6443, true),
            (".example.com", "example.com", 6443, false),
            ("*.example.com", "api.example.com", 6443, true),
            ("*.example.com", "example.com", 6443, false),
            ("api.example.com:6443", "api.example.com", 6443, true),
            ("api.example.com:443", "api.example.com", 6443, false),
            ("10.0.0.1", "10.0.0.1", 443, true),
            ("10.0.0.1:6443", "10.0.0.1", 443, false),
            ("10.0.0.0/8", "10.9.8.7", 443, true),
            ("10.0.0.0/8", "11.9.8.7", 443, false),
            ("0.0.0.0/0", "11.9.8.7", 443, true),
            ("10.0.0.0/33", "10.0.0.0", 443, false),
            ("10.0.0.0/x", "10.0.0.0", 443, false),
            ("fd00::/8", "[fd00::1]", 443, true),
            ("::/0", "[fd00::1]", 443, true),
            ("fd00::1", "[fd00::1]", 443, true),
            ("[fd00::1]:6443", "[fd00::1]", 6443, true),
            ("[fd00::1]:6443", "[fd00::1]", 443, false),
            ("other,*", "api.example.com", 443, true),
            ("", "api.example.com", 443, false),
            (",", "api.example.com", 443, false),
            (".", "api.example.com", 443, false),
            (":443", "api.example.com", 443, false),
        ] {
            assert_eq!(is_in(list, host, port), listed, "{list} {host}:{port}");
        }
    }

    #[test]
    fn the_proxy_is_that_of_the_servers_scheme_and_never_of_this_machine() {
        let with = |server: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            proxy(&server.parse().unwrap(), variable).map(|uri| uri.map(|uri| uri.to_string()))
        };
        let far = "https://api.example.com:6443";
        let proxied = Some("http://proxy:3128/".to_owned());
        assert_eq!(with(far, &[("HTTPS_PROXY", "http://proxy:3128")]).unwrap(), proxied);
        assert_eq!(with(far, &[("https_proxy", "proxy:3128")]).unwrap(), proxied);
        assert_eq!(
            with("http://api.example.com", &[("HTTP_PROXY", "http://proxy:3128")]).unwrap(),
            proxied
        );
        assert_eq!(with(far, &[("HTTP_PROXY", "http://proxy:3128")]).unwrap(), None);
        assert_eq!(with(far, &[("HTTPS_PROXY", "")]).unwrap(), None);
        let variables = [("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")];
        assert_eq!(with(far, &variables).unwrap(), proxied);
        assert_eq!(with(far, &[("NO_PROXY", "x,")]).unwrap(), None);
        // The API server's host decides, and not the proxy's.
        let variables = [("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", "proxy,")];
        assert_eq!(with(far, &variables).unwrap(), proxied);
        let variables = [("HTTPS_PROXY", "http://proxy:3128"), ("no_proxy", "api.example.com,")];
        assert_eq!(with(far, &variables).unwrap(), None);
        for near in [
            "https://127.0.0.1:6443",
            "https://localhost:6443",
            "https://[::1]:6443",
            "https://127.9.9.9",
        ] {
            assert_eq!(
                with(near, &[("HTTPS_PROXY", "http://proxy:3128")]).unwrap(),
                None,
                "{near}"
            );
        }
        assert!(with(far, &[("HTTPS_PROXY", "http://")]).is_err());
        let error = with(far, &[("HTTPS_PROXY", "http://user:se cret@proxy:3128")]).unwrap_err();
        assert!(error.message.ends_with("\"proxy:3128\""), "{error}");
    }
}
