//! Operations of Flink with a result that has to be read: see [`crate::core::flink_rest::operation`].

use std::time::Duration;

use crate::cluster::flink::{Flink, OperationStatus, Reply};
use crate::error::{Error, Kind, Result};

/// Time between two questions for a result at first; it grows to [`MAX_POLL`].
const MIN_POLL: Duration = Duration::from_millis(50);
const MAX_POLL: Duration = Duration::from_secs(1);

/// Lets Flink delete a savepoint's files, and waits until it has.
///
/// # Errors
/// Job failed, when Flink cannot delete them.
pub async fn dispose(flink: &Flink, path: &str) -> Result<()> {
    let trigger = match flink.trigger_disposal(path).await? {
        Reply::Answer(taken) => taken.request_id,
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => {
            return Err(flink
                .away()
                .hint("a savepoint is deleted by the JobManager, which must be up for it"));
        }
    };
    let mut wait = MIN_POLL;
    loop {
        match flink.disposal(&trigger).await? {
            Reply::Answer(OperationStatus::Completed(_)) => return Ok(()),
            Reply::Answer(OperationStatus::Failed(cause)) => {
                return Err(Error::new(
                    Kind::JobFailed,
                    format!("Flink could not delete the savepoint {path}: {cause}"),
                ));
            }
            Reply::Answer(OperationStatus::InProgress) => {}
            Reply::Refused(_, said) => return Err(flink.refused(&said)),
            Reply::Away => return Err(flink.away().context("the outcome is not known")),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(MAX_POLL);
    }
}
