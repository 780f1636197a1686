//! `events`: shows the Kubernetes Events of a cluster's objects.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;

use crate::error::Result;
use crate::kubernetes::clock;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::kubernetes::events::Events;
use crate::model::events::{EventRow, headers, row};
use crate::model::names::ClusterName;
use crate::output::terminal;
use crate::output::{Format, Item, Printer};

/// List the Events of a cluster, oldest first
///
/// Those about its Service, Job, Deployment, Pods and claims, also about Pods that are gone. Kubernetes forgets Events
/// after an hour, unless it is configured otherwise.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// After the list, print those that come
    #[arg(short, long)]
    watch: bool,
    /// Only Events of this type
    #[arg(
        long = "type",
        visible_alias = "types",
        value_enum,
        value_name = "TYPE",
        ignore_case = true
    )]
    kind: Option<EventType>,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
}

/// Types of Events. Kubernetes knows no others.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum EventType {
    /// What goes its way
    Normal,
    /// What does not
    Warning,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &EventsArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    let kind = args.kind.map(|kind| match kind {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    });
    let (mut events, found) = Events::read(&cluster, &name, kind).await?;
    let wide = args.output == Format::Wide;
    let mut printer = Printer::new(args.output, "EventList", headers(wide), !args.no_headers);
    let now = clock::now();
    let lines: Vec<EventLine> = found.iter().map(|event| EventLine::new(event, wide, now)).collect();
    printer.list(lines.iter(), args.watch, terminal::data)?;
    if lines.is_empty() && matches!(args.output, Format::Table | Format::Wide) {
        terminal::note(&format!("there are no events of {name}, of the last hour or so"));
    }
    if !args.watch {
        return Ok(());
    }
    loop {
        let event = events.next().await?;
        printer.one(&EventLine::new(&event, wide, clock::now()), terminal::data)?;
    }
}

#[derive(serde::Serialize)]
#[serde(transparent)]
struct EventLine {
    view: EventRow,
    /// Name of the Event itself.
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    wide: bool,
    #[serde(skip)]
    now: Timestamp,
}

impl EventLine {
    fn new(event: &Event, wide: bool, now: Timestamp) -> Self {
        Self {
            view: EventRow::from(event),
            name: event.metadata.name.clone().unwrap_or_default(),
            wide,
            now,
        }
    }
}

impl Item for EventLine {
    fn name(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<String> {
        row(&self.view, self.wide, self.now)
    }
}
