//! `profile`: flame graphs of a vertex, and profiles of a process.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::scene::{FLINK, JOB, millis_ago};
use crate::server::{Server, get, json as answer, post, status, text};

const SOURCE: &str = "11111111111111111111111111111111";
const SINK: &str = "22222222222222222222222222222222";

fn flink(server: &Server) {
    let vertices = json!([{"id": SOURCE, "name": "Source: numbers", "parallelism": 1}, {"id": SINK, "name": "Sink: out", "parallelism": 1}]);
    let busy = |ms: f64| json!([{"id": "busyTimeMsPerSecond", "max": ms, "sum": ms}]);
    for (path, reply) in [
        (
            "overview".to_owned(),
            json!({"taskmanagers": 1, "slots-total": 1, "flink-version": "2.3.0"}),
        ),
        (
            "jobs/overview".to_owned(),
            json!({"jobs": [{"jid": JOB, "name": "a", "state": "RUNNING", "tasks": {"total": 2, "running": 2}}]}),
        ),
        (
            format!("jobs/{JOB}"),
            json!({"jid": JOB, "state": "RUNNING", "vertices": vertices}),
        ),
        (format!("jobs/{JOB}/vertices/{SOURCE}/subtasks/metrics"), busy(100.0)),
        (format!("jobs/{JOB}/vertices/{SINK}/subtasks/metrics"), busy(900.0)),
    ] {
        server
            .expect(get(&format!("{FLINK}/{path}")))
            .often()
            .answer(answer(&reply));
    }
}

fn graph(server: &Server, vertex: &str, kind: &str, reply: &Value) {
    let path = format!("{FLINK}/jobs/{JOB}/vertices/{vertex}/flamegraph");
    server.expect(get(&path).query("type", kind)).answer(answer(reply));
}

/// Answers to what else is asked of Flink, and to the look at the Job where Flink is slow.
fn nothing_else(server: &Server) {
    let job = json!({"metadata": {"name": "demo-master"}, "status": {"active": 1}});
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master"))
        .often()
        .answer(answer(&job));
    server
        .expect(get(&format!("{FLINK}/*")))
        .often()
        .answer(status(404, "x", "not found"));
}

fn samples() -> Value {
    json!({"endTimestamp": millis_ago(7), "data": {"name": "root", "value": 4, "children": [{"name": "java.lang.Thread.run:1", "value": 4,
        "children": [{"name": "my.Job.work:7", "value": 3, "children": []}, {"name": "java.lang.Object.wait:0", "value": 1, "children": []}]}]}})
}

#[test]
fn the_busiest_vertex_is_sampled_until_there_are_samples() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    graph(server, SINK, "full", &json!({"endTimestamp": -3}));
    graph(server, SINK, "full", &samples());
    flink(server);
    nothing_else(server);
    let outcome = sandbox.run(&["profile", "demo", "-o", "sink.svg"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for words in [
        "demo: Sink: out\n4 samples, ",
        "100.0%    0.0%  j.l.Thread.run:1\n",
        " 75.0%   75.0%    m.Job.work:7\n",
        "\nsink.svg\n",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
    let picture = std::fs::read_to_string(sandbox.home().join("sink.svg")).unwrap();
    assert!(
        picture.starts_with("<svg ") && picture.contains("my.Job.work:7: 3 of 4, 75.0%"),
        "{picture}"
    );
    // The file exists now, and no profile is requested.
    let outcome = sandbox.run(&["profile", "demo", "-o", "sink.svg"]);
    assert_eq!((outcome.code, outcome.requests.len()), (Some(2), 0), "{outcome}");
}

#[test]
fn a_vertex_is_chosen_and_what_is_off_says_how_to_turn_it_on() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    graph(server, SOURCE, "on_cpu", &json!({"endTimestamp": -2}));
    flink(server);
    nothing_else(server);
    let outcome = sandbox.run(&["profile", "demo", "NUMBERS", "--type", "on-cpu"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("kubectl flink upgrade demo --profiling"),
        "{outcome}"
    );
    let outcome = sandbox.run(&["profile", "demo", "other"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(
        outcome.stderr.contains("Source: numbers") && outcome.stderr.contains("Sink: out"),
        "{outcome}"
    );
}

#[test]
fn a_process_is_profiled_and_a_failure_is_reported_in_flinks_words() {
    let profiler = format!("{FLINK}/jobmanager/profiler");
    let run = |status: &str| {
        json!({"status": status, "mode": "WALL", "triggerTime": 7, "duration": 1, "message": "no perf events",
        "outputFile": if status == "FINISHED" { json!("jm.html") } else { Value::Null }})
    };
    for (end, code) in [("FINISHED", 0), ("FAILED", 1)] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let begin = post(&profiler).body(json!({"mode": "WALL", "duration": 1}));
        server.expect(begin).answer(answer(&run("RUNNING")));
        server.expect(get(&profiler)).answer(answer(
            &json!({"profilingList": [{"status": "FAILED", "triggerTime": 1}, run(end)]}),
        ));
        if code == 0 {
            server
                .expect(get(&format!("{profiler}/jm.html")))
                .answer(text(200, "<html>page</html>"));
        }
        let outcome = sandbox.run(&[
            "profile",
            "demo",
            "--jobmanager",
            "--mode",
            "wall",
            "--duration",
            "1s",
            "-o",
            "jm.html",
        ]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        let page = std::fs::read_to_string(sandbox.home().join("jm.html"));
        if code == 0 {
            assert_eq!(
                (outcome.stdout.as_str(), page.unwrap().as_str()),
                ("jm.html\n", "<html>page</html>")
            );
        } else {
            assert!(page.is_err() && outcome.stderr.contains("no perf events"), "{outcome}");
        }
    }
    let sandbox = Sandbox::new();
    let off = text(404, "{\"errors\": [\"Not found: /jobmanager/profiler\"]}");
    sandbox.server.expect(post(&profiler)).answer(off);
    let outcome = sandbox.run(&["profile", "demo", "--jobmanager"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("kubectl flink upgrade demo --profiling"),
        "{outcome}"
    );
}

#[test]
fn profiling_is_turned_on_by_a_flag_as_far_as_the_release_has_it() {
    for (image, flag, want) in [
        (
            "flink:2.3.0",
            "--profiling",
            ["rest.flamegraph.enabled=true", "rest.profiling.enabled=true"],
        ),
        (
            "flink:1.18.1",
            "--profiling",
            ["rest.flamegraph.enabled=true", "!rest.profiling.enabled"],
        ),
        (
            "flink:2.3.0",
            "--profiling=false",
            ["rest.flamegraph.enabled=false", "rest.profiling.enabled=false"],
        ),
    ] {
        let outcome = Sandbox::new().run(&[
            "create",
            "demo",
            "--image",
            image,
            flag,
            "--dry-run=client",
            "-o",
            "yaml",
        ]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        for words in want {
            match words.strip_prefix('!') {
                Some(words) => assert!(!outcome.stdout.contains(words), "{words}: {outcome}"),
                None => assert!(outcome.stdout.contains(words), "{words}: {outcome}"),
            }
        }
    }
}
