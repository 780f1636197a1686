//! A resume of a running job from a savepoint that is not its own last one.

use crate::place::{Place, STORAGE};

#[test]
fn a_running_job_is_given_up_for_another_savepoint_only_when_that_is_said() {
    let place = Place::with_storage("choices");
    place
        .create("demo", &[&STORAGE[..], &["--", "--rate", "50"]].concat())
        .ok();
    let at_least = place.counted("demo", 100);
    let early = place.savepoint("demo");
    let at_most = place.count("demo") + 100;
    place.counted("demo", at_most + 100);
    let job = place.job_id("demo");

    place
        .flink(&["savepoint-resume", "demo", "--from-savepoint", &early])
        .exits(2)
        .reports(&["--stop", "--cancel"]);
    assert_eq!(place.job_id("demo"), job);
    assert_eq!(place.savepoints("demo").len(), 0);

    // --stop: a last savepoint, which is kept, and back to the early one.
    place
        .flink(&["savepoint-resume", "demo", "--from-savepoint", &early, "--stop"])
        .ok();
    let late = place.last_savepoint("demo");
    assert_ne!(late, early);
    let restored = place.restored("demo");
    assert!(
        (at_least..=at_most).contains(&restored),
        "{at_least}, {restored}, {at_most}"
    );

    // --cancel: no savepoint, and on to the late one; what is given up is asked for.
    place
        .flink(&["savepoint-resume", "demo", "--from-savepoint", &late, "--cancel"])
        .exits(2)
        .reports(&["give up what the job of demo did", "--yes"]);
    place
        .flink(&[
            "savepoint-resume",
            "demo",
            "--from-savepoint",
            &late,
            "--cancel",
            "--yes",
        ])
        .ok();
    assert_eq!(place.savepoints("demo").len(), 1);
    let restored = place.restored("demo");
    assert!(
        restored > at_most,
        "it continued from {restored}, not from after {at_most}"
    );
    place.continued("demo", at_most);
}
