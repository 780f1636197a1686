//! `history`: shows the revisions of a cluster.

use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::history::{revision_list, revision_spec};
use crate::kubernetes::clock;
use crate::model::manifests;
use crate::model::names::APPLY_SET;
use crate::output::{Format, Line, Printer, terminal};

/// Show the revisions of a cluster, newest first, or one of them in full
///
/// Each create, upgrade, resume and scale makes a revision; the history keeps them when the cluster is deleted. The
/// current one is marked with a star. With --revision N the command prints that revision as a FlinkDeployment, which
/// `create -f` and `upgrade -f` read. With -o name it prints the numbers of the revisions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink history demo\n  \
    kubectl flink history demo --revision 3 > flinkdeployment.yaml")]
pub(crate) struct HistoryArgs {
    /// Name of the cluster
    name: String,
    /// Print this revision
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    #[command(flatten)]
    table: TableArgs,
}

pub(crate) async fn run(context: &Context, args: HistoryArgs) -> Result<()> {
    let handle = context.load_for_display(&args.name).await?;
    let name = &handle.name;
    let history = handle.store.readable()?;
    if let Some(number) = args.revision {
        let revision = revision_spec::find(history, name, number)?;
        if revision.templates.is_some() {
            terminal::note(&format!(
                "revision {number} has templates of its own, which a FlinkDeployment cannot carry"
            ));
        }
        let format = if args.table.output.is_for_people() {
            Format::Yaml
        } else {
            args.table.output
        };
        let mut spec = revision.spec.clone();
        // A cluster made of it does not belong to the set of this one, whose files do not describe it.
        if let Some(labels) = spec
            .pointer_mut("/metadata/labels")
            .and_then(|labels| labels.as_object_mut())
        {
            labels.remove(APPLY_SET);
        }
        let line = Line::new(spec, number.to_string(), Vec::new());
        return Printer::of_object(format).list(std::iter::once(&line), false, terminal::data);
    }
    let current = handle.live.with_pods().find_map(manifests::revision);
    let wide = args.table.output == Format::Wide;
    let now = clock::now();
    let views = revision_list::views(history, current).into_iter();
    let lines = views.map(|view| {
        let (name, row) = (view.revision.to_string(), revision_list::row(&view, wide, now));
        Line::new(view, name, row)
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() && args.table.output.is_for_people() {
        let adopts = format!("`kubectl flink adopt {name}`");
        terminal::note(&match current {
            Some(number) => format!(
                "{name} has no revisions, and its objects are of revision {number}: its history was deleted, {adopts} begins a new one"
            ),
            None => format!("{name} has no revisions: it was created by hand, {adopts} takes it over"),
        });
    }
    args.table.print("RevisionList", revision_list::headers(wide), &lines)
}
