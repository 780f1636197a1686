//! `profile`: shows where a job spends its time.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::flink::Flink;
use crate::kubernetes::clock;
use crate::model::age::{age, time};
use crate::model::names::ClusterName;
use crate::operations::job_status::away;
use crate::operations::profile::{self, Mode, Process, Threads};
use crate::output::flame_graph::tree;
use crate::output::{picture, terminal};
use crate::progress;

/// Lines of a terminal that the tree leaves free for the prompt and for the lines above it.
const AROUND: usize = 5;

/// Show where a job spends its time: a flame graph of a vertex, or a profile of a process
///
/// Prints the hottest frames of the vertex as a tree; -o and --browser show the whole flame graph as a picture. With
/// --jobmanager or --taskmanager Flink profiles that process by async-profiler (Flink 1.19+), and the command writes
/// its page to a file. Both have to be turned on: `create --profiling`, or `upgrade NAME --profiling`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink profile demo\n  \
    kubectl flink profile demo source --type on-cpu -o source.svg\n  \
    kubectl flink profile demo --jobmanager --duration 10s -o jobmanager.html")]
pub(crate) struct ProfileArgs {
    /// Name of the cluster
    name: String,
    /// ID of a vertex, or a part of its name [default: the busiest]
    #[arg(value_name = "VERTEX", conflicts_with = "process")]
    vertex: Option<String>,
    /// Threads of the vertex that count
    #[arg(long = "type", default_value = "full", conflicts_with = "process")]
    threads: Threads,
    /// Profile the JobManager
    #[arg(long, group = "process")]
    jobmanager: bool,
    /// Profile the TaskManager whose ID begins with this
    #[arg(long, value_name = "ID", group = "process")]
    taskmanager: Option<String>,
    /// Events that async-profiler samples
    #[arg(long, value_name = "MODE", default_value = "itimer", requires = "process")]
    mode: Mode,
    /// How long it samples
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = crate::cli::args::values::duration, requires = "process")]
    duration: Duration,
    /// File for the picture, which must not exist: .svg, or .html
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Open the picture in a browser
    #[arg(long)]
    browser: bool,
}

pub(crate) async fn run(context: &Context, args: ProfileArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    if let Some(path) = &args.output {
        picture::check(path, args.jobmanager || args.taskmanager.is_some())?;
    }
    let cluster = context.connect()?;
    let flink = Flink::new(&cluster, &name);
    let process = match &args.taskmanager {
        Some(id) => Some(Process::TaskManager(id)),
        None => args.jobmanager.then_some(Process::JobManager),
    };
    if let Some(process) = process {
        let step = progress::step(&format!("{name}: profiling for {} s", args.duration.as_secs()));
        let how = (args.mode, args.duration);
        let page = Box::pin(profile::process(&cluster, &name, &flink, process, how)).await?;
        step.end();
        let file = format!("{name}-profile-{}.html", clock::now().strftime("%Y%m%dT%H%M%SZ"));
        let path = args.output.or_else(|| (!args.browser).then(|| file.into()));
        return picture::show(path.as_deref(), args.browser, "html", &page);
    }
    let snapshot = Box::pin(profile::snapshot(&cluster, &name, &flink)).await?;
    let Some(job) = snapshot.job.as_ref().filter(|_| !snapshot.vertices.is_empty()) else {
        return Err(away(&cluster, &name).await);
    };
    let vertex = match &args.vertex {
        Some(wanted) => profile::choose(&snapshot.vertices, wanted)?,
        None => snapshot.busiest().map_or(&snapshot.vertices[0], |(vertex, _)| vertex),
    };
    let step = progress::step(&format!("{name}: waiting for samples of {}", vertex.name));
    let sampled = Box::pin(profile::flame_graph(&flink, &name, &job.jid, vertex, args.threads)).await;
    let (at, root) = sampled?;
    step.end();
    if root.samples == 0 {
        return Err(
            Error::not_found(format!("no such thread of {} was seen", vertex.name)).hint("--type full has all threads")
        );
    }
    let taken = u64::try_from(at).ok().and_then(|at| time(Some(at)));
    let taken = taken.map_or_else(String::new, |taken| format!(", {} ago", age(taken, clock::now())));
    let title = format!("{name}: {}", vertex.name);
    terminal::data(&terminal::clean(&format!(
        "{title}\n{} samples{taken}\n\n",
        root.samples
    )))?;
    let rows = if terminal::is_terminal() {
        terminal::rows().saturating_sub(AROUND)
    } else {
        usize::MAX
    };
    terminal::data(&tree(&root, rows, terminal::width()))?;
    picture::flame_graph(args.output.as_deref(), args.browser, &root, &title)
}
