//! What goes wrong around a cluster, and takes long to try: `tests/long faults-bed` runs these, one by one.
//!
//! After each fault it must hold that no savepoint is lost, that the command can be repeated and then does its work, that
//! there is never a second JobManager beside the first, and that the count continues.

mod documents;

use std::process::Command;
use std::time::{Duration, Instant};

use crate::alone::{api_server_is_back, restart};
use crate::durable::{RECOVERS, now};
use crate::place::{Place, STORAGE, create_arguments, soon};
use crate::process::{self, Run, Running};

/// A savepoint takes long enough to be met while it is written.
const SLOW: [&str; 5] = ["--", "--rate", "50", "--slow", "3"];

impl Place {
    /// Creates the cluster, and counts for a while.
    #[track_caller]
    fn begin(&self, flags: &[&str]) {
        self.create("demo", &[&STORAGE[..], flags].concat()).ok();
        self.counted("demo", 100);
    }

    /// Waits until the history has a savepoint that is being written, and Flink knows of it.
    #[track_caller]
    fn is_writing(&self) {
        let job = self.job_id("demo");
        soon("a savepoint is being written", || {
            let asked = self.savepoints("demo").last()?["progress"] == "requested";
            let checkpoints = self.rest("demo", &format!("jobs/{job}/checkpoints"))?;
            (asked && checkpoints["counts"]["in_progress"].as_u64()? > 0).then_some(())
        });
    }

    /// Whether every savepoint of the history that was completed is on the disk.
    #[track_caller]
    fn savepoints_are_there(&self) {
        let storage = std::env::var("BED_STORAGE").unwrap();
        for savepoint in self
            .savepoints("demo")
            .iter()
            .filter(|one| one["progress"] == "completed")
        {
            let path = savepoint["path"]
                .as_str()
                .unwrap()
                .strip_prefix("file:/storage/")
                .unwrap();
            let file = format!("{storage}/{}/{path}/_metadata", self.namespace);
            assert!(std::path::Path::new(&file).exists(), "{savepoint} is not on the disk");
        }
    }

    /// Asserts that there was never a second JobManager, that the count resumes from `before`, and cleans up nothing.
    #[track_caller]
    fn is_whole(&self, before: u64) {
        assert_eq!(self.jobmanagers(), 1);
        self.counted("demo", before + 1);
        self.runs("demo");
        self.savepoints_are_there();
    }
}

#[test]
fn the_api_server_and_etcd_die_under_every_kind_of_command() {
    let place = Place::with_storage("servers");
    let create = create_arguments("demo", &[&STORAGE[..], &SLOW].concat());
    let create: Vec<&str> = create.iter().map(String::as_str).collect();
    let running = place.start(&create);
    soon("the Job is created", || place.exists("job/demo-master").then_some(()));
    restart("etcd", 3).end().ok();
    place.converges(running.end(), &create);
    api_server_is_back();
    place.counted("demo", 100);

    for (component, step, number) in [
        ("apiserver", "stopping", "1"),
        ("etcd", "stopping", "2"),
        ("apiserver", "waiting", "3"),
    ] {
        let before = place.count("demo");
        let env = format!("A={number}");
        let running = place.start(&["upgrade", "demo", "--env", &env]);
        soon(&format!("the upgrade is {step}"), || {
            (place.journal()["step"] == step).then_some(())
        });
        restart(component, 3).end().ok();
        place.converges(running.end(), &["upgrade", "demo", "--continue"]);
        api_server_is_back();
        place.continued("demo", before);
        assert_eq!(place.journal()["step"], "done");
        place.is_whole(before);
    }

    // A savepoint is looked up, and not taken twice; a client that waits for one gets its result.
    let known = place.savepoints("demo").len();
    let waits = place.start(&["wait", "demo", "--for=checkpoint"]);
    let running = place.start(&["savepoint", "demo"]);
    place.is_writing();
    restart("apiserver", 3).end().ok();
    place.converges(running.end(), &["savepoint", "demo"]);
    api_server_is_back();
    assert_eq!(
        place.savepoints("demo").len(),
        known + 1,
        "{:?}",
        place.savepoints("demo")
    );
    place.flink(&["checkpoint", "demo"]).ok();
    place.converges(waits.end(), &["status", "demo"]);

    let before = place.count("demo");
    let running = place.start(&["delete", "demo", "--yes", "--savepoint"]);
    place.is_writing();
    restart("etcd", 3).end().ok();
    let run = place.note(running.end());
    api_server_is_back();
    if run.code != Some(0) {
        place
            .flink(&["delete", "demo", "--yes", "--savepoint", "--ignore-not-found"])
            .ok();
    }
    place.left_with(&["configmap/demo-history"]);
    place.last_savepoint("demo");
    place.savepoints_are_there();
    place.flink(&["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn a_jobmanager_a_taskmanager_and_the_node_die_under_a_savepoint() {
    let place = Place::with_storage("victims");
    place.begin(&[&RECOVERS[..], &["--ha=file:///storage/ha", "--ha-create-rbac"], &SLOW].concat());
    for (victim, command) in [
        ("component=task-manager", &["savepoint", "demo"][..]),
        ("component=task-manager", &["savepoint-resume", "demo"]),
        ("component=master", &["savepoint", "demo"]),
        ("component=master", &["upgrade", "demo", "--env", "A=1"]),
        ("node", &["savepoint-resume", "demo"]),
    ] {
        let before = place.checkpointed("demo");
        let job = place.job_id("demo");
        let running = place.start(command);
        place.is_writing();
        let since = now();
        if victim == "node" {
            let node = restart("kubelet", 5);
            place.kill(None);
            node.end().ok();
        } else {
            let selector = format!("app=demo,{victim}");
            place.kill(Some(place.running_pods(&selector).last().unwrap()));
        }
        let run = place.note(running.end());
        // What was not written resumes from its last checkpoint, under the same ID.
        if run.code != Some(0) {
            soon("the job runs again", || {
                let overview = place.rest("demo", "jobs/overview")?;
                (overview["jobs"][0]["state"] == "RUNNING").then_some(())
            });
            let again = if command[0] == "upgrade" && place.journal()["step"] != "rolled-back" {
                place.flink(&["upgrade", "demo", "--continue"])
            } else {
                place.flink(command)
            };
            again.ok();
        }
        if command[0] == "savepoint" {
            place.came_back("demo", &job, before, &since);
        } else {
            place.continued("demo", before);
            assert_ne!(place.job_id("demo"), job);
        }
        place.is_whole(before);
    }
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn names_do_not_resolve_for_a_while() {
    let place = Place::with_storage("names");
    place.begin(&["--", "--rate", "50"]);
    let before = place.count("demo");
    // A cluster that runs needs no names; one that starts finds its JobManager when there are some again.
    let late = create_arguments("late", &["--timeout=5m", "--", "--rate", "50"]);
    let late: Vec<&str> = late.iter().map(String::as_str).collect();
    let names = restart("coredns", 30);
    let created = place.start(&late);
    place.flink(&["savepoint", "demo"]).ok();
    soon("late is made", || place.exists("job/late-master").then_some(()));
    let why = place.flink(&["why", "late"]);
    assert!(matches!(why.code, Some(0 | 6)), "{why}");
    place.flink(&["upgrade", "demo", "--env", "A=1", "--timeout=5m"]).ok();
    names.end().ok();
    place.note(created.end()).ok();
    place.counted("late", 1);
    place.continued("demo", before);
    place.is_whole(before);
    place.flink(&["delete", "demo", "late", "--yes"]).ok();
}

#[test]
fn the_folder_of_the_savepoints_is_full() {
    let place = Place::with_storage("full");
    let folder = format!(
        "{}/{}/savepoints",
        std::env::var("BED_STORAGE").unwrap(),
        place.namespace
    );
    let mount = |arguments: &[&str]| process::run(Command::new("mount").args(arguments).arg(&folder), "").ok();
    std::fs::create_dir_all(&folder).unwrap();
    mount(&["-t", "tmpfs", "-o", "mode=777,size=4k", "tmpfs"]);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        place.begin(&["-D", "execution.checkpointing.interval=5s", "--", "--rate", "50"]);
        let job = place.job_id("demo");
        for command in [
            &["savepoint", "demo"][..],
            &["stop", "demo"],
            &["savepoint-resume", "demo"],
            &["upgrade", "demo", "--env", "A=1"],
            &["delete", "demo", "--yes", "--savepoint"],
        ] {
            let before = place.count("demo");
            place.flink(command).exits(6).reports(&["No space left on device"]);
            // Nothing was ended for a savepoint that was not written.
            place.counted("demo", before + 50);
            assert_eq!(place.job_id("demo"), job, "after {command:?}");
            assert_eq!(place.jobmanagers(), 1);
        }
        let before = place.count("demo");
        mount(&["-o", "remount,size=64m"]);
        place.flink(&["upgrade", "demo", "--env", "A=1"]).ok();
        place.continued("demo", before);
        place.is_whole(before);
        place.flink(&["delete", "demo", "--yes"]).ok();
    }));
    process::run(Command::new("umount").arg("--lazy").arg(&folder), "").ok();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn the_clock_of_the_client_is_hours_off() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    assert!(
        std::path::Path::new(library).exists(),
        "the Debian package libfaketime is missing"
    );
    let place = Place::with_storage("clocks");
    // Ahead only: the certificates of a young test cluster are not valid for a clock that is behind.
    let skewed = |hours: &str, arguments: &[&str]| -> Running {
        let mut command = place.plugin(arguments);
        command.env("LD_PRELOAD", library).env("FAKETIME", hours);
        // Waiting is by the other clock, which cannot be set.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        process::start(&mut command, "")
    };
    let run = |hours: &str, arguments: &[&str]| -> Run { place.note(skewed(hours, arguments).end()) };
    let create = create_arguments("demo", &[&STORAGE[..], &SLOW].concat());
    let create: Vec<&str> = create.iter().map(String::as_str).collect();
    run("+5h", &create).ok();
    place.counted("demo", 100);

    // The heartbeat says which command is running, whatever the clocks say.
    let before = place.count("demo");
    let behind = skewed("+0h", &["upgrade", "demo", "--env", "A=1"]);
    soon("the upgrade is stopping", || {
        (place.journal()["step"] == "stopping").then_some(())
    });
    run("+10h", &["upgrade", "demo", "--env", "A=2"])
        .exits(8)
        .reports(&["is being changed"]);
    run("+10h", &["upgrade", "demo", "--continue", "--take-over"]).exits(8);
    place.note(behind.end()).ok();
    place.continued("demo", before);

    // What has ended just now did not end hours ago.
    place.flink(&["stop", "demo"]).ok();
    place.kubectl(&["wait", "job/demo-master", "--for=condition=Complete", "--timeout=120s"]);
    run("+5h", &["prune", "--older-than=1h", "--yes"])
        .ok()
        .reports(&["no cluster in namespace"]);
    assert!(place.exists("job/demo-master"));
    run("+10h", &["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    run("+10h", &["why", "demo"]).ok();
    run("+5h", &["delete", "demo", "--yes"]).ok();
}

#[test]
fn two_and_eight_change_a_cluster_at_once() {
    let place = Place::with_storage("many");
    place.begin(&SLOW);
    for users in [2, 8] {
        let before = place.count("demo");
        let (job, known) = (place.job_id("demo"), place.savepoints("demo").len());
        let mut running: Vec<Option<Running>> = (0..users)
            .map(|user| Some(place.start(&["upgrade", "demo", "--env", &format!("USER_{users}={user}")])))
            .collect();
        let mut ended = Vec::new();
        let begun = Instant::now();
        while ended.len() < users {
            assert!(begun.elapsed() < Duration::from_secs(600), "they have not ended");
            assert!(place.jobmanagers() <= 1, "two JobManagers at once");
            for user in &mut running {
                if user.as_mut().is_some_and(|running| !running.runs())
                    && let Some(running) = user.take()
                {
                    ended.push(place.note(running.end()));
                }
            }
        }
        let (won, refused): (Vec<Run>, Vec<Run>) = ended.into_iter().partition(|run| run.code == Some(0));
        assert_eq!(won.len(), 1, "{won:?}");
        for run in refused {
            run.exits(8)
                .reports(&["is being changed: upgrade to revision", "since"]);
        }
        assert_eq!(place.savepoints("demo").len(), known + 1);
        assert_ne!(place.job_id("demo"), job);
        place.continued("demo", before);
        place.is_whole(before);
    }

    // One upgrades while others end the job: the first is left alone by the others.
    let before = place.count("demo");
    let first = place.start(&["upgrade", "demo", "--env", "LAST=1"]);
    soon("the upgrade is stopping", || {
        (place.journal()["step"] == "stopping").then_some(())
    });
    for command in [
        &["stop", "demo"][..],
        &["suspend", "demo"],
        &["savepoint-resume", "demo"],
        &["delete", "demo", "--yes", "--savepoint"],
        &["scale", "demo", "--parallelism=2"],
        &["rollback", "demo"],
    ] {
        place.flink(command).exits(8).reports(&["is being changed"]);
    }
    place.note(first.end()).ok();
    place.continued("demo", before);
    place.is_whole(before);
    place.flink(&["delete", "demo", "--yes"]).ok();
}
