//! `why`: explains why a cluster does not run or is unhealthy.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::status::StatusFormat;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::clock;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::model::API_VERSION;
use crate::model::age::age;
use crate::model::diagnosis::{Grace, Verdict, is_wrong, problems, stage, unseen_job, verdict};
use crate::model::manifests::REVISION;
use crate::model::names::ClusterName;
use crate::operations::observe::{Observation, observe, with_log, without_job};
use crate::operations::status::Problem;
use crate::operations::stop::STOPS;
use crate::output::terminal;
use crate::output::{document, why};

/// Explain why a cluster is not running or is unhealthy
///
/// One cause with what it was concluded from, and what to do: from the Job, its Pods and their Events, Flink's
/// exceptions and the log of the container that failed. The exit code is 0 where nothing is wrong, else 6.
#[derive(Debug, clap::Args)]
#[command(after_help = "All causes are in docs/causes.md.")]
pub struct WhyArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: StatusFormat,
}

/// See docs/output.md.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation<'a> {
    api_version: &'static str,
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    observed_at: Timestamp,
    healthy: bool,
    summary: String,
    cause: Option<&'a Problem>,
    others: &'a [Problem],
    remarks: &'a [String],
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &WhyArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    let survey = Box::pin(observe(&cluster, &name)).await?;
    let now = clock::now();
    let mut found = problems(&survey.observed, &survey.snapshot, now);
    if let Some(cause) = unseen_job(&survey.observed, now)
        && let Some(cause) = without_job(&cluster, cause).await
    {
        found.insert(0, cause);
    }
    // Only the first cause is worth reading a log.
    if !found.is_empty() {
        let first = with_log(&cluster, found.remove(0)).await;
        found.insert(0, first);
        found.sort_by_key(|cause| cause.severity());
    }
    let wrong = is_wrong(&found);
    let mut told: Vec<Problem> = found.iter().map(Problem::from).collect();
    // The hints of other commands name this command.
    for hint in told.iter_mut().flat_map(|problem| &mut problem.hints) {
        *hint = hint.replace("kubectl flink why", "kubectl flink logs");
    }
    let healthy = healthy(&survey, now);
    match args.output.document() {
        None => {
            terminal::data(&why(&healthy, &told))?;
            survey.remarks.iter().for_each(|remark| terminal::warn(remark));
        }
        Some(format) => {
            let (cause, others) = match told.split_first() {
                Some((first, others)) if wrong => (Some(first), others),
                _ => (None, &told[..]),
            };
            let explanation = Explanation {
                api_version: API_VERSION,
                kind: "ClusterExplanation",
                namespace: cluster.namespace(),
                name: name.as_str(),
                observed_at: now,
                healthy: !wrong,
                summary: cause.map_or(healthy, |cause| cause.message.clone()),
                cause,
                others,
                remarks: &survey.remarks,
            };
            terminal::data(&document(format, &explanation)?)?;
        }
    }
    if wrong {
        // Everything is reported; the error only sets the exit code.
        return Err(Error::new(Kind::JobFailed, ""));
    }
    Ok(())
}

/// How a job ended successfully.
fn ended(survey: &Observation) -> Option<String> {
    let Verdict::Finished { .. } = verdict(&survey.observed, clock::now(), &Grace::default()) else {
        return None;
    };
    let last = survey.history.last_savepoint();
    let stopped = last.filter(|last| STOPS.contains(&last.reason.as_str()) && last.revision == revision(survey));
    Some(match stopped.and_then(|last| last.path.as_deref()) {
        Some(path) => format!("the job was stopped with savepoint {path}, and can be resumed from it"),
        None => "the job has ended well".to_owned(),
    })
}

fn revision(survey: &Observation) -> Option<u64> {
    let job = survey.observed.job.as_ref()?;
    job.metadata.annotations.as_ref()?.get(REVISION)?.parse().ok()
}

/// A sentence about a healthy cluster.
fn healthy(survey: &Observation, now: Timestamp) -> String {
    let Some(job) = &survey.snapshot.job else {
        return ended(survey).unwrap_or_else(|| stage(&survey.observed).to_string());
    };
    let since = crate::operations::status::time(survey.snapshot.state_since)
        .or_else(|| job.changed())
        .map_or_else(String::new, |since| format!(" for {}", age(since, now)));
    let checkpoint = survey
        .snapshot
        .checkpoints
        .as_ref()
        .and_then(|checkpoints| checkpoints.latest.completed.as_ref())
        .and_then(|last| crate::operations::status::time(last.latest_ack_timestamp))
        .map_or_else(String::new, |at| {
            format!(", the last checkpoint was written {} ago", age(at, now))
        });
    format!(
        "the job is {}{since}, {} of {} tasks run{checkpoint}",
        job.state, job.tasks.running, job.tasks.total
    )
}
