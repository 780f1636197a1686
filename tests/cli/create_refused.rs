//! `create` is refused, by its own checks or by the API server, and nothing is created.

use std::time::Duration;

use serde_json::json as tree;

use crate::demo::{JOB, SERVICE, empty, running};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, cut, json, patch, status};
use crate::snapshot;

/// Each is refused with usage's exit code, before anything is sent: the sandbox fails on any request.
#[test]
fn bad_input_is_refused_and_nothing_is_sent() {
    let sandbox = Sandbox::new();
    sandbox.file("broken.yaml", "apiVersion: flink.apache.org/v1beta1\nkind: [\n");
    sandbox.file(
        "unknown.yaml",
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: a}\nspec: {imagee: b, job: {parallelism: 1}, ingress: {template: x}}\n",
    );
    let broken = sandbox.home().join("broken.yaml");
    let unknown = sandbox.home().join("unknown.yaml");
    let image = ["--image", "flink:2.3.0"];
    let long = "a".repeat(46);
    let cases: Vec<Vec<&str>> = vec![
        vec![],
        vec!["demo"],
        vec![""],
        vec!["Demo"],
        vec![&long],
        vec!["demo", "-p", "0"],
        vec!["demo", "-p", "-1"],
        vec!["demo", "-p", "32769"],
        vec!["demo", "--slots", "0"],
        vec!["demo", "--job-id", "xyz"],
        vec![
            "demo",
            "--job-id",
            "00000000000000000000000000000001",
            "--job-id-seed",
            "a",
        ],
        vec!["demo", "-D", "novalue"],
        vec!["demo", "-D", "taskmanager.numberOfTaskSlots=2"],
        vec!["demo", "-D", "jobmanager.rpc.address=x"],
        vec!["demo", "-D", "high-availability.type=kubernetes"],
        vec!["demo", "-D", "execution.state-recovery.claim-mode=CLAIM"],
        vec!["demo", "--jobmanager-memory", "lots"],
        vec!["demo", "--jobmanager-memory", "1m"],
        vec![
            "demo",
            "--taskmanager-memory",
            "900m",
            "-D",
            "taskmanager.memory.network.min=32m",
        ],
        vec!["demo", "--no-ha", "--ha", "s3://bucket/ha"],
        vec!["demo", "--env", "novalue"],
        vec!["demo", "--label", "app=x"],
        vec!["demo", "--node-port=0"],
        vec!["demo", "--mount", "claim"],
        vec!["demo", "--from-savepoint", ""],
        vec!["demo", "--savepoint-dir", "savepoints"],
        vec!["demo", "--manifests", "/does/not/exist"],
        vec!["-f", "/does/not/exist"],
        vec!["-f", broken.to_str().unwrap()],
        vec!["-f", unknown.to_str().unwrap()],
        vec!["demo", "--timeout", "soon"],
    ];
    let mut report = String::new();
    for case in cases {
        let mut arguments = vec!["create"];
        if case != ["demo"] {
            arguments.extend(image);
        }
        arguments.extend(&case);
        let outcome = sandbox.run(&arguments);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
        let home = sandbox.home().to_str().unwrap();
        report.push_str(&format!("$ create {}\n{}\n", case.join(" "), outcome.stderr).replace(home, "HOME"));
    }
    insta::assert_snapshot!(report);
}

/// What the dry run of the Job is answered, and how the command ends. Nothing is created in any case.
fn refused(answer: Answer, times: usize) -> Outcome {
    let sandbox = empty();
    let dry_run = patch(JOB).query("dryRun", "All");
    sandbox.server.expect(dry_run).times(times).answer(answer);
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--request-timeout", "2s"]);
    assert!(sandbox.world().objects.is_empty(), "{outcome}");
    outcome
}

#[test]
fn a_quota_stops_it_before_the_first_object() {
    snapshot!(refused(
        status(
            403,
            "Forbidden",
            "jobs.batch \"demo-master\" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0"
        ),
        1
    ));
}

#[test]
fn a_missing_right_is_named_with_its_rule() {
    snapshot!(refused(
        status(
            403,
            "Forbidden",
            "jobs.batch \"demo-master\" is forbidden: User \"u\" cannot patch resource \"jobs\" in API group \"batch\" in the namespace \"default\""
        ),
        1
    ));
}

/// Its code and reason are those of a missing right, and it may say "cannot" too.
#[test]
fn a_policy_that_says_cannot_is_no_missing_right() {
    for said in [
        "admission webhook \"validation.gatekeeper.sh\" denied the request: [psp-users] container flink-master cannot run as root",
        "jobs.batch \"demo-master\" is forbidden: ValidatingAdmissionPolicy 'teams' with binding 'teams' denied request: a Job cannot be without the label team",
    ] {
        let outcome = refused(status(403, "Forbidden", said), 1);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.stderr.contains(said), "{outcome}");
        assert!(!outcome.stderr.contains("you may not"), "{outcome}");
    }
}

#[test]
fn expired_credentials() {
    snapshot!(refused(status(401, "Unauthorized", "Unauthorized"), 1));
}

#[test]
fn a_missing_namespace() {
    snapshot!(refused(status(404, "NotFound", "namespaces \"default\" not found"), 1));
}

/// The refused request might be a change of a foreign object, so the command checks whether there is one.
#[test]
fn an_invalid_object() {
    let said = "Job.batch \"demo-master\" is invalid: metadata.labels: Invalid value: \"a b\"";
    snapshot!(refused(status(422, "Invalid", said), 1));
}

#[test]
fn a_server_that_is_too_busy() {
    snapshot!(refused(
        status(429, "TooManyRequests", "slow down").header("retry-after", "0"),
        5
    ));
}

#[test]
fn a_server_with_an_internal_error() {
    snapshot!(refused(
        status(500, "InternalError", "etcdserver: request timed out").header("retry-after", "0"),
        5
    ));
}

#[test]
fn an_answer_that_is_cut_each_time() {
    let outcome = refused(cut(), 7);
    assert_eq!(outcome.code, Some(7), "{outcome}");
}

#[test]
fn an_answer_that_does_not_come() {
    let outcome = refused(json(&tree!({})).after(Duration::from_secs(20)), 1);
    assert_eq!(outcome.code, Some(5), "{outcome}");
}

/// As the Service of a load balancer, until that is gone: the cluster would soon be without it.
#[test]
fn an_object_that_is_being_deleted_is_not_made_a_part() {
    let sandbox = running();
    sandbox.edit(SERVICE, |service| {
        service["metadata"]["finalizers"] = tree!(["service.kubernetes.io/load-balancer-cleanup"]);
        service["metadata"]["deletionTimestamp"] = tree!("2026-01-01T00:00:00Z");
    });
    let is_refused = |outcome: &Outcome| {
        assert_eq!(outcome.code, Some(8), "{outcome}");
        let words = "Service demo-master is being deleted, and its name is not free yet";
        assert!(outcome.stderr.contains(words), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    };
    is_refused(&sandbox.run(&["savepoint-resume", "demo", "--env", "A=1"]));
    let service = sandbox.object(SERVICE);
    sandbox.delete_objects();
    sandbox.world().store(SERVICE, service);
    is_refused(&sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]));
    is_refused(&sandbox.run(&["resume", "demo", "--from-savepoint", "s3://b/sp-1"]));
}
