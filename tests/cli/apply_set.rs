//! Sets of `apply` and selectors: which clusters belong to them, and which do not.

use serde_json::Value;

use crate::demo::{JOB, empty};
use crate::objects::{deployment_table, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::server::{get, json};

const FILE: &str = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\n\
    spec: {image: 'flink:2.3.0', flinkVersion: v2_3, job: {jarURI: 'local:///opt/flink/usrlib/a.jar', parallelism: 1}}\n";

/// A world with the cluster `demo` of the set `shop`, as `demo.yaml` describes it.
fn applied() -> Sandbox {
    let sandbox = empty();
    sandbox.file("demo.yaml", FILE);
    let outcome = sandbox.run(&["apply", "-f", "demo.yaml", "--apply-set=shop", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    sandbox
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
