//! `--node-port`, used by the distribution's own client.

use std::process::Command;

use crate::flink_templates::node_ports;
use crate::place::{Place, flink_home};
use crate::process;

#[test]
fn the_flink_client_lists_the_job_on_the_port_of_a_node() {
    let _ports = node_ports();
    let place = Place::new("node-port");
    place
        .create("demo", &["--node-port", "--", "--name", "behind a port"])
        .ok();
    let path = r#"{.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
    let node = place.kubectl(&["get", "nodes", "-o", &format!("jsonpath={path}")]);
    let mut flink = Command::new(flink_home().join("bin/flink"));
    flink.args(["list", "-m", &format!("{node}:30081")]);
    let run = place.note(process::run(&mut flink, "")).ok();
    let job = place.job_id("demo");
    assert!(
        run.stdout.contains(&format!("{job} : behind a port (RUNNING)")),
        "{run}"
    );
}
