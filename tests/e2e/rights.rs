//! A user with no more rights than are documented, with fewer, and with none.

use crate::place::{Place, STORAGE, create_arguments};
use crate::process::{self, Run};

/// The least Role, as the documentation says to make it.
const ROLE: &str = include_str!("../../docs/rbac.yaml");

/// Makes an account, which may do what `role` says, and gives a token of it.
fn user(place: &Place, role: &str) -> String {
    place.kubectl(&["create", "serviceaccount", "operator"]);
    if !role.is_empty() {
        place.apply(role);
        let subject = format!("--serviceaccount={}:operator", place.namespace);
        place.kubectl(&["create", "rolebinding", "operator", "--role=kubectl-flink", &subject]);
    }
    place.kubectl(&["create", "token", "operator"]).trim().to_owned()
}

/// Runs the plugin as that user: only the server and its certificate authority come from the kubeconfig.
fn flink_as(place: &Place, token: &str, arguments: &[&str]) -> Run {
    let config = place.kubectl(&["config", "view", "--raw", "--minify", "--flatten"]);
    let file = place.folder().join("kubeconfig");
    std::fs::write(&file, config).unwrap();
    let set = |words: &[&str]| {
        let mut command = std::process::Command::new("kubectl");
        command.arg("--kubeconfig").arg(&file).arg("config").args(words);
        process::run(&mut command, "").ok()
    };
    let token = format!("--token={token}");
    set(&["set-credentials", "e2e-operator", &token]);
    set(&["set-context", "--current", "--user=e2e-operator"]);
    let mut command = place.plugin(arguments);
    command.env("KUBECONFIG", &file);
    place.note(process::run(&mut command, ""))
}

fn create_as(place: &Place, token: &str, flags: &[&str]) -> Run {
    let arguments = create_arguments("demo", flags);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    flink_as(place, token, &arguments)
}

#[test]
fn the_documented_role_is_enough_for_every_command() {
    let place = Place::with_storage("role");
    let token = user(&place, ROLE);
    let flags = [&STORAGE[..], &["--", "--rate", "50"]].concat();
    create_as(&place, &token, &flags).ok();
    place.runs("demo");
    let table = flink_as(&place, &token, &["list"]).ok().stdout;
    assert!(table.contains("demo   Running"), "{table}");
    let before = place.counted("demo", 50);
    for command in [
        &["status", "demo"][..],
        &["why", "demo"],
        &["list", "--live"],
        &["list", "--deleted"],
        &["logs", "demo"],
        &["exceptions", "demo"],
        &["config", "demo"],
        &["events", "demo"],
        &["top", "demo"],
        &["history", "demo"],
        &["diff", "demo"],
        &["export", "demo"],
        &["savepoint", "demo"],
        &["savepoint", "list", "demo"],
        &["checkpoint", "demo"],
        &["wait", "demo", "--for=running"],
        &["adopt", "demo"],
        &["prune"],
    ] {
        let run = flink_as(&place, &token, command).ok();
        assert!(!run.stderr.contains("may not"), "{run}");
    }
    flink_as(&place, &token, &["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    flink_as(&place, &token, &["upgrade", "demo", "--env", "NEW=1"]).ok();
    place.continued("demo", before);
    flink_as(&place, &token, &["suspend", "demo"]).ok();
    flink_as(&place, &token, &["resume", "demo", "--no-wait"]).ok();
    flink_as(&place, &token, &["delete", "demo", "--savepoint", "--yes", "--purge"]).ok();
    place.left_with(&[
        "role.rbac.authorization.k8s.io/kubectl-flink",
        "rolebinding.rbac.authorization.k8s.io/operator",
        "serviceaccount/operator",
    ]);
}

#[test]
fn without_rights_on_configmaps_there_is_a_warning_and_no_history() {
    let place = Place::with_storage("no-maps");
    let token = user(&place, &without_rule(ROLE, "configmaps"));
    let warnings = |run: &Run| run.stderr.matches("no history is kept").count();
    let run = create_as(&place, &token, &[&STORAGE[..], &["--", "--rate", "50"]].concat()).ok();
    assert_eq!(warnings(&run), 1, "{run}");
    place.runs("demo");
    let before = place.counted("demo", 50);
    let run = flink_as(&place, &token, &["savepoint-resume", "demo"]).ok();
    assert_eq!(warnings(&run), 1, "{run}");
    place.continued("demo", before);
    let run = flink_as(&place, &token, &["delete", "demo", "--yes"]).ok();
    assert_eq!(warnings(&run), 1, "{run}");
    place.left_with(&[
        "role.rbac.authorization.k8s.io/kubectl-flink",
        "rolebinding.rbac.authorization.k8s.io/operator",
        "serviceaccount/operator",
    ]);
}

/// The Role without the rule of one resource. A rule is a paragraph.
fn without_rule(role: &str, resource: &str) -> String {
    let paragraphs: Vec<&str> = role.split("\n\n").collect();
    let kept: Vec<&str> = paragraphs
        .iter()
        .filter(|paragraph| !paragraph.contains(&format!("resources: [{resource}]")))
        .copied()
        .collect();
    assert_eq!(
        kept.len() + 1,
        paragraphs.len(),
        "{resource} has no paragraph of its own"
    );
    kept.join("\n\n")
}

#[test]
fn the_missing_right_is_reported() {
    let place = Place::new("no-rights");
    let token = user(&place, "");
    let namespace = format!("in namespace {}", place.namespace);
    create_as(&place, &token, &[])
        .exits(4)
        .reports(&["patch services", &namespace, "resources: [\"services\"]"]);
    for (command, right) in [
        (&["list"][..], "list jobs"),
        (&["savepoint-resume", "demo"], "get services"),
        (&["delete", "demo", "--yes"], "get services"),
    ] {
        flink_as(&place, &token, command).exits(4).reports(&[right, &namespace]);
    }
    place.left_with(&["serviceaccount/operator"]);
}

/// kubectl's flags of impersonation are the API server's to allow: it must see them with every request.
#[test]
fn an_impersonated_user_has_its_own_rights_and_no_others() {
    let place = Place::new("impersonated");
    user(&place, ROLE);
    let operator = format!("--as=system:serviceaccount:{}:operator", place.namespace);
    let flags = ["--image=flink:2.3.0", "--dry-run=server", "-oname", &operator];
    let checked = place.flink(&[&["create", "demo"][..], &flags].concat()).ok();
    assert!(checked.stdout.contains("job.batch/demo-master"), "{checked}");
    place.flink(&["list", &operator]).ok();
    place.flink(&["savepoint-resume", "demo", &operator]).exits(3);
    place.flink(&["delete", "demo", "--yes", &operator]).exits(3);
    let other = format!("--as=system:serviceaccount:{}:other", place.namespace);
    for command in [&["list"][..], &["delete", "demo", "--yes"], &["savepoint", "demo"]] {
        place
            .flink(&[command, &[&other]].concat())
            .exits(4)
            .reports(&[":other"]);
    }
    place.flink(&["list", &other, "--as-group=system:masters"]).ok();
}
