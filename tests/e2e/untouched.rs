//! A job that must not notice what is tried beside it.

use serde_json::Value;

use crate::place::{Place, soon};

/// What must stay: the job's ID, its restarts, and that it counts.
pub struct Untouched<'a> {
    place: &'a Place,
    tasks: u64,
    job_id: String,
    uid: Value,
    count: u64,
}

impl<'a> Untouched<'a> {
    /// The job of `demo`, with so many tasks.
    pub fn of(place: &'a Place, tasks: u64) -> Self {
        Self {
            place,
            tasks,
            job_id: place.job_id("demo"),
            uid: place.object("job/demo-master")["metadata"]["uid"].clone(),
            count: place.count("demo"),
        }
    }

    fn restarts(&self) -> u64 {
        let path = format!("jobs/{}/metrics?get=numRestarts,fullRestarts", self.job_id);
        // Flink 1.15 has only the second one (FLINK-30558). Flink answers with an empty list until it has fetched the metrics of its processes.
        soon("Flink has the number of restarts", || {
            self.place.rest("demo", &path)?[0]["value"].as_str()?.parse().ok()
        })
    }

    /// The job has counted on all the time.
    #[track_caller]
    pub fn holds(&mut self) {
        let place = self.place;
        assert_eq!(place.object("job/demo-master")["metadata"]["uid"], self.uid);
        assert_eq!(place.job_id("demo"), self.job_id);
        assert_eq!(self.restarts(), 0);
        assert_eq!(place.runs("demo"), self.tasks);
        let count = place.count("demo");
        assert!(count > self.count, "it had counted {}, and now {count}", self.count);
        self.count = count;
    }
}
