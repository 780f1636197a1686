//! Rehearsals of versions that work and of those that cannot, beside a job that must not notice.

use std::process::Command;

use crate::place::{Place, STORAGE, flink_version, soon};
use crate::process::Run;
use crate::untouched::Untouched;

/// The program's arguments, with one operator that a version without `--extra` lacks.
const PROGRAM: [&str; 4] = ["--", "--rate", "50", "--extra"];

#[test]
fn a_version_that_cannot_work_is_refused_while_the_job_runs() {
    let place = Place::with_storage("rehearse");
    place.create("demo", &[&STORAGE[..], &PROGRAM].concat()).ok();
    place.counted("demo", 50);
    let mut untouched = Untouched::of(&place, 4);

    // A good one, with another parallelism. No task of it is deployed, so that no sink is opened, and Flink would log it.
    let rehearsal = place.start(&["rehearse", "demo", "-p", "2"]);
    let log = soon("its JobManager logs", || {
        place.exists("job/demo-rehearsal").then_some(())?;
        let pods = ["get", "pods", "-l", "app=demo,component=rehearsal", "-o", "name"];
        let pod = place.kubectl(&pods).trim().to_owned();
        let logs = Command::new("kubectl")
            .args(["-n", &place.namespace, "logs", "--follow", &pod])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&logs.stdout).into_owned();
        (!text.is_empty()).then_some(text)
    });
    let run = place.note(rehearsal.end()).ok();
    run.reports(&[
        "demo: savepoint file:/storage/savepoints/",
        "the new version finds its state in file:/storage/",
    ]);
    assert!(log.contains("Restoring job"), "{log}");
    assert!(!log.contains("DEPLOYING"), "{log}");
    let path = place.last_savepoint("demo");
    assert_eq!(place.savepoints("demo")[0]["reason"], "rehearse");
    untouched.holds();
    assert!(!place.exists("job/demo-rehearsal"), "its Job is left");

    // From one savepoint, for the others to take less time.
    let rehearse = |flags: &[&str], program: &[&str]| -> Run {
        let from = ["rehearse", "demo", "--from-savepoint", &path];
        place.flink(&[&from[..], flags, program].concat())
    };
    let without_extra = ["--", "--rate", "50"];
    let throwing = ["--", "--rate", "50", "--extra", "--throw-in-main"];
    let broken: [(&[&str], &[&str], &[&str]); 5] = [
        (
            &[],
            &without_extra,
            &[
                "Cannot map checkpoint/savepoint state for operator",
                "--allow-non-restored-state",
            ],
        ),
        (&[], &throwing, &["thrown in main on purpose"]),
        (&["--job-class=com.example.Absent"], &PROGRAM, &["com.example.Absent"]),
        (
            &["--image=absent-job:2.3.0", "--no-image-check"],
            &PROGRAM,
            &["absent-job:2.3.0"],
        ),
        // Longer than its timeout.
        (&["-D", "heartbeat.interval=900000"], &PROGRAM, &["heartbeat"]),
    ];
    for (flags, program, cause) in broken {
        rehearse(flags, program)
            .exits(6)
            .reports(&["the new version failed its rehearsal, and demo was not changed"])
            .reports(cause);
        untouched.holds();
        assert!(!place.exists("job/demo-rehearsal"), "its Job is left");
    }
    rehearse(&["--allow-non-restored-state"], &without_extra).ok();
    untouched.holds();

    place.flink(&["delete", "demo", "--yes"]).ok();
}

/// The program of the others sets a max parallelism of its own.
#[test]
fn a_rehearsed_upgrade_fails_before_the_job_is_stopped_or_completes() {
    let place = Place::with_storage("rehearse-max");
    let image = format!("--image=state-machine:{}", flink_version());
    let class = "--job-class=org.apache.flink.streaming.examples.statemachine.StateMachineExample";
    place.create("demo", &[&STORAGE[..], &[&image, class]].concat()).ok();
    let job_id = place.job_id("demo");
    // The state of this program has no canonical form.
    let native = "--savepoint-format=native";
    place
        .flink(&[
            "upgrade",
            "demo",
            "--rehearse",
            native,
            "-D",
            "pipeline.max-parallelism=64",
        ])
        .exits(6)
        .reports(&["Max parallelism mismatch", "demo was not changed"]);
    place.runs("demo");
    assert_eq!(place.job_id("demo"), job_id);
    assert_eq!(place.savepoints("demo").len(), 1);

    // Interrupted, a rehearsal leaves nothing.
    let path = place.last_savepoint("demo");
    let rehearsal = place.start(&["rehearse", "demo", "--from-savepoint", &path]);
    soon("its Job is made", || place.exists("job/demo-rehearsal").then_some(()));
    rehearsal.signal("INT");
    let run = rehearsal.end();
    assert_eq!(run.code, Some(130), "{run}");
    assert!(!place.exists("job/demo-rehearsal"), "its Job is left");

    place
        .flink(&["upgrade", "demo", "--rehearse", native, "--env", "NEW=1"])
        .ok()
        .reports(&["demo: rehearsed: ", "without processing for"]);
    assert_eq!(place.savepoints("demo").len(), 3);
    place.runs("demo");
    place.flink(&["delete", "demo", "--yes"]).ok();
}
