//! Known failures of running jobs: of the services that they use, of large messages, and of memory that Flink manages.

use super::KnownFailure;

/// Specific rows come before general ones. Those of refused credentials are beside the object stores', see `storage`.
pub(super) const RUNNING: &[KnownFailure] = known_failures! {
    // Source: Hadoop's `SaslRpcClient`, `UserGroupInformation` and `Server`; the JDK's `Krb5LoginModule`.
    ExternalRights:
        "Client cannot authenticate via:",
        "SIMPLE authentication is not enabled",
        "KerberosAuthException",
        "LoginException" & "Unable to obtain password from user",
        "LoginException" & "Unable to obtain Principal Name",
        "GSSException: ",
        "KrbException: ",
        "HDFS_DELEGATION_TOKEN" =>
        "Kerberos: name the principal and its keytab, as the Pods see it, with -D security.kerberos.login.principal and \
         -D security.kerberos.login.keytab, and mount the keytab and krb5.conf into both roles";
    // Words of the C library, EAI_AGAIN.
    UnknownHost: "UnknownHostException" & "Temporary failure in name resolution" =>
        "the name server did not answer: see the Pods of the cluster's DNS (kubectl get pods -n kube-system), and whether a NetworkPolicy \
         lets the Pods reach port 53";
    // Source: the JDK's `PKIXValidator`.
    ExternalService: "PKIX path building failed", "unable to find valid certification path" =>
        "Java does not trust the service's certificate: mount a trust store that has its CA, and name it by the client's own setting \
         (ssl.truststore.location of Kafka), or with --env JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=PATH";
    // Source: Kafka's `KafkaProducer` and the broker's error UNKNOWN_TOPIC_OR_PARTITION.
    ExternalService: "UnknownTopicOrPartitionException", "org.apache.kafka." & "not present in metadata after" =>
        "the Kafka topic does not exist, or its brokers do not answer: check its name in the program's arguments and -D settings, and \
         bootstrap.servers";
    // Source: Kafka's `KafkaAdminClient`, `Fetcher` and `KafkaProducer`. A broker names the addresses of all brokers.
    ExternalService:
        "org.apache.kafka." & "Timed out waiting for a node assignment",
        "org.apache.kafka." & "Timeout expired while fetching topic metadata",
        "org.apache.kafka." & "Timeout expired before the position for partition",
        "org.apache.kafka." & "Timeout expired after" & "awaiting InitProducerId" =>
        "no Kafka broker answers: check bootstrap.servers, NetworkPolicies, and that the Pods reach the brokers' advertised.listeners",
        "a listener with TLS or SASL does not answer a client that does not use it: check security.protocol";
    // Source: the broker's error INVALID_TRANSACTION_TIMEOUT. A sink with exactly-once asks for an hour by default.
    ExternalService:
        "InvalidTxnTimeoutException",
        "transaction timeout is larger than the maximum value allowed by the broker" =>
        "set transaction.timeout.ms of the Kafka sink to at most transaction.max.timeout.ms of the brokers, which is 15 minutes by default";
    // Words of both versions of AWS's client.
    ExternalService: ".services.kinesis." & "ResourceNotFoundException" =>
        "the Kinesis stream does not exist in this account and region: check both in the program's arguments and -D settings";
    NetworkBuffers:
        "Insufficient number of network buffers",
        // Source: `NetworkBufferPool`.
        "Timeout triggered when requesting exclusive buffers" =>
        "raise -D taskmanager.memory.network.fraction or -D taskmanager.memory.network.max, or lower --parallelism";
    // Source: Flink's `Task.TaskCancelerWatchDog`.
    TaskManagerEnded: "Task did not exit gracefully within" =>
        "the program's code did not end when its task was canceled, so Flink ended the process: let its calls end when they are interrupted, or \
         raise -D task.cancellation.timeout";
    // Source: Beam's `ProcessManager`.
    OutOfMemory: "Process died with exit code 137" =>
        "Python's process was killed, mostly because the container reached its memory limit: raise --taskmanager-memory, and with it \
         -D taskmanager.memory.task.off-heap.size, which leaves room for Python";
    // Source: Flink's `MemoryManager`.
    OutOfMemory: "MemoryAllocationException", "MemoryReservationException" =>
        "managed memory is used up: raise --taskmanager-memory or -D taskmanager.memory.managed.fraction, or lower --slots";
    // Source: Flink's `AkkaInvocationHandler` and `AkkaRpcActor`, later `PekkoInvocationHandler` and `PekkoRpcActor`; Pekko's
    // `EndpointWriter`.
    MessageTooLarge:
        "exceeds the maximum" & "framesize",
        "result size" & "exceeds the maximum size",
        "Discarding oversized payload" =>
        "raise -D pekko.framesize=104857600b for both roles (akka.framesize before Flink 1.18)",
        "state that is in the message, as operator state is without --checkpoint-dir, makes it large";
    StateTooLarge: "maximum permitted memory-backed state" =>
        "checkpoints are kept in the JobManager's memory and are too large for it: set their folder with --checkpoint-dir";
    CheckpointTimeout: "Checkpoint expired before completing" =>
        "give checkpoints more time with -D execution.checkpointing.timeout, or let barriers overtake records with -D \
         execution.checkpointing.unaligned.enabled=true";
};
