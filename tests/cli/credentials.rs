//! How the user logs in to the API server, by the example of `list`.

use crate::connect::{bearer, lists, works};
use crate::sandbox::Sandbox;
use crate::snapshot;

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
