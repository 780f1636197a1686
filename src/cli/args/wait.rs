//! Whether a command waits, and whether it asks.

use std::time::Duration;

use crate::cli::args::values;
use crate::error::{Error, Result};
use crate::operations::interruption;

/// Whether a command waits until what it asked for is so.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Whether to wait until it is done: the job runs, the savepoint is written, or the Pods are gone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value = "true", default_missing_value = "true")]
    wait: bool,
    /// The same as --wait=false
    #[arg(long, hide = true, conflicts_with = "wait")]
    no_wait: bool,
}

impl WaitArgs {
    /// Whether the command ends before that.
    pub(crate) const fn does_not_wait(self) -> bool {
        self.no_wait || !self.wait
    }
}

impl Default for WaitArgs {
    fn default() -> Self {
        Self {
            wait: true,
            no_wait: false,
        }
    }
}

/// The same flags of a command that always waits. Its help does not show them.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct AlwaysWaitArgs {
    /// Accepted, as by other commands: this one always waits
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value = "true", default_missing_value = "true")]
    wait: bool,
    /// The same as --wait=false
    #[arg(long, hide = true, conflicts_with = "wait")]
    no_wait: bool,
}

impl AlwaysWaitArgs {
    /// Rejects `--wait=false`, because of `why`.
    pub(crate) fn refuse_no_wait(self, why: &str) -> Result<()> {
        if self.no_wait || !self.wait {
            return Err(Error::usage(format!("--wait=false is not possible: {why}")));
        }
        Ok(())
    }
}

/// The flags of a command that ends a job: it waits, and asks nothing or once.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct EndArgs {
    #[command(flatten)]
    wait: AlwaysWaitArgs,
    /// How long to wait; 0: as long as it takes. The job ends in any case, and a repetition waits again
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    timeout: Duration,
}

impl EndArgs {
    pub(crate) fn check(self) -> Result<()> {
        let refused = self
            .wait
            .refuse_no_wait("Flink reports how the job ended only while its JobManager runs");
        refused.map_err(|error| {
            error.hint("--timeout limits the wait: the job ends in any case; repeat the command to wait again")
        })
    }

    pub(crate) fn limit(self) -> Option<Duration> {
        values::limit(self.timeout)
    }

    /// Carries out `work` within the time limit; `what` is it, such as `the savepoint of demo`.
    pub(crate) async fn within<T>(self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        interruption::within(self.limit(), what, work).await
    }
}
