//! Facts about Flink's releases: versions, configuration names, exit codes.

pub(crate) mod arguments;
pub(crate) mod checkpoint_config;
pub(crate) mod checkpoints;
pub(crate) mod config_keys;
pub(crate) mod effective_config;
pub(crate) mod exceptions;
pub(crate) mod file_systems;
pub(crate) mod job_id;
pub(crate) mod live;
pub(crate) mod memory;
pub(crate) mod numbers;
pub(crate) mod overview;
pub(crate) mod process_memory;
pub(crate) mod rest;
pub(crate) mod savepoint_metadata;
pub(crate) mod script_keys;
pub(crate) mod settings;
pub(crate) mod values;

pub(crate) use config_keys::same as same_key;

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::keyword::Keyword;

/// The arguments that the image's entrypoint accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrypoint {
    Official,
    Legacy,
}

impl Keyword for Entrypoint {
    const WORDS: &'static [(Self, &'static str, &'static str)] = &[
        (
            Self::Official,
            "official",
            "`standalone-job` and `taskmanager`: official images from Flink 1.10 on",
        ),
        (
            Self::Legacy,
            "legacy",
            "`job-cluster` and `task-manager`: images built by the scripts in Flink's flink-container folder",
        ),
    ];
}

/// A Flink release, as far as the plugin distinguishes them: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlinkVersion {
    pub(crate) major: u16,
    /// Such as 20 of 1.20.5.
    pub(crate) minor: u16,
}

impl FlinkVersion {
    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Whether its entrypoint knows `--jars`. Source: FLIP-366.
    pub(crate) fn takes_jars(self) -> bool {
        self >= Self::new(1, 19)
    }

    /// The version of Flink in an image's tag, such as 2.3 of `registry:5000/flink:2.3.0-scala_2.12-java17`. `None` for a
    /// digest, no tag, or a tag that numbers something else: users number the releases of their own job.
    pub(crate) fn of_image(image: &str) -> Option<Self> {
        Self::of_flinks_tag(image).or_else(|| {
            let (name, tag) = name_and_tag(image)?;
            let known = |version: &Self| *version >= KNOWN_VERSIONS[0] && version.major <= 2;
            tag.parse()
                .ok()
                .filter(|version| name.contains("flink") && known(version))
        })
    }

    /// The same, of a tag that can only be Flink's: that of an image named `flink`, or with the endings that official
    /// images have. In a registry of their own people number their releases with these endings and names too, so a version
    /// before the oldest known one is Flink's only for Docker Hub's image.
    ///
    /// Source: the tags of apache/flink-docker.
    pub(crate) fn of_flinks_tag(image: &str) -> Option<Self> {
        let (name, tag) = name_and_tag(image)?;
        let flinks = name == "flink" || tag.contains("-scala_") || tag.contains("-java");
        tag.parse()
            .ok()
            .filter(|version: &Self| flinks && matches!(version.major, 1 | 2))
            .filter(|version| *version >= KNOWN_VERSIONS[0] || (name == "flink" && !image.contains('/')))
    }

    /// The entrypoint arguments that official images of this version accept.
    /// Source: apache/flink-docker, whose images have `standalone-job` from 1.10 on.
    pub(crate) fn entrypoint(self) -> Entrypoint {
        if self < Self::new(1, 10) {
            Entrypoint::Legacy
        } else {
            Entrypoint::Official
        }
    }
}

/// The last part of an image's name, and its tag.
fn name_and_tag(image: &str) -> Option<(&str, &str)> {
    image.split('@').next()?.rsplit('/').next()?.split_once(':')
}

impl FromStr for FlinkVersion {
    type Err = Error;

    /// Parses `2.3`, `1.20.5`, and `v1_20` (the operator's notation). It ignores the text after a patch number.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::usage(format!("invalid Flink version {text:?}: it must be like 2.3 or 1.20.5"));
        let plain = text.strip_prefix('v').unwrap_or(text).replace('_', ".");
        let mut parts = plain.split(['.', '-']);
        let number = |part: Option<&str>| part.and_then(|p| p.parse::<u16>().ok());
        match (number(parts.next()), number(parts.next())) {
            (Some(major), Some(minor)) => Ok(Self::new(major, minor)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A Flink process of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// component=master.
    JobManager,
    /// component=task-manager.
    TaskManager,
}

/// Known releases: their entrypoints, REST and configuration keys. Others are treated like the closest known one.
pub(crate) const KNOWN_VERSIONS: &[FlinkVersion] = &[
    FlinkVersion::new(1, 13),
    FlinkVersion::new(1, 14),
    FlinkVersion::new(1, 15),
    FlinkVersion::new(1, 16),
    FlinkVersion::new(1, 17),
    FlinkVersion::new(1, 18),
    FlinkVersion::new(1, 19),
    FlinkVersion::new(1, 20),
    FlinkVersion::new(2, 0),
    FlinkVersion::new(2, 1),
    FlinkVersion::new(2, 2),
    FlinkVersion::new(2, 3),
];

/// Whether Flink runs a job as a Python program, by a class of its own `flink-python` jar.
///
/// Source: Flink's `PackagedProgramUtils.isPython`, tried with 2.3.0.
pub(crate) fn is_python(class: Option<&str>, arguments: &[String]) -> bool {
    const CLASSES: [&str; 2] = [
        "org.apache.flink.client.python.PythonDriver",
        "org.apache.flink.client.python.PythonGatewayServer",
    ];
    const OPTIONS: [&str; 4] = ["-py", "--python", "-pym", "--pyModule"];
    class.is_some_and(|class| CLASSES.contains(&class))
        || arguments.iter().any(|argument| OPTIONS.contains(&argument.as_str()))
}

/// A directory with the same path for JobManager and TaskManagers: with a scheme, or absolute.
///
/// # Errors
///
/// When it is neither: Flink would use it relative to each process's working directory, or reject it.
pub(crate) fn folder(text: &str) -> Result<String, Error> {
    let scheme = text.split_once(":/").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    if scheme || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(Error::usage(format!(
            "{text:?} must be like s3://bucket/folder or file:///folder"
        )))
    }
}

/// Class of Kubernetes high availability, which every release accepts as a value of `high-availability`; the short name
/// `kubernetes` was added in about 1.16.
pub(crate) const KUBERNETES_HA_FACTORY: &str =
    "org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory";

/// Sets addresses and ports, which must match the ports and probes of the objects.
const TEMPLATE: &str = "the templates";

/// Keys that the plugin sets itself, by their present names, and what to use instead.
const OWNED: &[(&str, &str)] = &[
    ("parallelism.default", "--parallelism"),
    ("taskmanager.numberOfTaskSlots", "--slots"),
    ("execution.checkpointing.savepoint-dir", "--savepoint-dir"),
    ("execution.checkpointing.dir", "--checkpoint-dir"),
    ("high-availability.type", "--ha"),
    ("high-availability.storageDir", "--ha"),
    ("high-availability.zookeeper.quorum", "--ha-zookeeper"),
    ("high-availability.zookeeper.path.root", "--ha-zookeeper-root"),
    ("high-availability.cluster-id", "the cluster's name"),
    ("kubernetes.cluster-id", "the cluster's name"),
    ("kubernetes.namespace", "--namespace"),
    ("jobmanager.memory.process.size", "--jobmanager-memory"),
    ("taskmanager.memory.process.size", "--taskmanager-memory"),
    ("execution.state-recovery.path", "--from-savepoint"),
    (
        "execution.state-recovery.ignore-unclaimed-state",
        "--allow-non-restored-state",
    ),
    ("$internal.application.main", "--job-class"),
    ("$internal.application.program-args", "the arguments after --"),
    ("$internal.pipeline.job-id", "--job-id"),
    ("pipeline.jars", "--jar"),
    ("user.artifacts.artifact-list", "--jar"),
    ("jobmanager.rpc.address", TEMPLATE),
    ("jobmanager.rpc.port", TEMPLATE),
    ("jobmanager.bind-host", TEMPLATE),
    ("blob.server.port", TEMPLATE),
    ("rest.address", TEMPLATE),
    ("rest.port", TEMPLATE),
    ("rest.bind-address", TEMPLATE),
    ("rest.bind-port", TEMPLATE),
    ("taskmanager.host", TEMPLATE),
    ("taskmanager.bind-host", TEMPLATE),
    ("taskmanager.rpc.port", TEMPLATE),
];

/// What to use instead of configuration `key`, when the plugin sets that key itself: a flag such as `--slots`, or text
/// such as `the templates`. `None`: users may set the key.
#[must_use]
pub fn owned_key(key: &str) -> Option<&'static str> {
    let key = config_keys::current(key);
    OWNED
        .iter()
        .find(|(owned, _)| *owned == key)
        .map(|(_, instead)| *instead)
}

/// Why users may not set configuration `key`, and what to do instead; `None`: they may.
pub(crate) fn owned_reason(key: &str) -> Option<String> {
    let instead = owned_key(key)?;
    Some(if instead == TEMPLATE {
        "the templates set this key, to match the addresses and ports of their objects: leave it out".to_owned()
    } else {
        format!("the plugin sets this key, use {instead}")
    })
}

/// Settings below `kubernetes.` that Flink reads for all its access to Kubernetes, including high availability.
const KUBERNETES_CLIENT: &[&str] = &[
    "kubernetes.client.",
    "kubernetes.config.file",
    "kubernetes.context",
    "kubernetes.transactional-operation.",
];

/// Parts of keys that only Flink's native Kubernetes deployment reads, and what has the same effect here. In files for
/// the operator many of them are supported, see `flink_deployment/native_keys.rs`.
const NATIVE: &[(&str, &str)] = &[
    ("decorator.", "a podTemplate of a file mounts what it names"),
    ("node-name-label", "a podTemplate of a file has affinity to nodes"),
    (
        "kubernetes.internal.",
        "it is Flink's own, and --job-class names the job's class",
    ),
    ("kubernetes.secrets", "a podTemplate of a file mounts Secrets"),
    (
        "secretKeyRef",
        "a podTemplate of a file takes variables from Secrets (valueFrom)",
    ),
    ("persistent-volume-claim", "--mount mounts claims"),
    ("image.pull-secrets", "--image-pull-secret names them"),
    ("image.pull-policy", "--image-pull-policy sets it"),
    ("container.image", "--image names it"),
    ("service-account", "--service-account names it"),
    ("jobmanager.replicas", "--jobmanager-replicas sets it"),
    (
        "jobmanager.cpu",
        "--jobmanager-cpu sets it; a podTemplate of a file can raise the limit",
    ),
    (
        "taskmanager.cpu",
        "--taskmanager-cpu sets it; a podTemplate of a file can raise the limit",
    ),
    ("memory.limit-factor", "a podTemplate of a file can raise the limit"),
    ("manager.labels", "--label and a podTemplate of a file give labels"),
    (
        "manager.annotations",
        "--annotation and a podTemplate of a file give annotations",
    ),
    ("node-selector", "a podTemplate of a file has nodeSelector"),
    ("tolerations", "a podTemplate of a file has tolerations"),
    ("hostnetwork", "a podTemplate of a file has hostNetwork"),
    (
        "hadoop",
        "a podTemplate of a file mounts the ConfigMap, and -D env.hadoop.conf.dir names the folder",
    ),
    ("flink.log.dir", "-D env.log.dir sets it"),
    ("pod-template-file", "its content belongs below podTemplate of a file"),
    (
        "artifacts.",
        "--jar FILE --push-to REPOSITORY puts the jar into an image",
    ),
    ("entrypoint.args", "the JVM's options are those of -D env.java.opts.all"),
    ("-service.", "the Service is that of the templates"),
    ("entry.path", "the image's own entrypoint is run"),
    ("flink.conf.dir", "Flink's folder is that of the image"),
    ("owner.reference", "the objects of a cluster have owners of their own"),
];

/// Why configuration `key` has no effect in a cluster of plain resources, and what to use instead; `None` for every key
/// that Flink reads.
///
/// Such a key is rejected instead of passed on, because users would not notice that it is ignored.
#[must_use]
pub fn without_effect(key: &str) -> Option<&'static str> {
    let starts = |prefix: &&str| key.starts_with(*prefix);
    if ["kubernetes.operator.", "job.autoscaler."].iter().any(starts) {
        Some("only the operator reads it")
    } else if [
        "containerized.master.env.",
        "containerized.taskmanager.env.",
        "containerized.heap-cutoff-",
    ]
    .iter()
    .any(starts)
    {
        Some("only Flink's own deployers read it; set the containers' environment with --env")
    } else if config_keys::current(key) == "execution.state-recovery.claim-mode" {
        // Tried with 1.17.2, 1.20.5 and 2.3.0.
        Some("each start of the JobManager overwrites it; the claim mode is always NO_CLAIM")
    } else if key.starts_with("external-resource.") && key.ends_with(".kubernetes.config-key") {
        Some("a podTemplate of a file requests the resource for the TaskManagers")
    } else if let Some(reason) = for_no_process(key) {
        Some(reason)
    } else if key.starts_with("kubernetes.") && owned_key(key).is_none() && !KUBERNETES_CLIENT.iter().any(starts) {
        let instead = NATIVE.iter().find(|(part, _)| key.contains(part));
        Some(
            instead.map_or("only Flink's native Kubernetes deployment reads it", |(_, instead)| {
                instead
            }),
        )
    } else {
        None
    }
}

/// Why a `key` that Flink's scripts read has no effect on the processes of a cluster.
///
/// Source: `config.sh` of 1.13 to 2.3, `start-cluster.sh` and `taskmanager.sh`, which binds TaskManagers to NUMA nodes
/// only when it starts them in the background.
fn for_no_process(key: &str) -> Option<&'static str> {
    match key {
        "env.ssh.opts" => Some("only the scripts that start a cluster by SSH read it"),
        "env.java.opts.client" | "env.java.opts.historyserver" | "env.java.opts.sql-gateway" => {
            Some("a cluster has only JobManagers and TaskManagers; use env.java.opts.jobmanager or .taskmanager")
        }
        "taskmanager.compute.numa" => Some("only TaskManagers in the background are bound to NUMA nodes"),
        "zookeeper.heap.mb" => Some("only Flink's own ZooKeeper reads it"),
        _ => None,
    }
}

/// Why a FlinkDeployment's configuration `key` can be ignored: it configures the operator, not the job. `None` for all
/// others.
pub(crate) fn beside_the_job(key: &str) -> Option<&'static str> {
    if key.starts_with("job.autoscaler.") {
        Some("there is no autoscaler here; kubectl flink scale changes the parallelism")
    } else if key.starts_with("kubernetes.operator.") {
        Some("only the operator reads it")
    } else if key.starts_with("kubernetes.rest-service.") {
        Some("the Service is that of the templates; --node-port opens it")
    } else {
        for_no_process(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_a_scheme_or_begin_at_the_root() {
        for good in "s3://bucket/x file:///x file:/x /x abfss://a@b/x s3p://b".split(' ') {
            assert_eq!(folder(good).unwrap(), good);
        }
        for bad in ["", "x", "x/y", "./x", "://x", "s3:bucket", "a b://x"] {
            assert!(folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn owned_keys_name_what_to_use_instead() {
        assert_eq!(owned_key("taskmanager.numberOfTaskSlots"), Some("--slots"));
        let savepoints = "execution.checkpointing.savepoint-dir";
        assert_eq!(owned_key(savepoints), owned_key("state.savepoints.dir"));
        for (key, instead) in [
            ("rest.port", "the templates"),
            ("recovery.mode", "--ha"),
            ("recovery.zookeeper.storageDir", "--ha"),
            ("state.backend.fs.checkpointdir", "--checkpoint-dir"),
        ] {
            assert_eq!(owned_key(key), Some(instead), "{key}");
        }
        assert_eq!(owned_key("state.backend.type"), None);
    }

    #[test]
    fn keys_that_only_other_deployments_read_are_known() {
        let words = "kubernetes.operator.periodic.savepoint.interval job.autoscaler.enabled kubernetes.jobmanager.cpu \
            external-resource.gpu.kubernetes.config-key containerized.master.env.A \
            execution.state-recovery.claim-mode env.java.opts.client env.ssh.opts";
        for key in words.split(' ') {
            assert!(without_effect(key).is_some(), "{key}");
        }
        // Each with what to use instead.
        for key in config_keys::names().filter(|key| key.starts_with("kubernetes.")) {
            let reason = without_effect(key).or_else(|| beside_the_job(key));
            let client = KUBERNETES_CLIENT.iter().any(|prefix| key.starts_with(prefix));
            assert_eq!(reason.is_none(), client || owned_key(key).is_some(), "{key}");
            assert_ne!(reason, Some("only Flink's native Kubernetes deployment reads it"));
        }
        for key in "kubernetes.client.user-agent kubernetes.cluster-id state.backend.type".split(' ') {
            assert_eq!(without_effect(key), None, "{key}");
        }
    }

    #[test]
    fn versions_are_read_in_every_spelling_in_use() {
        for (text, want) in [
            ("2.3", (2, 3)),
            ("1.20.5", (1, 20)),
            ("v1_20", (1, 20)),
            ("2.3.0-scala_2.12", (2, 3)),
            ("2.3-java17", (2, 3)),
        ] {
            let found: FlinkVersion = text.parse().unwrap();
            assert_eq!(found, FlinkVersion::new(want.0, want.1), "{text}");
        }
        for bad in ["", "2", "latest", "x.y", "2.x"] {
            assert!(bad.parse::<FlinkVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_names_its_version_by_a_tag_of_flink_only() {
        for (image, version, certain) in [
            ("flink:2.3.0", Some("2.3"), true),
            ("registry:5000/team/flink:1.20.5-java17", Some("1.20"), true),
            ("flink:2.3.0@sha256:00", Some("2.3"), true),
            ("flink:1.9.3", Some("1.9"), true),
            ("acme/orders:1.20-scala_2.12", Some("1.20"), true),
            ("acme/orders:2.3-java17", Some("2.3"), true),
            ("acme/flink-orders:1.20.1", Some("1.20"), false),
            ("acme/flink-orders:1.4.2", None, false),
            ("acme/orders:1.4.2", None, false),
            ("acme/orders:1.4.2-java17", None, false),
            ("registry:5000/team/flink:1.4.2", None, false),
            ("acme/orders:2.5.0", None, false),
            ("flinks/orders:2.3", None, false),
            ("flink", None, false),
            ("registry:5000/flink", None, false),
            ("flink:latest", None, false),
            ("flink@sha256:00", None, false),
            ("app:20240101.1", None, false),
            ("app:7.1", None, false),
        ] {
            let found = FlinkVersion::of_image(image).map(|version| version.to_string());
            assert_eq!(found.as_deref(), version, "{image}");
            assert_eq!(FlinkVersion::of_flinks_tag(image).is_some(), certain, "{image}");
        }
    }
}
