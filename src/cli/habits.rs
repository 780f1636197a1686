//! Words of kubectl, helm and Flink's own client that are not commands or flags here: the error names what does the same.

use std::error::Error as _;

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::model::nearest::nearest;

/// Commands of the others, and what to use here.
const COMMANDS: &str = "\
describe info show inspect: `kubectl flink status NAME` shows a cluster, and `kubectl flink why NAME` explains what is wrong with it
rollout: `kubectl flink wait`, `history`, `rollback`, `restart`, `suspend` and `resume` are commands of their own
undo: `kubectl flink rollback NAME` goes back to an earlier revision
install submit run-application start new: `kubectl flink create NAME` starts a new cluster, and `kubectl flink resume NAME` one that was stopped
uninstall remove rm destroy: `kubectl flink delete NAME` deletes a cluster
kill terminate: `kubectl flink cancel NAME` ends the job without a savepoint
pause: `kubectl flink suspend NAME` stops the job with a savepoint until `kubectl flink resume NAME`
unpause: `kubectl flink resume NAME` starts a suspended cluster
port-forward proxy dashboard open: `kubectl flink ui NAME` forwards Flink's REST and web UI to this machine
exec attach cp debug shell: `kubectl flink status NAME` shows the Pods; `kubectl exec`, `attach`, `cp` and `debug` take their names
patch replace update modify: `kubectl flink upgrade NAME`, `set` and `edit` change a cluster
autoscale rescale: `kubectl flink scale NAME -p N` changes the parallelism
watch: `kubectl flink list -w` and `kubectl flink status NAME -w` watch
ps: `kubectl flink list` lists clusters
savepoints: `kubectl flink savepoint list NAME` lists the savepoints of a cluster
checkpoints: `kubectl flink status NAME` shows the checkpoints of a job
revisions revision: `kubectl flink history NAME` lists the revisions of a cluster
log: `kubectl flink logs NAME` prints logs
template lint render: `kubectl flink create NAME … --dry-run=client -o yaml` prints the resources
explain api-resources: `kubectl flink COMMAND --help` describes a command, and docs/operator.md the fields of a file
cluster-info auth: `kubectl flink doctor` checks the connection and your rights
label annotate: `kubectl label` and `kubectl annotate` take the Job NAME-master
push: `kubectl flink image build --push REPOSITORY` pushes an image
";

/// Flags of the others: the commands here (`*`: all of them), the flags, and what to use, between bars.
const FLAGS: &str = "\
apply|-k,--kustomize|`kubectl kustomize DIR | kubectl flink apply -f -`
create|-k,--kustomize|`kubectl kustomize DIR | kubectl flink create -f -`
create|--affinity,--configmap,--env-from,--node-selector,--pod-template,--toleration,--tolerations,--volume|the podTemplate of a FlinkDeployment sets it: -f FILE, see docs/operator.md
create|--conf,--config,--flink-conf,--flink-config|-D KEY=VALUE sets a key, and spec.flinkConfiguration of a FlinkDeployment many: -f FILE
create|--set,--values|`helm template RELEASE CHART | kubectl flink create -f -`
create upgrade run|-c,--class|--job-class CLASS names the entry class
create upgrade|--memory,--cpu|--jobmanager-memory, --taskmanager-memory, --jobmanager-cpu and --taskmanager-cpu
upgrade|-i,--install|`kubectl flink apply -f FILE` creates a cluster or changes it
upgrade|--set,--values|each setting has a flag, such as --image, -p and -D; -f FILE takes a FlinkDeployment
upgrade|--atomic,--rollback-on-failure|an upgrade that fails is rolled back automatically
rollback|--revision|--to-revision N is the revision to go back to
create run scale upgrade|--replicas|-p N is the parallelism; there are as many TaskManagers as it needs
resume|-p,--parallelism,--image,--env,-D,-f,--filename|`kubectl flink savepoint-resume NAME` starts a cluster with changes, from its last savepoint
delete|-f,--filename,--file|delete takes the names of clusters, or -l LABELS
delete|--force,--grace-period,--now|--cancel gives up what the job did since its last savepoint, and --yes skips the confirmation prompt
delete|--keep-history|the history is kept, unless --purge is given
delete|-A,--all-namespaces|this command works in one namespace: -n NAMESPACE --all
logs|-c,--container,--all-containers|--all adds sidecars and init containers, and --role selects JobManager or TaskManagers
logs|-l,--selector|logs takes the names of clusters: `kubectl flink list -l LABELS -o name` prints them
list|--all|-A lists the clusters of all namespaces, and --deleted those that exist only as history
list|--field-selector|-l LABELS selects by labels
ui|-p|--port PORT is the local port
savepoint|-d,--targetDirectory|--dir URI is the folder of the savepoint
*|-A,--all-namespaces|this command works in one namespace: -n NAMESPACE
*|--all|-l app selects all clusters, where the command has -l
*|-=|a short flag without a value takes no equals sign: -A, not -A=true
";

/// Puts what to use here into clap's error, instead of guesses that lead astray.
pub(super) fn answer(error: &mut Error) {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let takes_program_arguments = usage.contains("PROGRAM ARGUMENTS");
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let Some(word) = word(ContextKind::InvalidSubcommand) else {
                return;
            };
            let mut known = COMMANDS.lines().filter_map(|line| line.split_once(": "));
            if let Some((_, text)) = known.find(|(words, _)| words.split(' ').any(|one| one == word)) {
                error.remove(ContextKind::SuggestedSubcommand);
                tip(error, text);
            }
            sift(error, ContextKind::SuggestedSubcommand, &word);
            // clap prints an empty line for an empty list of tips.
            if matches!(error.get(ContextKind::Suggested), Some(ContextValue::StyledStrs(tips)) if tips.is_empty()) {
                error.remove(ContextKind::Suggested);
            }
        }
        ErrorKind::UnknownArgument => {
            let Some(word) = word(ContextKind::InvalidArg) else {
                return;
            };
            sift(error, ContextKind::SuggestedArg, &word);
            let command = usage
                .split("kubectl flink ")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            let of_command = |line: &'static str| {
                let (commands, rest) = line.split_once('|')?;
                let (flags, text) = rest.split_once('|')?;
                let is_here = commands == "*" || command.is_some_and(|name| commands.split(' ').any(|one| one == name));
                (is_here && flags.split(',').any(|one| one == word)).then_some(text)
            };
            if let Some(text) = FLAGS.lines().find_map(of_command) {
                error.remove(ContextKind::SuggestedArg);
                tip(error, text);
            } else if let Some(text) = of_number(command, &word) {
                tip(error, &text);
            } else if !word.starts_with('-') && takes_program_arguments {
                tip(error, &format!("arguments of the program come after --: `-- {word}`"));
            } else if !takes_program_arguments {
                // clap's only text there says that the flag could be a name.
                error.remove(ContextKind::Suggested);
            }
        }
        ErrorKind::InvalidValue => {
            let value = word(ContextKind::InvalidValue).unwrap_or_default();
            sift(error, ContextKind::SuggestedValue, &value);
        }
        ErrorKind::ValueValidation => {
            let Some(why) = error.source().and_then(of_wrong_number) else {
                return;
            };
            let text = |kind| word(kind).unwrap_or_default();
            let (value, flag) = (text(ContextKind::InvalidValue), text(ContextKind::InvalidArg));
            *error = Error::raw(
                ErrorKind::ValueValidation,
                format!("invalid value '{value}' for '{flag}': {why}\n\nFor more information, try '--help'.\n"),
            );
        }
        _ => {}
    }
}

/// Why a number is refused. clap writes the bounds as in Rust: `0 is not in 1..=1024`.
fn of_wrong_number(source: &(dyn std::error::Error + 'static)) -> Option<String> {
    if source.is::<std::num::ParseIntError>() {
        return Some("it must be a whole number".to_owned());
    }
    let text = source.to_string();
    let (least, most) = text.split_once(" is not in ")?.1.split_once("..")?;
    let (least, most): (i64, i64) = (least.parse().ok()?, most.trim_start_matches('=').parse().ok()?);
    Some(if most < i64::from(u32::MAX) {
        format!("it must be from {least} to {most}")
    } else {
        format!("it must be {least} or more")
    })
}

/// Keeps the best of clap's guesses, whose last is its own best, if it is like the word or one begins with the other: clap has
/// a guess for almost anything.
fn sift(error: &mut Error, kind: ContextKind, word: &str) {
    let guesses = match error.remove(kind) {
        Some(ContextValue::String(guess)) => vec![guess],
        Some(ContextValue::Strings(guesses)) => guesses,
        _ => return,
    };
    let plain = |text: &str| text.trim_start_matches('-').to_lowercase();
    let typed = plain(word);
    let begins = |guess: &&String| {
        let guess = plain(guess);
        guess.len().min(typed.len()) > 2 && (guess.starts_with(&typed) || typed.starts_with(&guess))
    };
    let names: Vec<String> = guesses.iter().rev().map(|guess| plain(guess)).collect();
    let near = nearest(&typed, names.iter().map(String::as_str));
    let near = near.and_then(|near| guesses.iter().rev().find(|guess| plain(guess) == near));
    if let Some(best) = near.or_else(|| guesses.iter().rev().find(begins)) {
        error.insert(kind, ContextValue::String(best.clone()));
    }
}

/// The flag that a number is meant for.
fn of_number(command: Option<&str>, word: &str) -> Option<String> {
    word.parse::<u64>().ok()?;
    match command? {
        "rollback" => Some(format!("--to-revision {word} is the revision to go back to")),
        "history" => Some(format!("--revision {word} shows this revision")),
        "scale" => Some(format!("-p {word} is the new parallelism")),
        _ => None,
    }
}

fn tip(error: &mut Error, text: &str) {
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![StyledStr::from(text.to_owned())]),
    );
}
