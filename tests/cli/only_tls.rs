//! A cluster whose Flink takes only TLS at its REST, as the operator's example of TLS has it.

use serde_json::Value;

use crate::demo::{ID, running_with};

/// Each request that Flink redirects has no effect, so that it is sent again to `https:`. A new version may take no TLS.
#[test]
fn a_job_behind_tls_is_seen_saved_and_upgraded() {
    let sandbox = running_with(&["-D", "security.ssl.rest.enabled=true"]);
    let status: Value = serde_json::from_str(&sandbox.run(&["status", "demo", "-ojson"]).stdout).unwrap();
    assert_eq!(status["job"]["id"], ID, "{status}");
    let outcome = sandbox.run(&["savepoint", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[0]["progress"], "completed", "{outcome}");
    let change = ["upgrade", "demo", "-D", "security.ssl.rest.enabled=false", "--yes"];
    let outcome = sandbox.run(&change);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo upgraded\n", "{outcome}");
}
