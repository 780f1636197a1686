//! `exceptions`: shows the exceptions of a job's tasks.

use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::clock;
use crate::model::flink::exceptions::Exception;
use crate::operations::exceptions::exceptions;
use crate::output::exceptions::{headers, row};
use crate::output::{Format, Line, terminal};

/// List the exceptions of a job, newest first
///
/// Lists the exceptions that the running JobManager keeps: at most sixteen of each job, unless Flink is configured otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink exceptions demo\n  \
    kubectl flink exceptions demo --stack-traces --max 1")]
pub(crate) struct ExceptionsArgs {
    /// Name of the cluster
    name: String,
    #[command(flatten)]
    table: TableArgs,
    /// Print whole stack traces
    #[arg(long, conflicts_with = "output")]
    stack_traces: bool,
    /// Maximum number of exceptions
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
}

pub(crate) async fn run(context: &Context, args: ExceptionsArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let Some(found) = exceptions(&cluster, &name, args.max).await? else {
        terminal::note(&format!("{name} has no job yet"));
        // A program reads a list, if an empty one.
        let none: &[Line<Exception>] = &[];
        return args.table.print("ExceptionList", &headers(false, false), none);
    };
    let several = found.jobs > 1;
    let format = args.table.output;
    if found.exceptions.is_empty() && format.is_for_people() {
        terminal::note(&if several {
            format!("the {} jobs of {name} have thrown no exceptions", found.jobs)
        } else {
            format!("the job of {name} has thrown no exceptions")
        });
    }
    if args.stack_traces {
        for exception in &found.exceptions {
            let time = exception.time.map(|time| time.to_string()).unwrap_or_default();
            let job = if several {
                format!("{}: ", exception.job)
            } else {
                String::new()
            };
            let task = exception.task.as_deref().unwrap_or("the job");
            terminal::data(&terminal::clean(&format!(
                "{time} {job}{task}\n{}\n\n",
                exception.stack_trace.trim_end()
            )))?;
        }
    } else {
        let wide = format == Format::Wide;
        let now = clock::now();
        let lines = found.exceptions.iter().map(|exception| {
            let row = row(exception, wide, several, now);
            Line::new(exception, exception.class.as_str(), row)
        });
        let lines: Vec<_> = lines.collect();
        args.table.print("ExceptionList", &headers(wide, several), &lines)?;
    }
    if found.more {
        terminal::note("Flink has more: --max shows them");
    }
    Ok(())
}
