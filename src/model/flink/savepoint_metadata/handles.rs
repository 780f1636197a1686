//! State handles: the location and size of a part of the state.
//!
//! Source: `MetadataV2V3SerializerBase`, `ChannelStateHandleSerializerV1` and `V2`. The numbers are the first bytes of
//! handles in these.

use std::collections::BTreeSet;

use super::reader::Reader;
use super::{Kind, Operator, StateFile};
use crate::error::Result;

/// Maximum depth of nested handles: Flink's own are nested two deep.
const DEPTH: usize = 8;

/// The kinds of the handles read so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StateTraits {
    incremental: bool,
    savepoint: bool,
}

impl StateTraits {
    pub(super) const fn checkpoint(self) -> Kind {
        if self.incremental {
            Kind::IncrementalCheckpoint
        } else {
            Kind::FullCheckpoint
        }
    }

    /// The kind of a file that does not state it. Native savepoints have the handles of checkpoints, so that only the
    /// name that Flink gives to their folder distinguishes them.
    pub(super) fn kind(self, folder: &str) -> Kind {
        if self.savepoint {
            Kind::CanonicalSavepoint
        } else if folder.starts_with("chk-") {
            self.checkpoint()
        } else if !folder.starts_with("savepoint-") {
            Kind::Unknown
        } else if self.incremental {
            Kind::NativeSavepoint
        } else {
            Kind::Savepoint
        }
    }
}

/// The state of one parallel instance.
pub(super) fn subtask(
    reader: &mut Reader<'_>,
    version: i32,
    operator: &mut Operator,
    files: &mut BTreeSet<StateFile>,
    seen: &mut StateTraits,
) -> Result<()> {
    if version == 2 {
        reader.long()?;
        if reader.int()? > 0 {
            return Err(reader.broken("it has state of Flink 1.1 or earlier"));
        }
    }
    for _ in ["managed", "raw"] {
        if reader.int()? != 0 {
            let bytes = partitions(reader, &mut operator.states, files)?;
            operator.operator_bytes = operator.operator_bytes.saturating_add(bytes);
        }
    }
    for _ in ["managed", "raw"] {
        let bytes = keyed(reader, files, seen, 0)?;
        operator.keyed_bytes = operator.keyed_bytes.saturating_add(bytes);
    }
    if version > 2 {
        for _ in ["input", "output"] {
            for _ in 0..reader.count(5)? {
                let bytes = channel(reader, version, files)?;
                operator.in_flight_bytes = operator.in_flight_bytes.saturating_add(bytes);
            }
        }
    }
    Ok(())
}

/// Operator state: names with offsets, and the stream that contains it. Returns its bytes.
fn partitions(reader: &mut Reader<'_>, names: &mut BTreeSet<String>, files: &mut BTreeSet<StateFile>) -> Result<u64> {
    let kind = reader.byte()?;
    match kind {
        0 => return Ok(0),
        4 | 17 => {}
        other => return Err(reader.broken(&format!("unknown operator state {other}"))),
    }
    for _ in 0..reader.count(7)? {
        names.insert(reader.text()?);
        reader.byte()?;
        longs(reader)?;
    }
    if kind == 17 {
        // Two directories, and whether it is empty.
        reader.text()?;
        reader.text()?;
        reader.byte()?;
    }
    stream(reader, files, 0)
}

fn longs(reader: &mut Reader<'_>) -> Result<()> {
    let offsets = reader.count(8)?;
    reader.bytes(offsets * 8).map(drop)
}

/// A range of key groups: the first one, and their number.
fn key_groups(reader: &mut Reader<'_>) -> Result<()> {
    reader.bytes(8).map(drop)
}

/// Keyed state. Returns its bytes.
fn keyed(
    reader: &mut Reader<'_>,
    files: &mut BTreeSet<StateFile>,
    seen: &mut StateTraits,
    depth: usize,
) -> Result<u64> {
    if depth > DEPTH {
        return Err(reader.broken("handles are too deep in one another"));
    }
    let kind = reader.byte()?;
    let mut bytes = 0_u64;
    match kind {
        0 => {}
        // Key groups with an offset each, in one stream: those of savepoints are 7, and 3 in releases before 1.14.
        3 | 7 | 12 => {
            seen.savepoint |= kind == 7;
            reader.int()?;
            longs(reader)?;
            bytes = stream(reader, files, 0)?;
            if kind == 12 {
                reader.text()?;
            }
        }
        // An incremental checkpoint: its own metadata, and shared and private files.
        5 | 11 => {
            seen.incremental = true;
            reader.long()?;
            reader.text()?;
            key_groups(reader)?;
            if kind == 11 {
                reader.long()?;
            }
            bytes = stream(reader, files, 0)?;
            for _ in ["shared", "private"] {
                for _ in 0..reader.count(3)? {
                    reader.text()?;
                    bytes = bytes.saturating_add(stream(reader, files, 0)?);
                }
            }
            if kind == 11 {
                reader.text()?;
            }
        }
        // A changelog: state that was written out, and the changes since.
        8 | 14 => {
            seen.incremental = true;
            key_groups(reader)?;
            reader.long()?;
            for _ in ["written out", "changes"] {
                for _ in 0..reader.count(1)? {
                    bytes = bytes.saturating_add(keyed(reader, files, seen, depth + 1)?);
                }
            }
            reader.long()?;
            if kind == 14 {
                reader.long()?;
            }
            reader.text()?;
        }
        // Changes in the file itself.
        9 => {
            key_groups(reader)?;
            reader.long()?;
            reader.long()?;
            for _ in 0..reader.count(8)? {
                reader.int()?;
                let length = reader.count(1)?;
                reader.bytes(length)?;
                bytes = bytes.saturating_add(length as u64);
            }
            reader.text()?;
        }
        // Changes in other files.
        10 | 13 => {
            key_groups(reader)?;
            for _ in 0..reader.count(9)? {
                reader.long()?;
                stream(reader, files, 0)?;
            }
            bytes = reader.size()?;
            reader.long()?;
            reader.text()?;
            if kind == 13 {
                reader.text()?;
            }
        }
        other => return Err(reader.broken(&format!("unknown keyed state {other}"))),
    }
    Ok(bytes)
}

/// In-flight records of one channel, or of all channels of an instance. Returns their bytes.
fn channel(reader: &mut Reader<'_>, version: i32, files: &mut BTreeSet<StateFile>) -> Result<u64> {
    let merged = if version < 6 {
        false
    } else {
        match reader.byte()? {
            1 | 2 => false,
            3 | 4 => true,
            other => return Err(reader.broken(&format!("unknown state of a channel {other}"))),
        }
    };
    // The index of the subtask.
    reader.int()?;
    if merged {
        let bytes = reader.size()?;
        stream(reader, files, 0)?;
        let length = reader.count(1)?;
        reader.bytes(length)?;
        return Ok(bytes);
    }
    // The gate or partition, and the channel in it.
    reader.bytes(8)?;
    longs(reader)?;
    let bytes = reader.size()?;
    stream(reader, files, 0)?;
    Ok(bytes)
}

/// A stream of bytes: in the file itself, or in another one. Returns its length.
pub(super) fn stream(reader: &mut Reader<'_>, files: &mut BTreeSet<StateFile>, depth: usize) -> Result<u64> {
    if depth > DEPTH {
        return Err(reader.broken("handles are too deep in one another"));
    }
    let kind = reader.byte()?;
    let bytes = match kind {
        0 | 16 => 0,
        1 => {
            reader.text()?;
            let length = reader.count(1)?;
            reader.bytes(length)?;
            length as u64
        }
        2 => {
            let bytes = reader.size()?;
            file(files, reader.text()?, false);
            bytes
        }
        3 => {
            reader.int()?;
            longs(reader)?;
            stream(reader, files, depth + 1)?
        }
        6 => {
            file(files, reader.text()?, true);
            reader.size()?
        }
        // A part of a file into which several are merged.
        15 => {
            reader.long()?;
            let bytes = reader.size()?;
            reader.int()?;
            file(files, reader.text()?, false);
            reader.text()?;
            bytes
        }
        other => return Err(reader.broken(&format!("unknown stream {other}"))),
    };
    Ok(bytes)
}

fn file(files: &mut BTreeSet<StateFile>, path: String, relative: bool) {
    files.insert(StateFile { path, relative });
}
