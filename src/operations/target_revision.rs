//! The target version of a cluster.

use super::job_image::{ImageOptions, JobImage, prepare};
use crate::error::{Error, Result};
use crate::history::{Revision, RevisionOutcome, RevisionState};
use crate::image::registry::RegistryOptions;
use crate::model::config::Config;
use crate::model::flink::config_keys;
use crate::model::flink_deployment;
use crate::model::manifests::{self, Manifests};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;

/// A version of a cluster: the wanted one or the running one.
pub(crate) struct TargetRevision {
    /// All its settings. The state that it starts from is not one of them: see `start`.
    pub(crate) layer: Config,
    pub(crate) templates: Templates,
    /// Whether to store the templates in the history.
    pub(crate) own_templates: bool,
    /// The requested savepoint; `None`: the one with which the running job is stopped.
    pub(crate) restore_from: Option<String>,
    /// Whether to restart it even if nothing differs.
    pub(crate) restart_if_unchanged: bool,
    /// The image to build for it, if any: it is pushed before any change.
    pub(crate) image: Option<JobImage>,
    /// How to read a new image from its registry; `None`: it is not read.
    pub(crate) registry: Option<RegistryOptions>,
}

/// A version as the user states it: a file, or flags over the running version.
pub(crate) struct StatedVersion<'a> {
    pub(crate) name: ClusterName,
    /// The whole version, from a file.
    pub(crate) file: Option<Config>,
    pub(crate) flags: Config,
    /// The user's own templates.
    pub(crate) own: Option<Templates>,
    /// How its image is built and checked.
    pub(crate) image: ImageOptions<'a>,
}

/// Refuses to change a cluster that its file describes as `suspended`: a change would start it.
///
/// # Errors
/// Conflict when it is suspended.
pub(crate) fn refuse_suspended(name: &ClusterName, suspended: bool) -> Result<()> {
    if !suspended {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "job.state says that {name} is suspended, and a change would start it"
    ))
    .hint("job.state: running changes and starts it")
    .hint(format!(
        "`kubectl flink suspend {name}` stops a job that runs, with a savepoint"
    ))
    .hint(format!(
        "`kubectl flink delete {name}` deletes it, and it can be created again, suspended"
    )))
}

impl StatedVersion<'_> {
    /// The whole version, over the existing cluster.
    pub(crate) async fn resolve(&self, handle: &ClusterHandle) -> Result<TargetRevision> {
        let (flags, own) = (self.flags.clone(), self.own.clone());
        let mut wanted = match &self.file {
            Some(file) => TargetRevision::file(handle, handle.in_its_set(file.clone()), flags, own)?,
            None => TargetRevision::changed(handle, flags, own)?,
        };
        // What the file says is as much the user's word as a flag: a jar's manifest does not overrule its entry class.
        let stated = self.file.clone().unwrap_or_default().changed_by(self.flags.clone());
        wanted.image = prepare(&self.image, &stated, &mut wanted.layer).await?;
        wanted.registry = self.image.check.then(|| self.image.registry.clone());
        Ok(wanted)
    }
}

impl ClusterHandle {
    /// The running version and its number, which is a free number if it has none.
    pub(crate) fn current(&self) -> Result<(u64, TargetRevision)> {
        let number = self
            .live_revision()
            .unwrap_or_else(|| self.store.history().next_revision());
        Ok((number, TargetRevision::changed(self, Config::default(), None)?))
    }
}

impl TargetRevision {
    /// The cluster's running version, changed by `flags`. `own` are templates that the user gave.
    pub(crate) fn changed(handle: &ClusterHandle, flags: Config, own: Option<Templates>) -> Result<Self> {
        let (templates, base, own_templates) = handle.base(&flags, own)?;
        Ok(Self::of(flags, base, templates, own_templates))
    }

    /// Removes keys of the configuration.
    ///
    /// # Errors
    /// Usage error for a key that is not in it, unless an unfinished operation may have removed it.
    pub(crate) fn remove_keys(&mut self, handle: &ClusterHandle, keys: &[String]) -> Result<()> {
        let name = &handle.name;
        let open = handle.store.history().open_journal();
        let may_be_removed = open.is_some_and(|journal| !journal.yields());
        let configuration = &mut self.layer.configuration;
        for key in keys {
            let before = configuration.len();
            configuration.retain(|known, _| !config_keys::same(known, key));
            if configuration.len() == before && !may_be_removed {
                return Err(
                    Error::usage(format!("{key} is not in the configuration of {name}")).hint(format!(
                        "`kubectl flink export {name}` shows it; `kubectl flink edit {name}` changes it"
                    )),
                );
            }
        }
        Ok(())
    }

    /// The whole version in a file, changed by `flags`.
    pub(crate) fn file(handle: &ClusterHandle, file: Config, flags: Config, own: Option<Templates>) -> Result<Self> {
        let (templates, own_templates) = match own {
            Some(templates) => (templates, true),
            None => handle.kept_templates()?,
        };
        // This setting is for the next start only, as with the flag.
        let flags = Config {
            allow_non_restored_state: flags.allow_non_restored_state.or(file.allow_non_restored_state),
            ..flags
        };
        let mut wanted = Self::of(flags, file, templates, own_templates);
        wanted.templates = wanted.templates.with_parallelism_of(&wanted.layer);
        Ok(wanted)
    }

    /// The version of a revision in the history.
    pub(crate) fn revision(revision: &Revision) -> Result<Self> {
        let (templates, own_templates) = crate::history::revision_spec::templates(revision)?;
        let base = crate::history::revision_spec::layer(revision)?;
        Ok(Self {
            // This image has run already.
            registry: None,
            ..Self::of(Config::default(), base, templates, own_templates)
        })
    }

    /// Like [`Self::revision`], with the settings for its next start only.
    pub(crate) fn next_start(revision: &Revision) -> Result<Self> {
        let mut wanted = Self::revision(revision)?;
        let said = crate::history::revision_spec::layer(revision)?;
        wanted.layer.allow_non_restored_state = said.allow_non_restored_state;
        wanted.layer.job_id = said.job_id;
        Ok(wanted)
    }

    /// `flags` over `base`, without the settings for one start only.
    fn of(flags: Config, base: Config, templates: Templates, own_templates: bool) -> Self {
        let restore_from = flags.from_savepoint.clone();
        let flags_job_id = flags.job_id.clone();
        let base = Config {
            from_savepoint: None,
            allow_non_restored_state: None,
            ..base
        };
        let mut layer = base.changed_by(flags);
        layer.from_savepoint = None;
        // What it turns off is off now.
        layer.no_ha = false;
        // A changed version must run: this ends a `suspend`.
        layer.suspended = false;
        if layer.ha.is_some() {
            // A job ID that has ended never runs again under high availability: each generation gets its own.
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

    /// Sets the number of TaskManagers, if the job needs other `slots` than its parallelism says, and no number is given.
    pub(crate) fn provide(&mut self, slots: u32) -> Result<()> {
        let spec = self.spec(None)?;
        let number = slots.div_ceil(spec.slots);
        if self.layer.task_managers.is_none() && number != spec.task_managers {
            self.layer.task_managers = Some(number);
        }
        Ok(())
    }

    /// Builds the objects with the revision of `old`, and without the settings for the next start only: neither counts
    /// as a difference between versions.
    pub(crate) fn build_as(&self, old: &Self, namespace: &str, generation: u64) -> Result<Manifests> {
        let layer = Config {
            nonce: old.layer.nonce.clone(),
            rpc_port: old.layer.rpc_port,
            allow_non_restored_state: None,
            ..self.layer.clone()
        };
        manifests::build(&Spec::resolve(layer)?, &self.templates, namespace, generation)
    }

    /// The objects of the running version, if it is this one and nothing else is asked for.
    pub(crate) fn unchanged(&self, handle: &ClusterHandle) -> Result<Option<Manifests>> {
        if self.restore_from.is_some() || self.restart_if_unchanged {
            return Ok(None);
        }
        let (number, old) = handle.current()?;
        let new = self.build_as(&old, handle.namespace(), number)?;
        let before = old.build(None, handle.namespace(), number)?;
        Ok((new == before).then_some(new))
    }

    /// Whether both are the same version: each revision has a nonce and a port of its own, and none has the flag that takes
    /// high availability away. The number of TaskManagers may come from the job that ran, if `other` does not give it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let given = other.layer.task_managers.is_some();
        let plain = |layer: &Config| Config {
            nonce: None,
            rpc_port: None,
            no_ha: false,
            task_managers: layer.task_managers.filter(|_| given),
            ..layer.clone()
        };
        plain(&self.layer) == plain(&other.layer) && self.templates == other.templates
    }

    /// The whole spec, with `path` as the start.
    pub(crate) fn spec(&self, path: Option<&str>) -> Result<Spec> {
        Spec::resolve(Config {
            from_savepoint: path.map(ToOwned::to_owned),
            ..self.layer.clone()
        })
    }

    /// Builds the objects, with `path` as the start.
    pub(crate) fn build(&self, path: Option<&str>, namespace: &str, generation: u64) -> Result<Manifests> {
        manifests::build(&self.spec(path)?, &self.templates, namespace, generation)
    }

    /// The entry for the history.
    pub(crate) fn to_revision(&self, number: u64, path: Option<&str>, command: &str, by: &str, now: &str) -> Revision {
        let layer = Config {
            from_savepoint: path.map(ToOwned::to_owned),
            ..self.layer.clone()
        };
        Revision {
            number,
            created_at: now.to_owned(),
            command: command.to_owned(),
            by: Some(by.to_owned()),
            outcome: Some(RevisionOutcome::new(RevisionState::Pending, now, None)),
            spec: flink_deployment::write(&layer),
            templates: self.own_templates.then(|| self.templates.to_array()),
        }
    }
}
