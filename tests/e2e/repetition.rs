//! Commands that are repeated, after an interruption or without one.

use serde_json::Value;

use crate::place::{Place, STORAGE, create_arguments, soon};

#[test]
fn a_create_can_be_killed_interrupted_and_repeated() {
    let place = Place::with_storage("repeat");
    let flags = [&STORAGE[..], &["--", "--rate", "50"]].concat();
    let arguments = create_arguments("demo", &flags);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    // Killed as soon as there is a Job, whatever else there is by then.
    let running = place.start(&arguments);
    let job = soon("the Job is created", || {
        let job = place.try_kubectl(&["get", "job/demo-master", "-o", "json"]);
        serde_json::from_str::<Value>(&job.stdout).ok()
    });
    running.signal("KILL");
    assert_eq!(running.end().code, None);

    // Interrupted while it waits: it says so, and the cluster continues.
    let mut running = place.start(&arguments);
    soon("the Service and the Deployment are created", || {
        let all = place.exists("service/demo-master") && place.exists("deployment/demo-task-manager");
        (all && place.exists("configmap/demo-history")).then_some(())
    });
    assert!(running.runs(), "it ended before it could be interrupted");
    running.signal("INT");
    let interrupted = place.note(running.end());
    interrupted.exits(130).reports(&["interrupted"]);

    // Repeated it ends well, on the same Job.
    place.flink(&arguments).ok();
    place.runs("demo");
    let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(uid(&place.object("job/demo-master")), uid(&job));

    // What runs is left alone.
    let generation = place.object("deployment/demo-task-manager")["metadata"]["generation"].clone();
    let unchanged = place.flink(&arguments).ok();
    assert_eq!(unchanged.stdout, "cluster/demo unchanged\n");
    let after = place.object("deployment/demo-task-manager");
    assert_eq!(after["metadata"]["generation"], generation);
    let flags = [&["-p", "2", "--env", "NEW=1"], &flags[..]].concat();
    place
        .create("demo", &flags)
        .exits(8)
        .reports(&["parallelism.default=1", "parallelism.default=2", "replicas", "NEW"])
        .reports(&["upgrade demo"]);
    let after = place.object("deployment/demo-task-manager");
    assert_eq!(after["metadata"]["generation"], generation);
    assert_eq!(uid(&place.object("job/demo-master")), uid(&job));
}

#[test]
fn a_resume_that_is_killed_after_its_stop_request_is_taken_up() {
    let place = Place::with_storage("killed");
    // Slow enough to be killed before the savepoint is written.
    let flags = ["--", "--rate", "50", "--slow", "5"];
    place.create("demo", &[&STORAGE[..], &flags].concat()).ok();
    let before = place.counted("demo", 100);
    let job = place.job_id("demo");
    let running = place.start(&["savepoint-resume", "demo"]);
    soon("Flink takes the savepoint", || {
        let checkpoints = place.rest("demo", &format!("jobs/{job}/checkpoints"))?;
        (checkpoints["counts"]["in_progress"] == 1).then_some(())
    });
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    let known = place.savepoints("demo");
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0]["progress"], "requested", "{known:?}");

    place.flink(&["savepoint-resume", "demo"]).ok();
    let savepoints = place.savepoints("demo");
    assert_eq!(savepoints.len(), 1, "a second savepoint was taken: {savepoints:?}");
    assert_eq!(savepoints[0]["triggerId"], known[0]["triggerId"]);
    assert_eq!(savepoints[0]["progress"], "completed");
    place.continued("demo", before);
    assert_ne!(place.job_id("demo"), job);
}

#[test]
fn a_create_that_failed_is_mended_by_another_one_and_one_that_ran_is_not() {
    let place = Place::with_storage("mended");
    let hint = "create demo …` with other flags replaces it";
    // No such image: nothing of it ever runs.
    let flags = [
        &STORAGE[..],
        &["--image=counting-job:none", "--no-image-check", "--timeout=20s"],
    ]
    .concat();
    let failed = place.create("demo", &flags).reports(&[hint]);
    assert!(matches!(failed.code, Some(5 | 6)), "{failed}");
    // No such class: the JobManager ends, and its job has never begun.
    let flags = [&STORAGE[..], &["--job-class", "com.example.None"]].concat();
    place.create("demo", &flags).exits(6).reports(&[hint, "keeps no state"]);
    // Its tasks never get a TaskManager.
    let flags = [&STORAGE[..], &["--timeout=40s", "--taskmanager-cpu=900"]].concat();
    let failed = place.create("demo", &flags).reports(&[hint, "keeps no state"]);
    assert!(matches!(failed.code, Some(5 | 6)), "{failed}");

    let flags = [&STORAGE[..], &["--", "--rate", "50"]].concat();
    place.create("demo", &flags).ok().reports(&["keeps no state"]);
    place.runs("demo");
    place.counted("demo", 50);
    let outcomes = place.flink(&["history", "demo", "-o", "json"]).ok();
    let outcomes: Value = serde_json::from_str(&outcomes.stdout).unwrap();
    assert_eq!(outcomes["items"][0]["outcome"], "running", "{outcomes}");

    // It has run: its state is not given up, even if it fails.
    let job = place.job_id("demo");
    let flags = [&STORAGE[..], &["--env", "NEW=1", "--", "--rate", "50"]].concat();
    place.create("demo", &flags).exits(8).reports(&["upgrade demo"]);
    assert_eq!(place.job_id("demo"), job);
}
