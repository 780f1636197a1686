//! Makes Flink delete the files of a savepoint.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::flink::operation;
use crate::history::command::Command;
use crate::history::lock::unfinished;
use crate::history::transaction::is_same_place;
use crate::kubernetes::clock;
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::flink::savepoint_metadata::folder_of;
use crate::model::main_container;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption::within;
use crate::operations::report::{OperationResult, Outcome};
use crate::progress;

/// `confirm` asks before Flink deletes the files; `None`: that is confirmed. Flink may take `limit`.
///
/// # Errors
/// Conflict when the cluster, its running job, or an unfinished operation on it, needs the savepoint.
pub(crate) async fn dispose(
    mut handle: ClusterHandle,
    path: &str,
    limit: Option<Duration>,
    confirm: Option<fn(&str) -> Result<()>>,
) -> Result<OperationResult> {
    let name = handle.name.clone();
    let result = OperationResult {
        savepoint: Some(path.to_owned()),
        ..handle.result(Outcome::Unchanged)
    };
    let history = handle.store.history();
    if history
        .savepoint_at(path)
        .is_some_and(|savepoint| savepoint.disposed_at.is_some())
    {
        progress::note(&format!("{path} was disposed of before"));
        return Ok(result);
    }
    if starts_from(&handle, path) {
        return Err(Error::conflict(format!(
            "{name} was started from {path}, and a restarted JobManager may need it again"
        ))
        .hint(format!(
            "`kubectl flink savepoint-resume {name}` first makes it start from a newer one"
        )));
    }
    if let Some(journal) = history.operation_with(path) {
        return Err(unfinished(&name, journal).context(format!("{path} is needed")));
    }
    if let Some(job) = job_of_checkpoint(path) {
        let jobs = handle.flink.jobs().await;
        let jobs = jobs.and_then(|reply| handle.flink.answered(reply)).map_err(|error| {
            error.context(format!(
                "it is not known whether {path} is a checkpoint of a job that runs"
            ))
        })?;
        if jobs.running(job).is_some() {
            return Err(Error::conflict(format!(
                "{path} is a checkpoint of job {job} of {name}, which runs: Flink may restore the job from it, and deletes it itself"
            )));
        }
    }
    let known = history.savepoint_at(path);
    let is_known = known.is_some();
    if known.is_some_and(|savepoint| savepoint.reason == Command::Clone) {
        progress::warn(&format!(
            "a clone of {name} was started from it, and its JobManager may need it again when it is restarted"
        ));
    }
    if !is_known {
        progress::warn(&format!(
            "the history of {name} does not know {path}: make sure that nothing else uses it"
        ));
    } else if history.last_path().is_some_and(|last| is_same_place(last, path)) {
        progress::warn(&format!(
            "it is the newest savepoint of {name}: without it, a resume starts from an older one, or fails"
        ));
    }
    if let Some(confirm) = confirm {
        confirm(&format!("delete the files of {path}?"))?;
        // The job may have been started from the savepoint meanwhile.
        handle.check_unchanged().await?;
    }
    let step = progress::step(&format!("{name}: Flink deletes {path}"));
    let disposing = Box::pin(operation::dispose(&handle.flink, path));
    let disposed = within(limit, &format!("the end of savepoint {path}"), disposing).await;
    let was_gone = is_known && disposed.as_ref().is_err_and(is_gone);
    if !was_gone {
        disposed?;
    }
    step.end();
    if was_gone {
        // An earlier dispose was not waited for, or was interrupted before it recorded the end.
        progress::warn(&format!(
            "Flink finds no savepoint at {path}: its files were deleted before"
        ));
    }
    let at = clock::now().to_string();
    handle.store.update(|history| history.dispose(path, &at)).await?;
    Ok(OperationResult {
        outcome: Outcome::Disposed,
        ..result
    })
}

/// Whether Flink could not delete a savepoint because there is none at its path. Of a savepoint Flink deletes the metadata file
/// first. Source: `AbstractFsCheckpointStorageAccess.resolveCheckpointPointer`.
fn is_gone(error: &Error) -> bool {
    let words = [
        "Cannot find checkpoint or savepoint file/directory",
        "Cannot find meta data file '_metadata' in directory",
    ];
    error.kind == Kind::JobFailed && words.iter().any(|words| error.message.contains(words))
}

/// The ID of the job whose checkpoint is at this path; `None`: it is not one. Source: `AbstractFsCheckpointStorageAccess`, which
/// writes `DIR/JOB/chk-N`.
fn job_of_checkpoint(path: &str) -> Option<&str> {
    let (folder, last) = folder_of(path).rsplit_once('/')?;
    let is_checkpoint = last.starts_with("chk-");
    folder.rsplit('/').next().filter(|_| is_checkpoint)
}

/// Whether the savepoint is in the JobManager's arguments.
fn starts_from(handle: &ClusterHandle, path: &str) -> bool {
    let Some(job) = &handle.live.job else { return false };
    let tokens: Vec<String> = main_container::arguments(job).into_iter().skip(1).collect();
    handle.job_end().is_none()
        && JobManagerArguments::parse(&tokens)
            .is_ok_and(|known| known.from_savepoint.is_some_and(|start| is_same_place(&start, path)))
}

#[cfg(test)]
mod tests {
    use super::job_of_checkpoint;

    #[test]
    fn a_checkpoint_is_in_a_folder_of_its_job() {
        let job = "0".repeat(32);
        for (path, is_one) in [
            (format!("s3://b/cp/{job}/chk-7"), true),
            (format!("s3://b/cp/{job}/chk-7/_metadata"), true),
            (format!("s3://b/cp/{job}/chk-7/"), true),
            (format!("s3://b/cp/{job}/shared"), false),
            ("s3://b/savepoint-1".to_owned(), false),
            ("chk-7".to_owned(), false),
        ] {
            assert_eq!(job_of_checkpoint(&path), is_one.then_some(job.as_str()), "{path}");
        }
    }
}
