//! `scale` without a real cluster: which way is taken, what is asked, and what is never done.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, ID, JOB, Made, PODS, made, position, revision, running_with};
use crate::objects::minutes_ago;
use crate::sandbox::Sandbox;
use crate::server::{Server, get, json, patch, post, put, status, text};

/// The cluster that is scaled.
fn two() -> Made {
    made(2, &tree!([]))
}

fn vertex(id: &str, parallelism: u32) -> Value {
    tree!({"id": id, "name": id, "parallelism": parallelism, "maxParallelism": 128, "tasks": {"RUNNING": parallelism}})
}

/// `GET /jobs/:id` of a job whose source has one task and whose other vertex has `parallelism`.
pub fn detail(parallelism: u32) -> Value {
    tree!({"state": "RUNNING", "vertices": [vertex("source", 1), vertex("keys", parallelism)]})
}

fn jobs() -> Value {
    tree!({"jobs": [{"jid": ID, "name": "j", "state": "RUNNING", "start-time": 1, "end-time": -1, "tasks": {"total": 3, "running": 3}}]})
}

fn requirements(upper: u32) -> Value {
    let of = |upper: u32| tree!({"parallelism": {"lowerBound": 1, "upperBound": upper}});
    tree!({"source": of(1), "keys": of(upper)})
}

/// Answers what every `scale` reads; `settings` are the JobManager's.
fn reads(server: &Server, settings: &[(&str, &str)]) {
    reads_of(server, &two(), settings);
}

/// The same of another cluster.
fn reads_of(server: &Server, made: &Made, settings: &[(&str, &str)]) {
    reads_at(server, made, settings, 2);
}

/// The same of a job with this parallelism.
fn reads_at(server: &Server, made: &Made, settings: &[(&str, &str)], parallelism: u32) {
    crate::demo::reads(server, made);
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&jobs()));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(parallelism)));
    let savepoints = ("state.savepoints.dir", "s3://b/savepoints");
    let pairs: Vec<Value> = settings
        .iter()
        .chain([&savepoints])
        .map(|(key, value)| tree!({"key": key, "value": value}))
        .collect();
    server
        .expect(get(&format!("{FLINK}/jobmanager/config")))
        .often()
        .answer(json(&tree!(pairs)));
    overview(server, parallelism);
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints/config")))
        .often()
        .answer(json(&tree!({"interval": 60_000})));
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    if settings.contains(&("jobmanager.scheduler", "Adaptive")) {
        server.expect(get(&path)).answer(json(&requirements(parallelism)));
    } else {
        server
            .expect(get(&path))
            .answer(text(500, r#"{"errors":["Internal server error."]}"#));
    }
}

fn overview(server: &Server, task_managers: u32) {
    let overview = tree!({"taskmanagers": task_managers, "slots-total": task_managers, "flink-version": "2.3.0"});
    server.expect(get(&format!("{FLINK}/overview"))).answer(json(&overview));
}

/// Answers the patch of the Deployment too.
fn changes(server: &Server, replicas: u32, parallelism: &str) {
    server
        .expect(patch(DEPLOYMENT).body(tree!({"spec": {"replicas": replicas}})))
        .answer(json(&tree!({})));
    recorded(server, parallelism);
}

/// Answers what is written down.
fn recorded(server: &Server, parallelism: &str) {
    let note = tree!({"metadata": {"annotations": {"kubectl-flink/parallelism": parallelism}}});
    for path in [JOB, DEPLOYMENT] {
        server.expect(patch(path).body(note.clone())).answer(json(&tree!({})));
    }
    // The operation, its result, and its end.
    server
        .expect(put(HISTORY))
        .times(3)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

/// An entry of the history as it was written, each time.
fn written(server: &Server, key: &str) -> Vec<Value> {
    let requests = server.requests().into_iter();
    let writes = requests.filter(|request| request.path == HISTORY && request.method == "PUT");
    let entry = |body: &[u8]| -> Value {
        let history: Value = serde_json::from_slice(body).unwrap();
        serde_json::from_str(history["data"][key].as_str().unwrap_or("null")).unwrap()
    };
    writes.map(|request| entry(&request.body)).collect()
}

/// The journal of a scale to 3 that is unfinished; `holder` has the lock, or it is null.
fn journal(holder: &Value) -> Value {
    let mut journal = tree!({"version": 1, "kind": "scale", "command": "scale", "startedAt": "2026-01-01T00:00:00Z",
        "step": "waiting", "ending": {"by": "nothing"}, "parallelism": 3});
    if !holder.is_null() {
        journal["holder"] = holder.clone();
    }
    journal
}

/// The cluster as a scale to 3 has left it.
fn left_behind() -> Made {
    let mut left = two();
    left.history["data"]["journal"] = tree!(journal(&Value::Null).to_string());
    left
}

/// The flags of a cluster with two tasks.
pub const TWO: &[&str] = &["-p", "2"];
const ADAPTIVE: &[(&str, &str)] = &[("jobmanager.scheduler", "Adaptive")];

#[test]
fn taskmanagers_start_before_the_job_gets_its_parallelism() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, ADAPTIVE);
    changes(server, 3, "3");
    // Not there yet, and then they are.
    overview(server, 2);
    overview(server, 3);
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    server.expect(get(&path)).answer(json(&requirements(2)));
    server.expect(put(&path).body(requirements(3))).answer(json(&tree!({})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(2)));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(3)));
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo scaled\n");
    for expected in [
        "from parallelism 2 to 3 in place, from its last checkpoint, with 3 TaskManagers instead of 2: its scheduler is the adaptive one",
        "runs with parallelism 3",
        "begins with parallelism 2 again",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
    assert!(
        position(&outcome, &format!("PATCH {DEPLOYMENT}")) < position(&outcome, &format!("PUT {path}")),
        "{:#?}",
        outcome.requests
    );
    let parallelism = |revision: &Value| revision["spec"]["spec"]["job"]["parallelism"].clone();
    let revisions: Vec<Value> = written(server, "revision.1").iter().map(parallelism).collect();
    assert_eq!(revisions, [2, 3, 3]);
    let journals = written(server, "journal");
    let steps: Vec<&Value> = journals.iter().map(|journal| &journal["step"]).collect();
    assert_eq!(steps, ["waiting", "waiting", "done"]);
    for (field, value) in [
        ("kind", tree!("scale")),
        ("parallelism", tree!(3)),
        ("oldRevision", tree!(1)),
    ] {
        assert_eq!(journals[0][field], value, "{}", journals[0]);
    }
    assert!(journals[0]["holder"]["token"].is_string(), "{}", journals[0]);
    let first = outcome.requests.iter().position(|request| request.starts_with('P'));
    assert_eq!(first, Some(position(&outcome, &format!("PUT {HISTORY}"))), "{outcome}");
}

#[test]
fn a_scale_in_progress_blocks_other_changes() {
    let holder = tree!({"who": "bob@other", "token": "t", "process": "elsewhere/1/1"});
    let sandbox = running_with(TWO);
    sandbox.put_entry("journal", &journal(&holder));
    for command in [
        &["scale", "demo", "-p", "4"][..],
        &["upgrade", "demo", "--env", "A=1"],
        &["restart", "demo"],
    ] {
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        for expected in [
            "scale by bob@other since 2026-01-01T00:00:00Z",
            "the parallelism of the job changes to 3",
        ] {
            assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
        }
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn an_interrupted_scale_is_continued_or_makes_way() {
    // The job came to its parallelism by itself: all that is left is to record it.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = left_behind();
    left.job["metadata"]["annotations"]["kubectl-flink/parallelism"] = tree!("3");
    left.deployment["spec"]["replicas"] = tree!(3);
    // That needs no answer, though the job takes no checkpoints.
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints/config")))
        .often()
        .answer(json(&tree!({"interval": i64::MAX})));
    reads_at(server, &left, ADAPTIVE, 3);
    recorded(server, "3");
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    server.expect(get(&path)).answer(json(&requirements(3)));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(3)));
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(written(server, "journal")[2]["step"], "done");

    // Another change reports it, and starts.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads_at(server, &left_behind(), ADAPTIVE, 3);
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    server.expect(get(&path)).answer(json(&requirements(3)));
    server
        .expect(put(&path).body(requirements(1)))
        .answer(text(500, r#"{"errors":["not today"]}"#));
    let outcome = sandbox.run(&["scale", "demo", "-p", "1"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("was left behind; the parallelism of the job changes to 3"),
        "{outcome}"
    );
    let journals = written(server, "journal");
    assert_eq!(journals[0]["parallelism"], 1, "{}", journals[0]);
    assert_eq!(
        (&journals[1]["step"], &journals[1]["holder"]),
        (&tree!("waiting"), &Value::Null)
    );
    assert!(
        outcome
            .stderr
            .contains("`kubectl flink scale demo -p 1` continues with it"),
        "{outcome}"
    );
}

#[test]
fn taskmanagers_go_after_the_job_has_left_them_and_free_ones_first() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, ADAPTIVE);
    changes(server, 1, "1");
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    server.expect(get(&path)).answer(json(&requirements(2)));
    server.expect(put(&path).body(requirements(1))).answer(json(&tree!({})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .times(2)
        .answer(json(&detail(1)));
    let of = |ip: &str, free: u32| tree!({"id": format!("{ip}:6122-1a2b3c"), "slotsNumber": 1, "freeSlots": free});
    server
        .expect(get(&format!("{FLINK}/taskmanagers")))
        .answer(json(&tree!({"taskmanagers": [of("10.0.0.1", 0), of("10.0.0.2", 1)]})));
    let pod = |name: &str, ip: &str| tree!({"metadata": {"name": name}, "status": {"podIP": ip}});
    server.expect(get(PODS)).answer(json(
        &tree!({"items": [pod("busy", "10.0.0.1"), pod("free", "10.0.0.2")]}),
    ));
    let mark = tree!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}});
    server
        .expect(patch(&format!("{PODS}/free")).body(mark))
        .answer(json(&tree!({})));
    let outcome = sandbox.run(&["scale", "demo", "-p", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let required = position(&outcome, &format!("PUT {path}"));
    assert!(
        required < position(&outcome, &format!("PATCH {PODS}/free")),
        "{outcome}"
    );
    let last = outcome
        .requests
        .iter()
        .rposition(|request| request.starts_with(&format!("PATCH {DEPLOYMENT}")));
    assert!(
        position(&outcome, &format!("PATCH {PODS}/free")) < last.unwrap(),
        "{outcome}"
    );
}

/// Flink would start it again where it was started.
#[test]
fn a_job_without_checkpoints_is_not_scaled_in_place_unasked() {
    for settings in [ADAPTIVE, &[("scheduler-mode", "REACTIVE")]] {
        let sandbox = Sandbox::new();
        sandbox
            .server
            .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints/config")))
            .answer(json(&tree!({"interval": i64::MAX})));
        reads(&sandbox.server, settings);
        let outcome = sandbox.run(&["scale", "demo", "-p", "4"]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        for expected in ["takes no checkpoints", "`kubectl flink upgrade demo -p 4`", "--yes"] {
            assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
        }
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// Its JobManager was started again, and runs it under another ID.
#[test]
fn a_job_that_flink_does_not_have_any_more_is_not_one_without_checkpoints() {
    let sandbox = running_with(&["-p", "2", "-D", "jobmanager.scheduler=adaptive"]);
    let gone = text(404, r#"{"errors": ["Job 0 not found"]}"#);
    let config = get(&format!("{FLINK}/jobs/{ID}/checkpoints/config"));
    sandbox.server.expect(config).answer(gone);
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("Job 0 not found"), "{outcome}");
    assert!(!outcome.stderr.contains("takes no checkpoints"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn in_reactive_mode_only_the_deployment_changes() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &[("scheduler-mode", "REACTIVE")]);
    changes(server, 4, "4");
    let all = tree!({"state": "RUNNING", "vertices": [vertex("source", 4), vertex("keys", 4)]});
    server.expect(get(&format!("{FLINK}/jobs/{ID}"))).answer(json(&all));
    let outcome = sandbox.run(&["scale", "demo", "-p", "4"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("by its TaskManagers alone"), "{outcome}");
}

#[test]
fn without_either_it_goes_through_a_savepoint() {
    let outcome = running_with(TWO).run(&["scale", "demo", "-p", "5", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains(
            "to 5 through a savepoint, with 5 TaskManagers instead of 2: the running JobManager does not use the adaptive scheduler"
        ),
        "{outcome}"
    );
}

#[test]
fn through_a_savepoint_it_is_a_transaction_as_any_other() {
    let sandbox = running_with(TWO);
    let server = &sandbox.server;
    // Flink refuses: nothing was changed, and the command says so.
    server
        .expect(post(&format!("{FLINK}/jobs/{ID}/stop")))
        .answer(text(500, r#"{"errors":["no savepoint today"]}"#));
    let outcome = sandbox.run(&["scale", "demo", "-p", "5", "--surge=never"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("the scale of demo changed nothing"),
        "{outcome}"
    );
    let (journal, revision) = (&written(server, "journal")[0], &written(server, "revision.2")[0]);
    for (field, value) in [
        ("command", tree!("scale")),
        ("step", tree!("stopping")),
        ("newRevision", tree!(2)),
    ] {
        assert_eq!(journal[field], value, "{journal}");
    }
    assert_eq!(revision["spec"]["spec"]["job"]["parallelism"], 5, "{revision}");
}

/// Whether the program uses the parallelism is only informative.
#[test]
fn a_job_that_was_scaled_is_a_success_although_its_vertices_cannot_be_read() {
    let sandbox = running_with(&["--job-id", ID]);
    let job = || get(&format!("{FLINK}/jobs/{ID}"));
    let before = tree!({"jid": ID, "name": "job", "state": "RUNNING", "vertices": []});
    sandbox.server.expect(job()).answer(json(&before));
    sandbox.server.expect(job()).answer(text(200, "no JSON"));
    let outcome = sandbox.run(&["scale", "demo", "-p", "2"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
}

#[test]
fn scale_continues_its_own_unfinished_change_and_refuses_others() {
    for (arguments, command, parallelism, code) in [
        (&["scale", "demo", "-p", "5"][..], "scale", 5, 0),
        (&["set", "parallelism", "demo", "5"], "set", 5, 0),
        (&["scale", "demo", "-p", "5"], "scale", 4, 8),
        (&["scale", "demo", "-p", "5"], "upgrade", 5, 8),
    ] {
        let sandbox = running_with(TWO);
        let journal = tree!({
            "version": 1, "kind": "change", "command": command, "startedAt": "2026-01-01T00:00:00Z", "step": "waiting",
            "ending": {"by": "savepoint", "triggerId": "1".repeat(32), "jobId": ID, "format": "CANONICAL"},
            "oldRevision": 1, "newRevision": 2, "rollbackRevision": 3, "rollsBack": true, "rollingBack": false,
            "savedState": "s3://b/sp-1", "start": "s3://b/sp-1",
        });
        sandbox.put_entry("journal", &journal);
        sandbox.put_entry("revision.2", &revision(2, "flink:2.3.0", parallelism));
        let dry = sandbox.run(&[arguments, &["--dry-run"]].concat());
        assert_eq!(dry.code, Some(code), "{dry}");
        let expected = if code == 0 { "would continue" } else { "--continue" };
        assert!(dry.to_string().contains(expected), "{dry}");
        assert!(dry.changes().is_empty(), "{dry}");
    }
}

#[test]
fn set_parallelism_scales_in_place_where_scale_would() {
    let sandbox = Sandbox::new();
    reads(&sandbox.server, ADAPTIVE);
    let outcome = sandbox.run(&["set", "parallelism", "demo", "3", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("in place, from its last checkpoint"),
        "{outcome}"
    );
}

#[test]
fn a_scale_that_is_needless_or_impossible_changes_nothing() {
    for (flags, settings, code, expected) in [
        (&["-p", "129"][..], ADAPTIVE, 2, "among 128 tasks at most"),
        (&["-p", "129"], &[], 2, "among 128 tasks at most"),
        (&["-p", "2"], ADAPTIVE, 0, "has parallelism 2 already"),
        (
            &["-p", "3", "--dry-run"],
            ADAPTIVE,
            0,
            "in place, from its last checkpoint",
        ),
    ] {
        let sandbox = Sandbox::new();
        reads(&sandbox.server, settings);
        let outcome = sandbox.run(&[&["scale", "demo"][..], flags].concat());
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
}

#[test]
fn a_cluster_that_does_not_run_is_not_scaled() {
    let sandbox = running_with(TWO);
    sandbox.end("Complete", &minutes_ago(1));
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("savepoint-resume demo -p 3"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Asked again it would be refused again: the wait ends, and says so.
#[test]
fn credentials_that_have_expired_end_a_scale() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, ADAPTIVE);
    server
        .expect(patch(DEPLOYMENT).body(tree!({"spec": {"replicas": 3}})))
        .answer(json(&tree!({})));
    server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server
        .expect(get(&format!("{FLINK}/overview")))
        .often()
        .answer(status(401, "Unauthorized", "Unauthorized"));
    let outcome = sandbox.run(&["scale", "demo", "-p", "3", "--yes", "--timeout", "20s"]);
    assert_eq!(outcome.code, Some(4), "{outcome}");
    let asked = outcome.requests.iter().filter(|request| request.ends_with("/overview"));
    assert!(asked.count() <= 3, "{outcome}");
}
