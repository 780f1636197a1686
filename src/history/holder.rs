//! The holder of an operation: this process, and whether another one is still running.

use std::io::{self, ErrorKind};
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::History;
use crate::history::transaction::{Holder, Journal};
use crate::model::names::ClusterName;

pub(crate) fn this_process() -> Holder {
    Holder {
        who: who(),
        token: uuid::Uuid::new_v4().simple().to_string(),
        process: identity(std::process::id()),
    }
}

/// The user of this program, as `user@host`.
pub(crate) fn who() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned());
    let host = hostname::get().map_or_else(|_| "unknown".to_owned(), |host| host.to_string_lossy().into_owned());
    format!("{user}@{host}")
}

/// Whether the process of `holder` is running. `None`: unknown on this machine.
pub(crate) fn lives(holder: &Holder) -> Option<bool> {
    let process = holder.process.as_deref()?;
    let mut parts = process.rsplitn(3, '/');
    let (_, pid, machine) = (parts.next()?, parts.next()?, parts.next()?);
    if machine != this_machine()? {
        return None;
    }
    match start(pid.parse().ok()?) {
        Ok(start) => Some(process == format!("{machine}/{pid}/{start}")),
        // If processes of other users are hidden (mount option hidepid), a process that is not visible may be running.
        Err(error) if error.kind() == ErrorKind::NotFound && start(1).is_ok() => Some(false),
        // An unreadable process is not known to have ended.
        Err(_) => None,
    }
}

/// Machine, number and start of a process: numbers are reused, this is not. Only Linux has them in files.
fn identity(pid: u32) -> Option<String> {
    Some(format!("{}/{pid}/{}", this_machine()?, start(pid).ok()?))
}

/// When a process started, in a unit of this machine.
fn start(pid: u32) -> io::Result<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in parentheses, may have spaces. Source: proc(5), field 22 is the start.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    let start = fields.and_then(|fields| fields.split_whitespace().nth(19));
    start
        .map(ToOwned::to_owned)
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

/// The boot ID of the machine, and the PID namespace: containers have their own.
fn this_machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link(Path::new("/proc/self/ns/pid")).ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

pub(crate) fn busy(name: &ClusterName, journal: &Journal) -> Error {
    Error::conflict(format!("{name} is being changed: {journal}; {}", journal.status_text()))
        .hint("wait until it has finished")
}

/// The error for an unfinished operation that no process holds.
pub(crate) fn unfinished(name: &ClusterName, journal: &Journal) -> Error {
    let error = Error::conflict(format!(
        "an operation on {name} is unfinished: {journal}; {}",
        journal.status_text()
    ));
    journal.next_steps(name).into_iter().fold(error, Error::hint)
}

/// Checks that a history still has the operation that is held under `token`.
///
/// # Errors
/// Conflict when it was taken over.
pub(crate) fn check_held(history: Option<&Value>, token: &str) -> Result<()> {
    let history = history.map(History::from_config_map).transpose()?;
    match history.and_then(|history| history.journal) {
        Some(journal) if journal.is_held_by(token) => Ok(()),
        other => Err(taken_over(other.as_ref())),
    }
}

/// The error for an operation that was taken over from this process; `journal` is the history's present journal.
pub(crate) fn taken_over(journal: Option<&Journal>) -> Error {
    let now = journal.map_or_else(
        || "its history was deleted".to_owned(),
        |journal| format!("{journal}; {}", journal.status_text()),
    );
    Error::conflict(format!("another process took the operation over: {now}"))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_to_live_or_to_have_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let holder = Holder {
            process: identity(child.id()),
            ..this_process()
        };
        assert!(holder.process.is_some());
        assert_eq!(lives(&holder), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(lives(&holder), Some(false));
        // Of another machine, or of one whose identity cannot be read, nothing is known.
        let elsewhere = Holder {
            process: holder.process.map(|process| format!("x{process}")),
            ..this_process()
        };
        assert_eq!(lives(&elsewhere), None);
        let silent = Holder {
            process: None,
            ..this_process()
        };
        assert_eq!(lives(&silent), None);
    }
}
