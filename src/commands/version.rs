//! `version`: shows the versions of the plugin, Kubernetes and Flink, and whether they are compatible.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::model::API_VERSION;
use crate::model::flink::KNOWN_VERSIONS;
use crate::operations::preflight::server_version;
use crate::output::terminal;
use crate::output::{self, Format};

/// Oldest Kubernetes whose Tables of Jobs have all listed data: for older versions, lists read whole objects.
const OLDEST_MINOR: u32 = 31;
/// Longest wait for the API server if no other limit is given.
const LIMIT: Duration = Duration::from_secs(30);

/// Show the version of this program, of the Kubernetes cluster, and of the Flink releases it knows
///
/// Nothing else is asked: no update check, and nothing is reported anywhere.
#[derive(Debug, clap::Args)]
pub struct VersionArgs {
    /// Ask no cluster
    #[arg(long)]
    client: bool,
    /// Format of the output; text for people where none is named
    #[arg(long, short, value_name = "FORMAT", value_enum)]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
    Yaml,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &VersionArgs) -> Result<()> {
    let server = if args.client {
        Ok(None)
    } else {
        server(connection).await.map(Some)
    };
    let told = server.as_ref().ok().and_then(Option::as_ref);
    let platform = format!("{}/{}", std::env::consts::OS, architecture());
    match args.output {
        None => {
            let commit = commit().map(|commit| format!(", commit {commit}")).unwrap_or_default();
            let mut text = format!(
                "Client: kubectl-flink {} ({platform}{commit})\n",
                env!("CARGO_PKG_VERSION")
            );
            if let Some(told) = told {
                let version = told["gitVersion"].as_str().unwrap_or("unknown");
                let platform = told["platform"].as_str().unwrap_or("unknown platform");
                text.push_str(&terminal::clean(&format!(
                    "Server: Kubernetes {version} ({platform})\n"
                )));
            }
            let known: Vec<String> = KNOWN_VERSIONS.iter().map(ToString::to_string).collect();
            terminal::data(&format!("{text}Flink:  {}\n", known.join(", ")))?;
        }
        Some(output) => {
            let format = if output == Output::Yaml {
                Format::Yaml
            } else {
                Format::Json
            };
            let known: Vec<String> = KNOWN_VERSIONS.iter().map(ToString::to_string).collect();
            let tree = json!({
                "apiVersion": API_VERSION,
                "kind": "Version",
                "client": {"version": env!("CARGO_PKG_VERSION"), "commit": commit(), "platform": platform},
                "server": told.map(|told| json!({"version": told["gitVersion"], "platform": told["platform"]})),
                "flink": known,
            });
            terminal::data(&output::document(format, &tree)?)?;
        }
    }
    if let Some(warning) = told.and_then(misfit) {
        terminal::warn(&warning);
    }
    server.map(drop)
}

async fn server(connection: &ConnectionOptions) -> Result<Value> {
    let cluster = connect(connection)?;
    let limit = connection.request_timeout.filter(|limit| !limit.is_zero());
    tokio::time::timeout(limit.unwrap_or(LIMIT), server_version(&cluster))
        .await
        .map_err(|_| Error::new(Kind::Unreachable, format!("{} does not answer", cluster.at())))?
}

/// The incompatibility, if there is one.
fn misfit(told: &Value) -> Option<String> {
    let number = |key: &str| {
        let text = told[key].as_str()?;
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok()
    };
    let (major, minor) = (number("major")?, number("minor")?);
    ((major, minor) < (1, OLDEST_MINOR)).then(|| {
        format!("Kubernetes {major}.{minor} is older than 1.{OLDEST_MINOR}, the oldest that this plugin is made for")
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kubernetes_is_told() {
        let told = |major: &str, minor: &str| misfit(&json!({"major": major, "minor": minor}));
        assert_eq!(told("1", "34"), None);
        assert_eq!(told("1", "31+"), None);
        assert_eq!(told("2", "0"), None);
        assert!(told("1", "30+").is_some_and(|text| text.contains("1.30")));
        assert_eq!(misfit(&json!({})), None);
    }
}
