//! `image build` and `image inspect` against registries that do things wrong.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::image_place::{build, fails, jar, place, whole, works};
use crate::registry::{Fault, OCI_CONFIG, OCI_MANIFEST, Registry};

#[test]
fn a_refusal_is_reported_in_the_words_of_the_registry() {
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
fn a_registry_that_refuses_mounts_gets_the_layers() {
    let (sandbox, registry) = place(2);
    registry.fault("POST", "?mount=", usize::MAX, Fault::Status(405, &[], "no mounts"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
}

/// Some do for a repository that does not exist yet.
#[test]
fn a_registry_that_does_not_say_what_it_has_gets_all() {
    let (sandbox, registry) = place(1);
    registry.fault("HEAD", "/team/app/", usize::MAX, Fault::Status(403, &[], "denied"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
}

#[test]
fn an_upload_that_is_cut_continues_where_it_was() {
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

/// As one of several behind one address that do not share their uploads.
#[test]
fn an_upload_that_the_registry_has_forgotten_begins_again() {
    for (method, status) in [("PATCH", 404), ("PATCH", 416), ("PUT", 404)] {
        let (sandbox, registry) = place(1);
        registry.fault(
            method,
            "/blobs/uploads/",
            1,
            Fault::Status(status, &[], "upload unknown"),
        );
        registry.fault("GET", "/blobs/uploads/", 1, Fault::Status(404, &[], "upload unknown"));
        works(&build(&sandbox, &registry, &[]));
        whole(&registry, "team/app", "1");
    }
    // One that forgets each of them is given up.
    let (sandbox, registry) = place(1);
    registry.fault(
        "PATCH",
        "/blobs/uploads/",
        usize::MAX,
        Fault::Status(404, &[], "upload unknown"),
    );
    fails(
        &build(&sandbox, &registry, &[]),
        3,
        &["is not pushed", "upload unknown"],
    );
}

/// As the CNCF registry does when its storage fails: it drops an upload that it cannot complete.
#[test]
fn an_upload_that_is_never_completed_is_given_up() {
    let (sandbox, registry) = place(1);
    works(&build(&sandbox, &registry, &[]));
    let layer = whole(&registry, "team/app", "1")["layers"][1]["digest"].clone();
    let layer: &'static str = layer.as_str().unwrap().to_owned().leak();
    registry.fault("PUT", layer, usize::MAX, Fault::Status(500, &[], "the storage fails"));
    registry.fault(
        "GET",
        "/blobs/uploads/",
        usize::MAX,
        Fault::Status(404, &[], "upload unknown"),
    );
    let push = registry.image("again/app:1");
    let outcome = build(&sandbox, &registry, &["--push", &push]);
    fails(&outcome, 1, &["is not pushed", "the storage fails"]);
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
fn a_registry_that_is_not_there_is_said_to_be_unreachable() {
    let (sandbox, _) = place(1);
    // No port that was free a moment ago: another test may listen there by now.
    let closed = "127.0.0.1:1";
    let image = format!("{closed}/app:1");
    fails(
        &sandbox.run(&["image", "inspect", &image]),
        7,
        &[closed, "cannot be reached"],
    );
}

/// Puts an image under `flink:odd` whose one layer has `size` bytes according to its manifest.
fn odd(registry: &Registry, layer: &[u8], size: &Value) -> String {
    let config = json!({ "os": "linux", "architecture": "amd64", "config": {}, "rootfs": { "type": "layers", "diff_ids": [kubectl_flink::testing::Digest::of(b"x")] } });
    let mut config = registry.blob("flink", config.to_string().as_bytes());
    config["mediaType"] = json!(OCI_CONFIG);
    let mut layer = registry.blob("flink", layer);
    layer["size"] = size.clone();
    let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
    registry.put("flink", "odd", OCI_MANIFEST, &manifest);
    registry.image("flink:odd")
}

#[test]
fn no_more_of_a_blob_is_read_than_its_manifest_says() {
    let (sandbox, registry) = place(0);
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let layer = crate::pack::gzip(&crate::pack::archive("opt/flink/usrlib/a.jar", &noise));
    let base = odd(&registry, &layer, &json!(2000));
    let inspect = ["image", "inspect", base.as_str(), "--all-layers"];
    fails(&sandbox.run(&inspect), 1, &["sends more", "2000 bytes"]);
    let write = [
        "image",
        "build",
        "--base",
        &base,
        "--jar",
        "app.jar",
        "--tag",
        "team/app:1",
        "--output",
        "app.tar",
    ];
    fails(&sandbox.run(&write), 1, &["is not what was sent for it"]);
    assert!(!sandbox.home().join("app.tar").exists());
    for size in [json!(u64::MAX), json!(-1)] {
        odd(&registry, &layer, &size);
        fails(&sandbox.run(&inspect), 1, &["cannot be parsed"]);
    }
}

#[test]
fn a_manifest_without_an_end_is_refused_and_not_asked_for_again() {
    let (sandbox, registry) = place(0);
    let manifest = json!({ "schemaVersion": 2, "x": "x".repeat(5 << 20) });
    registry.put("flink", "endless", OCI_MANIFEST, &manifest);
    let outcome = sandbox.run(&["image", "inspect", &registry.image("flink:endless")]);
    fails(&outcome, 1, &["longer than 4194304 bytes"]);
    assert_eq!(registry.log().len(), 1);
}

#[test]
fn a_layer_with_names_without_an_end_is_refused() {
    let (sandbox, registry) = place(0);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(1 << 30);
    header.set_cksum();
    let mut layer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    layer.write_all(header.as_bytes()).unwrap();
    for _ in 0..64 {
        layer.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    let layer = layer.finish().unwrap();
    let base = odd(&registry, &layer, &json!(layer.len()));
    let begun = Instant::now();
    fails(&sandbox.run(&["image", "inspect", &base]), 1, &["too long"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
