//! The objects that `create` renders from flags, variables, files and templates, without an API server.

use serde_json::Value;

use crate::demo::client_run;
use crate::sandbox::{Outcome, Sandbox};
use crate::snapshot;

/// What `create demo` with these flags makes.
fn rendered(flags: &[&str]) -> Outcome {
    client_run(&[&["-o", "yaml"], flags].concat())
}

#[test]
fn defaults() {
    snapshot!(rendered(&[]));
}

#[test]
fn job_options_and_program_arguments() {
    snapshot!(rendered(&[
        "--job-classname",
        "com.example.Job",
        "--job-id-seed",
        "demo",
        "--fromSavepoint",
        "s3://b/sp",
        "--allowNonRestoredState",
        "--jar",
        "s3://b/a.jar",
        "-D",
        "key=a value",
        "-Dother=$(X) $$ $HOME",
        "--",
        "--input",
        "$(POD_IP)",
        "",
        "y"
    ]));
}

#[test]
fn parallelism_and_slots() {
    snapshot!(rendered(&["-p", "5", "--slots", "2"]));
}

#[test]
fn resources() {
    snapshot!(rendered(&[
        "--jobmanager-memory",
        "2048m",
        "--taskmanager-memory",
        "4g",
        "--jobmanager-cpu",
        "0.5",
        "--taskmanager-cpu",
        "2"
    ]));
}

#[test]
fn high_availability() {
    snapshot!(rendered(&[
        "--ha",
        "s3://b/ha",
        "--service-account",
        "flink",
        "--savepoint-dir",
        "s3://b/sp",
        "--checkpoint-dir",
        "s3://b/cp"
    ]));
}

#[test]
fn the_node_port_of_flinks_templates() {
    snapshot!(rendered(&["--node-port"]));
}

#[test]
fn legacy_words_and_the_restart_policy_of_flinks_templates() {
    snapshot!(rendered(&["--entrypoint", "legacy", "--restart", "on-failure"]));
}

#[test]
fn metadata_environment_mounts_and_secrets() {
    snapshot!(rendered(&[
        "--label",
        "team=a",
        "--annotation",
        "note=yes",
        "--env",
        "TZ=UTC",
        "--env",
        "PRICE=$(X)",
        "--mount",
        "claim:/data:ro",
        "--image-pull-secret",
        "registry",
        "--image-pull-policy",
        "always"
    ]));
}

#[test]
fn values_that_yaml_1_1_takes_for_others() {
    let arguments = [
        "-Dkey=~", "--label", "a=yes", "--env", "E=1:30", "--", "1_000", "0x1f", "no", "on", "null",
    ];
    snapshot!(rendered(&arguments));
}

#[test]
fn the_variables_of_flinks_templates_are_defaults() {
    let sandbox = Sandbox::bare()
        .variable("FLINK_APPLICATION_NAME", "demo")
        .variable("FLINK_IMAGE_NAME", "flink:1.20.5")
        .variable("FLINK_JOB_PARALLELISM", "3")
        .variable(
            "FLINK_JOB_ARGUMENTS",
            r#""--job-classname", "com.example.Job", "--input", "a b""#,
        );
    snapshot!(sandbox.run(&["create", "--dry-run=client", "-o", "yaml"]));
}

#[test]
fn a_flink_deployment_from_standard_input() {
    let sandbox = Sandbox::bare().stdin(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: basic, namespace: team}\n\
         spec:\n  image: flink:1.20.5\n  flinkVersion: v1_20\n  flinkConfiguration: {taskmanager.numberOfTaskSlots: '2'}\n\
         \x20 serviceAccount: flink\n  jobManager: {resource: {memory: 2048m, cpu: 1}}\n  taskManager: {resource: {memory: 2048m, cpu: 1}}\n\
         \x20 podTemplate: {spec: {containers: [{name: flink-main-container, volumeMounts: [{name: v, mountPath: /v}]}], volumes: [{name: v, emptyDir: {}}]}}\n\
         \x20 job: {jarURI: 'local:///opt/flink/usrlib/a.jar', entryClass: com.example.Job, args: [--x, '1'], parallelism: 4, upgradeMode: stateless}\n",
    );
    snapshot!(sandbox.run(&["create", "-f", "-", "--dry-run=client", "-o", "yaml"]));
}

#[test]
fn templates_of_the_users_own() {
    let sandbox = Sandbox::bare();
    let folder = sandbox.home().join("mine");
    let folder = folder.to_str().unwrap();
    assert_eq!(sandbox.run(&["manifests", folder]).code, Some(0));
    let job = sandbox.home().join("mine/job-cluster-job.yaml.template");
    let text = std::fs::read_to_string(&job).unwrap();
    std::fs::write(&job, text.replace("backoffLimit: 1000", "backoffLimit: 3")).unwrap();
    let outcome = sandbox.run(&[
        "create",
        "demo",
        "--image",
        "a:1",
        "--manifests",
        folder,
        "--dry-run=client",
        "-o",
        "yaml",
    ]);
    assert!(outcome.stdout.contains("backoffLimit: 3\n"), "{outcome}");
    let again = sandbox.run(&["manifests", folder]);
    assert_eq!(again.code, Some(8), "{again}");
}

#[test]
fn templates_after_flinks_documentation_get_the_parallelism_and_the_address() {
    let sandbox = Sandbox::bare();
    let pod = |args: &str| format!("spec: {{template: {{spec: {{containers: [{{name: a, args: [{args}]}}]}}}}}}\n");
    let service = "kind: Service\nmetadata: {name: flink-jobmanager}\nspec: {ports: [{name: rpc, port: 6123}]}\n";
    let job = pod("standalone-job, --job-classname, a.B, $FLINK_JOB_ARGUMENTS, --x");
    let all = format!(
        "{service}---\nkind: Job\n{job}---\nkind: Deployment\n{}",
        pod("taskmanager")
    );
    let file = sandbox.file("docs/all.yaml", &all);
    let folder = file.parent().unwrap().to_str().unwrap();
    let arguments = |more: &[&str]| {
        let fixed = [
            "create",
            "demo",
            "--image=a:1",
            "--dry-run=client",
            "-o",
            "json",
            "--manifests",
        ];
        let outcome = sandbox.run(&[&fixed[..], &[folder], more].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let made: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let args = &made["items"][1]["spec"]["template"]["spec"]["containers"][0]["args"];
        let args: Vec<&str> = args
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        args.join(" ")
    };
    let start = "standalone-job -Djobmanager.rpc.address=demo-master --job-classname a.B";
    assert_eq!(arguments(&[]), format!("{start} --x"));
    assert_eq!(arguments(&["-p", "3"]), format!("{start} -Dparallelism.default=3 --x"));
    // That of all slots, if only the number of TaskManagers is given.
    let three = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\n\
                 spec: {image: 'a:1', taskManager: {replicas: 3}, job: {}}\n";
    let three = sandbox.file("three.yaml", three);
    let made = arguments(&["-f", three.to_str().unwrap()]);
    assert!(made.starts_with(&format!("{start} -Dparallelism.default=3 ")), "{made}");
}

#[test]
fn a_dry_run_names_the_objects() {
    snapshot!(Sandbox::bare().run(&["create", "demo", "--image", "a:1", "--dry-run"]));
}

/// The kubelet makes the file of the annotation: the script is in the Job itself.
#[test]
fn a_sql_script_is_the_job() {
    let sandbox = Sandbox::bare();
    let script = "CREATE TABLE a (n INT);\n\nINSERT INTO b SELECT '$(X) $$' FROM a;\n";
    sandbox.file("job.sql", script);
    let path = sandbox.home().join("job.sql");
    let path = path.to_str().unwrap();
    let flags = |image: &'static str| {
        [
            "create",
            "demo",
            "--image",
            image,
            "--dry-run=client",
            "-o",
            "json",
            "--sql",
        ]
    };
    let made = sandbox.run(&[&flags("flink:2.3.0")[..], &[path]].concat());
    assert_eq!(made.code, Some(0), "{made}");
    let list: Value = serde_json::from_str(&made.stdout).unwrap();
    let template = &list["items"][1]["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["kubectl-flink/sql"], script);
    let container = &template["spec"]["containers"][0];
    let arguments: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let class = "org.apache.flink.table.runtime.application.SqlDriver";
    assert!(
        arguments.windows(2).any(|pair| pair == ["--job-classname", class]),
        "{arguments:?}"
    );
    assert_eq!(
        arguments[arguments.len() - 2..],
        ["--scriptUri", "file:///opt/flink/sql/script.sql"]
    );
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/opt/flink/sql");
    let item = &template["spec"]["volumes"][0]["downwardAPI"]["items"][0];
    assert_eq!(item["path"], "script.sql");
    assert_eq!(
        item["fieldRef"]["fieldPath"],
        "metadata.annotations['kubectl-flink/sql']"
    );
    // The TaskManagers run what the JobManager sends them.
    assert!(!list["items"][2].to_string().contains("script.sql"));

    let old = sandbox.run(&[&flags("flink:1.20.5")[..], &[path]].concat());
    assert_eq!(old.code, Some(2), "{old}");
    assert!(old.stderr.contains("Flink 1.20 cannot run a SQL script"), "{old}");
    for more in [&["--job-class", "a.B"][..], &["--", "x"], &["--sql", "no/such.sql"]] {
        let refused = sandbox.run(&[&flags("flink:2.3.0")[..], &[path], more].concat());
        assert_eq!(refused.code, Some(2), "{refused}");
    }
    sandbox.file("empty.sql", " \n");
    let empty = sandbox.home().join("empty.sql");
    let refused = sandbox.run(&[&flags("flink:2.3.0")[..], &[empty.to_str().unwrap()]].concat());
    assert!(refused.stderr.contains("the SQL script is empty"), "{refused}");
    // What does not fit is refused before anything is asked or made.
    let sandbox = Sandbox::new();
    let large = sandbox.file("large.sql", &"SELECT 1;\n".repeat(20_001));
    let refused = sandbox.run(&[
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "--sql",
        large.to_str().unwrap(),
    ]);
    assert_eq!(refused.code, Some(2), "{refused}");
    let why = "the SQL script has 200010 bytes, at most 200000 fit into a cluster";
    assert!(refused.stderr.contains(why) && refused.requests.is_empty(), "{refused}");
}
