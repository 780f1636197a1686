//! `cancel`: ends the job without a savepoint.

use crate::cli::args::output::OutputArgs;
use crate::cli::args::wait::EndArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::operations::cancel::cancel;
use crate::output::terminal;

/// Cancel a job: it ends at once, without a savepoint
///
/// Its progress since the last savepoint is lost, unless its checkpoints are kept. The command ends when the JobManager
/// has ended. The TaskManagers stay: `delete` deletes everything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink cancel demo --yes")]
pub(crate) struct CancelArgs {
    /// Name of the cluster
    name: String,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(context: &Context, args: CancelArgs) -> Result<()> {
    args.end.check()?;
    let handle = context.existing(&args.name).await?;
    args.output
        .done(&Box::pin(cancel(handle, args.end.limit(), terminal::question(args.yes))).await?)
}
