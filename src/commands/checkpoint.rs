//! `checkpoint`: takes a checkpoint on demand.

use std::time::Duration;

use crate::cli::args::output::OutputArgs;
use crate::cli::args::wait::WaitArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::flink::operation;
use crate::model::age::whole_seconds;
use crate::model::bytes;
use crate::operations::report::{OperationResult, Outcome};
use crate::output::terminal;
use crate::progress;

/// Take a checkpoint of a running job now, and print its path (Flink 1.17+)
///
/// A checkpoint belongs to Flink: Flink restarts a failed job from it, and deletes it when it has newer ones. To keep
/// the state, take a savepoint. With --wait=false the trigger ID is printed instead of the path.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink checkpoint demo")]
pub(crate) struct CheckpointArgs {
    /// Name of the cluster
    name: String,
    /// Kind of the checkpoint
    #[arg(long = "type", value_name = "TYPE", default_value = "configured")]
    kind: CheckpointType,
    /// How long to wait; 0: as long as it takes. Flink completes the checkpoint in any case
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
    #[command(flatten)]
    wait: WaitArgs,
    /// Accepted, as by other commands: this one asks nothing
    #[arg(long, short, hide = true)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a checkpoint writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CheckpointType {
    /// As the job's own checkpoints
    Configured,
    /// All state
    Full,
    /// What changed since the last one
    Incremental,
}

impl CheckpointType {
    const fn as_rest(self) -> &'static str {
        match self {
            Self::Configured => "CONFIGURED",
            Self::Full => "FULL",
            Self::Incremental => "INCREMENTAL",
        }
    }
}

pub(crate) async fn run(context: &Context, args: CheckpointArgs) -> Result<()> {
    let mut handle = context.existing(&args.name).await?;
    let name = handle.name.clone();
    handle.note_operation();
    let job = handle.job_for("checkpoint").await?;
    let mut result = OperationResult {
        job_id: Some(job.jid.clone()),
        ..handle.result(Outcome::Completed)
    };
    if args.wait.does_not_wait() {
        let trigger_id = operation::ask_for_checkpoint(&handle.flink, &job.jid, args.kind.as_rest()).await?;
        let line = terminal::clean(&format!("{trigger_id}\n"));
        result.outcome = Outcome::Requested;
        result.trigger_id = Some(trigger_id);
        return args.output.result(&line, &result);
    }
    let mut step = progress::step(&format!("{name}: writing a checkpoint"));
    let report = |elapsed: Duration| {
        if elapsed.as_secs() >= 10 {
            step.update(&format!(
                "{name}: writing a checkpoint, for {} s so far",
                elapsed.as_secs() / 10 * 10
            ));
        }
    };
    let taking = operation::checkpoint(&handle.flink, &job.jid, args.kind.as_rest(), report);
    let checkpoint = if args.timeout.is_zero() {
        taking.await?
    } else {
        tokio::time::timeout(args.timeout, taking).await.map_err(|_| {
            let seconds = whole_seconds(Some(args.timeout));
            Error::timed_out(format!("the checkpoint of {name} is not written after {seconds} s"))
                .hint("Flink keeps writing it")
        })??
    };
    let mut text = format!("{name}: checkpoint {}", checkpoint.id);
    if let Some(size) = checkpoint.state_size {
        text = format!("{text}, {}", bytes::human(size));
    }
    if let Some(millis) = checkpoint.end_to_end_duration {
        text = format!("{text}, in {millis} ms");
    }
    step.done(&text);
    let line = match &checkpoint.external_path {
        Some(path) => terminal::clean(&format!("{path}\n")),
        None => format!("checkpoint/{}\n", checkpoint.id),
    };
    result.checkpoint = checkpoint.external_path;
    result.checkpoint_id = Some(checkpoint.id);
    args.output.result(&line, &result)
}
