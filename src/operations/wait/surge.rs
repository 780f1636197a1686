//! Waits until TaskManagers that start beside those of another version look for their JobManager, or are known not to.
//!
//! Minimum of requests: a list and a watch of the Deployment, the Pods and the Events, and one log of each new Pod.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;

use super::POLL;
use super::watches::{Scope, Watching};
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::age::whole_seconds;
use crate::model::diagnosis::{Cause, Observed, PodContainer, Role, Surge, main_container, surge};
use crate::model::flink_pod;
use crate::model::manifests::revision_of;
use crate::model::names::ClusterName;
use crate::operations::observe::{log_end, with_fresh_log};

/// How long a container runs that counts as up whatever its log says: the log may be written elsewhere, or may not be
/// read.
const LONG: Duration = Duration::from_secs(20);
/// Time between two reads of the logs.
const LOOK: Duration = Duration::from_millis(500);
/// Number of Pods whose logs are read: the others run the same image on nodes that are not slower.
const LOGS: usize = 8;
/// What a TaskManager logs when it looks for its JobManager, or, with high availability, waits for one. Source: Flink's
/// `TaskExecutor.connectToResourceManager`, and `DefaultJobLeaderService.start`, which it calls after its other services.
const LOOKS_FOR_JOBMANAGER: [&str; 2] = ["Connecting to ResourceManager", "Start job leader service"];

pub(crate) enum Surged {
    Up,
    /// There is no room for them beside the others.
    NoRoom(Cause),
}

/// Waits until `number` TaskManagers of `revision` are up. `report` is called at every step.
///
/// # Errors
/// Job failed, with the cause, when they do not come up within `limit`, or are known not to.
pub(crate) async fn until_surged(
    cluster: &Cluster,
    name: &ClusterName,
    (revision, number): (u64, u64),
    limit: Duration,
    mut report: impl FnMut(&str, Option<&str>),
) -> Result<Surged> {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let watching = Watching::of(cluster, name, Some(limit), Some(POLL), Scope::TaskManagers);
    let running: RefCell<BTreeMap<String, (Run, Instant)>> = RefCell::default();
    let up: RefCell<BTreeSet<Run>> = RefCell::default();
    let mut last = Surge::Going(None);
    let judge = |observed: &Observed| {
        let now = of_revision(observed, revision);
        let mut known = running.borrow_mut();
        known.retain(|pod, _| now.contains_key(pod));
        for (pod, run) in now {
            let is_same = known.get(&pod).is_some_and(|(known, _)| *known == run);
            if !is_same {
                known.insert(pod, (run, Instant::now()));
            }
        }
        let up = up.borrow();
        let seen = known.values().filter(|(run, _)| up.contains(run)).count();
        let is_up = |(run, since): &(Run, Instant)| {
            up.contains(run) || since.elapsed() >= LONG || (seen >= LOGS && known.len() >= number)
        };
        let ready = known.values().filter(|one| is_up(one)).count();
        if ready >= number {
            return Some(Surge::Going(None));
        }
        last = surge(observed, revision, clock::now());
        match &last {
            Surge::Going(note) => {
                let text = format!("{ready} of {number} new TaskManagers are up, the job runs");
                report(&text, note.as_ref().map(|note| note.text.as_str()));
                None
            }
            end => Some(end.clone()),
        }
    };
    let late = |_: &Observed| {
        let seconds = whole_seconds(Some(limit));
        let text = format!("the new TaskManagers of {name} are not up after {seconds} s");
        Error::job_failed(text)
    };
    let logs = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let unknown: Vec<Run> = {
                let (known, up) = (running.borrow(), up.borrow());
                let runs = known.values().map(|(run, _)| run).filter(|run| !up.contains(*run));
                runs.take(LOGS.saturating_sub(up.len())).cloned().collect()
            };
            let looks = unknown.iter().map(|run| looks_for_jobmanager(cluster, run));
            let found = join_all(looks).await;
            let found = unknown.iter().zip(found).filter(|(_, found)| *found);
            up.borrow_mut().extend(found.map(|(run, _)| run.clone()));
        }
    };
    let end = tokio::select! {
        end = watching.until(judge, late) => end?,
        never = logs => never,
    };
    match end {
        Surge::Going(_) => Ok(Surged::Up),
        Surge::NoRoom(cause) => Ok(Surged::NoRoom(*cause)),
        Surge::Failed(cause) => Err(with_fresh_log(cluster, *cause).await.into_error(name)),
    }
}

/// A run of a container: its Pod, the container, and how often it ran before.
type Run = (String, String, i32);

/// The containers of the TaskManagers of `revision` that run, by their Pods.
fn of_revision(observed: &Observed, revision: u64) -> BTreeMap<String, Run> {
    let run = |pod: &Pod| {
        let is_meant = revision_of(&pod.metadata) == Some(revision);
        let status = flink_pod::main_status(pod).filter(|_| is_meant)?;
        status.state.as_ref()?.running.as_ref()?;
        let (pod_name, container) = (pod.metadata.name.clone()?, main_container(pod)?.to_owned());
        Some((pod_name.clone(), (pod_name, container, status.restart_count)))
    };
    observed.pods_of(Role::TaskManager).filter_map(run).collect()
}

async fn looks_for_jobmanager(cluster: &Cluster, (pod, container, _): &Run) -> bool {
    let of = PodContainer {
        pod: pod.clone(),
        role: Role::TaskManager,
        container: container.clone(),
        previous: false,
    };
    let log = log_end(cluster, &of).await.unwrap_or_default();
    LOOKS_FOR_JOBMANAGER.iter().any(|words| log.contains(words))
}
