//! `create`: creates a cluster from flags, a file, or the variables of Flink's templates.

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::files::FileArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::context::Context;
use crate::cli::description::{Begun, Described, Description};
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::operations::create::{CreateOptions, drafted};

/// Create a cluster and wait until its job runs
///
/// Flags win over the file, the file over the variables FLINK_APPLICATION_NAME, FLINK_IMAGE_NAME, FLINK_JOB_PARALLELISM
/// and FLINK_JOB_ARGUMENTS, and these over the defaults of `defaults set`. If a cluster of this name exists already and
/// differs, the command fails, unless --replace is given. A create whose job never ran can be repeated with other
/// flags.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink create demo --image registry/my-job:1.0 -p 4\n  \
    kubectl flink create demo --image job:1.0 --job-class org.acme.Job -- --rate 9\n  \
    kubectl flink create demo --image flink:2.3 --jar a.jar --push-to registry/app\n  \
    kubectl flink create -f flinkdeployment.yaml\n  \
    kubectl flink create demo --image registry/my-job:1.0 --dry-run=client -o yaml")]
pub(crate) struct CreateArgs {
    /// Name of the cluster [variable: FLINK_APPLICATION_NAME]
    name: Option<String>,
    #[command(flatten)]
    files: FileArgs,
    /// If the cluster exists and differs, change it as `apply` and `upgrade` do: with a savepoint, and back to the old
    /// version if the new one does not come up
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    pub(super) deploy: DeployArgs,
    #[command(flatten)]
    spec: SpecArgs,
    /// The set of `apply`.
    #[arg(skip)]
    apply_set: Option<String>,
}

impl CreateArgs {
    /// The arguments of an `apply`: the files are the whole of the clusters.
    pub(crate) fn of_files(files: FileArgs, deploy: DeployArgs, apply_set: Option<String>, unchecked: bool) -> Self {
        let mut spec = SpecArgs::default();
        spec.no_image_check = unchecked;
        Self {
            name: None,
            files,
            replace: true,
            deploy,
            spec,
            apply_set,
        }
    }

    /// Reads the descriptions of at most `most` clusters, and sends nothing.
    pub(crate) fn describe(&self, context: &Context, most: usize) -> Result<Described> {
        let description = Description {
            name: self.name.as_deref(),
            files: &self.files,
            spec: &self.spec,
            apply_set: self.apply_set.as_deref(),
        };
        description.read(context, most)
    }

    pub(crate) fn options(&self) -> Result<CreateOptions<'_>> {
        Ok(CreateOptions {
            change: Some(self.deploy.change_options()),
            replace: self.replace,
            restore_from: self.spec.from_savepoint.clone(),
            ..self.deploy.create_options(Command::Create, &self.spec)?
        })
    }
}

pub(crate) async fn run(context: &Context, args: CreateArgs) -> Result<()> {
    Box::pin(create_all(context, args, usize::MAX, &mut Vec::new())).await
}

/// Creates at most `most` clusters, and adds each to `begun`, also one that failed.
pub(crate) async fn create_all(context: &Context, args: CreateArgs, most: usize, begun: &mut Vec<Begun>) -> Result<()> {
    if args.replace && args.deploy.does_not_wait() {
        return Err(Error::usage(
            "--wait=false is not possible with --replace: this process starts the previous version again if the new one does not come up",
        ));
    }
    let mut described = args.describe(context, most)?;
    if most < usize::MAX && described.specs.iter().any(|spec| spec.layer.suspended) {
        return Err(Error::usage(
            "the file says job.state: suspended, so there is no run to follow",
        ));
    }
    if args.deploy.is_client_dry_run() {
        let default = context.namespace()?;
        for spec in described.specs {
            let image = args.spec.image_options()?;
            let objects = drafted(&image, spec, &described.templates, &default).await?;
            args.deploy.show_dry_run(&objects)?;
        }
        return Ok(());
    }
    let (cluster, options) = (context.connect()?, args.options()?);
    described.create_each(&cluster, &args.deploy, &options, begun).await
}
