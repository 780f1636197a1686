//! What Flink's REST answers in each supported release, from 1.13 to 2.3: the output is the same for all.
//!
//! `releases/*.json` are whole replies: those of 2.3 put together from replies of the test cluster, those of the others
//! by what the releases are known to have more, less and otherwise.

use serde_json::{Value, json};

use crate::demo::empty;
use crate::objects::{deployment_row, deployment_table, job_row, job_table};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, get, json as answer, post, status, text};

const CORE: &str = "/api/v1/namespaces/default";
const FLINK: &str = "/api/v1/namespaces/default/services/demo-master:8081/proxy";
const ID: &str = "5da11d271bfd178c970e0bcb3c48d706";

const RELEASES: [(&str, &str); 5] = [
    ("1.13", include_str!("releases/1.13.json")),
    ("1.17", include_str!("releases/1.17.json")),
    ("1.20", include_str!("releases/1.20.json")),
    ("2.0", include_str!("releases/2.0.json")),
    ("2.3", include_str!("releases/2.3.json")),
];

/// Lets Flink of this release answer to these paths, once each.
fn flink(server: &Server, replies: &Value, paths: &[&str]) {
    for path in paths {
        let reply = &replies[format!("/{path}")];
        assert!(!reply.is_null(), "no reply to {path}");
        let path = path.replace("JOB", ID);
        server.expect(get(&format!("{FLINK}/{path}"))).answer(answer(reply));
    }
}

fn objects(server: &Server) {
    let template =
        json!({"spec": {"containers": [{"name": "flink-master", "image": "shop:1", "args": ["standalone-job"]}]}});
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master"))
        .answer(answer(
            &json!({"metadata": {"name": "demo-master", "uid": "u"}, "spec": {"template": template}}),
        ));
    server
        .expect(get("/apis/apps/v1/namespaces/default/deployments/demo-task-manager"))
        .answer(answer(
            &json!({"metadata": {"name": "demo-task-manager"}, "status": {"readyReplicas": 1},
            "spec": {"replicas": 1, "selector": {}, "template": template}}),
        ));
    server
        .expect(get(&format!("{CORE}/services/demo-master")))
        .answer(answer(&json!({"metadata": {"name": "demo-master"}, "spec": {}})));
    server
        .expect(get(&format!("{CORE}/configmaps/demo-history")))
        .answer(status(404, "NotFound", "configmaps \"demo-history\" not found"));
}

fn each(run: impl Fn(&Sandbox, &Value) -> Outcome) -> Vec<(&'static str, Outcome)> {
    let run = |(release, replies): (&'static str, &str)| {
        let sandbox = Sandbox::new();
        let replies: Value = serde_json::from_str(replies).unwrap();
        (release, run(&sandbox, &replies))
    };
    RELEASES.into_iter().map(run).collect()
}

#[test]
fn a_status_is_the_same_of_all_releases() {
    let outcomes = each(|sandbox, replies| {
        let server = &sandbox.server;
        objects(server);
        for list in ["pods", "events"] {
            server
                .expect(get(&format!("{CORE}/{list}")))
                .answer(answer(&json!({"items": []})));
        }
        flink(
            server,
            replies,
            &[
                "overview",
                "jobs/overview",
                "jobs/JOB",
                "jobs/JOB/checkpoints",
                "jobs/JOB/checkpoints/config",
                "jobs/JOB/exceptions",
                "jobs/JOB/metrics",
                "taskmanagers",
            ],
        );
        server
            .expect(get(&format!("{FLINK}/jobs/{ID}/vertices/*")))
            .times(2)
            .answer(answer(&replies["/vertex"]));
        sandbox.run(&["status", "demo", "-ojson"])
    });
    let mut first: Option<Value> = None;
    for (release, outcome) in outcomes {
        assert_eq!(outcome.code, Some(0), "{release}: {outcome}");
        let mut printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let version = printed["cluster"]["flinkVersion"].take();
        assert!(
            version.as_str().is_some_and(|version| version.starts_with(release)),
            "{release}: {version}"
        );
        printed["observedAt"].take();
        // Up to 1.16 this metric is a number from the beginning.
        for vertex in printed["vertices"].as_array_mut().unwrap() {
            let share = vertex["backpressured"].take();
            assert_eq!(share.is_null(), release != "1.13", "{release}");
        }
        assert_eq!(printed["job"]["restarts"], 3, "{release}: {outcome}");
        assert_eq!(printed["job"]["since"], "2025-11-19T00:33:53Z", "{release}: {outcome}");
        assert_eq!(
            printed["vertices"][1]["recordsInPerSecond"], 50.0,
            "{release}: {outcome}"
        );
        assert_eq!(
            printed["checkpoints"]["last"]["path"], "file:/storage/checkpoints/chk-6",
            "{release}: {outcome}"
        );
        assert_eq!(
            printed["checkpoints"]["lastFailure"], "Checkpoint expired before completing.",
            "{release}"
        );
        assert_eq!(printed["taskManagers"]["slotsFree"], 1, "{release}: {outcome}");
        match &first {
            None => first = Some(printed),
            Some(first) => assert_eq!(first, &printed, "{release}"),
        }
    }
}

#[test]
fn exceptions_are_the_same_of_all_releases() {
    let outcomes = each(|sandbox, replies| {
        flink(&sandbox.server, replies, &["jobs/overview", "jobs/JOB/exceptions"]);
        sandbox.run(&["exceptions", "demo", "-ojson"])
    });
    for (release, outcome) in outcomes {
        let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let item = &printed["items"][0];
        assert_eq!(
            item["cause"], "IllegalStateException: failed on purpose at record 600",
            "{release}: {outcome}"
        );
        assert_eq!(item["location"], "10.244.0.88:46523", "{release}: {outcome}");
        assert_eq!(item["task"], "total (1/1)", "{release}: {outcome}");
    }
}

#[test]
fn a_list_of_live_jobs_is_the_same_of_all_releases() {
    let outcomes = each(|sandbox, replies| {
        let server = &sandbox.server;
        server
            .expect(get("/apis/batch/v1/namespaces/default/jobs"))
            .answer(answer(&job_table(&[job_row("default", "demo", "Running")])));
        server
            .expect(get("/apis/apps/v1/namespaces/default/deployments"))
            .answer(answer(&deployment_table(&[deployment_row("default", "demo", "1/1")])));
        flink(
            server,
            replies,
            &["jobs/overview", "jobs/JOB/metrics", "jobs/JOB/checkpoints"],
        );
        sandbox.run(&["list", "--live", "-ojson"])
    });
    for (release, outcome) in outcomes {
        let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let live = &printed["items"][0]["live"];
        assert_eq!(
            (&live["state"], &live["restarts"]),
            (&json!("RUNNING"), &json!(3)),
            "{release}: {outcome}"
        );
    }
}

/// 1.17 is the first that has it: older ones say in a sentence that they cannot, newer ones give the path.
#[test]
fn a_checkpoint_on_demand_needs_1_17() {
    let outcomes = each(|sandbox, replies| {
        let server = &sandbox.server;
        objects(server);
        flink(server, replies, &["jobs/overview"]);
        let checkpoints = format!("{FLINK}/jobs/{ID}/checkpoints");
        let version = replies["version"].as_str().unwrap();
        if version.starts_with("1.13") {
            let body = r#"{"errors":["Not found: /jobs/5da11d271bfd178c970e0bcb3c48d706/checkpoints"]}"#;
            server.expect(post(&checkpoints)).answer(text(404, body));
            flink(server, replies, &["overview"]);
        } else {
            server
                .expect(post(&checkpoints).body(json!({"checkpointType": "CONFIGURED"})))
                .answer(answer(&json!({"request-id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})));
            let done = json!({"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 6, "failureCause": null}});
            server
                .expect(get(&format!("{checkpoints}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")))
                .answer(answer(&done));
            // Flink keeps its statistics for seconds: it does not know its newest checkpoint yet.
            let unknown = r#"{"errors":["Could not find checkpointing statistics for checkpoint 6."]}"#;
            let details = format!("{checkpoints}/details/6");
            server.expect(get(&details)).answer(text(404, unknown));
            server
                .expect(get(&details))
                .answer(answer(&replies["/jobs/JOB/checkpoints"]["latest"]["completed"]));
        }
        sandbox.run(&["checkpoint", "demo"])
    });
    for (release, outcome) in outcomes {
        if release == "1.13" {
            assert_eq!(outcome.code, Some(1), "{outcome}");
            let sentence =
                "error: Flink 1.13.6 of cluster demo cannot take checkpoints on demand: that came with 1.17\n";
            assert!(outcome.stderr.ends_with(sentence), "{outcome}");
        } else {
            assert_eq!(
                outcome.stdout, "file:/storage/checkpoints/chk-6\n",
                "{release}: {outcome}"
            );
        }
    }
}

/// A cluster with an old Flink, of which an upgrade to the job of this ID takes a checkpoint at this interval.
fn old(id: &str, interval: u64) -> (Sandbox, String) {
    let sandbox = empty();
    let created = sandbox.run(&["create", "demo", "--image", "flink:1.13.6", "--no-wait"]);
    assert_eq!(created.code, Some(0), "{created}");
    let checkpoints = format!("{FLINK}/jobs/{id}/checkpoints");
    let config = get(&format!("{checkpoints}/config"));
    let every = answer(&json!({ "interval": interval }));
    sandbox.server.expect(config).often().answer(every);
    let unknown = text(404, r#"{"errors":["Not found."]}"#);
    sandbox.server.expect(post(&checkpoints)).often().answer(unknown);
    (sandbox, checkpoints)
}

fn upgrade_of(sandbox: &Sandbox, id: &str) -> Outcome {
    let flags = ["--env", "A=1", "--job-id", id, "--surge=never", "--timeout=20s"];
    sandbox.run(&[&["upgrade", "demo"], &flags[..]].concat())
}

/// Its job runs, and takes a checkpoint every hour.
#[test]
fn an_upgrade_does_not_wait_for_a_checkpoint_that_an_old_flink_takes_too_late() {
    let id = "a".repeat(32);
    let (sandbox, checkpoints) = old(&id, 3_600_000);
    let none = answer(&json!({"counts": {"completed": 0}, "latest": {"completed": null}}));
    sandbox.server.expect(get(&checkpoints)).often().answer(none);
    let outcome = upgrade_of(&sandbox, &id);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let expected = "its first checkpoint is not due before --timeout, so the command does not wait for it";
    assert!(outcome.stderr.contains(expected), "{outcome}");
}

#[test]
fn an_old_flink_is_asked_only_once_for_a_checkpoint_on_demand() {
    let id = "a".repeat(32);
    let (sandbox, checkpoints) = old(&id, 1000);
    let none = answer(&json!({"counts": {"completed": 0}, "latest": {"completed": null}}));
    sandbox.server.expect(get(&checkpoints)).times(3).answer(none);
    let done = answer(&json!({"counts": {"completed": 1}, "latest": {"completed": {"id": 1, "status": "COMPLETED"}}}));
    sandbox.server.expect(get(&checkpoints)).often().answer(done);
    let outcome = upgrade_of(&sandbox, &id);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let asks = |request: &&String| request.starts_with(&format!("POST {checkpoints}"));
    assert_eq!(outcome.requests.iter().filter(asks).count(), 1, "{outcome}");
}
