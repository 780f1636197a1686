//! `create` without a real cluster: what is rendered, what is refused, what is sent.

use std::time::Duration;

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, cut, get, json, patch, post, put, status, text};
use crate::snapshot;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What `create demo --image flink:2.3.0 --dry-run=client -o yaml` and more arguments print.
fn rendered(arguments: &[&str]) -> Outcome {
    let mut all = vec![
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "--dry-run=client",
        "-o",
        "yaml",
    ];
    all.extend(arguments);
    let outcome = Sandbox::bare().run(&all);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome
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
fn the_seeds_node_port() {
    snapshot!(rendered(&["--node-port"]));
}

#[test]
fn legacy_words_and_the_seeds_restart_policy() {
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
fn the_seeds_variables_are_defaults() {
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
fn a_dry_run_names_the_objects() {
    snapshot!(Sandbox::bare().run(&["create", "demo", "--image", "a:1", "--dry-run"]));
}

/// Each is refused with usage's exit code, before anything is sent: the sandbox fails on any request.
#[test]
fn bad_input_is_refused_and_nothing_is_sent() {
    let sandbox = Sandbox::new();
    sandbox.file("broken.yaml", "apiVersion: flink.apache.org/v1beta1\nkind: [\n");
    sandbox.file(
        "unknown.yaml",
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: a}\nspec: {imagee: b, job: {parallelism: 1}, ingress: {template: x}}\n",
    );
    let broken = sandbox.home().join("broken.yaml");
    let unknown = sandbox.home().join("unknown.yaml");
    let image = ["--image", "flink:2.3.0"];
    let long = "a".repeat(46);
    let cases: Vec<Vec<&str>> = vec![
        vec![],
        vec!["demo"],
        vec![""],
        vec!["Demo"],
        vec![&long],
        vec!["demo", "-p", "0"],
        vec!["demo", "-p", "-1"],
        vec!["demo", "-p", "32769"],
        vec!["demo", "--slots", "0"],
        vec!["demo", "--job-id", "xyz"],
        vec![
            "demo",
            "--job-id",
            "00000000000000000000000000000001",
            "--job-id-seed",
            "a",
        ],
        vec!["demo", "-D", "novalue"],
        vec!["demo", "-D", "taskmanager.numberOfTaskSlots=2"],
        vec!["demo", "-D", "jobmanager.rpc.address=x"],
        vec!["demo", "-D", "high-availability.type=kubernetes"],
        vec!["demo", "-D", "execution.state-recovery.claim-mode=CLAIM"],
        vec!["demo", "--jobmanager-memory", "lots"],
        vec!["demo", "--jobmanager-memory", "1m"],
        vec![
            "demo",
            "--taskmanager-memory",
            "900m",
            "-D",
            "taskmanager.memory.network.min=32m",
        ],
        vec!["demo", "--no-ha", "--ha", "s3://bucket/ha"],
        vec!["demo", "--env", "novalue"],
        vec!["demo", "--label", "app=x"],
        vec!["demo", "--node-port=0"],
        vec!["demo", "--mount", "claim"],
        vec!["demo", "--from-savepoint", ""],
        vec!["demo", "--savepoint-dir", "savepoints"],
        vec!["demo", "--manifests", "/does/not/exist"],
        vec!["-f", "/does/not/exist"],
        vec!["-f", broken.to_str().unwrap()],
        vec!["-f", unknown.to_str().unwrap()],
        vec!["demo", "--timeout", "soon"],
    ];
    let mut report = String::new();
    for case in cases {
        let mut arguments = vec!["create"];
        if case != ["demo"] {
            arguments.extend(image);
        }
        arguments.extend(&case);
        let outcome = sandbox.run(&arguments);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
        let home = sandbox.home().to_str().unwrap();
        report.push_str(&format!("$ create {}\n{}\n", case.join(" "), outcome.stderr).replace(home, "HOME"));
    }
    insta::assert_snapshot!(report);
}

fn created(object: &Value) -> Answer {
    text(201, &object.to_string())
}

/// Dry runs and the history side by side, then the name is taken in the history, then the objects side by side: nothing of
/// another command of that name comes between.
#[test]
fn a_cluster_is_created_side_by_side_once_its_name_is_taken() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server
            .expect(
                patch(path)
                    .query("dryRun", "All")
                    .query("fieldManager", "kubectl-flink"),
            )
            .answer(created(&tree!({})));
    }
    server
        .expect(get(HISTORY))
        .answer(status(404, "NotFound", "configmaps \"demo-history\" not found"));
    server
        .expect(post(CONFIG_MAPS))
        .answer(created(&tree!({"metadata": {"resourceVersion": "1"}})));
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "2"}})));
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(patch(path)).answer(created(&tree!({})));
    }
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(outcome.requests.len(), 9, "{outcome}");
    assert!(
        outcome.requests[..4]
            .iter()
            .all(|request| request.contains("dryRun=All") || request.starts_with("GET")),
        "{outcome}"
    );
    assert!(outcome.requests[4].starts_with("POST"), "{outcome}");
    assert!(
        outcome.requests[5..8]
            .iter()
            .all(|request| request.starts_with("PATCH")),
        "{outcome}"
    );
    assert!(outcome.requests[8].starts_with("PUT"), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn without_rights_on_config_maps_it_warns_once_and_works() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(created(&tree!({})));
        server.expect(patch(path)).answer(created(&tree!({})));
    }
    server.expect(get(HISTORY)).answer(status(
        403,
        "Forbidden",
        "configmaps \"demo-history\" is forbidden: User \"u\" cannot get resource",
    ));
    snapshot!(sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]));
}

#[test]
fn an_existing_cluster_that_differs_is_shown_and_left_alone() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let flags = [
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "-p",
        "3",
        "--dry-run=client",
        "-o",
        "json",
    ];
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&flags).stdout).unwrap();
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server.expect(patch(JOB).query("dryRun", "All")).answer(status(
        422,
        "Invalid",
        "Job.batch \"demo-master\" is invalid: spec.template: Invalid value: field is immutable",
    ));
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "not found"));
    for (path, index) in [(SERVICE, 0), (JOB, 1), (DEPLOYMENT, 2)] {
        server.expect(get(path)).answer(json(&list["items"][index]));
    }
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    snapshot!(outcome);
}

/// Somebody deleted the Deployment by hand: the repetition creates it again, and says so.
#[test]
fn what_is_missing_of_an_existing_cluster_is_made_anew() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let flags = ["create", "demo", "--image", "flink:2.3.0"];
    let dry = [&flags[..], &["--dry-run=client", "-o", "json"]].concat();
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&dry).stdout).unwrap();
    for path in [SERVICE, JOB] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(created(&tree!({})));
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "not found"));
    server.expect(get(SERVICE)).answer(json(&list["items"][0]));
    server.expect(get(JOB)).answer(json(&list["items"][1]));
    server
        .expect(get(DEPLOYMENT))
        .answer(status(404, "NotFound", "not found"));
    for path in [SERVICE, JOB] {
        server.expect(patch(path).no_query("dryRun")).answer(json(&tree!({})));
    }
    server
        .expect(patch(DEPLOYMENT).no_query("dryRun"))
        .answer(created(&tree!({})));
    // And its history is written, which the interrupted command did not come to.
    server
        .expect(post(CONFIG_MAPS).body(tree!({"metadata": {"name": "demo-history"}})))
        .answer(created(&tree!({"metadata": {"resourceVersion": "1"}})));
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "2"}})));
    let outcome = sandbox.run(&[&flags[..], &["--no-wait"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    snapshot!(outcome);
}

/// What the dry run of the Job is answered, and how the command ends. Nothing is created in any case.
fn refused(answer: Answer, times: usize) -> Outcome {
    refused_in(&Sandbox::new(), answer, times)
}

fn refused_in(sandbox: &Sandbox, answer: Answer, times: usize) -> Outcome {
    let server = &sandbox.server;
    server
        .expect(patch(SERVICE).query("dryRun", "All"))
        .answer(created(&tree!({})));
    server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(created(&tree!({})));
    server
        .expect(patch(JOB).query("dryRun", "All"))
        .times(times)
        .answer(answer);
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "not found"));
    sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--request-timeout", "2s"])
}

#[test]
fn a_quota_stops_it_before_the_first_object() {
    snapshot!(refused(
        status(
            403,
            "Forbidden",
            "jobs.batch \"demo-master\" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0"
        ),
        1
    ));
}

#[test]
fn a_missing_right_is_named_with_its_rule() {
    snapshot!(refused(
        status(
            403,
            "Forbidden",
            "jobs.batch \"demo-master\" is forbidden: User \"u\" cannot patch resource \"jobs\" in API group \"batch\" in the namespace \"default\""
        ),
        1
    ));
}

#[test]
fn expired_credentials() {
    snapshot!(refused(status(401, "Unauthorized", "Unauthorized"), 1));
}

#[test]
fn a_missing_namespace() {
    snapshot!(refused(status(404, "NotFound", "namespaces \"default\" not found"), 1));
}

/// What is refused might be a change of an object of somebody else, so it is looked whether there is one.
#[test]
fn an_invalid_object() {
    let sandbox = Sandbox::new();
    for path in [SERVICE, JOB, DEPLOYMENT] {
        let missing = status(404, "NotFound", "not found");
        sandbox.server.expect(get(path)).answer(missing);
    }
    let said = "Job.batch \"demo-master\" is invalid: metadata.labels: Invalid value: \"a b\"";
    snapshot!(refused_in(&sandbox, status(422, "Invalid", said), 1));
}

#[test]
fn a_server_that_is_too_busy() {
    snapshot!(refused(
        status(429, "TooManyRequests", "slow down").header("retry-after", "0"),
        5
    ));
}

#[test]
fn a_server_with_an_internal_error() {
    snapshot!(refused(
        status(500, "InternalError", "etcdserver: request timed out").header("retry-after", "0"),
        5
    ));
}

#[test]
fn an_answer_that_is_cut_each_time() {
    let outcome = refused(cut(), 7);
    assert_eq!(outcome.code, Some(7), "{outcome}");
}

#[test]
fn an_answer_that_does_not_come() {
    let outcome = refused(json(&tree!({})).after(Duration::from_secs(20)), 1);
    assert_eq!(outcome.code, Some(5), "{outcome}");
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
