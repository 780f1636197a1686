//! The target version of a cluster.

use super::job_image::JobImage;
use crate::error::Result;
use crate::history::{Revision, RevisionOutcome, RevisionState};
use crate::image::registry::RegistryOptions;
use crate::model::config::Config;
use crate::model::flink_deployment;
use crate::model::manifests::{self, Manifests};
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;

/// A version of a cluster: the one to run, or the one that runs.
pub struct TargetRevision {
    /// All that is said of it. From where it starts is not part of it: see `start`.
    pub layer: Config,
    /// The templates of its objects.
    pub templates: Templates,
    /// Whether the templates are worth keeping in the history.
    pub own_templates: bool,
    /// The savepoint that was asked for; `None`: where the running job is stopped.
    pub restore_from: Option<String>,
    /// Whether it should be started again even if nothing differs.
    pub restart_if_unchanged: bool,
    /// The image that it needs, where that is built for it: it is pushed before anything is changed.
    pub image: Option<JobImage>,
    /// How a registry is asked for an image that is new; `None`: it is not.
    pub registry: Option<RegistryOptions>,
}

impl ClusterHandle {
    /// The version that runs, and its number: one that is free where it has none.
    pub fn current(&self) -> Result<(u64, TargetRevision)> {
        let number = self
            .live_revision()
            .unwrap_or_else(|| self.store.history().next_revision());
        Ok((number, TargetRevision::changed(self, Config::default(), None)?))
    }
}

impl TargetRevision {
    /// The cluster as it is, but for what `flags` say. `own` are templates that were given.
    pub fn changed(handle: &ClusterHandle, flags: Config, own: Option<Templates>) -> Result<Self> {
        let (templates, base, own_templates) = handle.base(&flags, own)?;
        // A number of TaskManagers that was right for the old parallelism is not for a new one.
        let rescaled = flags.parallelism.is_some() || flags.slots.is_some();
        let base = Config {
            task_managers: base.task_managers.filter(|_| !rescaled),
            ..base
        };
        Ok(Self::of(flags, base, templates, own_templates))
    }

    /// What a file says as a whole, but for what `flags` say.
    pub fn file(handle: &ClusterHandle, file: Config, flags: Config, own: Option<Templates>) -> Result<Self> {
        let (templates, own_templates) = match own {
            Some(templates) => (templates, true),
            None => handle.kept_templates()?,
        };
        // Said for the start that comes next, as with the flag.
        let flags = Config {
            allow_non_restored_state: flags.allow_non_restored_state.or(file.allow_non_restored_state),
            ..flags
        };
        Ok(Self::of(flags, file, templates, own_templates))
    }

    /// A revision of the history.
    pub fn revision(revision: &Revision) -> Result<Self> {
        let (templates, own_templates) = crate::history::revision_spec::templates(revision)?;
        let base = crate::history::revision_spec::layer(revision)?;
        Ok(Self {
            // It ran before.
            registry: None,
            ..Self::of(Config::default(), base, templates, own_templates)
        })
    }

    /// `flags` over `base`, without what belongs to one start only.
    fn of(flags: Config, base: Config, templates: Templates, own_templates: bool) -> Self {
        let restore_from = flags.from_savepoint.clone();
        let flags_job_id = flags.job_id.clone();
        let mut layer = flags.merged_over(Config {
            from_savepoint: None,
            allow_non_restored_state: None,
            ..base
        });
        layer.from_savepoint = None;
        // What is changed should run: `suspend` ends it.
        layer.suspended = false;
        if layer.ha.is_some() {
            // A job ID that ended is never run again under high availability: each generation gets one of its own.
            layer.job_id = flags_job_id;
        }
        Self {
            layer,
            templates,
            own_templates,
            restore_from,
            restart_if_unchanged: false,
            image: None,
            registry: Some(RegistryOptions::default()),
        }
    }

    /// The objects as if they were of the same revision as `old`, and without what is said for the next start alone: neither
    /// is a difference between versions.
    pub fn build_as(&self, old: &Self, namespace: &str, generation: u64) -> Result<Manifests> {
        let layer = Config {
            nonce: old.layer.nonce.clone(),
            allow_non_restored_state: None,
            ..self.layer.clone()
        };
        manifests::build(&Spec::resolve(layer)?, &self.templates, namespace, generation)
    }

    /// Whether both are the same version: each revision has a nonce of its own.
    pub fn is_same(&self, other: &Self) -> bool {
        let plain = |layer: &Config| Config {
            nonce: None,
            ..layer.clone()
        };
        plain(&self.layer) == plain(&other.layer) && self.templates == other.templates
    }

    /// The whole spec, starting from `path`.
    pub fn spec(&self, path: Option<&str>) -> Result<Spec> {
        Spec::resolve(Config {
            from_savepoint: path.map(ToOwned::to_owned),
            ..self.layer.clone()
        })
    }

    /// The objects, starting from `path`.
    pub fn build(&self, path: Option<&str>, namespace: &str, generation: u64) -> Result<Manifests> {
        manifests::build(&self.spec(path)?, &self.templates, namespace, generation)
    }

    /// As an entry of the history.
    pub fn to_revision(&self, number: u64, path: Option<&str>, command: &str, by: &str, now: &str) -> Revision {
        let layer = Config {
            from_savepoint: path.map(ToOwned::to_owned),
            ..self.layer.clone()
        };
        let templates = &self.templates;
        Revision {
            number,
            created_at: now.to_owned(),
            command: command.to_owned(),
            by: Some(by.to_owned()),
            outcome: Some(RevisionOutcome::new(RevisionState::Pending, now, None)),
            spec: flink_deployment::write(&layer),
            templates: self.own_templates.then(|| {
                [
                    templates.service.clone(),
                    templates.job.clone(),
                    templates.deployment.clone(),
                ]
            }),
        }
    }
}
