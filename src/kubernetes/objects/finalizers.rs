//! Waits for a deleted Job that finalizers of other controllers keep.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::live::LiveObjects;
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{Identity, JOBS};

/// Time between two reads of the Job.
const POLL: Duration = Duration::from_millis(500);

/// Waits until the deleted Job of `live` is gone: before that no other one can be created under its name. Most Jobs have no
/// finalizers, which needs no request.
///
/// # Errors
/// Timed out after `limit`, with the finalizers.
pub(crate) async fn job_gone(cluster: &Cluster, live: &LiveObjects, limit: Option<Duration>) -> Result<()> {
    let Some(job) = &live.job else { return Ok(()) };
    let finalizers = job["metadata"]["finalizers"].as_array().into_iter().flatten();
    let finalizers: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    if finalizers.is_empty() {
        return Ok(());
    }
    let job = Identity::of(JOBS, job)?;
    let begun = Instant::now();
    loop {
        let now = cluster.metadata(&job.target("get")).await?;
        if now.is_none_or(|metadata| metadata["uid"] != job.uid()) {
            return Ok(());
        }
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            return Err(Error::timed_out(format!(
                "{job} is deleted, and kept by its finalizers: {}",
                finalizers.join(", ")
            ))
            .hint("their controllers remove them; repeat the command to continue"));
        }
        sleep(POLL).await;
    }
}
