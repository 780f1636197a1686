//! Logs in other layouts than that of the official image, traces that begin or end otherwise, and what Python and a JVM that
//! aborts print.

use super::{Cause, CauseKind, LogCause, root_cause};

fn of(log: &str) -> LogCause {
    root_cause(log).unwrap_or_else(|| panic!("nothing found in {log}"))
}

/// The begins of lines: of Flink's logback-console.xml, of logback without a configuration, and of what users write.
#[test]
fn the_level_is_found_wherever_the_layout_has_it() {
    for (info, error) in [
        (
            "2026-01-01 10:00:00.000 [main] INFO  org.apache.flink.X  - ",
            "2026-01-01 10:00:01.000 [main] ERROR org.apache.flink.X  - ",
        ),
        (
            "10:00:00.000 [Source: a -> b (1/1)#0] INFO  org.apache.flink.X - ",
            "10:00:01.000 [Source: a -> b (1/1)#0] ERROR org.apache.flink.X - ",
        ),
        ("10:00:00,000 INFO  x [] - ", "10:00:01,000 ERROR x [] - "),
        (
            "[2026-01-01 10:00:00,000] INFO [main] org.X ",
            "[2026-01-01 10:00:01,000] ERROR [main] org.X ",
        ),
        (
            "2026/01/01 10:00:00 [main] [INFO] x - ",
            "2026/01/01 10:00:01 [main] [ERROR] x - ",
        ),
        (
            "2026-01-01T10:00:00.000+01:00  INFO x - ",
            "2026-01-01T10:00:01.000-01:00 ERROR x - ",
        ),
    ] {
        let log = format!(
            "{info}Starting\n{error}Could not start.\njava.net.UnknownHostException: kafka\n\tat com.shop.Job.main(Job.java:7)\n\
             {info}Stopped\njava.io.IOException: a stream was closed twice\n\tat a.B.c(B.java:1)\n"
        );
        assert_eq!(of(&log).summary(), "UnknownHostException: kafka", "{log}");
        let found = of(&format!("{info}Starting\n{error}No jar.\n"));
        assert!(found.message.ends_with("No jar"), "{found:?}");
    }
    // A time in a message begins no record.
    let log = "2026-01-01 10:00:00,000 ERROR x [] - F\njava.lang.IllegalStateException: the window of\n10:00:00 was\n2026-01-01 11:00:00\n\tat a.B.c(B.java:1)\n";
    let expected = "the window of 10:00:00 was 2026-01-01 11:00:00";
    assert_eq!(of(log).message, expected);
}

/// Up to 1.15 Flink writes the trace of a failed task as a part of its message.
#[test]
fn a_trace_may_begin_in_the_line_of_its_record() {
    let found = of(
        "2026-01-01 10:00:00,000 WARN  org.apache.flink.runtime.taskmanager.Task [] - Source: a -> Map (1/1)#0 (0a) switched from RUNNING to FAILED with failure cause: java.lang.IllegalStateException: no order\n\
         \tat com.shop.Orders.map(Orders.java:7)\n\
         \tat org.apache.flink.X.y(X.java:1)\n\
         2026-01-01 10:00:01,000 INFO  x [] - Freeing\n",
    );
    assert_eq!(found.summary(), "IllegalStateException: no order");
    assert_eq!(found.frame.as_deref(), Some("com.shop.Orders.map(Orders.java:7)"));
    // Without a trace the whole message says more.
    let found = of("2026-01-01 10:00:00,000 ERROR x [] - Table of orders: java.lang.IllegalStateException: no order\n");
    assert_eq!(
        found.message,
        "Table of orders: java.lang.IllegalStateException: no order"
    );
}

/// log4j writes a throwable without a message with the message "null", logback other words after the frames that it leaves
/// out, and Flink the class of what it sends between processes after its own.
#[test]
fn messages_that_layouts_add_are_no_messages() {
    let found = of("2026-01-01 10:00:00,000 ERROR x [] - F\n\
         org.apache.flink.util.FlinkException: Global failure triggered by an operator\n\tat a.B.c(B.java:1)\n\
         Caused by: org.apache.flink.util.SerializedThrowable: java.util.concurrent.ExecutionException: java.lang.IllegalStateException: no bucket\n\
         \t... 14 common frames omitted\n\
         Caused by: org.apache.flink.util.SerializedThrowable: java.lang.IllegalStateException: no bucket\n\
         \t... 3 common frames omitted\n\
         Caused by: java.lang.RuntimeException: null\n\
         \t... 5 common frames omitted\n");
    assert_eq!(found.summary(), "IllegalStateException: no bucket");
    assert_eq!(found.class.as_deref(), Some("java.lang.IllegalStateException"));
    // The message of one that is no throwable's name stays.
    let found = of(
        "2026-01-01 10:00:00,000 ERROR x [] - F\norg.apache.flink.util.SerializedThrowable: com.shop.Order\n\tat a.B.c(B.java:1)\n",
    );
    assert_eq!(found.summary(), "SerializedThrowable: com.shop.Order");
}

/// Classes that mostly wrap another failure do not where there is none below them.
#[test]
fn the_last_throwable_wraps_nothing() {
    let found = of(
        "2026-01-01 10:00:00,000 WARN x [] - Map switched from INITIALIZING to FAILED\n\
         java.lang.Exception: Exception while creating StreamOperatorStateContext.\n\tat a.B.c(B.java:1)\n\
         Caused by: java.lang.RuntimeException: Could not read rules.csv\n\tat com.shop.Rules.open(Rules.java:9)\n",
    );
    assert_eq!(found.summary(), "RuntimeException: Could not read rules.csv");
    // A closed stream says less than what read it.
    let found = of(
        "2026-01-01 10:00:00,000 WARN x [] - Map switched from RUNNING to FAILED\n\
         com.shop.ReadException: block 7 of orders.bin is cut off\n\tat a.B.c(B.java:1)\n\
         Caused by: java.io.EOFException\n\tat java.io.DataInputStream.readFully(DataInputStream.java:1)\n",
    );
    assert_eq!(found.summary(), "ReadException: block 7 of orders.bin is cut off");
}

/// What a process writes after the failure by which it ends.
#[test]
fn failures_of_a_shutdown_are_not_its_cause() {
    let late = "2026-01-01 10:00:09,000 ERROR com.shop.Pool [] - Pool is closed\njava.lang.IllegalStateException: closed\n\tat com.shop.Pool.get(Pool.java:1)\n\
        Exception in thread \"Thread-5\" java.lang.IllegalStateException: Trying to access closed classloader.\n\tat a.B.c(B.java:1)\n\
        2026-01-01 10:00:09,000 ERROR org.apache.flink.runtime.rest.handler.job.JobDetailsHandler [] - Exception occurred in REST handler: Job 0a not found\n\
        2026-01-01 10:00:39,000 ERROR org.apache.flink.X [] - Terminating TaskManagerRunner with exit code 1.\n\
        org.apache.flink.util.FlinkException: Unexpected failure during runtime of TaskManagerRunner.\n\tat a.B.c(B.java:1)\n\
        Caused by: java.util.concurrent.TimeoutException: Waiting for TaskManager shutting down timed out\n";
    for end in [
        "INFO  org.apache.flink.X [] - Job orders (0a) switched from state FAILING to FAILED.\norg.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\n\tat a.B.c(B.java:1)\n\
         Caused by: java.lang.ArithmeticException: / by zero\n\tat com.shop.Job.run(Job.java:7)\n",
        "ERROR org.apache.flink.X [] - Fatal error occurred in the cluster entrypoint.\njava.lang.ArithmeticException: / by zero\n\tat com.shop.Job.run(Job.java:7)\n",
        "ERROR org.apache.flink.X [] - Terminating TaskManagerRunner with exit code 1.\njava.lang.ArithmeticException: / by zero\n\tat com.shop.Job.run(Job.java:7)\n",
        "ERROR org.apache.flink.X [] - Could not start cluster entrypoint StandaloneApplicationClusterEntryPoint.\njava.lang.ArithmeticException: / by zero\n\tat com.shop.Job.run(Job.java:7)\n",
    ] {
        let log = format!("2026-01-01 10:00:00,000 {end}{late}");
        assert_eq!(of(&log).summary(), "ArithmeticException: / by zero", "{log}");
    }
    // A thread of the program's that ends does not end the process.
    let thread = "2026-01-01 10:00:00,000 ERROR org.apache.flink.runtime.util.ClusterUncaughtExceptionHandler [] - WARNING: Thread 'poll' produced an uncaught exception. \
        If you want to fail on uncaught exceptions, then configure cluster.uncaught-exception-handling accordingly\njava.lang.IllegalStateException: closed\n\tat a.B.c(B.java:1)\n";
    assert_eq!(root_cause(thread), None);
    // Without metrics a job runs on.
    for words in [
        "Failed to push metrics to PushGateway.",
        "Error registering AppInfo mbean",
    ] {
        let log = format!(
            "2026-01-01 10:00:00,000 WARN  x [] - {words}\njava.net.ConnectException: refused\n\tat a.B.c(B.java:1)\n"
        );
        assert_eq!(root_cause(&log), None, "{words}");
    }
}

#[test]
fn a_job_that_failed_by_its_checkpoints_is_explained_by_the_last_of_them() {
    let log = "2026-01-01 10:00:00,000 WARN  org.apache.flink.runtime.checkpoint.CheckpointFailureManager [] - Failed to trigger or complete checkpoint 7 for job 0a. (1 consecutive failed attempts so far)\n\
        org.apache.flink.runtime.checkpoint.CheckpointException: Asynchronous task checkpoint failed.\n\tat a.B.c(B.java:1)\n\
        Caused by: java.nio.file.AccessDeniedException: s3://state/chk-7\n\
        2026-01-01 10:00:01,000 INFO  org.apache.flink.X [] - Job orders (0a) switched from state FAILING to FAILED.\n\
        org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\n\tat a.B.c(B.java:1)\n\
        Caused by: org.apache.flink.util.FlinkRuntimeException: Exceeded checkpoint tolerable failure threshold.\n\tat a.B.c(B.java:1)\n";
    let found = of(log);
    assert_eq!(found.summary(), "AccessDeniedException: s3://state/chk-7");
    assert_eq!(found.kind, Some(CauseKind::StorageAccess));
    // The words of newer releases.
    let newer = log.replace(
        "threshold.",
        "threshold. The latest checkpoint failed due to Asynchronous task checkpoint failed., view the Checkpoint History tab or the \
         Job Manager log to find out why continuous checkpoints failed.",
    );
    assert_eq!(of(&newer), found);
    let alone = of(&log[log.find("2026-01-01 10:00:01").unwrap()..]);
    assert_eq!(alone.kind, Some(CauseKind::CheckpointsFailing));
}

/// The end of a TaskManager that did not reach the JobManager says less than its attempts do.
#[test]
fn why_a_taskmanager_does_not_reach_the_jobmanager_is_named() {
    let attempts = |why: &str| {
        format!(
            "2026-01-01 10:00:00,000 WARN  org.apache.pekko.remote.ReliableDeliverySupervisor [] - Association with remote system [pekko.tcp://flink@demo-master:6123] \
             has failed, address is now gated for [50] ms. Reason: [Association failed with [pekko.tcp://flink@demo-master:6123]]{why}\n\
             2026-01-01 10:00:00,010 INFO  org.apache.flink.runtime.taskexecutor.TaskExecutor [] - Could not resolve ResourceManager address \
             pekko.tcp://flink@demo-master:6123/user/rpc/resourcemanager_*, retrying in 10000 ms: Could not connect to rpc endpoint\n"
        )
    };
    let unregistered = Cause::new(CauseKind::Unregistered, "1 of 1 TaskManagers are not registered");
    for (why, said) in [
        (
            " Caused by: [java.net.UnknownHostException: demo-master: Temporary failure in name resolution]",
            "java.net.UnknownHostException: demo-master: Temporary failure in name resolution",
        ),
        (
            " Caused by: [No response from remote for outbound association. Associate timed out after [20000 ms].]",
            "No response from remote for outbound association. Associate timed out after [20000 ms]",
        ),
    ] {
        let log = attempts(why);
        assert_eq!(root_cause(&log), None);
        let found = unregistered.found_in(&log).unwrap();
        let cause = unregistered.clone().with_log(&found);
        assert_eq!(cause.kind, CauseKind::Unregistered);
        assert!(cause.title.ends_with(&format!("registered: {said}")), "{}", cause.title);
        let end = "2026-01-01 10:05:00,000 ERROR org.apache.flink.runtime.taskexecutor.TaskManagerRunner [] - Fatal error occurred while executing the TaskManager.\n\
            org.apache.flink.runtime.taskexecutor.exceptions.RegistrationTimeoutException: Could not register at the ResourceManager within the specified maximum registration duration PT5M.\n\tat a.B.c(B.java:1)\n";
        let found = of(&format!("{log}{end}"));
        assert!(found.message.ends_with(said), "{found:?}");
    }
    assert_eq!(unregistered.found_in(&attempts("")), None);

    let refused = attempts(" Caused by: [java.net.ConnectException: Connection refused: demo-master/10.0.0.1:6123]");
    let registered = "2026-01-01 10:00:10,000 INFO  org.apache.flink.runtime.taskexecutor.TaskExecutor [] - Successful registration at resource manager \
        pekko.tcp://flink@demo-master:6123/user/rpc/resourcemanager_* under registration id 0a.\n";
    assert_eq!(unregistered.found_in(&format!("{refused}{registered}")), None);
    assert!(unregistered.found_in(&format!("{registered}{refused}")).is_some());
}

/// Beam's message has the traceback of the function, and its first lines are those of Beam's own code.
#[test]
fn the_exception_of_a_python_function_is_named() {
    let call =
        "  File \"/usr/local/lib/python3/site-packages/worker.py\", line 7, in call\n    return self.function(value)\n";
    let traceback = format!(
        "Error received from SDK harness for instruction 2: Traceback (most recent call last):\n{}ValueError: no price\n\n",
        call.repeat(40)
    );
    let found = of(&format!(
        "2026-01-01 10:00:00,000 WARN x [] - Calc (1/1)#0 switched from RUNNING to FAILED\n\
         java.lang.RuntimeException: Failed to close the runner\n\tat a.B.c(B.java:1)\n\
         Caused by: java.lang.RuntimeException: {traceback}\tat org.apache.beam.X.y(X.java:1)\n"
    ));
    assert_eq!(found.summary(), "RuntimeException: ValueError: no price");
}

/// A JVM that aborts writes no record, and an older failure in the log is not why.
#[test]
fn what_a_jvm_prints_when_it_aborts_is_its_cause() {
    let older = "2026-01-01 10:00:00,000 WARN x [] - a\njava.io.IOException: older\n\tat a.B.c(B.java:1)\n";
    let crashed = "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x00007f0000000000, pid=1, tid=42\n#\n\
        # Problematic frame:\n# C  [librocksdbjni-linux64.so+0x1234]  rocksdb::Get()+0x1\n#\n# Core dump will be written.\n";
    let found = of(&format!("{older}{crashed}"));
    assert_eq!(
        (found.summary().as_str(), found.kind),
        ("C [librocksdbjni-linux64.so+0x1234] rocksdb::Get()+0x1", None)
    );
    // In code that the JVM has compiled or generated.
    for frame in [
        "J 1234 c2 java.lang.String.hashCode()I (49 bytes)",
        "v ~StubRoutines::jbyte_arraycopy",
    ] {
        let crashed = crashed.replace("C  [librocksdbjni-linux64.so+0x1234]  rocksdb::Get()+0x1", frame);
        assert_eq!(of(&format!("{older}{crashed}")).summary(), frame);
    }
    let found = of(&format!(
        "{older}Terminating due to java.lang.OutOfMemoryError: Java heap space\n"
    ));
    assert_eq!(found.kind, Some(CauseKind::OutOfMemory));
    let found = of(&format!(
        "{older}#\n# There is insufficient memory for the Java Runtime Environment to continue.\n# Native memory allocation (mmap) failed to map 12288 bytes.\n"
    ));
    assert_eq!(found.kind, Some(CauseKind::MemoryConfiguration));
}

/// Written by the official image's docker-entrypoint.sh.
#[test]
fn a_plugin_that_the_image_lacks_is_named() {
    let found = of(
        "Enabling required built-in plugins\nLinking flink-s3-fs-hadoop-1.20.0.jar to plugin directory\nPlugin flink-s3-fs-hadoop-1.20.0.jar does not exist. Exiting.\n",
    );
    assert_eq!(found.kind, Some(CauseKind::FileSystemPlugin));
    assert!(found.message.contains("flink-s3-fs-hadoop-1.20.0.jar"), "{found:?}");
    assert!(found.hints[0].contains("version"), "{:?}", found.hints);
}

/// A client's frames are above those of the code that calls it.
#[test]
fn the_frame_is_of_the_program_and_not_of_a_client() {
    let found = of(
        "2026-01-01 10:00:00,000 ERROR x [] - F\norg.apache.kafka.common.KafkaException: no\n\
         \tat org.apache.kafka.clients.admin.KafkaAdminClient.createInternal(KafkaAdminClient.java:1)\n\
         \tat com.shop.Orders.main(Orders.java:7)\n",
    );
    assert_eq!(found.frame.as_deref(), Some("com.shop.Orders.main(Orders.java:7)"));
}
