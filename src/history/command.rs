//! The commands that the history names: in its revisions, its savepoints and its journal.

/// Declares the commands with their names. The names are stored, so they stay.
macro_rules! commands {
    ($($(#[$doc:meta])* $command:ident = $name:literal,)+) => {
        /// A command that changes a cluster or takes a savepoint.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Command {
            $($(#[$doc])* $command,)+
        }

        const NAMES: &[(Command, &str)] = &[$((Command::$command, $name)),+];
    };
}

commands! {
    Adopt = "adopt",
    /// The change of a cluster that exists; `apply` creates as `create` does.
    Apply = "apply",
    Cancel = "cancel",
    Clone = "clone",
    Create = "create",
    Delete = "delete",
    Edit = "edit",
    /// The name has the flag, as hints say which command to repeat.
    Recover = "restart --recover",
    Rehearse = "rehearse",
    Restart = "restart",
    Resume = "resume",
    Rollback = "rollback",
    Savepoint = "savepoint",
    SavepointResume = "savepoint-resume",
    Scale = "scale",
    Set = "set",
    Stop = "stop",
    Suspend = "suspend",
    Upgrade = "upgrade",
}

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
        for &(command, name) in NAMES {
            assert_eq!(command.as_str(), name);
            assert_eq!(Command::stored(name), Some(command));
            assert!(name.to_owned() == command);
        }
        assert_eq!(Command::stored("upgrade, back to revision 1"), None);
    }
}
