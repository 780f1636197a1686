//! How a change of a cluster is carried out: the flags of `upgrade`, `rollback`, `restart`, `scale`, `edit` and `set`.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::cli::args::output::OutputArgs;
use crate::cli::args::values;
use crate::cli::args::wait::WaitArgs;
use crate::history::Limits;
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::upgrade::{ChangeOptions, Strategy, Surge};
use crate::output::terminal;

/// How a change is carried out.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Change")]
pub(crate) struct ChangeArgs {
    /// What happens to the job's state
    #[arg(long, value_name = "STRATEGY", default_value = "savepoint")]
    strategy: Strategy,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    /// Leave the new version as it is when it does not come up
    #[arg(long)]
    no_rollback: bool,
    /// How long the new version may take to come up; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = values::duration)]
    timeout: Duration,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Show what would be done, validated by the API server, and do nothing; none: no dry run
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value = "none", default_missing_value = "server", hide_default_value = true, value_parser = dry_run())]
    pub(crate) dry_run: bool,
    /// Rehearse the new version before the running job is stopped (see rehearse --help); --rehearse=false: do not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    rehearse: bool,
    /// Whether TaskManagers of the new version start beside the running ones before the job is stopped
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    surge: Surge,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    /// Take over an operation whose heartbeat has stopped
    #[arg(long)]
    pub(crate) take_over: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    limit: HistoryLimitArgs,
}

/// Whether a change is a dry run. Its effect depends on the running version: there is no dry run without the API
/// server.
fn dry_run() -> impl TypedValueParser<Value = bool> {
    let places = ["none", "client", "server"].map(|place| PossibleValue::new(place).hide(place == "client"));
    PossibleValuesParser::new(places).try_map(|place| match place.as_str() {
        "client" => Err("the effect of a change depends on the running version: --dry-run=server asks the API server, and changes nothing"),
        place => Ok(place == "server"),
    })
}

impl ChangeArgs {
    pub(crate) fn options(&self) -> ChangeOptions {
        ChangeOptions {
            strategy: self.strategy,
            savepoint_format: self.savepoint_format,
            no_rollback: self.no_rollback,
            timeout: values::limit(self.timeout),
            dry_run: self.dry_run,
            rehearse: self.rehearse,
            surge: self.surge,
            take_over: self.take_over,
            confirm: terminal::asks(self.yes),
            history_limits: self.limit.limits(),
            no_wait: self.wait.does_not_wait(),
        }
    }
}

/// How much of the history is kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HistoryLimitArgs {
    /// Revisions that the history keeps from now on, and five times as many savepoints [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    history_limit: Option<u32>,
}

impl HistoryLimitArgs {
    /// The requested limits; `None`: those of the history.
    pub(crate) fn limits(&self) -> Option<Limits> {
        let number = usize::try_from(self.history_limit?).unwrap_or(usize::MAX);
        Some(Limits::of(number))
    }
}
