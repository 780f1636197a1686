//! `rollback`: changes back to an earlier revision.

use crate::cli::args::change::ChangeArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::history::command::Command;
use crate::history::lock;
use crate::history::rollback::{before_rollback, pick};
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;

/// Go back to an earlier revision, keeping state
///
/// The running job is stopped with a savepoint, from which the earlier revision continues, as in an upgrade. Where it
/// cannot read that state, --from-savepoint names an older one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink rollback demo\n  \
    kubectl flink rollback demo --to-revision 3 --from-savepoint s3://bucket/sp-1")]
pub(crate) struct RollbackArgs {
    /// Name of the cluster
    name: String,
    /// Revision to go back to [default: the last one that ran before the present one]
    #[arg(long, value_name = "N")]
    to_revision: Option<u64>,
    /// Savepoint to start from; the running job is stopped with one of its own, which the history keeps
    #[arg(long, value_name = "PATH", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    from_savepoint: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(context: &Context, args: RollbackArgs) -> Result<()> {
    let handle = context.load(&args.name).await?;
    let name = handle.name.clone();
    let history = handle.store.readable()?;
    let present = before_rollback(history).or(handle.live_revision());
    let picked = pick(&name, history, present, args.to_revision);
    let revision = match (picked, history.open_journal()) {
        // Report an unfinished operation first.
        (Err(_), Some(journal)) => return Err(lock::unfinished(&name, journal)),
        (picked, _) => picked?,
    };
    let mut wanted = TargetRevision::revision(revision)?;
    wanted.restore_from = args.from_savepoint;
    let changed = change(handle, wanted, &args.change.options(), Command::Rollback).await?;
    args.change.output.print(&changed)
}
