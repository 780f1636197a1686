//! `status`: shows everything about one cluster on one screen.

use std::time::Duration;

use crate::cli::context::Context;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::clock;
use crate::model::diagnosis::Severity;
use crate::operations::observe::observe;
use crate::operations::status::ClusterStatus;
use crate::output::keys::{Keys, heading};
use crate::output::status::{ScreenStyle, status};
use crate::output::{Format, Printer, terminal};

/// Show the status of a cluster
///
/// Problems come first, then the cluster with its Pods, the Flink job with its vertices, checkpoints and the last
/// savepoint. If Flink's REST does not answer, only the data of Kubernetes is shown. On a terminal, long texts are cut;
/// -o wide cuts nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink status demo\n  \
    kubectl flink status demo -w\n\n\
    `kubectl flink why NAME` explains what is wrong, with evidence from the logs.")]
pub(crate) struct StatusArgs {
    /// Name of the cluster
    name: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Repeat the output every --interval, on a terminal until q; JSON and YAML print one document after the other
    #[arg(short, long)]
    watch: bool,
    /// Time between two requests with --watch
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::cli::args::values::interval, requires = "watch")]
    interval: Duration,
    /// Exit with code 6 if something is wrong, as `why` does
    #[arg(long, conflicts_with = "watch")]
    exit_code: bool,
}

pub(crate) async fn run(context: &Context, args: &StatusArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let for_people = args.output.is_for_people();
    let mut screen = terminal::Screen::new(args.watch && for_people);
    let mut keys = screen.is_in_place().then(Keys::open).flatten();
    let at = cluster.at();
    let place = at.context.as_deref().unwrap_or(&at.server);
    let mut printer = Printer::of_object(args.output);
    let mut seen = false;
    let mut is_wrong = false;
    loop {
        match Box::pin(observe(&cluster, &name)).await {
            Ok(observation) => {
                seen = true;
                let now = clock::now();
                let shown = ClusterStatus::new(cluster.namespace(), &name, observation, now);
                is_wrong = shown
                    .problems
                    .iter()
                    .any(|problem| problem.severity != Severity::Notice);
                if for_people {
                    let look = ScreenStyle {
                        width: terminal::width().filter(|_| screen.is_in_place() || args.output != Format::Wide),
                        bars: terminal::is_terminal(),
                    };
                    let now = clock::now();
                    let head = keys
                        .as_ref()
                        .map(|_| heading(place, args.interval, "q quit", look.width, now));
                    screen.show(&(head.unwrap_or_default() + &status(&shown, look, now)))?;
                } else {
                    screen.answers();
                    printer.list(std::iter::once(&shown), args.watch, terminal::data)?;
                }
            }
            // A watch continues when the API server answers again; it ends with the cluster.
            Err(error) if args.watch => screen.keep(error).map_err(|error| ended(error, seen))?,
            Err(error) => return Err(ended(error, seen)),
        }
        if args.exit_code && is_wrong {
            // Everything is shown; the error only sets the exit code.
            return Err(Error::job_failed(""));
        }
        if !args.watch {
            return Ok(());
        }
        let quits = match &mut keys {
            Some(keys) => keys.quits_within(args.interval).await,
            None => {
                tokio::time::sleep(args.interval).await;
                false
            }
        };
        if quits {
            return Ok(());
        }
    }
}

fn ended(error: Error, seen: bool) -> Error {
    if seen && error.kind == Kind::NotFound {
        return Error::not_found("the cluster was deleted");
    }
    error
}
