//! `set`: changes one field of a cluster.

use std::collections::BTreeMap;

use crate::cli::args::change::ChangeArgs;
use crate::commands::scale::scale;
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::config::Config;
use crate::model::flink::config_keys;
use crate::model::flink_deployment;
use crate::model::names::ClusterName;
use crate::model::spec::MAX_PARALLELISM;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::config_keys::check_key;
use crate::operations::scale::ScaleTarget;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;

/// Change one field of a cluster without losing state
///
/// The change is an upgrade: the job is stopped with a savepoint and restarted from it, or the old version does. Another
/// parallelism is reached as `scale` does it, which may be in place.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink set image demo registry/my-job:1.1\n  \
    kubectl flink set parallelism demo 8\n  \
    kubectl flink set config demo state.backend.type=rocksdb table.exec.mini-batch.enabled-\n  \
    kubectl flink set args demo -- --topic orders")]
pub struct SetArgs {
    #[command(subcommand)]
    field: Field,
}

#[derive(Debug, clap::Subcommand)]
enum Field {
    /// Set the image
    Image {
        /// Name of the cluster
        #[arg(value_name = "NAME")]
        name: String,
        /// Image with Flink, and your jar in /opt/flink/usrlib
        #[arg(value_name = "IMAGE")]
        image: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Set the default parallelism of the job; there are as many TaskManagers as it needs
    Parallelism {
        /// Name of the cluster
        #[arg(value_name = "NAME")]
        name: String,
        /// Parallelism
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARALLELISM)))]
        parallelism: u32,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Set keys of the Flink configuration, or take them away
    Config {
        /// Name of the cluster
        #[arg(value_name = "NAME")]
        name: String,
        /// Keys to set, and with a - at the end keys to take away
        #[arg(value_name = "KEY=VALUE|KEY-", required = true)]
        pairs: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Set the arguments of the program, all of them
    Args {
        /// Name of the cluster
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
        /// Arguments of the program; none takes them all away
        #[arg(last = true, value_name = "PROGRAM ARGUMENTS")]
        arguments: Vec<String>,
    },
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: SetArgs) -> Result<()> {
    let mut gone = Vec::new();
    let (name, said, how) = match args.field {
        Field::Image { name, image, change } => (name, image_layer(image), change),
        Field::Parallelism {
            name,
            parallelism,
            change,
        } => {
            let goal = ScaleTarget {
                parallelism,
                slots: None,
            };
            let (cluster, handle) = open(connection, &name).await?;
            return Box::pin(scale(&cluster, handle, goal, &change, "set")).await;
        }
        Field::Config { name, pairs, change } => {
            let (layer, keys) = configuration(&pairs)?;
            gone = keys;
            (name, layer, change)
        }
        Field::Args {
            name,
            arguments,
            change,
        } => {
            let arguments = Some(arguments);
            let layer = Config {
                arguments,
                ..Config::default()
            };
            (name, layer, change)
        }
    };
    let (cluster, handle) = open(connection, &name).await?;
    let name = &handle.name;
    let flags = Config {
        name: Some(name.to_string()),
        ..said
    };
    let mut wanted = TargetRevision::changed(&handle, flags, None)?;
    for key in gone {
        let before = wanted.layer.configuration.len();
        wanted
            .layer
            .configuration
            .retain(|known, _| !config_keys::same(known, &key));
        if wanted.layer.configuration.len() == before {
            return Err(
                Error::usage(format!("{key} is not in the configuration of {name}")).hint(format!(
                    "`kubectl flink export {name}` shows what is; `kubectl flink edit {name}` changes all of it"
                )),
            );
        }
    }
    let changed = change(&cluster, handle, wanted, &how.options(), "set").await?;
    how.output.print(&changed)
}

async fn open(connection: &ConnectionOptions, name: &str) -> Result<(Cluster, ClusterHandle)> {
    let name = ClusterName::new(name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let handle = ClusterHandle::load(&cluster, &name).await?;
    Ok((cluster, handle))
}

fn image_layer(image: String) -> Config {
    Config {
        // The tag may contain another version.
        flink_version: crate::model::flink::FlinkVersion::of_image(&image),
        image: Some(image),
        ..Config::default()
    }
}

/// The keys to set with their values, and the keys to remove.
fn configuration(pairs: &[String]) -> Result<(Config, Vec<String>)> {
    let (mut set, mut gone) = (BTreeMap::new(), Vec::new());
    for pair in pairs {
        match (pair.split_once('='), pair.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => {
                set.insert(key.to_owned(), value.to_owned());
            }
            (None, Some(key)) if !key.is_empty() => gone.push(key.to_owned()),
            _ => return Err(Error::usage(format!("{pair:?} must be KEY=VALUE or KEY-"))),
        }
    }
    for key in &gone {
        check_key(key, "")?;
    }
    // Keys with their own flag, such as the directory of savepoints, are set like the flag.
    Ok((flink_deployment::read_options(set, "set config")?, gone))
}
