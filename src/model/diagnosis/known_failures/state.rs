//! Known failures of a start from a savepoint or a checkpoint.

use super::KnownFailure;

/// Specific rows come before general ones.
pub(super) const STATE: &[KnownFailure] = known_failures! {
    // Source: `DefaultCompletedCheckpointStore` and `DefaultJobGraphStore`.
    StorageAccess: "retrieved state handle is broken" =>
        "the ConfigMaps of high availability name a file that is not in its storage directory any more: restore the file, or start again from a \
         savepoint, which kubectl flink savepoint list NAME shows";
    SavepointIncompatible:
        "Cannot map checkpoint/savepoint state for operator",
        // Source: `StateAssignmentOperation.checkStateMappingCompleteness`.
        "There is no operator for the state",
        "Failed to rollback to checkpoint/savepoint" & "--allowNonRestoredState" =>
        "the savepoint has state of an operator that the program lacks: give its operators the same uid() as before",
        "to drop that state, start again with --allow-non-restored-state";
    // Source: `Checkpoints.loadAndValidateCheckpoint`, and `StateAssignmentOperation.checkParallelismPreconditions`, which
    // speaks where the program leaves the maximum to Flink.
    SavepointIncompatible:
        "Failed to rollback to checkpoint/savepoint" & "parallelism",
        "can not be restored. The maximum parallelism",
        "The maximum parallelism" & "with which the latest checkpoint" =>
        "an operator's maximum parallelism differs from the savepoint's: set it as before, or lower --parallelism";
    // Source: `StateUtil.unexpectedStateHandleException`.
    SavepointIncompatible: "when a different StateBackend from the one" =>
        "it was written by another state backend: set -D state.backend.type to that one, or start from a savepoint in canonical format";
    // Source: `MetadataSerializers` and `VersionedIOReadableWritable`.
    SavepointIncompatible: "Unrecognized checkpoint version number", "VersionMismatchException: Incompatible version: found" =>
        "a newer Flink has written it: start it with an --image of that release or a later one";
    SavepointIncompatible: "provided restore options" & "ClassNotFoundException" =>
        "the state has objects of a class that the program lacks: keep that class, with its name and package, in the jar";
    // Flink 2 has another Kryo than Flink 1.
    SavepointIncompatible: "provided restore options" & "Encountered unregistered class ID" =>
        "Kryo cannot read objects of the state: register the same classes in the same order as the version that took it, and start it with the \
         same major release of Flink";
    SavepointIncompatible:
        "StateMigrationException",
        "Failed to rollback to checkpoint/savepoint",
        "For heap backends, the new state serializer" =>
        "the savepoint does not fit the program's state: start the version that took it, or migrate the type's serializer",
        "for a deliberate fresh start, create the cluster without --from-savepoint";
    SavepointMissing:
        "Cannot find checkpoint or savepoint",
        "Cannot find meta data file" & "_metadata",
        "FileNotFoundException" & "/_metadata",
        "NoSuchFileException" & "/_metadata" =>
        "no savepoint is at this path as the Pods see it: check --from-savepoint",
        "a path without scheme is inside of the container: mount its volume with --mount CLAIM:PATH";
    // Source: `BackendRestorerProcedure`; the words are those of Linux, HDFS and S3.
    SavepointMissing:
        "provided restore options" & "FileNotFoundException" & "No such file or directory",
        "provided restore options" & "FileNotFoundException" & "File does not exist",
        "provided restore options" & "The specified key does not exist" =>
        "a file that the savepoint or checkpoint refers to is gone: start from another one, which kubectl flink savepoint list NAME shows";
};
