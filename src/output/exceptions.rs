//! The rows of `exceptions`.

use k8s_openapi::jiff::Timestamp;

use crate::model::age::age;
use crate::model::flink::exceptions::Exception;

pub(crate) const fn headers(wide: bool) -> &'static [&'static str] {
    if wide {
        &["AGE", "TASK", "CAUSE", "CLASS", "LOCATION", "TASKMANAGER", "CONCURRENT"]
    } else {
        &["AGE", "TASK", "CAUSE"]
    }
}

pub(crate) fn row(exception: &Exception, wide: bool, now: Timestamp) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut row = vec![
        exception.time.map(|then| age(then, now)).unwrap_or_default(),
        text(&exception.task),
        exception.cause.clone(),
    ];
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
