//! The versions of this program, of Kubernetes, and of the Flink releases that it knows.

use serde_json::{Value, json};

use super::terminal;
use super::wrap::wrapped;
use crate::model::API_VERSION;
use crate::model::flink::KNOWN_VERSIONS;

/// The Flink releases that this program knows.
fn known() -> Vec<String> {
    KNOWN_VERSIONS.iter().map(ToString::to_string).collect()
}

/// The versions, as docs/output.md has them; `server` is the answer of the API server.
pub(crate) fn tree(server: Option<&Value>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "Version",
        "client": {"version": env!("CARGO_PKG_VERSION"), "commit": commit(), "platform": platform()},
        "server": server.map(|server| json!({"version": server["gitVersion"], "platform": server["platform"]})),
        "flink": known(),
    })
}

/// The versions of this program, of the server and of Flink, in so many columns.
pub(crate) fn text(server: Option<&Value>, width: Option<usize>) -> String {
    let commit = commit().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let mut text = format!(
        "Client: kubectl-flink {} ({}{commit})\n",
        env!("CARGO_PKG_VERSION"),
        platform()
    );
    if let Some(server) = server {
        let version = server["gitVersion"].as_str().unwrap_or("unknown");
        let platform = server["platform"].as_str().unwrap_or("unknown platform");
        text.push_str(&terminal::clean(&format!(
            "Server: Kubernetes {version} ({platform})\n"
        )));
    }
    let flink = format!("Flink:  {}", known().join(", "));
    text.push_str(&wrapped(&flink, width, "Flink:  ".len()));
    text.push('\n');
    text
}

fn platform() -> String {
    format!("{}/{}", std::env::consts::OS, architecture())
}

/// The commit of a release; development builds have none.
const fn commit() -> Option<&'static str> {
    option_env!("KUBECTL_FLINK_COMMIT")
}

/// The processor architecture, as Kubernetes and krew name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
