//! `delete`: deletes clusters with all their objects, except their history.

use std::time::Duration;

use crate::cli::args::clusters::{FirstFailure, SelectedClustersArgs, confirm_deletion};
use crate::cli::args::deploy::DryRun;
use crate::cli::args::output::OutputArgs;
use crate::cli::args::stop::EndingArgs;
use crate::cli::args::values;
use crate::cli::args::wait::WaitArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::operations::delete::plan::Plan;
use crate::operations::delete::{DeleteOptions, delete, plans};
use crate::operations::report::{OperationResult, Outcome};
use crate::output::terminal;

/// Delete clusters
///
/// The JobManager is deleted first, then the TaskManagers, the Service and the data of high availability. The history stays,
/// so that `resume` can bring the cluster back; --purge deletes it too.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink delete demo --savepoint\n  kubectl flink delete demo --purge")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    which: SelectedClustersArgs,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    ending: EndingArgs,
    /// Delete the history too
    #[arg(long)]
    purge: bool,
    /// Also delete a cluster with an unfinished operation of another machine whose heartbeat has stopped
    #[arg(long)]
    take_over: bool,
    /// Do not fail if a cluster does not exist
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = values::duration)]
    timeout: Duration,
    /// Show what would be deleted, and delete nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_enum)]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    output: OutputArgs,
}

impl DeleteArgs {
    /// Those of `apply`, which deletes clusters after a savepoint of each job.
    pub(crate) fn of_apply(names: Vec<String>, yes: bool, dry_run: bool, output: OutputArgs) -> Self {
        Self {
            which: SelectedClustersArgs::of(names),
            yes,
            ending: EndingArgs::with_savepoint(),
            ignore_not_found: true,
            timeout: Duration::from_secs(300),
            dry_run: dry_run.then_some(DryRun::Server),
            output,
            ..Self::default()
        }
    }

    fn options(&self) -> DeleteOptions {
        DeleteOptions {
            on_delete: self.ending.on_delete(),
            savepoint_format: self.ending.savepoint_format,
            savepoint_dir: self.ending.savepoint_dir.clone(),
            purge: self.purge,
            no_wait: self.wait.does_not_wait(),
            limit: values::limit(self.timeout),
            take_over: self.take_over,
            ignore_not_found: self.ignore_not_found,
            dry_run: DryRun::is_on(self.dry_run),
        }
    }

    async fn carry_out(&self, plan: Plan, how: &DeleteOptions) -> Result<()> {
        let (result, next) = Box::pin(delete(plan, how, !self.yes)).await?;
        self.output.done(&result)?;
        terminal::next_steps(next.as_slice());
        Ok(())
    }
}

pub(crate) async fn run(context: &Context, args: DeleteArgs) -> Result<()> {
    let (cluster, how) = (context.connect()?, args.options());
    let mut failure = FirstFailure::default();
    let names = args.which.read(&cluster, &mut failure).await?;
    let (plans, errors) = Box::pin(plans(&cluster, &names, &how)).await;
    for error in &errors {
        failure.report(error);
    }
    for plan in &plans {
        terminal::note(&plan.to_string());
    }
    if !plans.is_empty() && !how.dry_run {
        let names: Vec<_> = plans.iter().map(|plan| &plan.handle.name).collect();
        confirm_deletion(&names, args.yes)?;
    }
    for plan in plans {
        let name = plan.handle.name.clone();
        let outcome = if how.dry_run {
            let result = OperationResult::new(&cluster, &name, Outcome::Deleted);
            args.output.tried(DryRun::place(args.dry_run), result)
        } else {
            Box::pin(args.carry_out(plan, &how)).await
        };
        failure.add(&name, outcome);
    }
    failure.end()
}
