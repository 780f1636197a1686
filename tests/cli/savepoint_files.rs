//! `savepoint inspect` and `savepoint diff`, on files that Flink 2.3 wrote for the counting job of the tests, with `--extra` and
//! without, and on those of other releases that `tests/savepoints/run` keeps with what Flink's own loader reads in them.

use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/savepoints/recorded");
    folder.join(name).display().to_string()
}

fn refused(arguments: &[&str], words: &[&str]) {
    let outcome = Sandbox::bare().run(&[&["savepoint"], arguments].concat());
    assert_eq!(outcome.code, Some(2), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word} in {outcome}");
    }
}

#[test]
fn a_savepoint_is_shown_without_a_cluster() {
    let outcome = Sandbox::bare().run(&["savepoint", "inspect", &file("with-extra")]);
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn the_folder_of_a_savepoint_stands_for_its_file() {
    let sandbox = Sandbox::bare();
    let folder = sandbox.home().join("savepoint-1");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(file("counting"), folder.join("_metadata")).unwrap();
    let shown = |path: &str| -> Outcome { sandbox.run(&["savepoint", "inspect", path, "-o", "yaml"]) };
    let by_folder = shown(&folder.display().to_string());
    assert_eq!(by_folder.code, Some(0), "{by_folder}");
    assert_eq!(by_folder.stdout, shown(&file("counting")).stdout);
    assert_eq!(by_folder.stdout, shown(&format!("file://{}", folder.display())).stdout);
}

#[test]
fn operators_that_were_added_or_changed_are_a_difference() {
    let outcome = Sandbox::bare().run(&["savepoint", "diff", &file("counting"), &file("with-extra")]);
    insta::assert_snapshot!(outcome.stdout);
    let same = Sandbox::bare().run(&["savepoint", "diff", &file("counting"), &file("counting")]);
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), ""), "{same}");
}

#[test]
fn files_of_several_releases_are_read_as_flink_reads_them() {
    let mut releases = 0;
    for release in std::fs::read_dir(file("")).unwrap() {
        let release = release.unwrap().path();
        let Ok(facts) = std::fs::read(release.join("facts.json")) else {
            continue;
        };
        releases += 1;
        let facts: serde_json::Map<String, Value> = serde_json::from_slice(&facts).unwrap();
        assert!(!facts.is_empty(), "{}", release.display());
        let version = release.file_name().unwrap().to_str().unwrap();
        // A savepoint in a newer format than that of a release is not offered to it.
        let format = kubectl_flink::testing::savepoint_format_of(version.parse().unwrap());
        for (name, wanted) in facts {
            let path = release.join(&name).display().to_string();
            let outcome = Sandbox::bare().run(&["savepoint", "inspect", &path, "-o", "json"]);
            assert_eq!(outcome.code, Some(0), "{path}: {outcome}");
            let read: Value = serde_json::from_str(&outcome.stdout).unwrap();
            assert_eq!(read["version"], format, "{path}");
            for (field, wanted) in wanted.as_object().unwrap() {
                // Files of Flink 1.13 to 1.15 do not say their type.
                if field != "type" || !wanted.is_null() {
                    assert_eq!(&read[field], wanted, "{field} of {path}");
                }
            }
        }
    }
    assert!(releases > 5, "{releases} releases");
}

#[test]
fn the_name_of_the_folder_gives_the_kind_that_a_file_of_flink_1_15_does_not_contain() {
    let sandbox = Sandbox::bare();
    let shown = |name: &str, folder: &str| {
        let folder = sandbox.home().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(file(&format!("1.15.4/{name}")), folder.join("_metadata")).unwrap();
        let outcome = sandbox.run(&["savepoint", "inspect", &folder.display().to_string()]);
        outcome.stdout.lines().next().unwrap_or_default().to_owned()
    };
    let (rocksdb, hashmap) = (
        "rocksdb-incremental-files-unaligned-uids-native",
        "hashmap-files-unaligned-checkpoint",
    );
    let flinks = "savepoint-81e5a1-39e820d00938";
    assert_eq!(shown(rocksdb, flinks), "Kind:         native savepoint");
    assert_eq!(shown(rocksdb, "chk-5"), "Kind:         incremental checkpoint");
    assert_eq!(shown(hashmap, "chk-5"), "Kind:         full checkpoint");
    // Savepoints of the heap, and those without keyed state, look like this in both formats.
    assert_eq!(
        shown(hashmap, flinks),
        "Kind:         savepoint; files of Flink 1.15 and older do not contain its format"
    );
    assert_eq!(
        shown(rocksdb, "mine"),
        "Kind:         unknown; files of Flink 1.15 and older do not contain it"
    );
}

#[test]
fn unreadable_savepoints_are_refused_with_a_hint() {
    refused(&["inspect", "/no/such/savepoint"], &["cannot read /no/such/savepoint"]);
    refused(
        &["inspect", "s3a://bucket/savepoint-1"],
        &["aws s3 cp s3://bucket/savepoint-1/_metadata - | kubectl flink savepoint inspect -"],
    );
    refused(
        &["inspect", "hdfs://nn/sp/_metadata"],
        &["hdfs dfs -cat hdfs://nn/sp/_metadata | "],
    );
    refused(
        &["inspect", "file:/storage/sp"],
        &["--of NAME reads a path in a volume of that cluster"],
    );
    refused(&["inspect"], &["required"]);
    refused(&["diff", "sp-1"], &["required"]);
    refused(
        &["inspect", &file("../../cli/main.rs")],
        &["not a _metadata file of a savepoint"],
    );
    refused(&["diff", "-", "-"], &["only one of the two"]);
    let outcome = Sandbox::bare().stdin("PK").run(&["savepoint", "inspect", "-"]);
    assert!(
        outcome.stderr.contains("standard input: this is not a _metadata file"),
        "{outcome}"
    );
}
