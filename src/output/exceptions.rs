//! The rows of `exceptions`.

use k8s_openapi::jiff::Timestamp;

use crate::model::age::age;
use crate::model::flink::exceptions::Exception;

/// The columns of [`row`]; `several`: the cluster has more jobs than one.
pub(crate) fn headers(wide: bool, several: bool) -> Vec<&'static str> {
    let mut headers = vec!["AGE"];
    headers.extend(several.then_some("JOB NAME"));
    headers.extend(["TASK", "CAUSE"]);
    if wide {
        headers.extend(["CLASS", "LOCATION", "TASKMANAGER", "CONCURRENT"]);
    }
    headers
}

pub(crate) fn row(exception: &Exception, wide: bool, several: bool, now: Timestamp) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut row = vec![exception.time.map(|then| age(then, now)).unwrap_or_default()];
    row.extend(several.then(|| exception.job.clone()));
    row.extend([text(&exception.task), exception.cause.clone()]);
    if wide {
        row.extend([
            exception.class.clone(),
            text(&exception.location),
            text(&exception.task_manager),
            exception.concurrent.to_string(),
        ]);
    }
    row
}
