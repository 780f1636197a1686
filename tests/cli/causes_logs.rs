//! The causes that are in the log of a JobManager.

use serde_json::json;

use crate::objects::minutes_ago;
use crate::scene::{Scene, ended, pod};

/// The log of a job that failed without slots, whose TaskManager has no node.
fn without_taskmanagers() -> Scene {
    let mut scene = ended(
        163,
        "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum required resources.",
    );
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient memory.", "lastTransitionTime": minutes_ago(9)});
    let status = json!({"phase": "Pending", "conditions": [unscheduled]});
    scene.pods.push(pod("demo-task-manager-b", "task-manager", &status));
    scene
}

/// What is in the log of a JobManager that has ended.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
pub fn of_logs() -> Vec<(&'static str, Scene)> {
    vec![
        ("unschedulable", without_taskmanagers()),
        (
            "savepoint-missing",
            ended(
                163,
                "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:///x' on file system 'file'.",
            ),
        ),
        (
            "savepoint-incompatible",
            ended(
                163,
                "org.apache.flink.util.StateMigrationException: The new state serializer must not be incompatible with the old state serializer",
            ),
        ),
        (
            "savepoint-incompatible",
            ended(
                163,
                "java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/x. Cannot map checkpoint/savepoint state for operator a to the new program, because the operator is not available in the new program.",
            ),
        ),
        (
            "file-system-plugin",
            ended(
                1,
                "org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementation for scheme 's3'.",
            ),
        ),
        (
            "ha-rights",
            ended(
                1,
                "io.fabric8.kubernetes.client.KubernetesClientException: configmaps \"demo-cluster-config-map\" is forbidden: User \"system:serviceaccount:a:default\" cannot list",
            ),
        ),
        (
            "memory-configuration",
            ended(
                1,
                "org.apache.flink.configuration.IllegalConfigurationException: Sum of configured Framework Heap Memory exceed configured Total Flink Memory",
            ),
        ),
        (
            "java-version",
            ended(
                1,
                "java.lang.UnsupportedClassVersionError: com/shop/Main has been compiled by a more recent version of the Java Runtime",
            ),
        ),
        (
            "jar-missing",
            ended(
                1,
                "java.util.NoSuchElementException: No JAR with manifest attribute for entry class",
            ),
        ),
        (
            "job-class",
            ended(
                1,
                "org.apache.flink.util.FlinkException: Could not load the provided entrypoint class.\nCaused by: java.lang.ClassNotFoundException: no.such.Clazz",
            ),
        ),
        ("libraries", ended(2, "java.lang.NoSuchMethodError: 'void a.B.c()'")),
        (
            "no-execute",
            ended(
                2,
                "org.apache.flink.util.FlinkRuntimeException: The application contains no execute() calls.",
            ),
        ),
        (
            "main-throws",
            ended(
                2,
                "org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: on purpose\nCaused by: java.lang.IllegalStateException: on purpose",
            ),
        ),
        (
            "storage-access",
            ended(1, "java.io.IOException: Mkdirs failed to create file:/root/checkpoints"),
        ),
        (
            "no-storage-directory",
            ended(
                1,
                "java.lang.IllegalStateException: Config key [state.savepoints.dir] is not set",
            ),
        ),
        (
            "network-buffers",
            ended(
                163,
                "java.io.IOException: Insufficient number of network buffers: required 65, but only 38 available",
            ),
        ),
        (
            "command-line",
            ended(
                1,
                "org.apache.flink.runtime.entrypoint.FlinkParseException: Failed to parse the command line arguments.",
            ),
        ),
        (
            "port-taken",
            ended(
                1,
                "java.net.BindException: Could not start rest endpoint on any port in port range 8081",
            ),
        ),
        (
            "unknown-host",
            ended(163, "java.net.UnknownHostException: kafka.example.com"),
        ),
        (
            "jobmanager-start",
            ended(1, "java.lang.IllegalArgumentException: no good"),
        ),
        (
            "jobmanager-failed",
            ended(
                2,
                "java.lang.IllegalStateException: no good\n\tat com.shop.Job.run(Job.java:7)",
            ),
        ),
        (
            "job-failed",
            ended(
                163,
                "org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\nCaused by: java.lang.IllegalStateException: no order\n\tat com.shop.Job.run(Job.java:7)",
            ),
        ),
        (
            "slow-start",
            ended(1, "java.lang.Exception: Could not create actor system"),
        ),
        (
            "class-missing",
            ended(1, "java.lang.ClassNotFoundException: com.shop.Orders"),
        ),
        (
            "closed-java-modules",
            ended(
                1,
                "java.lang.reflect.InaccessibleObjectException: Unable to make field accessible: module java.base does not opens java.util",
            ),
        ),
        ("java-option", ended(1, "Unrecognized VM option 'UseConcMarkSweepGC'")),
        (
            "external-rights",
            ended(
                163,
                "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [orders]",
            ),
        ),
        (
            "external-service",
            ended(
                163,
                "org.apache.flink.util.FlinkRuntimeException: Failed to get metadata for topics [orders].\n\tat a.B.c(B.java:1)\nCaused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: describeTopics",
            ),
        ),
        (
            "message-too-large",
            ended(
                163,
                "java.io.IOException: The rpc invocation size 27329480 exceeds the maximum akka framesize.",
            ),
        ),
        (
            "no-python",
            ended(
                1,
                "java.io.IOException: Cannot run program \"python\": error=2, No such file or directory",
            ),
        ),
        (
            "read-only-file-system",
            ended(1, "java.nio.file.FileSystemException: /data/x: Read-only file system"),
        ),
    ]
}
