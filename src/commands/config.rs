//! `config`: shows the configuration of a running Flink; for the plugin's own, see [`crate::commands::defaults`].

use std::collections::BTreeMap;

use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::flink::{Flink, Reply};
use crate::kubernetes::objects;
use crate::model::flink::effective_config;
use crate::operations::job_status::{away, unless_ended};
use crate::output::config::row;
use crate::output::{Format, Line, terminal};

/// Show Flink's effective configuration, of the JobManager and of a TaskManager
///
/// The JobManager's is read from its REST. A TaskManager prints its own only in its log, when it starts. Secrets are
/// hidden, by their keys. A table of several keys truncates long values; -o wide prints them in full.
///
/// For the plugin's own defaults, see `defaults`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink config demo checkpointing")]
pub(crate) struct ConfigArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Show only keys that contain this
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    #[command(flatten)]
    table: TableArgs,
}

pub(crate) async fn run(context: &Context, args: ConfigArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let flink = Flink::new(&cluster, &name);
    let (job_manager, log) = futures::join!(
        unless_ended(&cluster, &name, flink.configuration()),
        objects::start_of_taskmanager_log(&cluster, &name)
    );
    let job_manager = match job_manager? {
        Reply::Answer(pairs) => pairs,
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => {
            let error = away(&cluster, &name).await;
            return Err(error.hint("only a running JobManager shows its configuration"));
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
    // A single setting is shown completely.
    let mut table = args.table;
    if table.output == Format::Table && settings.len() == 1 {
        table.output = Format::Wide;
    }
    if settings.is_empty() && table.output.is_for_people() {
        terminal::note(&format!("no key of {name} contains {wanted:?}"));
    }
    let cut = table.output == Format::Table;
    let lines = settings
        .iter()
        .map(|setting| Line::new(setting, setting.key.as_str(), row(setting, cut)));
    let lines: Vec<_> = lines.collect();
    table.print("ConfigurationList", &["KEY", "JOBMANAGER", "TASKMANAGER"], &lines)
}
