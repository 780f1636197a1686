//! `logs`: prints the logs of a cluster's containers.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use regex::Regex;
use tokio::task::LocalSet;

use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::logs::{LogSelection, open};
use crate::model::diagnosis::Role;
use crate::model::names::ClusterName;
use crate::operations::wait::replacements;
use crate::output::log_lines::{LogFormat, LogLines, LogStyle};
use crate::output::terminal;

/// Print the logs of clusters, in the order of time
///
/// Prints the lines of all Pods, each after the role and the end of the name of its Pod. With --follow the command
/// continues with Pods that replace others, and ends when the clusters' Jobs have ended and no container writes any
/// more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink logs demo --tail 100 -f\n  \
    kubectl flink logs demo --role jobmanager --previous\n  \
    kubectl flink logs demo --since 10m --grep ERROR")]
pub(crate) struct LogsArgs {
    /// Names of the clusters
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Continue with new lines
    #[arg(short, long)]
    follow: bool,
    /// Number of last lines of each container to print; -1: all
    #[arg(long, value_name = "LINES", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    tail: Option<i64>,
    /// Only lines not older than this, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::args::values::duration)]
    since: Option<Duration>,
    /// Logs of the previous runs: of restarted containers, and of Pods that failed
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,
    /// Print the time before each line
    #[arg(long)]
    timestamps: bool,
    /// Only Pods of this role
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Option<RoleArg>,
    /// Print the logs of sidecars and init containers too
    #[arg(long)]
    all: bool,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX", value_parser = expression)]
    grep: Option<Regex>,
    /// Omit lines that match this regular expression
    #[arg(long, value_name = "REGEX", value_parser = expression)]
    exclude: Option<Regex>,
    /// Highlight text that matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = expression)]
    highlight: Option<Regex>,
    /// Omit the Pod before each line
    #[arg(long)]
    no_prefix: bool,
    /// Format of the lines
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: LogFormat,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleArg {
    #[value(aliases = ["jm", "master"])]
    Jobmanager,
    #[value(aliases = ["tm", "task-manager"])]
    Taskmanager,
}

pub(crate) async fn run(context: &Context, args: &LogsArgs) -> Result<()> {
    LocalSet::new().run_until(print(context, args)).await
}

async fn print(context: &Context, args: &LogsArgs) -> Result<()> {
    let names = args.names.iter().map(|name| ClusterName::new(name));
    let names = names.collect::<Result<Vec<_>>>()?;
    let cluster = context.connect()?;
    let wanted = LogSelection {
        role: args.role.map(|role| match role {
            RoleArg::Jobmanager => Role::JobManager,
            RoleArg::Taskmanager => Role::TaskManager,
        }),
        follow: args.follow,
        tail: args.tail.and_then(|tail| u64::try_from(tail).ok()),
        since: args.since.and_then(|since| SignedDuration::try_from(since).ok()),
        previous: args.previous,
        all_containers: args.all,
    };
    let (mut lines, absent) = open(&cluster, &names, &wanted, replacements(&cluster)).await?;
    if let Some(error) = absent.as_ref().filter(|_| args.follow) {
        terminal::warn(&error.message);
    }
    let mut page = LogLines::new(LogStyle {
        format: args.output,
        grep: args.grep.as_ref(),
        exclude: args.exclude.as_ref(),
        highlight: args.highlight.as_ref(),
        prefix: !args.no_prefix,
        timestamps: args.timestamps,
    });
    loop {
        let more = lines.next(&mut |line| page.add(&line)).await;
        page.write()?;
        if !more? {
            return absent.map_or(Ok(()), Err);
        }
    }
}

fn expression(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}
