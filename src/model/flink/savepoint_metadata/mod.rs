//! The file `_metadata` of a savepoint or checkpoint: its operators, and the location of their state.
//!
//! Source of the format: `MetadataV2Serializer` to `MetadataV6Serializer` in flink-runtime 2.3, for files of releases
//! from 1.3 on. The operators' state itself is in other files, unless it is small.

mod diff;
mod handles;
mod reader;

use std::collections::BTreeSet;

use serde::Serialize;

pub(crate) use diff::OperatorChange;
pub use diff::diff;

use crate::error::{Error, Result};
use crate::model::flink::FlinkVersion;
use reader::Reader;

/// First bytes of the file. Source: `Checkpoints.HEADER_MAGIC_NUMBER`.
const MAGIC: i32 = 0x4960_672d;
/// First bytes of the state of a master hook. Source: `MetadataV2V3SerializerBase`.
const MASTER_STATE_MAGIC: i32 = 0xc96b_1696_u32.cast_signed();
/// Supported versions of the format.
const VERSIONS: std::ops::RangeInclusive<i32> = 2..=6;

/// The folder of a savepoint or checkpoint; `path` may be that of its file `_metadata`.
pub(crate) fn folder_of(path: &str) -> &str {
    let path = path.trim_end_matches('/').trim_end_matches("/_metadata");
    path.trim_end_matches('/')
}

/// The version of the format that a release writes, which is also the newest that it reads.
///
/// Source: `MetadataSerializers` of each release, which refuses a newer one as "Unrecognized checkpoint version number".
#[must_use]
pub const fn format_of(flink: FlinkVersion) -> i32 {
    match (flink.major, flink.minor) {
        (0..=1, 0..=15) => 3,
        (0..=1, _) => 4,
        (2, 0) => 5,
        _ => 6,
    }
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Version of the format: 3 is that of Flink 1.11 to 1.15, 4 that of 1.16 to 1.20, 5 that of 2.0, 6 that of 2.1 to 2.3.
    pub(crate) version: i32,
    /// ID of the checkpoint. Savepoints have one too.
    pub(crate) checkpoint_id: i64,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// Names of states that hooks of the JobManager keep.
    pub(crate) master_states: Vec<String>,
    /// Its operators, in the order of the file.
    pub operators: Vec<Operator>,
    pub(crate) files: BTreeSet<StateFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A savepoint in the format that every state backend reads.
    CanonicalSavepoint,
    /// A savepoint in the format of one state backend.
    NativeSavepoint,
    /// A savepoint whose format is not known. Only files before version 4 do not state their kind.
    Savepoint,
    /// Any other checkpoint.
    FullCheckpoint,
    /// A checkpoint whose files may belong to earlier checkpoints too.
    IncrementalCheckpoint,
    /// Only of files before version 4 in a folder whose name is not Flink's.
    Unknown,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CanonicalSavepoint => "canonical savepoint",
            Self::NativeSavepoint => "native savepoint",
            Self::Savepoint => "savepoint; files of Flink 1.15 and older do not contain its format",
            Self::IncrementalCheckpoint => "incremental checkpoint",
            Self::FullCheckpoint => "full checkpoint",
            Self::Unknown => "unknown; files of Flink 1.15 and older do not contain it",
        }
    }
}

/// State of one operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// The ID with which Flink maps state to operators: 32 hexadecimal digits, a hash of the uid if there is one.
    pub(crate) id: String,
    /// The uid, in files of version 5 and later of operators that have one.
    pub(crate) uid: Option<String>,
    /// The name, in files of version 5 and later.
    pub(crate) name: Option<String>,
    /// Number of its parallel instances when it was written.
    pub(crate) parallelism: i32,
    /// Number of key groups, which a job cannot change without losing its keyed state.
    pub(crate) max_parallelism: i32,
    /// Instances whose state is in the file.
    pub(crate) subtasks: u32,
    /// Number of instances that had finished; `parallelism` if all had.
    pub(crate) finished: u32,
    pub(crate) keyed_bytes: u64,
    pub(crate) operator_bytes: u64,
    /// Bytes of in-flight records: those of unaligned checkpoints.
    pub(crate) in_flight_bytes: u64,
    /// Bytes that its coordinator keeps in the JobManager, as for sources.
    pub(crate) coordinator_bytes: u64,
    /// Names of its operator states. Those of keyed states are in the files of the state.
    pub(crate) states: BTreeSet<String>,
}

impl Operator {
    pub(crate) const fn bytes(&self) -> u64 {
        self.keyed_bytes
            .saturating_add(self.operator_bytes)
            .saturating_add(self.in_flight_bytes)
            .saturating_add(self.coordinator_bytes)
    }

    /// Its display name: its name, or else its uid or ID.
    #[must_use]
    pub fn title(&self) -> &str {
        let named = self.name.as_deref().or(self.uid.as_deref());
        named.unwrap_or(&self.id)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateFile {
    /// Its path, or its name in the directory of `_metadata`.
    pub(crate) path: String,
    /// Whether `path` is relative: such files can be moved together with the directory.
    pub(crate) relative: bool,
}

impl Metadata {
    /// Reads the file. The name of its folder gives the kind where the file does not state it.
    ///
    /// # Errors
    /// Usage error when it is no such file, of an unknown version, truncated, or inconsistent. Memory is limited in
    /// proportion to the length of `bytes`, whatever they contain.
    pub fn read(bytes: &[u8], folder: &str) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.int().ok() != Some(MAGIC) {
            return Err(Error::usage(
                "this is not a _metadata file of a savepoint or checkpoint",
            ));
        }
        let version = reader.int()?;
        if !VERSIONS.contains(&version) {
            return Err(Error::usage(format!(
                "unknown version {version} of the metadata format: versions {} to {} are known",
                VERSIONS.start(),
                VERSIONS.end()
            )));
        }
        let checkpoint_id = reader.long()?;
        if checkpoint_id < 0 {
            return Err(reader.broken("the checkpoint ID is negative"));
        }
        let mut master_states = Vec::new();
        for _ in 0..reader.count(4)? {
            master_states.push(master_state(&mut reader)?);
        }
        let mut files = BTreeSet::new();
        let mut seen = handles::StateTraits::default();
        let mut operators = Vec::new();
        for _ in 0..reader.count(16)? {
            operators.push(operator(&mut reader, version, &mut files, &mut seen)?);
        }
        let kind = if version < 4 {
            reader.end()?;
            seen.kind(folder)
        } else {
            kind_of_properties(reader.rest(), seen)
        };
        Ok(Self {
            version,
            checkpoint_id,
            kind,
            master_states,
            operators,
            files,
        })
    }

    /// Bytes of all state.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.operators
            .iter()
            .fold(0, |sum: u64, operator| sum.saturating_add(operator.bytes()))
    }
}

/// The name of a hook's state.
fn master_state(reader: &mut Reader<'_>) -> Result<String> {
    if reader.int()? != MASTER_STATE_MAGIC {
        return Err(reader.broken("the state of a hook of the JobManager does not begin as one"));
    }
    let length = reader.count(1)?;
    let mut state = Reader::new(reader.bytes(length)?);
    state.int()?;
    let name = state.text()?;
    let length = state.count(1)?;
    state.bytes(length)?;
    state.end()?;
    Ok(name)
}

/// Reads an operator. Source: `deserializeOperatorState` of the serializer of each version.
fn operator(
    reader: &mut Reader<'_>,
    version: i32,
    files: &mut BTreeSet<StateFile>,
    seen: &mut handles::StateTraits,
) -> Result<Operator> {
    let mut operator = Operator::default();
    if version >= 5 {
        operator.name = Some(reader.text()?).filter(|name| !name.is_empty());
        operator.uid = Some(reader.text()?).filter(|uid| !uid.is_empty());
    }
    operator.id = reader.bytes(16)?.iter().map(|byte| format!("{byte:02x}")).collect();
    operator.parallelism = reader.int()?;
    operator.max_parallelism = reader.int()?;
    if version == 2 {
        // The length of a chain, which is unused.
        reader.int()?;
    } else {
        operator.coordinator_bytes = handles::stream(reader, files, 0)?;
    }
    let subtasks = reader.int()?;
    if subtasks < 0 && version > 2 {
        operator.finished = operator.parallelism.try_into().unwrap_or(0);
        return Ok(operator);
    }
    for _ in 0..reader.checked(subtasks, 4)? {
        let index = reader.int()?;
        if index < 0 && version > 2 {
            operator.finished += 1;
            continue;
        }
        handles::subtask(reader, version, &mut operator, files, seen)?;
        operator.subtasks += 1;
    }
    Ok(operator)
}

/// The kind in the properties at the file's end: a `CheckpointProperties` in Java serialization, in which class names
/// and names of constants are plain text. Its type is an enum up to 1.14 and a `SavepointType` or `CheckpointType`
/// later.
fn kind_of_properties(properties: &[u8], seen: handles::StateTraits) -> Kind {
    let has = |text: &str| properties.windows(text.len()).any(|window| window == text.as_bytes());
    let savepoint = [
        "checkpoint.SavepointType",
        "SAVEPOINT_SUSPEND",
        "SAVEPOINT_TERMINATE",
        "SYNC_SAVEPOINT",
    ]
    .iter()
    .any(|text| has(text))
        || has("\u{0}\u{9}SAVEPOINT");
    if !savepoint {
        return seen.checkpoint();
    }
    // A constant of the enum `SavepointFormatType`, after its length.
    if has("\u{0}\u{6}NATIVE") {
        Kind::NativeSavepoint
    } else {
        Kind::CanonicalSavepoint
    }
}

#[cfg(test)]
mod tests;
