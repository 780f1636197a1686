//! Each cause of docs/causes.md, by what a real API server and a real Flink say of it, through the program: `why` prints
//! that cause first. The scenes are in `causes_objects`, `causes_logs` and `causes_flink`; `tests/e2e/reasons.rs` makes
//! many of them for real.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::causes_flink::of_flink;
use crate::causes_logs::of_logs;
use crate::causes_objects::{of_objects, of_pods};
use crate::scene::Scene;

/// Scenes, and the cause of each.
fn scenes() -> Vec<(&'static str, Scene)> {
    [of_pods(), of_objects(), of_logs(), of_flink()]
        .into_iter()
        .flatten()
        .collect()
}

/// Side by side, as each is mostly a wait for the program.
#[test]
fn every_cause_is_named_first() {
    let scenes = scenes();
    std::thread::scope(|scope| {
        for some in scenes.chunks(scenes.len().div_ceil(8)) {
            scope.spawn(|| some.iter().for_each(|(want, scene)| is_named_first(want, scene)));
        }
    });
}

fn is_named_first(want: &str, scene: &Scene) {
    let outcome = scene.why();
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let notice = ["starting", "terminating", "no-checkpoints"].contains(&want);
    let first = if notice {
        &printed["otherProblems"][0]
    } else {
        &printed["cause"]
    };
    assert_eq!(first["cause"], want, "{outcome}");
    let (code, healthy) = if notice { (0, true) } else { (6, false) };
    assert_eq!(
        (outcome.code, printed["healthy"].as_bool()),
        (Some(code), Some(healthy)),
        "{outcome}"
    );
}

/// The table of docs/causes.md, which `reference.rs` compares with the code, is the one that is tested here.
#[test]
fn every_documented_cause_has_a_scene() {
    let text = include_str!("../../docs/causes.md");
    let documented = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let scenes = scenes();
    let scenes: Vec<&str> = scenes.iter().map(|(cause, _)| *cause).collect();
    let without: Vec<&str> = documented.filter(|cause| !scenes.contains(cause)).collect();
    assert!(without.is_empty(), "these have no scene: {without:?}");
    let distinct: BTreeSet<&str> = scenes.into_iter().collect();
    assert!(distinct.len() >= 20, "{}", distinct.len());
}
