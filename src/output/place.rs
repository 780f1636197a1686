//! Commands in messages have the flags that say where the command that prints them works: they can be copied.

use std::borrow::Cow;
use std::sync::OnceLock;

/// Commands of the plugin that use no connection.
const LOCAL: [&str; 6] = ["COMMAND", "completion", "defaults", "image", "manifests", "options"];
/// Commands of kubectl that messages name, and that work in a namespace.
const OF_KUBECTL: [&str; 8] = [
    "create", "delete", "describe", "edit", "exec", "get", "patch", "rollout",
];
/// Kinds of objects that are in no namespace.
const CLUSTER_WIDE: [&str; 3] = ["namespace", "node", "nodes"];

/// Set once, before anything is shown.
static PLACE: OnceLock<String> = OnceLock::new();

/// Sets the flags for the kubeconfig, the context and the namespace that the command has.
pub(crate) fn set(flags: String) {
    // A process has one command line.
    let _ = PLACE.set(flags);
}

/// The text with these flags in its commands.
pub(super) fn with_place(text: &str) -> Cow<'_, str> {
    match PLACE.get() {
        Some(flags) if !flags.is_empty() => Cow::Owned(put_in(text, flags)),
        _ => Cow::Borrowed(text),
    }
}

fn put_in(text: &str, flags: &str) -> String {
    let mut parts = text.split("kubectl ");
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        placed.push_str("kubectl ");
        // A command between backticks ends there.
        let command = part.split('`').next().unwrap_or_default();
        let names_its_own = [" -n ", " -A", "--context"].iter().any(|flag| command.contains(flag));
        let own = part.strip_prefix("flink ");
        if !names_its_own && works_somewhere(command) {
            placed.push_str(if own.is_some() { "flink " } else { "" });
            placed.push_str(flags);
            placed.push(' ');
            placed.push_str(own.unwrap_or(part));
        } else {
            placed.push_str(part);
        }
    }
    placed
}

/// Whether it is a command that works in a cluster and a namespace; `command` begins after `kubectl`.
fn works_somewhere(command: &str) -> bool {
    let mut words = command.split_whitespace();
    match (words.next(), words.next()) {
        (Some("flink"), Some(name)) => !LOCAL.contains(&name),
        (Some(verb), Some(kind)) => OF_KUBECTL.contains(&verb) && !CLUSTER_WIDE.contains(&kind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::put_in;

    #[test]
    fn commands_get_the_flags_and_nothing_else_does() {
        for (text, placed) in [
            (
                "`kubectl flink upgrade demo --continue` continues it",
                "`kubectl flink -n shop upgrade demo --continue` continues it",
            ),
            (
                "`kubectl flink stop demo`, or `kubectl flink delete demo`",
                "`kubectl flink -n shop stop demo`, or `kubectl flink -n shop delete demo`",
            ),
            (
                "see its log: kubectl flink logs demo --all",
                "see its log: kubectl flink -n shop logs demo --all",
            ),
            (
                "`kubectl describe pod demo-x` shows why",
                "`kubectl -n shop describe pod demo-x` shows why",
            ),
        ] {
            assert_eq!(put_in(text, "-n shop"), placed);
        }
        for same in [
            "`kubectl flink list -A` shows the clusters of all namespaces",
            "`kubectl flink prune -n other`",
            "`kubectl flink image build --lib FILE` puts it there",
            "`kubectl describe node a` shows since when",
            "`kubectl auth whoami` shows who you are",
            "log in as for kubectl",
            "kubectl runs it",
            "",
        ] {
            assert_eq!(put_in(same, "-n shop"), same);
        }
    }
}
