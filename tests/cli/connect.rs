//! kubectl's connection flags, the proxy and the network, by the example of `list`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::image_login::{http_proxy, proxy_to, socks_proxy};
use crate::objects::{deployment_table, job_table};
use crate::sandbox::Sandbox;
use crate::server::{Call, get, json};
use crate::snapshot;

/// Both lists of `list -n NAMESPACE`, empty, with more that is expected of the requests.
pub fn lists(sandbox: &Sandbox, namespace: &str, more: impl Fn(Call) -> Call) {
    let jobs = get(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"));
    sandbox.server.expect(more(jobs)).answer(json(&job_table(&[])));
    let deployments = get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"));
    sandbox
        .server
        .expect(more(deployments))
        .answer(json(&deployment_table(&[])));
}

pub fn bearer(token: &str) -> impl Fn(Call) -> Call {
    let value = format!("Bearer {token}");
    move |call| call.header("authorization", &value)
}

/// `list` with these arguments does what was expected.
pub fn works(sandbox: &Sandbox, arguments: &[&str]) {
    let outcome = sandbox.run(&[&["list", "-oname"], arguments].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
}

// Flags.

#[test]
fn server_and_token_without_a_kubeconfig() {
    let sandbox = Sandbox::bare();
    lists(&sandbox, "default", bearer("t0ken"));
    works(&sandbox, &["--server", &sandbox.server.url(), "--token", "t0ken"]);
    lists(&sandbox, "other", bearer("t0ken"));
    works(
        &sandbox,
        &["-s", &sandbox.server.url(), "--token", "t0ken", "-n", "other"],
    );
}

#[test]
fn a_server_without_a_scheme() {
    let sandbox = Sandbox::bare();
    lists(&sandbox, "default", |call| call);
    works(
        &sandbox,
        &["--server", sandbox.server.url().trim_start_matches("http://")],
    );
}

#[test]
fn a_server_below_a_path() {
    let sandbox = Sandbox::bare();
    for path in [
        "/k8s/clusters/c-1/apis/batch/v1/namespaces/default/jobs",
        "/k8s/clusters/c-1/apis/apps/v1/namespaces/default/deployments",
    ] {
        let table = if path.ends_with("jobs") {
            job_table(&[])
        } else {
            deployment_table(&[])
        };
        sandbox.server.expect(get(path)).answer(json(&table));
    }
    works(
        &sandbox,
        &["--server", &format!("{}/k8s/clusters/c-1/", sandbox.server.url())],
    );
}

#[test]
fn another_server_for_the_context() {
    let sandbox = Sandbox::bare();
    let text = sandbox
        .kubeconfig("test")
        .replace(&sandbox.server.url(), "http://127.0.0.1:1");
    sandbox.file(".kube/config", &text);
    lists(&sandbox, "default", bearer("s3cret"));
    works(&sandbox, &["--server", &sandbox.server.url()]);
}

#[test]
fn another_token_for_the_context() {
    let sandbox = Sandbox::new();
    lists(&sandbox, "default", bearer("t0ken"));
    works(&sandbox, &["--token", "t0ken"]);
}

#[test]
fn context_cluster_and_user() {
    let sandbox = Sandbox::bare();
    let mut text = sandbox
        .kubeconfig("test")
        .replace("cluster: test-cluster", "cluster: nowhere");
    text.push_str("- name: other\n  user: {token: other}\n");
    sandbox.file(".kube/config", &text);
    lists(&sandbox, "default", bearer("other"));
    works(&sandbox, &["--context=test", "--cluster=test-cluster", "--user=other"]);
}

#[test]
fn the_namespace_of_the_context_and_of_the_flag() {
    let sandbox = Sandbox::bare();
    let text = sandbox
        .kubeconfig("test")
        .replace("user: tester}", "user: tester, namespace: team-a}");
    sandbox.file(".kube/config", &text);
    lists(&sandbox, "team-a", |call| call);
    works(&sandbox, &[]);
    lists(&sandbox, "team-b", |call| call);
    works(&sandbox, &["--namespace", "team-b"]);
}

#[test]
fn a_namespace_that_cannot_be() {
    snapshot!(Sandbox::new().run(&["list", "-n", "../../secrets?x="]));
}

#[test]
fn a_proxy_is_asked_as_kubectl_asks_it() {
    // Nothing listens there: what goes there fails.
    let proxied = |variables: &[(&str, &str)], server: &str| {
        let mut sandbox = Sandbox::bare();
        for (name, value) in variables {
            sandbox = sandbox.variable(name, value);
        }
        sandbox.run(&["list", "--request-timeout=5s", "--server", server])
    };
    let far = "http://api.invalid";
    let outcome = proxied(&[("HTTP_PROXY", "http://127.0.0.1:9")], far);
    assert!(
        outcome.code == Some(7) && outcome.stderr.contains("refused"),
        "{outcome}"
    );
    for except in ["api.invalid", "api.invalid,", ".invalid, ,", "*"] {
        let outcome = proxied(&[("HTTP_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", except)], far);
        assert!(
            outcome.code == Some(7) && !outcome.stderr.contains("refused"),
            "{except}: {outcome}"
        );
    }
    // This machine is reached directly, and the proxy's own name in NO_PROXY means nothing.
    let sandbox = Sandbox::new()
        .variable("HTTP_PROXY", "http://127.0.0.1:9")
        .variable("HTTPS_PROXY", "http://127.0.0.1:9")
        .variable("NO_PROXY", "elsewhere,");
    lists(&sandbox, "default", bearer("s3cret"));
    works(&sandbox, &[]);
    let outcome = proxied(&[("HTTP_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "127.0.0.1")], far);
    assert!(outcome.stderr.contains("refused"), "{outcome}");
}

#[test]
fn a_proxy_gets_the_login_in_its_address() {
    let connect = "CONNECT api.invalid:6443 HTTP/1.1; proxy-authorization: Basic dXNlcjp3QHJk; ";
    for (scheme, expected) in [
        ("http", connect),
        ("socks5", "user w@rd api.invalid:6443"),
        ("socks5h", "user w@rd api.invalid:6443"),
    ] {
        let sandbox = Sandbox::bare();
        let url = sandbox.server.url();
        let greet = if scheme == "http" { http_proxy } else { socks_proxy };
        let (proxy, asked) = proxy_to(url.replace("http://", ""), greet);
        let far = format!("\"http://api.invalid:6443\", proxy-url: \"{scheme}://user:w%40rd@{proxy}\"");
        let text = sandbox.kubeconfig("test").replace(&format!("\"{url}\""), &far);
        sandbox.file(".kube/config", &text);
        lists(&sandbox, "default", bearer("s3cret"));
        let outcome = sandbox.run(&["list", "-oname"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let asked = asked.lock().unwrap()[0].clone();
        assert!(asked.eq_ignore_ascii_case(expected), "{asked}");
    }
}

#[test]
fn the_login_of_a_proxy_that_is_not_supported_is_not_shown() {
    let sandbox = Sandbox::new().variable("HTTPS_PROXY", "socks4://user:w0rd@127.0.0.1:9");
    let outcome = sandbox.run(&["list", "--server", "https://api.invalid"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("proxies of kind socks4"), "{outcome}");
    assert!(!outcome.stderr.contains("w0rd"), "{outcome}");
}

/// A server that answers after `delay`.
fn late(delay: Duration) -> Sandbox {
    let sandbox = Sandbox::new();
    for (path, table) in [
        ("/apis/batch/v1/namespaces/default/jobs", job_table(&[])),
        ("/apis/apps/v1/namespaces/default/deployments", deployment_table(&[])),
    ] {
        sandbox.server.expect(get(path)).answer(json(&table).after(delay));
    }
    sandbox
}

#[test]
fn a_request_timeout() {
    let sandbox = late(Duration::from_secs(20));
    let begun = Instant::now();
    snapshot!(sandbox.run(&["list", "--request-timeout=1s"]));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn no_request_timeout() {
    works(&late(Duration::from_millis(200)), &["--request-timeout", "0"]);
}

#[test]
fn a_request_timeout_that_is_none() {
    snapshot!(Sandbox::new().run(&["list", "--request-timeout", "soon"]));
}

// The network.

#[test]
fn a_server_that_is_not_there() {
    snapshot!(Sandbox::new().run(&["list", "--server", "http://127.0.0.1:1"]));
}

#[test]
fn a_name_that_does_not_resolve() {
    let outcome = Sandbox::new().run(&["list", "--server", "https://api.invalid:6443"]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    assert!(
        outcome
            .stderr
            .starts_with("error: cannot reach https://api.invalid:6443 (context \"test\")"),
        "{outcome}"
    );
}

#[test]
fn a_server_that_does_not_speak_tls() {
    let sandbox = Sandbox::new();
    let url = sandbox.server.url().replace("http://", "https://");
    let outcome = sandbox.run(&["list", "--server", &url]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    assert!(outcome.stderr.contains("cannot reach https://[ADDRESS]"), "{outcome}");
    let outcome = sandbox.run(&["list", "--server", &format!("https://{}", without_tls())]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    assert!(outcome.stderr.contains(": it does not speak TLS\n"), "{outcome}");
}

/// Host and port of a server that answers everything without TLS.
pub fn without_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            // It is open until the other side has read that.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    host
}

#[test]
fn verbose_shows_requests_and_no_secrets() {
    let sandbox = Sandbox::new();
    lists(&sandbox, "default", |call| call);
    let outcome = sandbox.run(&["list", "-oname", "-vv"]);
    assert!(
        outcome.stderr.contains("/apis/batch/v1/namespaces/default/jobs"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("s3cret"), "{outcome}");
}
