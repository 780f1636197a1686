//! `edit`: changes the spec of a cluster in an editor.

use crate::cli::args::change::ChangeArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::lock;
use crate::model::config::Config;
use crate::model::flink_deployment;
use crate::operations::edited_file::{edit, kept, remove, scratch};
use crate::operations::interruption;
use crate::operations::report::Outcome;
use crate::operations::target_revision::{TargetRevision, refuse_suspended};
use crate::operations::upgrade::change;
use crate::output::{self, Format, terminal};

/// Edit a cluster in your editor, and change it without losing state
///
/// The spec is a FlinkDeployment in the editor that KUBE_EDITOR or EDITOR names. When it is saved, an upgrade begins:
/// the job is stopped with a savepoint, and the new version starts from it, or the old one if the new one does not come
/// up. A file that is saved unchanged, or empty, changes nothing. A spec that is refused is shown again with the
/// reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink edit demo\n  \
    KUBE_EDITOR=\"code --wait\" kubectl flink edit demo")]
pub(crate) struct EditArgs {
    /// Name of the cluster
    name: String,
    /// Do not check a new image in its registry before the cluster is changed
    #[arg(long)]
    no_image_check: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(context: &Context, args: EditArgs) -> Result<()> {
    let mut handle = context.load(&args.name).await?;
    let name = handle.name.clone();
    // During a change there is no version to edit, and the edited spec would be rejected.
    match lock::unattended(&mut handle.store, &name, args.change.take_over).await? {
        Some(journal) if !journal.yields() => return Err(lock::unfinished(&name, &journal)),
        _ => {}
    }
    let present = Config {
        nonce: None,
        rpc_port: None,
        ..TargetRevision::changed(&handle, Config::default(), None)?.layer
    };
    let file = scratch(&name)?;
    interruption::keep(Some(file.clone()));
    let spec = output::document(Format::Yaml, &flink_deployment::write(&present))?;
    let edited = match edit(&file, &name, &present, &spec).await {
        Ok(Some(edited)) => edited,
        Ok(None) => {
            // The file has nothing that is not in the cluster.
            remove(&file);
            terminal::note(&format!("{name} is left as it is: nothing was changed"));
            return args.change.output.done(&handle.result(Outcome::Unchanged));
        }
        Err(error) => return Err(kept(&file, &spec, error)),
    };
    let kept = |error: Error| kept(&file, &spec, error);
    let dry_run = args.change.dry_run;
    let flags = Config {
        name: Some(name.to_string()),
        ..Config::default()
    };
    refuse_suspended(&name, edited.suspended).map_err(kept)?;
    let start = edited.from_savepoint.clone();
    let mut wanted = TargetRevision::file(&handle, edited, flags, None).map_err(kept)?;
    wanted.restore_from = start;
    if args.no_image_check {
        wanted.registry = None;
    }
    let changed = change(handle, wanted, &args.change.options(), Command::Edit).await;
    changed
        .and_then(|report| args.change.output.print(&report))
        .map_err(kept)?;
    if dry_run {
        terminal::note(&format!("what you wrote is in {}", file.display()));
    } else {
        remove(&file);
    }
    Ok(())
}
