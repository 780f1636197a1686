//! Failures of clusters and jobs in the wild, and what is found for each.

use super::fixtures::{TM, cause, cluster, pod_with, running, terminated};
use super::{Cause, CauseKind, LogCause, root_cause};
use crate::model::rows::columns;

fn of(log: &str) -> LogCause {
    root_cause(log).unwrap_or_else(|| panic!("nothing found in {log}"))
}

/// The ID of a failure's kind, words of its first hint, and the text of Flink, Java or a service, without the record around it.
const FAILURES: &[&str] = &[
    "savepoint-incompatible | lower --parallelism | java.lang.IllegalStateException: The state for task cbc357ccb763df2852fee8c4fc7d55f2 can not be restored. The maximum parallelism (128) of the restored state is lower than the configured parallelism (200). Please reduce the parallelism of the task to be lower or equal to the maximum parallelism.",
    "savepoint-incompatible | uid() | java.lang.IllegalStateException: There is no operator for the state 8c6f0a1b2c3d4e5f8c6f0a1b2c3d4e5f",
    "savepoint-missing | is gone | org.apache.flink.util.FlinkException: Could not restore keyed state backend for KeyedProcessOperator_0a_(1/1) from any of the 1 provided restore options.\nCaused by: org.apache.flink.runtime.state.BackendBuildingException: Caught unexpected exception.\nCaused by: java.io.FileNotFoundException: /state/shared/5f (No such file or directory)",
    "storage-access | 9999 | org.apache.flink.util.FlinkException: Could not restore keyed state backend for KeyedProcessOperator_0a_(1/1) from any of the 1 provided restore options.\nCaused by: java.io.FileNotFoundException: /state/shared/5f (Permission denied)",
    "quota | quota is used up | io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://10.0.0.1/api/v1/namespaces/a/configmaps. Message: Forbidden!Configured service account doesn't have access. Service account may have been revoked. configmaps \"demo-cluster-config-map\" is forbidden: exceeded quota: small, requested: configmaps=1, used: configmaps=10, limited: configmaps=10.",
    "external-rights | credentials | software.amazon.awssdk.services.glue.model.AccessDeniedException: User: arn:aws:sts::1:assumed-role/flink is not authorized to perform: glue:GetDatabase on resource: x (Service: Glue, Status Code: 400, Request ID: 0)",
    "external-rights | credentials | org.apache.flink.util.FlinkRuntimeException: Failed to list subscribed topic partitions due to\nCaused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [orders]\nCaused by: org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [orders]",
    "libraries | serialVersionUID | java.io.InvalidClassException: com.shop.Order; local class incompatible: stream classdesc serialVersionUID = 1, local class serialVersionUID = 2",
    "taskmanager-lost | TaskManager was lost | org.apache.flink.runtime.io.network.netty.exception.RemoteTransportException: Lost connection to task manager '10.0.0.2/10.0.0.2:6121 [ demo-task-manager-x ] '. This indicates that the remote task manager was lost.",
    "taskmanager-lost | TaskManager was lost | org.apache.flink.runtime.io.network.netty.exception.LocalTransportException: readAddress(..) failed: Connection reset by peer (connection to '10.0.0.2/10.0.0.2:6121')\nCaused by: org.apache.flink.shaded.netty4.io.netty.channel.unix.Errors$NativeIoException: readAddress(..) failed: Connection reset by peer",
    "taskmanager-lost | TaskManager was lost | org.apache.flink.util.FlinkException: The TaskExecutor is shutting down.",
    "taskmanagers-unregistered | NetworkPolicy | org.apache.flink.runtime.taskexecutor.exceptions.RegistrationTimeoutException: Could not register at the ResourceManager within the specified maximum registration duration PT5M. This indicates a problem with this instance. Terminating now.",
    "savepoint-incompatible | state.backend.type | java.lang.IllegalStateException: Unexpected state handle type, expected one of: class org.apache.flink.runtime.state.KeyGroupsStateHandle, but found: class org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle. This can mostly happen when a different StateBackend from the one that was used for taking a checkpoint/savepoint is used when restoring.",
    "savepoint-incompatible | keep that class | org.apache.flink.util.FlinkException: Could not restore keyed state backend for KeyedProcessOperator_0a_(1/1) from any of the 1 provided restore options.\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: Could not deserialize\n\tat a.B.c(B.java:1)\nCaused by: java.lang.ClassNotFoundException: com.shop.Order",
    "savepoint-incompatible | newer Flink | java.lang.IllegalArgumentException: Unrecognized checkpoint version number: 6",
    "external-service | topic does not exist | org.apache.flink.util.FlinkRuntimeException: Failed to get metadata for topics [orders].\n\tat a.B.c(B.java:1)\nCaused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition.\n\tat a.B.c(B.java:1)\nCaused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition.",
    "unknown-host | name is not known | org.apache.kafka.common.KafkaException: Failed to construct kafka consumer\n\tat a.B.c(B.java:1)\nCaused by: org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in bootstrap.servers",
    "external-service | transaction.timeout.ms | org.apache.kafka.common.KafkaException: Unexpected error in InitProducerIdResponse; The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms).",
    "external-service | trust store | org.apache.kafka.common.errors.SslAuthenticationException: SSL handshake failed\nCaused by: sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target",
    "libraries | twice on the class path | org.apache.kafka.common.KafkaException: class org.apache.kafka.common.serialization.ByteArraySerializer is not an instance of org.apache.kafka.common.serialization.Serializer",
    "libraries | twice on the class path | java.lang.ClassCastException: class com.example.Event cannot be cast to class com.example.Event (com.example.Event is in unnamed module of loader org.apache.flink.util.ChildFirstClassLoader @1; com.example.Event is in unnamed module of loader 'app')",
    "libraries | twice on the class path | java.lang.ClassCastException: cannot assign instance of org.apache.commons.collections.map.LinkedMap to field a.B.c of type org.apache.commons.collections.map.LinkedMap in instance of a.B",
    "external-rights | credentials | org.postgresql.util.PSQLException: FATAL: password authentication failed for user \"flink\"",
    "external-rights | credentials | java.sql.SQLException: Access denied for user 'flink'@'10.0.0.1' (using password: YES)",
    "external-rights | security.kerberos.login.keytab | java.io.IOException: Failed on local exception\n\tat a.B.c(B.java:1)\nCaused by: org.apache.hadoop.security.AccessControlException: Client cannot authenticate via:[TOKEN, KERBEROS]",
    "unknown-host | s3.path.style.access | java.net.UnknownHostException: getFileStatus on s3://state/chk: com.amazonaws.SdkClientException: Unable to execute HTTP request: state.minio: state.minio: Name or service not known",
    "network-buffers | network.fraction | java.io.IOException: Timeout triggered when requesting exclusive buffers: The total number of network buffers is currently set to 2048 of 32768 bytes each.",
    "libraries | Hadoop | java.lang.NoClassDefFoundError: org/apache/hadoop/conf/Configuration\nCaused by: java.lang.ClassNotFoundException: org.apache.hadoop.conf.Configuration",
    "libraries | native library | java.lang.NoClassDefFoundError: Could not initialize class org.xerial.snappy.Snappy",
    "unknown-host | port 53 | java.net.UnknownHostException: kafka: Temporary failure in name resolution",
    "external-service | region | software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException: Stream orders under account 1 not found. (Service: Kinesis, Status Code: 400, Request ID: 0)",
    "out-of-memory | managed.fraction | org.apache.flink.runtime.memory.MemoryReservationException: Could not allocate 536870912 bytes, only 0 bytes are remaining.",
    "external-rights | clock | com.amazonaws.services.s3.model.AmazonS3Exception: The difference between the request time and the current time is too large. (Service: Amazon S3; Status Code: 403; Error Code: RequestTimeTooSkewed)",
    "message-too-large | pekko.framesize | java.io.IOException: The rpc invocation size 27329480 exceeds the maximum akka framesize.",
    // A file of the program's own.
    " |  | java.io.FileNotFoundException: /in/savepoint-list.csv (No such file or directory)",
    // The image and its Java.
    "closed-java-modules |  | java.lang.reflect.InaccessibleObjectException: Unable to make field private final byte[] java.lang.String.value accessible: module java.base does not \"opens java.lang\" to unnamed module",
    "no-python |  | java.io.IOException: Cannot run program \"python\": error=2, No such file or directory",
    "jar-missing |  | java.io.IOException: JAR file does not exist '/opt/flink/usrlib/x.jar'",
    "read-only-file-system |  | java.nio.file.FileSystemException: /data/x: Read-only file system",
    "storage-access |  | java.nio.file.AccessDeniedException: /data/s3-sink/x",
    // A jar that was named is not one that Flink looks for.
    "jar-missing | correct its path | java.io.IOException: JAR file does not exist '/opt/flink/x.jar'",
    "jar-missing | /opt/flink/usrlib | java.io.IOException: No JAR found",
    // Messages that share words with those of another failure.
    "out-of-memory | off-heap.size | java.lang.OutOfMemoryError: Cannot reserve 8192 bytes of direct buffer memory (allocated: 9, limit: 10)",
    "out-of-memory | off-heap.size | io.netty.util.internal.OutOfDirectMemoryError: failed to allocate 16777216 byte(s) of direct memory (used: 1, max: 2)",
    "out-of-memory | jvm-metaspace.size | java.lang.OutOfMemoryError: Compressed class space",
    "out-of-memory | more heap does not help | java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory or process/resource limits reached",
    "out-of-memory | more heap does not help | java.lang.OutOfMemoryError: unable to create new native thread",
    "out-of-memory | jvm-overhead.min | java.lang.OutOfMemoryError: Map failed",
    "out-of-memory | heap.size | java.lang.OutOfMemoryError: Java heap space",
    " |  | org.apache.flink.util.FlinkException: JobManager with id 0a is no longer reachable.",
    "taskmanager-lost | TaskManager was lost | org.apache.flink.runtime.jobmaster.JobMasterException: TaskManager with id 10.0.0.2:6122-a is no longer reachable.",
    "rpc-address | addresses of its own Pod | java.net.BindException: Cannot assign requested address",
    "port-taken | hostNetwork | java.net.BindException: Could not start actor system on any port in port range 6123",
    "port-taken | hostNetwork | java.net.BindException: Address already in use",
    "storage-access | HADOOP_USER_NAME | org.apache.hadoop.security.AccessControlException: Permission denied: user=flink, access=WRITE, inode=\"/state\":hdfs:hdfs:drwxr-xr-x",
    "storage-access | object store refuses | java.nio.file.AccessDeniedException: gs://state/checkpoints: Error accessing",
    "storage-access | fsGroup | java.nio.file.AccessDeniedException: /state/checkpoints",
    "main-throws | does not know this argument | org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Unrecognized option: --topic\nCaused by: org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: --topic",
    "main-throws | a statement of SQL | org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: SQL parse failed. Encountered \"FORM\" at line 3, column 10.\nCaused by: org.apache.flink.table.api.SqlParserException: SQL parse failed. Encountered \"FORM\" at line 3, column 10.\nCaused by: org.apache.flink.sql.parser.impl.ParseException: Encountered \"FORM\" at line 3, column 10.",
    "main-throws | a statement of SQL | org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Unsupported options found for 'kafka'.\nCaused by: org.apache.flink.table.api.ValidationException: Unsupported options found for 'kafka'.",
    "main-throws | one job only | org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Cannot have more than one execute() or executeAsync() call in a single environment.\nCaused by: org.apache.flink.util.FlinkRuntimeException: Cannot have more than one execute() or executeAsync() call in a single environment.",
    "main-throws | transient | org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: The implementation of the MapFunction is not serializable. The object probably contains or references non serializable fields.\nCaused by: org.apache.flink.api.common.InvalidProgramException: The implementation of the MapFunction is not serializable. The object probably contains or references non serializable fields.\nCaused by: java.io.NotSerializableException: com.shop.Client",
    "libraries | scope provided | org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: No ExecutorFactory found to execute the application.\nCaused by: java.lang.IllegalStateException: No ExecutorFactory found to execute the application.",
    "libraries | 1.19 | java.lang.UnsupportedOperationException: can't get field offset on a record class: private final java.lang.String com.shop.Order.id",
    "libraries | aws-msk-iam-auth | javax.security.auth.login.LoginException: No LoginModule found for software.amazon.msk.auth.iam.IAMLoginModule",
    "file-system-plugin | Hadoop's client jars | org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementation for scheme 'hdfs'. The scheme is not directly supported by Flink and no Hadoop file system to support this scheme could be loaded.\nCaused by: org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Hadoop is not in the classpath/dependencies.",
    "file-system-plugin | this release of Flink | org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementation for scheme 'abfss'. The scheme is not directly supported by Flink and no Hadoop file system to support this scheme could be loaded.",
    "no-storage-directory | --ha STORAGE_DIR | org.apache.flink.configuration.IllegalConfigurationException: Configuration is missing the mandatory parameter: Key: 'high-availability.storageDir' , default: null",
    "jobmanager-failed | configmap-type=high-availability | org.apache.flink.runtime.leaderelection.LeaderElectionException: ConfigMap demo-cluster-config-map has been deleted externally.",
    "checkpoints-failing | folder | java.io.IOException: Target file s3://state/0a/chk-1/_metadata already exists.",
    "savepoint-incompatible | newer Flink | org.apache.flink.runtime.state.BackendBuildingException: Failed when trying to restore heap backend\nCaused by: org.apache.flink.core.io.VersionMismatchException: Incompatible version: found 7, compatible versions are [6, 5, 4, 3, 2, 1]",
    "savepoint-incompatible | in the same order | org.apache.flink.util.FlinkException: Could not restore keyed state backend for KeyedProcessOperator_0a_(1/1) from any of the 1 provided restore options.\nCaused by: com.esotericsoftware.kryo.KryoException: Encountered unregistered class ID: 95",
    "storage-access | AWS_REGION | org.apache.hadoop.fs.s3a.AWSRedirectException: getFileStatus on s3a://state/x: com.amazonaws.services.s3.model.AmazonS3Exception: The bucket is in this region: eu-west-1.",
    "storage-access | limits the rate | com.amazonaws.services.s3.model.AmazonS3Exception: Please reduce your request rate. (Service: Amazon S3; Status Code: 503; Error Code: SlowDown)",
    "storage-access | object store refuses | java.io.IOException: Error getting access token from metadata server at: http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token\nCaused by: java.net.SocketTimeoutException: connect timed out",
    "storage-access | object store refuses | com.amazonaws.SdkClientException: Unable to locate specified web identity token file: /var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    "storage-access | object store refuses | java.io.FileNotFoundException: Operation failed: \"The specified filesystem does not exist.\", 404, HEAD, https://shop.dfs.core.windows.net/state?resource=filesystem",
    "external-service | a name that the certificate has | javax.net.ssl.SSLPeerUnverifiedException: Certificate for <state.minio> doesn't match any of the subject alternative names: [minio]",
    "external-service | or of a connector | org.apache.hadoop.hbase.client.RetriesExhaustedException: Failed after attempts=36\nCaused by: org.apache.zookeeper.KeeperException$SessionExpiredException: KeeperErrorCode = Session expired for /hbase/hbaseid",
    "external-service | --ha-zookeeper | org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException$ConnectionLossException: KeeperErrorCode = ConnectionLoss for /flink/demo/leader",
    "external-service | wal_level=logical | org.postgresql.util.PSQLException: ERROR: logical decoding requires wal_level >= logical",
    "external-service | binlog_format=ROW | org.apache.flink.table.api.ValidationException: Cannot read the binlog filename and position via 'SHOW MASTER STATUS'. Make sure your server is correctly configured",
    "external-service | disks of Elasticsearch | org.apache.flink.util.FlinkRuntimeException: Single action ElasticsearchException[Elasticsearch exception [type=cluster_block_exception, reason=index [orders] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];]]",
    "external-service | does not have this column | org.postgresql.util.PSQLException: ERROR: column \"price\" of relation \"orders\" does not exist",
    "external-service | does not exist for this user | org.apache.iceberg.exceptions.NoSuchNamespaceException: Namespace does not exist: shop",
    "external-service | the connector's client | org.apache.kafka.common.errors.UnsupportedVersionException: The node does not support METADATA",
    "out-of-memory | Python's process | java.lang.IllegalStateException: Process died with exit code 137",
    "external-service | localhost is the Pod itself | org.postgresql.util.PSQLException: Connection to localhost:5432 refused. Check that the hostname and port are correct.\nCaused by: java.net.ConnectException: Connection refused",
    "external-service | does not answer | com.mongodb.MongoTimeoutException: Timed out after 30000 ms while waiting for a server that matches WritableServerSelector.",
    "external-rights | credentials | org.postgresql.util.PSQLException: FATAL: no pg_hba.conf entry for host \"10.0.0.2\", user \"flink\", database \"shop\", no encryption",
    "external-rights | credentials | org.postgresql.util.PSQLException: ERROR: permission denied for table orders",
    "external-rights | credentials | java.sql.SQLSyntaxErrorException: Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation",
    "external-rights | credentials | com.rabbitmq.client.AuthenticationFailureException: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
    "unknown-host | name is not known | org.apache.flink.util.FlinkException: Failed to start the TaskManagerRunner.\nCaused by: java.nio.channels.UnresolvedAddressException",
];

#[test]
fn failures_in_the_wild_are_known() {
    for row in FAILURES {
        let [kind, hint, text] = columns(row);
        let found = of(&format!(
            "2026-01-01 10:00:00,000 ERROR x [] - a\n{text}\n\tat a.B.c(B.java:1)\n"
        ));
        assert_eq!(found.kind.map_or("", CauseKind::id), kind, "{text}");
        assert!(
            kind.is_empty() || found.hints[0].contains(hint),
            "{text}: {:?}",
            found.hints
        );
    }
}

#[test]
fn a_failure_with_two_reasons_has_a_hint_for_each() {
    for (text, hint) in [
        (
            "org.apache.hadoop.fs.s3a.AWSBadRequestException: getFileStatus on s3a://state/x: com.amazonaws.services.s3.model.AmazonS3Exception: \
             Bad Request (Service: Amazon S3; Status Code: 400; Error Code: 400 Bad Request; Request ID: 0)",
            "credentials have expired",
        ),
        (
            "org.apache.zookeeper.KeeperException$SessionExpiredException: KeeperErrorCode = Session expired for /flink/demo/leader",
            "the JVM paused",
        ),
    ] {
        let found = of(&format!(
            "2026-01-01 10:00:00,000 ERROR x [] - a\n{text}\n\tat a.B.c(B.java:1)\n"
        ));
        assert!(found.hints.len() == 2 && found.hints[1].contains(hint), "{found:?}");
    }
}

#[test]
fn options_that_java_refuses_are_named() {
    for (line, after) in [
        (
            "Unrecognized VM option 'UseConcMarkSweepGC'",
            "Error: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n",
        ),
        ("Multiple garbage collectors selected", ""),
        (
            "Error opening zip file or JAR manifest missing : /opt/agent.jar",
            "Error occurred during initialization of VM\nagent library failed to init: instrument\n",
        ),
    ] {
        let found = of(&format!(
            "Starting Job Manager\nError occurred during initialization of VM\n{line}\n{after}"
        ));
        assert_eq!(
            (found.kind, found.message.as_str()),
            (Some(CauseKind::JavaOption), line)
        );
    }
}

/// Flink has no more than the exit code of Python; what Python said is in the lines before.
#[test]
fn the_exception_of_a_python_program_is_named() {
    let log = |printed: &[&str]| {
        let lines = [
            &["--- Python Process Started ---"][..],
            printed,
            &["--- Python Process Exited ---"],
        ];
        let logged = |line: &&str| {
            format!("{line}\n2026-01-01 10:00:00,000 INFO  org.apache.flink.client.python.PythonDriver [] - {line}\n")
        };
        let lines: Vec<String> = lines.concat().iter().map(logged).collect();
        format!(
            "{}2026-01-01 10:00:01,000 ERROR org.apache.flink.client.python.PythonDriver [] - Run python process failed\n\
             java.lang.RuntimeException: Python process exits with code: 1\n\
             \tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:130)\n",
            lines.concat()
        )
    };
    let found = of(&log(&[
        "Traceback (most recent call last):",
        "  File \"/opt/flink/usrlib/job.py\", line 3, in <module>",
        "    import shop",
        "ModuleNotFoundError: No module named 'shop'",
    ]));
    assert_eq!(found.summary(), "ModuleNotFoundError: No module named 'shop'");
    assert_eq!(found.kind, Some(CauseKind::MainThrows));
    let found = of(&log(&[
        "py4j.protocol.Py4JJavaError: An error occurred while calling o12.execute.",
        ": java.lang.RuntimeException: no",
        "\tat a.B.c(B.java:1)",
        "Caused by: java.net.UnknownHostException: kafka",
        "\t... 12 more",
    ]));
    assert_eq!(found.kind, Some(CauseKind::UnknownHost));
    let found = of(&log(&["bye"]));
    assert_eq!(found.summary(), "RuntimeException: Python process exits with code: 1");
}

#[test]
fn a_connection_that_was_reset_is_reported_with_its_other_end() {
    let found = of(
        "2026-01-01 10:00:00,000 WARN  x [] - Map (1/1)#0 switched from RUNNING to FAILED with failure cause:\n\
         org.apache.flink.runtime.io.network.netty.exception.LocalTransportException: readAddress(..) failed: Connection reset by peer (connection to '10.0.0.2/10.0.0.2:6121')\n\
         \tat org.apache.flink.X.y(X.java:1)\n\
         Caused by: org.apache.flink.shaded.netty4.io.netty.channel.unix.Errors$NativeIoException: readAddress(..) failed: Connection reset by peer\n",
    );
    assert_eq!(found.short_class(), Some("LocalTransportException"));
    assert!(found.message.contains("10.0.0.2:6121"), "{}", found.message);
}

/// The failure that is waited for does not say by whom, and the one above it does not say for what.
#[test]
fn a_timeout_is_reported_with_what_waited() {
    let found = of("2026-01-01 10:00:00,000 ERROR x [] - a\n\
         org.postgresql.util.PSQLException: Connection to db:5432 refused.\n\tat a.B.c(B.java:1)\n\
         Caused by: java.net.SocketTimeoutException: Connect timed out\n");
    assert_eq!(
        found.summary(),
        "PSQLException: Connection to db:5432 refused: SocketTimeoutException: Connect timed out"
    );
}

const OLDER_FAILURE: &str = "\
2026-01-01 10:00:00,000 WARN  x [] - Map (1/1)#0 switched from RUNNING to FAILED with failure cause:
java.net.UnknownHostException: kafka
\tat a.B.c(B.java:1)
";

#[test]
fn a_failure_before_a_kill_is_not_its_cause() {
    let mut observed = cluster();
    pod_with(&mut observed, TM, "Running", running(), terminated(137, "OOMKilled"), 3);
    let killed = cause(&observed, "killed for its memory");
    let found = killed.clone().with_log(&of(OLDER_FAILURE));
    assert_eq!(found.kind, CauseKind::OutOfMemory);
    assert!(found.hints[0].contains("--taskmanager-memory"), "{found:?}");
    assert!(!found.title.contains("kafka"), "{found:?}");
    assert!(found.evidence.iter().any(|line| line.contains("kafka")), "{found:?}");
    // A JVM that hangs for lack of memory is killed too.
    let heap =
        "2026-01-01 10:00:00,000 ERROR x [] - F\njava.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)\n";
    let found = killed.with_log(&of(heap));
    assert!(found.title.contains("Java heap space"), "{found:?}");
}

#[test]
fn a_failed_checkpoint_is_explained_by_its_own_trace() {
    let failing = Cause::new(CauseKind::CheckpointsFailing, "2 checkpoints failed in a row");
    assert_eq!(failing.found_in(OLDER_FAILURE), None);
    let log = format!(
        "2026-01-01 12:00:00,000 WARN  org.apache.flink.runtime.checkpoint.CheckpointFailureManager [] - Failed to trigger or complete checkpoint 7 for job 0a. (1 consecutive failed attempts so far)\n\
         org.apache.flink.runtime.checkpoint.CheckpointException: Asynchronous task checkpoint failed.\n\tat a.B.c(B.java:1)\n\
         Caused by: java.nio.file.AccessDeniedException: s3://state/chk-7\n{OLDER_FAILURE}"
    );
    let found = failing.found_in(&log).unwrap();
    assert_eq!(found.kind, Some(CauseKind::StorageAccess));
    assert_eq!(found.summary(), "AccessDeniedException: s3://state/chk-7");
}

#[test]
fn a_cast_to_another_class_is_a_fault_of_the_program() {
    for said in [
        "class java.lang.String cannot be cast to class java.lang.Integer (java.lang.String and java.lang.Integer are in module java.base)",
        "com.example.Event cannot be cast to com.example.Events",
    ] {
        let found = of(&format!(
            "2026-01-01 10:00:00,000 ERROR x [] - a\njava.lang.ClassCastException: {said}\n\tat a.B.c(B.java:1)\n"
        ));
        assert_ne!(found.kind, Some(CauseKind::Libraries), "{said}");
    }
}

/// Flink 1.15 closes the loader of Akka's classes while its threads still run.
#[test]
fn classes_that_a_process_misses_while_it_ends_are_no_cause() {
    let late = "2026-01-01 10:00:09,000 ERROR org.apache.flink.util.FatalExitExceptionHandler [] - FATAL: Thread 'flink-metrics-akka.actor.internal-dispatcher-17' produced an uncaught exception. Stopping the process...\n\
        java.lang.NoClassDefFoundError: akka/actor/SchedulerException\n\
        \tat akka.dispatch.MessageDispatcher.ifSensibleToDoSoThenScheduleShutdown(AbstractDispatcher.scala:183)\n\
        Caused by: java.lang.ClassNotFoundException: akka.actor.SchedulerException\n";
    let first = "2026-01-01 10:00:00,000 ERROR org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] - Fatal error\n\
        java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:/state/sp-1'\n\
        \tat a.B.c(B.java:1)\n";
    let found = of(&format!("{first}{late}"));
    assert_eq!(found.class.as_deref(), Some("java.io.FileNotFoundException"));
}
