//! What is kept, what is trimmed, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::model::names::ClusterName;

fn savepoint(id: usize, progress: Progress) -> Savepoint {
    let at = "2026-01-01T00:00:00Z";
    Savepoint {
        progress,
        path: (progress == Progress::Completed).then(|| format!("file:///sp/{id}")),
        revision: Some(1),
        ..Savepoint::requested(&format!("{id:032x}"), &"0".repeat(32), "CANONICAL", "stop", at)
    }
}

pub(super) fn revision(number: u64, bytes: usize) -> Revision {
    Revision {
        number,
        created_at: "2026-01-01T00:00:00Z".into(),
        command: "create".into(),
        spec: json!({"args": "x".repeat(bytes)}),
        templates: None,
        by: None,
        outcome: None,
    }
}

fn stored(history: &History) -> Value {
    history
        .to_config_map(&ClusterName::new("demo").unwrap(), "ns", 0)
        .unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let history = History {
        revisions: (1..=3).map(|n| revision(n, 3)).collect(),
        savepoints: vec![
            savepoint(1, Progress::Completed),
            savepoint(2, Progress::Failed),
            savepoint(3, Progress::Requested),
        ],
        ..History::default()
    };
    let again = History::from_config_map(&stored(&history)).unwrap();
    assert_eq!(again, history);
    assert_eq!(again.next_revision(), 4);
    assert_eq!(again.last_savepoint().unwrap().path.as_deref(), Some("file:///sp/1"));
    let open = again.open_savepoints().next().unwrap();
    assert_eq!(open.trigger_id, format!("{:032x}", 3));
}

#[test]
fn a_savepoint_that_is_completed_stays_so() {
    let mut history = History::default();
    history.record(savepoint(1, Progress::Requested));
    history.record(savepoint(1, Progress::Completed));
    for late in [Progress::Failed, Progress::Requested] {
        history.record(savepoint(1, late));
    }
    assert_eq!(history.savepoints, [savepoint(1, Progress::Completed)]);
}

/// No command waited for it.
#[test]
fn a_revision_whose_job_has_written_a_savepoint_ran() {
    let mut history = History::default();
    for number in [1, 2] {
        history.upsert_revision(revision(number, 1));
    }
    let state = |history: &History| history.revision(1).and_then(Revision::state);
    history.record(savepoint(1, Progress::Requested));
    assert_eq!(state(&history), None);
    history.record(savepoint(1, Progress::Completed));
    assert_eq!(state(&history), Some(RevisionState::Running));
    assert_eq!(history.revision(2).and_then(Revision::state), None);
    // It ran, and did not come up as a command expected.
    let failed = RevisionOutcome::new(RevisionState::Failed, "2026-01-01T00:00:00Z", None);
    history.conclude(1, failed);
    history.record(savepoint(2, Progress::Completed));
    assert_eq!(state(&history), Some(RevisionState::Failed));
}

/// Another command took one after the stop had recorded its own, and before Flink was asked for that.
#[test]
fn the_savepoint_that_ended_a_job_is_its_newest() {
    let end = |progress| Savepoint {
        stops_job: true,
        ..savepoint(1, progress)
    };
    for other in [Progress::Completed, Progress::Requested] {
        let mut history = History::default();
        history.record(end(Progress::Requested));
        history.record(savepoint(2, other));
        history.record(end(Progress::Completed));
        assert_eq!(history.state_of(Some(1)), Some("file:///sp/1"));
        assert_eq!(
            (history.last_path(), history.lost_savepoint()),
            (Some("file:///sp/1"), None)
        );
        // What is recorded of it later does not move it.
        let next = Savepoint {
            revision: Some(2),
            ..savepoint(3, Progress::Completed)
        };
        history.record(next);
        history.record(end(Progress::Completed));
        assert_eq!(history.last_path(), Some("file:///sp/3"));
    }
    // The job failed after it, and may have gone on.
    let mut history = History::default();
    history.record(end(Progress::Requested));
    history.record(savepoint(2, Progress::Completed));
    history.record(Savepoint {
        failure: Some("the job failed".to_owned()),
        ..end(Progress::Completed)
    });
    assert_eq!(history.last_path(), Some("file:///sp/2"));
}

#[test]
fn what_was_disposed_of_is_never_resumed_from() {
    let mut history = History::default();
    history.record(savepoint(1, Progress::Completed));
    history.record(savepoint(2, Progress::Completed));
    history.dispose("file:///sp/2", "2026-01-02T00:00:00Z");
    let again = History::from_config_map(&stored(&history)).unwrap();
    assert_eq!(again.last_savepoint().unwrap().path.as_deref(), Some("file:///sp/1"));
    assert!(again.savepoint_at("file:///sp/2").unwrap().disposed_at.is_some());
    // Flink deletes it under each of these names.
    for path in [
        "file:///sp/1/",
        "file:/sp/1",
        "file:///sp/1/_metadata",
        "file:///sp/1/_metadata/",
    ] {
        let mut history = again.clone();
        history.dispose(path, "2026-01-03T00:00:00Z");
        assert_eq!(history.last_savepoint(), None, "{path}");
    }
}

#[test]
fn only_what_is_newer_than_the_last_savepoint_can_be_missed() {
    let history = |savepoints: Vec<Savepoint>| History {
        savepoints,
        ..History::default()
    };
    let open = savepoint(1, Progress::Requested);
    let done = savepoint(2, Progress::Completed);
    assert_eq!(history(vec![open.clone(), done.clone()]).lost_savepoint(), None);
    assert_eq!(history(vec![done, open.clone()]).lost_savepoint(), Some(&open));
    assert_eq!(history(vec![open.clone()]).lost_savepoint(), Some(&open));
}

#[test]
fn a_job_that_was_scaled_is_resumed_as_it_was() {
    let mut history = History::default();
    let spec = |spec: Value| Revision {
        spec: json!({ "spec": spec }),
        ..revision(1, 0)
    };
    history.upsert_revision(spec(json!({"job": {"parallelism": 2}, "taskManager": {"replicas": 2}})));
    history.rescale(1, 3, 3);
    let now = |history: &History| history.revisions[0].spec["spec"].clone();
    assert_eq!(now(&history), json!({"job": {"parallelism": 3}, "taskManager": {}}));
    history.rescale(1, 3, 4);
    let scaled = json!({"job": {"parallelism": 3}, "taskManager": {"replicas": 4}});
    assert_eq!(now(&history), scaled);
    let configuration = json!({"taskmanager.numberOfTaskSlots": "2"});
    history.upsert_revision(spec(json!({"job": {}, "flinkConfiguration": configuration})));
    history.rescale(1, 3, 2);
    let scaled = json!({"job": {"parallelism": 3}, "flinkConfiguration": configuration});
    assert_eq!(now(&history), scaled);
    // What runs is another one.
    history.rescale(7, 9, 9);
    assert_eq!(now(&history)["job"]["parallelism"], 3);
    // An upgrade that failed before it stopped the job leaves a later revision.
    history.upsert_revision(revision(2, 0));
    history.rescale(1, 4, 2);
    assert_eq!(now(&history)["job"]["parallelism"], 4);
}

#[test]
fn it_is_bounded_and_keeps_what_a_resume_needs() {
    let mut history = History::default();
    history.record(savepoint(0, Progress::Completed));
    for id in 1..200 {
        history.record(savepoint(id, Progress::Failed));
    }
    for number in 1..=40 {
        history.upsert_revision(revision(number, 100 << 10));
    }
    let object = stored(&history);
    assert!(object.to_string().len() < 800 << 10);
    let again = History::from_config_map(&object).unwrap();
    assert_eq!(again.savepoints.len(), 50);
    assert_eq!(again.last_savepoint().unwrap().trigger_id, format!("{:032x}", 0));
    assert_eq!(again.revisions.last().unwrap().number, 40);
    assert_eq!(again.next_revision(), 41);
}

#[test]
fn a_newer_format_is_refused() {
    let mut object = stored(&History::default());
    object["data"]["format"] = json!("2");
    let error = History::from_config_map(&object).unwrap_err();
    assert!(error.message.contains("format is 2"), "{error}");
    object["data"]["format"] = json!(null);
    assert!(History::from_config_map(&object).is_err());
}

#[test]
fn the_state_of_a_job_is_not_that_of_an_earlier_cluster() {
    let made = |number: u64, command: &str, start: Option<&str>| Revision {
        command: command.into(),
        spec: json!({"spec": {"job": {"initialSavepointPath": start}}}),
        ..revision(number, 0)
    };
    let of = |id: usize, number: Option<u64>| Savepoint {
        revision: number,
        ..savepoint(id, Progress::Completed)
    };
    let history = |last: Revision, savepoints: Vec<Savepoint>| History {
        revisions: vec![made(1, "create", None), last],
        savepoints,
        ..History::default()
    };
    let first = || vec![of(1, Some(1))];
    let fresh = history(made(2, "create", None), first());
    assert_eq!(
        (fresh.state_of(Some(1)), fresh.state_of(Some(2))),
        (Some("file:///sp/1"), None)
    );
    // `create --replace`, and a creation that names a savepoint that is not in this history.
    let replaced = history(made(2, "create", Some("file:///sp/1")), first());
    assert_eq!(replaced.state_of(Some(2)), Some("file:///sp/1"));
    assert_eq!(history(made(2, "create", Some("x")), first()).state_of(Some(2)), None);
    // A change continues from where it started, until there is a savepoint of it.
    let changed = made(2, "upgrade", Some("file:///chk-9"));
    assert_eq!(
        history(changed.clone(), first()).state_of(Some(2)),
        Some("file:///chk-9")
    );
    let mut saved = history(changed, vec![of(1, Some(1)), of(2, Some(2))]);
    assert_eq!(saved.state_of(Some(2)), Some("file:///sp/2"));
    saved.dispose("file:///sp/2", "2026-01-02T00:00:00Z");
    assert_eq!(saved.state_of(Some(2)), Some("file:///chk-9"));
    let mut resumed = history(made(2, "resume", Some("file:///sp/1")), first());
    resumed.dispose("file:///sp/1", "2026-01-02T00:00:00Z");
    assert_eq!(resumed.state_of(Some(2)), None);
    // Savepoints of a Job that the plugin has not created.
    let foreign = || vec![of(1, None)];
    assert_eq!(history(made(2, "create", None), foreign()).state_of(Some(2)), None);
    for taken_over in ["adopt", "found"] {
        let history = history(made(2, taken_over, None), foreign());
        assert_eq!(history.state_of(Some(2)), Some("file:///sp/1"), "{taken_over}");
    }
    assert_eq!(
        history(made(2, "create", None), foreign()).state_of(None),
        Some("file:///sp/1")
    );
    assert_eq!(fresh.state_of(None), None);
    // An adopted job was started from there, maybe long ago.
    let found = || Savepoint {
        reason: "adopt".into(),
        ..of(3, None)
    };
    let mut adopted = history(made(2, "adopt", Some("file:///sp/3")), Vec::new());
    for _ in 0..2 {
        adopted.record_start(&found());
        assert_eq!(
            (adopted.last_path(), adopted.savepoints.len()),
            (Some("file:///sp/3"), 1)
        );
        assert_eq!((adopted.state_of(Some(2)), adopted.state_of(None)), (None, None));
    }
    let mut saved = history(made(2, "adopt", Some("file:///sp/3")), foreign());
    saved.record_start(&found());
    assert_eq!(saved.last_path(), Some("file:///sp/1"));
}
