//! docs/dependencies.md has every direct dependency, every crate that is there twice, and no others.

use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../docs/dependencies.md");
const MANIFEST: &str = include_str!("../../Cargo.toml");
const LOCK: &str = include_str!("../../Cargo.lock");

/// First cells of the table below `heading`.
fn rows(heading: &str) -> BTreeSet<&str> {
    let section = DOCUMENT.split("\n## ").find(|section| section.starts_with(heading));
    let lines = section.unwrap().lines().filter_map(|line| line.strip_prefix("| "));
    let cells = lines.filter_map(|line| line.split(" |").next());
    cells.filter(|cell| *cell != "crate").collect()
}

#[test]
fn every_direct_dependency_is_accounted_for() {
    let section = MANIFEST.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let direct: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(rows("# Dependencies"), direct);
}

/// The packages that the project is made of, by its first decision.
#[test]
fn the_packages_of_the_project_stay() {
    let section = MANIFEST.split("\n[dependencies]\n").nth(1).unwrap();
    for (package, module) in [
        ("clap", "clap::"),
        ("kube", "kube::"),
        ("k8s-openapi", "k8s_openapi::"),
        ("tokio", "tokio::"),
        ("serde_yaml", "serde_yaml::"),
        ("comfy-table", "comfy_table::"),
        ("dialoguer", "dialoguer::"),
        ("dirs", "dirs::"),
    ] {
        assert!(
            section.lines().any(|line| line.starts_with(&format!("{package} = "))),
            "{package}"
        );
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        assert!(names(&sources, module), "no source uses {package}");
    }
}

fn names(folder: &std::path::Path, module: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names(&path, module)
        } else {
            std::fs::read_to_string(&path).unwrap().contains(module)
        }
    })
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in LOCK.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap().trim_matches(['"', ' ', '='])
        };
        let version = value("version");
        let parts: Vec<&str> = version.split('.').collect();
        let compatible = if parts[0] == "0" {
            parts[..2].join(".")
        } else {
            parts[0].to_owned()
        };
        versions.entry(value("name")).or_default().insert(compatible);
    }
    let twice: BTreeSet<&str> = versions
        .iter()
        .filter(|(_, all)| all.len() > 1)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(rows("Twice"), twice);
}
