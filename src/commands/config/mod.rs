//! `config`: shows the configuration of a running Flink; for the plugin's own, see [`crate::commands::config::file`].

mod file;

use std::collections::BTreeMap;

use super::exceptions::away;
use crate::commands::config::file as config_file;
use crate::commands::config::file::FileCommand;
use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::objects;
use crate::model::flink::effective_config::{self, Setting};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::output::terminal;
use crate::output::{Format, Item, Printer};

/// Maximum number of characters of a value in a table of several settings: the JVM options alone have a thousand.
const LONGEST: usize = 60;

/// Show Flink's effective configuration, of the JobManager and of a TaskManager; view and set defaults
///
/// The JobManager's is what its REST tells. A TaskManager tells its own only in its log, when it starts. Secrets are
/// hidden, by their keys. A table of several cuts long values; -o wide has the whole of them.
///
/// config view, set, unset and path are about the plugin's own configuration file: defaults of flags, everywhere or for
/// a context and namespace. A cluster that is named like one of them: `config -- view`.
#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    kubectl flink config demo checkpointing\n  \
    kubectl flink config set output wide\n  \
    kubectl flink config set savepoint-dir s3://bucket/savepoints --context production -n billing\n  \
    kubectl flink config view")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: Option<FileCommand>,
    #[command(flatten)]
    show: Option<ShowArgs>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME", required = true)]
    name: String,
    /// Show only keys that contain this
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
}

impl ConfigArgs {
    /// Whether a subcommand for the plugin's own file is given.
    pub fn is_about_the_file(&self) -> bool {
        self.command.is_some()
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ConfigArgs) -> Result<()> {
    match (args.command, args.show) {
        (Some(_), Some(_)) => Err(Error::usage(
            "the NAME of a cluster cannot stand before view, set, unset or path",
        )),
        (Some(command), None) => config_file::run(connection, command),
        (None, Some(args)) => show(connection, args).await,
        (None, None) => Err(Error::usage(
            "config needs the NAME of a cluster, or one of view, set, unset and path",
        )),
    }
}

async fn show(connection: &ConnectionOptions, args: ShowArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let flink = Flink::new(&cluster, &name);
    let (job_manager, log) = futures::join!(
        flink.configuration(),
        objects::start_of_taskmanager_log(&cluster, &name)
    );
    let job_manager = match job_manager? {
        Reply::Answer(pairs) => pairs,
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => {
            let error = away(ClusterHandle::existing(&cluster, &name).await?).await;
            return Err(error.hint("only a JobManager that runs tells its configuration"));
        }
    };
    let task_manager = match log {
        Ok(Some(log)) => effective_config::of_log(&log),
        Ok(None) => {
            terminal::note(&format!("{name} has no TaskManager that runs"));
            BTreeMap::new()
        }
        Err(error) => {
            terminal::warn(&format!("the TaskManager's configuration cannot be read: {error}"));
            BTreeMap::new()
        }
    };
    let wanted = args.text.unwrap_or_default().to_lowercase();
    let mut settings = effective_config::settings(&job_manager, &task_manager);
    settings.retain(|setting| setting.key.to_lowercase().contains(&wanted));
    let headers = ["KEY", "JOBMANAGER", "TASKMANAGER"];
    // A single setting is shown completely.
    let longest = (args.output == Format::Table && settings.len() > 1).then_some(LONGEST);
    let lines = settings.iter().map(|setting| SettingLine { setting, longest });
    Printer::new(args.output, "ConfigurationList", &headers, !args.no_headers).list(lines, false, terminal::data)
}

#[derive(serde::Serialize)]
#[serde(transparent)]
struct SettingLine<'a> {
    setting: &'a Setting,
    /// Maximum number of characters of a shown value; `None`: all.
    #[serde(skip)]
    longest: Option<usize>,
}

impl Item for SettingLine<'_> {
    fn name(&self) -> &str {
        &self.setting.key
    }

    fn row(&self) -> Vec<String> {
        let text = |value: &Option<String>| {
            let value = value.clone().unwrap_or_default();
            match self.longest.and_then(|longest| value.char_indices().nth(longest)) {
                Some((at, _)) => format!("{}…", &value[..at]),
                None => value,
            }
        };
        vec![
            self.setting.key.clone(),
            text(&self.setting.job_manager),
            text(&self.setting.task_manager),
        ]
    }
}
