//! The validated spec of a cluster, with all defaults.

mod validation;

use super::flink::FlinkVersion;
use super::image_name::ImageName;
use super::names::{ClusterName, MAX_LENGTH};
use crate::error::{Error, Result};
use crate::model::config::{Config, Entrypoint, JobId, USRLIB};
use crate::model::flink::{job_id, memory};
use validation::{validate_high_availability, validate_script_keys, validate_sql, validate_texts};

/// Stands in the seed of a job ID for the number of the Kubernetes Job.
pub(crate) const GENERATION: &str = "$GENERATION";

/// Largest parallelism that Flink supports: 2^15. Source: Flink's
/// `KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM`.
pub(crate) const MAX_PARALLELISM: u32 = 32_768;

/// Prefix of the URI of a file in the image.
const LOCAL: &str = "local://";

/// Maximum number of JobManagers of a cluster. One leader and one or two standby JobManagers are usual.
pub(crate) const MAX_JOB_MANAGERS: u32 = 16;

/// A validated cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub(crate) name: ClusterName,
    pub(crate) image: String,
    /// Flink's version, if it was given or the image's tag contains it.
    pub(crate) flink_version: Option<FlinkVersion>,
    /// Default parallelism of the job, 1 to [`MAX_PARALLELISM`].
    pub(crate) parallelism: u32,
    /// Task slots per TaskManager.
    pub(crate) slots: u32,
    pub(crate) task_managers: u32,
    /// The given configuration, for fields without a default: the source of everything else.
    pub(crate) layer: Config,
}

impl Spec {
    /// Validates `layer` and fills in the defaults.
    pub fn resolve(layer: Config) -> Result<Self> {
        let Some(name) = &layer.name else {
            return Err(Error::usage("the cluster has no name")
                .hint("set it by NAME on the command line, by FLINK_APPLICATION_NAME, or by metadata.name of a file"));
        };
        let name = ClusterName::new(name)?;
        let image = match layer.image.as_deref() {
            Some(image) => ImageName::parse(image).map(|_| image.to_owned())?,
            None => {
                return Err(Error::usage(format!("cluster {name} has no image")).hint(
                    "set it with --image IMAGE or FLINK_IMAGE_NAME: an image with Flink, and your jar in /opt/flink/usrlib",
                ));
            }
        };
        // All slots of the TaskManagers, if only their number is given: as in the operator.
        let parallelism = layer.parallelism.or(layer.all_slots()).unwrap_or(1);
        if !(1..=MAX_PARALLELISM).contains(&parallelism) {
            return Err(Error::usage(format!(
                "invalid parallelism {parallelism}: Flink takes 1 to {MAX_PARALLELISM}"
            )));
        }
        let slots = layer.slots.unwrap_or(1);
        if slots == 0 {
            return Err(Error::usage(
                "invalid number of task slots 0: a TaskManager has at least 1",
            ));
        }
        validate_texts(&layer)?;
        validate_sql(&layer)?;
        let flink_version = layer.flink_version.or_else(|| FlinkVersion::of_image(&image));
        validate_high_availability(&layer, flink_version)?;
        validate_script_keys(&layer)?;
        for (role, memory) in [
            ("jobmanager", layer.job_manager.memory),
            ("taskmanager", layer.task_manager.memory),
        ] {
            if let Some(memory) = memory {
                let what = format!("--{role}-memory");
                memory::check(role, &what, memory, &layer.configuration, flink_version)?;
            }
        }
        if let Some(JobId::Fixed(id)) = &layer.job_id {
            job_id::parse(id)?;
        }
        if layer.sql.is_some()
            && let Some(version) = flink_version.filter(|version| *version < FlinkVersion::new(2, 0))
        {
            let error = Error::usage(format!(
                "Flink {version} cannot run a SQL script as its job, that came with 2.0"
            ));
            let error = error.hint("a jar whose program runs the script does the same there: --jar and --job-class");
            return Err(layer.because_of_version(error));
        }
        // Jars in the image are added to the class path, see `manifests`.
        let fetched = |jar: &String| !jar.starts_with(LOCAL);
        if layer.jars.iter().flatten().any(fetched)
            && let Some(version) = flink_version.filter(|version| !version.takes_jars())
        {
            let error = Error::usage(format!("Flink {version} cannot fetch jars, that came with 1.19"));
            let error = error.hint("put the jar into the image, under /opt/flink/usrlib");
            return Err(layer.because_of_version(error));
        }
        Ok(Self {
            image,
            flink_version,
            parallelism,
            slots,
            task_managers: layer.task_managers.unwrap_or_else(|| parallelism.div_ceil(slots)),
            name,
            // The high-availability settings of lower layers are already removed.
            layer: Config { no_ha: false, ..layer },
        })
    }

    /// Whether Flink gets jars by `--jars`, as it does where its version is not known.
    pub(crate) fn takes_jars(&self) -> bool {
        self.flink_version.is_none_or(FlinkVersion::takes_jars)
    }

    /// The jars of the image that a release before 1.19 finds in its class path: it does not support `--jars`.
    ///
    /// Source: the operator's `FlinkConfigBuilder.getStandaloneJarURI`.
    pub(crate) fn jars_on_class_path(&self) -> Vec<String> {
        let jars = self.layer.jars.iter().flatten();
        let jars = jars.filter(|jar| !self.takes_jars() && !jar.starts_with(USRLIB));
        jars.filter_map(|jar| Some(format!("file://{}", jar.strip_prefix(LOCAL)?)))
            .collect()
    }

    /// The arguments of the image's entrypoint; `None`: those of the template.
    pub(crate) fn entrypoint(&self) -> Option<Entrypoint> {
        self.layer.entrypoint.or_else(|| {
            self.flink_version
                .map(FlinkVersion::entrypoint)
                .filter(|word| *word == Entrypoint::Legacy)
        })
    }

    /// Whether high availability is Kubernetes' own: leaders in ConfigMaps, which need rights.
    pub(crate) fn ha_by_kubernetes(&self) -> bool {
        self.layer.ha.is_some() && self.layer.zookeeper.is_none()
    }

    /// Whether the RBAC objects of high availability are created with the cluster.
    pub(crate) fn creates_rbac(&self) -> bool {
        self.ha_by_kubernetes() && self.layer.ha_create_rbac == Some(true)
    }

    /// Number of JobManagers: more than one only with high availability.
    pub(crate) fn job_managers(&self) -> u32 {
        self.layer.job_managers.unwrap_or(1)
    }

    /// The job ID for the `generation`-th Kubernetes Job of this cluster.
    ///
    /// With high availability every generation needs its own ID that stays the same when the JobManager is restarted:
    /// an ended job ID never runs again (Flink 1.20 then silently exits with 0). Without high availability there is no
    /// fixed ID: a restarted JobManager must not run under an old one.
    pub(crate) fn job_id(&self, namespace: &str, generation: u64) -> Option<String> {
        match &self.layer.job_id {
            Some(JobId::Fixed(id)) => Some(id.to_ascii_lowercase()),
            Some(JobId::Seed(seed)) => Some(job_id::from_seed(&seed.replace(GENERATION, &generation.to_string()))),
            None if self.layer.ha.is_some() => {
                let identity = self.identity(generation, '/');
                Some(job_id::from_seed(&format!("{namespace}/{}/{identity}", self.name)))
            }
            None => None,
        }
    }

    /// The text that distinguishes the `generation`-th Kubernetes Job from all others of this name.
    pub(crate) fn identity(&self, generation: u64, separator: char) -> String {
        match &self.layer.nonce {
            Some(nonce) => format!("{generation}{separator}{nonce}"),
            None => generation.to_string(),
        }
    }

    /// `kubernetes.cluster-id` of the `generation`-th Kubernetes Job, under which Flink keeps its ConfigMaps: at most 45
    /// characters, `[a-z]([-a-z0-9]*[a-z0-9])?`. Without a nonce it is the cluster's name.
    pub(crate) fn cluster_id(&self, generation: u64) -> String {
        let name = self.name.as_str();
        if self.layer.nonce.is_none() {
            return name.to_owned();
        }
        let identity = self.identity(generation, '-');
        let room = MAX_LENGTH.saturating_sub(identity.len() + 1).min(name.len());
        format!("{}-{identity}", name[..room].trim_end_matches('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flink::arguments::MAX_ARGUMENT;

    fn with(change: impl FnOnce(&mut Config)) -> Config {
        let named =
            Config::default().with(|it| (it.name, it.image) = (Some("demo".into()), Some("flink:2.3.0".into())));
        named.with(change)
    }

    fn spec(change: impl FnOnce(&mut Config)) -> Spec {
        Spec::resolve(with(change)).unwrap()
    }

    #[test]
    fn task_managers_are_as_many_as_the_slots_need() {
        let spec = spec(|it| (it.parallelism, it.slots) = (Some(5), Some(2)));
        assert_eq!(spec.task_managers, 3);
        assert_eq!(spec.flink_version, Some(FlinkVersion::new(2, 3)));
        assert_eq!(spec.job_id("ns", 1), None);
    }

    #[test]
    fn high_availability_has_a_job_id_for_each_generation() {
        let spec = spec(|it| it.ha = Some("s3://ha".into()));
        assert_eq!(spec.job_id("ns", 1).unwrap().len(), 32);
        assert_eq!(spec.job_id("ns", 1), spec.job_id("ns", 1));
        assert_ne!(spec.job_id("ns", 1), spec.job_id("ns", 2));
        assert_ne!(spec.job_id("ns", 1), spec.job_id("other", 1));
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        type Case = (fn(&mut Config), &'static str);
        let cases: &[Case] = &[
            (|it| it.image = None, "no image"),
            (|it| it.image = Some("a b".into()), "\"a b\""),
            (|it| it.image = Some("flink:".into()), "registry/name:tag"),
            (|it| it.parallelism = Some(0), "1 to 32768"),
            (|it| it.parallelism = Some(32_769), "1 to 32768"),
            (|it| it.slots = Some(0), "at least 1"),
            (|it| it.job_id = Some(JobId::Fixed("x".into())), "32 hexadecimal"),
            (|it| it.arguments = Some(vec!["a\0".into()]), "NUL"),
            (
                |it| it.arguments = Some(vec!["a".repeat(MAX_ARGUMENT + 1)]),
                "131072 bytes",
            ),
            (
                |it| (it.image, it.jars) = (Some("flink:1.18".into()), Some(vec!["a".into()])),
                "1.19",
            ),
            (|it| it.env = [("a=b".to_owned(), String::new())].into(), "\"a=b\""),
            // What only high availability can do needs it.
            (|it| it.job_managers = Some(2), "2 JobManagers need high availability"),
            (
                |it| (it.image, it.ha, it.job_managers) = (Some("flink:1.14".into()), Some("/ha".into()), Some(2)),
                "Flink 1.14 cannot have 2 JobManagers",
            ),
            (
                |it| it.zookeeper = Some("zk:2181".into()),
                "used by high availability only",
            ),
            (
                |it| it.ha_create_rbac = Some(true),
                "--ha-create-rbac needs high availability",
            ),
            (|it| available(it, "zk:2181", Some(true)), "nothing to make"),
            (|it| available(it, "zk:2181,:x", None), "\"zk:2181,:x\""),
            (
                |it| (it.ha, it.zookeeper_root) = (Some("/ha".into()), Some("/a".into())),
                "needs a ZooKeeper",
            ),
        ];
        for (change, reason) in cases {
            let error = Spec::resolve(with(change)).unwrap_err();
            assert!(error.message.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn a_refusal_because_of_a_stated_version_names_the_flag() {
        let cases: [fn(&mut Config); 2] = [
            |it| it.jars = Some(vec!["s3://b/a.jar".into()]),
            |it| it.sql = Some("SELECT 1".into()),
        ];
        for change in cases {
            let refused = |version: Option<FlinkVersion>, image: &str| {
                let mut config = with(change);
                (config.flink_version, config.image) = (version, Some(image.to_owned()));
                Spec::resolve(config).unwrap_err().hints.join("\n")
            };
            let stated = refused(Some(FlinkVersion::new(1, 18)), "orders:7");
            assert!(stated.contains("Flink 1.18 was set by --flink-version"), "{stated}");
            assert!(stated.contains("`--flink-version VERSION` corrects it"), "{stated}");
            let tagged = refused(None, "flink:1.18.1");
            assert!(!tagged.contains("--flink-version"), "{tagged}");
        }
    }

    fn available(config: &mut Config, zookeeper: &str, rbac: Option<bool>) {
        (config.ha, config.zookeeper) = (Some("/ha".into()), Some(zookeeper.into()));
        config.ha_create_rbac = rbac;
    }

    #[test]
    fn each_revision_has_ids_of_its_own() {
        let spec = |name: &str, nonce: Option<&str>| {
            spec(|it| {
                it.name = Some(name.to_owned());
                it.ha = Some("s3://b/ha".into());
                it.nonce = nonce.map(ToOwned::to_owned);
            })
        };
        let demo = spec("demo", Some("k3x9a0b1"));
        assert_eq!(demo.cluster_id(7), "demo-7-k3x9a0b1");
        assert_eq!(spec("demo", None).cluster_id(7), "demo");
        let long = "a".repeat(30) + "-b-" + &"c".repeat(12);
        for number in [1, 99, u64::MAX] {
            let id = spec(&long, Some("k3x9a0b1")).cluster_id(number);
            assert!(id.len() <= 45 && id.starts_with("aaaa"), "{id}");
            assert!(
                id.ends_with(&format!("a-{number}-k3x9a0b1")) || id.ends_with(&format!("-{number}-k3x9a0b1")),
                "{id}"
            );
            assert!(!id.contains("--"), "{id}");
        }
        let ids = [
            demo.job_id("ns", 1),
            demo.job_id("ns", 2),
            spec("demo", Some("other")).job_id("ns", 1),
            spec("demo", None).job_id("ns", 1),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    }

    /// With high availability an ended ID never runs again.
    #[test]
    fn a_seed_may_have_the_generation() {
        let spec = spec(|it| it.job_id = Some(JobId::Seed(format!("demo/u/{GENERATION}"))));
        assert_ne!(spec.job_id("ns", 1), spec.job_id("ns", 2));
        assert_eq!(spec.job_id("ns", 1), Some(job_id::from_seed("demo/u/1")));
    }
}
