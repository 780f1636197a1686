//! `image build` on a file that Docker's containerd image store writes: its index names all platforms of the image, and its
//! blobs are those of the platforms that were pulled.

use kubectl_flink::testing::Digest;
use serde_json::json;

use crate::image_place::{fails, place, whole, works};
use crate::pack;
use crate::registry::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};

/// What `docker save` writes of an image for amd64 and arm64, of which amd64 was `pulled`, or nothing.
fn saved(pulled: bool) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| pack::add(&mut archive, name, bytes);
    let mut blob = |kind: &str, bytes: &[u8], pulled: bool| {
        let digest = Digest::of(bytes).to_string();
        if pulled {
            add(&digest.replace("sha256:", "blobs/sha256/"), bytes);
        }
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    };
    let layer = b"a plain layer";
    let diff_ids = [Digest::of(layer)];
    let config = json!({ "os": "linux", "architecture": "amd64", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = blob(OCI_CONFIG, config.to_string().as_bytes(), pulled);
    let layer = blob("application/vnd.oci.image.layer.v1.tar", layer, pulled);
    let image = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
    let mut here = blob(OCI_MANIFEST, image.to_string().as_bytes(), pulled);
    let mut elsewhere = blob(OCI_MANIFEST, b"not pulled", false);
    here["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    elsewhere["platform"] = json!({ "os": "linux", "architecture": "arm64" });
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [here, elsewhere] });
    let index = blob(OCI_INDEX, index.to_string().as_bytes(), true);
    let layout = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [index] });
    add("index.json", layout.to_string().as_bytes());
    archive.into_inner().unwrap()
}

#[test]
fn the_platforms_that_were_pulled_are_the_base() {
    let (sandbox, registry) = place(0);
    let push = registry.image("from/saved:1");
    let build = [
        "image",
        "build",
        "--base",
        "saved.tar",
        "--jar",
        "app.jar",
        "--push",
        &push,
    ];
    std::fs::write(sandbox.home().join("saved.tar"), saved(true)).unwrap();
    works(&sandbox.run(&build));
    assert_eq!(
        whole(&registry, "from/saved", "1")["layers"].as_array().unwrap().len(),
        2
    );
    let other = [&build[..], &["--platform", "linux/arm64"][..]].concat();
    fails(
        &sandbox.run(&other),
        3,
        &["saved.tar is not for linux/arm64 but for linux/amd64"],
    );
    std::fs::write(sandbox.home().join("saved.tar"), saved(false)).unwrap();
    fails(
        &sandbox.run(&build),
        2,
        &["saved.tar: every image of its index is missing in it"],
    );
}
