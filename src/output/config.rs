//! The rows of `config`.

use crate::model::flink::effective_config::Setting;
use crate::model::shortened::shortened;

/// Maximum number of characters of a value that is cut: the JVM options alone have a thousand.
const LONGEST: usize = 61;

/// The row of a setting; `cut`: long values are cut.
pub(crate) fn row(setting: &Setting, cut: bool) -> Vec<String> {
    let text = |value: &Option<String>| {
        let value = value.clone().unwrap_or_default();
        if cut { shortened(&value, LONGEST) } else { value }
    };
    vec![
        setting.key.clone(),
        text(&setting.job_manager),
        text(&setting.task_manager),
    ]
}
