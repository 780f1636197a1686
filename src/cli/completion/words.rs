//! The words of an unfinished command line, and the live values for them.

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Args, Command, FromArgMatches, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cli::args::connection::ConnectionArgs;
use crate::cli::completion::job_classes as classes;
use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::model::defaults::{KEYS, Key};
use crate::model::flink::config_keys;
use crate::model::listing::SortKey;
use crate::model::names::ClusterName;
use crate::operations::candidates;
use crate::operations::wait_goal::Goal;

/// Longest wait for candidates.
const LIMIT: Duration = Duration::from_secs(2);

/// The typed words, as far as they decide the candidates.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// The word under the cursor.
    current: String,
    /// Values of positional arguments, of all commands.
    positionals: Vec<String>,
    jars: Vec<String>,
    connection: ConnectionOptions,
}

impl Typed {
    /// Reads the words before the last one, which is under the cursor. Errors in them are ignored. The command must be
    /// built.
    #[must_use]
    pub fn of(built: &Command, words: &[OsString]) -> Self {
        let connection = ConnectionArgs::augment_args(Command::new("connection"));
        let mut line = vec!["connection".to_owned()];
        let current_word = words.last().map(|word| word.to_string_lossy().into_owned());
        let (mut positionals, mut jars) = (Vec::new(), Vec::new());
        let mut current = built;
        let mut words = words[..words.len().saturating_sub(1)]
            .iter()
            .map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some((arg, given)) = flag(current, &word) else {
                match current.find_subcommand(word.as_ref()) {
                    Some(inner) => current = inner,
                    None if word.starts_with('-') => {}
                    None => positionals.push(word.into_owned()),
                }
                continue;
            };
            let value = match given {
                None if takes_word(arg) => words.next().map(|word| word.into_owned()),
                given => given,
            };
            if let ("jar", Some(jar)) = (arg.get_id().as_str(), &value) {
                jars.push(jar.clone());
            }
            let known = connection.get_arguments().find(|known| known.get_id() == arg.get_id());
            if let (Some(long), Some(value)) = (known.and_then(Arg::get_long), value) {
                line.push(format!("--{long}={value}"));
            }
        }
        let matches = connection.try_get_matches_from(line);
        Self {
            current: current_word.unwrap_or_default(),
            positionals,
            jars,
            connection: matches
                .and_then(|matches| ConnectionArgs::from_arg_matches(&matches))
                .unwrap_or_default()
                .options(),
        }
    }
}

/// The flag of a word, and the value within the word.
pub(crate) fn flag<'a>(command: &'a Command, word: &str) -> Option<(&'a Arg, Option<String>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let has = |arg: &&Arg| {
            arg.get_long_and_visible_aliases()
                .is_some_and(|names| names.contains(&name))
        };
        return command.get_arguments().find(has).map(|arg| (arg, value));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
    let rest = letters.as_str();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((
        arg,
        (!rest.is_empty() && arg.get_action().takes_values()).then(|| rest.to_owned()),
    ))
}

/// Whether the next word is the flag's value.
pub(crate) fn takes_word(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_num_args().is_none_or(|count| count.min_values() > 0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Clusters,
    /// Also clusters that were deleted and can be resumed.
    Remembered,
    Namespaces,
    Contexts,
    KubeconfigClusters,
    Users,
    Revisions,
    Savepoints,
    FlinkKeys,
    Defaults,
    /// Values of the typed default.
    DefaultValues,
    /// Classes of the typed jars.
    Classes,
    Fixed(&'static [&'static str]),
}

/// The source of an argument's values, by its name.
fn source(command: &str, arg: &Arg) -> Option<Source> {
    let shown = arg
        .get_value_names()
        .and_then(|names| names.first())
        .map_or("", |name| name.as_str());
    let repeated =
        matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    match (arg.get_id().as_str(), shown) {
        ("namespace", _) => Some(Source::Namespaces),
        ("context", _) => Some(Source::Contexts),
        ("cluster", _) => Some(Source::KubeconfigClusters),
        ("user", _) => Some(Source::Users),
        ("from_savepoint", _) => Some(Source::Savepoints),
        // Those of -D, and of `set config`.
        ("configuration", "KEY=VALUE") | ("pairs", _) => Some(Source::FlinkKeys),
        ("job_class", _) => Some(Source::Classes),
        ("goal", _) => Some(Source::Fixed(Goal::WORDS)),
        ("output", _) if takes_templates(arg) => Some(Source::Fixed(FORMATS)),
        ("sort_by", _) => Some(Source::Fixed(SortKey::WORDS)),
        ("of", "NAME") => Some(Source::Remembered),
        ("revision" | "to_revision", _) => Some(Source::Revisions),
        ("path" | "paths", "PATH") if arg.is_positional() => Some(Source::Savepoints),
        ("key", "KEY") if arg.is_positional() => Some(Source::Defaults),
        ("value", "VALUE") if arg.is_positional() => Some(Source::DefaultValues),
        (_, "NAME") if arg.is_positional() => match command {
            // Its cluster does not exist yet.
            "create" | "run" => None,
            "savepoint-resume" | "resume" | "rollback" | "history" | "export" => Some(Source::Remembered),
            "delete" if repeated => Some(Source::Remembered),
            _ => Some(Source::Clusters),
        },
        _ => None,
    }
}

/// Formats of lists as they are typed; help shows what comes after the equals sign.
const FORMATS: &[&str] = &["table", "wide", "json", "yaml", "name", "jsonpath=", "custom-columns="];

fn takes_templates(arg: &Arg) -> bool {
    let values = arg.get_possible_values();
    values.iter().any(|value| value.get_name().starts_with("jsonpath="))
}

/// Whether the values of an argument are, or may be, local files.
fn is_path(arg: &Arg) -> bool {
    let shown = arg.get_value_names().and_then(|names| names.first());
    shown.is_some_and(|name| {
        name.split('|')
            .any(|word| word.starts_with("FILE") || word == "DIR" || word == "FOLDER")
    })
}

/// Adds completers to the command line for live values. Requests are sent only when a completer runs.
pub(super) fn with_live_values(command: Command, typed: &Typed) -> Command {
    attach(command, &Arc::new(typed.clone()))
}

fn attach(command: Command, typed: &Arc<Typed>) -> Command {
    let name = command.get_name().to_owned();
    command
        .mut_args(|arg| match source(&name, &arg) {
            Some(source) => {
                let typed = Arc::clone(typed);
                arg.add(ArgValueCompleter::new(move |current: &OsStr| {
                    candidates(source, &typed, current)
                }))
            }
            // File names, if they are the whole value and clap does not know that it is a path.
            None if is_path(&arg) => arg.value_hint(ValueHint::AnyPath),
            None => arg,
        })
        .mut_subcommands(|inner| attach(by_its_name(inner, &typed.current), typed))
}

/// Hides the aliases of a command whose name fits the typed word: of all its names, clap offers the first in the alphabet.
fn by_its_name(command: Command, typed: &str) -> Command {
    let aliases: Vec<String> = command.get_all_aliases().map(str::to_owned).collect();
    if command.get_name().starts_with(typed) {
        command.visible_alias(Resettable::Reset).aliases(aliases)
    } else {
        command
    }
}

fn candidates(source: Source, typed: &Arc<Typed>, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy().into_owned();
    let (sender, receiver) = mpsc::channel();
    let asked = Arc::clone(typed);
    // On its own thread, which ends with the program: a credential plugin or a name server may block it.
    std::thread::spawn(move || sender.send(ask(source, &asked).unwrap_or_default()));
    let mut found = receiver.recv_timeout(LIMIT).unwrap_or_default();
    if source == Source::Clusters || source == Source::Remembered {
        // A cluster that is already in the command line is not offered again.
        found.retain(|(name, _)| !typed.positionals.contains(name));
    }
    found.retain(|(value, _)| value.starts_with(&current));
    if source == Source::Classes {
        found = classes::shortened(found, current.len());
    }
    let candidate =
        |(value, help): (String, String)| CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.into()));
    found.into_iter().map(candidate).collect()
}

/// Values and their descriptions.
fn ask(source: Source, typed: &Typed) -> Result<Vec<(String, String)>> {
    let plain = |names: Vec<String>| names.into_iter().map(|name| (name, String::new())).collect();
    match source {
        Source::Contexts => return Ok(plain(candidates::kubeconfig_names(&typed.connection)?.contexts)),
        Source::KubeconfigClusters => return Ok(plain(candidates::kubeconfig_names(&typed.connection)?.clusters)),
        Source::Users => return Ok(plain(candidates::kubeconfig_names(&typed.connection)?.users)),
        Source::Defaults => {
            let keys = KEYS.iter().map(|key| (key.name.to_owned(), key.meaning.to_owned()));
            return Ok(keys.collect());
        }
        Source::DefaultValues => {
            let key = KEYS
                .iter()
                .find(|key| typed.positionals.first().is_some_and(|typed| *typed == key.name));
            let words = key.map(Key::words).unwrap_or_default();
            return Ok(plain(words.iter().map(|&word| word.to_owned()).collect()));
        }
        Source::Classes => return Ok(classes::of(&typed.jars)),
        Source::Fixed(words) => return Ok(plain(words.iter().map(|&word| word.to_owned()).collect())),
        Source::FlinkKeys => {
            return Ok(config_keys::names()
                .map(|key| (format!("{key}="), String::new()))
                .collect());
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| crate::error::Error::failure(e.to_string()))?;
    let found = runtime.block_on(async {
        let cluster = connect(&typed.connection)?;
        match source {
            Source::Namespaces => Ok(plain(candidates::namespaces(&cluster).await?)),
            Source::Clusters => Ok(plain(candidates::clusters(&cluster).await?)),
            Source::Remembered => {
                let (live, remembered) =
                    futures::join!(candidates::clusters(&cluster), candidates::remembered(&cluster));
                let mut names = live.unwrap_or_default();
                names.extend(remembered.unwrap_or_default());
                names.sort_unstable();
                names.dedup();
                Ok(plain(names))
            }
            _ => of_history(source, &cluster, typed).await,
        }
    });
    // A normal shutdown would wait for a thread that resolves a name.
    runtime.shutdown_background();
    found
}

async fn of_history(source: Source, cluster: &Cluster, typed: &Typed) -> Result<Vec<(String, String)>> {
    let Some(name) = typed.positionals.first() else {
        return Ok(Vec::new());
    };
    let history = candidates::history(cluster, &ClusterName::new(name)?).await?;
    if source == Source::Revisions {
        let revisions = history.revisions.into_iter().rev();
        let candidate = |revision: crate::history::Revision| {
            (
                revision.number.to_string(),
                format!("{} at {}", revision.command, revision.created_at),
            )
        };
        return Ok(revisions.map(candidate).collect());
    }
    let savepoints = history
        .savepoints
        .into_iter()
        .rev()
        .filter(|savepoint| savepoint.disposed_at.is_none());
    let candidate = |savepoint: crate::history::Savepoint| {
        Some((
            savepoint.path?,
            format!("{} at {}", savepoint.reason, savepoint.requested_at),
        ))
    };
    Ok(savepoints.filter_map(candidate).collect())
}
