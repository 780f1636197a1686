//! `list`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::objects::{deployment_row, deployment_table, in_2020, job_row, job_table, meta, minutes_ago, with_metadata};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, Call, cut, get, json as answer, status, status_object, text, watch};
use crate::snapshot;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn jobs() -> Call {
    get(JOBS).no_query("watch")
}

fn deployments() -> Call {
    get(DEPLOYMENTS).no_query("watch")
}

/// Both lists, each in one page.
fn lists(sandbox: &Sandbox, job_rows: &[Value], deployment_rows: &[Value]) {
    sandbox.server.expect(jobs()).answer(answer(&job_table(job_rows)));
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(deployment_rows)));
}

/// Jobs answered so, Deployments with none.
fn with_jobs(answer_to_jobs: Answer, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).answer(answer_to_jobs);
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(&[])));
    sandbox.run(&[&["list"], arguments].concat())
}

/// One cluster in each state.
fn zoo() -> (Vec<Value>, Vec<Value>) {
    let job = |app: &str, status: &str| job_row("default", app, status);
    let tasks = |app: &str, ready: &str| deployment_row("default", app, ready);
    let mut by_hand = with_metadata(job("by-hand", "Running"), &json!({"annotations": null}));
    by_hand["cells"][5] = json!("istio-proxy,flink-master");
    by_hand["cells"][6] = json!("istio/proxyv2:1.20,flink:1.20.5-java17");
    let foreign = with_metadata(job("foreign", "Running"), &json!({"name": "other-name"}));
    (
        vec![
            by_hand,
            job("degraded", "Running"),
            job("failed", "Failed"),
            job("finished", "Complete"),
            foreign,
            job("no-task-managers", "Running"),
            job("scaled-to-zero", "Running"),
            job("suspended", "Suspended"),
            with_metadata(
                job("terminating", "Running"),
                &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            ),
            job("unknown", "Levitating"),
        ],
        vec![
            tasks("by-hand", "2/2"),
            tasks("degraded", "1/2"),
            tasks("failed", "2/2"),
            tasks("finished", "2/2"),
            tasks("left-over", "2/2"),
            tasks("scaled-to-zero", "0/0"),
            tasks("suspended", "2/2"),
            tasks("terminating", "2/2"),
            tasks("unknown", "2/2"),
        ],
    )
}

fn two(sandbox: &Sandbox) {
    lists(
        sandbox,
        &[
            in_2020(job_row("default", "cart", "Running")),
            in_2020(job_row("default", "shop", "Complete")),
        ],
        &[
            deployment_row("default", "cart", "2/2"),
            deployment_row("default", "shop", "2/2"),
        ],
    );
}

fn list_zoo(arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let (jobs, deployments) = zoo();
    lists(&sandbox, &jobs, &deployments);
    sandbox.run(&[&["list"], arguments].concat())
}

#[test]
fn every_state() {
    snapshot!(list_zoo(&[]));
}

#[test]
fn a_young_cluster_starts() {
    let sandbox = Sandbox::new();
    let new = |row| with_metadata(row, &json!({"creationTimestamp": minutes_ago(9)}));
    lists(
        &sandbox,
        &[new(job_row("default", "shop", "Running"))],
        &[new(deployment_row("default", "shop", "1/2"))],
    );
    let outcome = sandbox.run(&["list", "--no-headers"]);
    assert!(
        outcome.stdout.starts_with("shop   Starting   2   1/2   9m"),
        "{outcome}"
    );
}

#[test]
fn wide() {
    snapshot!(list_zoo(&["-o", "wide"]));
}

#[test]
fn names() {
    snapshot!(list_zoo(&["-oname"]));
}

#[test]
fn without_headers() {
    snapshot!(list_zoo(&["--no-headers"]));
}

#[test]
fn the_requests_are_two_and_small() {
    let sandbox = Sandbox::new();
    let list = |path, component: &str| {
        get(path)
            .query("labelSelector", &format!("component={component},app"))
            .query("includeObject", "Metadata")
            .query("limit", "500")
            .no_query("continue")
            .header("accept", TABLE)
            .header("authorization", "Bearer s3cret")
    };
    sandbox
        .server
        .expect(list(JOBS, "master"))
        .answer(answer(&job_table(&[])));
    sandbox
        .server
        .expect(list(DEPLOYMENTS, "task-manager"))
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn aliases() {
    for alias in ["get", "ls"] {
        let sandbox = Sandbox::new();
        two(&sandbox);
        assert_eq!(sandbox.run(&[alias, "-o", "name"]).stdout, "cart\nshop\n");
    }
}

#[test]
fn json() {
    let sandbox = Sandbox::new();
    two(&sandbox);
    snapshot!(sandbox.run(&["list", "-o", "json"]));
}

#[test]
fn yaml() {
    let sandbox = Sandbox::new();
    lists(
        &sandbox,
        &[in_2020(with_metadata(
            job_row("default", "y", "Running"),
            &json!({"labels": {"zone": "1_000", "no": "on"}}),
        ))],
        &[
            deployment_row("default", "y", "1/2"),
            in_2020(deployment_row("default", "left-over", "2/2")),
        ],
    );
    snapshot!(sandbox.run(&["list", "-o", "yaml"]));
}

#[test]
fn json_and_yaml_are_the_same_tree() {
    let tree = |format: &str| -> Value { serde_yaml::from_str(&list_zoo(&["-o", format]).stdout).unwrap() };
    let mut trees = [tree("json"), tree("yaml")];
    // The two were made by two runs, at two times.
    for tree in &mut trees {
        for item in tree["items"].as_array_mut().unwrap() {
            item["createdAt"].take();
        }
    }
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[0]["items"].as_array().unwrap().len(), 10);
}

#[test]
fn nothing() {
    for (format, stdout) in [
        (
            "json",
            "{\n    \"apiVersion\": \"kubectl-flink/v1\",\n    \"kind\": \"ClusterList\",\n    \"items\": []\n}\n",
        ),
        ("yaml", "apiVersion: kubectl-flink/v1\nkind: ClusterList\nitems: []\n"),
        ("name", ""),
        ("table", ""),
    ] {
        let sandbox = Sandbox::new();
        lists(&sandbox, &[], &[]);
        let outcome = sandbox.run(&["list", "-o", format]);
        assert_eq!((outcome.stdout.as_str(), outcome.code), (stdout, Some(0)));
        let note = if format == "table" {
            "No resources found in default namespace.\n"
        } else {
            ""
        };
        assert_eq!(outcome.stderr, note, "{format}");
    }
}

#[test]
fn all_namespaces() {
    let sandbox = Sandbox::new();
    let jobs = [job_row("b", "shop", "Running"), job_row("a", "shop", "Failed")];
    sandbox
        .server
        .expect(get("/apis/batch/v1/jobs"))
        .answer(answer(&job_table(&jobs)));
    let deployments = [deployment_row("b", "shop", "2/2"), deployment_row("a", "cart", "2/2")];
    sandbox
        .server
        .expect(get("/apis/apps/v1/deployments"))
        .answer(answer(&deployment_table(&deployments)));
    snapshot!(sandbox.run(&["list", "-A", "-o", "wide"]));
}

#[test]
fn nothing_in_all_namespaces() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(get("/apis/batch/v1/jobs"))
        .answer(answer(&job_table(&[])));
    sandbox
        .server
        .expect(get("/apis/apps/v1/deployments"))
        .answer(answer(&deployment_table(&[])));
    assert_eq!(sandbox.run(&["list", "-A"]).stderr, "No resources found\n");
}

#[test]
fn named_clusters_in_their_order_and_those_that_are_missing() {
    let sandbox = Sandbox::new();
    let names = |call: Call, component: &str| {
        call.query(
            "labelSelector",
            &format!("component={component},app in (shop,gone,cart,lost)"),
        )
    };
    let rows = [
        job_row("default", "cart", "Running"),
        job_row("default", "shop", "Failed"),
    ];
    sandbox
        .server
        .expect(names(jobs(), "master"))
        .answer(answer(&job_table(&rows)));
    let rows = [
        deployment_row("default", "cart", "2/2"),
        deployment_row("default", "shop", "2/2"),
    ];
    sandbox
        .server
        .expect(names(deployments(), "task-manager"))
        .answer(answer(&deployment_table(&rows)));
    snapshot!(sandbox.run(&["list", "shop", "gone", "cart", "lost"]));
}

#[test]
fn a_named_cluster_that_is_missing() {
    let sandbox = Sandbox::new();
    lists(&sandbox, &[], &[]);
    snapshot!(sandbox.run(&["list", "gone"]));
}

#[test]
fn a_name_that_cannot_be() {
    snapshot!(Sandbox::new().run(&["list", "a),x in (b"]));
}

#[test]
fn names_and_all_namespaces() {
    snapshot!(Sandbox::new().run(&["list", "shop", "-A"]));
}

#[test]
fn names_and_a_selector() {
    snapshot!(Sandbox::new().run(&["list", "shop", "-l", "team=a"]));
}

#[test]
fn a_selector_finds_the_other_parts_too() {
    let sandbox = Sandbox::new();
    let labels = |component: &str| format!("component={component},app,team in (a, b)");
    let rows = [
        job_row("default", "cart", "Running"),
        job_row("default", "shop", "Running"),
    ];
    sandbox
        .server
        .expect(jobs().query("labelSelector", &labels("master")))
        .answer(answer(&job_table(&rows)));
    let rows = [
        deployment_row("default", "cart", "2/2"),
        deployment_row("default", "left-over", "2/2"),
    ];
    sandbox
        .server
        .expect(deployments().query("labelSelector", &labels("task-manager")))
        .answer(answer(&deployment_table(&rows)));
    let rest = "component=master,app in (left-over)";
    sandbox
        .server
        .expect(jobs().query("labelSelector", rest))
        .answer(answer(&job_table(&[])));
    let rest = "component=task-manager,app in (shop)";
    let rows = [deployment_row("default", "shop", "2/2")];
    sandbox
        .server
        .expect(deployments().query("labelSelector", rest))
        .answer(answer(&deployment_table(&rows)));
    snapshot!(sandbox.run(&["list", "-l", "team in (a, b)"]));
}

#[test]
fn a_selector_that_the_server_refuses() {
    let refused = status(
        400,
        "BadRequest",
        "unable to parse requirement: found '=', expected: identifier",
    );
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).answer(refused.clone());
    sandbox.server.expect(deployments()).answer(refused);
    snapshot!(sandbox.run(&["list", "-l", "=a"]));
}

#[test]
fn sorted() {
    let rows = |key: &str| -> Vec<String> {
        let sandbox = Sandbox::new();
        let age = |minutes| json!({"creationTimestamp": minutes_ago(minutes)});
        let mut image = job_row("default", "c", "Running");
        image["cells"][6] = json!("registry:5000/shop:1.9.0");
        lists(
            &sandbox,
            &[
                with_metadata(
                    job_row("default", "a", "Running"),
                    &json!({"annotations": {"kubectl-flink/parallelism": "10"}}),
                ),
                with_metadata(job_row("default", "b", "Failed"), &age(60)),
                with_metadata(image, &age(30)),
            ],
            &[
                deployment_row("default", "a", "2/2"),
                deployment_row("default", "b", "9/10"),
                deployment_row("default", "c", "3/3"),
            ],
        );
        let outcome = sandbox.run(&["list", "-oname", "--sort-by", key]);
        outcome.stdout.lines().map(ToOwned::to_owned).collect()
    };
    for (key, order) in [
        ("name", "a b c"),
        ("namespace", "a b c"),
        ("{.metadata.name}", "a b c"),
        ("status", "b a c"),
        ("age", "a b c"),
        (".metadata.creationTimestamp", "a b c"),
        ("parallelism", "b c a"),
        ("taskmanagers", "a c b"),
        ("image", "c a b"),
        ("flink", "c a b"),
        ("revision", "a b c"),
    ] {
        assert_eq!(rows(key).join(" "), order, "{key}");
    }
}

#[test]
fn sorted_by_what_is_no_column() {
    snapshot!(Sandbox::new().run(&["list", "--sort-by", ".spec.replicas"]));
}

#[test]
fn a_format_that_does_not_exist() {
    snapshot!(Sandbox::new().run(&["list", "-o", "custom-columns=NAME"]));
}

#[test]
fn text_of_strangers_does_not_reach_the_terminal() {
    let sandbox = Sandbox::new();
    let told = json!({"annotations": {"kubectl-flink/flink-version": "\u{1b}]0;title\u{7}2.3\nroot\u{9b}31m"}});
    lists(
        &sandbox,
        &[with_metadata(job_row("default", "shop", "Running"), &told)],
        &[],
    );
    snapshot!(sandbox.run(&["list", "-o", "wide"]));
}

// Pages.

fn page(mut table: Value, next: &str) -> Answer {
    table["metadata"] = json!({"resourceVersion": "1000", "continue": next, "remainingItemCount": 1});
    answer(&table)
}

#[test]
fn pages() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .answer(page(job_table(&[job_row("default", "a", "Running")]), "x=/+"));
    sandbox
        .server
        .expect(jobs().query("continue", "x=/+"))
        .answer(answer(&job_table(&[job_row("default", "b", "Failed")])));
    let row = |app| deployment_row("default", app, "2/2");
    sandbox
        .server
        .expect(deployments().no_query("continue"))
        .answer(page(deployment_table(&[row("a")]), "1"));
    sandbox
        .server
        .expect(deployments().query("continue", "1"))
        .answer(page(deployment_table(&[]), "2"));
    sandbox
        .server
        .expect(deployments().query("continue", "2"))
        .answer(answer(&deployment_table(&[row("b")])));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn a_page_that_the_server_has_forgotten() {
    let sandbox = Sandbox::new();
    let first = |app| page(job_table(&[job_row("default", app, "Running")]), "old");
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .answer(first("before"));
    sandbox
        .server
        .expect(jobs().query("continue", "old"))
        .answer(status(410, "Expired", "the token has expired"));
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .answer(first("after"));
    sandbox
        .server
        .expect(jobs().query("continue", "old"))
        .answer(answer(&job_table(&[])));
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn a_server_that_forgets_every_page() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .times(6)
        .answer(page(job_table(&[]), "old"));
    let gone = status(410, "Expired", "the token has expired");
    sandbox
        .server
        .expect(jobs().query("continue", "old"))
        .times(6)
        .answer(gone);
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list"]));
}

// Servers that are not like the newest.

fn whole(kind: &str, app: &str, component: &str, spec: &Value, status: &Value) -> Value {
    json!({"kind": kind, "metadata": meta("default", app, component, &json!({})), "spec": spec, "status": status})
}

fn whole_lists(sandbox: &Sandbox) {
    let template = json!({"spec": {"containers": [{"name": "flink-master", "image": "flink:1.20.5"}]}});
    let job = |app, conditions: Value| {
        whole(
            "Job",
            app,
            "master",
            &json!({"template": template}),
            &json!({"conditions": conditions}),
        )
    };
    let failed = json!([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}]);
    let list = json!({"kind": "JobList", "apiVersion": "batch/v1", "metadata": {"resourceVersion": "1000"}, "items": [
        job("complete", json!([{"type": "Complete", "status": "True"}])),
        job("failed", failed),
        job("resumed", json!([{"type": "Suspended", "status": "False"}])),
        job("suspended", json!([{"type": "Suspended", "status": "True"}])),
    ]});
    sandbox.server.expect(jobs()).answer(answer(&list));
    let tasks = |app, ready| {
        let status = json!({"replicas": 2, "readyReplicas": ready});
        whole(
            "Deployment",
            app,
            "task-manager",
            &json!({"replicas": 2, "template": template}),
            &status,
        )
    };
    let list = json!({"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "1000"}, "items": [
        tasks("complete", 2), tasks("failed", 0), tasks("resumed", 2), tasks("suspended", 2)
    ]});
    sandbox.server.expect(deployments()).answer(answer(&list));
}

#[test]
fn a_server_without_tables() {
    let sandbox = Sandbox::new();
    whole_lists(&sandbox);
    snapshot!(sandbox.run(&["list", "-o", "wide"]));
}

#[test]
fn a_server_before_kubernetes_1_31() {
    let sandbox = Sandbox::new();
    let mut old = job_table(&[]);
    old["columnDefinitions"].as_array_mut().unwrap().remove(1);
    sandbox
        .server
        .expect(jobs().header("accept", TABLE))
        .answer(answer(&old));
    whole_lists(&sandbox);
    let outcome = sandbox.run(&["list"]);
    assert!(outcome.stdout.contains("failed      Failed"), "{outcome}");
}

#[test]
fn an_answer_of_something_else() {
    snapshot!(with_jobs(
        answer(&json!({"kind": "APIVersions", "versions": ["v1"]})),
        &[]
    ));
}

#[test]
fn garbage() {
    snapshot!(with_jobs(
        text(200, "<html>Please log in</html>").header("content-type", "text/html"),
        &[]
    ));
}

// Refusals and faults.

#[test]
fn unauthorized() {
    snapshot!(with_jobs(status(401, "Unauthorized", "Unauthorized"), &[]));
}

fn forbidden(resource: &str, group: &str) -> Answer {
    let message = format!(
        "{resource}.{group} is forbidden: User \"tester\" cannot list resource \"{resource}\" in API group \"{group}\" in \
         the namespace \"default\""
    );
    status(403, "Forbidden", &message)
}

#[test]
fn forbidden_jobs() {
    snapshot!(with_jobs(forbidden("jobs", "batch"), &[]));
}

#[test]
fn forbidden_both() {
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).answer(forbidden("jobs", "batch"));
    sandbox
        .server
        .expect(deployments())
        .answer(forbidden("deployments", "apps"));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn forbidden_in_all_namespaces() {
    let sandbox = Sandbox::new();
    let message = "jobs.batch is forbidden: User \"tester\" cannot list resource \"jobs\" in API group \"batch\" at the \
                   cluster scope";
    sandbox
        .server
        .expect(get("/apis/batch/v1/jobs"))
        .answer(status(403, "Forbidden", message));
    sandbox
        .server
        .expect(get("/apis/apps/v1/deployments"))
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list", "-A"]));
}

#[test]
fn not_found() {
    snapshot!(with_jobs(
        status(404, "NotFound", "the server could not find the requested resource"),
        &[]
    ));
}

#[test]
fn not_found_by_something_else() {
    snapshot!(with_jobs(text(404, "404 page not found\n"), &[]));
}

#[test]
fn busy_and_then_not() {
    let sandbox = Sandbox::new();
    let busy = status(429, "TooManyRequests", "too many requests").header("retry-after", "1");
    sandbox.server.expect(jobs()).answer(busy);
    two(&sandbox);
    let begun = Instant::now();
    assert_eq!(sandbox.run(&["list", "-oname"]).stdout, "cart\nshop\n");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn busy_for_good() {
    let sandbox = Sandbox::new();
    let busy = status(429, "TooManyRequests", "too many requests, please try again later").header("retry-after", "0");
    sandbox.server.expect(jobs()).times(5).answer(busy);
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn unavailable() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(jobs())
        .times(5)
        .answer(text(503, "no healthy upstream").header("retry-after", "0"));
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn internal_error() {
    snapshot!(with_jobs(
        status(500, "InternalError", "etcdserver: leader changed"),
        &[]
    ));
}

#[test]
fn a_connection_cut_before_the_answer() {
    snapshot!(with_jobs(cut(), &[]));
}

#[test]
fn a_connection_cut_within_the_answer() {
    snapshot!(with_jobs(
        answer(&job_table(&[job_row("default", "shop", "Running")])).cut_at(300),
        &[]
    ));
}

#[test]
fn a_slow_answer() {
    let late = answer(&job_table(&[])).after(Duration::from_secs(20));
    let begun = Instant::now();
    snapshot!(with_jobs(late, &["--request-timeout", "300ms"]));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_answer_that_does_not_end() {
    snapshot!(with_jobs(
        text(200, "{\"kind\": \"Table\", ").held(),
        &["--request-timeout", "300ms"]
    ));
}

// Watches. Each ends with a refusal, as there is no Ctrl-C in a script.

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

/// A Table with one row, as an event has it: the columns are told only once in a watch.
fn event(row: Value, version: &str) -> Value {
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
        "columnDefinitions": null, "rows": [row]
    })
}

fn end() -> Answer {
    status(403, "Forbidden", "User \"tester\" cannot watch this")
}

/// Jobs change so after a list of `cart` and `shop`, then their watch is refused; Deployments do not change.
fn watched(events: Answer, after: &str, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    two(&sandbox);
    sandbox
        .server
        .expect(watch_deployments("1000"))
        .answer(watch([]).held());
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
        // The same again: nothing to tell.
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
        .map(|item| format!("{} {}", item["name"], item["status"]))
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
fn a_watch_goes_on_where_it_broke() {
    let broken = watch([("MODIFIED", event(job_row("default", "shop", "Failed"), "1500"))]).cut_at(100_000);
    let outcome = watched(broken, "1500", &["-oname"]);
    assert_eq!(outcome.stdout, "cart\nshop\nshop\n");
}

#[test]
fn a_watch_goes_on_where_an_event_broke() {
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
fn a_watch_that_lost_its_place_reads_the_list_anew() {
    for gone in [
        status(410, "Expired", "too old resource version"),
        watch([("ERROR", status_object(410, "Expired", "too old resource version"))]),
    ] {
        let sandbox = Sandbox::new();
        two(&sandbox);
        sandbox
            .server
            .expect(watch_deployments("1000"))
            .answer(watch([]).held());
        sandbox.server.expect(watch_jobs("1000")).answer(gone);
        let mut table = job_table(&[job_row("default", "cart", "Failed"), job_row("default", "x", "Running")]);
        table["metadata"]["resourceVersion"] = json!("3000");
        sandbox.server.expect(jobs()).answer(answer(&table));
        sandbox.server.expect(watch_jobs("3000")).answer(end());
        snapshot!(without_ages(sandbox.run(&["list", "--watch"])));
    }
}

#[test]
fn a_watch_that_is_refused() {
    let sandbox = Sandbox::new();
    two(&sandbox);
    sandbox
        .server
        .expect(watch_deployments("1000"))
        .answer(watch([]).held());
    sandbox.server.expect(watch_jobs("1000")).answer(end());
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
    assert_eq!((&last["name"], &last["status"]), (&json!("failed"), &json!("Degraded")));
}
