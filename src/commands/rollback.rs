//! `rollback`: changes back to an earlier revision.

use crate::cli::args::change::ChangeArgs;
use crate::error::{Error, Result};
use crate::history::lock;
use crate::history::{History, Revision, RevisionState};
use crate::kubernetes::connect::ConnectionOptions;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;

/// Go back to an earlier revision, keeping state
///
/// The running job is stopped with a savepoint, from which the earlier revision continues, as in an upgrade. Where it
/// cannot read that state, --from-savepoint names an older one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink rollback demo\n  \
    kubectl flink rollback demo --to-revision 3 --from-savepoint s3://bucket/savepoint-1")]
pub(crate) struct RollbackArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
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

pub(crate) async fn run(connection: &ConnectionOptions, args: RollbackArgs) -> Result<()> {
    let handle = ClusterHandle::connected(connection, &args.name).await?;
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
    let changed = change(handle, wanted, &args.change.options(), "rollback").await?;
    args.change.output.print(&changed)
}

/// The revision that an unfinished rollback rolls back: its repetition picks the same one, whatever runs by now.
fn before_rollback(history: &History) -> Option<u64> {
    let journal = history.open_journal().filter(|journal| journal.command == "rollback")?;
    let is_earlier = |revision: &&Revision| Some(revision.number) < journal.new_revision;
    let last = || history.revisions.iter().rev().find(is_earlier);
    journal.old_revision.or_else(|| Some(last()?.number))
}

fn pick<'a>(
    name: &ClusterName,
    history: &'a History,
    present: Option<u64>,
    wanted: Option<u64>,
) -> Result<&'a Revision> {
    let missing = |what: String| {
        let kept: Vec<String> = history.revisions.iter().map(|known| known.number.to_string()).collect();
        Error::not_found(format!("the history of {name} has {what}"))
            .hint(format!("it has the revisions {}", kept.join(", ")))
    };
    if let Some(number) = wanted {
        return history
            .revision(number)
            .ok_or_else(|| missing(format!("no revision {number}")));
    }
    let last = history.revisions.last().map(|last| last.number);
    let present = present.or(last).unwrap_or_default();
    let now = history.revision(present).map(|revision| &revision.spec);
    let ran = |revision: &&Revision| {
        let outcome = revision.outcome.as_ref().map(|outcome| outcome.state);
        revision.number < present
            && matches!(outcome, None | Some(RevisionState::Running))
            && now.is_none_or(|now| !same_but_start(&revision.spec, now))
    };
    history
        .revisions
        .iter()
        .rev()
        .find(ran)
        .ok_or_else(|| missing("no earlier revision that ran and differs".to_owned()))
}

/// Whether two specs differ at most in the state that they start from.
fn same_but_start(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    let plain = |spec: &serde_json::Value| {
        let mut spec = spec.clone();
        if let Some(job) = spec["spec"]["job"].as_object_mut() {
            job.remove("initialSavepointPath");
            job.remove("allowNonRestoredState");
        }
        spec
    };
    plain(one) == plain(other)
}
