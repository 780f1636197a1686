//! Reads the exceptions of all jobs of a cluster.

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::model::diagnosis::trace_summary;
use crate::model::flink::exceptions::Exception;
use crate::model::flink::overview::JobOverview;
use crate::model::names::ClusterName;
use crate::operations::job_status::{away, unless_ended};

/// Number of jobs that are read in parallel.
const AT_A_TIME: usize = 8;

pub(crate) struct Found {
    /// The exceptions, newest first.
    pub(crate) exceptions: Vec<Exception>,
    /// Whether Flink has more.
    pub(crate) more: bool,
    /// Number of jobs.
    pub(crate) jobs: usize,
}

/// At most `max` exceptions, the newest ones; `None`: there is no job yet. Minimum of requests: one, and one for each job.
pub(crate) async fn exceptions(cluster: &Cluster, name: &ClusterName, max: u32) -> Result<Option<Found>> {
    let flink = Flink::new(cluster, name);
    let jobs = match unless_ended(cluster, name, flink.jobs()).await? {
        Reply::Away => return Err(away(cluster, name).await),
        reply => flink.answered(reply)?.jobs,
    };
    if jobs.is_empty() {
        return Ok(None);
    }
    let mut found = Found {
        exceptions: Vec::new(),
        more: false,
        jobs: jobs.len(),
    };
    let ask = |job: JobOverview| {
        let flink = &flink;
        async move {
            let answer = flink.answered(flink.exceptions(&job.jid, max).await?)?;
            let more = answer.is_truncated();
            let mut exceptions = answer.newest_first(trace_summary);
            for exception in &mut exceptions {
                exception.job_id.clone_from(&job.jid);
                exception.job.clone_from(&job.name);
            }
            Ok::<_, Error>((exceptions, more))
        }
    };
    let answers = stream::iter(jobs.into_iter().map(ask)).buffered(AT_A_TIME);
    let answers: Vec<(Vec<Exception>, bool)> = answers.try_collect().await?;
    for (exceptions, more) in answers {
        found.exceptions.extend(exceptions);
        found.more |= more;
    }
    let most = usize::try_from(max).unwrap_or(usize::MAX);
    found
        .exceptions
        .sort_by_key(|exception| std::cmp::Reverse(exception.time));
    found.more |= found.exceptions.len() > most;
    found.exceptions.truncate(most);
    Ok(Some(found))
}
