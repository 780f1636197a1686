//! How a cluster is brought up: the flags of `create`, `clone`, `adopt`, `resume` and `savepoint-resume`.

use std::time::Duration;

use crate::cli::args::change::HistoryLimitArgs;
use crate::cli::args::output::OutputArgs;
use crate::error::{Error, Result};
use crate::history::Limits;
use crate::kubernetes::api::Cluster;
use crate::model::manifests::Manifests;
use crate::model::names::ClusterName;
use crate::operations::create::{Created, Then};
use crate::operations::deploy::wait_until_running;
use crate::operations::report::Report;
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::upgrade::{ChangeOptions, Strategy};
use crate::operations::wait::Failures;
use crate::output::terminal;

/// How a cluster is brought up.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployArgs {
    /// Do not wait until the job runs
    #[arg(long)]
    no_wait: bool,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
    /// Show what would be done, and do nothing: by this program alone, or checked by the API server; none: do it
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_enum)]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    output: OutputArgs,
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
    /// Whether a command is a dry run.
    pub(crate) fn is_on(given: Option<Self>) -> bool {
        given.is_some_and(|given| given != Self::None)
    }
}

impl DeployArgs {
    /// Whether this is a dry run.
    pub fn is_dry_run(&self) -> bool {
        DryRun::is_on(self.dry_run)
    }

    /// Whether the command ends before the job runs.
    pub fn does_not_wait(&self) -> bool {
        self.no_wait
    }

    /// Whether this is a dry run without the API server.
    pub fn is_client_dry_run(&self) -> bool {
        self.dry_run == Some(DryRun::Client)
    }

    /// Rejects a dry run without the API server, because of `why`.
    pub fn refuse_client_dry_run(&self, why: &str) -> Result<()> {
        if !self.is_client_dry_run() {
            return Ok(());
        }
        Err(
            Error::usage(format!("{why}, so it has no dry run without the API server"))
                .hint("--dry-run=server asks it and changes nothing"),
        )
    }

    /// The time limit; `None`: there is none.
    pub fn limit(&self) -> Option<Duration> {
        (!self.timeout.is_zero()).then_some(self.timeout)
    }

    /// The requested limits of the history.
    pub fn history_limits(&self) -> Option<Limits> {
        self.limit.limits()
    }

    /// The options of a `create --replace`.
    pub fn replace_options(&self) -> ChangeOptions {
        ChangeOptions {
            strategy: Strategy::Savepoint,
            savepoint_format: SavepointFormat::Canonical,
            no_rollback: false,
            timeout: self.limit(),
            dry_run: self.is_dry_run(),
            rehearse: false,
            take_over: false,
            confirm: terminal::ask,
            history_limits: self.history_limits(),
            report_objects: self.output.is_given(),
            no_wait: false,
        }
    }

    /// The options of a `savepoint-resume`.
    pub fn resume_options(&self, savepoint_format: SavepointFormat) -> ChangeOptions {
        ChangeOptions {
            savepoint_format,
            no_rollback: true,
            no_wait: self.no_wait,
            ..self.replace_options()
        }
    }

    /// Prints a report.
    pub fn print(&self, report: &Report) -> Result<()> {
        self.output.print(report)
    }

    /// Prints the objects that would be created.
    pub fn show_dry_run(&self, manifests: &Manifests) -> Result<()> {
        let done = if self.is_client_dry_run() {
            "created (dry run)"
        } else {
            "created (server dry run)"
        };
        self.output.print(&Report::objects(done, manifests.all()))
    }

    /// Prints the action, and waits until the job runs.
    pub async fn report(&self, cluster: &Cluster, created: Created) -> Result<()> {
        let Created { name, report, then } = created;
        self.output.print(&report)?;
        match then {
            Then::Wait { parallelism } => self.wait(cluster, &name, parallelism, Failures::default()).await,
            Then::Suspended => {
                terminal::note(&format!("{name} is suspended: `kubectl flink resume {name}` starts it"));
                Ok(())
            }
            Then::Nothing => Ok(()),
        }
    }

    /// Reports that nothing had to be done, and waits until the job runs.
    pub async fn wait_unchanged(&self, cluster: &Cluster, name: &ClusterName, parallelism: u32) -> Result<()> {
        terminal::data(&format!("cluster/{name} unchanged\n"))?;
        if self.is_dry_run() {
            return Ok(());
        }
        self.wait(cluster, name, parallelism, Failures::of_old_job()).await
    }

    /// Prints that a cluster was resumed without new objects, and waits until the job runs.
    pub async fn resumed(&self, cluster: &Cluster, name: &ClusterName, parallelism: u32) -> Result<()> {
        if self.is_dry_run() {
            return terminal::data(&format!("cluster/{name} resumed (server dry run)\n"));
        }
        terminal::data(&format!("cluster/{name} resumed\n"))?;
        self.wait(cluster, name, parallelism, Failures::default()).await
    }

    async fn wait(&self, cluster: &Cluster, name: &ClusterName, parallelism: u32, failures: Failures) -> Result<()> {
        if self.no_wait {
            return Ok(());
        }
        wait_until_running(cluster, name, parallelism, self.limit(), failures).await
    }
}
