//! Known failures of a start from a savepoint or a checkpoint.

use super::KnownFailure;
use crate::model::diagnosis::CauseKind;

/// Specific rows come before general ones.
pub(super) const STATE: &[KnownFailure] = &[
    KnownFailure {
        // Source: `DefaultCompletedCheckpointStore` and `DefaultJobGraphStore`.
        kind: CauseKind::StorageAccess,
        when: &[&["retrieved state handle is broken"]],
        hints: &[
            "the ConfigMaps of high availability name a file that is not in its storage directory any more: restore the file, or start again from a \
             savepoint, which kubectl flink savepoint list NAME shows",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointIncompatible,
        when: &[
            &["Cannot map checkpoint/savepoint state for operator"],
            // Source: `StateAssignmentOperation.checkStateMappingCompleteness`.
            &["There is no operator for the state"],
            &["Failed to rollback to checkpoint/savepoint", "--allowNonRestoredState"],
        ],
        hints: &[
            "the savepoint has state of an operator that the program lacks: give its operators the same uid() as before",
            "to drop that state, start again with --allow-non-restored-state",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointIncompatible,
        // Source: `Checkpoints.loadAndValidateCheckpoint`, and `StateAssignmentOperation.checkParallelismPreconditions`, which
        // speaks where the program leaves the maximum to Flink.
        when: &[
            &["Failed to rollback to checkpoint/savepoint", "parallelism"],
            &["can not be restored. The maximum parallelism"],
            &["The maximum parallelism", "with which the latest checkpoint"],
        ],
        hints: &[
            "an operator's maximum parallelism differs from the savepoint's: set it as before, or lower --parallelism",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointIncompatible,
        // Source: `StateUtil.unexpectedStateHandleException`.
        when: &[&["when a different StateBackend from the one"]],
        hints: &[
            "it was written by another state backend: set -D state.backend.type to that one, or start from a savepoint in canonical format",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointIncompatible,
        // Source: `MetadataSerializers`.
        when: &[&["Unrecognized checkpoint version number"]],
        hints: &["a newer Flink has written it: start it with an --image of that release or a later one"],
    },
    KnownFailure {
        kind: CauseKind::SavepointIncompatible,
        when: &[&["provided restore options", "ClassNotFoundException"]],
        hints: &[
            "the state has objects of a class that the program lacks: keep that class, with its name and package, in the jar",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointIncompatible,
        when: &[
            &["StateMigrationException"],
            &["Failed to rollback to checkpoint/savepoint"],
            &["For heap backends, the new state serializer"],
        ],
        hints: &[
            "the savepoint does not fit the program's state: start the version that took it, or migrate the type's serializer",
            "for a deliberate fresh start, create the cluster without --from-savepoint",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointMissing,
        when: &[
            &["Cannot find checkpoint or savepoint"],
            &["Cannot find meta data file", "_metadata"],
            &["FileNotFoundException", "/_metadata"],
            &["NoSuchFileException", "/_metadata"],
        ],
        hints: &[
            "no savepoint is at this path as the Pods see it: check --from-savepoint",
            "a path without scheme is inside of the container: mount its volume with --mount CLAIM:PATH",
        ],
    },
    KnownFailure {
        kind: CauseKind::SavepointMissing,
        // Source: `BackendRestorerProcedure`; the words are those of Linux, HDFS and S3.
        when: &[
            &[
                "provided restore options",
                "FileNotFoundException",
                "No such file or directory",
            ],
            &[
                "provided restore options",
                "FileNotFoundException",
                "File does not exist",
            ],
            &["provided restore options", "The specified key does not exist"],
        ],
        hints: &[
            "a file that the savepoint or checkpoint refers to is gone: start from another one, which kubectl flink savepoint list NAME shows",
        ],
    },
];
