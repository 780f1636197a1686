//! `create`: a cluster from flags, a file, or the seed's variables.

use super::change::{ChangeArgs, change};
use super::files::FileArgs;
use super::image_look::{self, Look};
use super::job_image::{self, JobImage};
use super::launch::{self, LaunchArgs};
use super::preferences;
use super::spec_args::{self, SpecArgs};
use super::standing::Standing;
use super::wanted::Wanted;
use crate::cluster::api::Cluster;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::cluster::deploy::removal::Extras;
use crate::cluster::deploy::{self, Live};
use crate::cluster::ledger::Ledger;
use crate::cluster::lock;
use crate::core::layer::Layer;
use crate::core::manifests::{self, REVISION};
use crate::core::names::ClusterName;
use crate::core::spec::Spec;
use crate::core::template::Templates;
use crate::error::{Error, Kind, Result};
use crate::ui;

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
    launch: LaunchArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

impl CreateArgs {
    /// Whether nothing is to be changed.
    pub fn is_dry_run(&self) -> bool {
        self.launch.is_dry_run()
    }

    /// Whether the command ends before the job runs.
    pub fn does_not_wait(&self) -> bool {
        self.launch.does_not_wait()
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: CreateArgs) -> Result<()> {
    Box::pin(create_all(connection, args, usize::MAX, &mut Vec::new())).await
}

/// A cluster whose creation was begun.
pub struct Begun {
    /// Where.
    pub cluster: Cluster,
    /// Its name.
    pub name: ClusterName,
    /// What it has beside its three objects.
    pub extras: Extras,
}

/// Creates `most` clusters or fewer, and adds each to `begun` before its first object is made.
pub async fn create_all(
    connection: &ConnectionArgs,
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
    specs.iter().for_each(spec_args::warn_of_keys);
    let templates = match &own {
        Some(templates) => templates.clone(),
        None => Templates::built_in()?,
    };
    if args.launch.is_client_dry_run() {
        let default = connect::namespace(connection)?;
        for spec in specs {
            let (spec, _) = with_image(&args.spec, spec).await?;
            let namespace = spec.layer.namespace.as_deref().unwrap_or(&default);
            args.launch
                .show_dry_run(&manifests::build(&spec, &templates, namespace, 1)?)?;
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
            extras: Extras {
                high_availability: spec.ha_by_kubernetes(),
                rights: spec.creates_rbac(),
            },
        });
        let how = How {
            spec: &args.spec,
            launch: &args.launch,
            command: "create",
            replace: args.replace,
        };
        create(&cluster, spec, &templates, own.is_some(), &how).await?;
    }
    Ok(())
}

/// The clusters that flags, files, environment and configuration file describe.
fn resolve(connection: &ConnectionArgs, args: &CreateArgs) -> Result<Vec<Spec>> {
    let flags = Layer {
        name: args.name.clone(),
        ..args.spec.layer()?
    };
    let mut files = args.files.read()?;
    if files.is_empty() {
        files.push(Layer::default());
    }
    if files.len() > 1 && args.name.is_some() {
        return Err(Error::usage(format!(
            "there are {} clusters in the files, and one NAME for all",
            files.len()
        )));
    }
    let environment = spec_args::environment()?;
    let mut specs: Vec<Spec> = Vec::new();
    for file in files {
        let defaults = preferences::layer(connection, file.namespace.as_deref())?;
        let spec = Spec::resolve(flags.clone().over(file).over(environment.clone()).over(defaults))?;
        let same = |other: &Spec| other.name == spec.name && other.layer.namespace == spec.layer.namespace;
        if specs.iter().any(same) {
            return Err(Error::usage(format!("cluster {} is there twice", spec.name)));
        }
        specs.push(spec);
    }
    Ok(specs)
}

/// Builds the image that is asked for, and puts it into the spec.
async fn with_image(args: &SpecArgs, spec: Spec) -> Result<(Spec, Option<JobImage>)> {
    let stated = spec.layer;
    let mut layer = stated.clone();
    let image = job_image::prepare(args, &stated, &mut layer).await?;
    Ok((Spec::resolve(layer)?, image))
}

/// How a cluster is created.
pub struct How<'a> {
    /// The flags that may say how its image is built.
    pub spec: &'a SpecArgs,
    /// How it is launched.
    pub launch: &'a LaunchArgs,
    /// What the history calls it.
    pub command: &'a str,
    /// Whether a cluster of that name is replaced.
    pub replace: bool,
}

/// Creates one cluster.
pub async fn create(cluster: &Cluster, spec: Spec, templates: &Templates, own: bool, how: &How<'_>) -> Result<()> {
    connect::check_namespace(cluster.namespace())?;
    let (launch, command) = (how.launch, how.command);
    let (spec, image) = with_image(how.spec, spec).await?;
    let draft = manifests::build(&spec, templates, cluster.namespace(), 1)?;
    let look = Look::new(
        &how.spec.registry,
        !how.spec.no_image_check,
        &draft,
        image.as_ref(),
        None,
    );
    let checks = async {
        let (preflight, allowed, ledger) = futures::join!(
            deploy::preflight(cluster, &draft),
            deploy::access::check(cluster, &spec, &draft),
            Ledger::open(cluster, &spec.name)
        );
        let (preflight, ledger) = (preflight?, ledger?);
        allowed?;
        Ok((preflight, ledger))
    };
    let (preflight, mut ledger) = image_look::beside(cluster, look, checks, |(preflight, _)| !preflight.exists).await?;
    ledger.keep(launch.keep.limits());
    if let Some(journal) = lock::unattended(&mut ledger, &spec.name, false).await? {
        return Err(lock::unfinished(&spec.name, &journal));
    }
    preflight.warnings.iter().for_each(|warning| ui::warn(warning));
    if preflight.exists {
        if how.replace {
            return replace(cluster, spec, own.then(|| templates.clone()), image, how).await;
        }
        let live = deploy::read(cluster, &spec.name).await?;
        return existing(cluster, &mut ledger, &spec, (templates, own), &live, launch).await;
    }
    if launch.is_dry_run() {
        return launch.show_dry_run(&draft);
    }
    tell_savepoint(&ledger, &spec);
    if let Some(image) = image {
        image.push().await?;
    }
    let generation = ledger.history().next_revision();
    launch::launch(cluster, &mut ledger, &spec, templates, own, generation, command).await?;
    if spec.layer.ha.is_none() {
        ui::note(
            "without high availability (--ha) a restarted JobManager begins again where it was created: at its savepoint, or empty",
        );
    }
    if spec.layer.suspended {
        launch.told(&spec.name, "created", &draft)?;
        let name = &spec.name;
        ui::note(&format!("{name} is suspended: `kubectl flink resume {name}` starts it"));
        return Ok(());
    }
    let done = match command {
        "adopt" => "adopted",
        "clone" => "cloned",
        _ => "created",
    };
    launch.report(cluster, &spec, done, &draft).await
}

/// A job that starts afresh does not take up what its history has; nobody shall find that out later.
fn tell_savepoint(ledger: &Ledger, spec: &Spec) {
    if let (Some(last), None) = (ledger.history().last_savepoint(), &spec.layer.from_savepoint) {
        let path = last.path.as_deref().unwrap_or_default();
        ui::note(&format!(
            "{} existed before, its last savepoint is {path}; this is a fresh start, `kubectl flink savepoint-resume {}` would take it up",
            spec.name, spec.name
        ));
    }
}

/// A cluster of that name exists, and shall be this one.
async fn replace(
    cluster: &Cluster,
    spec: Spec,
    own: Option<Templates>,
    image: Option<JobImage>,
    how: &How<'_>,
) -> Result<()> {
    let standing = Standing::read(cluster, &spec.name).await?;
    let mut wanted = Wanted::file(&standing, spec.layer, Layer::default(), own)?;
    wanted.start.clone_from(&how.spec.from_savepoint);
    wanted.image = image;
    // It was looked at beside the checks of creating it.
    wanted.registry = None;
    change(cluster, standing, wanted, &ChangeArgs::replacing(how.launch), "create").await
}

/// A cluster of that name exists: fine if it is the same, as after an interruption. What is missing of it is made.
async fn existing(
    cluster: &Cluster,
    ledger: &mut Ledger,
    spec: &Spec,
    (templates, own): (&Templates, bool),
    live: &Live,
    launch: &LaunchArgs,
) -> Result<()> {
    let annotated = [&live.job, &live.deployment].into_iter().flatten();
    let generation = annotated
        .filter_map(|object| object["metadata"]["annotations"][REVISION].as_str()?.parse().ok())
        .max()
        .unwrap_or(1);
    let wanted = manifests::build(spec, templates, cluster.namespace(), generation)?;
    if live.differences(&wanted).is_empty() {
        if launch.is_dry_run() {
            return launch.show_dry_run(&wanted);
        }
        let missing = live.missing(&spec.name);
        if !missing.is_empty() {
            ui::note(&format!(
                "{}: made anew, because it was missing: {}",
                spec.name,
                missing.join(", ")
            ));
        }
        if live.job.is_none() {
            tell_savepoint(ledger, spec);
        }
        let revisions = &ledger.history().revisions;
        if revisions.iter().any(|known| known.number == generation) {
            deploy::apply_all(cluster, &wanted).await?;
        } else {
            // An interrupted command made the objects, but did not write them down.
            launch::launch(cluster, ledger, spec, templates, own, generation, "create").await?;
        }
        let done = if missing.is_empty() { "unchanged" } else { "created" };
        return launch.report(cluster, spec, done, &wanted).await;
    }
    let differences = live.told_differences(&wanted);
    let mut shown: Vec<String> = differences
        .iter()
        .take(10)
        .map(|difference| format!("\n  {difference}"))
        .collect();
    if differences.len() > shown.len() {
        shown.push(format!("\n  and {} more", differences.len() - shown.len()));
    }
    Err(Error::new(
        Kind::Conflict,
        format!(
            "cluster {} exists in namespace {} and is another:{}",
            spec.name,
            cluster.namespace(),
            shown.concat()
        ),
    )
    .hint(format!(
        "`kubectl flink savepoint-resume {}` with the same flags changes it and keeps its state",
        spec.name
    ))
    .hint("--replace does the same, and goes back when it does not come up")
    .hint(format!(
        "`kubectl flink delete {}` makes room for a fresh start",
        spec.name
    )))
}
