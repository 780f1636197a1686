//! `image build` and `image inspect`: what becomes of a base, jars and files.

use std::io::Write;

use kubectl_flink::testing::Digest;
use serde_json::{Value, json};

use crate::image_look::job_image;
use crate::image_place::{build, fails, jar, layers, place, whole, works};
use crate::pack::{self, archive};
use crate::registry::{Fault, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Registry};
use crate::sandbox::Sandbox;

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

/// In a real terminal the upload is drawn, and with --plain nothing is.
#[cfg(target_os = "linux")]
#[test]
fn a_plain_push_draws_no_bars() {
    let drawn = |flags: &str| {
        let (sandbox, registry) = place(1);
        let (base, push) = (registry.image("flink:2.3.0"), registry.image("team/app:1"));
        let line = format!("image build {flags} --base {base} --push {push} --jar app.jar");
        let (text, succeeds) = sandbox.shown_in_terminal(&line, "xterm", None);
        assert!(succeeds, "{text}");
        text
    };
    let text = drawn("");
    // What has arrived stays as a line of its own.
    assert!(text.contains('\u{1b}') && text.contains('✔'), "{text}");
    let text = drawn("--plain");
    assert!(!text.contains('\u{1b}') && !text.contains('✔'), "{text}");
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
    one_platform_is_selected(&sandbox, &registry);
}

/// Of a base for amd64 and arm64.
fn one_platform_is_selected(sandbox: &Sandbox, registry: &Registry) {
    let push = registry.image("arm/app:1");
    works(&build(
        sandbox,
        registry,
        &["--platform", "linux/arm64", "--push", &push],
    ));
    whole(registry, "arm/app", "1");
    fails(
        &build(sandbox, registry, &["--platform", "linux/s390x"]),
        3,
        &["not for linux/s390x", "linux/amd64, linux/arm64"],
    );
}

/// As tools write them that keep OCI layouts: the field is optional.
#[test]
fn the_platforms_of_an_index_that_names_none_are_those_of_its_images() {
    let (sandbox, registry) = place(1);
    let entries = ["amd64", "arm64"].map(|name| registry.base("flink", name, name, &layers(2)));
    assert!(entries.iter().all(|entry| entry["platform"].is_null()));
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    registry.put("flink", "2.3.0", OCI_INDEX, &index);
    works(&build(&sandbox, &registry, &[]));
    let made = registry.manifest("team/app", "1").unwrap();
    let architectures: Vec<&Value> = made["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["platform"]["architecture"])
        .collect();
    assert_eq!(architectures, ["amd64", "arm64"], "{made}");
    one_platform_is_selected(&sandbox, &registry);
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
        (&["--jar", "no.jar"][..], &["--jar no.jar", "not a jar"][..]),
        (&["--jar", "missing.jar"], &["--jar missing.jar"]),
        (&["--jar", "."], &["not a file"]),
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
    let mut add = |name: &str, bytes: &[u8]| pack::add(&mut archive, name, bytes);
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
    let names = std::fs::read_dir(sandbox.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names
        .filter(|name| name.to_string_lossy().contains("partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(unix)]
#[test]
fn a_file_is_not_written_through_a_link() {
    let (sandbox, registry) = place(1);
    let mine = sandbox.file("mine", "precious");
    for name in ["app.tar", "app.tar.partial"] {
        std::os::unix::fs::symlink(&mine, sandbox.home().join(name)).unwrap();
    }
    works(&build(
        &sandbox,
        &registry,
        &["--output", "app.tar", "--tag", "team/app:1"],
    ));
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "precious");
    assert!(
        std::fs::symlink_metadata(sandbox.home().join("app.tar"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn layers_are_read_however_they_are_packed() {
    let (sandbox, registry) = place(0);
    let job = std::fs::read(jar(&sandbox, "job.jar", b"x")).unwrap();
    let plugin = archive("opt/flink/plugins/s3-fs-presto/a.jar", b"x");
    let library = archive("opt/flink/lib/driver.jar", b"x");
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    // As some builders do, in one piece for each file.
    let (first, rest) = plugin.split_at(600);
    let pieces = [gzip(first), gzip(rest)].concat();
    let packed = ruzstd::encoding::compress_to_vec(
        archive("opt/flink/usrlib/job.jar", &job).as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let layers: [(&str, &[u8]); 4] = [
        (OCI_LAYER, &gzip(&[0; 1024])),
        (OCI_LAYER, &pieces),
        ("application/vnd.oci.image.layer.v1.tar+zstd", &packed),
        ("application/vnd.docker.image.rootfs.diff.tar", &library),
    ];
    job_image(&registry, "team/app", "1", &layers);
    let image = registry.image("team/app:1");
    let report = works(&sandbox.run(&["image", "inspect", &image, "-o", "json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["jars"][0]["name"], "job.jar", "{report}");
    assert_eq!(report["jars"][0]["entryClass"], "com.example.Job", "{report}");
    assert_eq!(report["jars"][0]["javaVersion"], 17, "{report}");
    assert_eq!(report["plugins"], json!(["s3-fs-presto"]), "{report}");
    assert_eq!(report["libraries"], json!(["driver.jar"]), "{report}");
    assert_eq!(report["unread"], 0, "{report}");
}
