//! `status`: shows everything about one cluster on one screen.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::kubernetes::clock;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::model::diagnosis::problems;
use crate::model::names::ClusterName;
use crate::operations::observe::{Observation, observe};
use crate::operations::status::{ClusterStatus, StatusInput};
use crate::output::status::{ScreenStyle, status};
use crate::output::terminal;
use crate::output::{Format, document, line};

/// Show the status of a cluster
///
/// Cluster, Flink job, vertices, checkpoints, TaskManagers, the last savepoint, and what is wrong, most urgent first.
/// Where Flink's REST does not answer, it shows what Kubernetes knows.
#[derive(Debug, clap::Args)]
#[command(after_help = "`kubectl flink why NAME` tells the cause of what is wrong, with what logs say of it.")]
pub struct StatusArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: StatusFormat,
    /// Show it again and again; JSON and YAML one document after the other
    #[arg(short, long)]
    watch: bool,
    /// Time between two looks with --watch
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::cli::args::values::duration, requires = "watch")]
    interval: Duration,
}

/// Formats of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFormat {
    /// A screen, for people
    Table,
    /// JSON, as in docs/output.md
    Json,
    /// YAML, the same tree as JSON
    Yaml,
}

impl StatusFormat {
    /// The format of a document; `None`: text for people.
    #[must_use]
    pub const fn document(self) -> Option<Format> {
        match self {
            Self::Table => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &StatusArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    let mut screen = terminal::Screen::new(args.watch && args.output == StatusFormat::Table);
    let mut seen = false;
    loop {
        match Box::pin(observe(&cluster, &name)).await {
            Ok(survey) => {
                seen = true;
                let now = clock::now();
                let told = to_status(cluster.namespace(), &name, survey, now);
                match args.output.document() {
                    Some(format) if args.watch => terminal::data(&line(format, &told)?)?,
                    Some(format) => terminal::data(&document(format, &told)?)?,
                    None => {
                        let look = ScreenStyle {
                            width: screen.width(),
                            bars: terminal::is_terminal(),
                        };
                        screen.show(&status(&told, look, clock::now()))?;
                    }
                }
            }
            // A watch continues when the API server answers again; it ends with the cluster.
            Err(error) if args.watch && seen && error.is_transient() => terminal::warn(&error.message),
            Err(error) => return Err(ended(error, seen)),
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(args.interval).await;
    }
}

fn to_status(namespace: &str, name: &ClusterName, survey: Observation, now: Timestamp) -> ClusterStatus {
    let found = problems(&survey.observed, &survey.snapshot, now);
    let seen = StatusInput {
        observed: &survey.observed,
        snapshot: &survey.snapshot,
        history: &survey.history,
        problems: &found,
    };
    ClusterStatus::new(namespace, name, &seen, survey.remarks, now)
}

fn ended(error: Error, seen: bool) -> Error {
    if seen && error.kind == Kind::NotFound {
        return Error::new(Kind::NotFound, "the cluster was deleted");
    }
    error
}
