//! `apply`: creates or changes clusters so that they are as files describe them.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::args::clusters::FirstFailure;
use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::files::FileArgs;
use crate::cli::args::output::as_diff;
use crate::cli::args::values;
use crate::cli::context::Context;
use crate::cli::description::{in_namespace_of_file, place};
use crate::commands::create::CreateArgs;
use crate::commands::delete::{self, DeleteArgs};
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::kubernetes::objects::LiveObjects;
use crate::model::names::APPLY_SET;
use crate::operations::create::CreateOptions;
use crate::operations::list::names_of;

/// Create or change clusters as files describe them
///
/// The command creates a cluster that does not exist, and upgrades a cluster that differs: with a savepoint, and back
/// to the old version if the new one does not come up. If nothing differs, it does nothing, even if the job does not
/// run. A savepoint in a file is used for the creation only: a change starts from the state of the job.
///
/// With --prune it deletes the clusters of the set that no file describes any more, each after a savepoint, in the
/// namespaces that the files name: a cluster whose namespace no file names any more stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink apply -f flinkdeployment.yaml\n  \
    kubectl flink apply -f clusters/ --dry-run=server --exit-code\n  \
    kubectl flink apply -f clusters/ --apply-set=shop --prune --yes")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Name of the set to which these clusters belong: the label kubectl-flink/apply-set of their objects
    #[arg(long, value_name = "SET", value_parser = values::label_value)]
    apply_set: Option<String>,
    /// Delete the clusters of the set that no file describes, each after a savepoint
    #[arg(long, requires = "apply_set")]
    prune: bool,
    /// With --dry-run=server: exit codes as those of `diff`, 1 if something would change
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Do not check the images in their registries
    #[arg(long)]
    no_image_check: bool,
    #[command(flatten)]
    deploy: DeployArgs,
}

pub(crate) async fn run(context: &Context, args: ApplyArgs) -> Result<()> {
    args.deploy
        .refuse_client_dry_run("the effect of apply depends on the existing clusters")?;
    if args.files.files.is_empty() {
        return Err(Error::usage("apply needs files").hint("-f FILE or -f FOLDER names them"));
    }
    let exit_code = args.exit_code;
    let differs = Box::pin(apply(context, args)).await;
    if exit_code { as_diff(differs) } else { differs.map(drop) }
}

/// Whether something differs.
async fn apply(context: &Context, args: ApplyArgs) -> Result<bool> {
    let ApplyArgs {
        files,
        apply_set,
        prune,
        no_image_check,
        deploy,
        ..
    } = args;
    let (yes, dry_run, output) = (deploy.yes(), deploy.is_dry_run(), deploy.output);
    let create = CreateArgs::of_files(files, deploy, apply_set.clone(), no_image_check);
    let mut described = create.describe(context, usize::MAX)?;
    let all = context.connect()?;
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut differs, mut failure) = (false, FirstFailure::default());
    for spec in std::mem::take(&mut described.specs) {
        let cluster = place(&all, &spec);
        let name = spec.name.clone();
        known
            .entry(cluster.namespace().to_owned())
            .or_default()
            .insert(name.to_string());
        let options = CreateOptions {
            changed_by: Command::Apply,
            ..create.options()?
        };
        let outcome = Box::pin(described.create(&cluster, spec, &options, &mut LiveObjects::default())).await;
        let outcome = match outcome {
            Ok(created) => {
                differs |= !created.is_unchanged();
                create.deploy.report(&cluster, created).await
            }
            Err(error) => Err(error),
        };
        failure.add(&name, outcome);
    }
    failure.end()?;
    if let Some(set) = apply_set.filter(|_| prune) {
        for (namespace, applied) in known {
            let there = in_namespace_of_file(&all, Some(&namespace));
            let names = names_of(&there, Some(format!("{APPLY_SET}={set}"))).await?;
            let names: Vec<String> = names.filter(|name| !applied.contains(name)).collect();
            differs |= !names.is_empty();
            if !names.is_empty() {
                let there = context.in_namespace(namespace);
                let args = DeleteArgs::of_apply(names, yes, dry_run, output);
                Box::pin(delete::run(&there, args)).await?;
            }
        }
    }
    Ok(differs)
}
