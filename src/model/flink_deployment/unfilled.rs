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

/// Pod templates, and the parts of their Pods that name other objects. Drivers may mean such a text.
const POD_TEMPLATES: [&str; 3] = [
    "spec.podTemplate.spec",
    "spec.jobManager.podTemplate.spec",
    "spec.taskManager.podTemplate.spec",
];
const PARTS_WITH_NAMES: [&str; 3] = ["imagePullSecrets", "nodeSelector", "volumes"];

/// Rejects names that contain `{{ … }}` or `${…}`, and warns of arguments and configuration that do.
pub(super) fn check(fields: &Map<String, Value>, faults: &mut Faults) {
    for path in NAMES {
        let Some((what, how)) = find(fields, path).and_then(Value::as_str).and_then(unfilled) else {
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
    for path in POD_TEMPLATES {
        for field in PARTS_WITH_NAMES {
            if let Some(part) = find(fields, path).and_then(|pod| pod.get(field)) {
                warn_of_all(&format!("{path}.{field}"), part, faults);
            }
        }
    }
}

fn find<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let first = steps.next().and_then(|step| fields.get(step));
    steps.fold(first, |value, step| value?.get(step))
}

/// Warns of all texts below `value`.
fn warn_of_all(path: &str, value: &Value, faults: &mut Faults) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                warn_of_all(&format!("{path}.{key}"), value, faults);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                warn_of_all(&format!("{path}[{index}]"), element, faults);
            }
        }
        text => warn(path, text, faults),
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
