//! A change of the parallelism through a savepoint: what the vertices of the running job allow, and the slots that they need.

use serde_json::json as tree;

use crate::demo::{DEPLOYMENT, FLINK, ID, JOB, JOBS, PODS, revision, running, running_with};
use crate::sandbox::Sandbox;
use crate::scale::{TWO, detail};
use crate::server::{get, json, post, status};

const STATELESS: &[&str] = &["upgrade", "demo", "-p", "129", "--strategy", "stateless", "--dry-run"];
const OTHER_PROGRAM: &[&str] = &["upgrade", "demo", "-p", "129", "--image", "flink:2.3.1", "--dry-run"];

/// Otherwise the job would be stopped, and the new version could not start from its savepoint.
#[test]
fn a_change_to_more_than_the_state_can_be_divided_by_is_refused_while_the_job_runs() {
    for (command, code, said) in [
        (&["upgrade", "demo", "-p", "129"][..], 2, true),
        (
            &["upgrade", "demo", "-p", "129", "--strategy", "last-checkpoint"],
            2,
            true,
        ),
        (&["savepoint-resume", "demo", "-p", "129"], 2, true),
        (&["upgrade", "demo", "-p", "128", "--dry-run"], 0, false),
        // Its state is not used.
        (STATELESS, 0, false),
        // Its vertex of that name may have fewer tasks, or be gone.
        (OTHER_PROGRAM, 0, true),
    ] {
        let sandbox = running_with(TWO);
        sandbox
            .server
            .expect(get(&format!("{FLINK}/jobs/{ID}")))
            .answer(json(&detail(2)));
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        let expected = "among 128 tasks at most (its max parallelism, of vertex keys), and 129 are wanted";
        assert_eq!(outcome.stderr.contains(expected), said, "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// Otherwise TaskManagers of the new version would start first, for Flink to refuse the savepoint then.
#[test]
fn a_savepoint_without_a_directory_is_refused_before_anything_starts() {
    let elsewhere = ["--savepoint-dir", "s3://bucket/savepoints"];
    for (command, more, refused) in [
        ("upgrade", &elsewhere[..], false),
        ("upgrade", &["--strategy", "stateless", "--dry-run"], false),
        ("upgrade", &["--dry-run"], true),
        ("upgrade", &[], true),
        ("savepoint-resume", &[], true),
    ] {
        let sandbox = running_with(TWO);
        sandbox.with_flink(|flink| flink.savepoint_dir = None);
        let outcome = sandbox.run(&[&[command, "demo", "--env", "A=2"][..], more].concat());
        assert_eq!(outcome.code, Some(if refused { 2 } else { 0 }), "{outcome}");
        assert_eq!(outcome.stderr.contains("--savepoint-dir URI"), refused, "{outcome}");
        assert!(!refused || outcome.changes().is_empty(), "{outcome}");
    }
}

/// A job with vertices in two slot sharing groups.
fn running_with_two_groups() -> Sandbox {
    let mut groups = detail(2);
    groups["vertices"][0]["slotSharingGroupId"] = tree!("other");
    let sandbox = running_with(TWO);
    let details = get(&format!("{FLINK}/jobs/{ID}"));
    sandbox.server.expect(details).answer(json(&groups));
    sandbox
}

/// As a scale in place does it.
#[test]
fn a_change_provides_the_slots_of_all_slot_sharing_groups() {
    for command in [
        &["upgrade", "demo", "-p", "4", "--surge=never"][..],
        &["scale", "demo", "-p", "4", "--surge=never"],
        &["savepoint-resume", "demo", "-p", "4", "--surge=never"],
    ] {
        let sandbox = running_with_two_groups();
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 5, "{outcome}");
        let spec = &sandbox.entry("revision.2")["spec"]["spec"];
        let numbers = (&spec["job"]["parallelism"], &spec["taskManager"]["replicas"]);
        assert_eq!(numbers, (&tree!(4), &tree!(5)), "{outcome}");
        // Another parallelism needs other TaskManagers.
        let outcome = sandbox.run(&["upgrade", "demo", "-p", "3", "--surge=never"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 3, "{outcome}");
    }
}

/// Their number comes from the vertices of the job, and the file or the flags do not give it.
#[test]
fn the_same_parallelism_keeps_its_taskmanagers_where_flink_does_not_show_the_job() {
    let sandbox = running_with_two_groups();
    let upgrade = ["upgrade", "demo", "-p", "4", "--surge=never"];
    let outcome = sandbox.run(&upgrade);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 5, "{outcome}");
    let id = sandbox.with_flink(|flink| flink.job_id.clone());
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    let details = get(&format!("{FLINK}/jobs/{id}"));
    sandbox.server.expect(details).answer(away);
    let outcome = sandbox.run(&upgrade);
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
    assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 5, "{outcome}");
}

/// Otherwise it would show fewer than the change then starts.
#[test]
fn diff_shows_the_taskmanagers_of_all_slot_sharing_groups() {
    let sandbox = running_with_two_groups();
    let outcome = sandbox.run(&["diff", "demo", "-p", "4"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.contains("replicas: 5\n"), "{outcome}");
    // Where the size stays, Flink is not asked.
    let outcome = sandbox.run(&["diff", "demo", "--env", "A=2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(
        !outcome.requests.iter().any(|request| request.contains("/proxy/")),
        "{outcome}"
    );
}

/// The running Pods write it, and they do not have the volume of the new version.
#[test]
fn a_savepoint_that_would_be_lost_with_the_pods_is_refused_before_anything_starts() {
    let moved = [
        "--savepoint-dir",
        "file:///storage/savepoints",
        "--mount",
        "storage:/storage",
    ];
    for more in [&[][..], &["--dry-run"]] {
        let sandbox = running();
        let outcome = sandbox.run(&[&["upgrade", "demo"][..], &moved, more].concat());
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("would be lost: --savepoint-dir"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// Its checkpoints are there too, and the new version would not find the last one.
#[test]
fn a_last_checkpoint_that_would_be_lost_with_the_pods_is_refused_while_the_job_runs() {
    let sandbox = running_with(&["--checkpoint-dir", "file:///data/c"]);
    let upgrade = ["upgrade", "demo", "--env", "A=2", "--strategy", "last-checkpoint"];
    let outcome = sandbox.run(&upgrade);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    let lost = "the last checkpoint of the job of demo would be lost: --checkpoint-dir file:///data/c";
    assert!(outcome.stderr.contains(lost), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Unless an admission webhook has given the Pods a volume there, of which the Job does not know.
#[test]
fn a_job_is_not_stopped_with_a_savepoint_that_would_be_lost_with_its_pods() {
    for command in [
        &["stop", "demo"][..],
        &["suspend", "demo"],
        &["delete", "demo", "--savepoint", "--yes"],
        &["savepoint-resume", "demo"],
    ] {
        let sandbox = running_with(&["--savepoint-dir", "file:///data/s"]);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let lost = "would be lost: --savepoint-dir file:///data/s";
        assert!(outcome.stderr.contains(lost), "{outcome}");
        let resumes = command[0] == "savepoint-resume";
        let way_on = "`kubectl flink delete demo` ends the job without a savepoint";
        assert_eq!(outcome.stderr.contains(way_on), !resumes, "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
        let pod = sandbox.world().pods("demo", "master").remove(0);
        sandbox.edit(&pod, |pod| {
            let spec = &mut pod["spec"];
            spec["volumes"] = tree!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
            spec["containers"][0]["volumeMounts"] = tree!([{"name": "data", "mountPath": "/data"}]);
        });
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
}

/// No other Pod would find it, and a later `resume` neither.
#[test]
fn a_savepoint_of_a_running_job_that_would_be_lost_with_its_pods_is_refused() {
    for command in [
        &["savepoint", "demo"][..],
        &["savepoint", "demo", "--no-wait"],
        &["savepoint", "demo", "--dir", "file:///data/other"],
        &["clone", "demo", "copy", "--no-wait"],
        &["rehearse", "demo"],
    ] {
        let sandbox = running_with(&["--savepoint-dir", "file:///data/s"]);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let lost = "the savepoint of demo would be lost: --savepoint-dir file:///data/";
        assert!(outcome.stderr.contains(lost), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
    let sandbox = running_with(&["--savepoint-dir", "file:///data/s"]);
    let outcome = sandbox.run(&["savepoint", "demo", "--dir", "s3://b/s"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// The repetition does not read the job that has ended.
#[test]
fn a_change_with_the_slots_of_the_job_that_ran_is_continued_by_its_repetition() {
    let sandbox = running_with(TWO);
    let journal = tree!({
        "version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z", "step": "waiting",
        "ending": {"by": "savepoint", "triggerId": "1".repeat(32), "jobId": ID, "format": "CANONICAL"},
        "oldRevision": 1, "newRevision": 2, "rollbackRevision": 3, "rollsBack": true, "rollingBack": false,
        "savedState": "s3://b/sp-1", "start": "s3://b/sp-1",
    });
    sandbox.put_entry("journal", &journal);
    let mut second = revision(2, "flink:2.3.0", 4);
    second["spec"]["spec"]["taskManager"] = tree!({"replicas": 5});
    sandbox.put_entry("revision.2", &second);
    let outcome = sandbox.run(&["upgrade", "demo", "-p", "4", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("would continue"), "{outcome}");
}

/// Admission only warns of the Job. Otherwise it would be stopped, and neither the new nor the running version could come up.
#[test]
fn a_version_whose_pods_the_namespace_refuses_is_refused_while_the_job_runs() {
    let refused = "pods \"demo-x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged";
    // What is not known of the Pods prevents nothing, and is reported.
    let unknown = "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group \"\"";
    let too_large = "pods \"demo-x\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi";
    let without_limit = "pods \"demo-x\" is forbidden: failed quota: small: must specify limits.cpu for: flink-master";
    // The running Pods leave their room.
    let full = "pods \"demo-x\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2";
    // On OpenShift a Pod that the user creates gets other settings than those of the Job.
    for (said, on_openshift, code) in [
        (refused, false, 1),
        (refused, true, 0),
        (unknown, false, 0),
        (too_large, false, 1),
        (too_large, true, 1),
        (without_limit, false, 1),
        (full, false, 0),
    ] {
        let sandbox = running();
        if on_openshift {
            let pod = sandbox.world().pods("demo", "master").remove(0);
            let noted = tree!({ "openshift.io/scc": "restricted-v2" });
            sandbox.edit(&pod, |pod| pod["metadata"]["annotations"] = noted);
        }
        let mut job = sandbox.object(JOB);
        job["metadata"]["name"] = tree!("demo-mastex");
        let warning = "299 - \"would violate PodSecurity \\\"restricted:latest\\\": privileged\"";
        let dry_run = post(JOBS).query("dryRun", "All");
        let warned = json(&job).header("warning", warning);
        sandbox.server.expect(dry_run).answer(warned);
        let pods = post(PODS).query("dryRun", "All");
        let answer = status(403, "Forbidden", said);
        sandbox.server.expect(pods).times(2).answer(answer);
        let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=2", "--surge=never"]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains("would violate PodSecurity"), "{outcome}");
        let unchecked =
            "it was not checked whether the namespace refuses the Pods of the new version: you may not create pods";
        assert_eq!(outcome.stderr.contains(unchecked), said == unknown, "{outcome}");
        assert_eq!(said != unknown && outcome.stderr.contains(said), code == 1, "{outcome}");
        assert_eq!(outcome.changes().is_empty(), code == 1, "{outcome}");
    }
}
