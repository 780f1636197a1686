//! Takes a savepoint of a cluster whose job keeps running, for `savepoint`.

use std::time::Duration;

use super::progress::{SavepointFormat, WritingStep};
use super::{add_size, open_of, take_or_join, trigger, written_within};
use crate::error::{Kind, Result};
use crate::flink::{SavepointRequest, Then};
use crate::history::command::Command;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lost_state;
use crate::operations::report::{OperationResult, Outcome};
use crate::progress::note;

pub(crate) struct TakeOptions {
    pub(crate) format: SavepointFormat,
    pub(crate) directory: Option<String>,
    /// Whether to end as soon as Flink has accepted the request.
    pub(crate) no_wait: bool,
    /// The time limit; `None`: there is none.
    pub(crate) limit: Option<Duration>,
}

pub(crate) struct Taken {
    /// What to print: it has the path, or the trigger ID.
    pub(crate) result: OperationResult,
    handle: ClusterHandle,
}

/// Takes a savepoint, or waits for one that an earlier command asked for.
///
/// # Errors
/// Conflict when no job runs; usage error where the savepoint would be lost with the running Pods; timed out; job failed when
/// Flink cannot write it.
pub(crate) async fn take_savepoint(mut handle: ClusterHandle, how: &TakeOptions) -> Result<Taken> {
    let name = handle.name.clone();
    handle.note_operation();
    let job = handle.job_for("savepoint").await.map_err(|error| match error.kind {
        Kind::Conflict => error.hint(format!(
            "`kubectl flink savepoint list {name}` lists the savepoints in its history"
        )),
        _ => error,
    })?;
    lost_state::check_new_savepoint(&handle, &job.jid, how.directory.as_deref()).await?;
    let mut result = OperationResult {
        job_id: Some(job.jid.clone()),
        ..handle.result(Outcome::Completed)
    };
    let mut step = WritingStep::of(&name);
    let report = |writing| step.update(writing);
    let request = SavepointRequest::new(how.format.as_rest(), how.directory.clone(), Then::Continue);
    if how.no_wait {
        let asked = match open_of(&handle, &job) {
            Some(open) => open,
            None => {
                trigger(&mut handle, &job, &request, Command::Savepoint.as_str(), report)
                    .await?
                    .0
            }
        };
        drop(step);
        note(&format!(
            "{name}: Flink writes it; `kubectl flink savepoint {name}` waits for it"
        ));
        result.outcome = Outcome::Requested;
        result.trigger_id = Some(asked.trigger_id);
        return Ok(Taken { result, handle });
    }
    let written = take_or_join(&mut handle, &job, &request, Command::Savepoint.as_str(), report);
    let path = written_within(how.limit, &name, written).await?;
    step.done(&format!("{name}: savepoint {path}"));
    result.savepoint = Some(path);
    Ok(Taken { result, handle })
}

impl Taken {
    /// Adds the size of a written savepoint to the history: Flink knows it later.
    pub(crate) async fn add_size(&mut self) {
        let ClusterHandle { flink, store, .. } = &mut self.handle;
        if let Some(path) = &self.result.savepoint {
            add_size(flink, store, path).await;
        }
    }
}
