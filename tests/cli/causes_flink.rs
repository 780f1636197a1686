//! The causes that Flink's REST reports.

use serde_json::{Value, json};

use crate::scene::{JOB, Scene, container, millis_ago, pod, running, terminated, with_taskmanager};

/// A job that runs, with these replies of Flink in place of those of a healthy job.
fn flink(replies: &Value) -> Scene {
    Scene {
        flink: Some(replies.clone()),
        ..with_taskmanager(&container("Running", &running(20), &json!({}), 0))
    }
}

fn exceptions(task: &str, trace: &str, ages: &[i64]) -> Value {
    let entries: Vec<Value> = ages
        .iter()
        .map(|age| json!({"exceptionName": "x", "stacktrace": trace, "timestamp": millis_ago(*age), "taskName": task}))
        .collect();
    json!({"exceptionHistory": {"entries": entries}})
}

/// The state and tasks of the job.
fn job(state: &str, tasks: &Value) -> Value {
    json!({"jobs": [{"jid": JOB, "name": "orders", "state": state, "start-time": millis_ago(20 * 60),
        "last-modification": millis_ago(60), "tasks": tasks}]})
}

/// What Flink's REST reports of a job that runs, or tries to.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
pub fn of_flink() -> Vec<(&'static str, Scene)> {
    let all = json!({"total": 4, "running": 4});
    let failed_checkpoint = |message: &str| {
        let failed =
            json!({"id": 5, "status": "FAILED", "trigger_timestamp": millis_ago(60), "failure_message": message});
        json!({"counts": {"completed": 3, "failed": 2}, "latest": {"failed": failed}, "history": [failed, failed]})
    };
    let held =
        json!([{"id": "backPressuredTimeMsPerSecond", "max": 950.0}, {"id": "busyTimeMsPerSecond", "max": 10.0}]);
    let busy =
        json!([{"id": "backPressuredTimeMsPerSecond", "max": 0.0}, {"id": "busyTimeMsPerSecond", "max": 1000.0}]);
    let address = |address: &str| {
        json!({"spec": {"template": {"spec": {"containers": [{"name": "flink-master", "image": "shop:2.3.0",
            "args": ["taskmanager", format!("-Djobmanager.rpc.address={address}")]}]}}}})
    };
    let unregistered = json!({"overview": {"taskmanagers": 0, "slots-total": 0}, "jobs/overview": job("RUNNING", &json!({"total": 4, "scheduled": 4})),
        "taskmanagers": {"taskmanagers": []}});
    let lost = "org.apache.flink.runtime.jobmaster.JobMasterException: x\nCaused by: java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id 10.0.0.2:6122-a timed out.";
    let user = "java.lang.IllegalStateException: no order\n\tat com.shop.Job.run(Job.java:7)";
    vec![
        (
            "too-few-slots",
            flink(
                &json!({"overview": {"taskmanagers": 1, "slots-total": 1, "slots-available": 0},
                "jobs/overview": job("RUNNING", &json!({"total": 4, "scheduled": 4}))}),
            ),
        ),
        (
            "taskmanagers-unregistered",
            Scene {
                log: Some(("demo-task-manager-b", String::new())),
                ..flink(&unregistered)
            },
        ),
        (
            "rpc-address",
            Scene {
                job: address("demo-master"),
                deployment: address("another-master"),
                ..flink(&unregistered)
            },
        ),
        (
            "restarting",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)", user, &[5, 65])}),
            ),
        ),
        (
            "restarted",
            flink(&json!({"exceptions": exceptions("Sink (1/2)", user, &[65])})),
        ),
        (
            "class-missing-on-taskmanagers",
            flink(&json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})),
                "exceptions": exceptions("Sink (1/2)",
                "org.apache.flink.streaming.runtime.tasks.StreamTaskException: Cannot load user class: com.shop.Orders\nCaused by: java.lang.ClassNotFoundException: com.shop.Orders", &[5, 65])})),
        ),
        (
            "savepoint-incompatible",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)",
                "java.lang.RuntimeException: Error while getting state\nCaused by: org.apache.flink.util.StateMigrationException: For heap backends, the new state serializer (a) must not be incompatible with the old state serializer (b).", &[5, 65])}),
            ),
        ),
        (
            "network-buffers",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)",
                "java.io.IOException: Insufficient number of network buffers: required 65, but only 38 available.", &[5, 65])}),
            ),
        ),
        (
            "java-version",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)",
                "java.lang.UnsupportedClassVersionError: com/shop/Orders has been compiled by a more recent version of the Java Runtime (class file version 65.0)", &[5, 65])}),
            ),
        ),
        (
            "taskmanager-lost",
            flink(&json!({"exceptions": exceptions("Sink (1/2)", lost, &[65])})),
        ),
        (
            "job-canceled",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..flink(&json!({"jobs/overview": job("CANCELED", &json!({"total": 4}))}))
            },
        ),
        (
            "progress-lost",
            Scene {
                pods: vec![pod(
                    "demo-master-x7k2p",
                    "master",
                    &container("Running", &running(29), &terminated(143, 30), 1),
                )],
                flink: Some(json!({})),
                ..Scene::default()
            },
        ),
        (
            "checkpoint-timeout",
            flink(&json!({"checkpoints": failed_checkpoint("Checkpoint expired before completing.")})),
        ),
        (
            "backpressured-checkpoints",
            flink(
                &json!({"checkpoints": failed_checkpoint("Checkpoint expired before completing."),
                "vertices/11111111111111111111111111111111/subtasks/metrics": held, "vertices/22222222222222222222222222222222/subtasks/metrics": busy}),
            ),
        ),
        (
            "checkpoints-failing",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..flink(&json!({"checkpoints": failed_checkpoint("The job has failed.")}))
            },
        ),
        (
            "state-too-large",
            flink(&json!({"checkpoints": failed_checkpoint(
                "java.io.IOException: Size of the state is larger than the maximum permitted memory-backed state. Size=9 , maxSize=5")})),
        ),
        (
            "backpressure",
            flink(
                &json!({"vertices/11111111111111111111111111111111/subtasks/metrics": held, "vertices/22222222222222222222222222222222/subtasks/metrics": busy}),
            ),
        ),
        (
            "no-checkpoints",
            flink(&json!({"checkpoints/config": {"interval": i64::MAX}, "jobs/overview": job("RUNNING", &all)})),
        ),
    ]
}
