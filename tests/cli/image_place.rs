//! What tests of images have in common: a registry with a base, a jar, and the assertions on the results.

use std::path::PathBuf;

use kubectl_flink::testing::Digest;
use serde_json::Value;

use crate::pack;
use crate::registry::Registry;
use crate::sandbox::{Outcome, Sandbox};

pub const CLASS: &[u8] = &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61];

/// A jar of the class `com.example.Job`, which its manifest names; `more` is in it as well.
pub fn jar(sandbox: &Sandbox, name: &str, more: &[u8]) -> PathBuf {
    let jar = pack::jar(CLASS, &[("com/example/WordCount.class", CLASS), ("more", more)]);
    let path = sandbox.file(name, "");
    std::fs::write(&path, jar).unwrap();
    path
}

pub fn layers(count: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| vec![number; 1000 + usize::from(number)])
        .collect()
}

/// A sandbox with `app.jar`, and a registry with the base `flink:2.3.0` of so many layers.
pub fn place(count: u8) -> (Sandbox, Registry) {
    let (sandbox, registry) = (Sandbox::new(), Registry::start());
    jar(&sandbox, "app.jar", &vec![7; 200_000]);
    registry.base("flink", "2.3.0", "amd64", &layers(count));
    (sandbox, registry)
}

pub fn build(sandbox: &Sandbox, registry: &Registry, more: &[&str]) -> Outcome {
    let (base, push) = (registry.image("flink:2.3.0"), registry.image("team/app:1"));
    let mut arguments = vec!["image", "build", "--base", &base, "--jar", "app.jar"];
    if !more.contains(&"--push") && !more.contains(&"--output") {
        arguments.extend(["--push", &push]);
    }
    arguments.extend(more);
    sandbox.run(&arguments)
}

/// Asserts that the image under a tag is whole, and gives its manifest.
#[track_caller]
pub fn whole(registry: &Registry, repository: &str, tag: &str) -> Value {
    let manifest = registry.manifest(repository, tag).unwrap();
    let parts = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&manifest["config"]]);
    for part in parts {
        let digest = part["digest"].as_str().unwrap();
        let bytes = registry
            .has(repository, digest)
            .unwrap_or_else(|| panic!("no {digest}"));
        assert_eq!(Digest::of(&bytes).as_str(), digest);
        assert_eq!(part["size"], bytes.len());
    }
    manifest
}

#[track_caller]
pub fn fails(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} in {outcome}");
    }
    assert_eq!(outcome.stdout, "", "{outcome}");
}

#[track_caller]
pub fn works(outcome: &Outcome) -> String {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stdout.trim().to_owned()
}
