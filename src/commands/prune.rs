//! `prune`: deletes the remaining objects of clusters whose jobs have ended.

use std::time::Duration;

use crate::cli::args::clusters::{FirstFailure, confirm_deletion};
use crate::cli::args::deploy::DryRun;
use crate::cli::args::output::OutputArgs;
use crate::cli::args::values;
use crate::cli::args::wait::WaitArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::clock;
use crate::kubernetes::tables::ListSelection;
use crate::operations::prune::{EndedCluster, PruneOptions, ended};
use crate::operations::report::{OperationResult, Outcome};
use crate::output::terminal;

/// Delete clusters whose jobs have ended; their histories stay
///
/// Such a cluster still has idle TaskManagers, and the logs of its JobManager. Its last savepoint is in its history, so
/// that `resume` can bring it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink prune\n  \
    kubectl flink prune -A --older-than 24h --yes")]
pub(crate) struct PruneArgs {
    /// Only clusters whose job ended longer ago than this, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    older_than: Option<Duration>,
    /// Clusters of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only clusters with these labels, such as team=a
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = values::selector)]
    selector: Option<String>,
    /// Show what would be deleted, and delete nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_enum)]
    dry_run: Option<DryRun>,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// How long to wait for the end of each cluster's Pods; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = values::duration)]
    timeout: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(context: &Context, args: PruneArgs) -> Result<()> {
    let cluster = context.connect()?;
    let how = PruneOptions {
        older_than: args.older_than,
        dry_run: DryRun::is_on(args.dry_run),
        limit: values::limit(args.timeout),
        no_wait: args.wait.does_not_wait(),
    };
    let wanted = ListSelection {
        namespace: (!args.all_namespaces).then(|| cluster.namespace().to_owned()),
        selector: args.selector,
        ..ListSelection::default()
    };
    let (found, errors) = ended(&cluster, &wanted, &how).await?;
    let mut failure = FirstFailure::default();
    for error in &errors {
        failure.report(error);
    }
    let now = clock::now();
    if found.is_empty() && !errors.is_empty() {
        return failure.end();
    }
    if found.is_empty() {
        let place = if args.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", cluster.namespace())
        };
        let since = args
            .older_than
            .map_or_else(String::new, |limit| format!(" longer than {} s ago", limit.as_secs()));
        terminal::note(&format!("no cluster in {place} has ended{since}"));
        return Ok(());
    }
    for one in &found {
        terminal::note(&one.describe(now));
    }
    if !how.dry_run {
        let names: Vec<_> = found.iter().map(|one| &one.handle.name).collect();
        confirm_deletion(&names, args.yes)?;
    }
    let remove = async |one: EndedCluster| args.output.done(&one.remove(&how).await?);
    for one in found {
        let name = one.handle.name.clone();
        let outcome = if how.dry_run {
            let result = OperationResult::new(&one.handle.cluster, &name, Outcome::Pruned);
            args.output.tried("", result)
        } else {
            remove(one).await
        };
        failure.add(&name, outcome);
    }
    failure.end()
}
