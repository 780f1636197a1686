//! From a jar on disk to the image of a cluster, and how an image goes with its cluster.

use kubectl_flink::testing::Digest;
use serde_json::{Value, json};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE, running};
use crate::explain::may_read_nothing;
use crate::image_place::{fails, place, whole, works};
use crate::registry::Registry;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, Server, get, patch, post, put, status, text};

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

/// A namespace in which demo does not exist and is created.
pub fn accepts_demo(server: &Server) {
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(text(201, "{}"));
        server.expect(patch(path).no_query("dryRun")).answer(text(201, "{}"));
    }
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "none"));
    server
        .expect(post("/api/v1/namespaces/default/configmaps"))
        .answer(text(201, r#"{"metadata": {"resourceVersion": "1"}}"#));
    server
        .expect(put(HISTORY))
        .answer(text(200, r#"{"metadata": {"resourceVersion": "2"}}"#));
}

#[test]
fn a_cluster_gets_the_image_with_its_jar_by_its_digest() {
    let (sandbox, registry) = place(2);
    accepts_demo(&sandbox.server);
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

/// The jar's manifest names another class.
#[test]
fn the_entry_class_of_a_file_is_kept_when_a_jar_is_put_on_its_image() {
    let (sandbox, registry) = place(1);
    let world = running().world().clone();
    sandbox.server.live_in(world);
    let (base, push) = (registry.image("flink:2.3.0"), registry.image("team/app"));
    let file = format!(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{name: demo}}\nspec:\n  image: {base}\n  \
         flinkVersion: v2_3\n  job: {{entryClass: com.example.WordCount, parallelism: 1}}\n"
    );
    sandbox.file("demo.yaml", &file);
    let flags = ["--jar", "app.jar", "--push-to", &push, "--dry-run", "-o", "yaml"];
    let outcome = sandbox.run(&[&["upgrade", "-f", "demo.yaml"], &flags[..]].concat());
    works(&outcome);
    assert!(outcome.stdout.contains("com.example.WordCount"), "{outcome}");
    assert!(!outcome.stdout.contains("com.example.Job"), "{outcome}");
}

#[test]
fn a_jar_that_is_put_on_the_image_takes_the_place_of_the_one_that_a_file_names_there() {
    let (sandbox, registry) = place(1);
    let (base, push) = (registry.image("flink:2.3.0"), registry.image("team/app"));
    let file = format!(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{name: demo}}\nspec:\n  image: {base}\n  \
         flinkVersion: v2_3\n  job: {{jarURI: 'local:///opt/flink/usrlib/old.jar', parallelism: 1}}\n"
    );
    sandbox.file("demo.yaml", &file);
    let flags = ["--dry-run=client", "-o", "yaml"];
    let outcome = sandbox.run(&[&["create", "-f", "demo.yaml"], &flags[..]].concat());
    works(&outcome);
    assert!(outcome.stdout.contains("usrlib/old.jar"), "{outcome}");
    let jar = ["--jar", "app.jar", "--push-to", &push];
    let outcome = sandbox.run(&[&["create", "-f", "demo.yaml"], &jar[..], &flags[..]].concat());
    works(&outcome);
    assert!(outcome.stdout.contains("com.example.Job"), "{outcome}");
    assert!(!outcome.stdout.contains("old.jar"), "{outcome}");
}

#[test]
fn a_jar_beside_a_sql_script_is_refused_with_the_way_to_add_it() {
    let (sandbox, registry) = place(1);
    sandbox.file("job.sql", "SELECT 1;");
    let outcome = create(&sandbox, &registry, &["--sql", "job.sql", "--dry-run=client"]);
    fails(
        &outcome,
        2,
        &["a SQL script is the whole job", "image build --lib FILE"],
    );
    assert_eq!(registry.log(), Vec::<String>::new());
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

/// The answer for nodes of one kind of processor.
pub fn nodes(architecture: &str) -> Answer {
    let labels = json!({ "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture });
    let list =
        json!({ "kind": "PartialObjectMetadataList", "items": [{ "metadata": { "name": "a", "labels": labels } }] });
    text(200, &list.to_string()).header("content-type", "application/json")
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
        .times(kubectl_flink::testing::RIGHTS.len())
        .answer(object(json!({ "status": { "allowed": true } })));
    may_read_nothing(server);
    let container = json!({ "name": "flink-master", "image": registry.image("flink:2.3.0"), "args": ["job-cluster", "-Dstate.savepoints.dir=s3://bucket/x"] });
    let job = json!({ "metadata": { "annotations": { "kubectl-flink/flink-version": "1.20" } },
        "spec": { "template": { "spec": { "containers": [container] } } } });
    server.expect(get(JOB)).answer(object(job));
    server.expect(get(DEPLOYMENT)).answer(status(404, "NotFound", "none"));
    server.expect(get("/api/v1/nodes")).answer(nodes("arm64"));
    let mesh = json!([{"name": "flink-master"}, {"name": "istio-proxy"}]);
    let owner =
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "j", "controller": true}]);
    server
        .expect(get("/api/v1/namespaces/default/pods").no_query("fieldSelector"))
        .answer(object(json!({"items": [
        {"metadata": {"name": "demo-master-a", "ownerReferences": owner}, "spec": {"containers": mesh}}]})));
    let outcome = sandbox.run(&["doctor", "demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for expected in [
        "the image is for linux/amd64, and all nodes are linux/arm64",
        "the image has Flink 2.3.0, but the cluster is configured for Flink 1.20",
        "the image has the official entrypoint, but the cluster is configured for the legacy one",
        "s3://bucket/x needs a plugin for S3, and the image has none",
        "container istio-proxy, added by admission, keeps the JobManager's Pod",
        "--annotation sidecar.istio.io/nativeSidecar=true",
    ] {
        assert!(outcome.stdout.contains(expected), "{expected:?} in {outcome}");
    }
}
