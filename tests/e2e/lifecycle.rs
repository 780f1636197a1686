//! The whole life of a cluster.

use serde_json::Value;

use crate::place::{Place, STORAGE, counting_job};

#[test]
fn a_cluster_is_created_resumed_deleted_and_brought_back() {
    let place = Place::with_storage("life");
    // Without a class: Flink finds the one jar with a Main-Class.
    let created = place
        .create("demo", &[&STORAGE[..], &["--", "--rate", "50"]].concat())
        .ok();
    assert_eq!(created.stdout, "cluster/demo created\n");
    created.reports(&["all 3 tasks"]);
    assert_eq!(place.runs("demo"), 3);
    let first_job = place.job_id("demo");

    let table = place.flink(&["list"]).ok().stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATUS", "PARALLELISM", "TASKMANAGERS", "AGE"]);
    assert_eq!(rows[1][..4], ["demo", "Running", "1", "1/1"], "{table}");
    assert_eq!(rows.len(), 2, "{table}");
    let json: Value = serde_json::from_str(&place.flink(&["list", "-o", "json"]).ok().stdout).unwrap();
    let item = &json["items"][0];
    assert_eq!(item["metadata"]["name"], "demo", "{json}");
    assert_eq!(item["status"]["phase"], "Running", "{json}");
    assert_eq!(item["image"], Value::from(counting_job()), "{json}");

    // Nothing is lost by a resume.
    let before = place.counted("demo", 100);
    let resumed = place.flink(&["savepoint-resume", "demo"]).ok();
    assert_eq!(resumed.stdout, "cluster/demo resumed\n");
    assert_eq!(place.runs("demo"), 3);
    let restored = place.continued("demo", before);
    let second_job = place.job_id("demo");
    assert_ne!(first_job, second_job);
    let savepoints = place.savepoints("demo");
    assert_eq!(savepoints.len(), 1, "{savepoints:?}");
    assert_eq!(savepoints[0]["jobId"], Value::from(first_job));
    let path = place.last_savepoint("demo");
    assert!(path.starts_with("file:/storage/savepoints/savepoint-"), "{path}");

    // A delete leaves the history, and by it the cluster can be brought back: again from that savepoint.
    let deleted = place.flink(&["delete", "demo", "--yes"]).ok();
    assert_eq!(deleted.stdout, "cluster/demo deleted\n");
    place.left_with(&["configmap/demo-history"]);
    place.flink(&["list"]).ok().reports(&["No resources found"]);
    place.flink(&["savepoint-resume", "demo"]).ok().reports(&[&path]);
    assert_eq!(place.restored("demo"), restored);
    assert!(place.count("demo") >= restored);
    assert_ne!(place.job_id("demo"), second_job);

    place.flink(&["delete", "demo", "--yes", "--purge"]).ok();
    place.left_with(&[]);
    place
        .flink(&["savepoint-resume", "demo"])
        .exits(3)
        .reports(&["no cluster \"demo\"", "no history"]);
}
