//! The unfinished operations of all listed clusters.
//!
//! One list of the metadata of the labeled histories, in parallel with the other lists, which never wait for it. If it
//! is forbidden, no operation is shown.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::history::command::Command;
use crate::history::{OPEN, OPERATION, STOPPING};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{CONFIG_MAPS, Target, encode};
use crate::kubernetes::tables::ListSelection;
use crate::model::listing::Key;

/// How much longer than the other requests it may take.
const LATE: Duration = Duration::from_secs(1);
/// Maximum number of operations. More are not shown.
const MOST: usize = 100;

/// Wait for the answer before the list is printed.
const SOON: Duration = Duration::from_millis(100);

pub(crate) struct Operation {
    pub(crate) text: String,
    /// Whether it stops the job with a savepoint whose path is not in the history yet.
    pub(crate) stops: bool,
}

impl Operation {
    pub(crate) fn is_of(&self, command: Command) -> bool {
        let name = self.text.split_once(' ').map(|(name, _)| name);
        name == Some(command.as_str())
    }
}

type Open = Vec<(Key, Operation)>;

/// The request for them, and the answer once it has arrived.
pub(crate) struct Operations<'a> {
    asked: LocalBoxFuture<'a, Open>,
    answer: Option<Open>,
}

impl<'a> Operations<'a> {
    pub(crate) fn of(cluster: &'a Cluster, wanted: &'a ListSelection) -> Self {
        Self {
            asked: open(cluster, wanted).boxed_local(),
            answer: None,
        }
    }

    /// No operations, without a request.
    pub(crate) fn none() -> Self {
        Self {
            asked: std::future::ready(Open::new()).boxed_local(),
            answer: None,
        }
    }

    /// Runs `work`, and the request in parallel. Does not wait for the answer.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            answer = &mut self.asked, if self.answer.is_none() => self.answer = Some(answer),
        }
        work.await
    }

    /// The answer, if it arrives soon. A program waits longer for it than a user, who sees the list first.
    pub(crate) async fn soon(&mut self, for_people: bool) -> &[(Key, Operation)] {
        self.within(if for_people { SOON } else { LATE }).await
    }

    /// The answer, if it arrives within [`LATE`].
    pub(crate) async fn late(&mut self) -> &[(Key, Operation)] {
        self.within(LATE).await
    }

    async fn within(&mut self, limit: Duration) -> &[(Key, Operation)] {
        if self.answer.is_none() {
            self.answer = tokio::time::timeout(limit, &mut self.asked).await.ok();
        }
        self.answer.as_deref().unwrap_or_default()
    }
}

async fn open(cluster: &Cluster, wanted: &ListSelection) -> Open {
    let target = Target::collection("list", CONFIG_MAPS, wanted.namespace.as_deref());
    let query = format!("labelSelector={}&limit={MOST}", encode(&format!("{OPERATION}={OPEN}")));
    let found = cluster.list_metadata(&target, &query).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "operations that are unfinished are not known");
        Vec::new()
    });
    let open = found.iter().filter_map(|metadata| {
        Some((
            Key::of_metadata(metadata)?,
            Operation {
                text: metadata["annotations"][OPERATION].as_str()?.to_owned(),
                stops: metadata["annotations"][STOPPING].is_string(),
            },
        ))
    });
    open.collect()
}
