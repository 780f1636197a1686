//! `create` of an image that is only named: what the registry knows of it is reported before anything is created, and
//! without a delay.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::demo::running;
use crate::image_job::{accepts_demo, nodes};
use crate::image_place::{jar, place, works};
use crate::pack::{archive, gzip};
use crate::registry::{Fault, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Registry};
use crate::sandbox::{Outcome, Sandbox};

const VARIABLE: &str = "KUBECTL_FLINK_NO_IMAGE_CHECK";

/// An image as one is built on the official ones: its history says which layer is Flink, and what is above it.
pub fn job_image(registry: &Registry, name: &str, tag: &str, layers: &[(&str, &[u8])]) {
    let descriptors: Vec<Value> = layers
        .iter()
        .map(|(kind, bytes)| {
            let mut layer = registry.blob(name, bytes);
            layer["mediaType"] = json!(kind);
            layer
        })
        .collect();
    let mut history = vec![
        json!({ "created_by": "ENV FLINK_TGZ_URL=x", "empty_layer": true }),
        json!({ "created_by": "RUN wget -nv -O flink.tgz \"$FLINK_TGZ_URL\"" }),
    ];
    history.extend(
        layers
            .iter()
            .skip(1)
            .map(|_| json!({ "created_by": "COPY . /opt/flink/usrlib" })),
    );
    let config = json!({
        "os": "linux", "architecture": "amd64", "history": history,
        "config": {
            "Env": ["JAVA_VERSION=jdk-11.0.1+1", "FLINK_TGZ_URL=x/flink-2.3.0/flink-2.3.0-bin.tgz"],
            "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["help"],
        },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let mut config = registry.blob(name, config.to_string().as_bytes());
    config["mediaType"] = json!(OCI_CONFIG);
    let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": descriptors });
    registry.put(name, tag, OCI_MANIFEST, &manifest);
}

fn create(sandbox: &Sandbox, image: &str, more: &[&str]) -> Outcome {
    sandbox.run(&[&["create", "demo", "--no-wait", "--image", image][..], more].concat())
}

#[test]
fn mismatches_are_reported_before_anything_is_created() {
    let (sandbox, registry) = place(0);
    let sandbox = sandbox.variable(VARIABLE, "");
    let job = std::fs::read(jar(&sandbox, "job.jar", &vec![1; 3 << 20])).unwrap();
    // The beginning of the jar says enough; not all of it is read.
    let layer = archive("opt/flink/usrlib/job.jar", &job);
    let flink = gzip(b"this is never read");
    let layers = [
        (OCI_LAYER, flink.as_slice()),
        ("application/vnd.oci.image.layer.v1.tar", &layer),
    ];
    job_image(&registry, "team/app", "1.20", &layers);
    accepts_demo(&sandbox.server);
    sandbox
        .server
        .expect(crate::server::get("/api/v1/nodes"))
        .answer(nodes("arm64"));
    let image = registry.image("team/app:1.20");
    let outcome = create(
        &sandbox,
        &image,
        &["--savepoint-dir", "s3://bucket/x", "--flink-version", "1.20"],
    );
    works(&outcome);
    for expected in [
        "the image has Flink 2.3.0, but the cluster is configured for Flink 1.20",
        "job.jar is built for Java 17, and the image has Java 11",
        "the image is for linux/amd64, and all nodes are linux/arm64",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected:?} in {outcome}");
    }
    assert!(
        !outcome.stderr.contains("S3"),
        "of the layer only the beginning is known: {outcome}"
    );
    let place_of = |what: &str| outcome.requests.iter().position(|request| request.contains(what));
    let made = outcome
        .requests
        .iter()
        .position(|request| request.starts_with("PATCH") && !request.contains("dryRun"));
    assert!(place_of("/nodes") < made, "{:?}", outcome.requests);
    let log = registry.log();
    assert_eq!(log.len(), 3, "manifest, configuration and the job's layer: {log:#?}");
}

#[test]
fn a_missing_plugin_is_reported_when_all_added_layers_are_known() {
    for (file, warned) in [
        ("opt/flink/lib/a.jar", true),
        ("opt/flink/plugins/s3-fs-presto/a.jar", false),
    ] {
        let (sandbox, registry) = place(0);
        let sandbox = sandbox.variable(VARIABLE, "");
        let layer = gzip(&archive(file, b"x"));
        job_image(
            &registry,
            "team/app",
            "1",
            &[(OCI_LAYER, b"flink"), (OCI_LAYER, &layer)],
        );
        accepts_demo(&sandbox.server);
        sandbox
            .server
            .expect(crate::server::get("/api/v1/nodes"))
            .answer(nodes("amd64"));
        let flags = ["--savepoint-dir", "s3://bucket/x", "--flink-version", "2.3"];
        let outcome = create(&sandbox, &registry.image("team/app:1"), &flags);
        works(&outcome);
        assert_eq!(
            outcome.stderr.contains("needs a plugin for S3"),
            warned,
            "{file}: {outcome}"
        );
        assert_eq!(outcome.stderr.contains("warning:"), warned, "{file}: {outcome}");
    }
}

#[test]
fn an_index_has_an_image_for_each_platform_of_the_nodes() {
    let (sandbox, registry) = place(1);
    let sandbox = sandbox.variable(VARIABLE, "");
    let mut entry = registry.base("flink", "amd64", "amd64", &[]);
    let mut other = registry.base("flink", "arm64", "arm64", &[]);
    for (entry, architecture) in [(&mut entry, "amd64"), (&mut other, "arm64")] {
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
    }
    let index = json!({ "schemaVersion": 2, "mediaType": crate::registry::OCI_INDEX, "manifests": [entry, other] });
    registry.put("flink", "2.3.0", crate::registry::OCI_INDEX, &index);
    accepts_demo(&sandbox.server);
    // No request for the nodes: there is an image for each.
    let outcome = create(&sandbox, &registry.image("flink:2.3.0"), &[]);
    works(&outcome);
    assert!(!outcome.stderr.contains("warning:"), "{outcome}");
    assert_eq!(registry.log().len(), 3, "the index, one manifest, one configuration");
}

#[test]
fn a_registry_that_answers_nothing_does_not_delay_create() {
    let quiet = |sandbox: &Sandbox, image: &str, how: &str| {
        accepts_demo(&sandbox.server);
        let begun = Instant::now();
        let outcome = create(sandbox, image, &[]);
        works(&outcome);
        assert!(!outcome.stderr.contains("warning:"), "{how}: {outcome}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(4), "{how}: {took:?}");
    };
    let place = || {
        let (sandbox, registry) = place(1);
        (sandbox.variable(VARIABLE, ""), registry)
    };
    // Refusals and failures of every kind, each asked for once.
    for code in [401, 403, 404, 429, 500, 503] {
        let (sandbox, registry) = place();
        registry.fault(
            "GET",
            "/manifests/",
            usize::MAX,
            Fault::Status(code, &[("retry-after", "60")], "no"),
        );
        quiet(&sandbox, &registry.image("flink:1.20"), &code.to_string());
        assert_eq!(registry.log().len(), 1, "{code}");
    }
    let (sandbox, registry) = place();
    registry.ask_for("Bearer");
    quiet(&sandbox, &registry.image("flink:1.20"), "a login is asked for");
    registry.ask_for("Basic");
    sandbox.file(".docker/config.json", r#"{"credsStore": "missing"}"#);
    quiet(
        &sandbox,
        &registry.image("flink:1.20"),
        "credentials that cannot be read",
    );
    // A server that never answers, and no server at all.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("{}/flink:1.20", listener.local_addr().unwrap());
    quiet(&sandbox, &silent, "silence");
    drop(listener);
    quiet(&sandbox, &silent, "no server");
    // The layers break off.
    let (sandbox, registry) = place();
    registry.fault("GET", "/blobs/", usize::MAX, Fault::CutAnswer(5));
    quiet(&sandbox, &registry.image("flink:1.20"), "cut answers");
}

#[test]
fn the_image_check_can_be_turned_off() {
    let (sandbox, registry) = place(1);
    let looking = Sandbox::new().variable(VARIABLE, "");
    let image = registry.image("flink:1.20");
    accepts_demo(&sandbox.server);
    works(&create(&sandbox, &image, &[]));
    accepts_demo(&looking.server);
    works(&create(&looking, &image, &["--no-image-check"]));
    accepts_demo(&looking.server);
    works(&create(&looking, &image, &["--image-pull-policy", "Never"]));
    works(&create(&looking, &image, &["--dry-run=client"]));
    looking.file(".config/kubectl-flink/config.yaml", "defaults:\n  image-check: false\n");
    accepts_demo(&looking.server);
    works(&create(&looking, &image, &[]));
    assert_eq!(registry.log(), Vec::<String>::new());
}

/// The default counts for every command that changes the image.
#[cfg(unix)]
#[test]
fn the_image_check_of_a_change_can_be_turned_off() {
    let (_, registry) = place(1);
    let image = registry.image("flink:2.4");
    let editor = format!("sed -i s,flink:2.3.0,{image},");
    let commands: [&[&str]; 3] = [
        &["set", "image", "demo", &image, "--dry-run"],
        &["edit", "demo", "--dry-run"],
        &["upgrade", "demo", "--image", &image, "--dry-run"],
    ];
    for command in commands {
        for way in ["flag", "file", "none"] {
            let sandbox = running();
            let home = sandbox.home().display().to_string();
            let sandbox = sandbox.variable(VARIABLE, "").variable("TMPDIR", &home);
            let sandbox = sandbox.variable("KUBE_EDITOR", &editor);
            let flag: &[&str] = if way == "flag" { &["--no-image-check"] } else { &[] };
            if way == "file" {
                sandbox.file(".config/kubectl-flink/config.yaml", "defaults:\n  image-check: false\n");
            }
            let before = registry.log().len();
            let outcome = sandbox.run(&[command, flag].concat());
            assert_eq!(outcome.code, Some(0), "{way}: {outcome}");
            assert_eq!(registry.log().len() == before, way != "none", "{way}: {outcome}");
        }
    }
}
