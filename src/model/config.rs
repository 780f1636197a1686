//! The configuration of a cluster from one source, and how sources are merged.
//!
//! Flags, file, environment, configuration file and history each result in a [`Config`], in which a field that the
//! source does not set is absent. [`Config::merged_over`] puts the stronger one on top;
//! [`crate::model::spec::Spec::resolve`] validates the result.

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use super::flink::Entrypoint;
use super::flink::{FlinkVersion, Role, same_key};
use super::keyword::Keyword;
use super::quantity::{Cpu, Memory};
use crate::error::{Error, Result};

/// Start of the URI of a jar in Flink's directory for the jars of a job, where its entrypoint finds them.
pub(crate) const USRLIB: &str = "local:///opt/flink/usrlib/";

/// How the job ID is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobId {
    /// These 32 hexadecimal digits.
    Fixed(String),
    /// Computed from this seed, see [`crate::model::flink::job_id::from_seed`].
    Seed(String),
}

/// What Kubernetes does when the JobManager's container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    UntilTerminal,
    OnFailure,
    Never,
}

impl Keyword for Restart {
    const WORDS: &'static [(Self, &'static str, &'static str)] = &[
        (
            Self::UntilTerminal,
            "until-terminal",
            "Start it again until Flink reports that the job is finished, canceled or failed",
        ),
        (
            Self::OnFailure,
            "on-failure",
            "Start it again on every failure, as Flink's template does",
        ),
        (Self::Never, "never", "Never start it again"),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl Keyword for PullPolicy {
    const WORDS: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Always, "Always", ""),
        (Self::IfNotPresent, "IfNotPresent", ""),
        (Self::Never, "Never", ""),
    ];
}

/// A PersistentVolumeClaim mounted into every container of the cluster (`--mount CLAIM:PATH[:ro]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Name of the PersistentVolumeClaim, in the cluster's namespace.
    pub(crate) claim: String,
    /// Absolute path in the containers.
    pub(crate) path: String,
    pub(crate) read_only: bool,
}

impl std::str::FromStr for Mount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!(
                "invalid mount {text:?}: it must be CLAIM:/PATH or CLAIM:/PATH:ro"
            ))
        };
        let (claim, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (path, read_only) = match rest.strip_suffix(":ro") {
            Some(path) => (path, true),
            None => (rest, false),
        };
        if claim.is_empty() || !path.starts_with('/') || path.contains(':') {
            return Err(wrong());
        }
        Ok(Self {
            claim: claim.to_owned(),
            path: path.to_owned(),
            read_only,
        })
    }
}

impl std::fmt::Display for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}{}",
            self.claim,
            self.path,
            if self.read_only { ":ro" } else { "" }
        )
    }
}

/// The configuration of one role, JobManager or TaskManager.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RoleConfig {
    /// Memory of the whole process: Flink's `process.size` and the container's memory request and limit.
    pub(crate) memory: Option<Memory>,
    /// CPU request and limit of the container.
    pub(crate) cpu: Option<Cpu>,
    /// A Kubernetes PodTemplateSpec merged into the role's Pods after the common one.
    pub(crate) pod_template: Option<Value>,
}

/// The configuration of a cluster from one source. `None` and empty maps: not set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Name of the cluster, not yet validated.
    pub(crate) name: Option<String>,
    /// Namespace; if absent, that of the connection.
    pub(crate) namespace: Option<String>,
    pub(crate) image: Option<String>,
    /// Flink's version, if it is given explicitly.
    pub(crate) flink_version: Option<FlinkVersion>,
    /// Default parallelism of the job, at least 1.
    pub(crate) parallelism: Option<u32>,
    /// Task slots per TaskManager, at least 1.
    pub(crate) slots: Option<u32>,
    /// Number of TaskManagers, if it is not parallelism divided by slots.
    pub(crate) task_managers: Option<u32>,
    pub(crate) job_class: Option<String>,
    /// A SQL script that Flink runs as the job, instead of an entry class (Flink 2.0+).
    pub(crate) sql: Option<String>,
    /// Jars that Flink fetches before the job starts, or takes from the image (Flink 1.19+).
    pub(crate) jars: Option<Vec<String>>,
    pub(crate) job_id: Option<JobId>,
    /// Path of the savepoint or checkpoint to start from.
    pub(crate) from_savepoint: Option<String>,
    /// Whether savepoint state without an operator may be dropped.
    pub(crate) allow_non_restored_state: Option<bool>,
    /// The program's own arguments.
    pub(crate) arguments: Option<Vec<String>>,
    /// Flink configuration, merged key by key.
    pub(crate) configuration: BTreeMap<String, String>,
    pub(crate) entrypoint: Option<Entrypoint>,
    pub(crate) service_account: Option<String>,
    pub(crate) image_pull_policy: Option<PullPolicy>,
    pub(crate) image_pull_secrets: Option<Vec<String>>,
    /// Environment of all containers, merged name by name.
    pub(crate) env: BTreeMap<String, String>,
    /// Volumes mounted into all containers, merged path by path.
    pub(crate) mounts: Vec<Mount>,
    pub(crate) job_manager: RoleConfig,
    pub(crate) task_manager: RoleConfig,
    /// A Kubernetes PodTemplateSpec merged into the Pods of both roles.
    pub(crate) pod_template: Option<Value>,
    pub(crate) savepoint_dir: Option<String>,
    pub(crate) checkpoint_dir: Option<String>,
    /// Whether the high-availability settings of lower layers are removed.
    pub(crate) no_ha: bool,
    /// Storage directory of high availability, with Kubernetes unless `zookeeper` is set; absent: none.
    pub(crate) ha: Option<String>,
    /// Quorum of the ZooKeeper that high availability uses, such as `zk-0:2181,zk-1:2181`.
    pub(crate) zookeeper: Option<String>,
    /// The ZooKeeper node below which all data is kept; Flink's default is `/flink`.
    pub(crate) zookeeper_root: Option<String>,
    /// Whether the RBAC objects for Kubernetes high availability are created with the cluster.
    pub(crate) ha_create_rbac: Option<bool>,
    /// Number of JobManagers, one of which leads.
    pub(crate) job_managers: Option<u32>,
    /// Seconds from the end of the job until Kubernetes deletes the cluster; absent: never.
    pub(crate) ttl_after_finished: Option<u32>,
    /// Port of the nodes under which Flink's web UI is exposed; absent: not exposed.
    pub(crate) node_port: Option<u16>,
    /// What happens when the JobManager's container ends.
    pub(crate) restart: Option<Restart>,
    /// Whether containers beside Flink's in the Job's template stay unchanged, instead of becoming native sidecars.
    pub(crate) keep_sidecars: Option<bool>,
    /// Whether Flink starts without the helper JVMs of the image's scripts, see [`crate::model::manifests::direct_start`].
    pub(crate) direct_start: Option<bool>,
    /// Labels of all objects and Pods, beside the plugin's own.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations of all objects and Pods.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Logging configuration files in Flink's conf directory, name to content.
    pub(crate) log_configuration: BTreeMap<String, String>,
    /// Makes the IDs of high availability unique to this revision, whatever the name of its cluster and however often
    /// it is created. Each revision with high availability gets its own when it is created,
    /// except one that was adopted.
    pub(crate) nonce: Option<String>,
    /// Port of the JobManager's RPC, if it is not the template's: the TaskManagers of two versions that run beside each
    /// other look for different ports. Each revision gets its own when it is created, see
    /// [`crate::model::manifests::surge`].
    pub(crate) rpc_port: Option<u16>,
    /// Whether to create it without Pods, to be resumed later. It is an option of a create, not a part of the cluster's
    /// spec: no revision has it.
    pub(crate) suspended: bool,
}

impl RoleConfig {
    fn merged_over(self, lower: Self) -> Self {
        Self {
            memory: self.memory.or(lower.memory),
            cpu: self.cpu.or(lower.cpu),
            pod_template: self.pod_template.or(lower.pod_template),
        }
    }
}

impl Config {
    pub(crate) const fn role(&self, role: Role) -> &RoleConfig {
        match role {
            Role::JobManager => &self.job_manager,
            Role::TaskManager => &self.task_manager,
        }
    }

    pub(crate) const fn role_mut(&mut self, role: Role) -> &mut RoleConfig {
        match role {
            Role::JobManager => &mut self.job_manager,
            Role::TaskManager => &mut self.task_manager,
        }
    }

    /// The same without high availability, and without what only that has.
    #[must_use]
    pub(crate) fn without_high_availability(self) -> Self {
        Self {
            ha: None,
            zookeeper: None,
            zookeeper_root: None,
            ha_create_rbac: None,
            job_managers: None,
            ..self
        }
    }

    /// Merges `self` over `lower`: the values in `self` take precedence; maps are merged key by key.
    #[must_use]
    pub(crate) fn merged_over(self, lower: Self) -> Self {
        let map = |mut under: BTreeMap<String, String>, upper: BTreeMap<String, String>| {
            under.extend(upper);
            under
        };
        let lower = if self.no_ha {
            lower.without_high_availability()
        } else {
            lower
        };
        // If the lower one used another name of the same key, Flink might read that one.
        let mut configuration = lower.configuration;
        configuration.retain(|key, _| !self.configuration.keys().any(|upper| same_key(key, upper)));
        configuration.extend(self.configuration);
        let mut mounts = lower.mounts;
        mounts.retain(|mount| !self.mounts.iter().any(|upper| upper.path == mount.path));
        mounts.extend(self.mounts);
        // First the fields that have rules of their own, then the names of the others.
        macro_rules! merged {
            ({ $($own:tt)* } $($field:ident)*) => {
                Self { $($own)* $($field: self.$field.or(lower.$field),)* }
            };
        }
        merged!(
            {
                // The Flink version of the lower layer belongs to its image. The tag of another image may give another version.
                flink_version: self.flink_version.or_else(|| {
                    let image = self.image.as_ref().filter(|_| self.image != lower.image);
                    let of_image = image.and_then(|image| FlinkVersion::of_flinks_tag(image));
                    lower.flink_version.map(|said| of_image.unwrap_or(said))
                }),
                // A script and a class with its arguments displace each other.
                sql: self.sql.clone().or(lower.sql.filter(|_| self.job_class.is_none())),
                job_class: self.job_class.or(lower.job_class.filter(|_| self.sql.is_none())),
                arguments: self.arguments.or(lower.arguments.filter(|_| self.sql.is_none())),
                configuration,
                env: map(lower.env, self.env),
                mounts,
                job_manager: self.job_manager.merged_over(lower.job_manager),
                task_manager: self.task_manager.merged_over(lower.task_manager),
                no_ha: self.no_ha || (lower.no_ha && self.ha.is_none()),
                labels: map(lower.labels, self.labels),
                annotations: map(lower.annotations, self.annotations),
                log_configuration: map(lower.log_configuration, self.log_configuration),
                suspended: self.suspended || lower.suspended,
            }
            name namespace image parallelism slots task_managers jars job_id from_savepoint
            allow_non_restored_state entrypoint service_account image_pull_policy image_pull_secrets
            pod_template savepoint_dir checkpoint_dir ha zookeeper zookeeper_root ha_create_rbac job_managers
            ttl_after_finished node_port restart keep_sidecars direct_start nonce rpc_port
        )
    }
}

impl Config {
    /// This description of a whole cluster, changed by `upper`: its number of TaskManagers gives way to another
    /// parallelism or other slots, and a job that is named after the cluster gets its new name.
    #[must_use]
    pub(crate) fn changed_by(mut self, upper: Self) -> Self {
        if upper.task_managers.is_some() {
            // All their slots, as in the operator.
            self.parallelism = None;
        } else if upper.parallelism.is_some() || upper.slots.is_some() {
            self.parallelism = self.parallelism.or(self.all_slots());
            self.task_managers = None;
        }
        let old = self.name.clone();
        let named = upper.configuration.contains_key(JOB_NAME);
        let mut changed = upper.merged_over(self);
        if let (Some(new), Some(job)) = (&changed.name, changed.configuration.get_mut(JOB_NAME))
            && (job.is_empty() || (!named && Some(&*job) == old.as_ref()))
        {
            job.clone_from(new);
        }
        changed
    }

    /// `error`, which Flink's version causes; with where that comes from, if it is stated: the image may have another Flink.
    pub(crate) fn because_of_version(&self, error: Error) -> Error {
        match self.flink_version {
            Some(version) => error.hint(format!(
                "Flink {version} was set by --flink-version or by flinkVersion of a file: if the image has another Flink, `--flink-version VERSION` corrects it"
            )),
            None => error,
        }
    }

    /// The slots of all TaskManagers, if their number is given.
    pub(crate) fn all_slots(&self) -> Option<u32> {
        let slots = self.slots.unwrap_or(1);
        self.task_managers.map(|count| count.saturating_mul(slots))
    }
}

#[cfg(test)]
impl Config {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Flink's key of the job's name. It is empty in a file for the operator that names neither the job nor the cluster.
pub(crate) const JOB_NAME: &str = "pipeline.name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_task_managers_gives_way_to_what_contradicts_it() {
        let file = Config {
            task_managers: Some(2),
            slots: Some(2),
            ..Config::default()
        };
        let numbers = |config: Config| (config.parallelism, config.slots, config.task_managers);
        let changed = |upper: Config| numbers(file.clone().changed_by(upper));
        let parallelism = Config::default().with(|it| it.parallelism = Some(8));
        assert_eq!(changed(parallelism.clone()), (Some(8), Some(2), None));
        // The parallelism stays that of the four slots.
        let slots = Config::default().with(|it| it.slots = Some(4));
        assert_eq!(changed(slots), (Some(4), Some(4), None));
        assert_eq!(changed(Config::default()), (None, Some(2), Some(2)));
        // A variable of the environment below the file.
        assert_eq!(numbers(parallelism.changed_by(file)), (None, Some(2), Some(2)));
    }

    #[test]
    fn a_job_that_is_named_after_its_cluster_gets_the_new_name() {
        let config = |name: Option<&str>, job: Option<&str>| Config {
            name: name.map(ToOwned::to_owned),
            configuration: job
                .map(|job| (JOB_NAME.to_owned(), job.to_owned()))
                .into_iter()
                .collect(),
            ..Config::default()
        };
        for (lower, upper, job) in [
            (config(Some("a"), Some("a")), config(Some("b"), None), Some("b")),
            (
                config(Some("a"), Some("orders")),
                config(Some("b"), None),
                Some("orders"),
            ),
            (config(Some("a"), Some("a")), config(Some("b"), Some("a")), Some("a")),
            (config(Some("a"), Some("a")), config(None, None), Some("a")),
            (config(None, Some("")), config(Some("b"), None), Some("b")),
            (config(Some("b"), None), config(None, Some("")), Some("b")),
            (config(Some("a"), None), config(Some("b"), None), None),
        ] {
            let changed = lower.changed_by(upper);
            assert_eq!(changed.configuration.get(JOB_NAME).map(String::as_str), job);
        }
    }

    #[test]
    fn the_upper_layer_wins_and_maps_are_merged() {
        let upper = Config {
            image: Some("new".into()),
            configuration: BTreeMap::from([("a".into(), "1".into())]),
            mounts: vec!["other:/data".parse().unwrap()],
            ..Config::default()
        };
        let lower = Config {
            image: Some("old".into()),
            parallelism: Some(3),
            configuration: BTreeMap::from([("a".into(), "0".into()), ("b".into(), "2".into())]),
            mounts: vec!["claim:/data:ro".parse().unwrap(), "claim:/more".parse().unwrap()],
            ..Config::default()
        };
        let both = upper.merged_over(lower);
        assert_eq!(both.image.as_deref(), Some("new"));
        assert_eq!(both.parallelism, Some(3));
        let expected = BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        assert_eq!(both.configuration, expected);
        let mounts: Vec<_> = both.mounts.iter().map(ToString::to_string).collect();
        assert_eq!(mounts, ["claim:/more", "other:/data"]);
    }

    #[test]
    fn a_key_of_the_upper_layer_replaces_all_names_of_it() {
        let layer = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
            Config::default().with(|it| it.configuration = pairs.collect())
        };
        let both =
            layer(&[("state.backend", "hashmap")]).merged_over(layer(&[("state.backend.type", "rocksdb"), ("b", "2")]));
        assert_eq!(both, layer(&[("b", "2"), ("state.backend", "hashmap")]));
    }

    #[test]
    fn mounts_are_a_claim_and_an_absolute_path() {
        let mount: Mount = "claim:/data:ro".parse().unwrap();
        assert!(mount.read_only);
        assert_eq!(mount.to_string(), "claim:/data:ro");
        for bad in ["", "claim", "claim:data", ":/data", "claim:/data:rw"] {
            assert!(bad.parse::<Mount>().is_err(), "{bad}");
        }
    }
}
