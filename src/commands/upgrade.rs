//! `upgrade`: deploys another version of a cluster as one transaction.

use std::path::{Path, PathBuf};

use crate::cli::args::change::ChangeArgs;
use crate::cli::args::files;
use crate::cli::args::spec::SpecArgs;
use crate::error::{Error, Kind as Fault, Result};
use crate::history::lock;
use crate::history::transaction::Journal;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::config::Config;
use crate::model::names::ClusterName;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_image;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;
use crate::operations::upgrade::engine;

/// Change a running cluster without losing state
///
/// The running job is stopped with a savepoint, and the new version resumes from it. When not all of its tasks run, or
/// its first checkpoint is not completed, the old version is started again from that same savepoint, and the exit code is
/// 6. Whatever is interrupted, `--continue` continues and `--abort` goes back; nothing is lost either way.
///
/// Flags change what they say of the cluster and everything else stays; with -f the file is the whole of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink upgrade demo --image registry/my-job:1.1\n  \
    kubectl flink upgrade -f flinkdeployment.yaml --timeout 5m\n  \
    kubectl flink upgrade demo -p 8 --dry-run\n  \
    kubectl flink upgrade demo --image registry/my-job:1.1 --rehearse\n  \
    kubectl flink upgrade demo --continue\n  \
    kubectl flink upgrade demo --abort --from-savepoint s3://bucket/checkpoints/chk-16")]
pub struct UpgradeArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// FlinkDeployment with the new spec; - is standard input
    #[arg(long = "file", short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Continue an upgrade that was interrupted; with --from-savepoint from there, where its state is not where it should be
    #[arg(long = "continue", conflicts_with_all = ["abort", "file"])]
    go_on: bool,
    /// Go back to the version before an upgrade that was interrupted; with --from-savepoint from there
    #[arg(long, conflicts_with = "file")]
    abort: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: UpgradeArgs) -> Result<()> {
    let version = NamedVersion::read(args.name.as_deref(), args.file.as_deref(), &args.spec)?;
    let (name, named) = (version.name.clone(), version.flags.from_savepoint.clone());
    let others = Config {
        name: None,
        from_savepoint: None,
        ..version.flags.clone()
    };
    if (args.go_on || args.abort) && others != Config::default() {
        return Err(
            Error::usage("the new version was given when the operation started, and is in the history").hint(format!(
                "`kubectl flink upgrade {name} --abort` first, to begin another one"
            )),
        );
    }
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::load(&cluster, &name).await?;
    if args.go_on || args.abort {
        let open = lock::unattended(&mut handle.store, &name, args.change.take_over).await?;
        let journal = open_change(&handle, open)?;
        let (named, how) = (named.as_deref(), args.change.options());
        let ended = engine::take_over(&cluster, handle, &journal, &how, args.abort, named);
        let ended = Box::pin(ended).await?;
        return args.change.output.print(&ended);
    }
    let wanted = version.over(&handle, &args.spec).await?;
    let changed = change(&cluster, handle, wanted, &args.change.options(), "upgrade").await?;
    args.change.output.print(&changed)
}

/// A version in the command line: a file, or flags over the running version.
pub(super) struct NamedVersion {
    /// The cluster.
    pub(super) name: ClusterName,
    file: Option<Config>,
    flags: Config,
    own: Option<Templates>,
}

impl NamedVersion {
    pub(super) fn read(name: Option<&str>, path: Option<&Path>, spec: &SpecArgs) -> Result<Self> {
        let (file, source) = match path {
            Some(path) => Some(files::read_one(path, name)?).unzip(),
            None => (None, None),
        };
        let name = files::name_of(name, file.as_ref())?;
        let flags = Config {
            name: Some(name.to_string()),
            ..spec.layer()?
        };
        if let (Some(file), Some(source)) = (&file, &source) {
            files::check(file, source, &flags)?;
        }
        let own = spec.templates()?;
        Ok(Self { name, file, flags, own })
    }

    /// The whole version, over the existing cluster.
    pub(super) async fn over(self, handle: &ClusterHandle, spec: &SpecArgs) -> Result<TargetRevision> {
        let flags = self.flags.clone();
        let mut wanted = match self.file {
            Some(file) => TargetRevision::file(handle, file, flags, self.own)?,
            None => TargetRevision::changed(handle, flags, self.own)?,
        };
        let image = spec.image_options()?;
        wanted.image = job_image::prepare(&image, &self.flags, &mut wanted.layer).await?;
        wanted.registry = image.check.then_some(image.registry);
        Ok(wanted)
    }
}

fn open_change(handle: &ClusterHandle, open: Option<Journal>) -> Result<Journal> {
    let name = &handle.name;
    match open {
        Some(journal) if journal.kind.deploys() => Ok(journal),
        Some(journal) => Err(lock::unfinished(name, &journal)),
        None => {
            let error = Error::new(Fault::NotFound, format!("no operation on {name} is open"));
            Err(match &handle.store.history().journal {
                Some(last) => error.hint(format!("the last one: {last}; {}", last.status_text())),
                None => error,
            })
        }
    }
}
