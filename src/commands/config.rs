//! `config`: shows the configuration of a running Flink; for the plugin's own, see [`crate::commands::defaults`].

use std::collections::BTreeMap;

use super::defaults::{self, DefaultsArgs, DefaultsCommand};
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::objects;
use crate::model::flink::effective_config;
use crate::operations::job_status::{away, unless_ended};
use crate::output::config::row;
use crate::output::{Format, Line, Printer, terminal};

/// Show Flink's effective configuration, of the JobManager and of a TaskManager
///
/// The configuration of the JobManager is read from its REST API, that of a TaskManager from its log, where the
/// TaskManager prints it when it starts. Values whose keys look secret are hidden. A table of several keys truncates
/// long values; -o wide prints them in full.
///
/// For the plugin's own defaults, see `defaults`.
#[derive(Debug, clap::Args)]
// `config view` and so on are the former words of `defaults`.
#[command(subcommand_negates_reqs = true)]
#[command(mut_subcommands = |former: clap::Command| former.hide(true))]
#[command(after_help = "Examples:\n  \
    kubectl flink config demo checkpointing")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Option<DefaultsCommand>,
    #[command(flatten)]
    show: Option<ShowArgs>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME", required = true)]
    name: String,
    /// Show only keys that contain this
    text: Option<String>,
    // No group of flags: clap takes optional arguments with groups of their own for absent.
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Do not print the header line
    #[arg(long)]
    no_headers: bool,
}

impl ConfigArgs {
    /// Whether a subcommand for the plugin's own file is given.
    pub(crate) fn is_about_the_file(&self) -> bool {
        self.command.is_some()
    }
}

pub(crate) async fn run(context: &Context, args: ConfigArgs) -> Result<()> {
    match (args.command, args.show) {
        (Some(_), Some(_)) => Err(Error::usage(
            "the NAME of a cluster cannot come before view, set, unset or path",
        )),
        (Some(command), None) => defaults::run(context, DefaultsArgs { command }),
        (None, Some(args)) => show(context, args).await,
        (None, None) => Err(Error::usage("config needs the NAME of a cluster")),
    }
}

async fn show(context: &Context, args: ShowArgs) -> Result<()> {
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
    let format = match args.output {
        Format::Table if settings.len() == 1 => Format::Wide,
        given => given,
    };
    if settings.is_empty() && format.is_for_people() {
        terminal::note(&format!("no key of {name} contains {wanted:?}"));
    }
    let cut = format == Format::Table;
    let lines = settings
        .iter()
        .map(|setting| Line::new(setting, setting.key.as_str(), row(setting, cut)));
    let headers = ["KEY", "JOBMANAGER", "TASKMANAGER"];
    let mut printer = Printer::new(format, "ConfigurationList", &headers, !args.no_headers);
    printer.list(lines, false, terminal::data)
}
