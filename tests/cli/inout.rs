//! Clusters that come from elsewhere and go elsewhere, without a real cluster.

use serde_json::json as tree;

use crate::change::{DEPLOYMENT, FLINK, JOB, PODS, made, reads};
use crate::sandbox::Sandbox;
use crate::server::{get, json, patch, status};

/// `job.state: suspended` in its file.
#[test]
fn a_cluster_that_was_created_suspended_is_started_as_it_is() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut made = made(&tree!([]));
    made.job["spec"]["suspend"] = tree!(true);
    made.deployment["spec"]["replicas"] = tree!(0);
    made.deployment["metadata"]["annotations"]["kubectl-flink/suspended-replicas"] = tree!("3");
    reads(server, &made);
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available for service \"demo-master\"",
    ));
    server
        .expect(get(PODS))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    let job = patch(JOB).body(tree!({"spec": {"suspend": false}}));
    server.expect(job).answer(json(&made.job));
    let deployment = patch(DEPLOYMENT).body(tree!({"spec": {"replicas": 3}}));
    server.expect(deployment).answer(json(&made.deployment));
    let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo resumed\n");
}
