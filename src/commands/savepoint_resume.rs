//! `savepoint-resume`: starts a cluster again from its present or last state.

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::history::command::Command;
use crate::operations::report::Outcome;
use crate::operations::resume::{Resume, Resumed, resume};
use crate::operations::resume_plan::ResumeOptions;
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::upgrade::Surge;
use crate::operations::wait::Failures;

/// Restart a cluster from a savepoint: of the running job, or the last one
///
/// A running job is stopped with a savepoint and started from it: as `upgrade` does, but without a rollback if it does
/// not come up. A stopped, failed or deleted one is started from the last savepoint in its history: as `resume` does.
/// Flags change only the settings that they name; all others stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint-resume demo\n  \
    kubectl flink savepoint-resume demo --image registry/my-job:1.1 -p 8\n  \
    kubectl flink savepoint-resume demo --jar app.jar --push-to registry/team/app\n  \
    kubectl flink savepoint-resume demo --from-savepoint s3://bucket/sp-1 --stop")]
pub(crate) struct ResumeArgs {
    /// Name of the cluster
    name: String,
    /// With --from-savepoint: first stop the running job with a last savepoint, which the history keeps
    #[arg(long, requires = "from_savepoint", conflicts_with = "cancel")]
    stop: bool,
    /// Cancel the running job: its progress since the savepoint is lost
    #[arg(long)]
    cancel: bool,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not continue
    #[arg(long, conflicts_with = "cancel")]
    drain: bool,
    /// Whether TaskManagers of the new version start beside the running ones before the job is stopped
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    surge: Surge,
    #[command(flatten)]
    pub(crate) deploy: DeployArgs,
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
}

impl ResumeArgs {
    /// Those of `resume`.
    pub(crate) fn plain(name: String, deploy: DeployArgs, from_savepoint: Option<String>) -> Self {
        let mut spec = SpecArgs::default();
        spec.from_savepoint = from_savepoint;
        Self {
            name,
            stop: false,
            cancel: false,
            savepoint_format: SavepointFormat::Canonical,
            drain: false,
            surge: Surge::Auto,
            deploy,
            spec,
        }
    }

    /// What they ask for.
    pub(crate) fn resume(&self, command: Command) -> Result<Resume<'_>> {
        self.deploy
            .refuse_client_dry_run("the effect of a resume depends on what runs in the cluster")?;
        Ok(Resume {
            command,
            version: self.spec.version(Some(&self.name), None)?,
            options: ResumeOptions {
                from_savepoint: self.spec.from_savepoint.as_deref(),
                stop: self.stop,
                cancel: self.cancel,
            },
            savepoint_format: self.savepoint_format,
            savepoint_dir: self.spec.savepoint_dir(),
            drain: self.drain,
            how: self.deploy.resume_options(self.savepoint_format, self.surge),
        })
    }

    /// Prints what was done, and waits until the job runs where no new version was started.
    pub(crate) async fn finish(&self, resumed: Resumed) -> Result<()> {
        let (mut handle, outcome, failures) = match resumed {
            Resumed::Changed(report) => return self.deploy.output.print(&report),
            Resumed::Runs(handle, outcome) => (handle, outcome, Failures::of_old_job()),
            Resumed::Started(handle) => (handle, Outcome::Resumed, Failures::default()),
        };
        self.deploy.wait_after(&mut handle, outcome, failures).await
    }
}

pub(crate) async fn run(context: &Context, args: ResumeArgs) -> Result<()> {
    let wanted = args.resume(Command::SavepointResume)?;
    let resumed = Box::pin(resume(&context.connect()?, &wanted)).await?;
    Box::pin(args.finish(resumed)).await
}
