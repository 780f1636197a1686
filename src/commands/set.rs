//! `set`: changes one field of a cluster.

use crate::cli::args::change::ChangeArgs;
use crate::cli::context::Context;
use crate::commands::scale::scale;
use crate::error::Result;
use crate::history::command::Command;
use crate::model::config::Config;
use crate::model::flink::FlinkVersion;
use crate::model::spec::MAX_PARALLELISM;
use crate::operations::config_keys::set_and_removed;
use crate::operations::scale::ScaleTarget;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;

/// Change one field of a cluster without losing state
///
/// The change is an upgrade: the job is stopped with a savepoint, and the new version starts from it, or the old one if
/// the new one does not come up. The parallelism is changed as `scale` does it, which may be in place.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink set image demo registry/my-job:1.1\n  \
    kubectl flink set parallelism demo 8\n  \
    kubectl flink set config demo state.backend.type=rocksdb table.exec.state.ttl-\n  \
    kubectl flink set args demo -- --topic orders")]
pub(crate) struct SetArgs {
    #[command(subcommand)]
    field: Field,
}

/// The cluster, and how it is changed. Arguments behind it would be under the heading of these flags in the help.
#[derive(Debug, clap::Args)]
struct NamedChangeArgs {
    /// Name of the cluster
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Field {
    /// Set the image
    #[command(after_help = "Examples:\n  kubectl flink set image demo registry/my-job:1.1")]
    Image {
        #[command(flatten)]
        of: NamedChangeArgs,
        /// Image with Flink, and your jar in /opt/flink/usrlib
        #[arg(value_name = "IMAGE", help_heading = None::<&str>)]
        image: String,
        /// Do not check the image in its registry before the cluster is changed
        #[arg(long)]
        no_image_check: bool,
    },
    /// Set the default parallelism of the job; there are as many TaskManagers as it needs
    #[command(after_help = "Examples:\n  kubectl flink set parallelism demo 8")]
    Parallelism {
        #[command(flatten)]
        of: NamedChangeArgs,
        /// Parallelism
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARALLELISM)), help_heading = None::<&str>)]
        parallelism: u32,
    },
    /// Set keys of the Flink configuration, or remove them
    #[command(after_help = "Examples:\n  kubectl flink set config demo state.backend.type=rocksdb")]
    Config {
        #[command(flatten)]
        of: NamedChangeArgs,
        /// Keys to set, and keys to remove, which end with a -
        #[arg(value_name = "KEY=VALUE|KEY-", required = true, help_heading = None::<&str>)]
        pairs: Vec<String>,
    },
    /// Replace all arguments of the program
    #[command(after_help = "Examples:\n  kubectl flink set args demo -- --topic orders")]
    Args {
        #[command(flatten)]
        of: NamedChangeArgs,
        /// Arguments of the program; without any, all are removed
        #[arg(last = true, value_name = "PROGRAM ARGUMENTS", help_heading = "Program")]
        arguments: Vec<String>,
    },
}

pub(crate) async fn run(context: &Context, args: SetArgs) -> Result<()> {
    let mut said = Config::default();
    let (mut removed, mut is_unchecked) = (Vec::new(), false);
    let NamedChangeArgs { name, change: how } = match args.field {
        Field::Image {
            of,
            image,
            no_image_check,
        } => {
            is_unchecked = no_image_check;
            // Any other tag leaves the recorded version.
            said.flink_version = FlinkVersion::of_flinks_tag(&image);
            said.image = Some(image);
            of
        }
        Field::Parallelism { of, parallelism } => {
            let slots = None;
            let target = ScaleTarget { parallelism, slots };
            let handle = context.load(&of.name).await?;
            return Box::pin(scale(handle, target, &of.change, Command::Set)).await;
        }
        Field::Config { of, pairs } => {
            (said, removed) = set_and_removed(&pairs)?;
            of
        }
        Field::Args { of, arguments } => {
            said.arguments = Some(arguments);
            of
        }
    };
    let handle = context.load(&name).await?;
    said.name = Some(name);
    let mut wanted = TargetRevision::changed(&handle, said, None)?;
    wanted.remove_keys(&handle, &removed)?;
    wanted.registry = wanted.registry.filter(|_| !is_unchecked);
    let changed = change(handle, wanted, &how.options(), Command::Set).await?;
    how.output.print(&changed)
}
