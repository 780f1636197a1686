//! The configuration file, and the effect of its defaults.

use std::fs;

use serde_json::{Value, json as tree};

use crate::objects::{deployment_table, job_table};
use crate::sandbox::Sandbox;
use crate::server::{get, json};
use crate::snapshot;

const FILE: &str = ".config/kubectl-flink/config.yaml";

fn image_of(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let outcome = sandbox.run(&[&["create", "demo", "--dry-run=client", "-o", "json"], arguments].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let job = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["kind"] == "Job")
        .unwrap();
    let pod = &job["spec"]["template"]["spec"];
    format!(
        "{} {}",
        pod["containers"][0]["image"].as_str().unwrap(),
        pod["serviceAccountName"].as_str().unwrap_or("-")
    )
}

#[test]
fn defaults_apply_to_the_context_and_namespace_that_they_are_set_for() {
    let sandbox = Sandbox::new();
    sandbox.file("other", &sandbox.kubeconfig("other"));
    for arguments in [
        &["set", "image", "everywhere:2.3"][..],
        &["set", "image", "context:2.3", "--context", "test"],
        &["set", "service-account", "flink", "-n", "billing"],
    ] {
        let outcome = sandbox.run(&[&["config"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
    assert_eq!(image_of(&sandbox, &[]), "context:2.3 -");
    assert_eq!(image_of(&sandbox, &["-n", "billing"]), "context:2.3 flink");
    assert_eq!(image_of(&sandbox, &["--image", "flag:2.3"]), "flag:2.3 -");
    assert_eq!(image_of(&sandbox, &["--kubeconfig", "other"]), "everywhere:2.3 -");
    snapshot!(sandbox.run(&["config", "view", "-n", "billing"]));
    let outcome = sandbox.run(&["config", "unset", "image", "--context", "test"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(image_of(&sandbox, &[]), "everywhere:2.3 -");
    let text = fs::read_to_string(sandbox.home().join(FILE)).unwrap();
    let file: Value = tree!({"defaults": {"image": "everywhere:2.3"},
        "contexts": {"test": {"namespaces": {"billing": {"service-account": "flink"}}}}});
    assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), file);
}

#[test]
fn the_environment_wins_over_the_file() {
    let sandbox = Sandbox::new().variable("FLINK_IMAGE_NAME", "environment:2.3");
    sandbox.file(FILE, "defaults: {image: 'file:2.3'}\n");
    assert_eq!(image_of(&sandbox, &[]), "environment:2.3 -");
}

/// Its owner alone reads it, no draft is left, and a link to it stays one.
#[cfg(unix)]
#[test]
fn the_file_is_written_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let real = sandbox.file("dotfiles/config.yaml", "defaults: {output: wide}\n");
    fs::create_dir_all(sandbox.home().join(".config/kubectl-flink")).unwrap();
    std::os::unix::fs::symlink(&real, sandbox.home().join(FILE)).unwrap();
    let outcome = sandbox.run(&["config", "set", "ha", "s3://bucket/ha"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(fs::symlink_metadata(sandbox.home().join(FILE)).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    let file: Value = serde_yaml::from_str(&fs::read_to_string(&real).unwrap()).unwrap();
    assert_eq!(file, tree!({"defaults": {"ha": "s3://bucket/ha", "output": "wide"}}));
    assert_eq!(fs::read_dir(real.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_variable_names_another_file() {
    let sandbox = Sandbox::new().variable("KUBECTL_FLINK_CONFIG", "mine.yaml");
    assert_eq!(sandbox.run(&["config", "path"]).stdout, "mine.yaml\n");
    assert_eq!(sandbox.run(&["config", "set", "image", "mine:2.3"]).code, Some(0));
    assert_eq!(image_of(&sandbox, &[]), "mine:2.3 -");
    assert!(!sandbox.home().join(FILE).exists());
}

#[test]
fn high_availability_of_the_file_can_be_turned_off() {
    let sandbox = Sandbox::new();
    sandbox.file(FILE, "defaults: {ha: 's3://bucket/ha'}\n");
    let words = |arguments: &[&str]| {
        let create = [
            "create",
            "demo",
            "--image",
            "mine:2.3",
            "--dry-run=client",
            "-o",
            "json",
        ];
        let outcome = sandbox.run(&[&create[..], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome.stdout
    };
    assert!(words(&[]).contains("high-availability"));
    assert!(!words(&["--no-ha"]).contains("high-availability"));
    let file = sandbox.file(
        "f.yaml",
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\nspec:\n  job: {jarURI: local:///a.jar}\n  flinkConfiguration:\n    \
         high-availability.type: kubernetes\n    high-availability.storageDir: s3://other/ha\n",
    );
    let file = file.to_str().unwrap();
    let by_file = sandbox.run(&[
        "create",
        "-f",
        file,
        "--image",
        "mine:2.3",
        "--dry-run=client",
        "-o",
        "json",
        "--no-ha",
    ]);
    assert!(
        by_file.code == Some(0) && !by_file.stdout.contains("high-availability"),
        "{by_file}"
    );
}

#[test]
fn the_format_is_that_of_the_file() {
    let sandbox = Sandbox::new();
    sandbox.file(FILE, "defaults: {output: yaml}\n");
    let lists = || {
        for (path, list) in [
            ("/apis/batch/v1/namespaces/default/jobs", job_table(&[])),
            ("/apis/apps/v1/namespaces/default/deployments", deployment_table(&[])),
        ] {
            sandbox.server.expect(get(path)).answer(json(&list));
        }
    };
    lists();
    let by_file = sandbox.run(&["list"]);
    assert!(
        by_file
            .stdout
            .starts_with("apiVersion: kubectl-flink/v2\nkind: ClusterList\n"),
        "{by_file}"
    );
    lists();
    let by_flag = sandbox.run(&["list", "-o", "json"]);
    assert!(by_flag.stdout.starts_with('{'), "{by_flag}");
}

#[test]
fn a_key_that_does_not_exist() {
    let sandbox = Sandbox::new();
    sandbox.file(FILE, "contexts:\n  test:\n    savepointdir: s3://bucket\n");
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn a_broken_file_affects_only_commands_that_need_it() {
    let sandbox = Sandbox::new();
    sandbox.file(FILE, "defaults: [\n");
    assert_eq!(sandbox.run(&["version", "--client"]).code, Some(0));
    assert_eq!(sandbox.run(&["config", "path"]).code, Some(0));
    let outcome = sandbox.run(&["config", "set", "image", "a"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("config.yaml:"), "{outcome}");
    assert_eq!(fs::read_to_string(sandbox.home().join(FILE)).unwrap(), "defaults: [\n");
}

#[test]
fn a_key_and_a_value_that_cannot_be_set() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.run(&["config", "set", "savepoint-dri", "s3://bucket"]));
    let outcome = sandbox.run(&["config", "set", "access", "tunnel"]);
    assert!(
        outcome
            .stderr
            .contains("\"tunnel\" is none of auto, proxy, port-forward"),
        "{outcome}"
    );
    assert_eq!(outcome.code, Some(2));
    assert!(!sandbox.home().join(FILE).exists());
}

/// A cluster can have the name of a subcommand.
#[test]
fn a_cluster_named_view() {
    let sandbox = Sandbox::new();
    let jobs = "/api/v1/namespaces/default/services/view-master:8081/proxy/jobmanager/config";
    sandbox
        .server
        .expect(get(jobs))
        .answer(json(&tree!([{"key": "rest.port", "value": "8081"}])));
    let pods = "/api/v1/namespaces/default/pods";
    sandbox.server.expect(get(pods)).answer(json(
        &tree!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}),
    ));
    let outcome = sandbox.run(&["config", "--", "view"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("rest.port"), "{outcome}");
}
