//! `upgrade`: deploys another version of a cluster as one transaction.

use std::path::PathBuf;

use crate::cli::args::change::ChangeArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::lock;
use crate::history::transaction::Journal;
use crate::model::config::Config;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::target_revision::refuse_suspended;
use crate::operations::upgrade::{change, take_over};

/// Change a running cluster without losing state
///
/// Where possible, TaskManagers of the new version start first, beside the running ones (--surge). Then the running job
/// is stopped with a savepoint, and the new version resumes from it. If not all of its tasks run, or its first
/// checkpoint is not completed, the old version starts again from the same savepoint, and the exit code is 6. After an
/// interruption `--continue` continues the upgrade and `--abort` goes back; nothing is lost either way.
///
/// Flags change only the settings that they name; all others stay. With -f the file describes the whole cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink upgrade demo --image registry/my-job:1.1\n  \
    kubectl flink upgrade -f flinkdeployment.yaml --timeout 5m\n  \
    kubectl flink upgrade demo -p 8 --dry-run\n  \
    kubectl flink upgrade demo --image registry/my-job:1.1 --rehearse\n  \
    kubectl flink upgrade demo --continue\n  \
    kubectl flink upgrade demo --abort --from-savepoint s3://bucket/chk-16")]
pub(crate) struct UpgradeArgs {
    /// Name of the cluster
    name: Option<String>,
    /// FlinkDeployment with the new spec; - is standard input
    #[arg(long = "file", short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Continue an interrupted upgrade; with --from-savepoint from that path, if its state is not where it should be
    #[arg(long = "continue", conflicts_with_all = ["abort", "file"])]
    go_on: bool,
    /// Go back to the version before an interrupted upgrade; with --from-savepoint from that path
    #[arg(long, conflicts_with = "file")]
    abort: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

pub(crate) async fn run(context: &Context, args: UpgradeArgs) -> Result<()> {
    let version = args.spec.version(args.name.as_deref(), args.file.as_deref())?;
    let (name, named) = (version.name.clone(), version.flags.from_savepoint.clone());
    refuse_suspended(&name, version.file.as_ref().is_some_and(|file| file.suspended))?;
    let others = Config {
        name: None,
        from_savepoint: None,
        ..version.flags.clone()
    };
    if (args.go_on || args.abort) && others != Config::default() {
        return Err(Error::usage(
            "--continue and --abort take the version from the history, and no flag can change it",
        )
        .hint(format!(
            "to begin another upgrade, go back first: `kubectl flink upgrade {name} --abort`"
        )));
    }
    let mut handle = context.load(name.as_str()).await?;
    if args.go_on || args.abort {
        let open = lock::unattended(&mut handle.store, &name, args.change.take_over).await?;
        let journal = open_change(&handle, open)?;
        let (named, how) = (named.as_deref(), args.change.options());
        let ended = take_over::take_over(handle, &journal, &how, args.abort, named);
        let ended = Box::pin(ended).await?;
        return args.change.output.print(&ended);
    }
    let wanted = version.resolve(&handle).await?;
    let changed = change(handle, wanted, &args.change.options(), Command::Upgrade).await?;
    args.change.output.print(&changed)
}

fn open_change(handle: &ClusterHandle, open: Option<Journal>) -> Result<Journal> {
    let name = &handle.name;
    match open {
        Some(journal) if journal.kind.deploys() => Ok(journal),
        Some(journal) => Err(lock::unfinished(name, &journal)),
        None => {
            let last = handle.store.history().journal.as_ref();
            let hint = last.map(|last| format!("the last one: {last}; {}", last.status_text()));
            Err(Error::not_found(format!("{name} has no unfinished operation")).hint_if(hint))
        }
    }
}
