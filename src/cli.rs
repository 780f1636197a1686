//! The command line as a whole: global flags, the commands, and the way from `main` to one of them.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use k8s_openapi::jiff::SignedDuration;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cluster::connect::ConnectionArgs;
use crate::cluster::suggest;
use crate::commands::preferences;
use crate::error::{Error, Kind, Result};
use crate::{commands, interruption, ui};

/// Run Apache Flink application clusters on plain Kubernetes
///
/// A cluster is three resources: the Service NAME-master, the Job NAME-master (Flink's JobManager) and the Deployment
/// NAME-task-manager. They are made in the namespace of your current kubeconfig context; no operator is needed.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-flink",
    bin_name = "kubectl flink",
    version,
    propagate_version = true
)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure, 2 usage, 3 not found, 4 forbidden, 5 timed out, 6 job failed, \
    7 unreachable, 8 conflict, 130 interrupted"
)]
pub struct Cli {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Say more: requests (-v), and all that libraries say (-vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Words only: no colour, no spinner, no bars, nothing redrawn in place
    #[arg(long, global = true)]
    plain: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<commands::create::CreateArgs>),
    Run(Box<commands::run::RunArgs>),
    #[command(visible_aliases = ["get", "ls"])]
    List(commands::list::ListArgs),
    Status(commands::status::StatusArgs),
    Why(commands::why::WhyArgs),
    Logs(commands::logs::LogsArgs),
    Top(commands::top::TopArgs),
    Doctor(commands::doctor::DoctorArgs),
    Events(commands::events::EventsArgs),
    Exceptions(commands::exceptions::ExceptionsArgs),
    Config(commands::config::ConfigArgs),
    Ui(commands::ui::UiArgs),
    Wait(commands::wait::WaitArgs),
    Upgrade(Box<commands::upgrade::UpgradeArgs>),
    Rollback(commands::rollback::RollbackArgs),
    Restart(commands::restart::RestartArgs),
    SavepointResume(Box<commands::savepoint_resume::ResumeArgs>),
    Savepoint(Box<commands::savepoint::SavepointArgs>),
    Checkpoint(commands::checkpoint::CheckpointArgs),
    Stop(Box<commands::stop::StopArgs>),
    Cancel(commands::cancel::CancelArgs),
    Suspend(Box<commands::suspend::SuspendArgs>),
    Resume(Box<commands::resume::PlainResumeArgs>),
    Scale(commands::scale::ScaleArgs),
    Delete(Box<commands::delete::DeleteArgs>),
    Prune(commands::prune::PruneArgs),
    Image(commands::image::ImageArgs),
    Edit(Box<commands::edit::EditArgs>),
    Set(Box<commands::set::SetArgs>),
    History(commands::history::HistoryArgs),
    Diff(Box<commands::diff::DiffArgs>),
    Export(commands::export::ExportArgs),
    Adopt(Box<commands::adopt::AdoptArgs>),
    Clone(Box<commands::clone::CloneArgs>),
    Manifests(commands::manifests::ManifestsArgs),
    Completion(commands::completion::CompletionArgs),
    Version(commands::version::VersionArgs),
}

impl Command {
    /// Whether nothing has been begun when the command is interrupted: that is how `list --watch` ends.
    fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Status(_)
                | Self::Why(_)
                | Self::Logs(_)
                | Self::Top(_)
                | Self::Doctor(_)
                | Self::Events(_)
                | Self::Exceptions(_)
                | Self::Config(_)
                | Self::Ui(_)
                | Self::Wait(_)
                | Self::Completion(_)
                | Self::Version(_)
                | Self::Image(_)
                | Self::History(_)
                | Self::Diff(_)
                | Self::Export(_)
        )
    }

    /// Whether defaults of the configuration file are for it. Where they are not, a file that is wrong is in nobody's way.
    fn takes_defaults(&self) -> bool {
        match self {
            Self::Completion(_) | Self::Version(_) | Self::Manifests(_) => false,
            Self::Config(args) => !args.is_about_the_file(),
            _ => true,
        }
    }
}

/// Reads the command line, runs the command, and gives the exit code.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let argv: Vec<OsString> = argv.into_iter().collect();
    if let Some(done) = commands::completion::answer(&argv, Cli::command) {
        return end(done);
    }
    let cli = match read(&argv) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if cli.plain {
        ui::be_plain();
    }
    trace(cli.verbose);
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failure(format!("cannot start: {e}")))
        .and_then(|runtime| {
            let reads = cli.command.only_reads();
            let outcome = runtime.block_on(interruptible(run_and_suggest(cli), reads));
            // A name that a slow DNS still looks for, or a file that is still read, is nobody's any more.
            runtime.shutdown_background();
            outcome
        });
    end(outcome)
}

/// The exit code of what came of it, which is told where it is a failure.
fn end(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::fail(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Reads the command line: once as it is, for where the command works, and once more over what the configuration file
/// says for there.
fn read(argv: &[OsString]) -> Result<Cli, ExitCode> {
    let told = |e: clap::Error| {
        // Clap prints help and version to stdout with success, and the rest to stderr as usage.
        let _ = e.print();
        ExitCode::from(if e.use_stderr() { Kind::Usage.exit_code() } else { 0 })
    };
    let cli = Cli::try_parse_from(argv).map_err(told)?;
    if !cli.command.takes_defaults() {
        return Ok(cli);
    }
    let Some(effective) = preferences::effective(&cli.connection).map_err(|error| end(Err(error)))? else {
        return Ok(cli);
    };
    let matches = preferences::with_defaults(Cli::command(), &effective).try_get_matches_from(argv);
    Cli::from_arg_matches(&matches.map_err(told)?).map_err(told)
}

/// Runs the command; where a cluster does not exist, tells one with a name like it.
async fn run_and_suggest(cli: Cli) -> Result<()> {
    let connection = cli.connection.clone();
    match Box::pin(run(cli)).await {
        Err(error) if error.absent.is_some() => Err(suggest::nearest_cluster(&connection, error).await),
        other => other,
    }
}

async fn run(cli: Cli) -> Result<()> {
    let connection = cli.connection;
    match cli.command {
        Command::Edit(args) => Box::pin(commands::edit::run(&connection, *args)).await,
        Command::Set(args) => Box::pin(commands::set::run(&connection, *args)).await,
        Command::History(args) => commands::history::run(&connection, args).await,
        Command::Diff(args) => Box::pin(commands::diff::run(&connection, *args)).await,
        Command::Export(args) => commands::export::run(&connection, args).await,
        Command::Adopt(args) => Box::pin(commands::adopt::run(&connection, *args)).await,
        Command::Clone(args) => Box::pin(commands::clone::run(&connection, *args)).await,
        Command::Run(args) => Box::pin(commands::run::run(&connection, *args)).await,
        Command::Events(args) => Box::pin(commands::events::run(&connection, &args)).await,
        Command::Exceptions(args) => commands::exceptions::run(&connection, args).await,
        Command::Config(args) => commands::config::run(&connection, args).await,
        Command::Ui(args) => commands::ui::run(&connection, args).await,
        Command::Wait(args) => commands::wait::run(&connection, args).await,
        Command::Cancel(args) => commands::cancel::run(&connection, args).await,
        Command::Resume(args) => Box::pin(commands::resume::run(&connection, *args)).await,
        Command::Savepoint(args) => commands::savepoint::run(&connection, *args).await,
        Command::Stop(args) => commands::stop::run(&connection, *args).await,
        Command::Suspend(args) => commands::suspend::run(&connection, *args).await,
        Command::Checkpoint(args) => commands::checkpoint::run(&connection, args).await,
        Command::Scale(args) => Box::pin(commands::scale::run(&connection, args)).await,
        Command::Prune(args) => commands::prune::run(&connection, args).await,
        Command::Delete(args) => commands::delete::run(&connection, *args).await,
        Command::Create(args) => Box::pin(commands::create::run(&connection, *args)).await,
        Command::Image(args) => commands::image::run(args).await,
        Command::Manifests(args) => commands::manifests::run(&args),
        Command::Upgrade(args) => Box::pin(commands::upgrade::run(&connection, *args)).await,
        Command::Rollback(args) => Box::pin(commands::rollback::run(&connection, args)).await,
        Command::Restart(args) => Box::pin(commands::restart::run(&connection, args)).await,
        Command::Completion(args) => commands::completion::run(&args, &Cli::command()),
        Command::Version(args) => commands::version::run(&connection, &args).await,
        Command::SavepointResume(args) => Box::pin(commands::savepoint_resume::run(&connection, *args)).await,
        Command::List(args) => Box::pin(commands::list::run(&connection, args)).await,
        Command::Doctor(args) => Box::pin(commands::doctor::run(&connection, &args)).await,
        Command::Top(args) => Box::pin(commands::top::run(&connection, &args)).await,
        Command::Logs(args) => commands::logs::run(&connection, &args).await,
        Command::Status(args) => Box::pin(commands::status::run(&connection, &args)).await,
        Command::Why(args) => Box::pin(commands::why::run(&connection, &args)).await,
    }
}

/// Ends at Ctrl-C or SIGTERM. Nothing has to be undone then: whatever was begun, a repetition of the command goes on.
/// Only what can be read once is read to its end and written down.
async fn interruptible(command: impl Future<Output = Result<()>>, reads: bool) -> Result<()> {
    let interrupted = || {
        if reads {
            return Error::new(Kind::Interrupted, "");
        }
        let at = ui::last_step().map_or_else(String::new, |step| format!(" at: {step}"));
        Error::new(
            Kind::Interrupted,
            format!("interrupted{at}; what was begun goes on in the cluster"),
        )
        .hint("the same command goes on where this one stopped")
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::pin!(command);
    tokio::select! {
        outcome = &mut command => return outcome,
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    tokio::select! {
        biased;
        () = interruption::allowed() => Err(interrupted()),
        outcome = &mut command => outcome,
        // Whoever says it twice means it.
        _ = tokio::signal::ctrl_c() => Err(interrupted()),
    }
}

fn trace(verbose: u8) {
    // Targets and not an EnvFilter, which brings an engine for regular expressions of its own into the binary.
    let filter = match verbose {
        0 => return,
        1 => Targets::new().with_target("kubectl_flink", LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::DEBUG),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // A trace is for a file or a report, and lines of it may go into a pipe.
        .with_ansi(false)
        .without_time();
    // Only a second call can fail, and there is none.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}

/// Reads a duration as kubectl does: `10s`, `1m30s`, `2h`, or a bare number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write it like 30s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_kubectl_reads_them() {
        for (text, seconds) in [("0", 0), ("90", 90), ("10s", 10), ("1m30s", 90), ("2h", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        for bad in ["", "x", "-1s", "10 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
