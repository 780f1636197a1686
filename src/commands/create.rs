//! `create`: creates a cluster from flags, a file, or the variables of Flink's templates.

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::environment::environment;
use crate::cli::args::files::FileArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::config_file;
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::objects::LiveObjects;
use crate::model::config::Config;
use crate::model::flink_deployment::{self, Source};
use crate::model::manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::config_keys::{check_pods, warn_of_keys};
use crate::operations::create::{CreateOptions, create, with_image};

/// Create a cluster and wait until its job runs
///
/// Flags win over the file, the file over the variables FLINK_APPLICATION_NAME, FLINK_IMAGE_NAME, FLINK_JOB_PARALLELISM
/// and FLINK_JOB_ARGUMENTS, and these over the defaults that `config set` has written. A cluster that exists is an error, unless nothing differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink create demo --image registry/my-job:1.0 -p 4\n  \
    kubectl flink create demo --image registry/my-job:1.0 --job-class com.example.Job -- --input s3://bucket/in\n  \
    kubectl flink create demo --image flink:2.3.0 --jar ./app.jar --push-to registry/team/app\n  \
    kubectl flink create -f flinkdeployment.yaml\n  \
    kubectl flink create demo --image registry/my-job:1.0 --dry-run=client -o yaml")]
pub struct CreateArgs {
    /// Name of the cluster [variable: FLINK_APPLICATION_NAME]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Change a cluster that exists and differs, as `upgrade` does: with a savepoint, and back if it does not come up
    #[arg(long, conflicts_with = "no_wait")]
    replace: bool,
    #[command(flatten)]
    launch: DeployArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

impl CreateArgs {
    /// Whether this is a dry run.
    pub fn is_dry_run(&self) -> bool {
        self.launch.is_dry_run()
    }

    /// Whether the command ends before the job runs.
    pub fn does_not_wait(&self) -> bool {
        self.launch.does_not_wait()
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: CreateArgs) -> Result<()> {
    Box::pin(create_all(connection, args, usize::MAX, &mut Vec::new())).await
}

/// A cluster whose creation has started.
pub struct Begun {
    /// The Kubernetes cluster.
    pub cluster: Cluster,
    /// The Flink cluster's name.
    pub name: ClusterName,
    /// Its existing objects, including those that this command created.
    pub live: LiveObjects,
}

/// Creates at most `most` clusters, and adds each to `begun` before its first object is created.
pub async fn create_all(
    connection: &ConnectionOptions,
    args: CreateArgs,
    most: usize,
    begun: &mut Vec<Begun>,
) -> Result<()> {
    let own = args.spec.templates()?;
    let specs = resolve(connection, &args)?;
    if specs.len() > most {
        return Err(Error::usage(format!(
            "there are {} clusters in the files, and this takes {most}",
            specs.len()
        )));
    }
    if most < usize::MAX && specs.iter().any(|spec| spec.layer.suspended) {
        return Err(Error::usage(
            "the file says job.state: suspended, so there is no run to follow",
        ));
    }
    for spec in &specs {
        if let (Some(wanted), Some(given)) = (&spec.layer.namespace, &connection.namespace)
            && wanted != given
        {
            return Err(Error::usage(format!(
                "cluster {} is of namespace {wanted}, but --namespace says {given}",
                spec.name
            )));
        }
    }
    specs.iter().for_each(warn_of_keys);
    let templates = match &own {
        Some(templates) => templates.clone(),
        None => Templates::built_in()?,
    };
    if args.launch.is_client_dry_run() {
        let default = connect::namespace(connection)?;
        for spec in specs {
            let (spec, _) = with_image(&args.spec.image_options()?, spec).await?;
            let namespace = spec.layer.namespace.as_deref().unwrap_or(&default);
            let objects = manifests::build(&spec, &templates, namespace, 1)?;
            check_pods(&objects)?;
            args.launch.show_dry_run(&objects)?;
        }
        return Ok(());
    }
    let cluster = connect(connection)?;
    for spec in specs {
        let cluster = match &spec.layer.namespace {
            Some(namespace) => cluster.in_namespace(namespace),
            None => cluster.clone(),
        };
        begun.push(Begun {
            cluster: cluster.clone(),
            name: spec.name.clone(),
            live: LiveObjects::default(),
        });
        let how = CreateOptions {
            image: args.spec.image_options()?,
            dry_run: args.launch.is_dry_run(),
            history_limits: args.launch.history_limits(),
            command: "create",
            replace: args.replace.then(|| args.launch.replace_options()),
        };
        let mut live = LiveObjects::default();
        let created = Box::pin(create(&cluster, spec, &templates, own.is_some(), &how, &mut live)).await;
        if let Some(begun) = begun.last_mut() {
            begun.live = live;
        }
        args.launch.report(&cluster, created?).await?;
    }
    Ok(())
}

/// The clusters that flags, files, environment and configuration file describe together.
fn resolve(connection: &ConnectionOptions, args: &CreateArgs) -> Result<Vec<Spec>> {
    let flags = Config {
        name: args.name.clone(),
        ..args.spec.layer()?
    };
    let mut files = args.files.read_each()?;
    if files.is_empty() {
        files.push((Config::default(), Source::default()));
    }
    if files.len() > 1 && args.name.is_some() {
        return Err(Error::usage(format!(
            "there are {} clusters in the files, and one NAME for all",
            files.len()
        )));
    }
    let environment = environment()?;
    let mut specs: Vec<Spec> = Vec::new();
    for (file, source) in &files {
        let defaults = config_file::layer(connection, file.namespace.as_deref())?;
        let attempt = |file: Config| {
            let below = file.merged_over(environment.clone()).merged_over(defaults.clone());
            Spec::resolve(flags.clone().merged_over(below))
        };
        let spec = attempt(file.clone()).map_err(|error| flink_deployment::located(error, file, source, attempt))?;
        let same = |other: &Spec| other.name == spec.name && other.layer.namespace == spec.layer.namespace;
        if let Some(first) = specs.iter().position(same) {
            return Err(Error::usage(format!(
                "cluster {} is there twice: {} and {source}",
                spec.name, files[first].1
            )));
        }
        specs.push(spec);
    }
    Ok(specs)
}
