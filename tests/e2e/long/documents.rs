//! Every command line of the documents is typed, in the document's order. `tests/long docs` runs these.
//!
//! What is not the reader's own is swapped: registries, buckets, images. What happens between two lines and the document
//! leaves out (a foreign cluster, another jar) is done aside.

use serde_json::json;

use crate::image::{base_in_a_file, jars};
use crate::inout::{custom_resource, flink_deployment};
use crate::place::{Place, SMALL, STORAGE, counting_job, flink_version, soon};
use crate::registry::Registry;
use crate::story::Story;

/// The flags of a cluster that starts fast, as they are typed.
fn small() -> String {
    SMALL.map(|flag| format!("'{flag}'")).join(" ")
}

/// What all documents say and no reader has.
fn known(story: &mut Story) {
    story.swap("counting-job:2.3.0", &counting_job());
    story.swap(
        "kubectl flink create demo",
        &format!("kubectl flink create demo {}", small()),
    );
}

/// The image of the test cluster has Flink's examples in another place.
fn examples(story: &mut Story) {
    story.swap(
        "--image flink:2.3.0 --jar local:///opt/flink/examples/streaming/StateMachineExample.jar",
        &format!(
            "--image state-machine:{} --job-class org.apache.flink.streaming.examples.statemachine.StateMachineExample",
            flink_version()
        ),
    );
    story.swap(
        "kubectl flink create first",
        &format!("kubectl flink create first {}", small()),
    );
}

/// A registry with the base image in it, which stands for those that the documents name.
fn registry(story: &mut Story) -> Registry {
    let place = story.place;
    let registry = Registry::start(place, &place.folder().join("store"), false, None);
    let base = registry.image(&format!("flink:{}", flink_version()));
    let file = base_in_a_file(place);
    place
        .flink(&["image", "build", "--base", &file, "--label", "a=b", "--push", &base])
        .ok();
    std::fs::remove_file(file).unwrap();
    story.swap("registry.example/", &registry.image(""));
    story.swap(" flink:2.3.0", &format!(" {base}"));
    registry
}

#[test]
fn the_readme_and_troubleshooting() {
    let place = Place::with_storage("readme");
    let mut story = Story::new(&place, "README.md");
    examples(&mut story);
    known(&mut story);
    let _registry = registry(&mut story);
    std::fs::copy(crate::story::jar(), story.home().join("app.jar")).unwrap();
    let flags = format!("--image {} --mount storage:/storage {}", counting_job(), small());

    // From a jar first, then from an image.
    story.up_to("kubectl flink create demo --image counting-job");
    assert_eq!(place.runs("demo"), 3);
    story.aside("kubectl flink delete demo --yes --cancel --purge");
    story.up_to("kubectl flink status demo");
    let counted = place.counted("demo", 100);
    story.aside(&format!(
        "kubectl flink create broken --dry-run=client -o yaml {flags} \
         | sed '/kind: Deployment/,$s/rpc.address=broken-master/rpc.address=other-master/' | kubectl apply -f -"
    ));
    story.up_to("kubectl flink why broken");
    soon("the TaskManager looks for another JobManager", || {
        let run = place.flink(&["why", "broken"]);
        run.stdout.contains("rpc-address").then_some(())
    });
    let why = story.line();
    for shown in ["rpc-address", "broken-master", "other-master"] {
        assert!(why.stdout.contains(shown), "{why}");
    }
    story.aside("kubectl flink delete broken --yes --cancel");

    story.up_to("kubectl flink config demo");
    let config = story.line();
    assert!(config.stdout.contains("2s"), "{config}");
    for follows in ["logs demo -f", "events demo -w"] {
        story.up_to(&format!("kubectl flink {follows}"));
        story.watched();
    }
    // In a pipe `top` is printed once.
    story.up_to("kubectl flink ui demo");
    story.watched();
    let doctor = story.line();
    assert!(doctor.stdout.contains("rights"), "{doctor}");

    story.up_to("kubectl flink savepoint dispose");
    let written = place.last_savepoint("demo");
    // A reader has a terminal, and is asked there.
    story.swap(
        "file:/storage/savepoints/savepoint-4a30e2-d3a9aca1153c",
        &format!("{written} --yes"),
    );
    story.swap(
        "my-batch:1.0 --rm",
        &format!("{} --rm {} -- --finish-after 100", counting_job(), small()),
    );
    story.up_to("kubectl flink upgrade demo --image absent");
    assert!(!place.exists("job/nightly-master"), "--rm left it");
    story.aside("kubectl flink savepoint-resume demo");
    place.continued("demo", counted);
    story.line().reports(&["absent-job", "changed nothing"]);
    place.continued("demo", counted);
    // When its savepoint is known: `upgrade.rs` kills one before that.
    let open = ["saved", "replacing", "waiting"];
    story.killed(|| open.iter().any(|step| place.journal()["step"] == *step).then_some(()));
    let status = story.line();
    assert!(status.stdout.contains("--continue"), "{status}");
    story.line();
    place.continued("demo", counted);

    let mut trouble = Story::new(&place, "docs/troubleshooting.md");
    known(&mut trouble);
    trouble.rest();

    // Of the operator's and of other hands.
    story.up_to("kubectl flink create -f flinkdeployment.yaml");
    assert!(place.restored("demo") >= counted);
    story.aside("kubectl flink delete demo --savepoint --yes");
    let file = flink_deployment("orders", "running", "");
    story.file("flinkdeployment.yaml", &file.to_string());
    story.aside(&format!(
        "kubectl flink create shop --savepoint-dir file:///storage/savepoints --dry-run=client -o yaml {flags} | kubectl apply -f -"
    ));
    story.up_to("kubectl flink adopt --from-flinkdeployment shop");
    place.counted("shop", 50);
    story.aside("kubectl flink delete shop --savepoint --yes");
    let written = place.last_savepoint("shop");
    story.aside("kubectl flink delete shop --purge --yes");
    custom_resource(&place);
    place.apply(&flink_deployment("shop", "suspended", &written).to_string());
    story.line();
    assert!(place.restored("shop") >= 50);
    story.rest();
    assert_eq!(place.runs("shop-test"), 3);
    assert_eq!(place.runs("shop"), 3);
}

#[test]
fn images() {
    let place = Place::with_storage("imagedoc");
    let mut story = Story::new(&place, "docs/image.md");
    known(&mut story);
    // As the document says, a job that is upgraded has a folder for its savepoints.
    story.swap(
        "kubectl flink create demo",
        &format!("kubectl flink create demo {}", STORAGE.join(" ")),
    );
    let _registry = registry(&mut story);
    let [first, second] = jars(&place);
    let put = |name: &str, jar: &str| std::fs::copy(jar, story.home().join(name)).unwrap();
    put("app.jar", &first);
    put("driver.jar", &second);
    std::fs::create_dir(story.home().join("s3-fs-presto")).unwrap();
    put("s3-fs-presto/s3-fs-presto.jar", &second);
    story.file("settings.xml", "<settings/>");

    story.up_to("kubectl flink upgrade demo");
    let before = place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    std::fs::copy(&second, story.home().join("app.jar")).unwrap();
    story.line();
    let after = place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_ne!(before, after);
    let built = story.line();
    assert!(built.stdout.contains("/team/app@sha256:"), "{built}");
    let shown_there = story.line().stdout;
    for shown in ["Flink:", "official", "app.jar", "s3-fs-presto"] {
        assert!(shown_there.contains(shown), "{shown}: {shown_there}");
    }
    story.rest();
}

#[test]
fn the_operator_and_back() {
    let place = Place::with_storage("operatordoc");
    custom_resource(&place);
    let mut story = Story::new(&place, "docs/operator.md");
    known(&mut story);
    let running = flink_deployment("orders", "running", "");
    story.file("flinkdeployment.yaml", &running.to_string());
    // Without Pods: what becomes of a file is looked at, not its job.
    for (file, name) in [
        ("jobs/a.yaml", "payments"),
        ("jobs/more/b.yaml", "refunds"),
        ("overlays/prod/c.yaml", "bills"),
    ] {
        story.file(file, &flink_deployment(name, "suspended", "").to_string());
    }
    let kustomization = json!({"resources": ["c.yaml"], "namePrefix": "prod-"});
    story.file("overlays/prod/kustomization.yaml", &kustomization.to_string());

    story.up_to("kubectl patch flinkdeployment orders");
    let counted = place.counted("orders", 50);
    let history = |name: &str| place.exists(&format!("configmap/{name}-history"));
    assert!(["payments", "refunds", "prod-bills"].into_iter().all(history));
    // The operator's from here on, which this test plays.
    story.aside("kubectl flink delete orders --savepoint --yes");
    let written = place.last_savepoint("orders");
    story.aside("kubectl flink delete orders payments refunds prod-bills --purge --yes");
    place.apply(&flink_deployment("orders", "running", &written).to_string());
    story.line();
    assert_eq!(
        place.object("flinkdeployment/orders")["spec"]["job"]["state"],
        "suspended"
    );
    story.line();
    place.continued("orders", counted);

    story.aside(&format!(
        "kubectl flink create demo --image {} --dry-run=client -o yaml {} | kubectl apply -f -",
        counting_job(),
        small()
    ));
    story.up_to("kubectl flink savepoint orders");
    assert!(history("demo"));
    story.up_to("kubectl flink export orders -o kubernetes");
    let exported = std::fs::read_to_string(story.home().join("flinkdeployment.yaml")).unwrap();
    assert!(exported.contains(&place.last_savepoint("orders")), "{exported}");
    let plain = story.line().stdout;
    place.kubectl_with(&["diff", "-f", "-"], &plain).ok();
    story.rest();
}

#[test]
fn high_availability() {
    let place = Place::with_storage("hadoc");
    let mut story = Story::new(&place, "docs/high-availability.md");
    known(&mut story);
    story.swap(
        "--image IMAGE",
        &format!("--image {} --mount storage:/storage", counting_job()),
    );
    story.swap("s3://bucket/", "file:///storage/");
    story.rest();
    assert_eq!(place.runs("demo"), 3);
    assert!(place.exists("role/demo-high-availability"));
}

#[test]
fn getting_started() {
    let place = Place::with_storage("startdoc");
    let mut story = Story::new(&place, "docs/getting-started.md");
    examples(&mut story);
    known(&mut story);
    // It has no StorageClass; the claim is there.
    story.swap(
        "kubectl apply -f docs/claim.yaml",
        "kubectl get persistentvolumeclaim storage",
    );
    story.up_to("kubectl flink history demo");
    assert_eq!(place.running_revision(), "2");
    story.up_to("kubectl flink savepoint list demo");
    let listed = story.line().stdout;
    assert!(listed.contains("file:/storage/savepoints/savepoint-"), "{listed}");
    story.rest();
    place.runs("demo");
    assert_eq!(place.savepoints("demo").len(), 2);
}
