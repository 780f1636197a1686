//! `list --live` and `status`, where clusters do not answer.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::demo;
use crate::objects::{deployment_row, deployment_table, job_row, job_table, minutes_ago};
use crate::sandbox::Sandbox;
use crate::scene::{self, FLINK, JOB, PODS, Scene};
use crate::server::{get, json as answer, post, status, text};

const CORE: &str = "/api/v1/namespaces/default";

#[test]
fn a_cluster_that_does_not_answer_holds_up_no_other() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let rows = |app: &str| {
        (
            job_row("default", app, "Running"),
            deployment_row("default", app, "2/2"),
        )
    };
    let ((fast, fast_tasks), (slow, slow_tasks)) = (rows("fast"), rows("slow"));
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(answer(&job_table(&[fast, slow])));
    server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(answer(&deployment_table(&[fast_tasks, slow_tasks])));
    let flink = |app: &str, path: &str| get(&format!("{CORE}/services/{app}-master:8081/proxy/{path}"));
    let jobs = json!({"jobs": [{"jid": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "n", "state": "RUNNING", "start-time": 1, "tasks": {"total": 4, "running": 3}}]});
    server.expect(flink("fast", "jobs/overview")).answer(answer(&jobs));
    server
        .expect(flink("fast", "jobs/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/metrics"))
        .answer(answer(&json!([{"id": "numRestarts", "value": "7"}])));
    // Flink 1.13 to 2.3 have it; what refuses is a dash.
    server
        .expect(flink("fast", "jobs/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/checkpoints"))
        .answer(text(
            404,
            r#"{"errors":["Not found: /jobs/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/checkpoints"]}"#,
        ));
    server
        .expect(flink("slow", "jobs/overview"))
        .answer(answer(&jobs).after(Duration::from_secs(20)));
    let outcome = sandbox.run(&["list", "--live"]);
    let lines: Vec<String> = outcome
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(lines[1].ends_with("RUNNING 3/4 7 -"), "{outcome}");
    assert!(lines[2].ends_with("no answer - -"), "{outcome}");
}

#[test]
fn however_many_clusters_hang_they_take_the_time_of_one() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let names: Vec<String> = (0..96).map(|number| format!("c{number:02}")).collect();
    let (jobs, tasks): (Vec<_>, Vec<_>) = names
        .iter()
        .map(|app| {
            (
                job_row("default", app, "Running"),
                deployment_row("default", app, "2/2"),
            )
        })
        .unzip();
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(answer(&job_table(&jobs)));
    server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(answer(&deployment_table(&tasks)));
    let no_job = json!({"jobs": []});
    for (number, app) in names.iter().enumerate() {
        let overview = get(&format!("{CORE}/services/{app}-master:8081/proxy/jobs/overview"));
        let late = Duration::from_secs(if number % 2 == 0 { 20 } else { 0 });
        server.expect(overview).often().answer(answer(&no_job).after(late));
    }
    let begun = Instant::now();
    let outcome = sandbox.run(&["list", "--live"]);
    // Eight at a time, and two seconds for each, would be twelve.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for (number, line) in outcome.stdout.lines().skip(1).enumerate() {
        assert_eq!(line.contains("no answer"), number % 2 == 0, "{line}: {outcome}");
    }
}

/// The address of a Pod that has ended answers nothing, and the API server waits for an answer.
#[test]
fn status_does_not_wait_for_a_jobmanager_that_is_not_up() {
    let running = scene::container("Running", &json!({"running": {}}), &json!({}), 0);
    let succeeded = json!({"phase": "Succeeded"});
    let pod = |status| scene::pod("demo-master-x7k2p", "master", status);
    let mut ending = pod(&running);
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let ended = pod(&succeeded);
    // With what is seen of its Pod first, and two seconds later.
    for (condition, first, then) in [
        ("SuccessCriteriaMet", Some(ended), None),
        ("SuccessCriteriaMet", Some(ending), None),
        ("SuccessCriteriaMet", None, None),
        ("SuccessCriteriaMet", Some(pod(&running)), Some(json!([]))),
        // The Job itself says that it has no Pod: what is seen of Pods may be older.
        ("Complete", Some(pod(&running)), None),
    ] {
        let sandbox = Sandbox::new();
        let scene = Scene {
            conditions: vec![json!({"type": condition, "status": "True"})],
            pods: first.into_iter().collect(),
            ..Scene::default()
        };
        scene.script_kubernetes(&sandbox);
        if let Some(items) = then {
            let again = get(PODS).query("fieldSelector", "status.phase=Running");
            sandbox.server.expect(again).answer(answer(&json!({"items": items})));
        }
        for path in ["overview", "jobs/overview"] {
            let late = answer(&json!({})).after(Duration::from_secs(20));
            sandbox
                .server
                .expect(get(&format!("{FLINK}/{path}")))
                .often()
                .answer(late);
        }
        let begun = Instant::now();
        let outcome = sandbox.run(&["status", "demo"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("Finished"), "{outcome}");
        assert!(
            begun.elapsed() < Duration::from_secs(6),
            "{:?}: {outcome}",
            begun.elapsed()
        );
    }
}

/// Commands that read the Job first do not ask Flink then; the others ask, and do not wait.
#[test]
fn no_command_waits_for_a_jobmanager_whose_job_has_no_pod() {
    for suspended in [false, true] {
        for (command, asks) in [
            ("checkpoint demo", false),
            ("savepoint demo", false),
            ("stop demo", false),
            ("cancel demo --yes", false),
            ("upgrade demo --env A=1 --dry-run", false),
            ("diff demo -p 2", false),
            ("exceptions demo", true),
            ("config demo", true),
            ("top demo --once", true),
            ("why demo", true),
            ("profile demo", true),
            ("profile demo --jobmanager", true),
            ("profile demo --taskmanager a", true),
            ("report demo -o x.tar.gz", true),
            ("wait demo --for checkpoint", false),
            ("wait demo --for taskmanagers=1", false),
        ] {
            let sandbox = demo::running();
            let pod = sandbox.world().pods("demo", "master").remove(0);
            sandbox.end("Complete", &minutes_ago(1));
            if suspended {
                sandbox.world().remove(&pod);
                sandbox.edit(demo::JOB, |job| {
                    job["spec"]["suspend"] = json!(true);
                    job["status"]["terminating"] = json!(0);
                    job["status"]["conditions"][0]["type"] = json!("Suspended");
                });
            }
            let late = answer(&json!({})).after(Duration::from_secs(20));
            for call in [get(&format!("{FLINK}/*")), post(&format!("{FLINK}/*"))] {
                sandbox.server.expect(call).often().answer(late.clone());
            }
            let begun = Instant::now();
            let outcome = sandbox.run(&command.split(' ').collect::<Vec<_>>());
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(6), "{command}, {took:?}: {outcome}");
            let asked = sandbox.server.requests();
            let asked = asked.iter().any(|request| request.path.contains("/proxy/"));
            assert!(asks || !asked, "{command}: {outcome}");
        }
    }
}

#[test]
fn status_waits_for_a_jobmanager_that_is_up() {
    let sandbox = Sandbox::new();
    let running = scene::container("Running", &json!({"running": {}}), &json!({}), 0);
    let scene = scene::jobmanager(&running);
    scene.script_kubernetes(&sandbox);
    let again = get(PODS).query("fieldSelector", "status.phase=Running");
    sandbox
        .server
        .expect(again)
        .often()
        .answer(answer(&json!({"items": scene.pods})));
    let jobs =
        json!({"jobs": [{"jid": JOB, "name": "orders", "state": "RUNNING", "tasks": {"total": 4, "running": 3}}]});
    let late = answer(&jobs).after(Duration::from_secs(3));
    sandbox
        .server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(late);
    sandbox
        .server
        .expect(get(&format!("{FLINK}/*")))
        .often()
        .answer(text(404, "{}"));
    let outcome = sandbox.run(&["status", "demo"]);
    assert!(outcome.stdout.contains("3 of 4 tasks run"), "{outcome}");
}

/// A program that reads a stream of JSON gets its next item when the server answers again.
#[test]
fn a_stream_of_json_survives_a_blip_and_says_so() {
    let sandbox = Sandbox::new();
    let running = scene::container("Running", &json!({"running": {}}), &json!({}), 0);
    let scene = |often: bool, tasks: u32| Scene {
        often,
        flink: Some(
            json!({"jobs/overview": {"jobs": [{"jid": JOB, "name": "orders", "state": "RUNNING",
            "tasks": {"total": tasks, "running": tasks}}]}}),
        ),
        ..scene::jobmanager(&running)
    };
    scene(false, 4).script(&sandbox);
    let job = get("/apis/batch/v1/namespaces/default/jobs/demo-master");
    let broken = status(500, "InternalError", "the leader has changed");
    sandbox.server.expect(job).times(2).answer(broken);
    scene(true, 7).script(&sandbox);
    let watch = ["status", "demo", "--watch", "--interval", "100ms", "-ojson"];
    let outcome = sandbox.run_and_interrupt(&watch, "\"tasksTotal\":7");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(outcome.stderr.matches("the leader has changed").count(), 1, "{outcome}");
    assert!(outcome.stderr.contains("it answers again\n"), "{outcome}");
}

/// Flink collects metrics only when it is asked, and has none yet then.
#[test]
fn the_first_status_of_a_job_has_rates() {
    let sandbox = Sandbox::new();
    let running = scene::container("Running", &json!({"running": {}}), &json!({}), 0);
    let rates = json!([{"id": "busyTimeMsPerSecond", "max": 250.0}, {"id": "numRecordsInPerSecond", "sum": 50.0}]);
    for vertex in ["1", "2"] {
        let path = format!("{FLINK}/jobs/{JOB}/vertices/{}/subtasks/metrics", vertex.repeat(32));
        sandbox.server.expect(get(&path)).answer(answer(&json!([])));
        sandbox.server.expect(get(&path)).answer(answer(&rates));
    }
    let restarts = get(&format!("{FLINK}/jobs/{JOB}/metrics"));
    sandbox.server.expect(restarts).answer(answer(&json!([])));
    let scene = Scene {
        flink: Some(json!({})),
        ..scene::jobmanager(&running)
    };
    scene.script(&sandbox);
    let outcome = sandbox.run(&["status", "demo", "-ojson"]);
    let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    for vertex in status["vertices"].as_array().unwrap() {
        assert_eq!(
            (&vertex["busy"], &vertex["recordsInPerSecond"]),
            (&json!(0.25), &json!(50.0)),
            "{outcome}"
        );
    }
    assert_eq!(status["job"]["restarts"], 0, "{outcome}");
}

/// Flink's answer says that they do not run yet, though all Pods are ready.
#[test]
fn a_cluster_whose_job_initializes_is_starting() {
    let overview = || get(&format!("{}/jobs/overview", demo::FLINK));
    let initializing = json!({"jobs": [{"jid": demo::ID, "name": "job", "state": "INITIALIZING", "start-time": 1,
        "end-time": -1, "tasks": {"total": 0, "running": 0}}]});
    for (command, words) in [
        (
            &["status", "demo"][..],
            ["in default: Running,", "in default: Starting,"],
        ),
        (
            &["top", "--once"],
            ["demo Running RUNNING", "demo Starting INITIALIZING"],
        ),
        (
            &["list", "--live", "--sort-by=status"],
            ["demo Running 1", "demo Starting 1"],
        ),
    ] {
        let sandbox = demo::running();
        let shows = |words: &str| {
            let outcome = sandbox.run(command);
            let shown: Vec<&str> = outcome.stdout.split_whitespace().collect();
            assert!(shown.join(" ").contains(words), "{words}: {outcome}");
        };
        shows(words[0]);
        sandbox.server.expect(overview()).answer(answer(&initializing));
        shows(words[1]);
    }
    let sandbox = demo::running();
    sandbox.silence();
    let outcome = sandbox.run(&["top", "--once"]);
    assert!(outcome.stdout.contains("Starting"), "{outcome}");
    assert!(outcome.stdout.contains("no answer"), "{outcome}");
}

/// It has run for long, and is only slow.
#[test]
fn a_jobmanager_without_an_answer_is_not_starting() {
    let sandbox = demo::running();
    sandbox.silence();
    let pod = sandbox.world().pods("demo", "master").remove(0);
    sandbox.edit(&pod, |pod| {
        pod["status"]["containerStatuses"][0]["state"] = json!({"running": {"startedAt": minutes_ago(5)}});
    });
    let outcome = sandbox.run(&["wait", "demo", "--for=stopped", "--timeout=1s"]);
    assert_eq!(outcome.code, Some(5), "{outcome}");
    let words = "current state: Flink did not answer";
    assert!(outcome.stderr.contains(words), "{outcome}");
}
