//! How a cluster is brought up: the flags of `create`, `clone`, `adopt`, `resume` and `savepoint-resume`.

use std::time::Duration;

use crate::cli::args::change::HistoryLimitArgs;
use crate::cli::args::output::{OutputArgs, look_at};
use crate::cli::args::spec::SpecArgs;
use crate::cli::args::values;
use crate::cli::args::wait::WaitArgs;
use crate::error::{Error, Kind, Result};
use crate::history::command::Command;
use crate::history::{Limits, Revision, RevisionState};
use crate::kubernetes::api::Cluster;
use crate::model::manifests::Manifests;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::create::{CreateOptions, Created, Then};
use crate::operations::deploy::{record_outcome, wait_until_running};
use crate::operations::first_attempt::way_on;
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::upgrade::{ChangeOptions, Strategy, Surge};
use crate::operations::wait::Failures;
use crate::output::terminal;

/// How a cluster is brought up.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    wait: WaitArgs,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = values::duration)]
    timeout: Duration,
    /// Show what would be done, and do nothing; client: without the API server, server: validated by it, none: no dry
    /// run
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_enum)]
    dry_run: Option<DryRun>,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    limit: HistoryLimitArgs,
}

/// Where a command is tried that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    pub(crate) fn is_on(given: Option<Self>) -> bool {
        given.is_some_and(|given| given != Self::None)
    }

    /// What a dry run prints: where it was, and a space.
    pub(crate) fn place(given: Option<Self>) -> &'static str {
        if given == Some(Self::Server) {
            "server "
        } else {
            "client "
        }
    }
}

impl DeployArgs {
    pub(crate) fn is_dry_run(&self) -> bool {
        DryRun::is_on(self.dry_run)
    }

    /// Whether the command ends before the job runs.
    pub(crate) fn does_not_wait(&self) -> bool {
        self.wait.does_not_wait()
    }

    pub(crate) fn yes(&self) -> bool {
        self.yes
    }

    pub(crate) fn is_client_dry_run(&self) -> bool {
        self.dry_run == Some(DryRun::Client)
    }

    /// Rejects a dry run without the API server, because of `why`.
    pub(crate) fn refuse_client_dry_run(&self, why: &str) -> Result<()> {
        if !self.is_client_dry_run() {
            return Ok(());
        }
        Err(Error::usage(format!("--dry-run=client cannot be used: {why}"))
            .hint("--dry-run=server asks the API server, and changes nothing"))
    }

    /// The time limit; `None`: there is none.
    pub(crate) fn limit(&self) -> Option<Duration> {
        values::limit(self.timeout)
    }

    /// Waits no longer than this for the job to run.
    pub(crate) fn shorten(&mut self, most: Duration) {
        self.timeout = self.limit().map_or(most, |limit| limit.min(most));
    }

    pub(crate) fn history_limits(&self) -> Option<Limits> {
        self.limit.limits()
    }

    pub(crate) fn change_options(&self) -> ChangeOptions {
        ChangeOptions {
            strategy: Strategy::Savepoint,
            savepoint_format: SavepointFormat::Canonical,
            no_rollback: false,
            timeout: self.limit(),
            dry_run: self.is_dry_run(),
            rehearse: false,
            surge: Surge::Auto,
            take_over: false,
            confirm: terminal::asks(self.yes),
            history_limits: self.history_limits(),
            no_wait: self.does_not_wait(),
        }
    }

    /// The options with which `command` creates a cluster that does not exist.
    pub(crate) fn create_options<'a>(&self, command: Command, spec: &'a SpecArgs) -> Result<CreateOptions<'a>> {
        Ok(CreateOptions {
            image: spec.image_options()?,
            dry_run: self.is_dry_run(),
            history_limits: self.history_limits(),
            command,
            change: None,
            changed_by: command,
            replace: false,
            restore_from: None,
        })
    }

    pub(crate) fn resume_options(&self, savepoint_format: SavepointFormat, surge: Surge) -> ChangeOptions {
        ChangeOptions {
            savepoint_format,
            surge,
            no_rollback: true,
            ..self.change_options()
        }
    }

    /// Prints the objects that would be created.
    pub(crate) fn show_dry_run(&self, manifests: &Manifests) -> Result<()> {
        let done = if self.is_client_dry_run() {
            "created (dry run)"
        } else {
            "created (server dry run)"
        };
        self.output.print(&Report::objects(done, manifests.all()))
    }

    /// Prints the action, and waits until the job runs.
    pub(crate) async fn report(&self, cluster: &Cluster, created: Created) -> Result<()> {
        let Created {
            name,
            report,
            then,
            mut record,
        } = created;
        let (Then::Wait { parallelism }, Report::Cluster { result, .. }) = (&then, &report) else {
            self.output.print(&report)?;
            if let Then::Suspended = then {
                terminal::note(&format!("{name} is suspended: `kubectl flink resume {name}` starts it"));
            }
            return Ok(());
        };
        let outcome = result.outcome;
        let waiting = async {
            let has_run = record.as_ref().is_some_and(|(store, number)| {
                let revision = store.history().revision(*number);
                revision.and_then(Revision::state) == Some(RevisionState::Running)
            });
            // What failed long ago is no failure of this command.
            let failures = if has_run {
                Failures::of_old_job()
            } else {
                Failures::default()
            };
            let mut waited = self.wait(cluster, &name, *parallelism, failures).await;
            if let Some((store, number)) = record.as_mut().filter(|_| !self.does_not_wait()) {
                waited = record_outcome(cluster, &name, store, *number, waited).await;
            }
            waited.map_err(|error| with_way_on(error, &name, outcome))
        };
        self.around(*result.clone(), waiting).await
    }

    /// Prints a result: for people before the wait, if anything was done, and else after it, as for programs, with the job
    /// that runs then.
    async fn around(
        &self,
        mut result: OperationResult,
        waiting: impl Future<Output = Result<Option<String>>>,
    ) -> Result<()> {
        if !self.output.is_given() && result.outcome != Outcome::Unchanged {
            self.output.done(&result)?;
            return Box::pin(waiting).await.map(drop);
        }
        result.job_id = Box::pin(waiting).await?;
        self.output.done(&result)
    }

    /// Prints that a cluster is unchanged, or resumed without new objects, and waits until the job runs.
    pub(crate) async fn wait_after(
        &self,
        handle: &mut ClusterHandle,
        outcome: Outcome,
        failures: Failures,
    ) -> Result<()> {
        let result = OperationResult {
            dry_run: self.is_dry_run(),
            ..handle.result(outcome)
        };
        let number = handle
            .live_revision()
            .filter(|_| !self.does_not_wait() && !self.is_dry_run());
        let state = |number: u64| handle.store.history().revision(number).and_then(Revision::state);
        // The command that began it was interrupted before the end of its wait.
        let pending = number.filter(|number| state(*number) == Some(RevisionState::Pending));
        let waiting = async {
            let waited = self
                .wait(&handle.cluster, &handle.name, handle.parallelism(), failures)
                .await;
            match pending {
                Some(number) => record_outcome(&handle.cluster, &handle.name, &mut handle.store, number, waited).await,
                None => waited,
            }
        };
        self.around(result, waiting).await
    }

    async fn wait(
        &self,
        cluster: &Cluster,
        name: &ClusterName,
        parallelism: u32,
        failures: Failures,
    ) -> Result<Option<String>> {
        if self.does_not_wait() || self.is_dry_run() {
            return Ok(None);
        }
        let job_id = wait_until_running(cluster, name, parallelism, self.limit(), failures).await?;
        look_at(name.as_str());
        Ok(job_id)
    }
}

/// Adds how to repair a cluster with this outcome, whose job did not come up.
pub(crate) fn with_way_on(error: Error, name: &ClusterName, outcome: Outcome) -> Error {
    if !matches!(error.kind, Kind::JobFailed | Kind::TimedOut) {
        return error;
    }
    let replaces = way_on(name);
    let removes = format!("`kubectl flink delete {name}` removes it");
    match outcome {
        Outcome::Created => error.hint(format!("{replaces}; {removes}")),
        Outcome::Unchanged => error.hint(replaces),
        Outcome::Cloned => error.hint(removes),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        deploy: DeployArgs,
    }

    #[test]
    fn a_wait_is_shortened_and_not_made_longer() {
        for (timeout, most, limit) in [("10m", 30, 30), ("5s", 30, 5), ("0", 30, 30)] {
            let mut deploy = Line::parse_from(["x", "--timeout", timeout]).deploy;
            deploy.shorten(Duration::from_secs(most));
            assert_eq!(deploy.limit(), Some(Duration::from_secs(limit)), "{timeout}");
        }
    }
}
