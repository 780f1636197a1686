//! Known failures, and how to fix each.

use super::CauseKind;

/// Rows of known failures: a kind, the needles that a text has, and how to fix it. Needles with `&` between them must all occur.
macro_rules! known_failures {
    ($($kind:ident: $($($needle:literal)&+),+ => $($hint:expr),+;)+) => {
        &[$(KnownFailure {
            kind: $crate::model::diagnosis::CauseKind::$kind,
            when: &[$(&[$($needle),+]),+],
            hints: &[$($hint),+],
        }),+]
    };
}

mod class_loaders;
mod running;
mod services;
mod state;
mod storage;

/// Kind and hints for a failure whose classes and messages, deepest first, are `text`: those of the first matching row.
pub(super) fn look_up(text: &str) -> (Option<CauseKind>, Vec<String>) {
    let tables = [
        state::STATE,
        PROGRAM,
        class_loaders::TWICE,
        LIBRARIES,
        storage::STORAGE,
        services::SERVICES,
        running::RUNNING,
        OTHERS,
        services::UNREACHABLE,
        IN_MAIN,
    ];
    let matches = |row: &&KnownFailure| {
        row.when
            .iter()
            .any(|all| all.iter().all(|needle| text.contains(needle)))
    };
    let found = if class_loaders::is_cast_to_itself(text) {
        class_loaders::TWICE.first()
    } else {
        tables.into_iter().flatten().find(matches)
    };
    found.map_or_else(Default::default, |row| {
        (
            Some(row.kind),
            row.hints.iter().map(|hint| (*hint).to_owned()).collect(),
        )
    })
}

struct KnownFailure {
    kind: CauseKind,
    /// Matches if all needles of any of these occur.
    when: &'static [&'static [&'static str]],
    hints: &'static [&'static str],
}

/// For a class that only the JobManager has.
pub(super) const ON_TASK_MANAGERS: &str =
    "the jar must be in the image of the TaskManagers too, at the same path: /opt/flink/usrlib, or --jar";

/// Failures of the image, the JVM and the program. Specific rows come before general ones. The messages are Flink's own from
/// 1.17 to 2.3, and the JVM's.
const PROGRAM: &[KnownFailure] = known_failures! {
    FileSystemPlugin: "The scheme is not directly supported by Flink" =>
        "this release of Flink knows no plugin for this scheme: correct it, or, if Hadoop has a file system for it, such as hdfs, put Hadoop's client jars into \
         /opt/flink/lib of --image";
    FileSystemPlugin: "Could not find a file system implementation for scheme" =>
        "the image lacks the plugin for this scheme: put the jar from /opt/flink/opt under /opt/flink/plugins, or name \
         it in the variable ENABLE_BUILT_IN_PLUGINS";
    // Source: the official image's docker-entrypoint.sh.
    FileSystemPlugin: "Plugin " & "does not exist. Exiting" =>
        "ENABLE_BUILT_IN_PLUGINS names a jar that is not in /opt/flink/opt of this image: the version in its name must be that of --image";
    // Flink's client says "Forbidden!Configured service account doesn't have access" of every refusal.
    Quota: "configmaps" & "exceeded quota" =>
        "high availability creates ConfigMaps, and the namespace's quota is used up: delete something, or have the quota raised";
    HighAvailabilityRights: "Forbidden!Configured service account", "configmaps" & "is forbidden" =>
        "with --ha the service account needs get, list, watch, create, update, patch and delete on configmaps: \
         `kubectl flink doctor NAME` shows how to grant them",
        "name a service account that has these rights with --service-account";
    // The class space is a part of the metaspace, and grows with it. Source: HotSpot's `Metaspace::ergo_initialize`.
    // The hints of the other role are omitted if the role of the log is known.
    OutOfMemory: "OutOfMemoryError" & "Metaspace", "OutOfMemoryError" & "Compressed class space" =>
        "give classes more room: -D jobmanager.memory.jvm-metaspace.size=512m",
        "give classes more room: -D taskmanager.memory.jvm-metaspace.size=512m";
    // Source: `java.nio.Bits.reserveMemory` up to Java 11 and from 17 on, and Netty's `PlatformDependent`.
    OutOfMemory:
        "OutOfMemoryError" & "Direct buffer memory",
        "OutOfMemoryError" & "direct buffer memory",
        "OutOfDirectMemoryError" =>
        "raise -D jobmanager.memory.off-heap.size, and --jobmanager-memory with it",
        "raise -D taskmanager.memory.task.off-heap.size, and --taskmanager-memory with it";
    // "new" in it up to Java 11. Source: HotSpot's `JVM_StartThread`.
    OutOfMemory: "OutOfMemoryError" & "unable to create" & "native thread" =>
        "more heap does not help: threads need memory outside of it, and their number is limited by the Pod's limit of \
         processes (podPidsLimit of the kubelet)",
        "see which threads there are in Flink's web UI: clients that the program opens and does not close are the usual cause";
    // Memory outside of the heap. Source: `sun.nio.ch.FileChannelImpl`.
    OutOfMemory: "OutOfMemoryError" & "Map failed" =>
        "raise -D jobmanager.memory.jvm-overhead.min, and --jobmanager-memory with it",
        "raise -D taskmanager.memory.jvm-overhead.min, and --taskmanager-memory with it";
    OutOfMemory: "java.lang.OutOfMemoryError", "Java heap space", "GC overhead limit exceeded" =>
        "give it more memory with --taskmanager-memory, or a larger share of it with -D taskmanager.memory.task.heap.size",
        "give it more memory with --jobmanager-memory, or a larger share of it with -D jobmanager.memory.heap.size";
    MemoryConfiguration:
        "Could not reserve enough space",
        "insufficient memory for the Java Runtime Environment",
        "Too small initial heap",
        "Invalid maximum heap size",
        "Initial heap size set to a larger value" =>
        "the container's limit is smaller than what Flink is configured to use: check --jobmanager-memory and --taskmanager-memory";
    MemoryConfiguration:
        "memory configuration failed",
        "IllegalConfigurationException" & "memory",
        "IllegalConfigurationException" & "Memory",
        "configured Total Process Memory",
        "The derived from" =>
        "the memory sizes contradict each other: set --jobmanager-memory or --taskmanager-memory only, and take back \
         other -D *.memory.* settings";
    TooFewSlots:
        "NoResourceAvailableException",
        "Could not acquire the minimum required resources",
        "Slot request bulk is not fulfillable" =>
        "too few slots: raise --slots, lower --parallelism, or see why TaskManagers do not register: kubectl flink why NAME";
    JavaVersion: "UnsupportedClassVersionError" =>
        "the jar was built for a newer Java than the image has: use an --image with that Java, such as flink:2.3-java17, \
         or build for an older release";
    // Source: java.lang.reflect.AccessibleObject and the JVM's linkResolver.
    ClosedJavaModules:
        "InaccessibleObjectException",
        "IllegalAccessError" & "does not export",
        "IllegalAccessError" & "does not open" =>
        "open the module and package that the message names: --env JAVA_TOOL_OPTIONS=--add-opens=java.base/java.util=ALL-UNNAMED",
        "or use an --image with an older Java, such as flink:1.20-java11";
    // Words of Apache Commons CLI, which programs use. Those of Java's launcher are the same.
    MainThrows: "The main method caused an error" & "Unrecognized option:" =>
        "main() does not know this argument: correct the program's arguments";
    // Source: HotSpot's `Arguments` and `GCConfig`, and the agents of `java.lang.instrument`.
    JavaOption:
        "Unrecognized VM option",
        "Unrecognized option:",
        "Improperly specified VM option",
        "Conflicting collector combinations",
        "Multiple garbage collectors selected",
        "must be enabled via -XX:",
        "Error opening zip file or JAR manifest missing" =>
        "the option is in -D env.java.opts.all, in the key of a role, or in the variable JAVA_TOOL_OPTIONS: remove it, or use an --image with a Java that has it";
    // Source: flink-python, PythonEnvUtils and PythonDriver.
    NoPython: "Cannot run program \"python", "No module named 'pyflink'", "No module named 'apache_beam'" =>
        "the image has no Python, or not apache-flink for it: build it as Flink's documentation of Python images says",
        "if it has another name: -D python.executable=python3 -D python.client.executable=python3";
    NoExecute: "NoExecuteException", "No jobs included in application", "The application contains no execute() calls" =>
        "main() ended without execute(): call it, or name the right class with --job-class";
    JarMissing:
        "No job jar",
        "Neither a 'Main-Class', nor a 'program-class' entry was found",
        "No JAR found",
        "No JAR with manifest attribute",
        "could not find any jar",
        "Failed to find job",
        "Multiple JAR archives with entry classes found" =>
        "the jar with the program must be in /opt/flink/usrlib of the image, or given with --jar; name its class with --job-class";
    // Source: JarUtils.checkJarFile and CliFrontend.getJarFile.
    JarMissing: "JAR file does not exist", "JAR file is not a file", "JAR file can't be read" =>
        "--jar local:///… names a file of the image: correct its path, or take an image that has it",
        "--jar FILE --push-to REPOSITORY puts a jar of this machine on the image";
    JobClass:
        "entry point class",
        "Could not load the provided entrypoint class",
        "program's entry point class",
        "does not have a main method" =>
        "the class given to --job-class is not in the jar, or has no main(): check its full name with package",
        "the jar must be in /opt/flink/usrlib of the image, or given with --jar";
    // Written by manifests/direct-start.sh.
    ContainerCreate: "this image cannot be started directly" =>
        "--direct-start takes an image like Flink's official ones: check --image, or use the image's own entrypoint \
         with --direct-start=false";
    ContainerCreate: "Could not find or load main class", "Unable to access jarfile" =>
        "the image does not look like a Flink image: check --image";
    Libraries: "ClassNotFoundException: org.apache.flink", "NoClassDefFoundError: org/apache/flink" =>
        "a Flink library is missing: put the connector into the jar, and build for the Flink version of --image";
    // Source: Flink's `FactoryUtil` and `TableFactoryService`, the JDBC connector's `JdbcFactoryLoader`, `java.sql.DriverManager`.
    Libraries:
        "Could not find any" & "factory for identifier",
        "Could not find any" & "factory that can handle url",
        "Could not find any factories that implement",
        "Could not find a suitable table factory",
        "No suitable driver" =>
        "the image has no connector, format or driver of this name: put its jar into /opt/flink/lib of --image or into the \
         program's jar, for the Flink version of --image";
    // Source: Flink's `DefaultExecutorServiceLoader`.
    Libraries: "No ExecutorFactory found" =>
        "the program's jar has classes of Flink's own, which hide those of the image: give Flink's dependencies, except connectors and \
         formats, the scope provided";
    // Source: the JDK's `sun.misc.Unsafe`, which Kryo uses for types that Flink does not know. Flink knows records from 1.19 on.
    Libraries: "can't get field offset on a record class" =>
        "Kryo cannot read Java's records: take an --image with Flink 1.19 or later, or make the record a class with a constructor without arguments";
    // Java's message about a lambda whose class is missing when it is deserialized. Seen with 2.3.
    ClassOnTaskManagers: "cannot assign instance of java.lang.invoke.SerializedLambda" =>
        ON_TASK_MANAGERS;
    Libraries:
        "NoSuchMethodError",
        "NoSuchFieldError",
        "AbstractMethodError",
        "IncompatibleClassChangeError",
        "ServiceConfigurationError" =>
        "the jar was built against other versions of its libraries: build it for the Flink version of --image";
};

/// Failures of libraries, of classes that are missing, and of the start of a process.
const LIBRARIES: &[KnownFailure] = known_failures! {
    // Source: `java.io.ObjectStreamClass`.
    Libraries: "InvalidClassException" & "local class incompatible" =>
        "JobManager and TaskManagers, or the savepoint and the program, have different versions of the class: use one --image for both roles, \
         and keep its serialVersionUID";
    // The class is there. Source: HotSpot's `InstanceKlass::initialize_impl`, and `java.lang.ClassLoader`.
    Libraries: "Could not initialize class", "UnsatisfiedLinkError" =>
        "the class could not be initialized, and an earlier exception in the log may say why: usual causes are a native library for another \
         architecture or C library (Alpine), and a /tmp that is mounted with noexec";
    Libraries:
        "NoClassDefFoundError: org/apache/hadoop/",
        "ClassNotFoundException: org.apache.hadoop.",
        "ClassNotFoundException: Class org.apache.hadoop." =>
        "Hadoop's classes are missing, which Flink's images do not have: put its client's jars into /opt/flink/lib of --image or into \
         the program's jar";
    ClassMissing: "NoClassDefFoundError", "ClassNotFoundException" =>
        "the class is not on the class path: check --job-class, and that the jar contains its libraries",
        "the jar must be in the image of JobManager and TaskManagers alike: /opt/flink/usrlib, or --jar";
    ContainerCreate: "exec format error", "Exec format error", "cannot execute binary file" =>
        "the image is built for another architecture than the node has: check --image";
    // Words of the container's runtime, which says the same of an interpreter that is missing.
    ContainerCreate: "exec /" & "no such file or directory", "exec user process caused" & "no such file or directory" =>
        "the file is not in the image, or not the program that its first line names: a script with line ends of Windows, or another base image, is \
         the usual cause";
    ContainerCreate: "failed switching to" =>
        "the container starts as root, and may not change its user: set runAsUser: 9999 in the Pod template's securityContext";
    ContainerCreate: "Please specify JAVA_HOME" =>
        "the image has no Java, or not where JAVA_HOME says: check --image, and JAVA_HOME given with --env";
    CommandLine: "Cannot parse JobID", "Failed to parse '--job-id' option" =>
        "a job ID has 32 hexadecimal digits";
    CommandLine: "Could not parse command line arguments", "FlinkParseException" =>
        "check -D key=value settings, --from-savepoint and --job-class; the program's own arguments come last";
    PortTaken:
        "Address already in use",
        // Source: `RestServerEndpoint`, `AkkaRpcServiceUtils` and its successor, `BlobServer`.
        "Could not start" & "on any port",
        "Unable to open BLOB Server in specified port range" =>
        "with hostNetwork two JobManagers of a node want the same ports: remove it from the Pod template, or keep them on different nodes with a podAntiAffinity";
    // Linux's EADDRNOTAVAIL: the address is of no interface of the Pod.
    RpcAddress: "BindException" & "Cannot assign requested address" =>
        "Flink can listen on addresses of its own Pod only: leave jobmanager.rpc.address, taskmanager.host, rest.address and \
         the bind-host keys to the templates";
    // Flink's message when its RPC system has not started within 10 s. Flink's own `pekko.startup-timeout` has no effect: it sets
    // `remote.startup-timeout`, but Pekko reads `remote.classic.startup-timeout`, also from a JVM's system properties. Tried with
    // 1.15.4 and 2.3.0; in 1.13.6 Flink's key has an effect, and its default is 100 s. Source: `PekkoUtils`, `RemoteSettings`.
    SlowStart: "Could not create actor system" =>
        "the JVM gets too little CPU: request more with --jobmanager-cpu or --taskmanager-cpu",
        "or give it more time: -D env.java.opts.all=-Dpekko.remote.classic.startup-timeout=120s (akka in place of pekko before \
         Flink 1.18)";
};

/// Failures of the network and of a running job.
const OTHERS: &[KnownFailure] = known_failures! {
    // Source: Flink's `TaskExecutor`.
    Unregistered: "Could not register at the ResourceManager within", "Could not connect to BlobServer" =>
        "the TaskManager did not reach the JobManager: a NetworkPolicy, a missing Service, a name server that does not answer or another \
         Flink version in the image is the usual cause";
    // Kafka's clients say the other words of names that they cannot look up.
    UnknownHost: "UnknownHostException", "UnresolvedAddressException", "No resolvable bootstrap urls" =>
        "the name is not known in this Kubernetes cluster: check it in the program's arguments and -D settings",
        "the JobManager's name is that of the Service: `kubectl flink status NAME` shows whether it is there";
    TaskManagerLost:
        // Source: `CreditBasedPartitionRequestClientHandler` and `PartitionRequestClientFactory`.
        "the remote task manager was lost",
        "the remote task manager has been lost",
        "Connection unexpectedly closed by remote task manager",
        "LocalTransportException" & "(connection to '",
        "LocalTransportException" & "Sending the partition request to",
        // Source: Flink's `PekkoRpcActor` and `AkkaRpcActor`.
        "RecipientUnreachableException" & "/rpc/taskmanager_",
        // Source: `TaskExecutor.onStop`: its Pod was ended, as when its node is drained.
        "The TaskExecutor is shutting down",
        "Heartbeat of TaskManager",
        // Source: `JobMaster.TaskManagerHeartbeatListener`; the same is said of JobManagers.
        "TaskManager with id" & "is no longer reachable" =>
        "a TaskManager was lost: `kubectl flink why NAME` shows how it ended; memory is the usual cause, --taskmanager-memory";
    // Source: Flink's `FsCheckpointMetadataOutputStream`.
    CheckpointsFailing: "/_metadata already exists" =>
        "another job writes to this folder, or an earlier one with the same job ID did: give each cluster a --checkpoint-dir of its own, or a \
         new --job-id";
    // Source: Flink's `KubernetesLeaderElectionDriver`, up to 1.15 and in 2.3.
    JobManagerFailed: "ConfigMap " & "deleted externally" =>
        "another program deleted a ConfigMap of high availability while the JobManager ran: exclude those with the label \
         configmap-type=high-availability from what it deletes";
    CheckpointsFailing: "Exceeded checkpoint tolerable failure threshold" =>
        "why a checkpoint failed is in the log: kubectl flink logs NAME --grep checkpoint";
};

/// Exceptions in main(). The most general row, of any other one, is the last.
const IN_MAIN: &[KnownFailure] = known_failures! {
    // Source: Flink's `CalciteParser`, `FlinkPlannerImpl`, `FactoryUtil` and `DynamicSinkUtils`.
    MainThrows:
        "SQL parse failed",
        "SQL validation failed",
        "Missing required options are",
        "Unsupported options found for",
        "Column types of query result and sink for" =>
        "Flink refuses a statement of SQL: correct it where the message says, or the options of the table";
    // Source: Flink's `StreamContextEnvironment`, up to 1.15 and in 2.3.
    MainThrows: "Cannot have more than" & "in a single environment" =>
        "with --ha or --job-id the program may start one job only: merge its jobs into one, such as with one STATEMENT SET of SQL, or give each a cluster of its own";
    // Source: Flink's `ClosureCleaner`.
    MainThrows: "InvalidProgramException" & "is not serializable" =>
        "a function has a field that cannot be sent to TaskManagers: create its value in open(), and declare the field transient";
    MainThrows: "The main method caused an error", "Python process exits with code" =>
        "main() threw it before the job was started: see the program's arguments, and what its code does there";
};
