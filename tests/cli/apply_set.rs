//! Sets of `apply` and selectors: which clusters belong to them, and which do not.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, JOBS, SERVICE, empty, running};
use crate::objects::{deployment_table, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::server::{get, json, patch, post, put, status};

const FILE: &str = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\n\
    spec: {image: 'flink:2.3.0', flinkVersion: v2_3, job: {jarURI: 'local:///opt/flink/usrlib/a.jar', parallelism: 1}}\n";

/// A world with the cluster `demo` of the set `shop`, as `demo.yaml` describes it.
fn applied() -> Sandbox {
    applied_as(FILE)
}

/// The same of another file.
fn applied_as(file: &str) -> Sandbox {
    let sandbox = empty();
    sandbox.file("demo.yaml", file);
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--apply-set=shop", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    sandbox
}

/// The file says what there is: nothing is changed.
fn is_applied(sandbox: &Sandbox) {
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--dry-run=server", "--exit-code"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let outcome = sandbox.run(&["upgrade", "-f", "demo.yaml", "--yes"]);
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// `apply` has no flag to do without a rollback: the hint names the command that has it.
#[test]
fn a_change_by_apply_is_waited_for_and_the_hint_says_how_it_is_not() {
    let sandbox = applied();
    sandbox.file("demo.yaml", &FILE.replace("flink:2.3.0", "flink:2.3.1"));
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--wait=false"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    let hint = "upgrade -f FILE --no-rollback --wait=false` gives that up";
    assert!(outcome.stderr.contains(hint), "{outcome}");
    assert!(sandbox.object(JOB).to_string().contains("flink:2.3.0"), "{outcome}");
    let outcome = sandbox.run(&["upgrade", "-f", "demo.yaml", "--no-rollback", "--wait=false"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.object(JOB).to_string().contains("flink:2.3.1"), "{outcome}");
}

/// As a policy does that has all images come from a mirror: it changes what is written, each time.
#[test]
fn what_admission_changes_does_not_restart_the_job() {
    let sandbox = applied();
    let mirrored = |path: &str| {
        sandbox.edit(path, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = tree!("mirror.example/flink:2.3.0");
        });
        sandbox.object(path)
    };
    let mut job = mirrored(JOB);
    job["metadata"]["name"] = tree!("demo-mastex");
    let deployment = mirrored(DEPLOYMENT);
    for (call, object) in [(post(JOBS), job), (patch(DEPLOYMENT), deployment)] {
        let dry_run = call.query("dryRun", "All");
        sandbox.server.expect(dry_run).often().answer(json(&object));
    }
    is_applied(&sandbox);
}

/// A quota without room for a second Job refuses the dry run after admission has changed it.
#[test]
fn what_admission_changes_does_not_restart_the_job_where_a_quota_is_used_up() {
    let sandbox = applied();
    sandbox.edit(JOB, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = tree!("mirror.example/flink:2.3.0");
    });
    let full = "jobs.batch \"demo-mastex\" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, \
         used: count/jobs.batch=1, limited: count/jobs.batch=1";
    let dry_run = post(JOBS).query("dryRun", "All");
    sandbox
        .server
        .expect(dry_run)
        .often()
        .answer(status(403, "Forbidden", full));
    is_applied(&sandbox);
}

#[test]
fn a_job_does_not_restart_if_it_is_not_known_what_admission_changes() {
    let sandbox = applied();
    sandbox.edit(JOB, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = tree!("mirror.example/flink:2.3.0");
    });
    let refused = "admission webhook \"mirror\" denied the request: try again";
    let dry_run = post(JOBS).query("dryRun", "All");
    sandbox.server.expect(dry_run).answer(status(403, "Forbidden", refused));
    let outcome = sandbox.run(&["upgrade", "-f", "demo.yaml", "--yes"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("try again"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// It is no creation, and the history says so.
#[test]
fn a_change_by_apply_is_recorded_as_one() {
    let sandbox = applied();
    let outcome = sandbox.run(&["savepoint", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    sandbox.file("demo.yaml", &FILE.replace("flink:2.3.0", "flink:2.3.1"));
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--dry-run=server"]);
    assert!(outcome.stdout.starts_with("apply of demo to revision 2\n"), "{outcome}");
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml"]);
    assert_eq!(outcome.stdout, "cluster/demo upgraded\n", "{outcome}");
    let commands = [1, 2].map(|number| sandbox.entry(&format!("revision.{number}"))["command"].clone());
    assert_eq!(commands, [tree!("create"), tree!("apply")], "{outcome}");
}

/// Nobody else would bring back what was changed by hand.
#[test]
fn what_was_changed_by_hand_is_changed_back() {
    for (path, field, value) in [
        (DEPLOYMENT, "replicas", tree!(3)),
        // The value before is the one that the server fills in, too.
        (SERVICE, "type", tree!("LoadBalancer")),
    ] {
        let sandbox = applied();
        sandbox.edit(path, |object| object["spec"][field] = value);
        let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--dry-run=server", "--exit-code"]);
        assert_eq!(outcome.code, Some(1), "{outcome}");
    }
}

#[test]
fn an_autoscaler_of_a_reactive_job_is_not_overruled() {
    let reactive = "parallelism: 1}, flinkConfiguration: {scheduler-mode: reactive}}";
    let sandbox = applied_as(&FILE.replace("parallelism: 1}}", reactive));
    sandbox.edit(DEPLOYMENT, |object| object["spec"]["replicas"] = tree!(3));
    is_applied(&sandbox);
    assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 3);
}

fn set_of(sandbox: &Sandbox, job: &str) -> Value {
    sandbox.object(job)["metadata"]["labels"]["kubectl-flink/apply-set"].clone()
}

/// Its file is the same, so that nothing restarts.
#[test]
fn a_cluster_stays_in_its_set_where_none_is_named() {
    let sandbox = applied();
    assert_eq!(set_of(&sandbox, JOB), "shop");
    for command in [
        &["diff", "-f", "demo.yaml"][..],
        &["apply", "-f", "demo.yaml", "--dry-run=server", "--exit-code"],
    ] {
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
    let outcome = sandbox.run(&["upgrade", "-f", "demo.yaml", "--yes"]);
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
}

/// No file of the set describes it.
#[test]
fn a_clone_is_not_of_the_set_and_is_not_pruned() {
    let sandbox = applied();
    let outcome = sandbox.run(&["clone", "demo", "copy", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let copy = JOB.replace("demo", "copy");
    assert_eq!(set_of(&sandbox, &copy), Value::Null);
    let exported = sandbox.run(&["export", "demo"]).stdout;
    assert!(
        exported.contains("flink:2.3.0") && !exported.contains("apply-set"),
        "{exported}"
    );
    let prune = ["apply", "-f", "demo.yaml", "--apply-set=shop", "--prune", "--yes"];
    let outcome = sandbox.run(&[&prune[..], &["--dry-run=server", "--exit-code"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!outcome.stdout.contains("copy"), "{outcome}");
}

/// Otherwise the same file would restart the job, with another parallelism.
#[test]
fn each_command_adds_the_parallelism_to_templates_without_it() {
    let sandbox = empty();
    sandbox.file("demo.yaml", &FILE.replace("parallelism: 1", "parallelism: 2"));
    let folder = sandbox.home().join("own");
    let job = folder.join("job-cluster-job.yaml.template");
    let folder = folder.to_str().unwrap();
    assert_eq!(sandbox.run(&["manifests", folder]).code, Some(0));
    let option = "\"-Dparallelism.default=${FLINK_JOB_PARALLELISM}\",";
    let text = std::fs::read_to_string(&job).unwrap();
    assert!(text.contains(option), "{text}");
    std::fs::write(&job, text.replace(option, "")).unwrap();
    let with_templates = |command: &[&str]| {
        let outcome = sandbox.run(&[command, &["--manifests", folder]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome
    };
    with_templates(&["create", "-f", "demo.yaml", "--no-wait"]);
    assert!(sandbox.object(JOB).to_string().contains("-Dparallelism.default=2"));
    with_templates(&["diff", "-f", "demo.yaml"]);
    with_templates(&["diff", "demo"]);
    let outcome = with_templates(&["upgrade", "-f", "demo.yaml", "--yes"]);
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
    with_templates(&["clone", "demo", "copy", "--no-wait"]);
    let copy = sandbox.object(&JOB.replace("demo", "copy"));
    assert!(copy.to_string().contains("-Dparallelism.default=2"), "{copy}");
}

/// As with `kubectl wait`: a script does not go on without what it waits for.
#[test]
fn a_wait_for_no_cluster_is_not_found() {
    let sandbox = empty();
    let outcome = sandbox.run(&["wait", "-l", "team=a"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    let outcome = sandbox.run(&["wait", "-l", "team=a", "--for=deleted"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_name_that_is_none_of_ours_is_skipped() {
    let sandbox = Sandbox::new();
    let jobs = [job_row("default", &"a".repeat(50), "Running")];
    for (path, table) in [
        ("/apis/batch/v1/namespaces/default/jobs", job_table(&jobs)),
        ("/apis/apps/v1/namespaces/default/deployments", deployment_table(&[])),
    ] {
        sandbox.server.expect(get(path)).often().answer(json(&table));
    }
    let outcome = sandbox.run(&["wait", "-l", "team=a", "--for=deleted"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("aaa is skipped: "), "{outcome}");
}

/// A set of files may have clusters of several namespaces.
#[test]
fn commands_in_messages_have_the_namespace_that_the_file_names() {
    let sandbox = running();
    let savepoint = tree!({"triggerId": "1".repeat(32), "jobId": "2".repeat(32), "progress": "completed", "path": "s3://b/sp-1",
        "format": "CANONICAL", "reason": "delete", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z"});
    sandbox.put_entry("savepoints", &tree!([savepoint]));
    let mut history = sandbox.object(HISTORY);
    history["metadata"]["namespace"] = tree!("shop");
    let path = "/api/v1/namespaces/shop/configmaps/demo-history";
    sandbox.world().store(path, history);
    sandbox.file(
        "demo.yaml",
        &FILE.replace("{name: demo}", "{name: demo, namespace: shop}"),
    );
    // It is not created after that: the lock cannot be acquired.
    for call in [patch(path), put(path)] {
        let broken = status(500, "InternalError", "the webhook is broken");
        sandbox.server.expect(call).often().answer(broken);
    }
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--no-wait"]);
    assert!(
        outcome.stderr.contains("`kubectl flink -n shop resume demo`"),
        "{outcome}"
    );
}
