//! A world in which an upgrade of the cluster `demo` is unfinished.

use serde_json::{Value, json as tree};

use crate::demo::{HISTORY, ID, JOB, PODS, revision, running};
use crate::sandbox::Sandbox;
use crate::server::{Call, get};
use crate::world::flink::Written;

/// The savepoint with which the job was stopped, and the ID of its request.
pub const SAVED: &str = "s3://b/sp-1";
pub const TRIGGER: &str = "11111111111111111111111111111111";

/// Revision 1 is being upgraded to revision 2, which has another image, and has come to `step`; `holder` has the lock, or
/// it is null.
pub fn unfinished(step: &str, holder: &Value) -> Sandbox {
    let sandbox = running();
    let saved = (step != "stopping").then_some(SAVED);
    let mut journal = tree!({
        "version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z", "step": step,
        "ending": {"by": "savepoint", "triggerId": TRIGGER, "jobId": ID, "format": "CANONICAL"},
        "oldRevision": 1, "newRevision": 2, "rollbackRevision": 3, "rollsBack": true, "rollingBack": false,
    });
    let mut second = revision(2, "flink:2.3.1", 1);
    if let Some(path) = saved {
        second["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(path);
        journal["savedState"] = tree!(path);
        journal["start"] = tree!(path);
        let written = Written {
            path: path.to_owned(),
            work: 1,
        };
        sandbox.world().disk.push(written);
    }
    if !holder.is_null() {
        journal["holder"] = holder.clone();
    }
    let progress = if saved.is_some() { "completed" } else { "requested" };
    let savepoints = tree!([{"triggerId": TRIGGER, "jobId": ID, "progress": progress, "path": saved,
        "format": "CANONICAL", "reason": "upgrade", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z"}]);
    sandbox.edit(HISTORY, |history| {
        history["data"]["journal"] = tree!(journal.to_string());
        history["data"]["savepoints"] = tree!(savepoints.to_string());
        history["data"]["revision.2"] = tree!(second.to_string());
    });
    if step == "waiting" {
        has_revision(&sandbox, 2);
    }
    sandbox
}

/// The Job is that of this revision.
pub fn has_revision(sandbox: &Sandbox, number: u64) {
    sandbox.edit(JOB, |job| {
        job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!(number.to_string());
    });
}

/// The state is in [`SAVED`], which was not read.
pub fn was_stopped(sandbox: &Sandbox) {
    let world = &mut *sandbox.world();
    let flink = world.flinks.values_mut().next().unwrap();
    flink.was_stopped(TRIGGER, SAVED, &mut world.disk);
}

/// The job has ended, and its JobManager, which was started again, does not know [`TRIGGER`].
pub fn was_forgotten(sandbox: &Sandbox) {
    let world = &mut *sandbox.world();
    let flink = world.flinks.values_mut().next().unwrap();
    // The result of another request keeps it up.
    flink.was_stopped(&"9".repeat(32), "s3://b/of-others", &mut world.disk);
}

/// The list of TaskManagers, or their watch.
pub fn task_managers() -> Call {
    get(PODS).query("labelSelector", "app=demo,component=task-manager")
}
