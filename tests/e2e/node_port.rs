//! `--node-port`, used by the distribution's own client.

use std::path::PathBuf;
use std::process::Command;

use crate::place::{Place, flink_version};
use crate::process;
use crate::seed::node_ports;

/// `bin/flink` of the release that is tested: that of FLINK_HOME, or of the bed.
fn client() -> PathBuf {
    if let Ok(home) = std::env::var("FLINK_HOME") {
        return PathBuf::from(home).join("bin/flink");
    }
    let state = std::env::var("BED_STATE").expect("FLINK_HOME names the distribution where there is no bed");
    let wanted = format!("flink-{}-", flink_version());
    let cache = PathBuf::from(state).parent().unwrap().to_owned();
    let found = std::fs::read_dir(&cache).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let path = entry.path().join("bin/flink");
        (entry.file_name().to_string_lossy().starts_with(&wanted) && path.is_file()).then_some(path)
    });
    found.unwrap_or_else(|| panic!("no {wanted}…/bin/flink in {}", cache.display()))
}

#[test]
fn the_flink_client_lists_the_job_on_the_port_of_a_node() {
    let _ports = node_ports();
    let place = Place::new("node-port");
    place
        .create("demo", &["--node-port", "--", "--name", "behind a port"])
        .ok();
    let path = r#"{.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
    let node = place.kubectl(&["get", "nodes", "-o", &format!("jsonpath={path}")]);
    let mut flink = Command::new(client());
    flink.args(["list", "-m", &format!("{node}:30081")]);
    let run = place.note(process::run(&mut flink, "")).ok();
    let job = place.job_id("demo");
    assert!(
        run.stdout.contains(&format!("{job} : behind a port (RUNNING)")),
        "{run}"
    );
}
