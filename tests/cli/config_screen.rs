//! `config` on a terminal.
#![cfg(target_os = "linux")]

use serde_json::json as tree;

use crate::demo::{self, FLINK};
use crate::server::{get, json};

/// Who asks for one setting wants to read it.
#[test]
fn a_single_setting_is_not_cut() {
    let value = "--add-exports=java.base/sun.net.util=ALL-UNNAMED,".repeat(3);
    for (text, is_whole) in [("env.java.opts.all", true), ("env.java.opts", false)] {
        let sandbox = demo::running();
        let pairs = ["env.java.opts.all", "env.java.opts.client"].map(|key| tree!({"key": key, "value": value}));
        let configuration = get(&format!("{FLINK}/jobmanager/config"));
        sandbox.server.expect(configuration).answer(json(&tree!(pairs)));
        let session = sandbox.run_on_screen(&["config", "demo", text], (50, 20), |_| None);
        assert_eq!(session.code, Some(0), "{session}");
        let shown: String = session.last().lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(shown.contains(&value), is_whole, "{session}");
        assert_eq!(session.too_wide().is_none(), !is_whole, "{session}");
    }
}

/// A key of Flink that is not set has its default, which Flink does not report.
#[test]
fn a_text_that_is_in_no_key_is_said() {
    let sandbox = demo::running();
    let configuration = get(&format!("{FLINK}/jobmanager/config"));
    let pairs = tree!([{"key": "parallelism.default", "value": "1"}]);
    sandbox.server.expect(configuration).answer(json(&pairs));
    let outcome = sandbox.run(&["config", "demo", "absent.key"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
    let said = "no key of demo contains \"absent.key\"";
    assert!(outcome.stderr.contains(said), "{outcome}");
}
