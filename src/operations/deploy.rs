//! What `create` and `savepoint-resume` have in common: bring the objects up, wait, report.

use std::time::{Duration, Instant};

use crate::cli::args::output::OutputArgs;
use crate::error::{Error, Result};
use crate::history::Revision;
use crate::history::holder::who;
use crate::history::store::HistoryStore;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::flink_deployment;
use crate::model::manifests::Manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::lock::{self, Launch};
use crate::operations::upgrade::HistoryLimit;
use crate::operations::wait;
use crate::operations::wait::Failures;
use crate::output::terminal;
use crate::progress;

/// How a cluster is launched.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployOptions {
    /// Do not wait until the job runs
    #[arg(long)]
    no_wait: bool,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = crate::cli::duration)]
    timeout: Duration,
    /// Show what would be done, and do nothing: by this program alone, or checked by the API server; none: do it
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_enum)]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) keep: HistoryLimit,
}

/// Where a command is tried that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    /// Whether a command is only tried.
    pub(crate) fn is_on(given: Option<Self>) -> bool {
        given.is_some_and(|given| given != Self::None)
    }
}

impl DeployOptions {
    /// Whether nothing is to be changed.
    pub fn is_dry_run(&self) -> bool {
        DryRun::is_on(self.dry_run)
    }

    /// Whether the command ends before the job runs.
    pub fn does_not_wait(&self) -> bool {
        self.no_wait
    }

    /// Whether nothing is to be asked of the API server.
    pub fn is_client_dry_run(&self) -> bool {
        self.dry_run == Some(DryRun::Client)
    }

    /// Refuses a dry run that asks nobody, because `why`.
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

    /// Prints the objects that would be made.
    pub fn show_dry_run(&self, manifests: &Manifests) -> Result<()> {
        let whereby = if self.is_client_dry_run() {
            "dry run"
        } else {
            "server dry run"
        };
        self.output.print(manifests.all(), &format!("created ({whereby})"))
    }

    /// Prints what was done, and waits until the job runs.
    pub async fn report(&self, cluster: &Cluster, spec: &Spec, done: &str, manifests: &Manifests) -> Result<()> {
        self.print(&spec.name, done, manifests)?;
        self.wait(cluster, &spec.name, spec.parallelism, Failures::default())
            .await
    }

    /// Prints what was done.
    pub fn print(&self, name: &ClusterName, done: &str, manifests: &Manifests) -> Result<()> {
        self.output.told(name, done, manifests.all())
    }

    /// Tells that nothing had to be done, and waits until the job runs.
    pub async fn wait_unchanged(&self, cluster: &Cluster, name: &ClusterName, parallelism: u32) -> Result<()> {
        terminal::data(&format!("cluster/{name} unchanged\n"))?;
        if self.is_dry_run() {
            return Ok(());
        }
        self.wait(cluster, name, parallelism, Failures::of_old_job()).await
    }

    /// Prints that a cluster was resumed whose objects stay, and waits until the job runs.
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
        let begun = Instant::now();
        let mut step = progress::Step::new(&format!("{name}: submitted"));
        let outcome = wait::until_running(cluster, name, parallelism, self.limit(), failures, |stage, note| {
            let text = format!("{name}: {stage}");
            step.update(&match note {
                Some(note) => format!("{text} ({})", note.text),
                None => text,
            });
        })
        .await?;
        let seconds = begun.elapsed().as_secs_f64();
        step.done(&match outcome {
            wait::WaitOutcome::Running { job_id, tasks } => {
                format!("{name} runs: job {job_id}, all {tasks} tasks, after {seconds:.1} s")
            }
            wait::WaitOutcome::Finished => format!("{name} has finished its job, after {seconds:.1} s"),
        });
        Ok(())
    }
}

/// Creates a cluster: holds it, and makes its objects, so that no other command of that name makes any meanwhile.
pub async fn create(
    cluster: &Cluster,
    store: &mut HistoryStore,
    live: &mut LiveObjects,
    name: &ClusterName,
    launch: &Launch<'_>,
    manifests: &Manifests,
) -> Result<()> {
    let heartbeat = lock::launching(store, launch).await?;
    let made = heartbeat
        .beside(objects::apply_all(cluster, name, manifests, live))
        .await;
    lock::end_of(store, &made).await;
    made
}

/// A cluster that is being made, as an entry of its history.
pub fn revision(spec: &Spec, templates: &Templates, own_templates: bool, generation: u64, command: &str) -> Revision {
    Revision {
        number: generation,
        created_at: clock::now().to_string(),
        command: command.to_owned(),
        by: Some(who()),
        outcome: None,
        spec: flink_deployment::write(&spec.layer),
        templates: own_templates.then(|| {
            [
                templates.service.clone(),
                templates.job.clone(),
                templates.deployment.clone(),
            ]
        }),
    }
}
