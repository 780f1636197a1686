//! Operations that are not over, of all clusters that are listed.
//!
//! One list of the metadata of those histories that are marked, beside the other lists: it never holds them up. Where it is
//! forbidden nothing is told.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::api::Cluster;
use super::resource::{CONFIG_MAPS, Target, encode};
use super::tables::Wanted;
use crate::core::history::{OPEN, OPERATION};
use crate::core::listing::Key;

/// How much longer than all else the answer may take.
const LATE: Duration = Duration::from_secs(1);
/// Operations that are asked for. More are not told.
const MOST: usize = 100;

/// The clusters with an operation that is not over, and what their histories say of it.
type Open = Vec<(Key, String)>;

/// The question for them, and the answer when it has come.
pub struct Operations<'a> {
    asked: LocalBoxFuture<'a, Open>,
    told: Option<Open>,
}

impl<'a> Operations<'a> {
    /// Of the clusters that are listed.
    #[must_use]
    pub fn of(cluster: &'a Cluster, wanted: &'a Wanted) -> Self {
        Self {
            asked: open(cluster, wanted).boxed_local(),
            told: None,
        }
    }

    /// Does `work`, and asks beside it. Does not wait for the answer.
    pub async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            told = &mut self.asked, if self.told.is_none() => self.told = Some(told),
        }
        work.await
    }

    /// The answer, if there is one [`LATE`] from now.
    pub async fn told(self) -> Open {
        match self.told {
            Some(told) => told,
            None => tokio::time::timeout(LATE, self.asked).await.unwrap_or_default(),
        }
    }
}

async fn open(cluster: &Cluster, wanted: &Wanted) -> Open {
    let target = Target::collection("list", CONFIG_MAPS, wanted.namespace.as_deref());
    let query = format!("labelSelector={}&limit={MOST}", encode(&format!("{OPERATION}={OPEN}")));
    let found = cluster.list_metadata(&target, &query).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "operations that are not over are not known");
        Vec::new()
    });
    let told = found.iter().filter_map(|metadata| {
        Some((
            Key::of_metadata(metadata)?,
            metadata["annotations"][OPERATION].as_str()?.to_owned(),
        ))
    });
    told.collect()
}
