//! Logs in the shape of Flink's, and the root that is found in each.

use super::*;
use crate::model::rows::columns;

/// A failed start of 1.20 and 2.x: a chain of wrappers around the missing savepoint.
const SAVEPOINT_MISSING: &str = "\
2026-01-01 10:00:00,001 INFO  org.apache.flink.runtime.entrypoint.ClusterEntrypoint        [] - Starting StandaloneApplicationClusterEntryPoint.
2026-01-01 10:00:05,123 ERROR org.apache.flink.runtime.entrypoint.ClusterEntrypoint        [] - Fatal error occurred in the cluster entrypoint.
java.util.concurrent.CompletionException: org.apache.flink.client.deployment.application.ApplicationExecutionException: Could not execute application.
\tat java.util.concurrent.CompletableFuture.encodeThrowable(Unknown Source) ~[?:?]
\tat org.apache.flink.client.deployment.application.ApplicationDispatcherBootstrap.run(ApplicationDispatcherBootstrap.java:321) ~[flink-dist-1.20.5.jar:1.20.5]
Caused by: org.apache.flink.client.deployment.application.ApplicationExecutionException: Could not execute application.
\t... 14 more
Caused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job 'word count'.
\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:373) ~[flink-dist-1.20.5.jar:1.20.5]
\tat com.example.WordCount.main(WordCount.java:42) ~[?:?]
\t... 13 more
Caused by: org.apache.flink.util.FlinkException: Failed to execute job 'word count'.
\t... 1 more
Caused by: org.apache.flink.runtime.client.JobInitializationException: Could not start the JobMaster.
\t... 1 more
Caused by: java.util.concurrent.CompletionException: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:/state/sp-1' on file system 'file'.
\t... 2 more
Caused by: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:/state/sp-1' on file system 'file'.
\tat org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess.resolveCheckpointPointer(AbstractFsCheckpointStorageAccess.java:275) ~[flink-dist-1.20.5.jar:1.20.5]
\t... 3 more
2026-01-01 10:00:05,200 INFO  org.apache.flink.runtime.entrypoint.ClusterEntrypoint        [] - Shutting StandaloneApplicationClusterEntryPoint down with application status UNKNOWN. Diagnostics Cluster entrypoint has been closed externally..
2026-01-01 10:00:05,300 WARN  org.apache.pekko.remote.Remoting [] - Association with remote system [pekko.tcp://flink@10.0.0.9:6122] has failed
java.net.ConnectException: Connection refused
";

/// A job that fails in the user's code, with no restart strategy.
const USER_CODE: &str = "\
2026-01-01 10:00:00,000 WARN  org.apache.flink.runtime.taskmanager.Task [] - Map (1/1)#0 switched from RUNNING to FAILED with failure cause:
java.lang.NumberFormatException: For input string: \"x\"
\tat java.base/java.lang.Integer.parseInt(Integer.java:652)
\tat com.example.Parse.map(Parse.java:17) ~[app.jar:?]
\tat org.apache.flink.streaming.api.operators.StreamMap.processElement(StreamMap.java:38)
\tSuppressed: java.io.IOException: closed twice
\t\tat com.example.Other.close(Other.java:9)
\tCaused by: java.lang.IllegalStateException: of the suppressed one
\t\t... 2 more
2026-01-01 10:00:01,000 INFO  org.apache.flink.runtime.executiongraph.ExecutionGraph [] - Job word count (0a) switched from state FAILING to FAILED.
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:176)
Caused by: java.lang.NumberFormatException: For input string: \"x\"
\tat java.base/java.lang.Integer.parseInt(Integer.java:652)
\tat com.example.Parse.map(Parse.java:17) ~[app.jar:?]
2026-01-01 10:00:02,000 INFO  org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] - Terminating cluster entrypoint process StandaloneApplicationClusterEntryPoint with exit code 1443.
";

fn of(log: &str) -> LogCause {
    root_cause(log).unwrap_or_else(|| panic!("nothing found in {log}"))
}

#[test]
fn an_application_of_flink_2_is_no_job() {
    let application = "INFO  o.a.f.runtime.application.AbstractApplication [] - Application org.Main (9a34) switched from state CREATED to RUNNING.\n";
    assert!(!super::mentions_job(application));
    let job = "INFO  o.a.f.runtime.executiongraph.ExecutionGraph [] - Job counting (9a34) switched from state CREATED to RUNNING.\n";
    assert!(super::mentions_job(&format!("{application}{job}")));
}

#[test]
fn the_root_is_found_below_its_wrappers() {
    let found = of(SAVEPOINT_MISSING);
    assert_eq!(found.class.as_deref(), Some("java.io.FileNotFoundException"));
    assert_eq!(
        found.summary(),
        "FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:/state/sp-1' on file system 'file'"
    );
    let expected = Some("com.example.WordCount.main(WordCount.java:42)");
    assert_eq!(found.frame.as_deref(), expected);
    assert!(found.hints[0].contains("--from-savepoint"), "{:?}", found.hints);
}

#[test]
fn the_users_frame_is_named_and_suppressed_ones_are_not() {
    let found = of(USER_CODE);
    assert_eq!(found.summary(), "NumberFormatException: For input string: \"x\"");
    assert_eq!(found.frame.as_deref(), Some("com.example.Parse.map(Parse.java:17)"));
    assert!(found.hints.is_empty());
    let task_only = USER_CODE.split("2026-01-01 10:00:01").next().unwrap();
    assert_eq!(of(task_only), found);
}

#[test]
fn logs_may_be_cut_off_anywhere_and_come_with_cr_lf_and_colours() {
    let whole = of(SAVEPOINT_MISSING);
    let windows = SAVEPOINT_MISSING.replace('\n', "\r\n");
    assert_eq!(of(&windows), whole);
    let coloured = SAVEPOINT_MISSING
        .replace("ERROR", "\u{1b}[1;31mERROR\u{1b}[m")
        .replace("Caused", "\u{1b}]0;x\u{7}Caused");
    assert_eq!(of(&coloured), whole);
    for log in [SAVEPOINT_MISSING, USER_CODE, &windows, &coloured] {
        for (at, _) in log.char_indices() {
            let _ = root_cause(&log[at..]);
            let _ = root_cause(&log[..at]);
        }
    }
    // The beginning is lost: only the trace names the cause.
    let tail = &SAVEPOINT_MISSING[SAVEPOINT_MISSING.find("\t... 14 more").unwrap()..];
    assert_eq!(of(tail).summary(), whole.summary());
}

#[test]
fn control_characters_and_long_lines_never_get_out() {
    let log = format!(
        "Exception in thread \"main\" java.lang.IllegalStateException: \u{1b}[2Jbad\u{7}\u{202e} {}\n\tat a.B.c(B.java:1)\n",
        "é".repeat(100_000)
    );
    let found = of(&log);
    assert!(found.message.starts_with("bad é"), "{:?}", &found.message[..20]);
    assert!(found.message.chars().count() <= 601);
    assert_eq!(found.frame.as_deref(), Some("a.B.c(B.java:1)"));
    assert!(root_cause("").is_none());
    assert!(root_cause(&"é\n".repeat(400_000)).is_none());
}

#[test]
fn quiet_logs_have_no_cause() {
    for log in [
        "hello\nworld\n",
        "2026-01-01 10:00:00,001 INFO  org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] - Starting.\n",
        "Starting Job Manager\nsed: couldn't open temporary file /opt/flink/conf/sedXyz: Read-only file system\n",
        "2026-01-01 10:00:00,001 ERROR org.apache.pekko.Remoting [] - Association with remote system [x] has failed\n",
    ] {
        assert_eq!(root_cause(log), None, "{log}");
    }
}

/// What the summary of a log contains, words of its first hint, and the log.
const KNOWN: &[&str] = &[
    "org.apache.flink.Foo | --image | Error: Could not find or load main class org.apache.flink.Foo\nCaused by: java.lang.ClassNotFoundException: org.apache.flink.Foo\n",
    "cannot be started directly | --direct-start=false | kubectl-flink: this image cannot be started directly: it has no /docker-entrypoint.sh, or no Flink in /opt/flink\n",
    "Could not reserve enough space | --jobmanager-memory | Error occurred during initialization of VM\nCould not reserve enough space for 2097152KB object heap\n",
    "exec format error | architecture | exec /docker-entrypoint.sh: exec format error\n",
    "no such file | line ends | exec /docker-entrypoint.sh: no such file or directory\n",
    "failed switching to | runAsUser | error: failed switching to \"flink\": operation not permitted\n",
    "specify JAVA_HOME | has no Java | Please specify JAVA_HOME. Either in Flink config ./conf/config.yaml or as system-wide JAVA_HOME.\n",
    "command not found |  | /docker-entrypoint.sh: line 99: standalone-job: command not found\n",
    "IllegalArgumentException: Cannot parse JobID | 32 hexadecimal digits | 2026-01-01 10:00:00,001 ERROR org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint [] - Could not parse command line arguments [--job-id, x].\n\
         org.apache.flink.runtime.entrypoint.FlinkParseException: Failed to parse '--job-id' option\n\
         \tat org.apache.flink.container.entrypoint.X.y(X.java:1) ~[x.jar:1]\n\
         Caused by: java.lang.IllegalArgumentException: Cannot parse JobID from \"x\". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.\n\
         \t... 2 more\n\
         usage: StandaloneApplicationClusterEntryPoint [-D <property=value>] [-j <fqcn>]\n    -c,--configDir <configuration directory>   Directory which contains the configuration\n",
    "IllegalConfigurationException: Sum of configured | --jobmanager-memory | [ERROR] The execution result is empty.\n[ERROR] Could not get JVM parameters and dynamic configurations properly.\n[ERROR] Raw output from BashJavaUtils:\n\
         INFO  [] - Loading configuration property: a, b\n\
         Exception in thread \"main\" org.apache.flink.configuration.IllegalConfigurationException: JobManager memory configuration failed: Sum of configured JVM Metaspace (256.000mb) and JVM Overhead (192.000mb) exceed configured Total Process Memory (300.000mb).\n\
         \tat org.apache.flink.runtime.jobmanager.JobManagerProcessUtils.processSpecFromConfig(JobManagerProcessUtils.java:78)\n\
         Caused by: org.apache.flink.configuration.IllegalConfigurationException: Sum of configured JVM Metaspace (256.000mb) and JVM Overhead (192.000mb) exceed configured Total Process Memory (300.000mb).\n\t... 2 more\n",
    "ClassNotFoundException: com.example.Nope | --job-class | 2026-01-01 10:00:00,001 ERROR x [] - Could not create application program.\n\
         org.apache.flink.util.FlinkException: Could not load the provided entrypoint class.\n\tat org.apache.flink.X.y(X.java:1)\n\
         Caused by: org.apache.flink.client.program.ProgramInvocationException: The program's entry point class 'com.example.Nope' was not found in the jar file.\n\t... 2 more\n\
         Caused by: java.lang.ClassNotFoundException: com.example.Nope\n\tat java.net.URLClassLoader.findClass(Unknown Source)\n",
    "no execute() calls | call it | 2026-01-01 10:00:00,001 ERROR x [] - Fatal\njava.util.concurrent.CompletionException: org.apache.flink.client.deployment.application.ApplicationExecutionException: The application contains no execute() calls.\n\tat a.B.c(B.java:1)\n\
         Caused by: org.apache.flink.client.deployment.application.ApplicationExecutionException: The application contains no execute() calls.\n",
    "IllegalStateException: Failed to rollback | uid() | 2026-01-01 10:00:00,001 INFO x [] - Job a switched from state INITIALIZING to FAILED.\norg.apache.flink.runtime.client.JobInitializationException: Could not start the JobMaster.\n\
         Caused by: java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/sp. Cannot map checkpoint/savepoint state for operator f3dc to the new program, because the operator is not available in the new program. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.\n",
    "StateMigrationException | does not fit | 2026-01-01 10:00:00,001 WARN x [] - Task switched from RUNNING to FAILED\njava.lang.Exception: Exception while creating StreamOperatorStateContext.\n\tat org.apache.flink.X.y(X.java:1)\n\
         Caused by: org.apache.flink.util.StateMigrationException: For heap backends, the new state serializer must not be incompatible with the old state serializer.\n",
    "scheme 's3' | plugin | 2026-01-01 10:00:00,001 ERROR x [] - Fatal\norg.apache.flink.util.FlinkRuntimeException: Failed to create checkpoint storage\n\tat a.B.c(B.java:1)\n\
         Caused by: org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementation for scheme 's3'. The scheme is directly supported by Flink through the following plugin(s): flink-s3-fs-hadoop.\n",
    "NoResourceAvailableException: Slot request bulk | --slots | 2026-01-01 10:00:00,001 INFO x [] - Job a switched from state RUNNING to FAILED.\norg.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\n\
         Caused by: org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Slot request bulk is not fulfillable! Could not allocate the required slot within slot request timeout\n\
         Caused by: java.util.concurrent.CompletionException: java.util.concurrent.TimeoutException: Timeout has occurred: 300000 ms\n\
         Caused by: java.util.concurrent.TimeoutException: Timeout has occurred: 300000 ms\n",
    "KubernetesClientException: Failure executing | configmaps | 2026-01-01 10:00:00,001 ERROR x [] - Fatal\nio.fabric8.kubernetes.client.KubernetesClientException: Failure executing: GET at: https://10.0.0.1/api/v1/namespaces/a/configmaps/x. Message: Forbidden!Configured service account doesn't have access. Service account may have been revoked. configmaps \"x\" is forbidden: User \"system:serviceaccount:a:default\" cannot get resource \"configmaps\".\n",
    "OutOfMemoryError: Java heap space | --taskmanager-memory | 2026-01-01 10:00:00,001 ERROR x [] - Fatal\njava.lang.OutOfMemoryError: Java heap space\n\tat com.example.A.b(A.java:1)\n",
    "Metaspace | jvm-metaspace | Exception in thread \"main\" java.lang.OutOfMemoryError: Metaspace. The metaspace out-of-memory error has occurred.\n",
    "Insufficient number | network | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.io.IOException: Insufficient number of network buffers: required 17, but only 8 available.\n",
    "BindException | hostNetwork | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.net.BindException: Could not start rest endpoint on any port in port range 8081\n",
    "Could not create actor system | --jobmanager-cpu | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.lang.Exception: Could not create actor system\nCaused by: java.util.concurrent.TimeoutException: Futures timed out after [10 seconds]\n",
    "Failed to create directory | 9999 | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.io.IOException: Failed to create directory for shared state: file:/state/x\n",
    "UnsupportedClassVersionError | newer Java | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.lang.UnsupportedClassVersionError: com/example/Job has been compiled by a more recent version of the Java Runtime (class file version 65.0)\n",
    "NoSuchMethodError | other versions | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.lang.NoSuchMethodError: 'void com.example.A.b()'\n",
    "com.example.Udf | class path | 2026-01-01 10:00:00,001 WARN x [] - Map switched from RUNNING to FAILED\njava.lang.NoClassDefFoundError: com/example/Udf\nCaused by: java.lang.ClassNotFoundException: com.example.Udf\n",
    "UnknownHostException: demo-master | name is not known | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.net.UnknownHostException: demo-master: Name or service not known\n",
    "AccessDeniedException: flink/checkpoints | object store refuses | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.nio.file.AccessDeniedException: flink/checkpoints/1a: PUT 0-byte object  on flink/checkpoints/1a: com.amazonaws.services.s3.model.AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)\n",
    "Unable to load AWS credentials | object store refuses | 2026-01-01 10:00:00,001 ERROR x [] - F\ncom.amazonaws.SdkClientException: Unable to load AWS credentials from any provider in the chain\n",
    "AccessDeniedException: /state | 9999 | 2026-01-01 10:00:00,001 ERROR x [] - F\njava.nio.file.AccessDeniedException: /state/chk-1\n",
    "No space left | disk is full | 2026-01-01 10:00:00,001 WARN x [] - Map (1/1)#0 switched from RUNNING to FAILED\njava.io.IOException: No space left on device\n",
    "identifier 'kafka' | no connector | 2026-01-01 10:00:00,001 ERROR x [] - F\norg.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Unable to create a source for reading table 'a.b.c'.\nCaused by: org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'kafka' that implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath.\n",
];

#[test]
fn known_failures_have_hints() {
    for row in KNOWN {
        let [summary, hint, log] = columns(row);
        let found = of(log);
        assert!(found.summary().contains(summary), "{log}\n{}", found.summary());
        let first = found.hints.first().map(String::as_str).unwrap_or_default();
        assert!(first.contains(hint), "{log}\n{:?}", found.hints);
        // The log continues with an orderly shutdown, and began with an older failure.
        let older = "2025-12-31 10:00:00,001 ERROR x [] - Older\njava.lang.ArithmeticException: / by zero\n";
        // Nothing runs before what a shell or the container's runtime refuses to start.
        let older = if found.class.is_some() { older } else { "" };
        let around = format!("{older}{log}2026-01-01 10:00:09,001 INFO  x [] - Stopped.\n");
        assert_eq!(of(&around).summary(), found.summary(), "{log}");
    }
}

#[test]
fn the_first_line_of_a_rest_error() {
    assert_eq!(
        first_line("Job could not be found.\n\tat org.apache.flink.X.y(X.java:1)"),
        "Job could not be found"
    );
    assert_eq!(
        first_line(
            "org.apache.flink.runtime.rest.handler.RestHandlerException: java.util.concurrent.CompletionException: no such trigger\n\tat x"
        ),
        "no such trigger"
    );
    assert_eq!(
        first_line(
            "<Exception on server side:\njava.util.concurrent.CompletionException: java.lang.IllegalStateException: No savepoint directory\n\tat x"
        ),
        "java.lang.IllegalStateException: No savepoint directory"
    );
    assert_eq!(first_line(" \n"), "");
}

#[test]
fn memory_that_is_short_is_said_by_the_keys_of_the_role() {
    let log = "2026-01-01 10:00:00,000 ERROR x [] - a\njava.lang.OutOfMemoryError: Direct buffer memory\n\tat a.B.c(B.java:1)\n";
    let found = root_cause(log).unwrap();
    for (role, own, other) in [
        (Role::JobManager, "jobmanager", "taskmanager"),
        (Role::TaskManager, "taskmanager", "jobmanager"),
    ] {
        let of = PodContainer {
            pod: String::new(),
            role,
            container: String::new(),
            previous: false,
        };
        let hints = Cause::new(CauseKind::JobManagerEnded, "x")
            .log_of(Some(of))
            .with_log(&found)
            .hints
            .join(" ");
        assert!(hints.contains(own) && !hints.contains(other), "{hints}");
    }
}
