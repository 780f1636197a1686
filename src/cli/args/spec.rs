//! The flags that describe a cluster, shared by all commands that create one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::args::files;
use crate::cli::args::registry::RegistryArgs;
use crate::cli::args::templates::{manifests_folder, read_templates};
use crate::cli::args::values;
use crate::error::{Error, Result};
use crate::image::reference::Reference;
use crate::model::config::{Config, Entrypoint, JobId, Mount, PullPolicy, Restart, RoleConfig};
use crate::model::flink::FlinkVersion;
use crate::model::flink::arguments::key_value;
use crate::model::flink::{config_keys, job_id};
use crate::model::jar_uri;
use crate::model::names;
use crate::model::quantity::{self, Cpu, Memory};
use crate::model::spec::{MAX_JOB_MANAGERS, MAX_PARALLELISM};
use crate::model::template::Templates;
use crate::operations::config_keys::{check_key, check_value};
use crate::operations::job_image::ImageOptions;
use crate::operations::target_revision::StatedVersion;

/// What a cluster is made of.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct SpecArgs {
    /// Image with Flink, and your jar in /opt/flink/usrlib [new clusters: the variable FLINK_IMAGE_NAME]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Default parallelism of the job [new clusters: the variable FLINK_JOB_PARALLELISM, or 1]
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARALLELISM)))]
    parallelism: Option<u32>,
    /// Task slots of each TaskManager; there are as many TaskManagers as the parallelism needs [new clusters: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: Option<u32>,
    /// Entry class of the job; without it Flink looks for a jar with a Main-Class
    #[arg(long, visible_alias = "job-classname", value_name = "CLASS")]
    job_class: Option<String>,
    /// SQL script to run as the job (Flink 2.0+), instead of a class; put several INSERTs into one EXECUTE STATEMENT
    /// SET
    #[arg(long, value_name = "FILE", conflicts_with_all = ["job_class", "arguments"])]
    sql: Option<PathBuf>,
    /// Jar of the job: a file, which is put on the image (--push-to), or a URI that Flink fetches before the job starts
    /// (Flink 1.19+), repeatable
    #[arg(long, value_name = "FILE|URI")]
    jar: Vec<String>,
    /// Repository for the image with the jar: it is built on --image and pushed there, and the cluster uses it by its
    /// digest
    #[arg(long, value_name = "REPOSITORY[:TAG]", requires = "jar")]
    push_to: Option<Reference>,
    /// Job ID, 32 hexadecimal digits
    #[arg(long, value_name = "ID", conflicts_with = "job_id_seed", value_parser = job_id::parse)]
    job_id: Option<String>,
    /// Text from which the job ID is computed: the first 32 digits of its SHA-256
    #[arg(long, value_name = "TEXT")]
    job_id_seed: Option<String>,
    /// Savepoint or checkpoint to start from
    #[arg(long, visible_alias = "fromSavepoint", value_name = "PATH", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) from_savepoint: Option<String>,
    /// Start even if the savepoint has state that belongs to no operator
    #[arg(long, visible_alias = "allowNonRestoredState")]
    allow_non_restored_state: bool,
    /// Flink configuration, repeatable
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    configuration: Vec<(String, String)>,
    /// Flink's version, if the image's tag does not contain it
    #[arg(long, value_name = "VERSION")]
    flink_version: Option<FlinkVersion>,
    /// Arguments that the image's entrypoint expects [default: by Flink's version]
    #[arg(long, value_name = "KIND")]
    entrypoint: Option<Entrypoint>,
    /// ServiceAccount of the Pods
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// When the image is pulled [new clusters: IfNotPresent]
    #[arg(long, value_name = "POLICY", ignore_case = true)]
    image_pull_policy: Option<PullPolicy>,
    /// Do not check the image in its registry before the cluster is created
    #[arg(long)]
    pub(crate) no_image_check: bool,
    /// Secret with credentials for the image's registry, repeatable
    #[arg(long, value_name = "SECRET")]
    image_pull_secret: Vec<String>,
    /// Environment variable of the containers, repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::pair)]
    env: Vec<(String, String)>,
    /// PersistentVolumeClaim to mount into the containers, repeatable
    #[arg(long, value_name = "CLAIM:PATH[:ro]")]
    mount: Vec<Mount>,
    /// Memory of the JobManager's process, such as 1600m or 2g
    #[arg(long, value_name = "SIZE", value_parser = quantity::memory_flink)]
    jobmanager_memory: Option<Memory>,
    /// Memory of a TaskManager's process, such as 1728m or 4g
    #[arg(long, value_name = "SIZE", value_parser = quantity::memory_flink)]
    taskmanager_memory: Option<Memory>,
    /// CPU of the JobManager, such as 1 or 500m
    #[arg(long, value_name = "CORES", value_parser = quantity::cpu)]
    jobmanager_cpu: Option<Cpu>,
    /// CPU of a TaskManager, such as 1 or 500m
    #[arg(long, value_name = "CORES", value_parser = quantity::cpu)]
    taskmanager_cpu: Option<Cpu>,
    /// Folder in which savepoints are written
    #[arg(long, value_name = "URI", value_parser = crate::model::flink::folder)]
    savepoint_dir: Option<String>,
    /// Folder in which checkpoints are written
    #[arg(long, value_name = "URI", value_parser = crate::model::flink::folder)]
    checkpoint_dir: Option<String>,
    /// High availability with its data in this folder: by Kubernetes, or with --ha-zookeeper by ZooKeeper
    #[arg(long, value_name = "STORAGE_DIR", value_parser = crate::model::flink::folder)]
    ha: Option<String>,
    /// No high availability, even if the file, the configuration file or the cluster has it
    #[arg(long, conflicts_with_all = ["ha", "ha_zookeeper", "ha_zookeeper_root", "ha_create_rbac", "jobmanager_replicas"])]
    no_ha: bool,
    /// High availability by this ZooKeeper, such as zk-0:2181,zk-1:2181
    #[arg(long, value_name = "QUORUM")]
    ha_zookeeper: Option<String>,
    /// Node of ZooKeeper below which its data is kept [new clusters: /flink]
    #[arg(long, value_name = "PATH")]
    ha_zookeeper_root: Option<String>,
    /// Create the ServiceAccount, Role and RoleBinding that high availability needs; with --service-account only the
    /// Role and RoleBinding
    #[arg(long)]
    ha_create_rbac: bool,
    /// Number of JobManagers: one leads, the others stand by (with --ha) [new clusters: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_JOB_MANAGERS)))]
    jobmanager_replicas: Option<u32>,
    /// Let Kubernetes delete the cluster, but not its history, this long after its job has ended
    #[arg(long, value_name = "DURATION", value_parser = values::seconds)]
    ttl_after_finished: Option<u32>,
    /// Expose Flink's web UI on this port of the nodes; it has no authentication
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "30081", value_parser = clap::value_parser!(u16).range(1..))]
    node_port: Option<u16>,
    /// What to do when the JobManager's container ends [new clusters: until-terminal]
    #[arg(long, value_name = "POLICY")]
    restart: Option<Restart>,
    /// Leave containers beside Flink's as they are; otherwise those of the JobManager become native sidecars, so that
    /// its Job can end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    keep_sidecars: Option<bool>,
    /// Start Flink without the helper JVMs of the image's scripts: the plugin computes their results, and the JVM's
    /// command line is the same
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    direct_start: Option<bool>,
    /// Turn on the settings that `profile` needs: flame graphs, and with Flink 1.19+ profiles of its processes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    profiling: Option<bool>,
    /// Label of all objects and Pods, repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    label: Vec<(String, String)>,
    /// Annotation of all objects and Pods, repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    annotation: Vec<(String, String)>,
    /// Folder with templates of the Service, the Job and the Deployment
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// How registries are spoken to.
    #[command(flatten)]
    registry: RegistryArgs,
    /// Arguments of the program
    #[arg(last = true, value_name = "PROGRAM ARGUMENTS", help_heading = "Program")]
    arguments: Vec<String>,
}

impl SpecArgs {
    /// The version of the cluster `name` in these flags, and in the file at `path`.
    pub(crate) fn version(&self, name: Option<&str>, path: Option<&Path>) -> Result<StatedVersion<'_>> {
        let (file, source) = match path {
            Some(path) => Some(files::read_one(path, name)?).unzip(),
            None => (None, None),
        };
        let name = files::name_of(name, file.as_ref())?;
        let flags = Config {
            name: Some(name.to_string()),
            ..self.layer()?
        };
        if let (Some(file), Some(source)) = (&file, &source) {
            files::check(file, source, &flags)?;
        }
        Ok(StatedVersion {
            name,
            file,
            flags,
            own: self.templates()?,
            image: self.image_options()?,
        })
    }

    pub(crate) fn layer(&self) -> Result<Config> {
        for (key, value) in &self.configuration {
            check_key(key, "-D ")?;
            check_value(key, value, "-D ")?;
        }
        let configuration = self.configuration();
        if let Some((first, key)) = config_keys::contradictions(&configuration).next() {
            let other = &configuration[first];
            return Err(Error::usage(format!(
                "-D {key}: {first}, another name of this key, says {other:?}"
            )));
        }
        let own = |key: &str| key.starts_with("kubectl-flink/") || names::is_own_label(key);
        let labels = self.label.iter().map(|(key, _)| ("--label", key));
        let annotations = self.annotation.iter().map(|(key, _)| ("--annotation", key));
        if let Some((flag, key)) = labels.chain(annotations).find(|(_, key)| own(key)) {
            return Err(Error::usage(format!("{flag} {key}: the plugin sets this key itself")));
        }
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| Error::unreadable_file(path, error));
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let map = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<BTreeMap<_, _>>();
        Ok(Config {
            image: self.image.clone(),
            parallelism: self.parallelism,
            slots: self.slots,
            job_class: self.job_class.clone(),
            sql: self.sql.as_deref().map(read).transpose()?,
            jars: some(&self.fetched_jars()?),
            job_id: self
                .job_id
                .clone()
                .map(JobId::Fixed)
                .or(self.job_id_seed.clone().map(JobId::Seed)),
            from_savepoint: self.from_savepoint.clone(),
            allow_non_restored_state: self.allow_non_restored_state.then_some(true),
            configuration,
            flink_version: self.flink_version,
            entrypoint: self.entrypoint,
            service_account: self.service_account.clone(),
            image_pull_policy: self.image_pull_policy,
            image_pull_secrets: some(&self.image_pull_secret),
            env: map(&self.env),
            mounts: self.mount.clone(),
            job_manager: RoleConfig {
                memory: self.jobmanager_memory,
                cpu: self.jobmanager_cpu,
                pod_template: None,
            },
            task_manager: RoleConfig {
                memory: self.taskmanager_memory,
                cpu: self.taskmanager_cpu,
                pod_template: None,
            },
            savepoint_dir: self.savepoint_dir.clone(),
            checkpoint_dir: self.checkpoint_dir.clone(),
            no_ha: self.no_ha,
            ha: self.ha.clone(),
            zookeeper: self.ha_zookeeper.clone(),
            zookeeper_root: self.ha_zookeeper_root.clone(),
            ha_create_rbac: self.ha_create_rbac.then_some(true),
            job_managers: self.jobmanager_replicas,
            ttl_after_finished: self.ttl_after_finished,
            node_port: self.node_port,
            restart: self.restart,
            keep_sidecars: self.keep_sidecars,
            direct_start: self.direct_start,
            labels: map(&self.label),
            annotations: map(&self.annotation),
            arguments: some(&self.arguments),
            ..Config::default()
        })
    }

    /// Flink's configuration: what -D says comes before what --profiling does.
    fn configuration(&self) -> BTreeMap<String, String> {
        let version = self.flink_version;
        let version = version.or_else(|| self.image.as_deref().and_then(FlinkVersion::of_image));
        let has_profiler = version.is_none_or(|version| version >= FlinkVersion::new(1, 19));
        let keys = [
            ("rest.flamegraph.enabled", true),
            ("rest.profiling.enabled", has_profiler),
        ];
        let own = keys.into_iter().filter(|(_, known)| *known).filter_map(|(key, _)| {
            let value = self.profiling?.to_string();
            Some((key.to_owned(), value))
        });
        own.chain(self.configuration.iter().cloned()).collect()
    }

    fn fetched_jars(&self) -> Result<Vec<String>> {
        let (fetched, local): (Vec<_>, Vec<_>) = self.jar.iter().cloned().partition(|jar| is_uri(jar));
        if let (Some(jar), None) = (local.first(), &self.push_to) {
            return Err(
                Error::usage(format!("--jar {jar} is a file on this machine, and no Pod can read it"))
                    .hint(format!(
                        "--jar {jar} --push-to REPOSITORY puts it on the image and pushes that"
                    ))
                    .hint("--jar s3://BUCKET/APP.jar, or another URI, lets Flink fetch it (Flink 1.19+)")
                    .hint(format!("--jar local://{} is a jar that the image has", absolute(jar))),
            );
        }
        match fetched.iter().find_map(|jar| jar_uri::fault(jar)) {
            Some(fault) => Err(Error::usage(format!("--jar {fault}"))),
            None => Ok(fetched),
        }
    }

    pub(crate) fn image_options(&self) -> Result<ImageOptions<'_>> {
        let build = self.push_to.as_ref().map(|target| {
            if target.digest.is_some() {
                return Err(Error::usage(format!(
                    "--push-to {target}: the digest is computed from the image, and cannot be chosen"
                )));
            }
            let local: Vec<&str> = self.jar.iter().map(String::as_str).filter(|jar| !is_uri(jar)).collect();
            if local.is_empty() {
                return Err(Error::usage("--push-to needs a --jar that is a file on this machine"));
            }
            Ok((local, target))
        });
        Ok(ImageOptions {
            build: build.transpose()?,
            registry: self.registry.options(),
            check: !self.no_image_check,
        })
    }

    pub(crate) fn savepoint_dir(&self) -> Option<String> {
        self.savepoint_dir.clone()
    }

    /// The user's own templates: from the flag, or from the folder `manifests` in the configuration folder.
    /// `None`: there are none.
    pub(crate) fn templates(&self) -> Result<Option<Templates>> {
        let folder = match &self.manifests {
            Some(folder) => folder.clone(),
            None => match manifests_folder().filter(|folder| folder.is_dir()) {
                Some(folder) => folder,
                None => return Ok(None),
            },
        };
        read_templates(&folder).map(Some)
    }
}

/// Whether a jar is given by a URI. One letter before the colon is a Windows drive.
fn is_uri(jar: &str) -> bool {
    let scheme = jar.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A possible path of such a jar in an image.
fn absolute(jar: &str) -> String {
    let name = Path::new(jar).file_name().unwrap_or_default().to_string_lossy();
    if jar.starts_with('/') {
        jar.to_owned()
    } else {
        format!("/opt/flink/usrlib/{name}")
    }
}
