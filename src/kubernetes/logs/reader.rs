//! The reader of one container's log: it resumes at the same position after a lost connection.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use super::super::api::Cluster;
use super::super::resource::{PODS, Target, encode};
use super::super::retry::Pauses;
use super::LogSelection;
use super::batch::Batch;
use super::lines::Lines;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::clock;
use crate::model::flink_pod;
use crate::model::log_lines::LogPosition;
use crate::progress;

/// First and longest wait before another attempt.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Attempts for a log that is not followed.
const ATTEMPTS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server reported the end.
    Whole,
    /// The connection was lost, or never established.
    Broken,
    /// The container has not run yet.
    NotStarted,
    /// There is no such Pod, or its kubelet does not know it yet.
    NotFound,
    Refused,
    /// The receiver is gone.
    Unwanted,
}

pub(super) struct Reader {
    pub(super) cluster: Cluster,
    pub(super) wanted: LogSelection,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) previous: bool,
    /// Whether the Pod existed before the command: otherwise all its lines are new.
    pub(super) first: bool,
    pub(super) place: LogPosition,
    /// The container's restart count when its log was opened.
    pub(super) restarts: Option<i32>,
    /// The error if the API server no longer accepts the credentials.
    pub(super) denied: Option<Error>,
    /// Why there is no log, in the words of the kubelet.
    pub(super) why_none: String,
}

impl Reader {
    /// Reads the log to its end.
    ///
    /// # Errors
    /// When the API server no longer accepts the credentials: another attempt would fail too.
    pub(super) async fn run(mut self, send: Sender<Batch>) -> Result<()> {
        if self.wanted.follow {
            self.follow(&send).await;
        } else {
            self.read_once(&send).await;
        }
        self.denied.map_or(Ok(()), Err)
    }

    async fn read_once(&mut self, send: &Sender<Batch>) {
        let mut pauses = Pauses::new(WAITS.0, WAITS.0);
        for _ in 0..ATTEMPTS {
            match self.read(self.previous, false, send).await {
                End::Broken => pauses.pause().await,
                // Without a word an empty output would look like a log without lines.
                End::NotStarted => return progress::warn(&self.why_none),
                _ => return,
            }
        }
        progress::warn(&format!("the log of Pod {} broke off and is not whole", self.pod));
    }

    async fn follow(&mut self, send: &Sender<Batch>) {
        let mut pauses = Pauses::new(WAITS.0, WAITS.1);
        loop {
            let before = self.place.last();
            let end = self.read(false, true, send).await;
            if matches!(end, End::Unwanted | End::Refused) || end == End::NotFound && !self.exists().await {
                return;
            }
            if self.place.last() != before {
                pauses.reset();
            }
            match self.status().await {
                Ok(None) => return,
                Ok(Some((over, status))) => {
                    let restarts = status.as_ref().map_or(0, |status| status.restart_count);
                    let replaced = self.restarts.is_some_and(|known| restarts > known);
                    if replaced {
                        // The output of the previous run during the lost connection.
                        self.read(true, false, send).await;
                    }
                    self.restarts = Some(restarts);
                    if over && !replaced {
                        // The end of the log may have been lost with the connection.
                        if end != End::Whole {
                            self.read(false, false, send).await;
                        }
                        return;
                    }
                }
                Err(()) => {}
            }
            pauses.pause().await;
        }
    }

    /// Whether the Pod exists. The API server answers for a kubelet with 404, which does not know a new Pod for a moment.
    async fn exists(&self) -> bool {
        let target = Target::object("get", PODS, self.cluster.namespace(), &self.pod);
        matches!(self.cluster.metadata(&target).await, Ok(Some(_)))
    }

    /// The container's status, and whether it will not run again; `None`: the Pod is gone.
    async fn status(&mut self) -> Result<Option<(bool, Option<ContainerStatus>)>, ()> {
        let target = Target::object("get", PODS, self.cluster.namespace(), &self.pod);
        match self.cluster.get::<Pod>(&target).await {
            Ok(None) => Ok(None),
            Ok(Some(pod)) => {
                let over = flink_pod::container_has_ended(&pod, &self.container);
                let status = pod.status.unwrap_or_default();
                let statuses = status.container_statuses.into_iter().flatten();
                let init = status.init_container_statuses.into_iter().flatten();
                let own = init.chain(statuses).find(|status| status.name == self.container);
                Ok(Some((over, own)))
            }
            // If single Pods may not be read, the log itself shows when it is gone.
            Err(error) if error.kind == Kind::Forbidden => Ok(Some((false, None))),
            Err(error) if error.is_denied() => {
                self.denied = Some(error);
                Ok(None)
            }
            Err(_) => Err(()),
        }
    }

    fn query(&self, previous: bool, follow: bool) -> String {
        let mut query = format!(
            "container={}&timestamps=true&follow={follow}&previous={previous}",
            encode(&self.container)
        );
        let wanted = self.wanted.since.filter(|_| self.first);
        // The Pods were listed before, so the API server's time is known.
        let wanted = wanted.and_then(|since| clock::now().checked_sub(since).ok());
        let since = self.place.since().or(wanted);
        if let Some(since) = since {
            // The server accepts whole seconds.
            let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
            query = format!("{query}&sinceTime={}", encode(&since.to_string()));
        }
        if let Some(tail) = self.wanted.tail.filter(|_| self.first && self.place.last().is_none()) {
            query = format!("{query}&tailLines={tail}");
        }
        query
    }

    async fn read(&mut self, previous: bool, follow: bool, send: &Sender<Batch>) -> End {
        let target = Target::object("get", PODS, self.cluster.namespace(), &self.pod).subresource("log");
        let uri = format!("{}?{}", target.path(), self.query(previous, follow));
        let Ok(request) = Request::get(uri).body(Vec::new()) else {
            return End::Refused;
        };
        self.place.reconnect();
        let client = self.cluster.client();
        let opening = client.request_stream(request);
        let answer = match self.cluster.timeout().filter(|_| !follow) {
            // A followed log may be silent for any time.
            None => opening.await,
            Some(limit) => match tokio::time::timeout(limit, opening).await {
                Ok(answer) => answer,
                Err(_) => return End::Broken,
            },
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(kube::Error::Api(status)) => return self.refused(&target, status),
            Err(error) => {
                tracing::debug!(%error, pod = self.pod, "no log");
                return End::Broken;
            }
        };
        let mut lines = Lines::new(&mut self.place);
        let end = lines.read(std::pin::pin!(answer), follow, send).await;
        // Lines that arrived before the connection was lost count as printed.
        match lines.send(send).await {
            Err(end) => end,
            Ok(()) => end.unwrap_or_else(|error| {
                tracing::debug!(%error, pod = self.pod, "the log broke off");
                End::Broken
            }),
        }
    }

    fn refused(&mut self, target: &Target, status: Box<kube::core::Status>) -> End {
        match status.code {
            404 if status.reason == "NotFound" => End::NotFound,
            401 => {
                self.denied = Some(self.cluster.kube_error(target, kube::Error::Api(status)));
                End::Refused
            }
            // The kubelet's "container … is waiting to start", or there is no previous run.
            400 => {
                self.why_none.clone_from(&status.message);
                End::NotStarted
            }
            403 => {
                let error = self.cluster.kube_error(target, kube::Error::Api(status));
                progress::warn(&error.message);
                End::Refused
            }
            _ => End::Broken,
        }
    }
}
