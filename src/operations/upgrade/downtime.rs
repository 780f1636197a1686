//! Measures how long a job did not process data, and why.

use std::time::Instant;

use crate::model::names::ClusterName;
use crate::operations::wait::Healthy;
use crate::progress::{self, Pause};

/// The times of a change, as far as this process saw them.
#[derive(Default)]
pub(crate) struct Downtime {
    stopping: Option<Instant>,
    /// When the job had ended, and by what: a savepoint or a cancel.
    pub(super) ended: Option<(&'static str, Instant)>,
    /// When the JobManager had ended.
    pub(super) gone: Option<Instant>,
    /// When the objects were created.
    pub(super) made: Option<Instant>,
    /// When a version was given up.
    pub(super) tried: Option<Instant>,
    tasks: Option<Instant>,
    checkpoint: Option<Instant>,
    /// Counts while the job does not process data.
    pause: Pause,
}

impl Downtime {
    /// The job starts to end; `restarts`: another version starts after it.
    pub(crate) fn stopping(&mut self, name: &ClusterName, restarts: bool) {
        self.stopping = Some(Instant::now());
        self.pause = restarts
            .then(|| progress::pause(&format!("{name}: the job is paused")))
            .flatten();
    }

    /// A version runs.
    pub(crate) fn up(&mut self, up: &Healthy) {
        self.pause = None;
        self.tasks = Some(up.tasks_at);
        self.checkpoint = up.checkpoint_at;
    }

    /// How long the job did not process data; `None`: it did not run, or another process ended it.
    pub(crate) fn millis(&self) -> Option<u64> {
        let time = self.tasks?.saturating_duration_since(self.stopping?);
        u64::try_from(time.as_millis()).ok()
    }

    /// Reports the times; nothing if the job did not run, or another process ended it.
    pub(crate) fn report(&self, name: &ClusterName) {
        let (Some(stopping), Some(tasks)) = (self.stopping, self.tasks) else {
            return;
        };
        let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let mut parts = Vec::new();
        let mut last = stopping;
        let (ended_by, ended) = self.ended.unzip();
        let downtime = [
            (ended_by.unwrap_or_default(), ended),
            ("the version that did not come up", self.tried),
            ("JobManager's end", self.gone),
            ("new objects", self.made),
            ("start", Some(tasks)),
        ];
        for (what, at) in downtime {
            if let Some(at) = at.filter(|at| *at >= last) {
                parts.push(format!("{what} {:.1} s", seconds(last, at)));
                last = at;
            }
        }
        let whole = format!("{name}: without processing for {:.1} s", seconds(stopping, tasks));
        progress::parts(&whole, &parts);
        if let Some(checkpoint) = self.checkpoint {
            let after = seconds(tasks, checkpoint);
            progress::note(&format!("{name}: first checkpoint completed {after:.1} s after that"));
        }
    }
}
