//! The two versions of a cluster in a transaction.

use crate::error::{Error, Result};
use crate::history::transaction::state_machine::Version;
use crate::history::transaction::{Journal, is_same_place};
use crate::history::{Revision, revision_spec};
use crate::kubernetes::clock;
use crate::model::flink::job_id;
use crate::model::manifests::Manifests;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::target_revision::TargetRevision;

pub(crate) struct VersionSpec {
    pub(crate) wanted: TargetRevision,
    /// The same, with all defaults.
    pub(crate) spec: Spec,
    pub(crate) manifests: Manifests,
    pub(crate) number: u64,
    /// The savepoint or checkpoint that it starts from; `None`: it starts empty.
    pub(crate) start: Option<String>,
}

impl VersionSpec {
    pub(crate) fn of(handle: &ClusterHandle, journal: &Journal, side: Version) -> Result<Self> {
        let (of, number) = match side {
            Version::Target => (journal.new_revision, journal.new_revision),
            Version::Previous => (journal.old_revision, journal.rollback_revision),
        };
        let history = handle.store.history();
        let revision = of.and_then(|of| history.revision(of));
        let (Some(revision), Some(number)) = (revision, number) else {
            return Err(Error::failure(format!(
                "the history of {} does not have the revision that its journal names",
                handle.name
            )));
        };
        let mut wanted = match side {
            Version::Target => TargetRevision::next_start(revision)?,
            Version::Previous => TargetRevision::revision(revision)?,
        };
        let start = match side {
            Version::Target => journal.start.clone(),
            Version::Previous => match &journal.saved_state {
                Some(path) => Some(path.clone()),
                None => revision_spec::layer(revision)?.from_savepoint,
            },
        };
        let is_again = |path: &str| revision.start().is_some_and(|began| is_same_place(began, path));
        if side == Version::Previous && start.as_deref().is_some_and(is_again) {
            // It starts where it started before, with what that start needed.
            wanted.layer.allow_non_restored_state = revision_spec::layer(revision)?.allow_non_restored_state;
        }
        if side == Version::Previous && wanted.layer.ha.is_some() {
            // The nonce differs from other revisions', and is the same for every process that continues the operation.
            wanted.layer.nonce = Some(job_id::nonce(&format!("{}/{number}", journal.started_at)));
        }
        let spec = wanted.spec(start.as_deref())?;
        let namespace = handle.cluster.namespace();
        Ok(Self {
            manifests: wanted.build(start.as_deref(), namespace, number)?,
            spec,
            wanted,
            number,
            start,
        })
    }

    /// The previous version's revision, with its entry in the history when it is created again.
    pub(crate) fn to_revision(&self, journal: &Journal) -> Revision {
        let now = clock::now().to_string();
        let old = journal.old_revision.unwrap_or_default();
        let command = format!("{}, back to revision {old}", journal.command);
        self.wanted
            .to_revision(self.number, self.start.as_deref(), &command, journal.who(), &now)
    }
}
