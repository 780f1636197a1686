//! Where the kubeconfig comes from, and what can be wrong with it, by the example of `list`.

use crate::connect::{bearer, lists, works};
use crate::demo::{FLINK, running};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::get;
use crate::snapshot;

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
fn a_named_kubeconfig_replaces_all_others() {
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

/// kubectl writes `current-context: ""` into a file without one.
#[test]
fn a_file_without_a_current_context_leaves_it_to_the_next_one() {
    let sandbox = Sandbox::bare();
    let text = sandbox
        .kubeconfig("first")
        .replace("current-context: first", "current-context: \"\"");
    sandbox.file("first", &text);
    let second = sandbox.kubeconfig("second").replace("s3cret", "other");
    let second = second
        .replace("user: tester}", "user: second, namespace: team-a}")
        .replace("name: tester", "name: second");
    sandbox.file("second", &second);
    let sandbox = sandbox.variable("KUBECONFIG", "first:second");
    lists(&sandbox, "team-a", bearer("other"));
    works(&sandbox, &[]);
}

#[test]
fn an_empty_namespace_is_none() {
    for (in_context, flags, meant) in [("\"\"", &[][..], "default"), ("team-a", &["-n", ""], "team-a")] {
        let sandbox = Sandbox::bare();
        let context = format!("user: tester, namespace: {in_context}}}");
        let text = sandbox.kubeconfig("test").replace("user: tester}", &context);
        sandbox.file(".kube/config", &text);
        lists(&sandbox, meant, bearer("s3cret"));
        works(&sandbox, flags);
    }
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
fn an_authority_that_would_not_be_asked() {
    let flags = ["--certificate-authority", "ca.crt", "--insecure-skip-tls-verify"];
    let outcome = Sandbox::new().run(&[&["list"], &flags[..]].concat());
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("exclude each other"), "{outcome}");
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

/// Somebody chooses another Kubernetes cluster in it, where a cluster of the same name may run.
#[test]
fn a_kubeconfig_that_changes_while_a_command_runs_is_not_read_again() {
    let sandbox = running();
    let created = sandbox.run(&["create", "other", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(created.code, Some(0), "{created}");
    let path = sandbox.home().join(".kube/config");
    let elsewhere = sandbox
        .kubeconfig("test")
        .replace(&sandbox.server.url(), "http://127.0.0.1:9");
    let jobs = get(&format!("{FLINK}/jobs/overview"));
    sandbox
        .server
        .expect(jobs)
        .meanwhile(move |_| std::fs::write(path, elsewhere).unwrap());
    let outcome = sandbox.run(&["stop", "demo", "other"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}
