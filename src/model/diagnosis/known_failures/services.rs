//! Known failures of connections and of the services behind connectors: TLS, Kafka, databases, their change logs, catalogs.

use super::KnownFailure;

/// Specific rows come before general ones. Those of refused credentials are beside the object stores', see `storage`.
pub(super) const SERVICES: &[KnownFailure] = known_failures! {
    // Source: fabric8's client, which Flink's high availability uses.
    ExternalService:
        "KubernetesClientException" & "ConnectException",
        "KubernetesClientException" & "timed out",
        "KubernetesClientException" & "timeout",
        "KubernetesClientException" & "UnknownHostException" =>
        "high availability needs the API server, which the Pod does not reach: check NetworkPolicies and the cluster's DNS, and that the \
         proxy of a service mesh is ready before Flink starts";
    // Source: ZooKeeper's `KeeperException`.
    ExternalService: "KeeperErrorCode = ConnectionLoss", "KeeperErrorCode = Session expired" =>
        "ZooKeeper, of high availability or of a connector, did not answer: check --ha-zookeeper or the connector's address, that its Pods run, and \
         that NetworkPolicies let the Pods reach it",
        "or the JVM paused for longer than the session's timeout: the usual cause is too little memory or CPU";
    // Source: the JDK's `HostnameChecker`, and Apache's HTTP client.
    ExternalService: "No subject alternative", "No name matching" & "found", "SSLPeerUnverifiedException" & "doesn't match any of the subject" =>
        "the service's certificate does not have the name that the client uses: use a name that the certificate has",
        "if the name begins with a bucket's, the object store wants -D s3.path.style.access=true";
    // Source: the JDK's `SSLSocketInputRecord`, and Netty's `SslHandler`.
    ExternalService: "Unsupported or unrecognized SSL message", "plaintext connection?", "not an SSL/TLS record" =>
        "the service does not use TLS on this port, and the client does: correct the port, or the client's setting (security.protocol of Kafka)";
    // Source: Kafka's `DefaultSslEngineFactory`, and the JDK's `PKCS12KeyStore` and `JavaKeyStore`.
    ExternalRights: "Failed to load SSL keystore", "keystore password was incorrect", "Keystore was tampered with" =>
        "the key store or trust store cannot be read: mount its Secret into both roles, and check its path, its type and its password";
    // Source: the JDK's `Alert`: the other side ends the handshake.
    ExternalRights: "Received fatal alert: " =>
        "the service refuses the TLS connection: it may require a certificate of the client (a key store), another certificate, or another version of TLS";
    Libraries: "No LoginModule found for software.amazon.msk", "unable to find LoginModule class: software.amazon.msk" =>
        "the class is in the library aws-msk-iam-auth: put its jar, whose name ends with -all, into /opt/flink/lib of --image";
    // Source: the JDK's `LoginContext`, and Kafka's `JaasContext`.
    ExternalRights: "No LoginModule found for", "unable to find LoginModule class", "entry in the JAAS configuration" =>
        "correct sasl.jaas.config: with a flink-sql-connector-kafka jar the names of its classes begin with \
         org.apache.flink.kafka.shaded.org.apache.kafka";
    ExternalService: "NoOffsetForPartitionException", "OffsetOutOfRangeException" =>
        "Kafka has no offset of this group, or has deleted the records at this offset: set where the source starts then, with its offset reset \
         strategy (properties.auto.offset.reset in SQL), and keep records longer than the job may be down";
    ExternalService: "org.apache.kafka." & "UnsupportedVersionException" =>
        "the Kafka brokers are older or newer than the connector's client can use: take another version of the connector, or of the brokers";
    ExternalService: "org.apache.kafka." & "RecordTooLargeException" =>
        "a record is larger than Kafka accepts: raise max.request.size of the sink, and max.message.bytes of the topic";
    // Source: the broker's errors INVALID_PRODUCER_EPOCH, PRODUCER_FENCED and INVALID_PRODUCER_ID_MAPPING.
    ExternalService: "ProducerFencedException", "InvalidProducerEpochException", "InvalidPidMappingException" =>
        "another producer uses the same transactional ID, or the broker has aborted the transaction: give each job a transactional ID prefix of its own, \
         and set transaction.timeout.ms to more than checkpoints and restarts take";
    // Source: PostgreSQL's `ReplicationSlotAcquire`, and MySQL's `kill_zombie_dump_threads`.
    ExternalService:
        "replication slot" & "is active for PID",
        "A slave with the same server_uuid/server_id",
        "A replica with the same server_uuid/server_id" =>
        "another job reads the database's changes under this name: stop it, or give each job a slot.name (PostgreSQL) or server-id (MySQL) of its own";
    // Source: Debezium's connectors, MySQL's error 1236, and PostgreSQL's walsender.
    ExternalService:
        "this is no longer available on the server",
        "Could not find first log file name in binary log",
        "purged required binary logs",
        "Error code: 1236",
        "requested WAL segment" & "has already been removed",
        "can no longer get changes from replication slot" =>
        "the database has deleted the changes from which the job continues: start the job without this state, so that it reads the tables again, and \
         let the database keep its log longer than the job may be down";
    // Words of PostgreSQL; source: Flink CDC's `DebeziumUtils` and `MySqlValidator`.
    ExternalService: "logical decoding requires", "Cannot read the binlog filename and position via", "binlog_format" =>
        "the database does not write the changes that the connector reads, or not for this user: PostgreSQL needs wal_level=logical; MySQL needs \
         its binary log with binlog_format=ROW, and a user with REPLICATION SLAVE and REPLICATION CLIENT";
    // Words of Elasticsearch and OpenSearch.
    ExternalService: "read-only-allow-delete block" =>
        "the disks of Elasticsearch are too full, so that it accepts no writes: free space on them";
    // Words of PostgreSQL and MySQL.
    ExternalService: "too many clients already", "remaining connection slots are reserved", "Too many connections" =>
        "the database has no connection left: lower --parallelism, or raise the database's limit of connections";
    // Words of PostgreSQL, MySQL and Oracle.
    ExternalService: "column \"" & "\" of relation \"" & "does not exist", "Unknown column '", "ORA-00904" =>
        "the table does not have this column: correct its name in the program or script, or add it to the table";
    // Words of PostgreSQL, MySQL, SQL Server, Oracle, Iceberg, Paimon, Hudi, Elasticsearch and Pulsar.
    ExternalService:
        "relation \"" & "\" does not exist",
        "Table '" & "' doesn't exist",
        "ORA-00942",
        "Invalid object name '",
        "NoSuchTableException",
        "NoSuchNamespaceException",
        "TableNotExistException",
        "TableNotFoundException",
        "index_not_found_exception",
        "TopicDoesNotExistException" =>
        "the table, index or topic does not exist for this user: check its full name, or create it";
    // Source: Hive's `HiveMetaStoreClient` and `RetryingMetaStoreClient`.
    ExternalService:
        "Could not connect to meta store",
        "Unable to instantiate" & "MetaStoreClient",
        "Failed to create Hive Metastore client" =>
        "Hive's metastore does not answer: check hive.metastore.uris, and that the Pods reach it";
    // Source: Confluent's serializers.
    ExternalService: "io.confluent." & "RestClientException" =>
        "the schema registry refuses the request: check its URL, its credentials, and that it has the subject";
};

/// Services that do not answer.
pub(super) const UNREACHABLE: &[KnownFailure] = known_failures! {
    // Words of the JDK, of Netty and of clients.
    ExternalService: "localhost:" & "refused", "localhost/127.0.0.1:" & "refused" =>
        "localhost is the Pod itself: name the host of the service in the program's arguments and -D settings, unless it runs in a container of the Pod";
    // Words of Linux's ECONNREFUSED, ETIMEDOUT and EHOSTUNREACH, of the JDK, of MySQL's driver and of Apache's HTTP clients.
    ExternalService:
        "Connection refused",
        "onnect timed out",
        "Timeout connecting to",
        "onnection timed out",
        "No route to host",
        "Communications link failure",
        // Of the clients of MongoDB, Redis and Cassandra.
        "MongoTimeoutException",
        "JedisConnectionException",
        "RedisConnectionException",
        "NoHostAvailableException",
        "AllNodesFailedException" =>
        "a service does not answer: check its address and port in the program's arguments and -D settings, that it runs, and that NetworkPolicies \
         let the Pods reach it";
};
