//! `list --watch`. Each watch ends with a refusal, as there is no Ctrl-C in a script.

use std::time::Duration;

use serde_json::{Value, json};

use crate::list::{DEPLOYMENTS, JOBS, TABLE, jobs, lists, two};
use crate::list_faults::{whole, whole_lists};
use crate::objects::{deployment_row, in_2020, job_row, job_table, minutes_ago, with_metadata};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, Call, get, json as answer, status, status_object, watch};
use crate::snapshot;

fn watch_jobs(version: &str) -> Call {
    get(JOBS)
        .query("watch", "true")
        .query("resourceVersion", version)
        .query("allowWatchBookmarks", "true")
}

fn watch_deployments(version: &str) -> Call {
    get(DEPLOYMENTS)
        .query("watch", "true")
        .query("resourceVersion", version)
}

/// A Table with one row, as an event has it: a watch has the columns only once.
fn event(row: impl Into<Value>, version: &str) -> Value {
    let row: Value = row.into();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
        "columnDefinitions": null, "rows": [row]
    })
}

fn end() -> Answer {
    status(403, "Forbidden", "User \"tester\" cannot watch this")
}

/// A list of `cart` and `shop`, whose Deployments do not change afterwards.
fn with_silent_deployments() -> Sandbox {
    let sandbox = Sandbox::new();
    two(&sandbox);
    sandbox
        .server
        .expect(watch_deployments("1000"))
        .answer(watch([]).held());
    sandbox
}

/// Jobs change so after a list of `cart` and `shop`, then their watch is refused; Deployments do not change.
fn watched(events: Answer, after: &str, arguments: &[&str]) -> Outcome {
    let sandbox = with_silent_deployments();
    sandbox
        .server
        .expect(watch_jobs("1000").header("accept", TABLE))
        .answer(events);
    sandbox.server.expect(watch_jobs(after)).answer(end());
    sandbox.run(&[&["list", "--watch"], arguments].concat())
}

fn changes() -> Answer {
    let changed = |app, status| in_2020(job_row("default", app, status));
    let gone = with_metadata(
        changed("cart", "Running"),
        &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    );
    watch([
        ("ADDED", event(changed("a-new-one", "Running"), "1001")),
        // The same again: nothing to print.
        ("MODIFIED", event(changed("shop", "Complete"), "1002")),
        ("MODIFIED", event(changed("shop", "Failed"), "1003")),
        ("MODIFIED", event(gone.clone(), "1004")),
        ("DELETED", event(gone, "1005")),
        ("DELETED", event(changed("a-new-one", "Running"), "1006")),
        (
            "BOOKMARK",
            json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "2000"}, "rows": []}),
        ),
    ])
}

/// Without ages, which differ from run to run where clusters are years old.
fn without_ages(mut outcome: Outcome) -> Outcome {
    let age = |word: &str| word.ends_with(['d', 'y']) && word.starts_with(|c: char| c.is_ascii_digit());
    let lines = outcome.stdout.lines().map(|line| {
        line.split(' ')
            .map(|word| if age(word) { "[AGE]" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
            + "\n"
    });
    outcome.stdout = lines.collect();
    outcome
}

#[test]
fn watched_changes() {
    snapshot!(without_ages(watched(changes(), "2000", &[])));
}

#[test]
fn watched_as_json() {
    snapshot!(watched(changes(), "2000", &["-o", "json"]));
}

#[test]
fn watched_as_yaml() {
    let outcome = watched(
        watch([("MODIFIED", event(job_row("default", "shop", "Failed"), "2000"))]),
        "2000",
        &["-oyaml"],
    );
    let all: Vec<Value> = serde_yaml::from_multiple(&outcome.stdout).unwrap();
    let states: Vec<_> = all
        .iter()
        .map(|item| format!("{} {}", item["metadata"]["name"], item["status"]["phase"]))
        .collect();
    assert_eq!(
        states,
        ["\"cart\" \"Running\"", "\"shop\" \"Finished\"", "\"shop\" \"Failed\""]
    );
}

#[test]
fn watched_and_sorted() {
    let outcome = watched(watch([]), "1000", &["--sort-by=name", "-oname"]);
    assert!(outcome.stderr.starts_with("warning: --sort-by"), "{outcome}");
}

#[test]
fn a_watch_continues_where_it_broke() {
    let broken = watch([("MODIFIED", event(job_row("default", "shop", "Failed"), "1500"))]).cut_at(100_000);
    let outcome = watched(broken, "1500", &["-oname"]);
    assert_eq!(outcome.stdout, "cart\nshop\nshop\n");
}

#[test]
fn a_watch_continues_where_an_event_broke() {
    let broken = watch([("MODIFIED", event(job_row("default", "shop", "Failed"), "1500"))]).cut_at(200);
    let outcome = watched(broken, "1000", &["-oname"]);
    assert_eq!(outcome.stdout, "cart\nshop\n");
}

#[test]
fn a_watch_of_nothing_prints_headers_with_its_first_line() {
    let sandbox = Sandbox::new();
    lists(&sandbox, &[], &[]);
    sandbox.server.expect(watch_jobs("1000")).answer(watch([]).held());
    let row = with_metadata(
        deployment_row("default", "shop", "0/2"),
        &json!({"creationTimestamp": minutes_ago(30)}),
    );
    sandbox
        .server
        .expect(watch_deployments("1000"))
        .answer(watch([("ADDED", event(row, "1001"))]));
    sandbox.server.expect(watch_deployments("1001")).answer(end());
    snapshot!(sandbox.run(&["list", "-w"]));
}

#[test]
fn a_watch_with_an_expired_version_reads_the_list_again() {
    for gone in [
        status(410, "Expired", "too old resource version"),
        watch([("ERROR", status_object(410, "Expired", "too old resource version"))]),
    ] {
        let sandbox = with_silent_deployments();
        sandbox.server.expect(watch_jobs("1000")).answer(gone);
        let mut table = job_table(&[job_row("default", "cart", "Failed"), job_row("default", "x", "Running")]);
        table["metadata"]["resourceVersion"] = json!("3000");
        sandbox.server.expect(jobs()).answer(answer(&table));
        // Late, so that both have been asked for when it comes, on a busy machine too.
        let refusal = end().after(Duration::from_secs(2));
        sandbox.server.expect(watch_jobs("3000")).answer(refusal);
        snapshot!(without_ages(sandbox.run(&["list", "--watch"])));
    }
}

#[test]
fn a_watch_survives_a_list_that_fails_and_says_so() {
    let sandbox = with_silent_deployments();
    let gone = status(410, "Expired", "too old resource version");
    sandbox.server.expect(watch_jobs("1000")).answer(gone);
    let failure = status(500, "InternalError", "etcd is away");
    sandbox.server.expect(jobs()).answer(failure);
    let mut table = job_table(&[
        job_row("default", "cart", "Failed"),
        job_row("default", "shop", "Complete"),
    ]);
    table["metadata"]["resourceVersion"] = json!("3000");
    sandbox.server.expect(jobs()).answer(answer(&table));
    let refusal = end().after(Duration::from_secs(2));
    sandbox.server.expect(watch_jobs("3000")).answer(refusal);
    let outcome = sandbox.run(&["list", "--watch", "-oname"]);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(
        lines[0].starts_with("warning: ") && lines[0].contains("etcd is away"),
        "{outcome}"
    );
    assert!(lines[0].ends_with("; trying again"), "{outcome}");
    assert_eq!(lines[1], "jobs can be watched again", "{outcome}");
    assert_eq!(outcome.stdout, "cart\nshop\ncart\nshop\n", "{outcome}");
}

#[test]
fn a_watch_that_is_refused() {
    let sandbox = with_silent_deployments();
    // Late, so that both have been asked for when it comes, on a busy machine too.
    let refusal = end().after(Duration::from_secs(2));
    sandbox.server.expect(watch_jobs("1000")).answer(refusal);
    snapshot!(sandbox.run(&["list", "--watch", "-oname"]));
}

#[test]
fn a_watch_without_tables() {
    let sandbox = Sandbox::new();
    whole_lists(&sandbox);
    sandbox
        .server
        .expect(watch_deployments("1000"))
        .answer(watch([]).held());
    let mut job = whole("Job", "failed", "master", &json!({}), &json!({"conditions": []}));
    job["metadata"]["resourceVersion"] = json!("1001");
    sandbox
        .server
        .expect(watch_jobs("1000"))
        .answer(watch([("MODIFIED", job)]));
    sandbox.server.expect(watch_jobs("1001")).answer(end());
    let outcome = sandbox.run(&["list", "--watch", "-ojson"]);
    let last: Value = serde_json::from_str(outcome.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["name"], &last["status"]["phase"]),
        (&json!("failed"), &json!("Degraded"))
    );
}

#[cfg(unix)]
#[test]
fn a_watch_ends_silently_at_ctrl_c() {
    let sandbox = with_silent_deployments();
    let event = event(job_row("default", "new", "Running"), "1001");
    sandbox
        .server
        .expect(watch_jobs("1000"))
        .answer(watch([("ADDED", event)]).held());
    let outcome = sandbox.run_and_interrupt(&["list", "-w", "-oname"], "new\n");
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("cart\nshop\nnew\n", "")
    );
    assert_eq!(outcome.code, Some(130));
}
