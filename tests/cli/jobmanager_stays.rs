//! Commands that end a job whose JobManager stays: because its program has another job, or as its configuration says.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, ID, running, running_with};
use crate::sandbox::Sandbox;
use crate::server::{get, json, patch, post, status, text};
use crate::unfinished::SAVED;

fn job(id: &str, state: &str) -> Value {
    let running = u8::from(state == "RUNNING");
    tree!({"jid": id, "name": "job", "state": state, "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": running}})
}

/// Flink runs the job when the command begins, has no leader for a moment, and runs the program's next job when the first one
/// has ended in this state.
fn has_another_job(sandbox: &Sandbox, ended: &str) {
    let jobs = || get(&format!("{FLINK}/jobs/overview"));
    let (first, next) = (job(ID, ended), job(&"9".repeat(32), "RUNNING"));
    let begins = tree!({"jobs": [job(ID, "RUNNING")]});
    sandbox.server.expect(jobs()).answer(json(&begins));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(jobs()).answer(away);
    let then = tree!({"jobs": [first, next]});
    sandbox.server.expect(jobs()).often().answer(json(&then));
}

/// It takes as long as a JobManager may have to end after its job, so both commands run at once.
#[test]
fn a_jobmanager_that_has_another_job_is_left() {
    std::thread::scope(|scope| {
        scope.spawn(suspend_leaves_the_taskmanagers_to_the_next_job_of_the_program);
        scope.spawn(cancel_leaves_a_jobmanager_that_has_another_job);
    });
}

/// One answer without a leader does not say that there is no next job.
fn suspend_leaves_the_taskmanagers_to_the_next_job_of_the_program() {
    let sandbox = running();
    has_another_job(&sandbox, "FINISHED");
    let stop = post(&format!("{FLINK}/jobs/{ID}/stop"));
    sandbox.server.expect(stop).answer(text(202, "{}"));
    let written = tree!({"status": {"id": "COMPLETED"}, "operation": {"location": SAVED}});
    let result = get(&format!("{FLINK}/jobs/{ID}/savepoints/*"));
    sandbox.server.expect(result).answer(json(&written));
    let outcome = sandbox.run(&["suspend", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("stays up: its program has another job"),
        "{outcome}"
    );
    assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 1, "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[0]["path"], SAVED, "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
}

fn cancel_leaves_a_jobmanager_that_has_another_job() {
    let sandbox = running();
    has_another_job(&sandbox, "CANCELED");
    let cancel = patch(&format!("{FLINK}/jobs/{ID}"));
    sandbox.server.expect(cancel).answer(text(202, "{}"));
    let outcome = sandbox.run(&["cancel", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo canceled\n", "{outcome}");
    assert!(
        outcome.stderr.contains("stays up: its program has another job"),
        "{outcome}"
    );
    assert_eq!(sandbox.world().pods("demo", "master").len(), 1, "{outcome}");
}

#[test]
fn cancel_leaves_a_jobmanager_that_stays_by_its_configuration() {
    let sandbox = running_with(&["-D", "execution.shutdown-on-application-finish=false"]);
    let outcome = sandbox.run(&["cancel", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo canceled\n", "{outcome}");
    let note = "the JobManager of demo stays up, as its configuration says";
    assert!(outcome.stderr.contains(note), "{outcome}");
}
