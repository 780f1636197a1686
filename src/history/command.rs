//! The commands that the history names: in its revisions, its savepoints and its journal.

/// A command that changes a cluster or takes a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Adopt,
    /// The change of a cluster that exists; `apply` creates as `create` does.
    Apply,
    Cancel,
    Clone,
    Create,
    Delete,
    Edit,
    /// The name has the flag, as hints say which command to repeat.
    Recover,
    Rehearse,
    Restart,
    Resume,
    Rollback,
    Savepoint,
    SavepointResume,
    Scale,
    Set,
    Stop,
    Suspend,
    Upgrade,
}

/// The names are stored, so they stay.
const NAMES: [(Command, &str); 19] = [
    (Command::Adopt, "adopt"),
    (Command::Apply, "apply"),
    (Command::Cancel, "cancel"),
    (Command::Clone, "clone"),
    (Command::Create, "create"),
    (Command::Delete, "delete"),
    (Command::Edit, "edit"),
    (Command::Recover, "restart --recover"),
    (Command::Rehearse, "rehearse"),
    (Command::Restart, "restart"),
    (Command::Resume, "resume"),
    (Command::Rollback, "rollback"),
    (Command::Savepoint, "savepoint"),
    (Command::SavepointResume, "savepoint-resume"),
    (Command::Scale, "scale"),
    (Command::Set, "set"),
    (Command::Stop, "stop"),
    (Command::Suspend, "suspend"),
    (Command::Upgrade, "upgrade"),
];

impl Command {
    /// The command of a stored name; `None`: one of another version of the plugin.
    pub(crate) fn stored(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(command, _)| *command)
    }

    pub(crate) fn as_str(self) -> &'static str {
        let found = NAMES.iter().find(|(command, _)| *command == self);
        found.map_or("", |(_, name)| name)
    }
}

/// Compares a stored name.
impl PartialEq<Command> for String {
    fn eq(&self, command: &Command) -> bool {
        self == command.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_the_name_that_is_stored() {
        for (command, name) in NAMES {
            assert_eq!(command.as_str(), name);
            assert_eq!(Command::stored(name), Some(command));
            assert!(name.to_owned() == command);
        }
        assert_eq!(Command::stored("upgrade, back to revision 1"), None);
    }
}
