//! A Flink that is slow, broken, huge or hostile, behind a real API server, whose service proxy leads to a server of the
//! test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, counting_job};

/// Chosen by the test, by path and query: the whole answer, head and all, and how long it waits before.
type Answers = Arc<Mutex<Box<dyn Fn(&str) -> Answer + Send>>>;

struct Answer {
    delay: Duration,
    status: u16,
    body: Vec<u8>,
    /// The connection is closed after so many bytes of the body.
    cut: Option<usize>,
}

fn text(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        delay: Duration::ZERO,
        status,
        body: body.into(),
        cut: None,
    }
}

fn ok(body: &Value) -> Answer {
    text(200, body.to_string())
}

struct Stub {
    answers: Answers,
    port: u16,
}

impl Stub {
    fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Answers = Arc::new(Mutex::new(Box::new(|_| text(404, "{}"))));
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { answers, port }
    }

    fn says(&self, answers: impl Fn(&str) -> Answer + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }
}

/// The head of a request; `None`: the connection has ended.
pub fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn serve(mut stream: TcpStream, answers: &Answers) {
    loop {
        let Some(request) = head(&mut stream) else { return };
        let length = request.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .trim()
                .parse::<usize>()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let path = request
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned();
        let answer = answers.lock().unwrap()(&path);
        std::thread::sleep(answer.delay);
        let head = format!(
            "HTTP/1.1 {} Stub\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.status,
            answer.body.len()
        );
        let sent = &answer.body[..answer.cut.unwrap_or(answer.body.len())];
        if stream.write_all(head.as_bytes()).is_err() || stream.write_all(sent).is_err() || answer.cut.is_some() {
            return;
        }
    }
}

/// A cluster `demo` whose JobManager's Pod has the address of the node, and does nothing: the Service's port is that of
/// the test's server. The API server's proxy goes to Pods only.
fn cluster(place: &Place, stub: &Stub) {
    let image = format!("--image={}", counting_job());
    let list = place
        .flink(&["create", "demo", &image, "--dry-run=client", "-o", "json"])
        .ok();
    let mut list: Value = serde_json::from_str(&list.stdout).unwrap();
    let ports = &mut list["items"][0]["spec"]["ports"];
    *ports = json!([{"name": "ui", "port": 8081, "targetPort": stub.port}]);
    let pod = &mut list["items"][1]["spec"]["template"]["spec"];
    pod["hostNetwork"] = json!(true);
    pod["terminationGracePeriodSeconds"] = json!(1);
    let container = pod["containers"][0].as_object_mut().unwrap();
    container.remove("ports");
    container.remove("livenessProbe");
    container.remove("readinessProbe");
    container.insert("command".to_owned(), json!(["sleep", "100000"]));
    container.insert("args".to_owned(), json!([]));
    list["items"][2]["spec"]["replicas"] = json!(0);
    place.kubectl_with(&["create", "-f", "-"], &list.to_string()).ok();
    // `status` does not wait for a Flink whose Pod is not up.
    crate::place::soon("the Pod runs", || {
        let phases = [
            "get",
            "pods",
            "-l",
            "app=demo",
            "-o",
            "jsonpath={.items[*].status.phase}",
        ];
        (place.kubectl(&phases) == "Running").then_some(())
    });
}

const ID: &str = "5da11d271bfd178c970e0bcb3c48d706";

fn jobs(name: &str) -> Value {
    json!({"jobs": [{"jid": ID, "name": name, "state": "RUNNING", "start-time": 1, "end-time": -1, "tasks": {"total": 2, "running": 2}}]})
}

fn overview(version: &str) -> Value {
    json!({"taskmanagers": 1, "slots-total": 2, "slots-available": 0, "flink-version": version})
}

/// Everything well, but for what `other` answers.
fn well(stub: &Stub, other: impl Fn(&str) -> Option<Answer> + Send + 'static) {
    stub.says(move |path| {
        if let Some(answer) = other(path) {
            return answer;
        }
        match path {
            "jobs/overview" => ok(&jobs("stub")),
            "overview" => ok(&overview("2.3.0")),
            _ => text(404, r#"{"errors":["Not found"]}"#),
        }
    });
}

#[test]
#[allow(clippy::too_many_lines)]
fn a_flink_that_is_slow_broken_huge_or_hostile_does_no_harm() {
    if std::env::var("BED_CONTEXT").is_ok() {
        println!("left out: the test's server cannot be reached from a cluster elsewhere");
        return;
    }
    let place = Place::new("stub");
    let stub = Stub::start();
    cluster(&place, &stub);
    well(&stub, |_| None);
    // The API server learns of the endpoint a moment later.
    crate::place::soon("the proxy leads to the stub", || place.rest("demo", "jobs/overview"));
    let status = |place: &Place| {
        let run = place
            .flink(&["status", "demo", "-o", "json"])
            .ok()
            .within(Duration::from_secs(60));
        serde_json::from_str::<Value>(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run}"))
    };
    assert_eq!(status(&place)["job"]["name"], "stub");

    // Slow: what comes late is left out, and what Kubernetes knows is printed.
    well(&stub, |path| {
        let mut answer = ok(&jobs("late"));
        answer.delay = Duration::from_secs(25);
        (path == "jobs/overview").then_some(answer)
    });
    let printed = status(&place);
    assert_eq!(printed["job"], Value::Null, "{printed}");
    assert!(
        printed["problems"].to_string().contains("no answer within 10 s"),
        "{printed}"
    );
    let list = place.flink(&["list", "--live"]).ok().within(Duration::from_secs(20));
    assert!(list.stdout.contains("no answer"), "{list}");

    // Broken: not JSON, cut in the middle, an error of its own.
    for broken in ["<html>Bad Gateway</html>", "{\"jobs\": [", "[]", "null"] {
        well(&stub, move |path| (path == "jobs/overview").then(|| text(200, broken)));
        let printed = status(&place);
        assert_eq!(printed["job"], Value::Null, "{broken}: {printed}");
    }
    well(&stub, |path| {
        let mut answer = ok(&jobs("cut"));
        answer.cut = Some(20);
        (path == "jobs/overview").then_some(answer)
    });
    assert_eq!(status(&place)["job"], Value::Null);
    well(&stub, |path| {
        (path == "jobs/overview").then(|| {
            text(
                500,
                r#"{"errors":["Internal server error.","<Exception on server side:\njava.lang.X: why\n\tat a.B"]}"#,
            )
        })
    });
    place
        .flink(&["savepoint", "demo"])
        .exits(1)
        .reports(&["java.lang.X: why"])
        .does_not_report("at a.B");

    // Huge: megabytes are read, and what does not end is not.
    well(&stub, |path| {
        let many: Vec<Value> = (0..20_000)
            .map(|n| json!({"id": format!("{n:032x}"), "name": "x".repeat(100), "parallelism": 1, "status": "RUNNING"}))
            .collect();
        (path == format!("jobs/{ID}")).then(|| ok(&json!({"jid": ID, "vertices": many})))
    });
    assert_eq!(status(&place)["vertices"].as_array().map(Vec::len), Some(20_000));
    well(&stub, |path| {
        (path == "jobs/overview").then(|| text(200, " ".repeat(40 << 20)))
    });
    assert_eq!(status(&place)["job"], Value::Null);

    // Hostile: nothing of it reaches the terminal, and no path leads elsewhere.
    well(&stub, |path| {
        let mut evil = jobs("\u{1b}[2J\u{1b}]0;owned\u{7}name");
        evil["jobs"][0]["state"] = json!("RUNNING\u{1b}[31m");
        let trace = "java.lang.IllegalStateException: \u{1b}[2Jowned\n\tat a.B";
        match path.split('?').next().unwrap_or_default() {
            "jobs/overview" => Some(ok(&evil)),
            exceptions if exceptions.ends_with("/exceptions") => Some(ok(
                &json!({"exceptionHistory": {"entries": [{"stacktrace": trace, "timestamp": 1}]}}),
            )),
            "jobmanager/config" => Some(ok(
                &json!([{"key": "\u{1b}[2Ja", "value": "\u{1b}[2Jb"}, {"key": "s3.secret-key", "value": "hidden-one"}]),
            )),
            _ => None,
        }
    });
    for command in ["status", "exceptions", "config", "top", "why"] {
        let run = place.note(place.flink(&[command, "demo"]));
        assert!(
            !run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'),
            "{run}"
        );
        assert!(!run.stdout.contains("hidden-one"), "{run}");
    }
    place.flink(&["exceptions", "demo", "--stack-traces"]).ok();

    // A savepoint that failed is HTTP 200 and COMPLETED.
    well(&stub, |path| {
        let failed = json!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "java.util.concurrent.CompletionException",
            "stack-trace": "java.util.concurrent.CompletionException: org.apache.flink.runtime.checkpoint.CheckpointException: disk full\n\tat a.B"}}});
        match path {
            path if path == format!("jobs/{ID}/savepoints") => Some(text(202, r#"{"request-id":""}"#)),
            path if path.starts_with(&format!("jobs/{ID}/savepoints/")) => Some(ok(&failed)),
            _ => None,
        }
    });
    place
        .flink(&["savepoint", "demo"])
        .exits(6)
        .reports(&["disk full"])
        .does_not_report("at a.B");
    let saved = place.savepoints("demo");
    assert_eq!(saved[0]["progress"], "failed", "{saved:?}");

    // Flink 1.16 cannot take checkpoints on demand.
    well(&stub, |path| match path {
        "overview" => Some(ok(&overview("1.16.3"))),
        path if path == format!("jobs/{ID}/checkpoints") => Some(text(405, r#"{"errors":["Method Not Allowed"]}"#)),
        _ => None,
    });
    place
        .flink(&["checkpoint", "demo"])
        .exits(1)
        .reports(&["Flink 1.16.3 of cluster demo cannot take checkpoints on demand: that came with 1.17"]);
}
