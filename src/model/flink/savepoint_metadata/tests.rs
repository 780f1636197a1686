use proptest::prelude::*;

use super::diff::ChangeKind;
use super::*;

/// Writes values as Java's `DataOutputStream` does.
#[derive(Clone, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn byte(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    fn int(self, value: i32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn long(self, value: i64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn text(self, text: &str) -> Self {
        let length = u16::try_from(text.len()).unwrap();
        self.bytes(&length.to_be_bytes()).bytes(text.as_bytes())
    }

    fn file(self, path: &str, bytes: i64) -> Self {
        self.byte(2).long(bytes).text(path)
    }

    fn inline(self, bytes: &[u8]) -> Self {
        self.byte(1)
            .text("name")
            .int(bytes.len().try_into().unwrap())
            .bytes(bytes)
    }

    fn head(version: i32, operators: i32) -> Self {
        Self::default().int(MAGIC).int(version).long(7).int(0).int(operators)
    }

    /// ID, parallelism, and max parallelism.
    fn operator(self, id: u8, parallelism: i32) -> Self {
        self.bytes(&[id; 16]).int(parallelism).int(128)
    }
}

/// One operator with one subtask, which has state of every kind.
fn version_5() -> Vec<u8> {
    Writer::head(5, 1)
        .text("Window")
        .text("window-1")
        .operator(0xab, 2)
        .inline(b"coordinator")
        // One of two subtasks has state, the other one has finished.
        .int(2)
        .int(-2)
        .int(0)
        // Managed operator state in a file of the folder, no raw one.
        .int(1)
        .byte(4)
        .int(1)
        .text("offsets")
        .byte(0)
        .int(2)
        .long(0)
        .long(8)
        .byte(6)
        .text("state-1")
        .long(100)
        .int(0)
        // Incremental keyed state, no raw one.
        .byte(11)
        .long(6)
        .text("00000000-0000-0000-0000-000000000000")
        .int(0)
        .int(64)
        .long(5)
        .inline(b"meta")
        .int(1)
        .text("000012.sst")
        .file("s3://b/shared/1", 2000)
        .int(1)
        .text("MANIFEST")
        .file("s3://b/chk-7/2", 30)
        .text("handle")
        .byte(0)
        // Records before one channel, none behind.
        .int(1)
        .int(0)
        .int(0)
        .int(3)
        .int(1)
        .long(0)
        .long(44)
        .file("s3://b/chk-7/3", 60)
        .int(0)
        .bytes(b"sr-org.apache.flink.runtime.checkpoint.CheckpointType")
        .0
}

#[test]
fn every_kind_of_state_is_counted() {
    let read = Metadata::read(&version_5(), "").unwrap();
    assert_eq!((read.version, read.checkpoint_id), (5, 7));
    assert_eq!(read.kind, Kind::IncrementalCheckpoint);
    let [operator] = &read.operators[..] else {
        panic!("{read:?}")
    };
    assert_eq!(
        operator,
        &Operator {
            id: "ab".repeat(16),
            uid: Some("window-1".into()),
            name: Some("Window".into()),
            parallelism: 2,
            max_parallelism: 128,
            subtasks: 1,
            finished: 1,
            keyed_bytes: 4 + 2000 + 30,
            operator_bytes: 100,
            in_flight_bytes: 44,
            coordinator_bytes: 11,
            states: ["offsets".to_owned()].into(),
        }
    );
    let files: Vec<_> = read
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.relative))
        .collect();
    assert_eq!(
        files,
        [
            ("s3://b/chk-7/2", false),
            ("s3://b/chk-7/3", false),
            ("s3://b/shared/1", false),
            ("state-1", true)
        ]
    );
}

#[test]
fn a_savepoint_of_version_3_is_known_by_its_keyed_state_and_its_folder() {
    let keyed = |kind: u8| {
        Writer::head(3, 1)
            .operator(1, 1)
            .byte(0)
            .int(1)
            .int(0)
            .int(0)
            .int(0)
            .byte(kind)
            .int(0)
            .int(2)
            .long(0)
            .long(9)
            .file("file:/sp/1", 50)
            .byte(0)
            .int(0)
            .int(0)
            .0
    };
    let read = Metadata::read(&keyed(7), "").unwrap();
    let expected = (Kind::CanonicalSavepoint, 50);
    assert_eq!((read.kind, read.operators[0].keyed_bytes), expected);
    let kind = |folder: &str| Metadata::read(&keyed(3), folder).unwrap().kind;
    assert_eq!(kind("chk-7"), Kind::FullCheckpoint);
    assert_eq!(kind("savepoint-81e5a1-39e820d00938"), Kind::Savepoint);
    assert_eq!(kind("mine"), Kind::Unknown);
    let longer = [keyed(7), vec![0]].concat();
    let error = Metadata::read(&longer, "").unwrap_err();
    assert!(error.message.contains("after its end"));
}

#[test]
fn what_is_unknown_is_refused_by_its_number() {
    let of = |bytes: Vec<u8>| Metadata::read(&bytes, "").unwrap_err().message;
    assert!(of(b"PK\x03\x04".to_vec()).contains("not a _metadata file"));
    assert!(of(Writer::head(9, 0).0).contains("unknown version 9"));
    assert!(of(Writer::head(1, 0).0).contains("unknown version 1"));
    let stream = Writer::head(3, 1).operator(1, 1).byte(99);
    assert!(of(stream.0).contains("unknown stream 99"));
}

#[test]
fn a_number_of_entries_that_cannot_be_is_refused_before_memory_is_taken() {
    for operators in [i32::MAX, -1] {
        let error = Metadata::read(&Writer::head(3, operators).0, "").unwrap_err();
        assert!(error.message.contains("do not fit"), "{}", error.message);
    }
    let deep = Writer::head(3, 1)
        .operator(1, 1)
        .bytes(&[3, 0, 0, 0, 0, 0, 0, 0, 0].repeat(1000));
    assert!(Metadata::read(&deep.0, "").unwrap_err().message.contains("too deep"));
}

#[test]
fn operators_are_compared_by_their_ids() {
    let of = |ids: &[(u8, i32)]| {
        let head = Writer::head(3, ids.len().try_into().unwrap());
        let all = ids.iter().fold(head, |writer, (id, parallelism)| {
            writer.operator(*id, *parallelism).byte(0).int(0)
        });
        Metadata::read(&all.0, "").unwrap()
    };
    let changes = diff(&of(&[(1, 2), (2, 2), (3, 2)]), &of(&[(4, 2), (3, 2), (2, 4)]));
    let changes: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.change,
                change.after.as_ref().or(change.before.as_ref()).unwrap().id[..2].to_owned(),
            )
        })
        .collect();
    assert_eq!(
        changes,
        [
            (ChangeKind::Removed, "01".to_owned()),
            (ChangeKind::Changed, "02".to_owned()),
            (ChangeKind::Added, "04".to_owned())
        ]
    );
}

proptest! {
    /// A file that was cut, or in which bytes were changed, is read or refused, and nothing else.
    #[test]
    fn broken_files_are_refused(cut in 0_usize..600, at in 0_usize..600, value: u8) {
        let whole = version_5();
        let mut changed = whole.clone();
        let at = at % changed.len();
        changed[at] = value;
        let _ = Metadata::read(&changed, "");
        let cut = cut % whole.len();
        // The properties at the end may be missing: they say the kind only.
        if cut < whole.len() - 54 {
            prop_assert!(Metadata::read(&whole[..cut], "").is_err());
        }
    }
}
