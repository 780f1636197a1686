//! Failures of connections and of the services behind connectors, and the throwable of each that says most.

use super::{CauseKind, LogCause, root_cause};

/// The failure of a task whose trace has these throwables, from the outermost.
fn task(chain: &[&str]) -> LogCause {
    let thrown: Vec<String> = chain
        .iter()
        .map(|throwable| format!("{throwable}\n\tat org.apache.flink.X.y(X.java:1)\n"))
        .collect();
    let log = format!(
        "2026-01-01 10:00:00,000 WARN  x [] - Source: orders (1/1)#0 switched from RUNNING to FAILED with failure cause:\n{}",
        thrown.join("Caused by: ")
    );
    root_cause(&log).unwrap_or_else(|| panic!("nothing found in {log}"))
}

// One table, a row for each failure.
#[allow(clippy::too_many_lines)]
#[test]
fn failures_of_services_have_hints() {
    for (text, kind, hint) in [
        (
            "io.fabric8.kubernetes.client.KubernetesClientException: Operation: [get] for kind: [ConfigMap] failed.\nCaused by: java.net.ConnectException: Connection refused",
            CauseKind::ExternalService,
            "needs the API server",
        ),
        (
            "javax.net.ssl.SSLHandshakeException: No name matching kafka.shop found",
            CauseKind::ExternalService,
            "a name that the certificate has",
        ),
        (
            "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message",
            CauseKind::ExternalService,
            "does not use TLS",
        ),
        (
            "javax.net.ssl.SSLHandshakeException: Received fatal alert: bad_certificate",
            CauseKind::ExternalRights,
            "certificate of the client",
        ),
        (
            "org.apache.kafka.common.KafkaException: Failed to load SSL keystore /tls/shop.jks of type JKS\nCaused by: java.nio.file.NoSuchFileException: /tls/shop.jks",
            CauseKind::ExternalRights,
            "mount its Secret",
        ),
        (
            "javax.security.auth.login.LoginException: No LoginModule found for org.apache.kafka.common.security.plain.PlainLoginModule",
            CauseKind::ExternalRights,
            "org.apache.flink.kafka.shaded",
        ),
        (
            "org.apache.kafka.clients.consumer.NoOffsetForPartitionException: Undefined offset for [orders-0]",
            CauseKind::ExternalService,
            "reset strategy",
        ),
        (
            "org.apache.kafka.common.errors.RecordTooLargeException: The message is 9 bytes",
            CauseKind::ExternalService,
            "max.request.size",
        ),
        (
            "org.apache.kafka.common.errors.ProducerFencedException: There is a newer producer",
            CauseKind::ExternalService,
            "prefix of its own",
        ),
        (
            "org.postgresql.util.PSQLException: ERROR: replication slot \"shop\" is active for PID 7",
            CauseKind::ExternalService,
            "slot.name",
        ),
        (
            "io.debezium.DebeziumException: A slave with the same server_uuid/server_id as this slave has connected. Error code: 1236",
            CauseKind::ExternalService,
            "server-id",
        ),
        (
            "io.debezium.DebeziumException: Could not find log. Error code: 1236; SQLSTATE: HY000.",
            CauseKind::ExternalService,
            "keep its log longer",
        ),
        (
            "org.postgresql.util.PSQLException: FATAL: sorry, too many clients already",
            CauseKind::ExternalService,
            "no connection left",
        ),
        (
            "org.postgresql.util.PSQLException: ERROR: relation \"orders\" does not exist",
            CauseKind::ExternalService,
            "does not exist for this user",
        ),
        (
            "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: Subject not found",
            CauseKind::ExternalService,
            "schema registry",
        ),
        (
            "java.net.ConnectException: Connection refused",
            CauseKind::ExternalService,
            "does not answer",
        ),
        (
            "java.io.IOException: Could not connect to BlobServer at address demo-master/10.0.0.1:6124\nCaused by: java.net.ConnectException: Connection refused",
            CauseKind::Unregistered,
            "did not reach the JobManager",
        ),
        (
            "org.apache.flink.runtime.io.network.netty.exception.LocalTransportException: Sending the partition request to '/10.0.0.2:6121' failed.\nCaused by: java.net.ConnectException: Connection refused",
            CauseKind::TaskManagerLost,
            "TaskManager was lost",
        ),
        (
            "org.apache.flink.runtime.rpc.exceptions.RecipientUnreachableException: Could not send message to recipient [pekko.tcp://flink@10.0.0.2:6122/user/rpc/taskmanager_0#1], because the recipient is unreachable.",
            CauseKind::TaskManagerLost,
            "TaskManager was lost",
        ),
        (
            "org.apache.flink.util.FlinkRuntimeException: Task did not exit gracefully within 180 + seconds.",
            CauseKind::TaskManagerEnded,
            "interrupted",
        ),
        (
            "org.elasticsearch.client.ResponseException: status line [HTTP/1.1 401 Unauthorized]",
            CauseKind::ExternalRights,
            "credentials",
        ),
        (
            "org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme \"s3\"",
            CauseKind::FileSystemPlugin,
            "hadoop-aws",
        ),
        (
            "com.amazonaws.SdkClientException: Unable to find a region via the region provider chain.",
            CauseKind::StorageAccess,
            "AWS_REGION",
        ),
        (
            "com.amazonaws.SdkClientException: Unable to execute HTTP request: Timeout waiting for connection from pool",
            CauseKind::StorageAccess,
            "s3.connection.maximum",
        ),
        (
            "com.google.api.client.googleapis.json.GoogleJsonResponseException: 403 Forbidden\n\"shop does not have storage.objects.get access\"",
            CauseKind::StorageAccess,
            "object store refuses",
        ),
        (
            "org.rocksdb.RocksDBException: While open a file: /tmp/7.sst: Too many open files",
            CauseKind::StorageAccess,
            "rocksdb.files.open",
        ),
        (
            "org.apache.hadoop.ipc.RemoteException: Cannot create directory /shop. Name node is in safe mode.",
            CauseKind::StorageAccess,
            "safe mode",
        ),
        (
            "org.apache.flink.util.FlinkException: Could not retrieve submitted JobGraph from state handle under jobGraph-0a. This indicates that the retrieved state handle is broken.\nCaused by: java.io.FileNotFoundException: /ha/submittedJobGraph7 (No such file or directory)",
            CauseKind::StorageAccess,
            "ConfigMaps of high availability",
        ),
        (
            "java.lang.IllegalStateException: The base directory of the JobResultStore isn't accessible. No dirty JobResults can be restored.",
            CauseKind::StorageAccess,
            "fsGroup",
        ),
        (
            "org.apache.flink.table.api.ValidationException: Multiple factories for identifier 'default' that implement 'x.ExecutorFactory' found in the classpath.",
            CauseKind::Libraries,
            "twice on the class path",
        ),
    ] {
        let found = task(&[text]);
        assert_eq!(found.kind, Some(kind), "{text}");
        assert!(found.hints[0].contains(hint), "{text}: {:?}", found.hints);
    }
}

/// A cause that says less than what it causes is reported with it.
#[test]
fn a_value_is_reported_with_its_key() {
    let found = task(&[
        "org.apache.flink.streaming.runtime.tasks.ExceptionInChainedOperatorException: Could not forward element to next operator",
        "java.lang.IllegalArgumentException: Could not parse value 'x' for key 'shop.limit'.",
        "java.lang.NumberFormatException: For input string: \"x\"",
    ]);
    assert_eq!(
        found.summary(),
        "IllegalArgumentException: Could not parse value 'x' for key 'shop.limit': NumberFormatException: For input string: \"x\""
    );
    let found = task(&[
        "org.apache.flink.streaming.runtime.tasks.ExceptionInChainedOperatorException: Could not forward element to next operator",
        "java.lang.NumberFormatException: For input string: \"x\"",
    ]);
    assert_eq!(found.summary(), "NumberFormatException: For input string: \"x\"");
    // That of Kafka Connect is no failed connection.
    let found = task(&[
        "java.lang.RuntimeException: One or more fetchers have encountered exception",
        "org.apache.kafka.connect.errors.ConnectException: The connector is trying to read binlog 7, but this is no longer available on the server.",
    ]);
    assert!(
        found.summary().starts_with("ConnectException: The connector"),
        "{found:?}"
    );
    assert!(found.hints[0].contains("keep its log longer"), "{:?}", found.hints);
}

/// Classes of Thrift's, of the JDK's and of Hadoop's that print themselves in their own way.
#[test]
fn causes_that_print_themselves_otherwise_are_read() {
    for (cause, summary) in [
        (
            "MetaException(message:no table orders)",
            "MetaException: no table orders",
        ),
        (
            "GSSException: No valid credentials provided",
            "GSSException: No valid credentials provided",
        ),
        (
            "org.apache.hadoop.ipc.RemoteException(java.io.IOException): File /orders is gone",
            "IOException: File /orders is gone",
        ),
    ] {
        let found = task(&["java.lang.Exception: Exception while opening", cause]);
        assert_eq!(found.summary(), summary);
    }
    // A trace in the message of a cause begins no other one.
    let found = task(&[
        "java.lang.Exception: Exception while opening",
        "MetaException(message:Could not connect to meta store. Most recent failure:\njava.net.ConnectException: Connection refused\n\tat a.B.c(B.java:1))",
    ]);
    assert!(
        found.summary().starts_with("MetaException: Could not connect"),
        "{found:?}"
    );
    assert!(found.hints[0].contains("hive.metastore.uris"), "{:?}", found.hints);
}
