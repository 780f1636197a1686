//! The state of a cluster when a command starts to change it or to end its job.

use crate::error::{Error, Result};
use crate::flink::Flink;
use crate::history::store::HistoryStore;
use crate::history::transaction::Journal;
use crate::history::{Revision, holder, revision_spec};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::api::access::Access;
use crate::kubernetes::errors::{LIST_ALL, no_cluster};
use crate::kubernetes::objects::{self, Foreign, LiveObjects};
use crate::kubernetes::resource::SERVICES;
use crate::model::adopt::adopt;
use crate::model::config::Config;
use crate::model::flink::settings::{ConfigMaps, SAVEPOINT_DIR, Settings};
use crate::model::ha_config_maps::Ids;
use crate::model::job_phase::{JobPhase, end_of_job, has_no_pods};
use crate::model::manifests::{self, Manifests, PARALLELISM};
use crate::model::names::{APPLY_SET, ClusterName, MASTER};
use crate::model::ownership::serves;
use crate::model::template::Templates;
use crate::operations::report::{OperationResult, Outcome};
use crate::progress;

pub(crate) struct ClusterHandle {
    pub(crate) name: ClusterName,
    pub(crate) live: LiveObjects,
    pub(crate) store: HistoryStore,
    /// The REST client of its JobManager.
    pub(crate) flink: Flink,
    /// An unfinished operation of another command that this command continues.
    pub(crate) left_behind: Option<Journal>,
    /// Whether this is a dry run, which writes nothing.
    pub(crate) only_looks: bool,
    /// Whether this command has created missing objects again; a dry run would.
    pub(crate) is_repaired: bool,
    /// IDs of the jobs that run beside the main one, if Flink was asked.
    pub(crate) other_jobs: Vec<String>,
    pub(crate) cluster: Cluster,
    /// The ConfigMaps with configuration files of its Pods; of those of its last revision, if it has no objects.
    pub(crate) files: ConfigMaps,
}

/// The hint for a cluster that was made by hand, and whose spec is not known any more.
pub(crate) fn created_again(name: &ClusterName, path: &str) -> String {
    format!("`kubectl flink create {name} --from-savepoint {path} …` creates it again, from its last savepoint")
}

impl ClusterHandle {
    /// Reads objects and history, side by side.
    pub(crate) async fn read(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        // Awaits both, so that the reported error is always the first one's.
        let (live, store) = futures::join!(objects::read(cluster, name), HistoryStore::open(cluster, name));
        Self::of(cluster, name, live?, store?).await
    }

    /// Like [`ClusterHandle::read`], for a cluster whose history will be deleted, whether or not it can be read.
    pub(crate) async fn read_to_purge(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let (live, store) = futures::join!(objects::read(cluster, name), HistoryStore::open_to_purge(cluster, name));
        Self::of(cluster, name, live?, store?).await
    }

    async fn of(cluster: &Cluster, name: &ClusterName, live: LiveObjects, store: HistoryStore) -> Result<Self> {
        let gone = live.job.is_none() && live.deployment.is_none();
        // A file may say that high availability keeps a checkpoint of the job.
        let last = store.history().last_wanted().filter(|_| gone);
        let files = match last.and_then(revision_spec::objects) {
            Some(made) => objects::configuration_files(cluster, [&made.job, &made.deployment]).await?,
            None => objects::configuration_files(cluster, live.with_pods()).await?,
        };
        // What answers at a Service of another owner is not the cluster's JobManager.
        let is_others = |foreign: &Foreign| foreign.resource == SERVICES && !serves(&foreign.object, name, MASTER);
        let flink = if live.foreign.iter().any(is_others) {
            Flink::new(&cluster.clone().with_access(Access::PortForward), name)
        } else {
            Flink::new(cluster, name)
        };
        Ok(Self {
            name: name.clone(),
            files,
            live,
            store,
            flink,
            left_behind: None,
            only_looks: false,
            is_repaired: false,
            other_jobs: Vec::new(),
            cluster: cluster.clone(),
        })
    }

    /// With `is_dry_run`, nothing is written from now on.
    pub(crate) fn dry_run(&mut self, is_dry_run: bool) {
        self.only_looks |= is_dry_run;
        if self.only_looks {
            self.store.only_look();
        }
    }

    /// Reads a cluster that exists or existed.
    pub(crate) async fn load(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let handle = Self::read(cluster, name).await?;
        if handle.is_unknown() {
            return Err(handle.unknown());
        }
        Ok(handle)
    }

    /// Checks that the history was read, before it is said to have no savepoint.
    ///
    /// # Errors
    /// Forbidden when this account may not read it.
    pub(crate) fn check_history(&self) -> Result<()> {
        let read = self.store.readable().map(drop);
        read.map_err(|error| error.hint("--from-savepoint PATH names the savepoint"))
    }

    fn unknown(&self) -> Error {
        if let Err(error) = self.store.readable() {
            return error;
        }
        let error = no_cluster(&self.name, self.cluster.namespace());
        error.and("no history of one").hint(LIST_ALL)
    }

    /// Reports the state of an unfinished operation, for commands that it does not block.
    pub(crate) fn note_operation(&self) {
        let Some(journal) = self.store.history().open_journal() else {
            return;
        };
        let name = &self.name;
        progress::note(&format!(
            "an operation on {name} is unfinished: {journal}; {}",
            journal.status_text()
        ));
        let lives = journal.holder.as_ref().and_then(holder::lives);
        if lives != Some(true) {
            journal
                .next_steps(name)
                .iter()
                .for_each(|way| progress::note(&format!("  {way}")));
        }
    }

    /// Reads a cluster that must exist.
    pub(crate) async fn existing(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let handle = Self::read(cluster, name).await?;
        if handle.live.is_empty() {
            return Err(handle.not_found(&handle.remembered()));
        }
        Ok(handle)
    }

    /// The hint for a cluster that only has a history left.
    pub(crate) fn remembered(&self) -> String {
        let name = &self.name;
        match self.store.history().last_path() {
            Some(path) if self.known_revision().is_none() => created_again(name, path),
            _ => format!("it has a history: `kubectl flink resume {name}` brings it back"),
        }
    }

    /// The error that the cluster has no object; `remembered` is the hint if it has a history.
    pub(crate) fn not_found(&self, remembered: &str) -> Error {
        let error = no_cluster(&self.name, self.cluster.namespace());
        let foreign = self.live.foreign.iter();
        let error = foreign.fold(error, |error, foreign| error.hint(foreign.to_string()));
        error.hint(if self.store.exists() { remembered } else { LIST_ALL })
    }

    /// Whether there is neither an object nor a history.
    pub(crate) fn is_unknown(&self) -> bool {
        self.live.is_empty() && !self.store.exists()
    }

    /// How the Kubernetes Job ended. `None`: it has not ended, or there is no Job.
    pub(crate) fn job_end(&self) -> Option<JobPhase> {
        self.live.job.as_ref().and_then(end_of_job)
    }

    /// Whether the Job was seen to have no Pod any more, and gets none: Flink need not be asked.
    pub(crate) fn has_no_jobmanager(&self) -> bool {
        self.live.job.as_ref().is_some_and(has_no_pods)
    }

    /// The desired number of TaskManagers.
    pub(crate) fn replicas(&self) -> u64 {
        let deployment = self.live.deployment.as_ref();
        deployment.map_or(0, manifests::replicas)
    }

    /// The number of TaskManagers before the cluster was suspended.
    pub(crate) fn replicas_before(&self) -> u64 {
        let noted = self.live.deployment.as_ref().and_then(manifests::replicas_before);
        noted.unwrap_or_else(|| self.replicas().max(1))
    }

    /// The job's parallelism; 1 if this plugin did not create the cluster.
    pub(crate) fn parallelism(&self) -> u32 {
        let annotated = self
            .live
            .job
            .as_ref()
            .and_then(|job| job["metadata"]["annotations"][PARALLELISM].as_str());
        annotated.and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    pub(crate) fn namespace(&self) -> &str {
        self.cluster.namespace()
    }

    /// Whether the JobManager is configured to keep running after its job.
    pub(crate) fn jobmanager_stays(&self) -> bool {
        let stays = |settings: Settings| {
            let key = "execution.shutdown-on-application-finish";
            settings
                .get(key)
                .is_some_and(|value| value.eq_ignore_ascii_case("false"))
        };
        self.settings().is_some_and(stays)
    }

    /// Whether the JobManager uses high availability.
    pub(crate) fn is_highly_available(&self) -> bool {
        self.settings()
            .is_some_and(|settings| settings.high_availability().is_some())
    }

    /// Whether the objects say where savepoints are written. Where they do not, a file in the image may.
    pub(crate) fn says_savepoint_dir(&self) -> bool {
        self.settings()
            .is_some_and(|settings| settings.get(SAVEPOINT_DIR).is_some())
    }

    /// The ID under which the existing objects keep high-availability data in ConfigMaps.
    pub(crate) fn live_leader(&self) -> Option<String> {
        self.settings()?.kubernetes_cluster_id().map(ToOwned::to_owned)
    }

    /// The IDs under which the cluster keeps or kept high-availability data in ConfigMaps: those in its objects and in
    /// the revisions of its history.
    pub(crate) fn leaders(&self) -> Ids {
        let mut ids = objects::ha_config_maps::of_live(&self.live, &self.files);
        for revision in &self.store.history().revisions {
            if let Some((id, nonce)) = revision_spec::leader(revision, &ConfigMaps::new()) {
                ids.add_past(&id, nonce.as_deref());
            }
        }
        ids
    }

    /// Like [`Self::leaders`], with that of a configuration file which its last revision mounts. A cluster of another name may
    /// have it too, so that nothing is deleted under it.
    pub(crate) fn possible_leaders(&self) -> Ids {
        let mut ids = self.leaders();
        let last = self.store.history().last_wanted();
        if let Some((id, nonce)) = last.and_then(|last| revision_spec::leader(last, &self.files)) {
            ids.add_past(&id, nonce.as_deref());
        }
        ids
    }

    /// The data of a highly available cluster that remains when its job does not end by itself: only Flink can delete
    /// it.
    pub(crate) fn left_behind(&self) -> Option<String> {
        let settings = self.settings()?;
        settings.high_availability()?;
        let folder = settings.ha_storage()?;
        Some(match settings.zookeeper_path() {
            None => format!("files of its high availability in {folder} stay"),
            Some(path) => format!("{path} in ZooKeeper and files in {folder}, of its high availability, stay"),
        })
    }

    /// What is lost of a job that ends without a savepoint.
    pub(crate) fn what_is_lost(&self) -> String {
        match self.last_state() {
            Some(path) => format!("what it did since savepoint {path} is lost"),
            None => "all its state is lost, there is no savepoint".to_owned(),
        }
    }

    /// The parallelism with which the JobManager was started. It differs from the job's if the job was scaled since.
    pub(crate) fn started_with(&self) -> Option<u32> {
        self.settings()?.get("parallelism.default")?.parse().ok()
    }

    /// The savepoint from which the JobManager was started.
    pub(crate) fn started_from(&self) -> Option<String> {
        self.settings()?.arguments().from_savepoint.clone()
    }

    fn settings(&self) -> Option<Settings> {
        let object = self.live.job.as_ref().or(self.live.deployment.as_ref())?;
        Some(Settings::of_object(object, &self.files))
    }

    /// The templates and the layer that a resume starts from, and whether to store the templates in the history.
    ///
    /// The last revision, if it runs or nothing runs. Otherwise the running objects were created in another way, and
    /// are used as they are.
    pub(crate) fn base(&self, new: &Config, own: Option<Templates>) -> Result<(Templates, Config, bool)> {
        if let Some(revision) = self.known_revision() {
            let layer = revision_spec::layer(revision)?;
            let (templates, kept) = match own {
                Some(templates) => (templates.with_parallelism_of(&layer), true),
                None => revision_spec::templates(revision)?,
            };
            // Those that were made from objects may leave it to the configuration.
            return Ok((templates.with_parallelism_of(new), layer, kept));
        }
        let Some([service, job, deployment]) = self.live.all() else {
            if self.is_unknown() {
                return Err(self.unknown());
            }
            let path = self.store.readable()?.last_path().unwrap_or("PATH");
            return Err(Error::not_found(format!(
                "the history of {} has no revision, and not all of its Service, Job and Deployment exist",
                self.name
            ))
            .hint(created_again(&self.name, path)));
        };
        let (templates, layer) = adopt(&self.name, service, job, deployment, new)?;
        let given = |own: Templates| own.with_parallelism_of(&layer).with_parallelism_of(new);
        Ok((own.map_or(templates, given), layer, true))
    }

    /// The revision in the history that runs, or, if nothing runs, that ran last.
    pub(crate) fn known_revision(&self) -> Option<&Revision> {
        let history = self.store.history();
        match &self.live.job {
            Some(_) => history.revision(self.live_revision()?),
            None => history.last_wanted(),
        }
    }

    /// The newest state of its job that the history knows, which is not that of an earlier cluster of this name.
    pub(crate) fn last_state(&self) -> Option<&str> {
        let history = self.store.history();
        history.state_of(match &self.live.job {
            Some(_) => self.live_revision(),
            None => history.last_wanted().map(|revision| revision.number),
        })
    }

    /// The state from which the cluster is resumed or copied. That of an earlier cluster of this name is better than none, but
    /// not than the one that was chosen for this one: its path is reported.
    pub(crate) fn newest_state(&self) -> Option<&str> {
        let earlier = || {
            let path = self.store.history().last_path();
            path.filter(|_| self.chosen_start().is_none())
        };
        self.last_state().or_else(earlier)
    }

    /// The state from which its first revision was created, which may be older than that of its job.
    pub(crate) fn chosen_start(&self) -> Option<&str> {
        let start = self.known_revision()?.start()?;
        let known = self.store.history().savepoint_at(start);
        known.is_none_or(|known| known.disposed_at.is_none()).then_some(start)
    }

    /// The result of an action, with the present revision.
    pub(crate) fn result(&self, outcome: Outcome) -> OperationResult {
        OperationResult {
            revision: self.live_revision(),
            ..OperationResult::new(&self.cluster, &self.name, outcome)
        }
    }

    /// Whether the Kubernetes Job is suspended: then it has no JobManager.
    pub(crate) fn is_suspended(&self) -> bool {
        self.live.job.as_ref().is_some_and(|job| job["spec"]["suspend"] == true)
    }

    /// The revision number in the Kubernetes Job.
    pub(crate) fn live_revision(&self) -> Option<u64> {
        self.live.revision()
    }

    /// The stored templates, or the built-in ones; and whether they belong in the history.
    pub(crate) fn kept_templates(&self) -> Result<(Templates, bool)> {
        match self.known_revision() {
            Some(revision) => revision_spec::templates(revision),
            None => Ok((Templates::built_in()?, false)),
        }
    }

    /// `file`, in the set of `apply` to which the cluster belongs, unless the file names another one. Files do not name their
    /// set, and a job must not restart because of that.
    pub(crate) fn in_its_set(&self, mut file: Config) -> Config {
        let live = self.live.job.as_ref().or(self.live.deployment.as_ref());
        if let Some(set) = live.and_then(|object| object["metadata"]["labels"][APPLY_SET].as_str()) {
            file.labels
                .entry(APPLY_SET.to_owned())
                .or_insert_with(|| set.to_owned());
        }
        file
    }

    /// Whether the objects were changed since they were created as `made`, which is from the history, or one is missing.
    pub(crate) async fn drifted(&self, made: &Manifests) -> Result<bool> {
        let is_missing = !self.is_repaired && (self.live.service.is_none() || self.live.deployment.is_none());
        let is_known = self.known_revision().is_some();
        Ok(is_known && (is_missing || Box::pin(objects::drifted(&self.cluster, &self.live, made)).await?))
    }

    /// Number of the next Kubernetes Job.
    pub(crate) fn next_generation(&self) -> u64 {
        self.store
            .history()
            .next_revision()
            .max(self.live_revision().map_or(0, |number| number + 1))
    }
}
