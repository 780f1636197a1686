//! A moment of fuzzing with every run of the tests: the seeds of fuzz/corpus, cut, doubled and mixed. tests/long fuzzes
//! for as long as one likes, with cargo-fuzz.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[path = "../../fuzz/targets.rs"]
#[allow(dead_code)]
mod targets;

/// Pieces that matter to YAML, JSON and Flink.
const PIECES: [&[u8]; 12] = [
    b"\"",
    b"{",
    b"[",
    b": ",
    b"\n- ",
    b"${",
    b"null",
    b"-1",
    b"1e999",
    b"\xff\xfe",
    b"\x1b[2J",
    "\u{9b}".as_bytes(),
];

#[derive(Clone, Debug)]
enum Change {
    Cut(usize, usize),
    Double(usize, usize),
    Put(usize, usize),
    Byte(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || 0..4096_usize;
    prop_oneof![
        (at(), 0..64_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (at(), 0..64_usize).prop_map(|(at, length)| Change::Double(at, length)),
        (at(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Put(at, piece)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
    ]
}

fn apply(data: &mut Vec<u8>, change: &Change) {
    let within = |at: usize| at % (data.len() + 1);
    match *change {
        Change::Cut(at, length) => {
            let at = within(at);
            data.drain(at..(at + length).min(data.len()));
        }
        Change::Double(at, length) => {
            let at = within(at);
            let piece = data[at..(at + length).min(data.len())].to_vec();
            data.splice(at..at, piece);
        }
        Change::Put(at, piece) => {
            let at = within(at);
            data.splice(at..at, PIECES[piece].iter().copied());
        }
        Change::Byte(at, byte) => {
            let at = within(at);
            if let Some(place) = data.get_mut(at) {
                *place = byte;
            }
        }
    }
}

#[test]
fn every_input_ends_with_a_value_or_an_error() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let seeds: Vec<Vec<u8>> = std::fs::read_dir(corpus.join(name))
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "{name} has no seed");
        let mut runner = TestRunner::new(Config {
            cases: 400,
            failure_persistence: None,
            ..Config::default()
        });
        let input = (0..seeds.len(), prop::collection::vec(change(), 0..12));
        let outcome = runner.run(&input, |(seed, changes)| {
            let mut data = seeds[seed].clone();
            for change in &changes {
                apply(&mut data, change);
            }
            target(&data);
            Ok(())
        });
        outcome.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}
