//! The kubeconfig and kubectl's connection flags, by the example of `list`.

use std::time::{Duration, Instant};

use crate::objects::{deployment_table, job_table};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Call, get, json};
use crate::snapshot;

/// Both lists of `list -n NAMESPACE`, empty, with more that is expected of the requests.
fn lists(sandbox: &Sandbox, namespace: &str, more: impl Fn(Call) -> Call) {
    let jobs = get(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"));
    sandbox.server.expect(more(jobs)).answer(json(&job_table(&[])));
    let deployments = get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"));
    sandbox
        .server
        .expect(more(deployments))
        .answer(json(&deployment_table(&[])));
}

fn bearer(token: &str) -> impl Fn(Call) -> Call {
    let value = format!("Bearer {token}");
    move |call| call.header("authorization", &value)
}

/// `list` with these arguments does what was expected.
fn works(sandbox: &Sandbox, arguments: &[&str]) {
    let outcome = sandbox.run(&[&["list", "-oname"], arguments].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
}

fn list_with_kubeconfig(text: &str, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::bare();
    sandbox.file(".kube/config", text);
    sandbox.run(&[&["list"], arguments].concat())
}

// Where the kubeconfig comes from.

#[test]
fn no_kubeconfig() {
    snapshot!(Sandbox::bare().run(&["list"]));
}

#[test]
fn no_kubeconfig_and_a_context() {
    snapshot!(Sandbox::bare().run(&["list", "--context", "production"]));
}

#[test]
fn an_empty_kubeconfig() {
    snapshot!(list_with_kubeconfig("", &[]));
}

#[test]
fn the_kubeconfig_at_home() {
    let sandbox = Sandbox::new();
    lists(&sandbox, "default", bearer("s3cret"));
    works(&sandbox, &[]);
}

#[test]
fn a_named_kubeconfig_stands_for_all_others() {
    let sandbox = Sandbox::bare();
    sandbox.file(".kube/config", "nonsense");
    sandbox.file("other", &sandbox.kubeconfig("other"));
    let sandbox = sandbox.variable("KUBECONFIG", "nonsense");
    lists(&sandbox, "default", bearer("s3cret"));
    works(&sandbox, &["--kubeconfig", "other"]);
}

#[test]
fn a_named_kubeconfig_that_is_missing() {
    snapshot!(Sandbox::new().run(&["list", "--kubeconfig", "missing"]));
}

#[test]
fn the_variable_names_files_of_which_some_are_missing() {
    let sandbox = Sandbox::bare();
    sandbox.file("first", &sandbox.kubeconfig("first"));
    sandbox.file(
        "second",
        &sandbox
            .kubeconfig("second")
            .replace("s3cret", "other")
            .replace("tester", "second"),
    );
    let sandbox = sandbox.variable("KUBECONFIG", "missing:first::second");
    lists(&sandbox, "default", bearer("s3cret"));
    works(&sandbox, &[]);
    lists(&sandbox, "default", bearer("other"));
    works(&sandbox, &["--context", "second"]);
}

#[test]
fn the_variable_names_only_what_is_missing() {
    let sandbox = Sandbox::new().variable("KUBECONFIG", "missing");
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn certificates_and_token_files_are_found_beside_the_kubeconfig() {
    let sandbox = Sandbox::bare();
    let text = sandbox.kubeconfig("test").replace("token: s3cret", "tokenFile: token");
    sandbox.file("configs/config", &text);
    sandbox.file("configs/token", "from-a-file\n");
    lists(&sandbox, "default", bearer("from-a-file"));
    works(&sandbox, &["--kubeconfig", "configs/config"]);
}

// What is wrong with it.

#[test]
fn a_kubeconfig_that_is_no_yaml() {
    snapshot!(list_with_kubeconfig(
        "apiVersion: v1\nkind: Config\ncontexts:\n- name: a\n  context: {cluster: b\n",
        &[]
    ));
}

#[test]
fn a_kubeconfig_with_a_field_of_the_wrong_type() {
    snapshot!(list_with_kubeconfig(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: none\n",
        &[]
    ));
}

#[test]
fn a_kubeconfig_that_is_a_folder() {
    let sandbox = Sandbox::bare();
    sandbox.file(".kube/config/x", "");
    snapshot!(sandbox.run(&["list"]));
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let path = sandbox.home().join(".kube/config");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    if std::fs::read(&path).is_ok() {
        // The user root may read all.
        return;
    }
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn no_current_context() {
    let text = Sandbox::bare()
        .kubeconfig("test")
        .replace("current-context: test", "current-context: ''");
    snapshot!(list_with_kubeconfig(&text, &[]));
}

#[test]
fn an_unknown_context() {
    let sandbox = Sandbox::bare();
    sandbox.file("first", &sandbox.kubeconfig("first"));
    sandbox.file("second", &sandbox.kubeconfig("second"));
    let sandbox = sandbox.variable("KUBECONFIG", "first:second");
    snapshot!(sandbox.run(&["list", "--context", "third"]));
}

#[test]
fn a_context_without_its_cluster() {
    let text = Sandbox::bare()
        .kubeconfig("test")
        .replace("name: test-cluster", "name: other-cluster");
    snapshot!(list_with_kubeconfig(&text, &[]));
}

#[test]
fn a_context_without_its_user() {
    let text = Sandbox::bare()
        .kubeconfig("test")
        .replace("name: tester", "name: other");
    snapshot!(list_with_kubeconfig(&text, &[]));
}

#[test]
fn an_unknown_user() {
    snapshot!(Sandbox::new().run(&["list", "--user", "nobody"]));
}

#[test]
fn an_unknown_cluster() {
    snapshot!(Sandbox::new().run(&["list", "--cluster", "nowhere"]));
}

#[test]
fn a_cluster_without_a_server() {
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n\
                clusters: [{name: c, cluster: {}}]\n";
    snapshot!(list_with_kubeconfig(text, &[]));
}

#[test]
fn a_server_that_is_no_address() {
    snapshot!(Sandbox::new().run(&["list", "--server", "http://a b"]));
}

#[test]
fn a_certificate_authority_that_is_missing() {
    snapshot!(Sandbox::new().run(&["list", "--certificate-authority", "missing.crt"]));
}

#[test]
fn a_client_certificate_that_is_missing() {
    let arguments = [
        "list",
        "--server",
        "https://127.0.0.1:1",
        "--client-certificate",
        "a.crt",
        "--client-key",
        "a.key",
    ];
    snapshot!(Sandbox::new().run(&arguments));
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
fn impersonation() {
    let sandbox = Sandbox::new();
    lists(&sandbox, "default", |call| {
        call.header("impersonate-user", "jane")
            .header("impersonate-group", "developers")
            .header("impersonate-group", "admins")
            .header("impersonate-uid", "1234")
            .header("authorization", "Bearer s3cret")
    });
    works(
        &sandbox,
        &[
            "--as",
            "jane",
            "--as-group",
            "developers",
            "--as-group",
            "admins",
            "--as-uid",
            "1234",
        ],
    );
}

#[test]
fn basic_authentication() {
    let sandbox = Sandbox::bare();
    sandbox.file(
        ".kube/config",
        &sandbox
            .kubeconfig("test")
            .replace("token: s3cret", "username: jane, password: pass"),
    );
    lists(&sandbox, "default", |call| {
        call.header("authorization", "Basic amFuZTpwYXNz")
    });
    works(&sandbox, &[]);
}

#[test]
fn basic_authentication_by_flags() {
    let sandbox = Sandbox::new();
    lists(&sandbox, "default", |call| {
        call.header("authorization", "Basic amFuZTpwYXNz")
    });
    works(
        &sandbox,
        &["--username", "jane", "--password=pass", "--disable-compression"],
    );
    for wrong in [&["--username=jane"][..], &["--username=a", "--password=b", "--token=c"]] {
        let outcome = Sandbox::new().run(&[&["list"], wrong].concat());
        assert_eq!(outcome.code, Some(2), "{outcome}");
    }
}

fn exec(script: &str) -> Sandbox {
    let sandbox = Sandbox::bare();
    sandbox.file("log-in", script);
    let user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: [./log-in], \
                interactiveMode: Never}";
    sandbox.file(
        ".kube/config",
        &sandbox.kubeconfig("test").replace("token: s3cret", user),
    );
    sandbox
}

#[test]
fn a_program_that_gives_a_token() {
    let credential = "{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \
                      \"status\": {\"token\": \"from-a-program\"}}";
    let sandbox = exec(&format!("echo call >> calls\necho '{credential}'\n"));
    lists(&sandbox, "default", bearer("from-a-program"));
    works(&sandbox, &[]);
    let calls = std::fs::read_to_string(sandbox.home().join("calls")).unwrap();
    assert_eq!(
        calls, "call\n",
        "the program is run once, however many requests there are"
    );
}

#[test]
fn a_program_that_fails() {
    snapshot!(exec("echo 'session expired, please log in' >&2\nexit 3\n").run(&["list"]));
}

#[test]
fn a_program_that_is_missing() {
    let sandbox = Sandbox::bare();
    let user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: not-installed, interactiveMode: Never, \
                installHint: get it from the intranet}";
    sandbox.file(
        ".kube/config",
        &sandbox.kubeconfig("test").replace("token: s3cret", user),
    );
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn ways_to_log_in_that_kubectl_has_removed() {
    for (provider, instead) in [("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin")] {
        let sandbox = Sandbox::bare();
        let user = format!("auth-provider: {{name: {provider}, config: {{}}}}");
        sandbox.file(
            ".kube/config",
            &sandbox.kubeconfig("test").replace("token: s3cret", &user),
        );
        let outcome = sandbox.run(&["list"]);
        assert_eq!(outcome.code, Some(4), "{outcome}");
        let said = format!("The {provider} auth plugin has been removed.");
        assert!(
            outcome.stderr.contains(&said) && outcome.stderr.contains(instead),
            "{outcome}"
        );
        // A token on the command line displaces it.
        lists(&sandbox, "default", bearer("t0ken"));
        works(&sandbox, &["--token", "t0ken"]);
    }
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
fn a_request_timeout() {
    let sandbox = Sandbox::new();
    let late = |table| json(&table).after(Duration::from_secs(20));
    sandbox
        .server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(late(job_table(&[])));
    sandbox
        .server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(late(deployment_table(&[])));
    let begun = Instant::now();
    snapshot!(sandbox.run(&["list", "--request-timeout=1s"]));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn no_request_timeout() {
    let sandbox = Sandbox::new();
    let late = |table| json(&table).after(Duration::from_millis(200));
    sandbox
        .server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(late(job_table(&[])));
    sandbox
        .server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(late(deployment_table(&[])));
    works(&sandbox, &["--request-timeout", "0"]);
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
