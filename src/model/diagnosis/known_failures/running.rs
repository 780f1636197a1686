//! Known failures of running jobs: of the services that they use, of large messages, and of memory that Flink manages.

use super::KnownFailure;
use crate::model::diagnosis::CauseKind;

/// Specific rows come before general ones. Those of refused credentials are beside the object stores', see `storage`.
pub(super) const RUNNING: &[KnownFailure] = &[
    KnownFailure {
        // Source: Hadoop's `SaslRpcClient`, `UserGroupInformation` and `Server`; the JDK's `Krb5LoginModule`.
        kind: CauseKind::ExternalRights,
        when: &[
            &["Client cannot authenticate via:"],
            &["SIMPLE authentication is not enabled"],
            &["KerberosAuthException"],
            &["LoginException", "Unable to obtain password from user"],
            &["LoginException", "Unable to obtain Principal Name"],
            &["GSSException: "],
            &["KrbException: "],
            &["HDFS_DELEGATION_TOKEN"],
        ],
        hints: &[
            "Kerberos: name the principal and its keytab, as the Pods see it, with -D security.kerberos.login.principal and \
             -D security.kerberos.login.keytab, and mount the keytab and krb5.conf into both roles",
        ],
    },
    KnownFailure {
        // Words of the C library, EAI_AGAIN.
        kind: CauseKind::UnknownHost,
        when: &[&["UnknownHostException", "Temporary failure in name resolution"]],
        hints: &[
            "the name server did not answer: see the Pods of the cluster's DNS (kubectl get pods -n kube-system), and whether a NetworkPolicy \
             lets the Pods reach port 53",
        ],
    },
    KnownFailure {
        // Source: the JDK's `PKIXValidator`.
        kind: CauseKind::ExternalService,
        when: &[
            &["PKIX path building failed"],
            &["unable to find valid certification path"],
        ],
        hints: &[
            "Java does not trust the service's certificate: mount a trust store that has its CA, and name it by the client's own setting \
             (ssl.truststore.location of Kafka), or with --env JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=PATH",
        ],
    },
    KnownFailure {
        // Source: Kafka's `KafkaProducer` and the broker's error UNKNOWN_TOPIC_OR_PARTITION.
        kind: CauseKind::ExternalService,
        when: &[
            &["UnknownTopicOrPartitionException"],
            &["org.apache.kafka.", "not present in metadata after"],
        ],
        hints: &[
            "the Kafka topic does not exist, or its brokers do not answer: check its name in the program's arguments and -D settings, and \
             bootstrap.servers",
        ],
    },
    KnownFailure {
        // Source: Kafka's `KafkaAdminClient`, `Fetcher` and `KafkaProducer`. A broker names the addresses of all brokers.
        kind: CauseKind::ExternalService,
        when: &[
            &["org.apache.kafka.", "Timed out waiting for a node assignment"],
            &["org.apache.kafka.", "Timeout expired while fetching topic metadata"],
            &["org.apache.kafka.", "Timeout expired before the position for partition"],
            &["org.apache.kafka.", "Timeout expired after", "awaiting InitProducerId"],
        ],
        hints: &[
            "no Kafka broker answers: check bootstrap.servers, NetworkPolicies, and that the Pods reach the brokers' advertised.listeners",
            "a listener with TLS or SASL does not answer a client that does not use it: check security.protocol",
        ],
    },
    KnownFailure {
        // Source: the broker's error INVALID_TRANSACTION_TIMEOUT. A sink with exactly-once asks for an hour by default.
        kind: CauseKind::ExternalService,
        when: &[
            &["InvalidTxnTimeoutException"],
            &["transaction timeout is larger than the maximum value allowed by the broker"],
        ],
        hints: &[
            "set transaction.timeout.ms of the Kafka sink to at most transaction.max.timeout.ms of the brokers, which is 15 minutes by default",
        ],
    },
    KnownFailure {
        // Words of both versions of AWS's client.
        kind: CauseKind::ExternalService,
        when: &[&[".services.kinesis.", "ResourceNotFoundException"]],
        hints: &[
            "the Kinesis stream does not exist in this account and region: check both in the program's arguments and -D settings",
        ],
    },
    KnownFailure {
        kind: CauseKind::NetworkBuffers,
        when: &[
            &["Insufficient number of network buffers"],
            // Source: `NetworkBufferPool`.
            &["Timeout triggered when requesting exclusive buffers"],
        ],
        hints: &[
            "raise -D taskmanager.memory.network.fraction or -D taskmanager.memory.network.max, or lower --parallelism",
        ],
    },
    KnownFailure {
        // Source: Flink's `Task.TaskCancelerWatchDog`.
        kind: CauseKind::TaskManagerEnded,
        when: &[&["Task did not exit gracefully within"]],
        hints: &[
            "the program's code did not end when its task was canceled, so Flink ended the process: let its calls end when they are interrupted, or \
             raise -D task.cancellation.timeout",
        ],
    },
    KnownFailure {
        // Source: Flink's `MemoryManager`.
        kind: CauseKind::OutOfMemory,
        when: &[&["MemoryAllocationException"], &["MemoryReservationException"]],
        hints: &[
            "managed memory is used up: raise --taskmanager-memory or -D taskmanager.memory.managed.fraction, or lower --slots",
        ],
    },
    KnownFailure {
        // Source: Flink's `AkkaInvocationHandler` and `AkkaRpcActor`, later `PekkoInvocationHandler` and `PekkoRpcActor`; Pekko's
        // `EndpointWriter`.
        kind: CauseKind::MessageTooLarge,
        when: &[
            &["exceeds the maximum", "framesize"],
            &["result size", "exceeds the maximum size"],
            &["Discarding oversized payload"],
        ],
        hints: &[
            "raise -D pekko.framesize=104857600b for both roles (akka.framesize before Flink 1.18)",
            "state that is in the message, as operator state is without --checkpoint-dir, makes it large",
        ],
    },
    KnownFailure {
        kind: CauseKind::StateTooLarge,
        when: &[&["maximum permitted memory-backed state"]],
        hints: &[
            "checkpoints are kept in the JobManager's memory and are too large for it: set their folder with --checkpoint-dir",
        ],
    },
    KnownFailure {
        kind: CauseKind::CheckpointTimeout,
        when: &[&["Checkpoint expired before completing"]],
        hints: &[
            "give checkpoints more time with -D execution.checkpointing.timeout, or let barriers overtake records with -D \
             execution.checkpointing.unaligned.enabled=true",
        ],
    },
];
