//! Another parallelism for a running job, in each of the three ways.

use crate::place::{Place, STORAGE};

impl Place {
    /// Tasks that run of a vertex of the one job.
    fn tasks(&self, vertex: &str) -> Option<u64> {
        let job = self.job_id("demo");
        let detail = self.rest("demo", &format!("jobs/{job}"))?;
        let found = detail["vertices"].as_array()?.iter().find(|of| of["name"] == vertex)?;
        found["tasks"]["RUNNING"].as_u64()
    }

    fn task_managers(&self) -> u64 {
        self.object("deployment/demo-task-manager")["spec"]["replicas"]
            .as_u64()
            .unwrap()
    }
}

#[test]
fn a_job_is_scaled_by_its_taskmanagers_in_place_and_through_a_savepoint() {
    let place = Place::with_storage("scale");
    let flags = [
        "-D",
        "scheduler-mode=reactive",
        "-D",
        "execution.checkpointing.interval=1s",
        "--",
        "--rate",
        "50",
    ];
    place.create("demo", &[&STORAGE[..], &flags].concat()).ok();
    let job = place.job_id("demo");
    let before = place.counted("demo", 50);

    // The Deployment alone: the job takes what there is.
    place
        .flink(&["scale", "demo", "-p", "2"])
        .ok()
        .reports(&["by its TaskManagers alone, with 2 TaskManagers instead of 1"]);
    assert_eq!((place.tasks("keys"), place.job_id("demo")), (Some(2), job));
    place
        .flink(&["scale", "demo", "-p", "129"])
        .exits(2)
        .reports(&["among 128 tasks at most"]);
    let before = place.counted("demo", before + 50);

    // In place: the job gets its parallelism, and only what follows its parallelism has other tasks.
    place
        .flink(&[
            "set",
            "config",
            "demo",
            "scheduler-mode-",
            "jobmanager.scheduler=adaptive",
        ])
        .ok();
    let job = place.job_id("demo");
    let before = place.continued("demo", before);
    place
        .flink(&["scale", "demo", "-p", "1"])
        .ok()
        .reports(&["in place, from its last checkpoint, with 1 TaskManager instead of 2"]);
    assert_eq!((place.tasks("keys"), place.task_managers()), (Some(1), 1));
    assert_eq!(place.job_id("demo"), job);
    let unchanged = place.flink(&["scale", "demo", "-p", "1"]).ok().stdout;
    assert_eq!(unchanged, "cluster/demo unchanged\n");

    // Through a savepoint: TaskManagers with two slots are new ones. It is a transaction as any other.
    let before = place.counted("demo", before + 50);
    let made = place
        .flink(&["scale", "demo", "-p", "2", "--slots", "2", "-o", "name"])
        .ok()
        .reports(&["through a savepoint", "without processing for"])
        .stdout;
    assert_eq!(made, "cluster/demo\n");
    assert_eq!((place.tasks("keys"), place.task_managers()), (Some(2), 1));
    place.continued("demo", before);
    let journal = place.object("configmap/demo-history")["data"]["journal"].to_string();
    assert!(journal.contains("scale") && journal.contains("done"), "{journal}");
    place.flink(&["delete", "demo", "--yes"]).ok();
}
