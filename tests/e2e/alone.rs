//! Parts of Kubernetes are stopped and killed under a cluster and under the commands that work on it. Nothing else runs on
//! the test cluster at that time: only `tests/bed/test alone::` and `tests/long` run these, one by one.

use std::process::Command;
use std::time::Duration;

use crate::durable::{RECOVERS, now};
use crate::place::{Place, STORAGE, bed, create_arguments, soon};
use crate::process::{self, Run, Running, eventually};

/// Stops a part of the test cluster for some seconds, and kills it then.
pub fn restart(component: &str, seconds: u32) -> Running {
    process::start(Command::new(bed("restart")).args([component, &seconds.to_string()]), "")
}

/// Waits until the API server answers again, and all that watch it had time to find out.
pub fn api_server_is_back() {
    let ready = || {
        let run = process::run(
            Command::new("kubectl").args(["get", "--raw", "/readyz", "--request-timeout=2s"]),
            "",
        );
        (run.code == Some(0)).then_some(())
    };
    eventually("the API server is back", Duration::from_secs(120), ready);
}

impl Place {
    /// Asserts that a command which a fault met has succeeded, or reported one error, and then does its work when it
    /// is repeated.
    #[track_caller]
    pub fn converges(&self, run: Run, repeated: &[&str]) {
        let run = self.note(run);
        if run.code == Some(0) {
            return;
        }
        let errors = run.stderr.lines().filter(|line| line.starts_with("error:")).count();
        assert!(matches!(run.code, Some(1..=8)) && errors == 1, "{run}");
        self.flink(repeated).ok();
    }

    /// Asserts that the job still runs under this ID, or does so again, and has lost nothing since the number `before`.
    #[track_caller]
    pub fn still_counts(&self, job: &str, before: u64) {
        self.counted("demo", before + 1);
        assert_eq!(self.job_id("demo"), job);
    }
}

#[test]
fn a_cluster_and_what_works_on_it_outlive_the_api_server_the_kubelet_and_the_node() {
    let place = Place::with_storage("outlives");
    let flags = [
        "--ha=file:///storage/ha",
        "--ha-create-rbac",
        "--",
        "--rate",
        "50",
        "--slow",
        "1",
    ];
    let create = create_arguments("demo", &[&STORAGE[..], &RECOVERS, &flags].concat());
    let create: Vec<&str> = create.iter().map(String::as_str).collect();

    // The API server hangs and dies under a create that waits.
    let running = place.start(&create);
    soon("the Job is created", || place.exists("job/demo-master").then_some(()));
    restart("apiserver", 2).end().ok();
    place.converges(running.end(), &create);
    api_server_is_back();
    place.runs("demo");
    let job = place.job_id("demo");

    // Under commands that follow and wait, and under an upgrade that stops the job.
    let follows = place.start(&["logs", "demo", "-f", "--role=jobmanager"]);
    let waits = place.start(&["wait", "demo", "--for=deleted"]);
    let before = place.checkpointed("demo");
    let running = place.start(&["upgrade", "demo", "--env", "NEW=1"]);
    soon("the upgrade stops the job", || {
        (place.journal()["step"] == "stopping").then_some(())
    });
    restart("apiserver", 2).end().ok();
    place.converges(running.end(), &["upgrade", "demo", "--continue"]);
    api_server_is_back();
    place.continued("demo", before);
    assert_eq!(place.journal()["step"], "done");
    assert_eq!(
        place.savepoints("demo").len(),
        1,
        "the savepoint was looked up, not repeated"
    );
    let (follows, waits) = (follows.still_runs(), waits.still_runs());
    let second = place.job_id("demo");
    assert_ne!(second, job);

    // While the kubelet is stopped nothing is started, and nothing need be.
    let before = place.checkpointed("demo");
    restart("kubelet", 5).end().ok();
    place.still_counts(&second, before);

    // The node dies, and comes back: the job resumes from its last checkpoint.
    let before = place.checkpointed("demo");
    let node = restart("kubelet", 3);
    let since = now();
    place.kill(None);
    node.end().ok();
    place.came_back("demo", &second, before, &since);

    // What followed the log has that of both generations; what waited sees the end.
    place.flink(&["delete", "demo", "--yes"]).ok();
    place.note(waits.end()).ok();
    follows.signal("INT");
    let log = follows.end().stdout;
    for id in [&job, &second] {
        assert!(
            log.contains(id.as_str()),
            "the log that was followed has nothing of job {id}"
        );
    }
    place.left_with(&["configmap/demo-history"]);
}
