//! Finds placeholders that a template engine or the shell did not replace.

use serde_json::{Map, Value};

use super::fields::Faults;
use crate::model::file_text::{helm_expression, shell_variable};

/// Fields in which such a text is never intended.
const NAMES: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "spec.image",
    "spec.flinkVersion",
    "spec.serviceAccount",
    "spec.job.jarURI",
    "spec.job.entryClass",
    "spec.job.initialSavepointPath",
    "spec.imagePullPolicy",
];
/// Lists and maps whose strings are passed to Flink and the program unchanged, where such a text may be intended.
const PASSED_ON: [&str; 2] = ["spec.job.args", "spec.flinkConfiguration"];

/// Rejects names that contain `{{ … }}` or `${…}`, and warns of arguments and configuration that do.
pub(super) fn check(fields: &Map<String, Value>, faults: &mut Faults) {
    for path in NAMES {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|step| fields.get(step));
        let found = steps.fold(first, |value, step| value?.get(step));
        let Some((what, how)) = found.and_then(Value::as_str).and_then(unfilled) else {
            continue;
        };
        faults.refuse(path, format!("{what} has not been filled in; {how}"));
    }
    for path in PASSED_ON {
        let field = path.rsplit('.').next().unwrap_or_default();
        let spec = fields.get("spec");
        match spec.and_then(|spec| spec.get(field).or_else(|| spec.get("job")?.get(field))) {
            Some(Value::Array(texts)) => {
                for (number, text) in texts.iter().enumerate() {
                    warn(&format!("{path}[{number}]"), text, faults);
                }
            }
            Some(Value::Object(texts)) => {
                for (key, text) in texts {
                    warn(&format!("{path}.{key}"), text, faults);
                }
            }
            _ => {}
        }
    }
}

fn warn(path: &str, text: &Value, faults: &mut Faults) {
    if let Some((what, _)) = text.as_str().and_then(unfilled) {
        faults.warn(path, format!("nothing fills in {what}: it is passed on as it is"));
    }
}

/// The placeholder, and the tool that would replace it.
fn unfilled(text: &str) -> Option<(&str, &'static str)> {
    helm_expression(text)
        .map(|what| {
            (
                what,
                "`helm template RELEASE CHART | kubectl flink create -f -` does it",
            )
        })
        .or_else(|| shell_variable(text).map(|what| (what, "`envsubst < FILE | kubectl flink create -f -` does it")))
}
