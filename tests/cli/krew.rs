//! The krew manifest and the archives that it names: every rule that krew and the reviewers of its index have, and then
//! what krew does with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn package(arguments: &[&str]) {
    // Packed in a hurry: what the tests pack is not what they are about.
    let mut command = Command::new(root().join("krew/package"));
    let output = command.args(arguments).env("PACK_LEVEL", "1").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

/// A folder with the archive of this program for this machine, and the manifest that names it.
fn packed(program: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    package(&["pack", TARGET, program, out]);
    package(&["manifest", VERSION, out]);
    folder
}

fn archive(folder: &TempDir) -> PathBuf {
    folder.path().join("kubectl-flink-linux-amd64.tar.gz")
}

fn read(path: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The rules for a manifest. Source: krew's developer guide, `pkg/index/validation`, and the comments of the reviewers
/// of krew-index.
fn follows_the_rules(path: &Path) {
    let manifest = read(path);
    assert_eq!(keys(&manifest), ["apiVersion", "kind", "metadata", "spec"]);
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(keys(&manifest["metadata"]), ["name"]);
    let name = manifest["metadata"]["name"].as_str().unwrap();
    assert_eq!(path.file_stem().unwrap(), name, "the file is named like the plugin");
    assert!(
        name.split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
    );
    let spec = &manifest["spec"];
    let mut fields = keys(spec);
    fields.sort_unstable();
    // No caveats: there is nothing to set up.
    assert_eq!(
        fields,
        ["description", "homepage", "platforms", "shortDescription", "version"]
    );
    assert_eq!(spec["version"], VERSION);
    assert!(spec["homepage"].as_str().unwrap().starts_with("https://"));
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(
        !short.is_empty() && short.len() <= 50 && !short.contains('\n') && !short.ends_with('.'),
        "{short}"
    );
    for redundant in ["kubectl", "Kubernetes", "plugin"] {
        assert!(!short.to_lowercase().contains(&redundant.to_lowercase()), "{short}");
    }
    let description = spec["description"].as_str().unwrap();
    assert!(description.lines().all(|line| line.len() <= 80), "{description}");
    for example in ["kubectl flink", "$ ", "Usage"] {
        assert!(
            !description.contains(example),
            "usage examples do not belong there: {description}"
        );
    }
    let mut seen = Vec::new();
    for platform in spec["platforms"].as_array().unwrap() {
        let mut fields = keys(platform);
        fields.sort_unstable();
        // Without `files`, krew takes the whole archive.
        assert_eq!(fields, ["bin", "selector", "sha256", "uri"]);
        assert_eq!(keys(&platform["selector"]), ["matchLabels"]);
        let mut labels = keys(&platform["selector"]["matchLabels"]);
        labels.sort_unstable();
        assert_eq!(labels, ["arch", "os"]);
        let label = |name: &str| platform["selector"]["matchLabels"][name].as_str().unwrap();
        let (os, arch) = (label("os"), label("arch"));
        let uri = platform["uri"].as_str().unwrap();
        assert!(
            uri.starts_with("https://") && uri.contains(&format!("/{VERSION}/")),
            "{uri}"
        );
        assert!(uri.ends_with(&format!("-{os}-{arch}.tar.gz")), "{uri}");
        let sum = platform["sha256"].as_str().unwrap();
        assert!(
            sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{sum}"
        );
        let bin = platform["bin"].as_str().unwrap();
        assert_eq!(
            bin,
            if os == "windows" {
                "kubectl-flink.exe"
            } else {
                "kubectl-flink"
            }
        );
        seen.push(format!("{os}/{arch}"));
    }
    // All five, and none twice: krew takes the first that fits, and refuses manifests in which two do.
    assert_eq!(
        seen,
        [
            "linux/amd64",
            "linux/arm64",
            "darwin/amd64",
            "darwin/arm64",
            "windows/amd64"
        ]
    );
}

/// The manifest in the tree is of no release: it has the form, and zeros for checksums of archives that do not exist.
#[test]
fn the_manifest_in_the_tree_is_what_the_release_bots_template_gives() {
    let folder = TempDir::new().unwrap();
    package(&["manifest", VERSION, folder.path().to_str().unwrap()]);
    let rendered = fs::read_to_string(folder.path().join("flink.yaml")).unwrap();
    follows_the_rules(&folder.path().join("flink.yaml"));
    let kept = root().join("krew/flink.yaml");
    let head = "# The manifest of the next release. Its checksums are zeros until the archives exist: krew/package fills them in.\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&kept, format!("{head}{rendered}")).unwrap();
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), format!("{head}{rendered}"));
    follows_the_rules(&kept);
}

/// What the release bot replaces, in the form in which it looks for it.
#[test]
fn the_template_is_one_of_the_release_bot() {
    let text = fs::read_to_string(root().join(".krew.yaml")).unwrap();
    assert_eq!(text.matches("version: {{ .TagName }}\n").count(), 1);
    let places: Vec<&str> = text.lines().filter(|line| line.contains("addURIAndSha")).collect();
    assert_eq!(places.len(), 5);
    for line in places {
        // The bot puts `uri: …` there and indents the next line by what is written before it.
        assert!(
            line.starts_with("      {{addURIAndSha \"https://") && line.ends_with("\" .TagName }}"),
            "{line}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_archive_holds_regular_files_and_always_the_same_bytes() {
    // A program of tests has a hundred times the size of a release's, and its content is no matter here.
    let home = TempDir::new().unwrap();
    let program = home.path().join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let program = program.to_str().unwrap();
    let (folder, again) = (packed(program), packed(program));
    assert_eq!(sha256(&archive(&folder)), sha256(&archive(&again)));
    let output = Command::new("tar")
        .args(["-tvzf"])
        .arg(archive(&folder))
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let files: Vec<(&str, &str)> = list
        .lines()
        .map(|line| (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap()))
        .collect();
    for (mode, path) in &files {
        // A link of any kind makes krew refuse the archive.
        assert!(mode.starts_with('-') || mode.starts_with('d'), "{list}");
        assert!(
            !path.starts_with('/') && !path.split('/').any(|part| part == "..") && !path.contains('\\'),
            "{list}"
        );
    }
    assert!(files.contains(&("-rwxr-xr-x", "kubectl-flink")), "{list}");
    assert!(files.contains(&("-rw-r--r--", "LICENSE")), "{list}");
    let manifest = read(&folder.path().join("flink.yaml"));
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms[0]["sha256"], sha256(&archive(&folder)));
    assert_eq!(platforms[1]["sha256"], "0".repeat(64));
}

/// The folder of krew's programs after it has installed the archive: unpacked into its store, and one link to it.
fn install(folder: &TempDir) -> PathBuf {
    let store = folder.path().join("krew/store/flink").join(VERSION);
    let bin = folder.path().join("krew/bin");
    fs::create_dir_all(&store).unwrap();
    fs::create_dir_all(&bin).unwrap();
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive(folder))
        .arg("-C")
        .arg(&store)
        .status()
        .unwrap();
    assert!(status.success());
    #[cfg(unix)]
    std::os::unix::fs::symlink(store.join("kubectl-flink"), bin.join("kubectl-flink")).unwrap();
    bin
}

/// Where a kubectl is: on the PATH, or in the cache of the test cluster.
fn kubectl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let built = fs::read_dir(cache.join("kubectl-flink-bed"))
        .into_iter()
        .flatten()
        .flatten();
    let built = built.map(|entry| entry.path().join("bin"));
    std::env::split_paths(&path)
        .chain(built)
        .map(|folder| folder.join("kubectl"))
        .find(|file| file.is_file())
}

#[cfg(target_os = "linux")]
#[test]
fn it_runs_as_krew_installs_it() {
    let folder = packed(env!("CARGO_BIN_EXE_kubectl-flink"));
    let bin = install(&folder);
    let run = |program: &Path, arguments: &[&str]| -> Output {
        let path = format!("{}:/usr/bin:/bin", bin.display());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", path);
        command.output().unwrap()
    };
    let stdout = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let version = run(&bin.join("kubectl-flink"), &["version", "--client"]);
    assert!(stdout(&version).starts_with("Client: kubectl-flink "), "{version:?}");
    // Usage shows what people type, whatever the file is called.
    let help = run(&bin.join("kubectl-flink"), &["list", "-h"]);
    assert!(stdout(&help).contains("Usage: kubectl flink list"), "{help:?}");
    for flag in ["-h, --help", "-A, --all-namespaces"] {
        assert!(stdout(&help).contains(flag), "{flag}: {help:?}");
    }
    let options = run(&bin.join("kubectl-flink"), &["options"]);
    for flag in ["-n, --namespace", "--context", "--kubeconfig"] {
        assert!(stdout(&options).contains(flag), "{flag}: {options:?}");
    }
    let Some(kubectl) = kubectl() else { return };
    let version = run(&kubectl, &["flink", "version", "--client"]);
    assert!(
        version.status.success() && stdout(&version).starts_with("Client: kubectl-flink "),
        "{version:?}"
    );
    let list = run(&kubectl, &["plugin", "list"]);
    assert!(list.status.success(), "{list:?}");
    assert!(
        stdout(&list).contains(&bin.join("kubectl-flink").display().to_string()),
        "{list:?}"
    );
    assert_eq!(String::from_utf8_lossy(&list.stderr), "", "a warning");
}

/// The real krew, where there is one: it installs from the manifest and the archive, and takes it away again.
#[cfg(target_os = "linux")]
#[test]
fn krew_itself_installs_it() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let (Some(krew), Some(kubectl)) = (
        folders.find_map(|folder| Some(folder.join("kubectl-krew")).filter(|file| file.is_file())),
        kubectl(),
    ) else {
        return;
    };
    let folder = packed(env!("CARGO_BIN_EXE_kubectl-flink"));
    let root = folder.path().join("krew");
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        root.join("bin").display(),
        krew.parent().unwrap().display()
    );
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&kubectl);
        command
            .args(arguments)
            .env("PATH", &path)
            .env("KREW_ROOT", &root)
            .env("HOME", folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let manifest = format!("--manifest={}", folder.path().join("flink.yaml").display());
    run(&[
        "krew",
        "install",
        &manifest,
        &format!("--archive={}", archive(&folder).display()),
    ]);
    assert!(run(&["flink", "version", "--client"]).starts_with("Client: kubectl-flink "));
    run(&["krew", "uninstall", "flink"]);
    assert!(!root.join("bin/kubectl-flink").exists());
}

/// The workflows' files, parsed.
fn workflows() -> Vec<(String, Value)> {
    fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path))
        })
        .collect()
}

/// A tag can be moved to other code, a commit cannot; and what compiles the code of others must not be able to write a
/// release.
#[test]
fn workflows_use_commits_and_the_least_rights() {
    let mut writes = Vec::new();
    let mut toolchains = BTreeSet::new();
    for (file, workflow) in workflows() {
        assert_eq!(
            workflow["permissions"],
            serde_json::json!({"contents": "read"}),
            "{file}"
        );
        let toolchain = workflow["env"]["RUSTUP_TOOLCHAIN"].as_str();
        let toolchain = toolchain.unwrap_or_else(|| panic!("{file} pins no toolchain"));
        toolchains.insert(toolchain.to_owned());
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let steps = job["steps"].as_array().unwrap();
            if let Some(image) = job["container"]["image"].as_str() {
                let version = image.strip_prefix("rust:").and_then(|tag| tag.split('-').next());
                toolchains.insert(version.unwrap().to_owned());
            }
            let can_write = job.get("permissions").is_some();
            if can_write {
                writes.push(format!("{file}: {name}"));
            }
            for step in steps {
                if let Some(action) = step["uses"].as_str() {
                    let (_, commit) = action.split_once('@').unwrap();
                    assert!(
                        commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                        "{file}: {name} uses {action}, which is no commit"
                    );
                    if action.starts_with("actions/checkout@") {
                        assert_eq!(step["with"]["persist-credentials"], false, "{file}: {name}");
                    }
                    assert!(
                        !can_write || action.starts_with("actions/"),
                        "{file}: {name} gives its rights to {action}"
                    );
                }
                let run = step["run"].as_str().unwrap_or_default();
                assert!(
                    !can_write || !run.contains("cargo"),
                    "{file}: {name} compiles with rights to write"
                );
            }
        }
    }
    assert_eq!(writes, ["release.yml: publish"]);
    assert_eq!(
        toolchains.len(),
        1,
        "one toolchain builds, tests and releases: {toolchains:?}"
    );
}

/// The workflow publishes this section as the notes of the release.
#[test]
fn the_changelog_has_a_section_for_this_version() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let heading = format!("\n## {}\n", env!("CARGO_PKG_VERSION"));
    let section = changelog.split_once(&heading).map(|(_, rest)| rest);
    let section = section.and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    assert!(section.contains("\n- "), "CHANGELOG.md says nothing of {heading}");
}
