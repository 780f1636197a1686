//! A short-lived Job beside a cluster: it is created, waited for, and deleted, whatever happens.
//!
//! Minimum of requests: its creation and its deletion; watches between.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::history::holder;
use crate::kubernetes::api::Mode;
use crate::kubernetes::resource::{Identity, JOBS, Target};
use crate::model::manifests::short_job::{Frame, HOLDER};
use crate::model::ownership::{is_part, whose};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption;
use crate::progress;

/// How much longer than its command a Job may live, and how long if the command has no time limit.
const LONGER: Duration = Duration::from_secs(60);
const UNLIMITED: Duration = Duration::from_secs(60 * 60);

/// A short-lived Job of a cluster.
#[derive(Clone, Copy)]
pub(crate) struct ShortJob<'a> {
    pub(crate) handle: &'a ClusterHandle,
    /// Its role, which is the end of its name.
    pub(crate) component: &'static str,
    /// What it is, such as `rehearsal`.
    pub(crate) what: &'static str,
}

/// The facts about a Job that a command with this time limit creates for the cluster of `handle`: the history owns it,
/// if there is one.
pub(crate) fn frame(handle: &ClusterHandle, limit: Option<Duration>) -> Result<Frame> {
    let owner = handle.store.identity().map(|history| {
        json!({"apiVersion": history.resource().api_version(), "kind": history.resource().kind,
            "name": history.name(), "uid": history.uid()})
    });
    let holder = serde_json::to_string(&holder::this_process())
        .map_err(|error| Error::failure("the holder cannot be written").because(error))?;
    Ok(Frame {
        deadline: (limit.unwrap_or(UNLIMITED) + LONGER).as_secs(),
        holder,
        owner,
    })
}

impl ShortJob<'_> {
    /// Creates the Job, in place of one that an ended process left behind, and deletes it when `work` has ended. An
    /// interruption ends `work`, and waits until the Job is deleted.
    ///
    /// # Errors
    /// Conflict when the name is taken; those of `work`.
    pub(crate) async fn run<T>(&self, job: &Value, work: impl Future<Output = Result<T>>) -> Result<T> {
        let (cluster, work) = (&self.handle.cluster, Box::pin(work));
        Box::pin(interruption::deferred(async {
            let target = Target::collection("create", JOBS, Some(cluster.namespace()));
            let made = match cluster.create(&target, job, Mode::Real).await {
                Err(error) if error.kind == Kind::Conflict => {
                    self.clear(error).await?;
                    cluster.create(&target, job, Mode::Real).await
                }
                made => made,
            };
            let made = Identity::of(JOBS, &made?.object)?;
            let outcome = tokio::select! {
                outcome = work => outcome,
                () = interruption::announced() => Err(Error::new(Kind::Interrupted, "interrupted")),
            };
            if let Err(error) = cluster.delete(&made, None).await {
                progress::warn(&format!(
                    "{made} could not be deleted, Kubernetes does it later: {error}"
                ));
            }
            outcome
        }))
        .await
    }

    /// Deletes the Job of that name if the process that created it has ended on this machine; otherwise the error, that
    /// it exists.
    pub(crate) async fn clear(&self, error: Error) -> Result<()> {
        let (cluster, name) = (&self.handle.cluster, &self.handle.name);
        let target = Target::object("get", JOBS, cluster.namespace(), &name.job_of(self.component));
        let Some(job) = cluster.get::<Value>(&target).await? else {
            return Ok(());
        };
        let holder = job["metadata"]["annotations"][HOLDER].as_str().unwrap_or_default();
        let holder = serde_json::from_str(holder).ok();
        let has_ended = holder.as_ref().and_then(holder::lives) == Some(false);
        if !has_ended || !is_part(&job, name, self.component) {
            return Err(self.taken_by(&job, error));
        }
        cluster.delete(&Identity::of(JOBS, &job)?, None).await.map(drop)
    }

    fn taken_by(&self, job: &Value, error: Error) -> Error {
        let (name, what) = (&self.handle.name, self.what);
        let taken = name.job_of(self.component);
        if !is_part(job, name, self.component) {
            let message = format!(
                "the name of its Job is taken: Job {taken} is not a {what} of {name}: {}",
                whose(job)
            );
            return Error { message, ..error };
        }
        let text = |key: &str| job["metadata"][key].as_str().unwrap_or_default();
        let holder: Value = serde_json::from_str(job["metadata"]["annotations"][HOLDER].as_str().unwrap_or_default())
            .unwrap_or_default();
        let message = format!(
            "a {what} of {name} has been running since {}, started by {}",
            text("creationTimestamp"),
            holder["who"].as_str().unwrap_or("unknown")
        );
        Error { message, ..error }.hint(format!(
            "it ends by itself; `kubectl delete job {taken} -n {}` ends one that was left behind",
            self.handle.namespace()
        ))
    }
}
