//! The command line: global flags, the commands, and the dispatch from `main` to a command.

pub(crate) mod args;
pub(crate) mod completion;
pub(crate) mod config_file;
pub(crate) mod context;
pub(crate) mod description;
mod habits;
pub(crate) mod help;
mod lazy;
mod optional_value;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::lazy::LazyArgs;
use crate::cli::args::connection::ConnectionArgs;
use crate::cli::config_file as preferences;
use crate::cli::context::Context;
use crate::commands;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::api::fence;
use crate::operations::{candidates, interruption};
use crate::output::{live, place, terminal};
use crate::progress;

/// Run Apache Flink application clusters on plain Kubernetes
///
/// A cluster is three resources: the Service NAME-master, the Job NAME-master (Flink's JobManager) and the Deployment
/// NAME-task-manager. They are created in the namespace of your current kubeconfig context; no operator is needed.
#[derive(Debug, Parser)]
#[command(name = "kubectl-flink", bin_name = "kubectl flink", version)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure, 2 usage, 3 not found, 4 forbidden, 5 timed out, 6 job failed, \
    7 unreachable, 8 conflict, 9 failure of diff, 130 interrupted"
)]
struct Root {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Increase verbosity (-v or -v=6: requests, -vv or -v=8: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Plain output: no color, spinners or redraws
    #[arg(long, global = true)]
    plain: bool,
    /// When to use colors; auto, the default: on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        hide_default_value = true
    )]
    color: Color,
}

/// When colors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// The whole command line.
#[derive(Debug)]
pub struct Cli {
    root: Root,
    command: Command,
}

impl CommandFactory for Cli {
    fn command() -> clap::Command {
        with_commands(Root::command(), Command::augment_subcommands)
    }

    fn command_for_update() -> clap::Command {
        with_commands(Root::command_for_update(), Command::augment_subcommands_for_update)
    }
}

/// Adds commands to the global flags; one of them is required.
fn with_commands(root: clap::Command, augment: impl FnOnce(clap::Command) -> clap::Command) -> clap::Command {
    help::with_templates(augment(root).subcommand_required(true).arg_required_else_help(true))
}

impl FromArgMatches for Cli {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            root: Root::from_arg_matches(matches)?,
            command: Command::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.root.update_from_arg_matches(matches)?;
        self.command.update_from_arg_matches(matches)
    }
}

/// Declares the commands: the arguments of each, whether it only reads, and what runs it. An interruption of one that only
/// reads leaves nothing unfinished: `list --watch` ends this way.
macro_rules! commands {
    (@reads) => { true };
    (@changes) => { false };
    (|$context:ident, $given:ident| $($(#[$meta:meta])* $name:ident($args:ty) $kind:ident => $run:expr,)+) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[$meta])* $name(LazyArgs<$args>),)+
        }

        impl Command {
            fn only_reads(&self) -> bool {
                match self {
                    $(Self::$name(_) => commands!(@$kind),)+
                }
            }

            async fn run(self, $context: &Context) -> Result<()> {
                match self {
                    $(Self::$name($given) => Box::pin($run).await,)+
                }
            }
        }
    };
}

commands! { |context, args|
    Create(commands::create::CreateArgs) changes => commands::create::run(context, args.whole()),
    Apply(commands::apply::ApplyArgs) changes => commands::apply::run(context, args.whole()),
    Run(commands::run::RunArgs) changes => commands::run::run(context, args.whole()),
    #[command(visible_aliases = ["get", "ls"])]
    List(commands::list::ListArgs) reads => commands::list::run(context, args.whole()),
    Status(commands::status::StatusArgs) reads => commands::status::run(context, &args),
    Why(commands::why::WhyArgs) reads => commands::why::run(context, &args),
    Logs(commands::logs::LogsArgs) reads => commands::logs::run(context, &args),
    Top(commands::top::TopArgs) reads => commands::top::run(context, &args),
    Doctor(commands::doctor::DoctorArgs) reads => commands::doctor::run(context, &args),
    Report(commands::report::ReportArgs) reads => commands::report::run(context, args.whole()),
    Profile(commands::profile::ProfileArgs) reads => commands::profile::run(context, args.whole()),
    Events(commands::events::EventsArgs) reads => commands::events::run(context, &args),
    Exceptions(commands::exceptions::ExceptionsArgs) reads => commands::exceptions::run(context, args.whole()),
    Config(commands::config::ConfigArgs) reads => commands::config::run(context, args.whole()),
    Defaults(commands::defaults::DefaultsArgs) reads => std::future::ready(commands::defaults::run(context, args.whole())),
    Ui(commands::ui::UiArgs) reads => commands::ui::run(context, args.whole()),
    Wait(commands::wait::WaitArgs) reads => commands::wait::run(context, args.whole()),
    Upgrade(commands::upgrade::UpgradeArgs) changes => commands::upgrade::run(context, args.whole()),
    Rehearse(commands::rehearse::RehearseArgs) changes => commands::rehearse::run(context, args.whole()),
    Rollback(commands::rollback::RollbackArgs) changes => commands::rollback::run(context, args.whole()),
    Restart(commands::restart::RestartArgs) changes => commands::restart::run(context, args.whole()),
    SavepointResume(commands::savepoint_resume::ResumeArgs) changes => commands::savepoint_resume::run(context, args.whole()),
    Savepoint(commands::savepoint::SavepointArgs) changes => commands::savepoint::run(context, args.whole()),
    Checkpoint(commands::checkpoint::CheckpointArgs) changes => commands::checkpoint::run(context, args.whole()),
    Stop(commands::stop::StopArgs) changes => commands::stop::run(context, args.whole()),
    Cancel(commands::cancel::CancelArgs) changes => commands::cancel::run(context, args.whole()),
    Suspend(commands::suspend::SuspendArgs) changes => commands::suspend::run(context, args.whole()),
    Resume(commands::resume::PlainResumeArgs) changes => commands::resume::run(context, args.whole()),
    Scale(commands::scale::ScaleArgs) changes => commands::scale::run(context, args.whole()),
    Delete(commands::delete::DeleteArgs) changes => commands::delete::run(context, args.whole()),
    Prune(commands::prune::PruneArgs) changes => commands::prune::run(context, args.whole()),
    Image(commands::image::ImageArgs) reads => commands::image::run(args.whole()),
    Edit(commands::edit::EditArgs) changes => commands::edit::run(context, args.whole()),
    Set(commands::set::SetArgs) changes => commands::set::run(context, args.whole()),
    History(commands::history::HistoryArgs) reads => commands::history::run(context, args.whole()),
    Diff(commands::diff::DiffArgs) reads => commands::diff::run(context, args.whole()),
    Export(commands::export::ExportArgs) reads => commands::export::run(context, args.whole()),
    Adopt(commands::adopt::AdoptArgs) changes => commands::adopt::run(context, args.whole()),
    Clone(commands::clone::CloneArgs) changes => commands::clone::run(context, args.whole()),
    Manifests(commands::manifests::ManifestsArgs) changes => std::future::ready(commands::manifests::run(&args)),
    Completion(crate::cli::completion::CompletionArgs) reads => std::future::ready(crate::cli::completion::run(&args, &Cli::command())),
    Version(commands::version::VersionArgs) reads => commands::version::run(context, &args),
    Options(OptionsArgs) reads => std::future::ready({
        let OptionsArgs {} = args.whole();
        terminal::data(&help::options())
    }),
}

/// Show the flags of all commands
#[derive(Debug, clap::Args)]
struct OptionsArgs {}

impl Command {
    /// Whether its messages leave the connection flags out: the command works in two namespaces or contexts and the flags name
    /// only one, or other people read its output, with other kubeconfigs.
    fn keeps_place(&self) -> bool {
        match self {
            Self::Clone(args) => args.goes_elsewhere(),
            Self::Report(_) => true,
            _ => false,
        }
    }

    /// Whether the command uses defaults of the configuration file. If not, an invalid file does not prevent it.
    fn takes_defaults(&self) -> bool {
        match self {
            Self::Completion(_) | Self::Defaults(_) | Self::Version(_) | Self::Manifests(_) | Self::Options(_) => false,
            Self::Config(args) => !args.is_about_the_file(),
            _ => true,
        }
    }
}

/// Parses the command line, runs the command, and returns the exit code.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    progress::set_reporter(&live::Terminal);
    let argv = help::of_words(argv.into_iter().collect());
    if let Some(done) = crate::cli::completion::answer(&argv, Cli::command) {
        return exit_code(done);
    }
    let cli = match read(&argv) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if cli.root.plain {
        terminal::be_plain();
    } else if cli.root.color != Color::Auto {
        terminal::use_colors(cli.root.color == Color::Always);
    }
    if !cli.command.keeps_place() {
        place::set(cli.root.connection.place());
    }
    trace(cli.root.verbose);
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failure("cannot start").because(e))
        .and_then(|runtime| {
            let reads = cli.command.only_reads();
            let outcome = runtime.block_on(interruptible(run_and_suggest(cli), reads));
            // A slow DNS lookup, or a file that is still being read, is no longer needed.
            runtime.shutdown_background();
            outcome
        });
    exit_code(outcome)
}

/// The exit code of the outcome. Reports an error.
fn exit_code(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::fail(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Parses the command line twice: first to find the context and namespace, then with the configuration file's defaults
/// for them.
fn read(argv: &[OsString]) -> Result<Cli, ExitCode> {
    let cli = parse(argv, |command| command)?;
    if !cli.command.takes_defaults() {
        return Ok(cli);
    }
    let effective =
        preferences::effective(&cli.root.connection.clone().options()).map_err(|error| exit_code(Err(error)))?;
    match effective {
        Some(effective) => parse(argv, |command| preferences::with_defaults(command, &effective)),
        None => Ok(cli),
    }
}

fn parse(argv: &[OsString], dress: impl Fn(clap::Command) -> clap::Command) -> Result<Cli, ExitCode> {
    let attempt = |command: clap::Command| {
        let mut command = help::without_shared_flags(dress(command));
        let matches = command.try_get_matches_from_mut(argv);
        // To a command without another argument, the word after such a flag is unexpected.
        let is_unexpected = |error: &clap::Error| error.kind() == ErrorKind::UnknownArgument;
        if matches.as_ref().err().is_none_or(is_unexpected) {
            optional_value::check(&mut command, argv)?;
        }
        Cli::from_arg_matches(&matches?).map_err(|error| error.format(&mut command))
    };
    let outcome = lazy::command(argv).map(attempt);
    match outcome {
        Some(Ok(cli)) => Ok(cli),
        Some(Err(help)) if is_asked_for(&help) => Err(print_clap_message(help)),
        // The whole command line reports the errors.
        _ => attempt(Cli::command()).map_err(print_clap_message),
    }
}

/// Whether it is help or a version, not an error.
fn is_asked_for(said: &clap::Error) -> bool {
    matches!(said.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Prints clap's message, and returns the exit code.
fn print_clap_message(mut said: clap::Error) -> ExitCode {
    // Help and version go to stdout with success, everything else to stderr as a usage error.
    if !said.use_stderr() || said.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let text = said.render().ansi().to_string();
        let on_stderr = said.use_stderr();
        return match terminal::help(text.trim_end(), on_stderr) {
            // A closed pipe is no error: `head` has read enough.
            Err(error) if error.kind != Kind::Interrupted => exit_code(Err(error)),
            _ if on_stderr => ExitCode::from(Kind::Usage.exit_code()),
            _ => ExitCode::SUCCESS,
        };
    }
    habits::answer(&mut said);
    terminal::line(said.render().ansi().to_string().trim_end());
    ExitCode::from(Kind::Usage.exit_code())
}

/// Runs the command; if a cluster does not exist, suggests one with a similar name.
async fn run_and_suggest(cli: Cli) -> Result<()> {
    let connection = cli.root.connection.clone().options();
    match Box::pin(run(cli)).await {
        Err(error) if error.absent.is_some() => Err(candidates::nearest_cluster(&connection, error).await),
        other => other,
    }
}

async fn run(cli: Cli) -> Result<()> {
    let context = Context::new(cli.root.connection.options());
    cli.command.run(&context).await
}

/// Ends at Ctrl-C, SIGTERM or SIGHUP. There is nothing to undo: a repetition of the command continues an unfinished
/// operation. Only results that can be read once are still read and recorded.
async fn interruptible(command: impl Future<Output = Result<()>>, reads: bool) -> Result<()> {
    let interrupted = || {
        if reads {
            return Error::new(Kind::Interrupted, "");
        }
        let at = live::last_step().map_or_else(String::new, |step| format!(" at: {step}"));
        let kept = interruption::kept();
        let error = if fence::has_written() {
            let text = format!("interrupted{at}; what was started continues in the cluster");
            Error::new(Kind::Interrupted, text).hint(match kept {
                // Another edit would begin with the cluster as it is.
                Some(_) => "`kubectl flink upgrade NAME --continue` continues where this command stopped",
                None => "the same command continues where this one stopped",
            })
        } else {
            let text = format!("interrupted{at}; nothing was changed in the cluster");
            Error::new(Kind::Interrupted, text)
        };
        error.hint_if(kept.map(|file| format!("what you wrote is in {}", file.display())))
    };
    tokio::pin!(command);
    let is_key = tokio::select! {
        outcome = &mut command => return outcome,
        () = interruption::ctrl_c() => true,
        () = terminated() => false,
    };
    if is_key && !reads {
        terminal::end_interrupted_line();
    }
    interruption::announce();
    tokio::select! {
        biased;
        () = interruption::allowed() => Err(interrupted()),
        outcome = &mut command => outcome,
        // A second Ctrl-C ends the command at once.
        () = interruption::ctrl_c() => Err(interrupted()),
    }
}

/// Waits for SIGTERM or SIGHUP, which is sent when the terminal is closed. An ignored signal, such as under nohup,
/// stays ignored.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    async fn next(kind: SignalKind) {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    }
    let hangup = async {
        if is_hangup_ignored() {
            return std::future::pending().await;
        }
        next(SignalKind::hangup()).await;
    };
    tokio::select! {
        () = next(SignalKind::terminate()) => {}
        () = hangup => {}
    }
}

/// Whether this process ignores SIGHUP. Source: proc(5), `SigIgn` in /proc/self/status is a mask, SIGHUP its first bit.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

fn trace(verbose: u8) {
    // Targets instead of an EnvFilter, which would add another regular expression engine to the binary.
    let filter = match verbose {
        0 => return,
        1 => Targets::new().with_target("kubectl_flink", LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::DEBUG),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| live::Trace)
        // A trace may go into a file, a report or a pipe.
        .with_ansi(false)
        .without_time();
    // Only a second call can fail, and there is none.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What `-n` names is the place of one of the clusters of a clone: the commands in its hints may be about the other one.
    #[test]
    fn a_clone_into_another_namespace_and_a_report_keep_their_place() {
        let keeps = |typed: &str| {
            let matches = Cli::command().try_get_matches_from(typed.split(' ')).unwrap();
            Cli::from_arg_matches(&matches).unwrap().command.keeps_place()
        };
        assert!(keeps("kubectl-flink -n a clone demo demo --to-namespace b"));
        assert!(keeps("kubectl-flink -n a clone demo demo --to-context b"));
        assert!(keeps("kubectl-flink --context a report demo"));
        assert!(!keeps("kubectl-flink -n a clone demo copy"));
        assert!(!keeps("kubectl-flink -n a stop demo"));
    }
}
