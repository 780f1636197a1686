//! A Service or a Deployment of a cluster that was deleted with kubectl while its Job is there: which commands create it again,
//! and what they say.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE, empty, running, running_with};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::patch;

/// Its JobManager waits for its image, and its history has no savepoint.
fn without_service_and_deployment() -> Sandbox {
    let sandbox = empty();
    let outcome = sandbox.run(&["create", "demo", "--image", "missing:2.3.0", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    remove(&sandbox, &[SERVICE, DEPLOYMENT]);
    sandbox
}

fn remove(sandbox: &Sandbox, paths: &[&str]) {
    let mut world = sandbox.world();
    for path in paths {
        world.remove(path);
    }
}

fn uid(sandbox: &Sandbox, path: &str) -> Value {
    sandbox.object(path)["metadata"]["uid"].clone()
}

/// That both are there again, and that the Job is the same one.
fn is_whole(sandbox: &Sandbox, job: &Value, outcome: &Outcome) {
    for path in [SERVICE, DEPLOYMENT] {
        assert!(sandbox.object(path).is_object(), "{path}: {outcome}");
    }
    assert_eq!(uid(sandbox, JOB), *job, "{outcome}");
    let said = "demo: created again, because it was missing: Service demo-master, Deployment demo-task-manager";
    assert!(outcome.stderr.contains(said), "{outcome}");
}

#[test]
fn a_resume_that_finds_only_objects_missing_creates_them_and_succeeds() {
    for command in ["resume", "savepoint-resume"] {
        let sandbox = without_service_and_deployment();
        let job = uid(&sandbox, JOB);
        let tried = sandbox.run(&[command, "demo", "--dry-run=server"]);
        assert_eq!(tried.code, Some(0), "{tried}");
        assert!(tried.changes().is_empty(), "{tried}");
        assert!(tried.stderr.contains("demo: would be created again"), "{tried}");
        let outcome = sandbox.run(&[command, "demo", "--no-wait"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout, "cluster/demo resumed\n", "{outcome}");
        is_whole(&sandbox, &job, &outcome);
        assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
    }
}

/// Nothing says where another version would start.
#[test]
fn a_resume_with_another_version_says_what_was_created_before_it_is_refused() {
    let sandbox = without_service_and_deployment();
    let job = uid(&sandbox, JOB);
    let outcome = sandbox.run(&["savepoint-resume", "demo", "--env", "A=2", "--no-wait"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    is_whole(&sandbox, &job, &outcome);
}

/// TaskManagers would be idle.
#[test]
fn a_job_that_has_ended_gets_no_deployment_before_a_refusal() {
    let sandbox = running();
    sandbox.end("Failed", "2026-01-01T00:00:00Z");
    remove(&sandbox, &[DEPLOYMENT]);
    for command in ["resume", "savepoint-resume"] {
        let outcome = sandbox.run(&[command, "demo", "--no-wait"]);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

const FILE: &str = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\n\
    spec: {image: 'missing:2.3.0', flinkVersion: v2_3, job: {jarURI: 'local:///opt/flink/usrlib/a.jar', parallelism: 1}}\n";
const APPLY: &[&str] = &["apply", "-f", "demo.yaml", "--no-wait"];
const TRY: &[&str] = &["apply", "-f", "demo.yaml", "--dry-run=server", "--exit-code"];

fn applied(file: &str) -> Sandbox {
    let sandbox = empty();
    sandbox.file("demo.yaml", file);
    let outcome = sandbox.run(APPLY);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    sandbox
}

#[test]
fn apply_creates_missing_objects_and_its_dry_run_says_so() {
    let sandbox = applied(FILE);
    let job = uid(&sandbox, JOB);
    remove(&sandbox, &[SERVICE, DEPLOYMENT]);
    let tried = sandbox.run(TRY);
    assert_eq!(tried.code, Some(1), "{tried}");
    assert_eq!(tried.stdout, "cluster/demo created (server dry run)\n", "{tried}");
    let said = "demo: would be created again, because it is missing: Service demo-master, Deployment demo-task-manager";
    assert!(tried.stderr.contains(said), "{tried}");
    assert!(!tried.stderr.contains("up to date"), "{tried}");
    assert!(tried.changes().is_empty(), "{tried}");
    let outcome = sandbox.run(APPLY);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo created\n", "{outcome}");
    is_whole(&sandbox, &job, &outcome);
    let again = sandbox.run(TRY);
    assert_eq!(again.code, Some(0), "{again}");
}

/// The same cluster, whose job runs.
fn applied_and_running() -> Sandbox {
    applied(&FILE.replace("missing:", "flink:"))
}

/// A restart would need a savepoint, which fails without TaskManagers.
#[test]
fn what_is_missing_of_an_unchanged_cluster_is_created_while_its_job_runs() {
    for command in [APPLY, &["upgrade", "-f", "demo.yaml", "--yes"]] {
        for missing in [&[SERVICE][..], &[DEPLOYMENT], &[SERVICE, DEPLOYMENT]] {
            let sandbox = applied_and_running();
            let job = uid(&sandbox, JOB);
            remove(&sandbox, missing);
            let tried = sandbox.run(TRY);
            assert_eq!(tried.code, Some(1), "{tried}");
            assert_eq!(tried.stdout, "cluster/demo created (server dry run)\n", "{tried}");
            assert!(tried.changes().is_empty(), "{tried}");
            let outcome = sandbox.run(command);
            assert_eq!(outcome.code, Some(0), "{outcome}");
            assert_eq!(outcome.stdout, "cluster/demo created\n", "{outcome}");
            let said = "demo: created again, because it was missing: ";
            assert_eq!(outcome.stderr.matches(said).count(), 1, "{outcome}");
            assert!(!outcome.stderr.contains("up to date"), "{outcome}");
            assert!(missing.iter().all(|path| sandbox.object(path).is_object()), "{outcome}");
            assert_eq!(uid(&sandbox, JOB), job, "{outcome}");
            assert!(sandbox.world().disk.is_empty(), "{outcome}");
            let again = sandbox.run(TRY);
            assert_eq!(again.code, Some(0), "{again}");
        }
    }
}

/// `savepoint-resume` would restart the job.
#[test]
fn why_names_the_command_that_creates_the_service_while_the_job_runs() {
    let sandbox = applied_and_running();
    let job = uid(&sandbox, JOB);
    remove(&sandbox, &[SERVICE]);
    let said = sandbox.run(&["why", "demo", "-o", "json"]);
    let hint = "`kubectl flink resume demo` creates it again";
    assert!(said.stdout.contains(hint), "{said}");
    let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.object(SERVICE).is_object(), "{outcome}");
    assert_eq!(uid(&sandbox, JOB), job, "{outcome}");
}

#[test]
fn what_was_also_changed_by_hand_is_changed_back() {
    let sandbox = applied_and_running();
    remove(&sandbox, &[DEPLOYMENT]);
    sandbox.edit(SERVICE, |service| service["spec"]["type"] = tree!("LoadBalancer"));
    let tried = sandbox.run(TRY);
    assert_eq!(tried.code, Some(1), "{tried}");
    assert!(tried.stdout.starts_with("apply of demo to revision 2\n"), "{tried}");
    assert!(tried.stderr.contains("demo: would be created again"), "{tried}");
    let outcome = sandbox.run(&APPLY[..3]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo upgraded\n", "{outcome}");
}

/// Only `resume` creates it again.
#[test]
fn apply_says_what_is_missing_of_a_job_that_has_ended() {
    let sandbox = applied_and_running();
    sandbox.end("Failed", "2026-01-01T00:00:00Z");
    remove(&sandbox, &[SERVICE]);
    let outcome = sandbox.run(APPLY);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
    let said = "the job of demo has ended, and this is missing: Service demo-master; \
                `kubectl flink resume demo` creates it again and starts the job";
    assert!(outcome.stderr.contains(said), "{outcome}");
    assert!(!outcome.stderr.contains("up to date"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Its TaskManagers are wanted by `resume` only.
#[test]
fn apply_leaves_a_suspended_cluster_without_its_deployment() {
    let sandbox = applied_and_running();
    let suspended = sandbox.run(&["suspend", "demo"]);
    assert_eq!(suspended.code, Some(0), "{suspended}");
    remove(&sandbox, &[DEPLOYMENT]);
    let outcome = sandbox.run(APPLY);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// An object of a web server that Helm has installed under a name of the cluster.
fn of_helm(sandbox: &Sandbox, path: &str) {
    let (kind, spec) = if path == SERVICE {
        ("Service", tree!({"selector": {"app": "web"}, "ports": [{"port": 80}]}))
    } else {
        let pod = tree!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}});
        let selector = tree!({"matchLabels": {"app": "web"}});
        (
            "Deployment",
            tree!({"replicas": 1, "selector": selector, "template": pod}),
        )
    };
    let name = path.rsplit('/').next();
    let labels = tree!({"app.kubernetes.io/managed-by": "Helm"});
    let object =
        tree!({"kind": kind, "metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec});
    sandbox.world().store(path, object);
}

const TAKEN: [(&str, &str, &str); 2] = [
    (
        SERVICE,
        "Service demo-master does not belong to a Flink cluster: it is managed by Helm",
        "delete or rename Service demo-master (`kubectl delete service demo-master`), then ",
    ),
    (
        DEPLOYMENT,
        "Deployment demo-task-manager does not belong to a Flink cluster: it is managed by Helm",
        "delete or rename Deployment demo-task-manager (`kubectl delete deployment demo-task-manager`), then ",
    ),
];

#[test]
fn a_name_that_another_object_has_taken_is_said_with_the_way_on() {
    for (path, whose, way_on) in TAKEN {
        let sandbox = applied(FILE);
        of_helm(&sandbox, path);
        for command in ["why", "status"] {
            let outcome = sandbox.run(&[command, "demo", "-o", "json"]);
            for words in [whose, way_on] {
                assert!(outcome.stdout.contains(words), "{words}: {outcome}");
            }
        }
        for command in [&["resume", "demo"][..], &["savepoint-resume", "demo"], &APPLY[..3]] {
            let outcome = sandbox.run(command);
            assert_eq!(outcome.code, Some(8), "{outcome}");
            for words in [whose, way_on] {
                assert!(outcome.stderr.contains(words), "{words}: {outcome}");
            }
            for words in ["choose another name", "adopt"] {
                assert!(!outcome.stderr.contains(words), "{words}: {outcome}");
            }
            assert!(outcome.changes().is_empty(), "{outcome}");
        }
    }
}

#[test]
fn objects_of_a_flink_cluster_without_labels_can_be_adopted() {
    let sandbox = running();
    for path in [SERVICE, JOB, DEPLOYMENT] {
        sandbox.edit(path, |object| object["metadata"]["labels"] = tree!({"team": "shop"}));
    }
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    for words in ["choose another name", "`kubectl flink adopt demo`"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
}

/// Its Job was refused when it was created, such as by a webhook, and no JobManager ran.
fn without_its_first_job() -> Sandbox {
    let sandbox = applied(FILE);
    remove(&sandbox, &[JOB]);
    let is_pod = |path: &String| path.contains("/pods/demo-master");
    sandbox.world().objects.retain(|path, _| !is_pod(path));
    sandbox.edit_entry("journal", |journal| {
        journal["step"] = tree!("failed");
        journal["failure"] = tree!("the Job was refused");
    });
    sandbox
}

#[test]
fn a_creation_whose_job_was_refused_is_repeated_with_the_same_flags_and_with_others() {
    let other = FILE.replace("parallelism: 1", "parallelism: 2");
    for file in [FILE, &other] {
        let sandbox = without_its_first_job();
        sandbox.file("demo.yaml", file);
        let outcome = sandbox.run(APPLY);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(sandbox.object(JOB).is_object(), "{outcome}");
        assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
        let again = sandbox.run(TRY);
        assert_eq!(again.code, Some(0), "{again}");
    }
    let sandbox = without_its_first_job();
    let outcome = sandbox.run(&["create", "demo", "--image", "missing:2.3.1", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.object(JOB).is_object(), "{outcome}");
}

/// Its savepoint is not known, so nothing starts empty; nor where a command could not create a missing object again before.
#[test]
fn a_job_that_was_deleted_after_its_creation_is_not_created_again_without_state() {
    for repair_failed in [false, true] {
        let sandbox = applied_and_running();
        if repair_failed {
            let waited = sandbox.run(&["wait", "demo"]);
            assert_eq!(waited.code, Some(0), "{waited}");
            sandbox.edit_entry("journal", |journal| journal["step"] = tree!("failed"));
        }
        remove(&sandbox, &[JOB]);
        let outcome = sandbox.run(APPLY);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// It may be that of another Flink.
#[test]
fn a_service_of_another_owner_is_not_asked_for_the_job() {
    for command in [&["stop", "demo"][..], &["cancel", "demo", "--yes"]] {
        let sandbox = running();
        of_helm(&sandbox, SERVICE);
        let outcome = sandbox.run(command);
        assert_ne!(outcome.code, Some(0), "{outcome}");
        let asks = |request: &&String| request.contains("/services/demo-master:8081/proxy");
        assert_eq!(outcome.requests.iter().find(asks), None, "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn a_cluster_is_not_suspended_while_its_deployment_is_not_its_own() {
    let sandbox = running();
    of_helm(&sandbox, DEPLOYMENT);
    let outcome = sandbox.run(&["suspend", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains(TAKEN[1].1), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Somebody deletes it while the job is being stopped. Without it neither the new version would come up nor the old one.
#[test]
fn an_upgrade_creates_again_what_was_deleted_meanwhile() {
    for path in [SERVICE, DEPLOYMENT] {
        let sandbox = running();
        let written = patch(path).no_query("dryRun");
        sandbox
            .server
            .expect(written)
            .meanwhile(move |world| world.remove(path));
        let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=2", "--surge=never"]);
        assert_eq!(outcome.code, Some(0), "{path}: {outcome}");
        assert!(sandbox.object(path).is_object(), "{path}: {outcome}");
    }
}

/// Of a cluster that is there, its own name cannot change.
#[test]
fn a_taken_name_of_the_history_or_of_the_rights_is_said_with_the_way_on() {
    let account = "/api/v1/namespaces/default/serviceaccounts/demo-high-availability";
    for (flags, path, way_on) in [
        (
            &[][..],
            HISTORY,
            "delete or rename ConfigMap demo-history (`kubectl delete configmap demo-history`)",
        ),
        (
            &["--ha", "s3://b/ha", "--ha-create-rbac"],
            account,
            "(`kubectl delete serviceaccount demo-high-availability`)",
        ),
    ] {
        let sandbox = running_with(flags);
        sandbox.edit(path, |object| {
            object["metadata"]["labels"] = tree!({"team": "shop"});
            object["data"] = tree!({"a": "b"});
        });
        // That the revisions are gone with the history is this test's doing.
        sandbox.world().violations.clear();
        let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=2"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        for words in [way_on, "then repeat the command"] {
            assert!(outcome.stderr.contains(words), "{words}: {outcome}");
        }
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}
