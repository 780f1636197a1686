//! Adds the typed connection flags (`-n`, `--context`, …) to the commands in messages, so that users can copy these commands.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Commands of the plugin that use no connection.
const LOCAL: [&str; 6] = ["COMMAND", "completion", "defaults", "image", "manifests", "options"];
/// Commands of kubectl that messages name.
const OF_KUBECTL: [&str; 9] = [
    "auth", "create", "delete", "describe", "edit", "exec", "get", "patch", "rollout",
];
/// Their arguments that are in no namespace.
const CLUSTER_WIDE: [&str; 4] = ["namespace", "node", "nodes", "whoami"];

/// The flags that say where the command works; each is empty if it was not typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Those for the kubeconfig, the context, the API server and the user.
    pub(crate) cluster: String,
    pub(crate) namespace: String,
}

/// Set once, before anything is shown.
static PLACE: OnceLock<Place> = OnceLock::new();

pub(crate) fn set(place: Place) {
    // A process has one command line.
    let _ = PLACE.set(place);
}

/// The flag for the namespace of the current cluster, if a file names it and the command line does not.
static OF_FILE: Mutex<Option<String>> = Mutex::new(None);

/// Sets the namespace that a file names for the current cluster; `None`: the namespace of the command line applies.
pub(crate) fn set_namespace_of_file(namespace: Option<&str>) {
    *OF_FILE.lock().unwrap_or_else(PoisonError::into_inner) = namespace.map(|namespace| format!("-n {namespace}"));
}

/// The text with these flags in its commands.
pub(super) fn with_place(text: &str) -> Cow<'_, str> {
    let of_file = OF_FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = PLACE.get().map(|typed| with_namespace(typed, of_file.as_deref()));
    match place {
        Some(place) if place != Place::default() => Cow::Owned(with_flags(text, &place)),
        _ => Cow::Borrowed(text),
    }
}

/// The typed flags, with the namespace of a file if none was typed.
fn with_namespace(typed: &Place, of_file: Option<&str>) -> Place {
    let namespace = Some(typed.namespace.as_str()).filter(|flag| !flag.is_empty());
    Place {
        cluster: typed.cluster.clone(),
        namespace: namespace.or(of_file).unwrap_or_default().to_owned(),
    }
}

fn with_flags(text: &str, place: &Place) -> String {
    let mut parts = text.split("kubectl ");
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        placed.push_str("kubectl ");
        // A command between backticks ends there.
        let command = part.split('`').next().unwrap_or_default();
        let (program, rest) = part.split_at(if part.starts_with("flink ") { "flink ".len() } else { 0 });
        placed.push_str(program);
        if uses_connection(command) {
            // A flag is not given twice.
            let names_its_own = command.contains(" -n ") || command.contains(" -A");
            let is_cluster_wide = command
                .split_whitespace()
                .nth(1)
                .is_some_and(|kind| CLUSTER_WIDE.contains(&kind));
            let namespace = Some(place.namespace.as_str()).filter(|_| !names_its_own && !is_cluster_wide);
            let flags = [Some(place.cluster.as_str()), namespace];
            for flag in flags.into_iter().flatten().filter(|flag| !flag.is_empty()) {
                placed.push_str(flag);
                placed.push(' ');
            }
        }
        placed.push_str(rest);
    }
    placed
}

/// Whether it is a command that uses the connection; `command` begins after `kubectl`.
fn uses_connection(command: &str) -> bool {
    let mut words = command.split_whitespace();
    match (words.next(), words.next()) {
        (Some("flink"), Some(name)) => !LOCAL.contains(&name),
        (Some("apply"), Some(flag)) => flag == "-f",
        (Some(verb), Some(_)) => OF_KUBECTL.contains(&verb),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, with_flags, with_namespace};

    fn placed(text: &str, cluster: &str) -> String {
        let place = Place {
            cluster: cluster.to_owned(),
            namespace: "-n shop".to_owned(),
        };
        with_flags(text, &place)
    }

    /// The flags come where the marks are.
    fn check(marked: &str, cluster: &str, flags: &str) {
        assert_eq!(placed(&marked.replace('@', ""), cluster), marked.replace('@', flags));
    }

    #[test]
    fn commands_get_the_flags_and_nothing_else_does() {
        for marked in [
            "`kubectl flink @upgrade demo --continue` continues it",
            "`kubectl flink @stop demo`, or `kubectl flink @delete demo`",
            "see its log: kubectl flink @logs demo --all",
            "`kubectl @describe pod demo-x` shows why",
            "`kubectl flink list -A` shows the clusters of all namespaces",
            "`kubectl flink prune -n other`",
            "`kubectl flink image build --lib FILE` puts it there",
            "`kubectl describe node a` shows since when",
            "`kubectl auth whoami` shows who you are",
            "log in as for kubectl",
            "kubectl runs it",
            "",
        ] {
            check(marked, "", "-n shop ");
        }
    }

    #[test]
    fn what_is_in_no_namespace_is_in_a_cluster() {
        for marked in [
            "`kubectl @create namespace shop`",
            "kubectl @get nodes shows which",
            "`kubectl @auth whoami`",
            "kubectl runs it",
        ] {
            check(marked, "--context prod", "--context prod ");
        }
    }

    #[test]
    fn the_namespace_of_a_file_is_that_of_its_commands() {
        let mut typed = Place {
            cluster: "--context prod".to_owned(),
            namespace: String::new(),
        };
        let text = "kubectl flink resume demo";
        for (of_file, expected) in [
            (Some("-n jobs"), "kubectl flink --context prod -n jobs resume demo"),
            (None, "kubectl flink --context prod resume demo"),
        ] {
            assert_eq!(with_flags(text, &with_namespace(&typed, of_file)), expected);
        }
        typed.namespace = "-n shop".to_owned();
        assert_eq!(with_namespace(&typed, Some("-n jobs")), typed);
    }

    #[test]
    fn a_namespace_is_named_once() {
        assert_eq!(
            placed(
                "kubectl flink doctor --rbac -n other | kubectl apply -f -",
                "--context prod"
            ),
            "kubectl flink --context prod doctor --rbac -n other | kubectl --context prod -n shop apply -f -"
        );
    }
}
