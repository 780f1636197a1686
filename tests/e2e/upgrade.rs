//! Upgrades of a running job: those that work, those that come back by themselves, and those that are killed on the way.

use std::time::Duration;

use serde_json::Value;

use crate::place::{Place, STORAGE, soon};
use crate::process::Run;

/// Checkpoints that come soon, and a job that is not restarted for ever.
const FLAGS: [&str; 5] = ["-D", "execution.checkpointing.interval=2s", "--", "--rate", "50"];

impl Place {
    /// The journal of the operation in progress, or of the last one.
    #[track_caller]
    pub fn journal(&self) -> Value {
        let history = self.object("configmap/demo-history");
        history["data"]["journal"]
            .as_str()
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    /// A revision as the history has it.
    #[track_caller]
    fn revision(&self, number: u64) -> Value {
        let history = self.object("configmap/demo-history");
        let text = history["data"][format!("revision.{number}")].as_str();
        serde_json::from_str(text.unwrap_or_else(|| panic!("no revision {number} in {history}"))).unwrap()
    }

    /// The revision of the Job.
    #[track_caller]
    pub fn running_revision(&self) -> String {
        self.object("job/demo-master")["metadata"]["annotations"]["kubectl-flink/revision"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// JobManagers that have not ended: never two.
    pub fn jobmanagers(&self) -> usize {
        let pods = self.kubectl(&["get", "pods", "-l", "app=demo,component=master", "-o", "json"]);
        let pods: Value = serde_json::from_str(&pods).unwrap();
        let alive = |pod: &&Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        pods["items"].as_array().unwrap().iter().filter(alive).count()
    }

    /// Runs an upgrade that must fail, and come back to the version before with its state.
    #[track_caller]
    fn comes_back(&self, flags: &[&str], cause: &[&str]) -> Run {
        let before = self.count("demo");
        let known = self.savepoints("demo").len();
        let run = self
            .flink(&[&["upgrade", "demo"], flags].concat())
            .exits(6)
            .reports(&["did not come up", "again, from file:/storage/savepoints/"])
            .reports(cause);
        assert_eq!(self.runs("demo"), 3);
        assert_eq!(self.jobmanagers(), 1);
        self.continued("demo", before);
        assert_eq!(self.savepoints("demo").len(), known + 1, "one savepoint for both");
        let journal = self.journal();
        assert_eq!(journal["step"], "rolled-back", "{journal}");
        let failed = self.revision(journal["newRevision"].as_u64().unwrap());
        assert_eq!(failed["outcome"]["state"], "rolled-back", "{failed}");
        let back = journal["rollbackRevision"].as_u64().unwrap();
        assert_eq!(self.running_revision(), back.to_string());
        assert_eq!(self.revision(back)["outcome"]["state"], "running");
        run
    }
}

#[test]
fn an_upgrade_resumes_from_its_savepoint_and_a_failed_one_rolls_back() {
    let place = Place::with_storage("upgrade");
    place.create("demo", &[&STORAGE[..], &FLAGS].concat()).ok();
    let before = place.counted("demo", 100);

    // Nothing differs, and a plan changes nothing.
    let unchanged = place.flink(&["upgrade", "demo"]).ok();
    assert_eq!(unchanged.stdout, "cluster/demo unchanged\n");
    let plan = place.flink(&["upgrade", "demo", "-p", "2", "--dry-run"]).ok().stdout;
    assert!(
        plan.contains("parallelism.default=2") && plan.contains("revision 2"),
        "{plan}"
    );
    assert_eq!(place.savepoints("demo").len(), 0);

    // Another terminal follows the log: it continues with the new version's.
    let follows = place.start(&["logs", "demo", "-f", "--role=jobmanager"]);
    let job = place.job_id("demo");
    let run = place
        .flink(&["upgrade", "demo", "--env", "NEW=1"])
        .ok()
        .reports(&["without processing for", "first checkpoint completed"]);
    assert_eq!(run.stdout, "cluster/demo upgraded\n");
    place.continued("demo", before);
    let follows = follows.still_runs();
    follows.signal("INT");
    let log = follows.end().stdout;
    assert!(log.contains(&job) && log.contains(&place.job_id("demo")), "{log}");
    assert_eq!(place.running_revision(), "2");
    let journal = place.journal();
    assert_eq!(journal["step"], "done", "{journal}");
    assert_eq!(place.revision(2)["outcome"]["state"], "running");
    assert!(place.revision(2)["by"].as_str().unwrap().contains('@'));

    // Each for another cause.
    place.comes_back(&["--image=absent-job:2.3.0", "--surge=never"], &["absent-job:2.3.0"]);
    place.comes_back(&["--job-class=com.example.Absent"], &["com.example.Absent"]);
    place.comes_back(&["--", "--throw-in-main"], &["thrown in main on purpose"]);
    // Its tasks run for an instant before they fail over the state, and no checkpoint of them is completed.
    let incompatible = [
        "cannot resume from its savepoint in keys (1/1)",
        "StateMigrationException",
        "the savepoint does not fit the program's state",
    ];
    place
        .comes_back(&["--job-class=org.kubectlflink.jobs.IncompatibleJob"], &incompatible)
        .does_not_report("completes no checkpoint");
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn an_upgrade_that_runs_but_does_not_work_rolls_back() {
    let place = Place::with_storage("upgrade-late");
    place.create("demo", &[&STORAGE[..], &FLAGS].concat()).ok();
    place.counted("demo", 100);
    // One TaskManager fits, a second one of this size never does.
    place.comes_back(&["-p", "2", "--taskmanager-memory=300g", "--timeout=60s"], &["demo"]);
    place.comes_back(
        &[
            "-D",
            "execution.checkpointing.timeout=1s",
            "-D",
            "execution.checkpointing.tolerable-failed-checkpoints=1000",
            "--",
            "--rate",
            "50",
            "--slow",
            "4",
        ],
        &["checkpoint"],
    );

    // Back by hand, too: to a revision that ran, from the savepoint of now.
    let before = place.count("demo");
    place.flink(&["upgrade", "demo", "--", "--rate", "70"]).ok();
    place
        .flink(&["rollback", "demo"])
        .ok()
        .reports(&["without processing for"]);
    place.continued("demo", before);
    let args = place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains("\"50\"") && !args.contains("\"70\""), "{args}");

    // Without its state it begins again, and an older savepoint brings it back.
    let saved = place.last_savepoint("demo");
    let before = place.restored("demo");
    let lossy = ["upgrade", "demo", "--strategy=stateless", "--env", "NEW=1"];
    place.flink(&lossy).exits(2).reports(&["is lost", "--yes"]);
    let made = place.flink(&[&lossy[..], &["--yes", "-o", "name"]].concat()).ok();
    made.reports(&["is lost", "cancel "]);
    assert_eq!(place.restored("demo"), 0);
    place.flink(&["rollback", "demo", "--from-savepoint", &saved]).ok();
    place.continued("demo", before);

    // A last checkpoint is kept only where the configuration says so.
    let refused = place.flink(&["restart", "demo", "--strategy=last-checkpoint"]);
    refused.exits(8).reports(&["RETAIN_ON_CANCELLATION"]);
    let retention = "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION";
    place.flink(&["upgrade", "demo", "-D", retention]).ok();
    let before = place.count("demo");
    let known = place.savepoints("demo").len();
    soon("a checkpoint of after that", || {
        place.counts("demo").filter(|(count, _)| *count > before + 300)
    });
    place.flink(&["restart", "demo", "--strategy=last-checkpoint"]).ok();
    assert_eq!(place.savepoints("demo").len(), known);
    let saved = place.journal()["savedState"].as_str().unwrap().to_owned();
    assert!(saved.starts_with("file:/storage/checkpoints/"), "{saved}");
    place.continued("demo", before);
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn a_killed_upgrade_continues_or_rolls_back_and_blocks_other_changes() {
    let place = Place::with_storage("upgrade-killed");
    // Slow enough to be met while it stops.
    let flags = [
        "-D",
        "execution.checkpointing.interval=1h",
        "--",
        "--rate",
        "50",
        "--slow",
        "3",
    ];
    place.create("demo", &[&STORAGE[..], &flags].concat()).ok();
    let kill_at = |steps: &[&str], env: &str| {
        let running = place.start(&["upgrade", "demo", "--env", env]);
        soon(&format!("the journal is at {steps:?}"), || {
            let journal = place.journal();
            steps.iter().any(|step| journal["step"] == *step).then_some(())
        });
        (running, place.journal())
    };

    // While it stops: a second one is refused, and names the first. Then it continues.
    let before = place.counted("demo", 100);
    let (running, journal) = kill_at(&["stopping"], "A=1");
    place.flink(&["upgrade", "demo", "--env", "B=1"]).exits(8).reports(&[
        "is being changed",
        "upgrade to revision 2",
        journal["holder"]["who"].as_str().unwrap(),
    ]);
    running.signal("KILL");
    running.end();
    place
        .flink(&["upgrade", "demo", "--env", "B=1"])
        .exits(8)
        .reports(&["is unfinished", "--continue", "--abort"]);
    place.flink(&["suspend", "demo"]).exits(8).reports(&["--continue"]);
    place.flink(&["status", "demo"]);
    place.flink(&["upgrade", "demo", "--continue"]).ok();
    place.continued("demo", before);
    assert_eq!(place.running_revision(), "2");
    assert_eq!(
        place.savepoints("demo").len(),
        1,
        "the savepoint was looked up, not repeated"
    );

    // While it waits: back.
    let before = place.count("demo");
    let (running, _) = kill_at(&["waiting"], "A=2");
    running.signal("KILL");
    running.end();
    place
        .flink(&["upgrade", "demo", "--abort"])
        .exits(6)
        .reports(&["runs revision 2 again"]);
    place.continued("demo", before);
    assert_eq!(place.running_revision(), "4");
    assert_eq!(place.jobmanagers(), 1);

    // While it stops: back. No request came for a while after the job's end, and a client has read the savepoint's path
    // and died: the JobManager still gives it.
    let before = place.count("demo");
    let (running, journal) = kill_at(&["stopping"], "A=3");
    running.signal("KILL");
    running.end();
    soon("the job has ended", || {
        let jobs = place.rest("demo", "jobs/overview")?;
        (jobs["jobs"][0]["state"] == "FINISHED").then_some(())
    });
    let ending = |key: &str| journal["ending"][key].as_str().unwrap();
    let status = format!("jobs/{}/savepoints/{}", ending("jobId"), ending("triggerId"));
    for _ in 0..2 {
        let reply = place.rest("demo", &status).unwrap();
        assert!(reply["operation"]["location"].is_string(), "{reply}");
        std::thread::sleep(Duration::from_secs(3));
    }
    place.flink(&["upgrade", "demo", "--abort"]).exits(6);
    place.continued("demo", before);
    let env = place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains(r#""name":"A","value":"1""#), "{env}");

    // Repeated as it was, it continues by itself.
    let before = place.count("demo");
    let (running, _) = kill_at(&["saved", "replacing", "waiting"], "A=4");
    running.signal("KILL");
    running.end();
    place.flink(&["upgrade", "demo", "--env", "A=4"]).ok();
    place.continued("demo", before);
    assert_eq!(place.journal()["step"], "done");
    place.flink(&["delete", "demo", "--yes"]).ok();
}
