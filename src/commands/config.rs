//! `config`: the configuration that Flink runs with.

use std::collections::BTreeMap;

use super::exceptions::away;
use super::standing::Standing;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::cluster::deploy;
use crate::cluster::flink::{Flink, Reply};
use crate::core::effective::{self, Setting};
use crate::core::names::ClusterName;
use crate::error::Result;
use crate::render::{Format, Item, Printer};
use crate::ui;

/// Show Flink's effective configuration, of the JobManager and of a TaskManager
///
/// The JobManager's is what its REST tells. A TaskManager tells its own only in its log, when it starts. Secrets are
/// hidden, by their keys.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Show only keys that contain this
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Format of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: ConfigArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let flink = Flink::new(&cluster, &name);
    let (job_manager, log) = futures::join!(flink.configuration(), deploy::start_of_taskmanager_log(&cluster, &name));
    let job_manager = match job_manager? {
        Reply::Answer(pairs) => pairs,
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => {
            let error = away(Standing::existing(&cluster, &name).await?).await;
            return Err(error.hint("only a JobManager that runs tells its configuration"));
        }
    };
    let task_manager = match log {
        Ok(Some(log)) => effective::of_log(&log),
        Ok(None) => {
            ui::note(&format!("{name} has no TaskManager that runs"));
            BTreeMap::new()
        }
        Err(error) => {
            ui::warn(&format!("the TaskManager's configuration cannot be read: {error}"));
            BTreeMap::new()
        }
    };
    let wanted = args.text.unwrap_or_default().to_lowercase();
    let mut settings = effective::settings(&job_manager, &task_manager);
    settings.retain(|setting| setting.key.to_lowercase().contains(&wanted));
    let headers = ["KEY", "JOBMANAGER", "TASKMANAGER"];
    Printer::new(args.output, "ConfigurationList", &headers, !args.no_headers).list(settings.iter(), false, ui::data)
}

impl Item for &Setting {
    fn name(&self) -> &str {
        &self.key
    }

    fn row(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![self.key.clone(), text(&self.job_manager), text(&self.task_manager)]
    }
}
