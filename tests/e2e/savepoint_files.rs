//! `savepoint inspect` reads what Flink wrote, and reads the same in it as Flink's own loader.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::place::{Place, STORAGE, flink_home, flink_is_since, soon};
use crate::process;

/// All files `_metadata` below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.ends_with("_metadata") {
            found.push(path);
        }
    }
}

/// The folder of the namespace's claim, on the node.
fn storage(place: &Place) -> PathBuf {
    let storage = std::env::var("BED_STORAGE").expect("the storage of the test cluster");
    Path::new(&storage).join(&place.namespace)
}

/// Reads each file by both, and compares field by field. Gives the kinds that the plugin named.
fn compare(place: &Place) -> Vec<String> {
    let mut found = Vec::new();
    files(&storage(place), &mut found);
    found.sort();
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(flink_home().join("lib/*"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/savepoints/SavepointFacts.java"))
        .args(&found);
    let facts = process::run(&mut java, "").ok().stdout;
    let facts: Vec<Value> = facts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(facts.len(), found.len(), "{found:?}");
    let mut kinds = Vec::new();
    for (wanted, file) in facts.into_iter().zip(found) {
        let file = file.to_str().unwrap();
        let read = place.flink(&["savepoint", "inspect", file, "-o", "json"]).ok().stdout;
        let read: Value = serde_json::from_str(&read).unwrap();
        let kind = read["type"].as_str().unwrap_or_default().to_owned();
        assert!(!read["operators"].as_array().unwrap().is_empty(), "{file}");
        for (field, wanted) in wanted.as_object().unwrap() {
            // Files of releases before 1.16 do not say their type.
            if field != "type" || !wanted.is_null() {
                assert_eq!(&read[field], wanted, "{field} of {file}");
            }
        }
        kinds.push(kind);
    }
    kinds
}

#[test]
fn files_of_savepoints_and_checkpoints_are_read_as_flink_reads_them() {
    let place = Place::with_storage("files");
    let kept = [
        "-Dexecution.checkpointing.interval=1s",
        "-Dexecution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION",
        // Small state is a file of its own as well.
        "-Dexecution.checkpointing.data-inline-threshold=1b",
        "-Dstate.storage.fs.memory-threshold=1b",
    ];
    // The names of these keys came with 1.17 and 1.20.
    let rocks = if flink_is_since(1, 20) {
        [
            "-Dstate.backend.type=rocksdb",
            "-Dexecution.checkpointing.incremental=true",
            "-Dexecution.checkpointing.unaligned.enabled=true",
            "-p2",
        ]
    } else {
        [
            "-Dstate.backend=rocksdb",
            "-Dstate.backend.incremental=true",
            "-Dexecution.checkpointing.unaligned=true",
            "-p2",
        ]
    };
    let native = flink_is_since(1, 15);
    let hash = [&STORAGE[..], &kept].concat();
    place.create("hash", &hash).ok();
    place.create("rocks", &[&hash[..], &rocks].concat()).ok();
    for name in ["hash", "rocks"] {
        place.runs(name);
        place.flink(&["savepoint", name]).ok();
        let outcome = place.flink(&["savepoint", name, "--format", "native"]);
        if native {
            outcome.ok();
        } else {
            outcome.exits(1).reports(&["native savepoints came with Flink 1.15"]);
        }
        let checkpoints = format!("jobs/{}/checkpoints", place.job_id(name));
        soon("a checkpoint is written", || {
            place.rest(name, &checkpoints)?["latest"]["completed"]["id"].as_u64()
        });
        // What is canceled keeps its last checkpoint, which does not change any more.
        place.flink(&["cancel", name, "--yes"]).ok();
    }
    let kinds = compare(&place);
    for kind in [
        "canonical-savepoint",
        "native-savepoint",
        "full-checkpoint",
        "incremental-checkpoint",
    ] {
        let is_written = native || kind != "native-savepoint";
        assert_eq!(
            kinds.iter().any(|found| found == kind),
            is_written,
            "{kind} in {kinds:?}"
        );
    }
}

#[test]
fn a_savepoint_in_a_claim_is_read_by_a_job_without_flink() {
    let place = Place::with_storage("reader");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/savepoints/recorded");
    for name in ["counting", "with-extra"] {
        let folder = storage(&place).join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(kept.join(name), folder.join("_metadata")).unwrap();
    }
    let inspect = |path: &[&str]| place.flink(&[&["savepoint", "inspect", "-o", "json"], path].concat());
    let local = |name: &str| inspect(&[kept.join(name).to_str().unwrap()]).ok().stdout;
    // The cluster need not run.
    place.create("demo", &[&STORAGE[..], &["--no-wait"]].concat()).ok();
    let counting = "file:///storage/counting";
    assert_eq!(inspect(&[counting, "--of", "demo"]).ok().stdout, local("counting"));
    let both = [
        "savepoint",
        "diff",
        counting,
        "/storage/with-extra/_metadata",
        "--of",
        "demo",
    ];
    assert!(place.flink(&both).ok().stdout.contains("added"));

    let left = || place.exists("job/demo-savepoint-reader");
    inspect(&["/storage/none", "--of", "demo"])
        .exits(3)
        .reports(&["there is no savepoint at /storage/none"]);
    inspect(&["/data/none", "--of", "demo"])
        .exits(3)
        .reports(&["/data/none is in no volume"]);
    assert!(!left(), "its Job is left");
    // What a killed command left is no obstacle.
    let killed = place.start(&["savepoint", "inspect", counting, "--of", "demo"]);
    soon("its Job is made", || left().then_some(()));
    killed.signal("KILL");
    killed.end();
    assert_eq!(inspect(&[counting, "--of", "demo"]).ok().stdout, local("counting"));
    assert!(!left(), "its Job is left");

    // Of a cluster that was deleted the history is enough; an image that cannot be pulled is reported.
    place.flink(&["delete", "demo", "--cancel", "--yes"]).ok();
    assert_eq!(inspect(&[counting, "--of", "demo"]).ok().stdout, local("counting"));
    let absent = ["--image=absent-job:2.3.0", "--no-image-check", "--no-wait"];
    place.create("absent", &[&STORAGE[..], &absent].concat()).ok();
    inspect(&[counting, "--of", "absent"])
        .exits(6)
        .reports(&["cannot be read: image absent-job:2.3.0 of Pod absent-savepoint-reader-"]);
    assert!(!place.exists("job/absent-savepoint-reader"), "its Job is left");
}
