//! Known failures of connections and of the services behind connectors: TLS, Kafka, databases, their change logs, catalogs.

use super::KnownFailure;
use crate::model::diagnosis::CauseKind;

/// Specific rows come before general ones. Those of refused credentials are beside the object stores', see `storage`.
pub(super) const SERVICES: &[KnownFailure] = &[
    KnownFailure {
        // Source: fabric8's client, which Flink's high availability uses.
        kind: CauseKind::ExternalService,
        when: &[
            &["KubernetesClientException", "ConnectException"],
            &["KubernetesClientException", "timed out"],
            &["KubernetesClientException", "timeout"],
            &["KubernetesClientException", "UnknownHostException"],
        ],
        hints: &[
            "high availability needs the API server, which the Pod does not reach: check NetworkPolicies and the cluster's DNS, and that the \
             proxy of a service mesh is ready before Flink starts",
        ],
    },
    KnownFailure {
        // Source: the JDK's `HostnameChecker`.
        kind: CauseKind::ExternalService,
        when: &[&["No subject alternative"], &["No name matching", "found"]],
        hints: &[
            "the service's certificate is for other names than the one that it is asked by: use a name that the certificate has",
        ],
    },
    KnownFailure {
        // Source: the JDK's `SSLSocketInputRecord`, and Netty's `SslHandler`.
        kind: CauseKind::ExternalService,
        when: &[
            &["Unsupported or unrecognized SSL message"],
            &["plaintext connection?"],
            &["not an SSL/TLS record"],
        ],
        hints: &[
            "the service does not use TLS on this port, and the client does: correct the port, or the client's setting (security.protocol of Kafka)",
        ],
    },
    KnownFailure {
        // Source: Kafka's `DefaultSslEngineFactory`, and the JDK's `PKCS12KeyStore` and `JavaKeyStore`.
        kind: CauseKind::ExternalRights,
        when: &[
            &["Failed to load SSL keystore"],
            &["keystore password was incorrect"],
            &["Keystore was tampered with"],
        ],
        hints: &[
            "the key store or trust store cannot be read: mount its Secret into both roles, and check its path, its type and its password",
        ],
    },
    KnownFailure {
        // Source: the JDK's `Alert`: the other side ends the handshake.
        kind: CauseKind::ExternalRights,
        when: &[&["Received fatal alert: "]],
        hints: &[
            "the service refuses the TLS connection: it may want a certificate of the client (a key store), another certificate, or another version of TLS",
        ],
    },
    KnownFailure {
        // Source: the JDK's `LoginContext`, and Kafka's `JaasContext`.
        kind: CauseKind::ExternalRights,
        when: &[
            &["No LoginModule found for"],
            &["unable to find LoginModule class"],
            &["entry in the JAAS configuration"],
        ],
        hints: &[
            "correct sasl.jaas.config: beside a flink-sql-connector-kafka jar the names of its classes begin with \
             org.apache.flink.kafka.shaded.org.apache.kafka",
        ],
    },
    KnownFailure {
        kind: CauseKind::ExternalService,
        when: &[&["NoOffsetForPartitionException"], &["OffsetOutOfRangeException"]],
        hints: &[
            "Kafka has no offset of this group, or has deleted the records at it: say where to begin then, by the source's reset strategy \
             (properties.auto.offset.reset in SQL), and keep records longer than the job may be down",
        ],
    },
    KnownFailure {
        kind: CauseKind::ExternalService,
        when: &[&["org.apache.kafka.", "RecordTooLargeException"]],
        hints: &[
            "a record is larger than Kafka takes: raise max.request.size of the sink, and max.message.bytes of the topic",
        ],
    },
    KnownFailure {
        // Source: the broker's errors INVALID_PRODUCER_EPOCH, PRODUCER_FENCED and INVALID_PRODUCER_ID_MAPPING.
        kind: CauseKind::ExternalService,
        when: &[
            &["ProducerFencedException"],
            &["InvalidProducerEpochException"],
            &["InvalidPidMappingException"],
        ],
        hints: &[
            "another producer uses the same transactional ID, or the broker has aborted the transaction: give each job a transactional ID prefix of its own, \
             and transactions more time than checkpoints and restarts take (transaction.timeout.ms)",
        ],
    },
    KnownFailure {
        // Source: PostgreSQL's `ReplicationSlotAcquire`, and MySQL's `kill_zombie_dump_threads`.
        kind: CauseKind::ExternalService,
        when: &[
            &["replication slot", "is active for PID"],
            &["A slave with the same server_uuid/server_id"],
            &["A replica with the same server_uuid/server_id"],
        ],
        hints: &[
            "another job reads the database's changes under this name: stop it, or give each job a slot.name (PostgreSQL) or server-id (MySQL) of its own",
        ],
    },
    KnownFailure {
        // Source: Debezium's connectors, MySQL's error 1236, and PostgreSQL's walsender.
        kind: CauseKind::ExternalService,
        when: &[
            &["this is no longer available on the server"],
            &["Could not find first log file name in binary log"],
            &["purged required binary logs"],
            &["Error code: 1236"],
            &["requested WAL segment", "has already been removed"],
            &["can no longer get changes from replication slot"],
        ],
        hints: &[
            "the database has deleted the changes at which the job continues: start it without this state, so that it reads the tables again, and let the \
             database keep its log longer than the job may be down",
        ],
    },
    KnownFailure {
        // Words of PostgreSQL and MySQL.
        kind: CauseKind::ExternalService,
        when: &[
            &["too many clients already"],
            &["remaining connection slots are reserved"],
            &["Too many connections"],
        ],
        hints: &["the database has no connection left: lower --parallelism, or raise its number of connections"],
    },
    KnownFailure {
        // Words of PostgreSQL, MySQL, Oracle, Iceberg, Elasticsearch and Pulsar.
        kind: CauseKind::ExternalService,
        when: &[
            &["relation \"", "\" does not exist"],
            &["Table '", "' doesn't exist"],
            &["ORA-00942"],
            &["NoSuchTableException"],
            &["index_not_found_exception"],
            &["TopicDoesNotExistException"],
        ],
        hints: &["the table, index or topic does not exist for this user: check its whole name, or create it"],
    },
    KnownFailure {
        // Source: Hive's `HiveMetaStoreClient` and `RetryingMetaStoreClient`.
        kind: CauseKind::ExternalService,
        when: &[
            &["Could not connect to meta store"],
            &["Unable to instantiate", "MetaStoreClient"],
            &["Failed to create Hive Metastore client"],
        ],
        hints: &["Hive's metastore does not answer: check hive.metastore.uris, and that the Pods reach it"],
    },
    KnownFailure {
        // Source: Confluent's serializers.
        kind: CauseKind::ExternalService,
        when: &[&["io.confluent.", "RestClientException"]],
        hints: &["the schema registry refuses: check its URL, its credentials, and that it has the subject"],
    },
];

/// The general row of a service that does not answer.
pub(super) const UNREACHABLE: KnownFailure = KnownFailure {
    // Words of Linux's ECONNREFUSED, ETIMEDOUT and EHOSTUNREACH, of the JDK, of MySQL's driver and of Apache's HTTP clients.
    kind: CauseKind::ExternalService,
    when: &[
        &["Connection refused"],
        &["onnect timed out"],
        &["Timeout connecting to"],
        &["onnection timed out"],
        &["No route to host"],
        &["Communications link failure"],
    ],
    hints: &[
        "a service does not answer: check its address and port in the program's arguments and -D settings, that it runs, and that NetworkPolicies \
         let the Pods reach it",
    ],
};
