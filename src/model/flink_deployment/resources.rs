//! CPU and memory of a role: the operator's `resource`, and its `resources` with requests and limits.
//!
//! Memory is in Flink's notation in both (2048m are MiB), else in Kubernetes'. Source: the operator's
//! `ResourceConfigUtils.parseResourceMemoryString`, which reads its own examples so.
//!
//! A role of a [`crate::model::config::Config`] has one amount of each, which is the container's request and limit, and for
//! memory the size of the process. Where `resources` says more (a request below the limit, no limit, a GPU), the exact
//! amounts are put into the role's pod template, and the limit is the size of the process: it is what the kernel
//! enforces, and a process sized by the smaller request would leave the rest unused.

use serde_json::{Map, Value, json};

use super::fields::{Faults, Section};
use crate::model::config::RoleConfig;
use crate::model::pod_template::MAIN_CONTAINER;
use crate::model::quantity::{self, Cpu, Memory};

/// Reads both of a role's `section` into `role`, whose pod template was read before.
pub(super) fn read(section: &mut Section, role: &mut RoleConfig, faults: &mut Faults) {
    let operators = section.section("resource", faults);
    let kubernetes = section.section("resources", faults);
    // The template's own fields of the main container, which may say the same.
    let path = section.path("");
    match (operators, kubernetes) {
        (Some(_), Some(resources)) => {
            // As the operator has it.
            faults.warn(&section.path("resource"), "left out: resources says the same");
            read_resources(resources, role, &path, faults);
        }
        (Some(resource), None) => read_resource(resource, role, &path, faults),
        (None, Some(resources)) => read_resources(resources, role, &path, faults),
        (None, None) => {}
    }
}

fn read_resource(mut section: Section, role: &mut RoleConfig, role_path: &str, faults: &mut Faults) {
    let amount = |section: &mut Section, key| Some((section.path(key), scalar(&section.take(key)?)));
    if let Some((path, text)) = amount(&mut section, "memory") {
        role.memory = faults.check(&path, quantity::memory_flink(&text));
    }
    if let Some((path, text)) = amount(&mut section, "cpu") {
        role.cpu = faults.check(&path, quantity::cpu(&text));
    }
    if let Some((path, text)) = amount(&mut section, "ephemeralStorage")
        && let Some(size) = faults.check(&path, quantity::memory_flink(&text))
    {
        for list in ["requests", "limits"] {
            let place = ResourceField { list, role_path };
            put(role, place, "ephemeral-storage", json!(size.to_kubernetes()), faults);
        }
    }
    section.finish(faults);
}

fn read_resources(mut section: Section, role: &mut RoleConfig, role_path: &str, faults: &mut Faults) {
    let [requests, limits] = ["requests", "limits"].map(|key| {
        let amounts = section.section(key, faults).map(Section::rest).unwrap_or_default();
        (section.path(key), amounts)
    });
    let claims = section.take("claims");
    let claims_path = section.path("claims");
    section.finish(faults);
    role.memory = common(
        role,
        &requests,
        &limits,
        "memory",
        quantity::memory_flink,
        role_path,
        faults,
    );
    role.cpu = common(role, &requests, &limits, "cpu", quantity::cpu, role_path, faults);
    for (list, (path, amounts)) in [("requests", requests), ("limits", limits)] {
        for (name, amount) in amounts {
            if name == "cpu" || name == "memory" || amount.is_null() {
                continue;
            }
            if matches!(amount, Value::String(_) | Value::Number(_)) {
                put(role, ResourceField { list, role_path }, &name, amount, faults);
            } else {
                faults.refuse(&format!("{path}.{name}"), "it must be an amount");
            }
        }
    }
    if let Some(claims) = claims {
        if !claims.is_array() {
            faults.refuse(&claims_path, "it must be a list");
        } else if let Some(resources) = resources_of(role) {
            resources.insert("claims".to_owned(), claims);
        }
    }
}

/// The role's amount of `name`: the limit, else the request. What the two say beyond that goes to the pod template.
fn common<T: PartialOrd + Copy + ToAmount>(
    role: &mut RoleConfig,
    requests: &(String, Map<String, Value>),
    limits: &(String, Map<String, Value>),
    name: &str,
    parse: fn(&str) -> crate::error::Result<T>,
    role_path: &str,
    faults: &mut Faults,
) -> Option<T> {
    let mut amount = |(path, amounts): &(String, Map<String, Value>)| {
        let value = amounts.get(name).filter(|value| !value.is_null())?;
        faults.check(&format!("{path}.{name}"), parse(&scalar(value)))
    };
    match (amount(requests), amount(limits)) {
        (None, None) => None,
        // Kubernetes makes the limit the request where that is absent.
        (None, Some(limit)) => Some(limit),
        (Some(request), None) => {
            if limits.1.get(name).is_none_or(Value::is_null) {
                // No limit at all: null takes the one away that follows from the role's amount.
                let place = ResourceField {
                    list: "limits",
                    role_path,
                };
                put(role, place, name, Value::Null, faults);
            }
            Some(request)
        }
        (Some(request), Some(limit)) if request > limit => {
            faults.refuse(&format!("{}.{name}", requests.0), "it is more than the limit");
            None
        }
        (Some(request), Some(limit)) => {
            if request < limit {
                let place = ResourceField {
                    list: "requests",
                    role_path,
                };
                put(role, place, name, json!(request.to_amount()), faults);
            }
            Some(limit)
        }
    }
}

/// An amount as Kubernetes writes it.
trait ToAmount {
    fn to_amount(self) -> String;
}

impl ToAmount for Memory {
    fn to_amount(self) -> String {
        self.to_kubernetes()
    }
}

impl ToAmount for Cpu {
    fn to_amount(self) -> String {
        self.to_string()
    }
}

/// A list of the main container's resources in a role's pod template.
#[derive(Clone, Copy)]
struct ResourceField<'a> {
    /// `requests` or `limits`.
    list: &'static str,
    /// Path of the role, with the dot.
    role_path: &'a str,
}

/// Puts one amount into the main container of the role's pod template, unless that says another one.
fn put(role: &mut RoleConfig, place: ResourceField<'_>, name: &str, amount: Value, faults: &mut Faults) {
    let Some(resources) = resources_of(role) else { return };
    let list = resources.entry(place.list).or_insert_with(|| json!({}));
    let Some(amounts) = list.as_object_mut() else { return };
    match amounts.get(name) {
        Some(other) if *other != amount => faults.refuse(
            &format!("{}resources.{}.{name}", place.role_path, place.list),
            format!("podTemplate says {other} for {MAIN_CONTAINER}; write only one"),
        ),
        _ => {
            amounts.insert(name.to_owned(), amount);
        }
    }
}

/// `resources` of the main container in the role's pod template, made if missing. `None` where the template is malformed,
/// which was refused when it was read.
fn resources_of(role: &mut RoleConfig) -> Option<&mut Map<String, Value>> {
    let template = role.pod_template.get_or_insert_with(|| json!({}));
    let spec = template.as_object_mut()?.entry("spec").or_insert_with(|| json!({}));
    let containers = spec.as_object_mut()?.entry("containers").or_insert_with(|| json!([]));
    let containers = containers.as_array_mut()?;
    let index = containers
        .iter()
        .position(|container| container["name"] == MAIN_CONTAINER)
        .unwrap_or_else(|| {
            containers.push(json!({"name": MAIN_CONTAINER}));
            containers.len() - 1
        });
    let container = containers.get_mut(index)?.as_object_mut()?;
    container
        .entry("resources")
        .or_insert_with(|| json!({}))
        .as_object_mut()
}

/// A scalar as it was written: amounts are numbers or texts.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
