//! Clusters that come from elsewhere and go elsewhere, without a real cluster.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, JOB, JOBS, SERVICE, empty, position, rendered, running, running_with};
use crate::sandbox::Sandbox;
use crate::server::{patch, post, status};
use crate::snapshot;

/// `job.state: suspended` in its file.
#[test]
fn a_cluster_that_was_created_suspended_is_started_as_it_is() {
    let sandbox = running();
    sandbox.edit(JOB, |job| job["spec"]["suspend"] = tree!(true));
    sandbox.edit(DEPLOYMENT, |deployment| {
        deployment["spec"]["replicas"] = tree!(0);
        deployment["metadata"]["annotations"]["kubectl-flink/suspended-replicas"] = tree!("3");
    });
    sandbox.world().gives_up = true;
    while !sandbox.world().pods("demo", "master").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo resumed\n");
    assert_eq!(sandbox.object(JOB)["spec"]["suspend"], false, "{outcome}");
    assert_eq!(sandbox.object(DEPLOYMENT)["spec"]["replicas"], 3, "{outcome}");
    // As long as the Job is suspended, a repetition starts the cluster as it is.
    assert!(position(&outcome, &format!("PATCH {DEPLOYMENT}")) < position(&outcome, &format!("PATCH {JOB}")));
}

/// It may be suspended because the same job runs elsewhere.
#[test]
fn a_cluster_that_stays_suspended_is_not_started_by_another_file() {
    let sandbox = empty();
    let describe = |image: &str| {
        let file = format!(
            "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{name: demo}}\n\
             spec: {{image: '{image}', job: {{jarURI: 'local:///opt/flink/usrlib/a.jar', parallelism: 1, state: suspended}}}}\n"
        );
        sandbox.file("demo.yaml", &file);
    };
    describe("flink:2.3.0");
    let outcome = sandbox.run(&["create", "-f", "demo.yaml"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    describe("flink:2.3.1");
    for command in ["create", "apply", "upgrade"] {
        let outcome = sandbox.run(&[command, "-f", "demo.yaml"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        let why = "job.state says that demo is suspended, and a change would start it";
        assert!(outcome.stderr.contains(why), "{outcome}");
        assert_eq!(sandbox.object(JOB)["spec"]["suspend"], true, "{outcome}");
    }
}

/// The API server refuses another selector, and the job runs on.
#[test]
fn a_deployment_with_another_selector_is_replaced_as_the_hints_say() {
    let sandbox = running();
    sandbox.world().forget_plugin();
    sandbox.edit(DEPLOYMENT, |deployment| {
        deployment["spec"]["selector"] = tree!({"matchLabels": {"app": "demo"}});
    });
    let outcome = sandbox.run(&["savepoint-resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    for command in [&["delete", "demo", "--savepoint"][..], &["savepoint-resume", "demo"]] {
        let hint = format!("`kubectl flink {}`", command.join(" "));
        assert!(outcome.stderr.contains(&hint), "{hint} is not in {outcome}");
        let more = match command[0] {
            "delete" => &["--yes"][..],
            _ => &["--no-wait"],
        };
        let done = sandbox.run(&[command, more].concat());
        assert_eq!(done.code, Some(0), "{done}");
    }
    let selector = &sandbox.object(DEPLOYMENT)["spec"]["selector"]["matchLabels"];
    assert_eq!(*selector, tree!({"app": "demo", "component": "task-manager"}));
}

/// Its spec is in the history since the delete.
#[test]
fn a_cluster_that_was_made_by_hand_is_brought_back() {
    let sandbox = running();
    sandbox.world().forget_plugin();
    let outcome = sandbox.run(&["delete", "demo", "--savepoint", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("revision.1")["command"], "found", "{outcome}");
    let path = sandbox.world().disk[0].path.clone();
    let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=1", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("starts from [SAVEPOINT]"), "{outcome}");
    let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let container = &sandbox.object(JOB)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "flink:2.3.0");
    assert!(
        container["args"].as_array().unwrap().contains(&tree!(path)),
        "{container}"
    );
}

/// Its objects were deleted by hand too: its spec is not known any more.
#[test]
fn a_cluster_whose_spec_is_not_known_is_created_again_from_its_savepoint() {
    let sandbox = running();
    sandbox.world().forget_plugin();
    let outcome = sandbox.run(&["savepoint", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    sandbox.delete_objects();
    let hint = "`kubectl flink create demo --from-savepoint [SAVEPOINT] …` creates it again";
    for command in ["resume", "savepoint-resume", "stop", "status"] {
        let outcome = sandbox.run(&[command, "demo"]);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(outcome.stderr.contains(hint), "{outcome}");
    }
}

/// Only the histories of clusters that are gone are read.
#[test]
fn deleted_clusters_are_listed_from_their_histories() {
    let sandbox = running();
    let savepoints = tree!([{"triggerId": "1".repeat(32), "jobId": "2".repeat(32), "progress": "completed", "path": "s3://b/sp-1",
        "format": "CANONICAL", "reason": "delete", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z"}]);
    sandbox.put_entry("savepoints", &savepoints);
    sandbox.delete_objects();
    let there = sandbox.run(&["create", "there", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(there.code, Some(0), "{there}");
    let outcome = sandbox.run(&["list", "--deleted", "-o", "json"]);
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(list["kind"], "DeletedClusterList", "{outcome}");
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{outcome}");
    let item = &list["items"][0];
    assert_eq!(
        (&item["name"], &item["revision"]),
        (&tree!("demo"), &tree!(1)),
        "{outcome}"
    );
    assert_eq!(item["savepoint"], "s3://b/sp-1", "{outcome}");
    let histories = outcome.requests.iter().filter(|request| request.contains("-history"));
    assert_eq!(histories.count(), 1, "{outcome}");
}

/// An API server answers with `"items": null` where there is no history.
#[test]
fn without_any_history_no_cluster_is_deleted() {
    let sandbox = empty();
    let outcome = sandbox.run(&["list", "--deleted"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
    assert_eq!(
        outcome.stderr, "No deleted clusters with a history found\n",
        "{outcome}"
    );
}

#[test]
fn the_exit_codes_of_diff_are_those_of_diff() {
    let sandbox = running();
    let outcome = sandbox.run(&["diff", "demo"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");

    let flags = ["diff", "demo", "--image", "flink:2.4.0", "--env", "API_TOKEN=hunter2"];
    snapshot!(sandbox.run(&flags));

    let broken = status(500, "InternalError", "the webhook is broken");
    for call in [patch(SERVICE), patch(DEPLOYMENT), post(JOBS)] {
        let call = call.query("dryRun", "All");
        sandbox.server.expect(call).answer(broken.clone());
    }
    let outcome = sandbox.run(&["diff", "demo"]);
    assert_eq!(outcome.code, Some(9), "{outcome}");
    assert_eq!(Sandbox::new().run(&["diff"]).code, Some(2));

    let outcome = running().run(&["diff", "absent", "-p", "2"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("there is no cluster \"absent\""), "{outcome}");
}

#[test]
fn the_error_of_one_of_several_clusters_names_it_once() {
    let outcome = empty().run(&["stop", "absent", "missing"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    for name in ["absent", "missing"] {
        let error = format!("error: there is no cluster \"{name}\" in namespace");
        assert!(outcome.stderr.contains(&error), "{outcome}");
    }
}

#[test]
fn the_history_shows_revisions_and_the_whole_of_one() {
    let sandbox = running_with(&["-p", "2"]);
    let outcome = sandbox.run(&["history", "demo", "-o", "json"]);
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let item = &list["items"][0];
    assert_eq!(
        (&item["revision"], &item["current"], &item["command"]),
        (&tree!(1), &tree!(true), &tree!("create")),
        "{outcome}"
    );
    snapshot!(sandbox.run(&["history", "demo", "--revision", "1"]));
    for (format, text) in [
        ("jsonpath={.spec.image}", "flink:2.3.0"),
        ("custom-columns=IMAGE:.spec.image", "IMAGE\nflink:2.3.0\n"),
        ("name", "1\n"),
    ] {
        let outcome = sandbox.run(&["history", "demo", "--revision", "1", "-o", format]);
        assert_eq!(outcome.stdout, text, "{outcome}");
    }
    assert_eq!(sandbox.run(&["history", "demo", "--revision", "7"]).code, Some(3));
}

#[test]
fn an_export_is_taken_back_as_it_is() {
    let sandbox = running();
    let exported = sandbox.run(&["export", "demo"]);
    assert_eq!(exported.code, Some(0), "{exported}");
    let file = sandbox.file("exported.yaml", &exported.stdout);
    let again = sandbox.run(&["create", "-f", file.to_str().unwrap(), "--dry-run=client", "-o", "json"]);
    let list: Value = serde_json::from_str(&again.stdout).unwrap();
    let [_, job, deployment] = rendered(&[]);
    assert_eq!((&list["items"][1], &list["items"][2]), (&job, &deployment), "{again}");
}

#[test]
fn an_export_names_what_it_prints() {
    let sandbox = running();
    sandbox.delete_objects();
    for (form, printed) in [("kubernetes", "Job"), ("flinkdeployment", "FlinkDeployment")] {
        let outcome = sandbox.run(&["export", "demo", "-o", form]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let note = format!("the printed {printed} starts ");
        assert!(outcome.stderr.contains(&note), "{outcome}");
    }
}

/// The second cluster is checked before the first has to write a savepoint for it.
#[test]
fn a_clone_that_is_refused_takes_no_savepoint() {
    let sandbox = running();
    let forbidden = || status(403, "Forbidden", "exceeded quota: small");
    let path = |kind: &str, name: &str| format!("/{kind}/{name}");
    for target in [
        path("api/v1/namespaces/default/services", "copy-master"),
        path("apis/batch/v1/namespaces/default/jobs", "copy-master"),
        path("apis/apps/v1/namespaces/default/deployments", "copy-task-manager"),
    ] {
        sandbox
            .server
            .expect(patch(&target).query("dryRun", "All"))
            .answer(forbidden());
    }
    let outcome = sandbox.run(&["clone", "demo", "copy"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    let onto_itself = Sandbox::new().run(&["clone", "demo", "demo"]);
    assert_eq!(onto_itself.code, Some(2), "{onto_itself}");
}

/// What is saved unchanged changes nothing; what cannot be comes back with the reason, and the file stays.
#[cfg(unix)]
#[test]
fn an_editor_that_saves_nonsense_gets_it_back_with_the_reason() {
    let editor = |script: &str| running().variable("KUBE_EDITOR", script);
    let unchanged = editor("true").run(&["edit", "demo"]);
    assert_eq!(
        (unchanged.code, unchanged.stdout.as_str()),
        (Some(0), "cluster/demo unchanged\n"),
        "{unchanged}"
    );
    // A spec may have secrets in it.
    let private = editor("sh -c 'stat -c %a \"$0\" >&2'").run(&["edit", "demo"]);
    assert!(private.stderr.contains("600\n"), "{private}");
    let nonsense = editor("sed -i s/image:/imagee:/").run(&["edit", "demo"]);
    assert_eq!(nonsense.code, Some(2), "{nonsense}");
    assert!(
        nonsense.stderr.contains("unknown field; did you mean image?"),
        "{nonsense}"
    );
    let kept = nonsense.stderr.split("what you wrote is in ").nth(1).unwrap().trim();
    let text = std::fs::read_to_string(kept).unwrap();
    std::fs::remove_file(kept).unwrap();
    assert!(text.starts_with("# This was refused:\n"), "{text}");
    let failed = editor("false").run(&["edit", "demo"]);
    assert_eq!(failed.code, Some(1), "{failed}");
    let suspended = editor("sed -i 's/job: {}/job: {state: suspended}/'").run(&["edit", "demo"]);
    assert_eq!(suspended.code, Some(8), "{suspended}");
    assert!(suspended.changes().is_empty(), "{suspended}");
    let why = "job.state says that demo is suspended, and a change would start it";
    assert!(suspended.stderr.contains(why), "{suspended}");
    let kept = suspended.stderr.split("what you wrote is in ").nth(1).unwrap().trim();
    std::fs::remove_file(kept).unwrap();
}

/// After an interrupted change the cluster is neither of both versions: an edit is refused before the editor opens.
#[cfg(unix)]
#[test]
fn nothing_is_edited_in_the_midst_of_a_change() {
    let sandbox = running().variable("KUBE_EDITOR", "touch edited");
    let journal = tree!({"version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z",
        "step": "stopping", "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2, "rollbackRevision": 3});
    sandbox.put_entry("journal", &journal);
    let outcome = sandbox.run(&["edit", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --continue"), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --abort"), "{outcome}");
}
