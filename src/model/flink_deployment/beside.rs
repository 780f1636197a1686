//! Objects of other kinds in a file: what they refer to that does not exist here.

use serde_json::{Map, Value};

use super::{Documents, KIND};
use crate::model::names::MASTER;
use crate::model::pod_template::checks;

/// Adds the doubts about an object, and the Services to which it leads.
pub(super) fn check(kind: &str, source: &str, fields: &Map<String, Value>, found: &mut Documents) {
    if kind == "Service" {
        let name = fields.get("metadata").and_then(|metadata| metadata["name"].as_str());
        found.services.extend(name.map(ToOwned::to_owned));
    }
    let Some(spec) = fields.get("spec") else { return };
    found.runs_flink |= runs_flink(spec);
    let mut selectors = Vec::new();
    checks::selectors("spec", spec, &mut selectors);
    let doubts = selectors
        .into_iter()
        .filter_map(|(path, selector)| checks::selects_nothing(&format!("{source}: {kind}: {path}"), selector, &[]));
    found.doubts.extend(doubts);
    found.doubts.extend(refers_to_flink_deployment(kind, source, spec));
    let mut services = Vec::new();
    backends(spec, &mut services);
    services.sort_unstable();
    services.dedup();
    let place = format!("{source}: {kind}");
    let services = services.into_iter().map(|service| (place.clone(), service.to_owned()));
    found.backends.extend(services);
}

/// Whether its Pods run a JobManager with its job, by the words of the entrypoint of Flink's images.
fn runs_flink(spec: &Value) -> bool {
    let runs = |text: &Value| {
        let mut words = text.as_str().unwrap_or_default().split_whitespace();
        words.any(|word| matches!(word, "standalone-job" | "job-cluster"))
    };
    let mut containers = checks::list(&spec["template"]["spec"], "containers");
    containers.any(|one| checks::list(one, "command").chain(checks::list(one, "args")).any(runs))
}

/// Why an object that refers to a FlinkDeployment, such as an autoscaler, does nothing: no FlinkDeployment is created.
fn refers_to_flink_deployment(kind: &str, source: &str, spec: &Value) -> Option<String> {
    let references = ["jobReference", "scaleTargetRef", "targetRef"];
    let reference = references.iter().find(|reference| spec[**reference]["kind"] == KIND)?;
    Some(format!(
        "{source}: {kind}: spec.{reference}: it refers to a {KIND}, but only the objects of a cluster are created; `kubectl flink scale` changes the parallelism, and `kubectl flink savepoint` takes a savepoint"
    ))
}

/// Names of the Services to which an Ingress or a route of the Gateway API leads.
fn backends<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            let routes = value["backendRefs"].as_array().into_iter().flatten();
            found.extend(routes.chain([&value["service"]]).filter_map(|to| to["name"].as_str()));
            for below in fields.values() {
                backends(below, found);
            }
        }
        Value::Array(elements) => {
            for below in elements {
                backends(below, found);
            }
        }
        _ => {}
    }
}

/// Ingresses and routes to the Service that native Flink and the operator make for the REST of a cluster in this file.
/// Source: Flink's `ExternalServiceDecorator`.
pub(super) fn without_service(found: &Documents) -> Vec<String> {
    let doubt = |(place, service): &(String, String)| {
        let name = service.strip_suffix("-rest")?;
        let mut layers = found.layers.iter();
        let is_lost = layers.any(|layer| layer.name.as_deref() == Some(name)) && !found.services.contains(service);
        is_lost.then(|| {
            format!(
                "{place}: no Service {service} is created: that of cluster {name} is {name}-{MASTER}, with port 8081 (ui) for REST"
            )
        })
    };
    found.backends.iter().filter_map(doubt).collect()
}
