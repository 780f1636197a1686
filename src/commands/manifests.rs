//! `manifests`: writes the built-in templates for editing.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::templates::manifests_folder;
use crate::error::{Error, Result};
use crate::model::manifests::network_policy::{Cidr, network_policy};
use crate::model::names::ClusterName;
use crate::model::template::BUILT_IN;
use crate::output::terminal;

/// Write the templates of the Service, the Job and the Deployment to a folder
///
/// Edit them, and use them with --manifests DIR. Without DIR they go to the folder where every command finds them by
/// itself. They have the variables ${FLINK_APPLICATION_NAME}, ${FLINK_IMAGE_NAME}, ${FLINK_JOB_PARALLELISM} and
/// ${FLINK_JOB_ARGUMENTS}, which are replaced inside of values only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink manifests ./templates\n  \
    kubectl flink manifests --network-policy demo | kubectl apply -f -")]
pub(crate) struct ManifestsArgs {
    /// Folder to write to; it is created if it does not exist
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Print a NetworkPolicy for the cluster NAME instead, which allows only its own Pods; apply it with kubectl
    #[arg(long, value_name = "NAME", conflicts_with_all = ["folder", "force"])]
    network_policy: Option<String>,
    /// Addresses that may reach Flink's REST, such as those of the API server; repeatable
    #[arg(long, value_name = "CIDR", requires = "network_policy")]
    rest_from: Vec<Cidr>,
}

pub(crate) fn run(args: &ManifestsArgs) -> Result<()> {
    if let Some(name) = &args.network_policy {
        return terminal::data(&network_policy(&ClusterName::new(name)?, &args.rest_from));
    }
    let folder = args
        .folder
        .clone()
        .or_else(manifests_folder)
        .ok_or_else(|| Error::usage("there is no configuration folder here").hint("name a folder"))?;
    let failed = |path: &Path, e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::conflict(format!("{} exists", path.display())).hint("--force overwrites it")
        }
        _ => Error::unwritable_file(path, e),
    };
    std::fs::create_dir_all(&folder).map_err(|e| failed(&folder, e))?;
    for (name, text) in BUILT_IN {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).create_new(!args.force);
        let mut file = options.open(&path).map_err(|e| failed(&path, e))?;
        file.write_all(text.as_bytes()).map_err(|e| failed(&path, e))?;
        terminal::data(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
