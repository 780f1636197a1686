//! Commands that look, where a program has started several jobs.

use serde_json::{Value, json};

use crate::demo::{self, FLINK, ID};
use crate::sandbox::Sandbox;
use crate::server::{get, json as answer};

const OTHER: &str = "00000000000000000000000000000002";
const DONE: &str = "00000000000000000000000000000003";

/// A job that runs, one that restarts, and one that has finished.
fn three() -> Sandbox {
    let sandbox = demo::running();
    let job = |id: &str, name: &str, state: &str, start: u32, running: u32| {
        json!({"jid": id, "name": name, "state": state, "start-time": start, "end-time": -1,
            "tasks": {"total": 2, "running": running}})
    };
    let jobs = json!({"jobs": [job(ID, "orders", "RUNNING", 9, 2), job(OTHER, "refunds", "RESTARTING", 8, 1),
        job(DONE, "import", "FINISHED", 7, 0)]});
    let overview = get(&format!("{FLINK}/jobs/overview"));
    sandbox.server.expect(overview).often().answer(answer(&jobs));
    sandbox
}

/// `list --live` and `top` say so in one word, `status` and `top NAME` in lines.
#[test]
fn jobs_beside_the_main_one_are_seen() {
    for arguments in [&["list", "--live"][..], &["top"]] {
        let outcome = three().run(arguments);
        let words = "RUNNING +1 FINISHED +1 RESTARTING";
        assert!(outcome.stdout.contains(words), "{arguments:?}: {outcome}");
    }
    for arguments in [&["status", "demo"][..], &["top", "demo"]] {
        let outcome = three().run(arguments);
        let line = "beside it refunds: RESTARTING, 1 of 2 tasks run\n";
        assert!(outcome.stdout.contains(line), "{arguments:?}: {outcome}");
        assert!(!outcome.stdout.contains("import"), "{arguments:?}: {outcome}");
    }
}

#[test]
fn programs_read_the_jobs_beside_the_main_one() {
    let list: Value = serde_json::from_str(&three().run(&["list", "--live", "-ojson"]).stdout).unwrap();
    let status: Value = serde_json::from_str(&three().run(&["status", "demo", "-ojson"]).stdout).unwrap();
    for (main, others) in [
        (
            &list["items"][0]["live"]["jobId"],
            &list["items"][0]["live"]["otherJobs"],
        ),
        (&status["job"]["id"], &status["otherJobs"]),
    ] {
        assert_eq!(main, ID);
        let refunds =
            json!({"id": OTHER, "name": "refunds", "state": "RESTARTING", "tasksRunning": 1, "tasksTotal": 2});
        assert_eq!(others[0], refunds);
        assert_eq!(others[1]["id"], DONE);
    }
}

#[test]
fn exceptions_of_all_jobs_are_listed() {
    let run = |arguments: &[&str]| {
        let sandbox = three();
        for (id, class, time) in [(ID, "a.Old", 1), (OTHER, "b.New", 2), (DONE, "c.Oldest", 0)] {
            let entry = json!({"exceptionName": class, "stacktrace": format!("{class}: why"), "timestamp": time, "taskName": "t"});
            let entries: Vec<_> = (time > 0).then_some(entry).into_iter().collect();
            let exceptions = json!({"exceptionHistory": {"entries": entries, "truncated": false}});
            let path = get(&format!("{FLINK}/jobs/{id}/exceptions"));
            sandbox.server.expect(path).answer(answer(&exceptions));
        }
        let outcome = sandbox.run(&[&["exceptions", "demo"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome
    };
    let list: Value = serde_json::from_str(&run(&["-ojson"]).stdout).unwrap();
    let found = |index: usize| {
        let item = &list["items"][index];
        ["class", "job", "jobId"].map(|field| item[field].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(found(0), ["b.New", "refunds", OTHER]);
    assert_eq!(found(1), ["a.Old", "orders", ID]);
    let outcome = run(&["--max", "1"]);
    assert!(
        outcome.stdout.contains("JOB NAME") && outcome.stdout.contains("refunds"),
        "{outcome}"
    );
    assert!(!outcome.stdout.contains("orders"), "{outcome}");
    assert_eq!(outcome.stderr, "Flink has more: --max shows them\n");
    assert!(run(&["--stack-traces"]).stdout.contains("refunds: t\nb.New: why\n"));
}
