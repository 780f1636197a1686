//! `completion`: for kubectl's own completion, and for shells in which the program is called by its own name.
//!
//! kubectl (1.26 and later) completes `kubectl flink …` by running the first `kubectl_complete-flink` on the PATH with
//! the words typed so far. It reads one candidate per line, and then a directive in the format of Cobra's `__complete`.
//! Source: kubectl's `pkg/cmd/plugin/plugin_completion.go`, and Cobra's `ShellCompDirective`.

mod job_classes;
pub(crate) mod words;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::env::{Bash, EnvCompleter, Fish, Powershell, Zsh};

use crate::cli::completion::words::{Typed, with_live_values};
use crate::error::{Error, Kind, Result};
use crate::output::terminal;

/// First argument of the program when kubectl asks it for candidates.
const COMPLETE: &str = "__complete";
/// Variable with which the shells' scripts request candidates.
const VARIABLE: &str = "KUBECTL_FLINK_COMPLETE";
/// Name of the program that kubectl looks for.
#[cfg(not(windows))]
const HELPER: &str = "kubectl_complete-flink";
#[cfg(windows)]
const HELPER: &str = "kubectl_complete-flink.cmd";
#[cfg(not(windows))]
const HELPER_TEXT: &str = "#!/bin/sh\n# Written by `kubectl flink completion install`: kubectl runs it to complete `kubectl flink`.\nexec kubectl-flink __complete \"$@\"\n";
#[cfg(windows)]
const HELPER_TEXT: &str = "@kubectl-flink __complete %*\r\n";

/// Directives of Cobra: no file names, and no space after the candidate.
const NO_FILES: u8 = 4;
const NO_SPACE: u8 = 2;

/// Install completion of commands, flags and names for kubectl, or print a script for a shell
///
/// `completion install` is all that `kubectl flink` needs, where kubectl's own completion works (`kubectl completion
/// --help`). The scripts complete the program under its own name, kubectl-flink.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    kubectl flink completion install\n  \
    source <(kubectl flink completion bash)\n  \
    kubectl flink completion fish > ~/.config/fish/completions/kubectl-flink.fish")]
pub(crate) struct CompletionArgs {
    #[command(subcommand)]
    command: CompletionCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CompletionCommand {
    /// Print a script for bash
    Bash,
    /// Print a script for zsh
    Zsh,
    /// Print a script for fish
    Fish,
    /// Print a script for PowerShell
    Powershell,
    /// Write kubectl_complete-flink to where kubectl finds it
    Install(InstallArgs),
}

#[derive(Debug, clap::Args)]
struct InstallArgs {
    /// Folder to write to, which must be on the PATH [default: where kubectl-flink was found]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &CompletionArgs, command: &Command) -> Result<()> {
    let shell: &dyn EnvCompleter = match &args.command {
        CompletionCommand::Bash => &Bash,
        CompletionCommand::Zsh => &Zsh,
        CompletionCommand::Fish => &Fish,
        CompletionCommand::Powershell => &Powershell,
        CompletionCommand::Install(args) => return install(args),
    };
    let name = command.get_name();
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, name, name, name, &mut script)
        .map_err(|e| Error::failure("cannot make the script").because(e))?;
    terminal::data(&String::from_utf8_lossy(&script))
}

fn install(args: &InstallArgs) -> Result<()> {
    let folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let program = format!("kubectl-flink{}", std::env::consts::EXE_SUFFIX);
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => folders
            .iter()
            .find(|folder| folder.join(&program).is_file())
            .cloned()
            .ok_or_else(|| {
                Error::usage(format!("{program} is in none of the PATH's folders"))
                    .hint("--dir DIR is the folder to write to, which must be on the PATH")
            })?,
    };
    let path = folder.join(HELPER);
    write_program(&path)
        .map_err(|e| Error::unwritable_file(&path, e).hint("--dir DIR names another folder of the PATH"))?;
    terminal::data(&format!("{}\n", path.display()))?;
    let first = |name: &str| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    };
    match (first(HELPER), first(&program)) {
        (None, _) => terminal::warn(&format!(
            "{} is not on the PATH, so kubectl does not find it",
            folder.display()
        )),
        (Some(other), _) if fs::read_to_string(&other).ok().as_deref() != Some(HELPER_TEXT) => {
            terminal::warn(&format!(
                "kubectl runs {}, which comes first on the PATH and is another program",
                other.display()
            ));
        }
        (Some(_), None) => terminal::warn(&format!(
            "{program} is in none of the PATH's folders, so it cannot be run"
        )),
        (Some(_), Some(_)) => terminal::note(
            "kubectl completes `kubectl flink` now, in shells where its own completion works: `kubectl completion --help`",
        ),
    }
    Ok(())
}

fn write_program(path: &Path) -> std::io::Result<()> {
    // Written beside it and then renamed: a running helper is not truncated.
    let draft = path.with_extension(std::process::id().to_string());
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o755);
    let written = options
        .open(&draft)
        .and_then(|mut file| std::io::Write::write_all(&mut file, HELPER_TEXT.as_bytes()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The file may not exist.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Answers a completion request of kubectl or a shell; `None`: there is no request.
///
/// Any error results in no candidates: messages in the middle of a command line are of no use.
pub(crate) fn answer(argv: &[OsString], command: fn() -> Command) -> Option<Result<()>> {
    if argv.get(1).is_some_and(|word| word == COMPLETE) {
        return Some(answer_kubectl(&argv[2..], command()));
    }
    let shell = std::env::var(VARIABLE).ok().filter(|shell| !shell.is_empty())?;
    Some(answer_shell(&shell, argv, command()))
}

fn answer_kubectl(words: &[OsString], command: Command) -> Result<()> {
    // Without any word there is nothing to complete, but kubectl always passes the word under the cursor.
    let current = words.last().cloned().unwrap_or_default().to_string_lossy().into_owned();
    let typed = Typed::of(&built(&command), words);
    let name = OsString::from(command.get_name());
    let mut command = with_live_values(command, &typed);
    let line: Vec<OsString> = std::iter::once(name).chain(words.iter().cloned()).collect();
    let index = line.len() - 1;
    let folder = std::env::current_dir().ok();
    let found = match clap_complete::engine::complete(&mut command, line, index, folder.as_deref()) {
        Ok(found) if !words.is_empty() => found,
        _ => Vec::new(),
    };
    let is_flag = current.starts_with('-');
    let before_value = if is_flag {
        current.split_once('=').map(|(flag, _)| format!("{flag}="))
    } else {
        None
    };
    let mut text = String::new();
    let mut open = true;
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        // As in kubectl: flags are offered when the word starts like one.
        if value.starts_with('-') && !is_flag {
            continue;
        }
        // Shells complete the text after `--flag=`.
        let value = before_value
            .as_deref()
            .and_then(|before| value.strip_prefix(before))
            .unwrap_or(&value);
        open &= value.ends_with(['=', '/', '.']);
        text.push_str(&terminal::clean(value));
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            text.push('\t');
            text.push_str(&terminal::clean(help.lines().next().unwrap_or_default()));
        }
        text.push('\n');
    }
    let directive = if open && !text.is_empty() {
        NO_FILES | NO_SPACE
    } else {
        NO_FILES
    };
    terminal::data(&format!("{text}:{directive}\n"))
}

/// Builds the command, with the global flags in each subcommand.
fn built(command: &Command) -> Command {
    let mut built = command.clone();
    built.build();
    built
}

fn answer_shell(shell: &str, argv: &[OsString], command: Command) -> Result<()> {
    let shell: &dyn EnvCompleter = match Path::new(shell).file_stem().and_then(OsStr::to_str) {
        Some("bash") => &Bash,
        Some("zsh") => &Zsh,
        Some("fish") => &Fish,
        Some("powershell" | "pwsh") => &Powershell,
        _ => return Err(Error::new(Kind::Usage, "")),
    };
    let words: Vec<OsString> = argv.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let typed = Typed::of(&built(&command), words.get(1..).unwrap_or_default());
    let mut command = with_live_values(command, &typed);
    let mut text = Vec::new();
    let folder = std::env::current_dir().ok();
    match shell.write_complete(&mut command, words, folder.as_deref(), &mut text) {
        Ok(()) => terminal::data(&String::from_utf8_lossy(&text)),
        Err(_) => Ok(()),
    }
}
