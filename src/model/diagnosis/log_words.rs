//! The classes, and the words of lines, by which records of a log are distinguished.

/// Classes that only wrap another failure.
pub(super) const WRAPPERS: [&str; 23] = [
    "CompletionException",
    "ExecutionException",
    "RemoteException",
    "InvocationTargetException",
    "UndeclaredThrowableException",
    "ProgramInvocationException",
    "ProgramAbortException",
    "JobExecutionException",
    "JobInitializationException",
    "JobSubmissionException",
    "ApplicationExecutionException",
    "UnsuccessfulExecutionException",
    "ClusterEntrypointException",
    "DispatcherException",
    "JobMasterException",
    "ResourceManagerException",
    "StreamTaskException",
    "ExceptionInChainedOperatorException",
    "ExceptionInInitializerError",
    "AsynchronousException",
    "WrappingRuntimeException",
    "CheckpointException",
    "DynamicCodeLoadingException",
];

/// Classes whose message, if it starts like this, says less than the wrapped failure.
pub(super) const WRAPPING_MESSAGES: [(&str, &str); 8] = [
    ("FlinkException", ""),
    ("FlinkRuntimeException", ""),
    ("JobException", "Recovery is suppressed"),
    ("JobException", "Cannot instantiate"),
    ("RuntimeException", "Could not execute application"),
    ("RuntimeException", "Error while getting state"),
    ("SuppressRestartsException", ""),
    ("RuntimeException", ""),
];

/// Root causes that say less than their consequences: a timeout, a closed connection, a wrong value.
pub(super) const BLAND: [&str; 14] = [
    "TimeoutException",
    "SocketTimeoutException",
    "AskTimeoutException",
    "ConnectException",
    "SocketException",
    "NoRouteToHostException",
    "UnresolvedAddressException",
    "EOFException",
    // A number without its key, and a name without its line.
    "NumberFormatException",
    "SqlValidatorException",
    "InterruptedException",
    "CancellationException",
    "ClosedChannelException",
    "NativeIoException",
];

/// Words of records that accompany a failure or a shutdown and are not its cause.
pub(super) const NOISE: [&str; 23] = [
    // Missing classes because the process is already ending.
    "org/apache/pekko/actor/",
    // Before Flink 1.18.
    "akka/actor/",
    "Thread 'flink-shutdown-hook",
    "Cluster entrypoint has been closed externally",
    "Exception while deleting working directory",
    "Association with remote system",
    "RECEIVED SIGNAL 15",
    "RejectedExecutionException",
    "Error while closing",
    "Could not resolve ResourceManager address",
    "Unhandled exception.",
    // A request for a job that is not there any more.
    "Exception occurred in REST handler",
    // Flink's `ClusterUncaughtExceptionHandler`, of a thread of the program that ends: the process continues.
    "configure cluster.uncaught-exception-handling",
    "The file .flink",
    "FlinkJobNotFoundException",
    "Could not load the native RocksDB library: retry",
    "Reporter could not be instantiated",
    // Of metrics and MBeans, without which a job runs on.
    "Failed to push metrics",
    "Error while reporting metrics",
    "Error registering AppInfo mbean",
    // A watch that begins again.
    "too old resource version",
    // Of Hadoop, when a process ends.
    "ShutdownHook '",
    // Flink's `TaskManagerRunner`, of a shutdown that fails: what it ends by comes before.
    "Unexpected failure during runtime of TaskManagerRunner",
];

/// Lines of the JVM's launcher, of Flink's scripts and of a direct start with the reason why a process did not start.
pub(super) const START_ERRORS: [&str; 23] = [
    "this image cannot be started directly",
    "Could not find or load main class",
    "Could not create the Java Virtual Machine",
    "A JNI error has occurred",
    "LinkageError occurred while loading main class",
    "Unable to access jarfile",
    "Could not reserve enough space",
    "Too small initial heap",
    "Too small maximum heap",
    "Initial heap size set to a larger value",
    "Invalid maximum heap size",
    "Invalid initial heap size",
    "Unrecognized VM option",
    "Unrecognized option:",
    "Improperly specified VM option",
    "Conflicting collector combinations",
    "Multiple garbage collectors selected",
    "must be enabled via -XX:",
    "Error opening zip file or JAR manifest missing",
    "insufficient memory for the Java Runtime Environment",
    "Could not parse command line arguments",
    // Of a missing plugin in the image's docker-entrypoint.sh.
    "does not exist. Exiting.",
    // With the options ExitOnOutOfMemoryError and CrashOnOutOfMemoryError.
    "due to java.lang.OutOfMemoryError",
];

/// Lines of a shell or of the container's runtime. Scripts continue after some of them, so they count only if there is
/// no other failure.
pub(super) const SHELL_ERRORS: [&str; 10] = [
    "No module named 'pyflink'",
    "No module named 'apache_beam'",
    "exec format error",
    "Exec format error",
    "cannot execute binary file",
    "command not found",
    "no such file or directory",
    "No such file or directory",
    // Of gosu, by which the official image's docker-entrypoint.sh changes the user.
    "failed switching to",
    // Of Flink's config.sh.
    "Please specify JAVA_HOME",
];

/// Begins of records about a failure by which a process ends. Source: Flink's `ClusterEntrypoint` and `TaskManagerRunner`.
pub(super) const ENDS: [&str; 4] = [
    "Fatal error occurred in the cluster entrypoint",
    "Could not start cluster entrypoint",
    "Fatal error occurred while executing the TaskManager",
    "Terminating TaskManagerRunner with exit code",
];

/// Launcher lines that only repeat that something failed: the lines before or after them have the cause.
pub(super) const HOLLOW: [&str; 6] = [
    "Could not create the Java Virtual Machine",
    "A JNI error has occurred",
    "A fatal exception has occurred",
    "The execution result is empty",
    "Could not get JVM parameters",
    "Raw output from BashJavaUtils",
];

/// Packages of the platform, of connectors and of their clients: frames in other packages are the user's.
pub(super) const PLATFORM: [&str; 33] = [
    "org.apache.flink.",
    "org.apache.pekko.",
    "org.apache.commons.",
    "org.apache.avro.",
    "org.apache.beam.",
    "org.apache.calcite.",
    "org.apache.hadoop.",
    "org.apache.http.",
    "org.apache.hudi.",
    "org.apache.iceberg.",
    "org.apache.kafka.",
    "org.apache.pulsar.",
    "org.elasticsearch.",
    "org.postgresql.",
    "org.rocksdb.",
    "org.forstdb.",
    "com.amazonaws.",
    "com.esotericsoftware.",
    "com.fasterxml.",
    "com.google.",
    "com.mysql.",
    "software.amazon.",
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
    "akka.",
    "scala.",
    "io.debezium.",
    "io.fabric8.",
    "io.netty.",
    "okhttp3.",
];
