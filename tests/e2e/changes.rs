//! A resume that changes the cluster: its parallelism, slots, image, arguments.

use serde_json::Value;

use crate::place::{Place, STORAGE, counting_job};

#[test]
fn a_resume_changes_parallelism_image_slots_and_arguments() {
    let place = Place::with_storage("changes");
    // The image of before there were official ones, whose entrypoint has other words.
    let legacy = format!("--image={}-legacy", counting_job());
    let flags = [legacy.as_str(), "--entrypoint=legacy", "--", "--rate", "50"];
    place.create("demo", &[&STORAGE[..], &flags].concat()).ok();
    assert_eq!(place.runs("demo"), 3);
    let first_argument = |object: &str| {
        let object = place.object(object);
        object["spec"]["template"]["spec"]["containers"][0]["args"][0].clone()
    };
    assert_eq!(first_argument("job/demo-master"), "job-cluster");
    assert_eq!(first_argument("deployment/demo-task-manager"), "task-manager");

    // More parallelism: one source, two keyed tasks, one total.
    let before = place.counted("demo", 100);
    place.flink(&["savepoint-resume", "demo", "-p", "2"]).ok();
    assert_eq!(place.runs("demo"), 4);
    place.continued("demo", before);
    assert_eq!(place.object("deployment/demo-task-manager")["spec"]["replicas"], 2);

    // Another image, one TaskManager for both slots, other arguments.
    let before = place.count("demo");
    let image = format!("--image={}", counting_job());
    let flags = [
        "--image",
        "--slots=2",
        "--entrypoint=official",
        "--",
        "--rate",
        "20",
        "--name",
        "a new name",
    ];
    let mut command = vec!["savepoint-resume", "demo", image.as_str()];
    command.extend(&flags[1..]);
    place.flink(&command).ok();
    assert_eq!(place.runs("demo"), 4);
    place.continued("demo", before);
    assert_eq!(first_argument("job/demo-master"), "standalone-job");
    assert_eq!(first_argument("deployment/demo-task-manager"), "taskmanager");
    assert_eq!(place.object("deployment/demo-task-manager")["spec"]["replicas"], 1);
    let overview = place.rest("demo", "overview").expect("Flink answers");
    assert_eq!(overview["slots-total"], 2, "{overview}");
    assert_eq!(overview["taskmanagers"], 1, "{overview}");
    let jobs = place.rest("demo", "jobs/overview").expect("Flink answers");
    assert_eq!(jobs["jobs"][0]["name"], "a new name", "{jobs}");
    for object in ["job/demo-master", "deployment/demo-task-manager"] {
        let container = &place.object(object)["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], Value::from(counting_job()));
    }
}
