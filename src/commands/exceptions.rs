//! `exceptions`: shows the exceptions of a job's tasks.

use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::flink::{Flink, Reply};
use crate::kubernetes::clock;
use crate::model::diagnosis::trace_summary;
use crate::model::flink::exceptions::Exception;
use crate::operations::job_status::away;
use crate::output::exceptions::{headers, row};
use crate::output::{Format, Line, terminal};

/// List the exceptions of a job, newest first
///
/// Lists the exceptions that the running JobManager keeps: at most sixteen, unless Flink is configured otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink exceptions demo\n  \
    kubectl flink exceptions demo --stack-traces --max 1")]
pub(crate) struct ExceptionsArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    table: TableArgs,
    /// Print whole stack traces
    #[arg(long, conflicts_with = "output")]
    stack_traces: bool,
    /// Exceptions at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
}

pub(crate) async fn run(context: &Context, args: ExceptionsArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let flink = Flink::new(&cluster, &name);
    let jobs = match flink.jobs().await? {
        Reply::Away => return Err(away(&cluster, &name).await),
        reply => flink.answered(reply)?,
    };
    let Some(job) = jobs.main_job() else {
        terminal::note(&format!("{name} has no job yet"));
        // A program reads a list, if an empty one.
        let none: &[Line<Exception>] = &[];
        return args.table.print("ExceptionList", headers(false), none);
    };
    let exceptions = flink.answered(flink.exceptions(&job.jid, args.max).await?)?;
    let more = exceptions.is_truncated();
    let found = exceptions.newest_first(trace_summary);
    let format = args.table.output;
    if found.is_empty() && format.is_for_people() {
        terminal::note(&format!("the job of {name} has thrown no exceptions"));
    }
    if args.stack_traces {
        for exception in &found {
            let time = exception.time.map(|time| time.to_string()).unwrap_or_default();
            let task = exception.task.as_deref().unwrap_or("the job");
            terminal::data(&terminal::clean(&format!(
                "{time} {task}\n{}\n\n",
                exception.stack_trace.trim_end()
            )))?;
        }
    } else {
        let wide = format == Format::Wide;
        let now = clock::now();
        let lines = found
            .iter()
            .map(|exception| Line::new(exception, exception.class.as_str(), row(exception, wide, now)));
        let lines: Vec<_> = lines.collect();
        args.table.print("ExceptionList", headers(wide), &lines)?;
    }
    if more {
        terminal::note("Flink has more: --max shows them");
    }
    Ok(())
}
