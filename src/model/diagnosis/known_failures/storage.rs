//! Known failures of what keeps checkpoints, savepoints and temporary files.

use super::KnownFailure;

const REGION: &str = "the region of the bucket is not set, or is another one: set --env AWS_REGION=REGION, or -D s3.endpoint with the region in its name";

/// Specific rows come before general ones.
pub(super) const STORAGE: &[KnownFailure] = known_failures! {
    NoStorageDirectory:
        "checkpoint directory" & "not configured",
        "Cannot snapshot to" & "directory",
        "No savepoint directory configured",
        "state.savepoints.dir",
        "CheckpointStorage" & "not configured" =>
        "set the folders of the state: --checkpoint-dir and --savepoint-dir";
    // Source: Flink's `HighAvailabilityServicesUtils`.
    NoStorageDirectory: "missing the mandatory parameter" & "high-availability.storageDir" =>
        "high availability needs a folder: --ha STORAGE_DIR sets it";
    // Source: Hadoop's `FileSystem.getFileSystemClass`. Iceberg, Hudi, Delta and Hive open paths by Hadoop.
    FileSystemPlugin: "No FileSystem for scheme" =>
        "a library opens this path with Hadoop, which does not use Flink's plugins: put Hadoop's jars for the scheme (hadoop-aws, hadoop-azure) into \
         /opt/flink/lib of --image, or let the library use a client of its own (io-impl of Iceberg)";
    // Linux's ENOSPC and EDQUOT.
    StorageAccess: "No space left on device", "Disk quota exceeded" =>
        "a disk is full: the claim of checkpoints and savepoints (kubectl flink savepoint dispose NAME PATH frees old savepoints), or the \
         node's, where RocksDB and temporary files are (io.tmp.dirs): mount a larger claim there with --mount CLAIM:PATH";
    ReadOnlyFileSystem: "Read-only file system", "ReadOnlyFileSystemException" =>
        "mount an emptyDir where it writes: Flink needs /opt/flink/conf, /opt/flink/log and /tmp (for conf an init container copies the image's files)",
        "or remove readOnlyRootFilesystem from the Pod template, and readOnly from the volume's mount";
    // Words of S3 and of Kerberos, which refuse credentials by the time in them.
    ExternalRights: "RequestTimeTooSkewed", "Clock skew too great" =>
        "the clock of the Pod's node is wrong: synchronize it with NTP, or cordon the node";
    // Words of AWS's clients, and of S3's answers to a request that is for another region.
    StorageAccess:
        "Unable to find a region via the region provider chain",
        "Unable to load region from any of the providers",
        "AuthorizationHeaderMalformed",
        // Source: Hadoop's `S3AUtils.translateException`, of a redirection.
        "AWSRedirectException",
        "must be addressed using the specified endpoint" =>
        REGION;
    // Of a HEAD request, whose answer has no words. Hadoop's S3A documents both reasons.
    StorageAccess: "Error Code: 400 Bad Request" => REGION, "or the credentials have expired, such as a session token: give new ones";
    // Words of AWS's clients, version 1 and 2.
    StorageAccess:
        "Timeout waiting for connection from pool",
        "Acquire operation took longer than the configured maximum time" =>
        "all connections to the object store are in use: raise -D s3.connection.maximum (fs.s3a.connection.maximum)";
    // Words of S3.
    StorageAccess: "Error Code: SlowDown", "Please reduce your request rate" =>
        "the object store limits the rate of requests: raise -D execution.checkpointing.interval, or spread the files over prefixes with s3.entropy.key";
    // Source: HDFS's `FSNamesystem`, `BlockManager` and `StandbyState`.
    StorageAccess:
        "ame node is in safe mode",
        "could only be" & "datanode(s) running",
        "is not supported in state standby" =>
        "HDFS accepts no writes: its NameNode is in safe mode or in standby, or the Pods reach no DataNode with free space";
    // Linux's EMFILE.
    StorageAccess: "Too many open files" =>
        "limit the files that RocksDB opens with -D state.backend.rocksdb.files.open=5000, use fewer --slots, or raise the limit of the nodes' container runtime";
    // Hadoop's s3a reports a refusal by the store with the class that it uses for local files.
    // The schemes are those of Flink's documentation.
    StorageAccess:
        "AccessDeniedException" & "s3://",
        "AccessDeniedException" & "s3a://",
        "AccessDeniedException" & "s3p://",
        "AccessDeniedException" & "gs://",
        "AccessDeniedException" & "oss://",
        "AccessDeniedException" & "abfs://",
        "AccessDeniedException" & "abfss://",
        "AccessDeniedException" & "wasb://",
        "AccessDeniedException" & "wasbs://",
        // Where it names a key or a bucket only: the words of the stores' own clients in its message.
        "Service: Amazon S3" & "Status Code: 403",
        "Service: S3" & "Status Code: 403",
        "NoAuthWithAWSException",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "ExpiredToken",
        "Not authorized to perform sts:",
        "Unable to load AWS credentials",
        "Unable to load credentials",
        "No AWS Credentials",
        "AccessDeniedException" & ".core.windows.net",
        // Source: Azure's and Google's services, and their clients in Hadoop.
        "AuthorizationPermissionMismatch",
        "AuthorizationFailure" & "azure",
        "AuthenticationFailed" & "azure",
        "Configuration property" & ".core.windows.net not found",
        "Failure to initialize configuration for storage account",
        "Error getting access token from metadata server",
        // Of AWS's clients, whose token comes from the service account.
        "web identity token file",
        "does not have storage.",
        "default credentials were not found",
        "Application Default Credentials are not available" =>
        "the object store refuses: check its bucket and the credentials of the Pods' service account, --service-account";
    // Words of the clients of S3, version 1 and 2. They put the bucket's name before that of the host, and a store beside
    // AWS's, such as MinIO, has no such names.
    UnknownHost:
        "Unable to execute HTTP request" & "UnknownHostException",
        "Received an UnknownHostException when attempting to interact with a service" =>
        "check -D s3.endpoint; if the unknown name begins with the bucket's, the store wants -D s3.path.style.access=true",
        "the name is not known in this Kubernetes cluster: check it in the program's arguments and -D settings";
    // Words of AWS, of Kafka's `org.apache.kafka.common.errors`, and of databases. AWS calls it
    // AccessDeniedException too.
    ExternalRights:
        "is not authorized to perform",
        ".awssdk.services." & ".AccessDeniedException",
        "org.apache.kafka.common.errors." & "AuthorizationException",
        "org.apache.kafka.common.errors.SaslAuthenticationException",
        "password authentication failed for user",
        "Access denied for user '",
        "Login failed for user '",
        "ORA-01017",
        // Of a right that is missing, and of PostgreSQL's pg_hba.conf.
        "ORA-01031",
        "permission denied for ",
        "command denied to user '",
        "you need (at least one of) the",
        "no pg_hba.conf entry for",
        // Of MongoDB, RabbitMQ and Redis.
        "MongoSecurityException",
        "ACCESS_REFUSED",
        "NOAUTH Authentication required",
        "WRONGPASS ",
        // Of Cassandra's client.
        "Authentication error on ",
        // Of HTTP, of Iceberg's catalogs, and of Pulsar.
        "401 Unauthorized",
        "403 Forbidden",
        "org.apache.iceberg.exceptions.NotAuthorizedException",
        "org.apache.iceberg.exceptions.ForbiddenException",
        "PulsarClientException$Auth" =>
        "correct the credentials in the program's arguments and -D settings, or give the user that they name the right",
        "AWS knows Pods by their service account: --service-account";
    // Source: Hadoop's `FSPermissionChecker.toAccessControlString`.
    StorageAccess: "AccessControlException" & "user=" =>
        "HDFS refuses the user that the message names: make this user the owner of the folder, or set another user with --env HADOOP_USER_NAME=USER";
    StorageAccess:
        "java.nio.file.AccessDeniedException",
        "Permission denied",
        "Failed to create directory",
        "Mkdirs failed to create",
        "Could not create the directory",
        // Source: `FileSystemJobResultStore`, of the storage of high availability.
        "base directory of the JobResultStore isn't accessible" =>
        "Flink runs as user 9999: the volume must be writable for it, for instance by fsGroup 9999 in the Pod template",
        "check --checkpoint-dir, --savepoint-dir and --mount CLAIM:PATH";
    StorageAccess: "NoSuchBucket", "The specified bucket does not exist", "The specified filesystem does not exist", "AccessDenied" =>
        "the object store refuses: check its bucket and the credentials of the Pods' service account, --service-account";
};
