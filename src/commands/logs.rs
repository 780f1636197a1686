//! `logs`: prints the logs of a cluster's containers.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use k8s_openapi::jiff::SignedDuration;
use regex::Regex;
use tokio::task::LocalSet;

use crate::error::Result;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::kubernetes::logs::{LogSelection, Told, open};
use crate::model::diagnosis::Role;
use crate::model::names::ClusterName;
use crate::output::terminal;

/// Print the logs of a cluster, in the order of time
///
/// Lines of all its Pods, each with the role and the end of the Pod's name before it. With --follow it continues with
/// Pods that take the place of others, and ends when the cluster's Job has ended and nothing writes any more.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Continue with what comes
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines of each container; -1: all
    #[arg(long, value_name = "LINES", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    tail: Option<i64>,
    /// Only lines not older than this, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::args::values::duration)]
    since: Option<Duration>,
    /// The runs before the present ones: of restarted containers, and of Pods that failed
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,
    /// Put its time before each line
    #[arg(long)]
    timestamps: bool,
    /// Only Pods of this role
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Option<RoleArg>,
    /// Sidecars and init containers too
    #[arg(long)]
    all: bool,
    /// Only lines that this regular expression is found in
    #[arg(long, value_name = "REGEX", value_parser = expression)]
    grep: Option<Regex>,
    /// Leave the Pod before each line out
    #[arg(long)]
    no_prefix: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleArg {
    #[value(aliases = ["jm", "master"])]
    Jobmanager,
    #[value(aliases = ["tm", "task-manager"])]
    Taskmanager,
}

/// Colours of Pods, in order. Red is reserved for errors.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &LogsArgs) -> Result<()> {
    LocalSet::new().run_until(print(connection, args)).await
}

async fn print(connection: &ConnectionOptions, args: &LogsArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
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
    let mut lines = open(&cluster, &name, &wanted).await?;
    let mut page = Page::new(args);
    loop {
        let more = lines.next(&mut |told| page.add(&told)).await;
        page.write()?;
        if !more? {
            return Ok(());
        }
    }
}

/// Formatted lines that are not written yet.
struct Page<'a> {
    args: &'a LogsArgs,
    out: terminal::Bulk,
    text: String,
    /// The prefix of each container's lines.
    prefixes: HashMap<usize, String>,
}

impl<'a> Page<'a> {
    fn new(args: &'a LogsArgs) -> Self {
        Self {
            args,
            out: terminal::Bulk::new(),
            text: String::new(),
            prefixes: HashMap::new(),
        }
    }

    fn add(&mut self, told: &Told<'_>) {
        let text = terminal::cleaned(told.line.text);
        if self.args.grep.as_ref().is_some_and(|grep| !grep.is_match(&text)) {
            return;
        }
        if !self.args.no_prefix {
            // Colours in the order of first lines.
            let colour = COLOURS[self.prefixes.len() % COLOURS.len()].on_default();
            let style = if self.out.is_coloured() { colour } else { Style::new() };
            let prefix = self.prefixes.entry(told.source);
            let prefix = prefix.or_insert_with(|| format!("{style}{}{style:#} ", terminal::clean(told.label)));
            self.text.push_str(prefix);
        }
        if self.args.timestamps {
            // A write to a String never fails.
            let _ = write!(self.text, "{:.6} ", told.line.at);
        }
        self.text.push_str(&text);
        self.text.push('\n');
    }

    fn write(&mut self) -> Result<()> {
        self.out.write(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

fn expression(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}
