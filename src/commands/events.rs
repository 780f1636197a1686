//! `events`: shows the Kubernetes Events of a cluster's objects.

use k8s_openapi::api::core::v1::Event;

use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::clock;
use crate::kubernetes::events::Events;
use crate::model::events::{EventRow, headers, row};
use crate::output::{Format, Line, terminal};

/// List the Events of a cluster, oldest first
///
/// Lists the Events of its Service, Job, Deployment, Pods and claims, also of Pods that are gone. Kubernetes deletes
/// Events after one hour, unless it is configured otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink events demo -w")]
pub(crate) struct EventsArgs {
    /// Name of the cluster
    name: String,
    #[command(flatten)]
    table: TableArgs,
    /// After the list, print new Events
    #[arg(short, long)]
    watch: bool,
    /// Only Events of this type
    #[arg(long = "type", visible_alias = "types", value_name = "TYPE", ignore_case = true)]
    kind: Option<EventType>,
}

/// Types of Events. Kubernetes knows no others.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum EventType {
    /// Information only, nothing is wrong
    Normal,
    /// Something may be wrong
    Warning,
}

pub(crate) async fn run(context: &Context, args: &EventsArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let kind = args.kind.map(|kind| match kind {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    });
    let (mut events, found) = Events::read(&cluster, &name, kind).await?;
    let wide = args.table.output == Format::Wide;
    let mut printer = args.table.printer("EventList", headers(wide));
    let lines: Vec<_> = found.iter().map(|event| line(event, wide)).collect();
    printer.list(lines.iter(), args.watch, terminal::data)?;
    if lines.is_empty() && args.table.output.is_for_people() {
        terminal::note(&format!("there are no events of {name}, of the last hour or so"));
    }
    if !args.watch {
        return Ok(());
    }
    loop {
        let event = events.next().await?;
        printer.one(&line(&event, wide), terminal::data)?;
    }
}

fn line(event: &Event, wide: bool) -> Line<EventRow> {
    let view = EventRow::from(event);
    let row = row(&view, wide, clock::now());
    Line::new(view, event.metadata.name.clone().unwrap_or_default(), row)
}
