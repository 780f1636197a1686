//! `exceptions`: shows the exceptions of a job's tasks.

use k8s_openapi::jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::clock;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::age::age;
use crate::model::flink::rest::exceptions::Exception;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::output::terminal;
use crate::output::{Format, Item, Printer};

/// List the exceptions of a job, newest first
///
/// Those that Flink remembers: of the JobManager that runs, sixteen unless it is configured otherwise.
#[derive(Debug, clap::Args)]
pub struct ExceptionsArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Print whole stack traces
    #[arg(long, conflicts_with = "output")]
    stack_traces: bool,
    /// Exceptions at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ExceptionsArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let flink = Flink::new(&cluster, &name);
    let job = match flink.jobs().await? {
        Reply::Answer(jobs) => jobs.main_job().cloned(),
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => return Err(away(ClusterHandle::existing(&cluster, &name).await?).await),
    };
    let Some(job) = job else {
        terminal::note(&format!("{name} has no job yet"));
        return Ok(());
    };
    let exceptions = match flink.exceptions(&job.jid, args.max).await? {
        Reply::Answer(exceptions) => exceptions,
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => return Err(flink.away()),
    };
    let more = exceptions.is_truncated();
    let found = exceptions.newest_first();
    if found.is_empty() && matches!(args.output, Format::Table | Format::Wide) {
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
        let wide = args.output == Format::Wide;
        let now = clock::now();
        let mut headers = vec!["AGE", "TASK", "CAUSE"];
        if wide {
            headers.extend(["CLASS", "LOCATION", "TASKMANAGER", "CONCURRENT"]);
        }
        let lines = found
            .into_iter()
            .map(|exception| ExceptionLine { exception, wide, now });
        let lines: Vec<ExceptionLine> = lines.collect();
        Printer::new(args.output, "ExceptionList", &headers, !args.no_headers).list(
            lines.iter(),
            false,
            terminal::data,
        )?;
    }
    if more {
        terminal::note("Flink has more: --max shows them");
    }
    Ok(())
}

/// The error when the JobManager gives no answer: it has ended, or does not answer.
pub(super) async fn away(mut handle: ClusterHandle) -> Error {
    let name = handle.name.clone();
    match handle.job_status().await {
        Err(error) => error,
        Ok(JobStatus::Stopped) => Error::new(
            Kind::Conflict,
            format!("the JobManager of {name} has ended, and what it remembered with it"),
        )
        .hint(format!("`kubectl flink why {name}` reads its log")),
        Ok(_) => handle.flink.away(),
    }
}

#[derive(serde::Serialize)]
#[serde(transparent)]
struct ExceptionLine {
    exception: Exception,
    #[serde(skip)]
    wide: bool,
    #[serde(skip)]
    now: Timestamp,
}

impl Item for &ExceptionLine {
    fn name(&self) -> &str {
        &self.exception.class
    }

    fn row(&self) -> Vec<String> {
        let exception = &self.exception;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut row = vec![
            exception.time.map(|then| age(then, self.now)).unwrap_or_default(),
            text(&exception.task),
            exception.cause.clone(),
        ];
        if self.wide {
            row.extend([
                exception.class.clone(),
                text(&exception.location),
                text(&exception.task_manager),
                exception.concurrent.to_string(),
            ]);
        }
        row
    }
}
