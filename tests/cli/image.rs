//! `image build`, and `create --jar --push-to`, against a registry that does things wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use kubectl_flink::core::image::digest::Digest;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use crate::registry::{Fault, OCI_INDEX, OCI_MANIFEST, Registry};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{get, patch, post, status, text};

const CLASS: &[u8] = &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61];

/// A jar of the class `com.example.Job`, which its manifest names; `more` is in it as well.
fn jar(sandbox: &Sandbox, name: &str, more: &[u8]) -> PathBuf {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let files = [
        ("META-INF/MANIFEST.MF", b"Main-Class: com.example.Job\n".as_slice()),
        ("com/example/Job.class", CLASS),
        ("com/example/WordCount.class", CLASS),
        ("more", more),
    ];
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    let path = sandbox.file(name, "");
    std::fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    path
}

fn layers(count: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| vec![number; 1000 + usize::from(number)])
        .collect()
}

/// A sandbox with `app.jar`, and a registry with the base `flink:2.3.0` of so many layers.
fn place(count: u8) -> (Sandbox, Registry) {
    let (sandbox, registry) = (Sandbox::new(), Registry::start());
    jar(&sandbox, "app.jar", &vec![7; 200_000]);
    registry.base("flink", "2.3.0", "amd64", &layers(count));
    (sandbox, registry)
}

fn build(sandbox: &Sandbox, registry: &Registry, more: &[&str]) -> Outcome {
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
fn whole(registry: &Registry, repository: &str, tag: &str) -> Value {
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
fn fails(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} in {outcome}");
    }
    assert_eq!(outcome.stdout, "", "{outcome}");
}

#[track_caller]
fn works(outcome: &Outcome) -> String {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stdout.trim().to_owned()
}

#[test]
fn a_layer_is_put_on_and_the_rest_is_mounted() {
    let (sandbox, registry) = place(30);
    let pinned = works(&build(&sandbox, &registry, &["--env", "A=b", "--label", "team=x"]));
    let manifest = whole(&registry, "team/app", "1");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 31);
    let digest = Digest::of(manifest.to_string().as_bytes());
    assert_eq!(pinned, registry.image(&format!("team/app@{digest}")));
    let config: Value = serde_json::from_slice(
        &registry
            .has("team/app", manifest["config"]["digest"].as_str().unwrap())
            .unwrap(),
    )
    .unwrap();
    assert!(
        config["config"]["Env"].as_array().unwrap().contains(&json!("A=b")),
        "{config}"
    );
    assert_eq!(config["config"]["Labels"]["team"], "x");
    let log = registry.log();
    let count = |start: &str| log.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("POST /v2/team/app/blobs/uploads/?mount="), 30, "{log:#?}");
    assert_eq!(count("PATCH"), 1, "only the new layer is sent: {log:#?}");
    assert_eq!(
        count("GET /v2/flink/blobs/"),
        1,
        "of the base only the configuration is read: {log:#?}"
    );
    assert!(
        log.last().unwrap().starts_with("PUT /v2/team/app/manifests/1"),
        "the manifest is last: {log:#?}"
    );

    // The same again: nothing is sent, and nothing differs.
    let again = build(&sandbox, &registry, &["--env", "A=b", "--label", "team=x"]);
    assert_eq!(works(&again), pinned);
    assert!(again.stderr.contains("is there already"), "{again}");
    let log = registry.log();
    assert!(
        log.iter()
            .all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")),
        "{log:#?}"
    );
    let push = registry.image("other/app");
    let elsewhere = works(&build(
        &sandbox,
        &registry,
        &["--env", "A=b", "--label", "team=x", "--push", &push],
    ));
    assert_eq!(
        elsewhere.split('@').nth(1),
        pinned.split('@').nth(1),
        "the same jar, the same digest"
    );
    assert_eq!(
        registry.tags("other/app"),
        [digest.short()],
        "without a tag it gets one of its digest"
    );
}

#[test]
fn the_layer_is_a_tar_of_flinks_user() {
    let (sandbox, registry) = place(1);
    sandbox.file("s3/plugin.jar", "plugin");
    sandbox.file("driver.jar", "driver");
    sandbox.file("settings", "a=b");
    works(&build(
        &sandbox,
        &registry,
        &[
            "--plugin",
            "s3",
            "--lib",
            "driver.jar",
            "--file",
            "settings:/opt/flink/conf/settings",
        ],
    ));
    let manifest = whole(&registry, "team/app", "1");
    let layer = registry
        .has("team/app", manifest["layers"][1]["digest"].as_str().unwrap())
        .unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.as_slice()));
    let mut entries: Vec<String> = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        entries.push(format!(
            "{} {:o} {}",
            header.uid().unwrap(),
            header.mode().unwrap(),
            entry.path().unwrap().display()
        ));
    }
    assert_eq!(
        entries,
        [
            "9999 644 opt/flink/conf/settings",
            "9999 644 opt/flink/lib/driver.jar",
            "9999 755 opt/flink/plugins/s3/",
            "9999 644 opt/flink/plugins/s3/plugin.jar",
            "9999 755 opt/flink/usrlib/",
            "9999 644 opt/flink/usrlib/app.jar",
        ]
    );
    let image = registry.image("team/app:1");
    let inspected = sandbox.run(&["image", "inspect", &image, "-o", "json"]);
    // The base's layer here is no tar: what it has is an error, and not a guess.
    fails(&inspected, 1, &["layer sha256:", "cannot be read"]);
}

#[test]
fn layers_are_copied_where_they_cannot_be_mounted() {
    let (sandbox, registry) = place(3);
    registry.no_mounts();
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
    // From one registry to another, of a base that breaks off in the middle of a layer.
    let other = Registry::start();
    registry.fault("GET", "/blobs/", 1, Fault::CutAnswer(20));
    let digest = registry.manifest("flink", "2.3.0").unwrap()["layers"][2]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let push = other.image("copied/app:1");
    registry.log();
    works(&build(&sandbox, &registry, &["--push", &push]));
    whole(&other, "copied/app", "1");
    assert!(registry.log().iter().any(|line| line.contains(&digest)));
    assert!(
        other.log().iter().all(|line| !line.contains("mount=")),
        "there is nothing to mount"
    );
}

#[test]
fn a_layer_whose_source_breaks_off_is_asked_for_from_where_it_was() {
    let (sandbox, registry) = place(1);
    let other = Registry::start();
    let digest = registry.manifest("flink", "2.3.0").unwrap()["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    registry.fault("GET", Box::leak(digest.into_boxed_str()), 1, Fault::CutAnswer(500));
    let push = other.image("app:1");
    works(&build(&sandbox, &registry, &["--push", &push]));
    whole(&other, "app", "1");
}

#[test]
fn an_index_stays_one_and_a_platform_is_chosen_out_of_it() {
    let (sandbox, registry) = place(1);
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let mut entry = registry.base("flink", architecture, architecture, &layers(2));
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entries.push(entry);
    }
    let mut attestation = entries[0].clone();
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    entries.push(attestation);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    registry.put("flink", "2.3.0", OCI_INDEX, &index);
    works(&build(&sandbox, &registry, &[]));
    let made = registry.manifest("team/app", "1").unwrap();
    let manifests = made["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2, "{made}");
    for entry in manifests {
        let manifest = whole(&registry, "team/app", entry["digest"].as_str().unwrap());
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
    }
    let push = registry.image("arm/app:1");
    works(&build(
        &sandbox,
        &registry,
        &["--platform", "linux/arm64", "--push", &push],
    ));
    whole(&registry, "arm/app", "1");
    fails(
        &build(&sandbox, &registry, &["--platform", "linux/s390x"]),
        3,
        &["not for linux/s390x", "linux/amd64, linux/arm64"],
    );
}

#[test]
fn whoever_is_not_let_in_is_told_how_to_be() {
    for kind in ["Basic", "Bearer"] {
        let (sandbox, registry) = place(1);
        registry.ask_for(kind);
        let outcome = build(&sandbox, &registry, &[]);
        fails(&outcome, 4, &["docker login"]);
        assert_eq!(registry.tags("team/app"), Vec::<String>::new());
        // tester:wrong
        let config = |auth: &str| json!({ "auths": { registry.host(): { "auth": auth } } }).to_string();
        sandbox.file("wrong.json", &config("dGVzdGVyOndyb25n"));
        fails(
            &build(&sandbox, &registry, &["--registry-config", "wrong.json"]),
            4,
            &["docker login"],
        );
        // By docker's own file, by podman's, by one that is named.
        for file in [".docker/config.json", ".config/containers/auth.json", "named.json"] {
            let path = sandbox.file(file, &config("dGVzdGVyOnMzY3JldA=="));
            let named = ["--registry-config", "named.json"];
            let outcome = build(&sandbox, &registry, if file == "named.json" { &named } else { &[] });
            works(&outcome);
            assert!(
                !outcome.stderr.contains("s3cret") && !outcome.stderr.contains("dGVzdG"),
                "{outcome}"
            );
            std::fs::remove_file(path).unwrap();
        }
        whole(&registry, "team/app", "1");
    }
}

#[cfg(unix)]
#[test]
fn programs_that_keep_credentials_are_asked() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, registry) = place(1);
    registry.ask_for("Bearer");
    let sandbox_path = format!("{}/bin:/usr/bin:/bin", sandbox.home().display());
    let helper = sandbox.file(
        "bin/docker-credential-test",
        "#!/bin/sh\nread -r host\necho \"{\\\"ServerURL\\\": \\\"$host\\\", \\\"Username\\\": \\\"tester\\\", \\\"Secret\\\": \\\"s3cret\\\"}\"\n",
    );
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = sandbox.variable("PATH", &sandbox_path);
    sandbox.file(
        ".docker/config.json",
        &json!({ "credHelpers": { registry.host(): "test" } }).to_string(),
    );
    works(&build(&sandbox, &registry, &[]));
    sandbox.file(
        ".docker/config.json",
        &json!({ "credHelpers": { registry.host(): "missing" } }).to_string(),
    );
    fails(
        &build(&sandbox, &registry, &[]),
        4,
        &["no credentials", "cannot be run"],
    );
}

#[test]
fn what_a_registry_refuses_is_told_in_its_words() {
    let (sandbox, registry) = place(1);
    registry.fault(
        "POST",
        "/team/app/blobs/uploads/",
        2,
        Fault::Status(403, &[], "quota of the project is used up"),
    );
    fails(
        &build(&sandbox, &registry, &[]),
        4,
        &["refuses", "quota of the project is used up"],
    );
    let missing = registry.image("flink:9.9");
    let outcome = sandbox.run(&[
        "image", "build", "--base", &missing, "--jar", "app.jar", "--push", &missing,
    ]);
    fails(&outcome, 3, &["there is no image", "flink:9.9"]);
    assert_eq!(registry.tags("team/app"), Vec::<String>::new());
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    let (sandbox, registry) = place(1);
    registry.fault(
        "GET",
        "/manifests/",
        2,
        Fault::Status(429, &[("retry-after", "0")], "slow down"),
    );
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::Status(503, &[], "restarting"));
    registry.fault("PUT", "/manifests/", 2, Fault::Status(500, &[], "oops"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
}

#[test]
fn a_registry_that_stays_broken_is_given_up_without_half_an_image() {
    for (method, part, fault, code, word) in [
        (
            "GET",
            "/manifests/",
            Fault::Status(429, &[("retry-after", "0")], "slow down"),
            1,
            "slow down",
        ),
        (
            "PATCH",
            "/blobs/uploads/",
            Fault::Status(500, &[], "no space left on device"),
            1,
            "no space left on device",
        ),
        ("PUT", "/manifests/", Fault::Status(500, &[], "oops"), 1, "oops"),
        ("PUT", "/manifests/", Fault::CutRequest(10), 7, "cannot be reached"),
        ("PATCH", "/blobs/uploads/", Fault::CutRequest(0), 7, "cannot be reached"),
    ] {
        let (sandbox, registry) = place(1);
        registry.fault(method, part, usize::MAX, fault);
        fails(&build(&sandbox, &registry, &[]), code, &[word]);
        assert_eq!(registry.tags("team/app"), Vec::<String>::new(), "{method} {part}");
    }
}

#[test]
fn an_upload_that_is_cut_goes_on_where_it_was() {
    let (sandbox, registry) = place(1);
    registry.fault("PATCH", "/blobs/uploads/", 3, Fault::CutRequest(50_000));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
    let log = registry.log();
    assert!(log.iter().any(|line| line.contains("[50000-")), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("[150000-")), "{log:#?}");
    // A registry that has forgotten the upload gets it from the beginning.
    let push = registry.image("again/app:1");
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::CutRequest(50_000));
    registry.fault("GET", "/blobs/uploads/", 1, Fault::Status(404, &[], "upload unknown"));
    works(&build(&sandbox, &registry, &["--push", &push]));
    whole(&registry, "again/app", "1");
}

#[test]
fn a_registry_that_takes_no_large_pieces_gets_small_ones() {
    let (sandbox, registry) = place(1);
    jar(&sandbox, "app.jar", &vec![3; 20 << 20]);
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::Status(413, &[], "too large"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
    let log = registry.log();
    assert!(
        log.iter().any(|line| line.contains("[0-8388607]")) && log.iter().any(|line| line.contains("[16777216-")),
        "{log:#?}"
    );
}

#[test]
fn two_pushers_do_no_harm_to_each_other() {
    let (sandbox, registry) = place(3);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| works(&build(&sandbox, &registry, &[]))))
            .collect();
        let names: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    });
    whole(&registry, "team/app", "1");
}

#[test]
fn what_is_no_image_is_refused() {
    let (sandbox, registry) = place(1);
    let good = registry.manifest("flink", "2.3.0").unwrap();
    let mut encrypted = good.clone();
    encrypted["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    let mut chart = good.clone();
    chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    let old = json!({ "schemaVersion": 1, "fsLayers": [] });
    for (manifest, kind, word) in [
        (encrypted, OCI_MANIFEST, "encrypted"),
        (chart, OCI_MANIFEST, "application/vnd.cncf.helm.config.v1+json"),
        (
            old,
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "schema 1",
        ),
    ] {
        registry.put("flink", "2.3.0", kind, &manifest);
        fails(&build(&sandbox, &registry, &[]), 1, &[word]);
    }
    // A registry that gives something else for a digest is not believed.
    registry.put("flink", "2.3.0", OCI_MANIFEST, &good);
    let wrong = registry.image(&format!("flink@{}", Digest::of(b"other")));
    let mut other = good;
    other["annotations"] = json!({ "x": "y" });
    registry.put("flink", Digest::of(b"other").as_str(), OCI_MANIFEST, &other);
    fails(
        &sandbox.run(&[
            "image",
            "build",
            "--base",
            &wrong,
            "--jar",
            "app.jar",
            "--push",
            &wrong[..wrong.find('@').unwrap()],
        ]),
        1,
        &["something else"],
    );
}

#[test]
fn bad_input_is_refused_before_anything_is_asked() {
    let (sandbox, registry) = place(1);
    sandbox.file("no.jar", "this is text");
    sandbox.file("empty.pem", "nothing");
    let base = registry.image("flink:2.3.0");
    let push = registry.image("team/app:1");
    let start = ["image", "build", "--base", base.as_str(), "--push", push.as_str()];
    for (more, words) in [
        (&["--jar", "no.jar"][..], &["--jar no.jar", "no jar"][..]),
        (&["--jar", "missing.jar"], &["--jar missing.jar"]),
        (&["--jar", "."], &["no file"]),
        (&["--file", "no.jar:/../etc/passwd"], &["without '..'"]),
        (&["--file", "no.jar:etc/passwd"], &["SOURCE:/DESTINATION"]),
        (&["--file", "missing:/x"], &["cannot read missing"]),
        (&["--jar", "app.jar", "--platform", "amd64"], &["linux/amd64"]),
        (
            &["--jar", "app.jar", "--registry-ca", "empty.pem"],
            &["--registry-ca empty.pem", "no certificate"],
        ),
        (&[], &["nothing is put on the base"]),
        (&["--env", "x"], &["NAME=VALUE"]),
    ] {
        let arguments: Vec<&str> = start.iter().chain(more).copied().collect();
        fails(&sandbox.run(&arguments), 2, words);
    }
    // Two files of one path are seen when the base has said where Flink's home is: nothing is pushed.
    sandbox.file("a/x.jar", "1");
    sandbox.file("b/x.jar", "2");
    fails(
        &build(&sandbox, &registry, &["--lib", "a/x.jar", "--lib", "b/x.jar"]),
        2,
        &["two files would be /opt/flink/lib/x.jar"],
    );
    for bad in ["Team/App", "team/app@sha256:0", "-x"] {
        let name = format!("--push={bad}");
        fails(
            &sandbox.run(&["image", "build", "--base", &base, "--jar", "app.jar", &name]),
            2,
            &[],
        );
    }
    let log = registry.log();
    assert!(log.iter().all(|line| line.starts_with("GET ")), "{log:#?}");
}

#[test]
fn a_registry_that_is_not_there_is_said_to_be_unreachable() {
    let (sandbox, _) = place(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let image = format!("{nobody}/app:1");
    fails(
        &sandbox.run(&["image", "inspect", &image]),
        7,
        &[&nobody, "cannot be reached"],
    );
}

#[test]
fn an_image_in_a_file_is_a_base_as_well() {
    let (sandbox, registry) = place(2);
    let name = works(&build(
        &sandbox,
        &registry,
        &["--output", "app.tar", "--tag", "team/app:1"],
    ));
    assert_eq!(name, "docker.io/team/app:1");
    assert_eq!(registry.tags("team/app"), Vec::<String>::new(), "nothing is pushed");
    let first = std::fs::read(sandbox.home().join("app.tar")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(sandbox.home().join("app.tar"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "others may read it");
    }
    works(&build(
        &sandbox,
        &registry,
        &["--output", "app.tar", "--tag", "team/app:1"],
    ));
    assert!(
        first == std::fs::read(sandbox.home().join("app.tar")).unwrap(),
        "byte for byte the same"
    );
    let push = registry.image("from/file:1");
    works(&sandbox.run(&["image", "build", "--base", "app.tar", "--label", "a=b", "--push", &push]));
    let manifest = whole(&registry, "from/file", "1");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
    // What docker save of old wrote: no manifest but its own.
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    let layer = b"a plain layer".to_vec();
    let config = json!({ "os": "linux", "architecture": "amd64", "config": {}, "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] } });
    add("config.json", config.to_string().as_bytes());
    add("x/layer.tar", &layer);
    add(
        "manifest.json",
        json!([{ "Config": "config.json", "RepoTags": ["flink:2"], "Layers": ["x/layer.tar"] }])
            .to_string()
            .as_bytes(),
    );
    std::fs::write(sandbox.home().join("old.tar"), archive.into_inner().unwrap()).unwrap();
    let push = registry.image("from/old:1");
    works(&sandbox.run(&[
        "image", "build", "--base", "old.tar", "--jar", "app.jar", "--push", &push,
    ]));
    assert_eq!(whole(&registry, "from/old", "1")["layers"].as_array().unwrap().len(), 2);
    sandbox.file("none.tar", "this is text");
    fails(
        &sandbox.run(&[
            "image", "build", "--base", "none.tar", "--jar", "app.jar", "--push", &push,
        ]),
        2,
        &["none.tar"],
    );
    assert!(!sandbox.home().join("app.tar.partial").exists());
}

const SERVICE: &str = "/api/v1/namespaces/default/services/demo-master";
const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/demo-master";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/demo-task-manager";
const HISTORY: &str = "/api/v1/namespaces/default/configmaps/demo-history";

fn create(sandbox: &Sandbox, registry: &Registry, more: &[&str]) -> Outcome {
    let (base, push) = (registry.image("flink:2.3.0"), registry.image("team/app"));
    let mut arguments = vec![
        "create",
        "demo",
        "--image",
        &base,
        "--jar",
        "app.jar",
        "--push-to",
        &push,
    ];
    arguments.extend(more);
    sandbox.run(&arguments)
}

#[test]
fn a_cluster_gets_the_image_with_its_jar_by_its_digest() {
    let (sandbox, registry) = place(2);
    for path in [SERVICE, JOB, DEPLOYMENT] {
        sandbox
            .server
            .expect(patch(path).query("dryRun", "All"))
            .answer(text(201, "{}"));
        sandbox
            .server
            .expect(patch(path).no_query("dryRun"))
            .answer(text(201, "{}"));
    }
    sandbox
        .server
        .expect(get(HISTORY))
        .answer(status(404, "NotFound", "none"));
    sandbox
        .server
        .expect(post("/api/v1/namespaces/default/configmaps"))
        .answer(text(201, r#"{"metadata": {"resourceVersion": "1"}}"#));
    let outcome = create(&sandbox, &registry, &["--no-wait"]);
    works(&outcome);
    let manifest = whole(&registry, "team/app", &registry.tags("team/app")[0]);
    let image = registry.image(&format!("team/app@{}", Digest::of(manifest.to_string().as_bytes())));
    let job = sandbox
        .server
        .requests()
        .into_iter()
        .rfind(|request| request.path == JOB)
        .unwrap();
    let job: Value = serde_json::from_slice(&job.body).unwrap();
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], image);
    let words = container["args"].to_string();
    assert!(words.contains("com.example.Job"), "{words}");
    // Flink's version comes from the base, whose tag the pinned name no longer has.
    assert!(words.contains("standalone-job"), "{words}");
    // The jar is for Java 17, and the base has Java 11.
    assert!(
        outcome
            .stderr
            .contains("app.jar is built for Java 17, and the image has Java 11"),
        "{outcome}"
    );
    let checked = outcome
        .requests
        .iter()
        .position(|request| !request.contains("dryRun") && request.starts_with("PATCH"));
    assert!(
        checked.is_some_and(|at| at >= 4),
        "the dry runs come first: {:?}",
        outcome.requests
    );
}

#[test]
fn nothing_is_pushed_when_the_dry_run_is_refused() {
    let (sandbox, registry) = place(2);
    let refused = status(403, "Forbidden", "exceeded quota");
    for path in [SERVICE, JOB, DEPLOYMENT] {
        sandbox
            .server
            .expect(patch(path).query("dryRun", "All"))
            .answer(refused.clone());
    }
    sandbox
        .server
        .expect(get(HISTORY))
        .answer(status(404, "NotFound", "none"));
    fails(&create(&sandbox, &registry, &[]), 1, &["exceeded quota"]);
    assert_eq!(registry.tags("team/app"), Vec::<String>::new());
    let log = registry.log();
    assert!(log.iter().all(|line| line.starts_with("GET ")), "{log:#?}");
    // A dry run of ours pushes nothing either.
    let outcome = create(&sandbox, &registry, &["--dry-run=client", "-o", "yaml"]);
    assert!(
        outcome.stdout.contains(&registry.image("team/app@sha256:")),
        "{outcome}"
    );
    assert!(registry.log().iter().all(|line| line.starts_with("GET ")));
}

#[test]
fn a_jar_on_this_machine_needs_a_repository_and_the_class_must_be_in_it() {
    let (sandbox, registry) = place(1);
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--jar", "./app.jar"]);
    fails(
        &outcome,
        2,
        &["--push-to", "s3://", "local:///opt/flink/usrlib/app.jar"],
    );
    let outcome = create(&sandbox, &registry, &["--job-class", "com.example.Wordcount"]);
    fails(
        &outcome,
        2,
        &["no class com.example.Wordcount in app.jar", "com.example.WordCount"],
    );
    let outcome = sandbox.run(&[
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "--jar",
        "s3://b/a.jar",
        "--push-to",
        "x/y",
    ]);
    fails(&outcome, 2, &["a file on this machine"]);
    fails(
        &sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--push-to", "x/y"]),
        2,
        &["--jar"],
    );
    let push = registry.image("team/app");
    fails(
        &sandbox.run(&["create", "demo", "--jar", "app.jar", "--push-to", &push]),
        2,
        &["image"],
    );
    assert_eq!(registry.log(), Vec::<String>::new(), "no registry is asked");
}

/// A proxy that connects everything to one address, and notes what it is asked for.
fn proxy_to(target: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (target, log) = (target.clone(), Arc::clone(&log));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                log.lock().unwrap().push(line.trim().to_owned());
                while !line.trim().is_empty() {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
                let mut other = TcpStream::connect(target).unwrap();
                let mut back = other.try_clone().unwrap();
                std::thread::spawn(move || drop(std::io::copy(&mut back, &mut stream)));
                // It ends when either side does.
                let _ = std::io::copy(&mut reader, &mut other);
            });
        }
    });
    (address, asked)
}

#[test]
fn registries_are_reached_through_a_proxy_but_not_those_on_this_machine() {
    let (sandbox, registry) = place(1);
    let (proxy, asked) = proxy_to(registry.host());
    let sandbox = sandbox.variable("HTTP_PROXY", &format!("http://{proxy}"));
    works(&build(&sandbox, &registry, &[]));
    assert_eq!(asked.lock().unwrap().len(), 0, "this machine needs none");
    let push = "registry.invalid/far/app:1";
    works(&build(
        &sandbox,
        &registry,
        &["--push", push, "--insecure-registry", "registry.invalid"],
    ));
    whole(&registry, "far/app", "1");
    assert!(
        asked.lock().unwrap()[0].starts_with("CONNECT registry.invalid:80 "),
        "{asked:?}"
    );
}

#[test]
fn a_doctor_looks_into_the_image() {
    let (sandbox, registry) = place(0);
    let server = &sandbox.server;
    let object = |value: Value| text(200, &value.to_string()).header("content-type", "application/json");
    server
        .expect(get("/version"))
        .answer(object(json!({ "major": "1", "minor": "34" })));
    server
        .expect(post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"))
        .times(kubectl_flink::core::doctor::rights::RIGHTS.len())
        .answer(object(json!({ "status": { "allowed": true } })));
    for path in [
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/default/resourcequotas",
        "/api/v1/services",
        "/api/v1/namespaces/default/services",
        "/api/v1/namespaces/default/configmaps",
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/apps/v1/namespaces/default/deployments",
    ] {
        server
            .expect(get(path))
            .answer(status(403, "Forbidden", "it is forbidden"));
    }
    let container = json!({ "name": "flink-master", "image": registry.image("flink:2.3.0"), "args": ["job-cluster", "-Dstate.savepoints.dir=s3://bucket/x"] });
    let job = json!({ "metadata": { "annotations": { "kubectl-flink/flink-version": "1.20" } },
        "spec": { "template": { "spec": { "containers": [container] } } } });
    server.expect(get(JOB)).answer(object(job));
    server.expect(get(DEPLOYMENT)).answer(status(404, "NotFound", "none"));
    let node = json!({ "status": { "nodeInfo": { "operatingSystem": "linux", "architecture": "arm64" } } });
    server
        .expect(get("/api/v1/nodes"))
        .answer(object(json!({ "items": [node] })));
    let outcome = sandbox.run(&["doctor", "demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for told in [
        "the image is for linux/amd64, and all nodes are linux/arm64",
        "the image has Flink 2.3.0, and Flink 1.20 is asked for",
        "the image has the official entrypoint, and --entrypoint legacy is asked for",
        "s3://bucket/x needs a plugin for S3, and the image has none",
    ] {
        assert!(outcome.stdout.contains(told), "{told:?} in {outcome}");
    }
}
