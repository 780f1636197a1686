//! Shared by the commands that take savepoints: the savepoint's format, and the progress report.

use crate::error::Result;
use crate::flink::Flink;
use crate::model::bytes;
use crate::model::flink::overview::JobOverview;
use crate::model::keyword::keywords;
use crate::model::names::ClusterName;
use crate::operations::savepoint::{self, Writing};
use crate::progress;

keywords! {
    #[derive(Default)]
    enum SavepointFormat {
        #[default]
        Canonical = "canonical": "Independent of the state backend",
        Native = "native": "As the state backend stores it: faster, and possible where the other is not (Flink 1.15+)",
    }
}

impl SavepointFormat {
    /// Its name in Flink's REST.
    pub(crate) const fn as_rest(self) -> &'static str {
        match self {
            Self::Canonical => "CANONICAL",
            Self::Native => "NATIVE",
        }
    }
}

/// Seconds between two lines without a terminal.
const LINE: u64 = 10;

pub(crate) struct WritingStep {
    step: progress::Step,
    what: String,
    said: u64,
}

impl WritingStep {
    pub(crate) fn of(name: &ClusterName) -> Self {
        let what = format!("{name}: writing a savepoint");
        Self {
            step: progress::step(&what),
            what,
            said: 0,
        }
    }

    /// Continues a step with the report.
    pub(crate) fn after(mut step: progress::Step, name: &ClusterName) -> Self {
        let what = format!("{name}: writing a savepoint");
        step.update(&what);
        Self { step, what, said: 0 }
    }

    /// Ends the report, whose result is printed elsewhere.
    pub(crate) fn end(self) {
        self.step.end();
    }

    pub(crate) fn update(&mut self, writing: Writing) {
        if let Some((running, all)) = writing.missing {
            return self.step.update(&format!(
                "{}: waiting until all tasks run, {running} of {all} do",
                self.what
            ));
        }
        let seconds = writing.elapsed.as_secs();
        // A spinner shows the elapsed time.
        let drawn = self.step.is_drawn();
        if !drawn && seconds < self.said + LINE {
            return;
        }
        self.said = seconds;
        let mut text = self.what.clone();
        if !drawn {
            text = format!("{text}, for {seconds} s so far");
        }
        if let Some((done, all)) = writing.tasks {
            text = format!("{text}, {done} of {all} tasks");
        }
        if let Some(size) = writing.size {
            text = format!("{text}, {}", bytes::human(size));
        }
        self.step.update(&text);
    }

    /// Ends the report with the result.
    pub(crate) fn done(self, text: &str) {
        self.step.done(text);
    }
}

/// Waits until all tasks of a job run, so that no operation starts before a savepoint of the job is possible.
pub(crate) async fn all_run(flink: &Flink, job: JobOverview) -> Result<JobOverview> {
    if job.can_be_saved() {
        return Ok(job);
    }
    let mut step = WritingStep::of(flink.cluster_name());
    let job = savepoint::until_all_run(flink, &job, |writing| step.update(writing)).await?;
    step.end();
    Ok(job)
}
