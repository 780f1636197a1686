//! Jobs that do not keep running: each is reported by its exit code and its cause as soon as it is known.

use std::time::Duration;

use serde_json::Value;

use crate::place::{Place, STORAGE};
use crate::process::Run;

/// Far below the time limit of the command, which is ten minutes: room for a slow machine.
const QUICKLY: Duration = Duration::from_secs(420);

/// Creates a cluster that must fail, and checks that the cause is reported.
#[track_caller]
fn fails(topic: &str, flags: &[&str], cause: &[&str]) -> Run {
    let place = Place::with_storage(topic);
    let run = place
        .create("demo", &[&STORAGE[..], flags].concat())
        .exits(6)
        .within(QUICKLY)
        .reports(&["cluster demo does not run"])
        .reports(cause);
    // Each way to mend it is printed once.
    let ways = ["with other flags replaces it", "delete demo` removes it"];
    assert!(ways.iter().all(|way| run.stderr.matches(way).count() == 1), "{run}");
    // It can be looked at, keeps its cause, and goes by a delete.
    assert!(place.exists("job/demo-master"));
    let history: Value = serde_json::from_str(&place.flink(&["history", "demo", "-o", "json"]).ok().stdout).unwrap();
    assert_eq!(history["items"][0]["outcome"], "failed", "{history}");
    let status = place.flink(&["status", "demo"]).ok();
    assert!(cause.iter().all(|text| status.stdout.contains(text)), "{status}");
    place.flink(&["delete", "demo", "--yes"]).ok();
    place.left_with(&["configmap/demo-history"]);
    run
}

#[test]
fn a_job_that_finishes_is_a_success() {
    let place = Place::new("finishes");
    let flags = [
        "-D",
        "execution.buffer-timeout.interval=0",
        "--",
        "--rate",
        "1000",
        "--finish-after",
        "10",
    ];
    place
        .create("demo", &flags)
        .ok()
        .within(QUICKLY)
        .reports(&["the job has finished"]);
    place.kubectl(&["wait", "job/demo-master", "--for=condition=Complete", "--timeout=120s"]);
}

#[test]
fn a_job_that_fails_is_reported_with_its_root_exception() {
    // Records flow at once, so that the first one fails before the job counts as running.
    let flags = ["-D", "execution.buffer-timeout.interval=0", "--", "--fail-after", "1"];
    fails(
        "fails",
        &flags,
        &["IllegalStateException: failed on purpose at record 1"],
    );
}

#[test]
fn a_main_that_throws_is_reported_with_its_exception() {
    fails(
        "throws",
        &["--", "--throw-in-main"],
        &["IllegalStateException: thrown in main on purpose"],
    );
}

#[test]
fn a_class_that_is_not_there_is_named() {
    fails("class", &["--job-class=com.example.Absent"], &["com.example.Absent"]);
}

#[test]
fn a_main_without_a_job_is_reported() {
    fails("nojob", &["--", "--no-execute"], &["no job was seen running"]).reports(&["execute()"]);
}

#[test]
fn a_savepoint_that_is_not_there_is_named() {
    fails(
        "absent",
        &["--from-savepoint=file:///storage/absent"],
        &["/storage/absent"],
    );
}

#[test]
fn an_image_that_is_not_there_is_named() {
    fails("image", &["--image=absent-job:2.3.0"], &["absent-job:2.3.0", "pull"]);
}
