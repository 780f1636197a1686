//! Which clusters `list` shows: by name, by selector, of all namespaces.

use crate::list::{deployments, jobs, lists};
use crate::objects::{deployment_row, deployment_table, has_no_other_cluster, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::server::{Call, get, json as answer, status};
use crate::snapshot;

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
    snapshot!(sandbox.run(&["list", "-A", "-o", "wide", "--live=false"]));
}

#[test]
fn the_hint_for_idle_taskmanagers_of_all_namespaces_is_for_all_of_them() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(get("/apis/batch/v1/jobs"))
        .answer(answer(&job_table(&[job_row("a", "shop", "Failed")])));
    sandbox
        .server
        .expect(get("/apis/apps/v1/deployments"))
        .answer(answer(&deployment_table(&[deployment_row("a", "shop", "2/2")])));
    let outcome = sandbox.run(&["list", "-A"]);
    let hint = "idle TaskManagers of shop: `kubectl flink prune -A` deletes clusters";
    assert!(outcome.stderr.contains(hint), "{outcome}");
}

#[test]
fn an_empty_list_of_all_namespaces_prints_a_note() {
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
    has_no_other_cluster(&sandbox.server);
    snapshot!(sandbox.run(&["list", "shop", "gone", "cart", "lost"]));
}

#[test]
fn a_named_cluster_that_is_missing() {
    let sandbox = Sandbox::new();
    lists(&sandbox, &[], &[]);
    has_no_other_cluster(&sandbox.server);
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
