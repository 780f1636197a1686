//! A job whose state has no canonical form: StateMachineExample.

use crate::place::{Place, STORAGE, flink_version, soon};

#[test]
fn a_savepoint_that_fails_leaves_the_job_running_and_a_native_one_works() {
    let place = Place::with_storage("native");
    let image = format!("--image=state-machine:{}", flink_version());
    let class = "--job-class=org.apache.flink.streaming.examples.statemachine.StateMachineExample";
    place.create("demo", &[&STORAGE[..], &[&image, class]].concat()).ok();
    let tasks = place.runs("demo");
    let job = place.job_id("demo");
    let checkpoints = format!("jobs/{job}/checkpoints");
    soon("a checkpoint is written", || {
        let statistics = place.rest("demo", &checkpoints)?;
        statistics["latest"]["completed"]["id"].as_u64()
    });

    // The second comes while Flink still brings the tasks back from the first, and waits for them.
    for command in [
        &["savepoint-resume", "demo"][..],
        &["delete", "demo", "--savepoint", "--yes"],
    ] {
        place
            .flink(command)
            .exits(6)
            // The fault ends a task, and Flink brings it back by itself.
            .reports(&[
                "could not write the savepoint",
                "restarted the job from its last checkpoint",
            ])
            .reports(&["Not supported yet", "--savepoint-format native"]);
    }
    soon("the job continues", || {
        let job = place.rest("demo", "jobs/overview")?["jobs"][0].clone();
        (job["state"] == "RUNNING" && job["tasks"]["running"] == tasks).then_some(())
    });
    assert_eq!(place.job_id("demo"), job);
    for object in ["service/demo-master", "job/demo-master", "deployment/demo-task-manager"] {
        assert!(place.exists(object), "{object}");
    }
    let savepoints = place.savepoints("demo");
    assert!(
        savepoints.len() >= 2 && savepoints.iter().all(|savepoint| savepoint["progress"] == "failed"),
        "{savepoints:?}"
    );

    place
        .flink(&["savepoint-resume", "demo", "--savepoint-format", "native"])
        .ok();
    assert_eq!(place.runs("demo"), tasks);
    let path = place.last_savepoint("demo");
    let checkpoints = place
        .rest("demo", &format!("jobs/{}/checkpoints", place.job_id("demo")))
        .expect("Flink answers");
    assert_eq!(
        checkpoints["latest"]["restored"]["external_path"], path,
        "{checkpoints}"
    );

    // What could not be deleted with a canonical savepoint, can with a native one.
    let delete = ["delete", "demo", "--yes", "--savepoint", "--savepoint-format", "native"];
    place.flink(&delete).ok();
    assert_ne!(place.last_savepoint("demo"), path);
    place.left_with(&["configmap/demo-history"]);
}
