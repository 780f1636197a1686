//! CPU and memory of a role: the operator's `resource`, and its `resources` with requests and limits.
//!
//! Memory is in Flink's notation in both (2048m are MiB), otherwise in Kubernetes', as is ephemeral storage (2G are 2·10⁹
//! bytes). Source: the operator's `ResourceConfigUtils.parseResourceMemoryString`, and
//! `FlinkConfigBuilder.decorateContainerWithEphemeralStorage`.
//!
//! The request, or without it the limit, is the size of Flink's process and the amount of a role. Without a limit, it
//! is the limit too: the operator's limit factor is 1 then. A limit above the request is added to the role's pod
//! template. Source: the operator's `FlinkConfigBuilder.setResourceRequirements`, and Flink's
//! `KubernetesUtils.getResourceRequirements`.

use serde_json::{Map, Value, json};

use super::fields::{Faults, Section};
use crate::model::config::RoleConfig;
use crate::model::pod_template::MAIN_CONTAINER;
use crate::model::quantity::{self, Memory};

const LISTS: [&str; 2] = ["requests", "limits"];

/// Reads both of a role's `section` into `role`, whose pod template was read before.
pub(super) fn read(section: &mut Section, role: &mut RoleConfig, faults: &mut Faults) {
    let operators = section.section("resource", faults);
    let kubernetes = section.section("resources", faults);
    let amounts = |section: &Section| {
        let lists = LISTS.iter().filter_map(|list| section.fields().get(*list)?.as_object());
        lists.into_iter().flat_map(Map::values).any(|amount| !amount.is_null())
    };
    // As in the operator, `resources: {}` has no effect.
    let newer_counts = kubernetes.as_ref().is_some_and(amounts);
    // The template's own fields of the main container, which may have the same value.
    let path = section.path("");
    if let Some(resources) = kubernetes {
        read_resources(resources, role, &path, faults);
    }
    match operators {
        Some(_) if newer_counts => {
            faults.warn(
                &section.path("resource"),
                "left out: only resources counts where both are there, as in the operator",
            );
        }
        Some(resource) => read_resource(resource, role, &path, faults),
        None => {}
    }
}

fn read_resource(mut section: Section, role: &mut RoleConfig, role_path: &str, faults: &mut Faults) {
    let amount = |section: &mut Section, key| Some((section.path(key), scalar(&section.take(key)?)));
    if let Some((path, text)) = amount(&mut section, "memory") {
        role.memory = faults.check(&path, quantity::memory_of_file(&text));
    }
    if let Some((path, text)) = amount(&mut section, "cpu") {
        role.cpu = faults.check(&path, quantity::cpu(&text));
    }
    if let Some((path, text)) = amount(&mut section, "ephemeralStorage")
        && faults.check(&path, quantity::memory_kubernetes(&text)).is_some()
    {
        for list in LISTS {
            let place = ResourceField { list, role_path };
            put(role, place, "ephemeral-storage", json!(text), faults);
        }
    }
    section.finish(faults);
}

fn read_resources(mut section: Section, role: &mut RoleConfig, role_path: &str, faults: &mut Faults) {
    let lists = LISTS.map(|key| {
        let amounts = section.section(key, faults).map(Section::rest).unwrap_or_default();
        (section.path(key), amounts)
    });
    let claims = section.take("claims");
    let claims_path = section.path("claims");
    section.finish(faults);
    let (memory, more_memory) = amount(&lists, "memory", quantity::memory_of_file, role_path, faults);
    let (cpu, more_cpu) = amount(&lists, "cpu", quantity::cpu, role_path, faults);
    (role.memory, role.cpu) = (memory, cpu);
    let limits = [
        ("memory", more_memory.map(Memory::to_kubernetes)),
        ("cpu", more_cpu.map(|cpu| cpu.to_string())),
    ];
    for (name, limit) in limits {
        let list = "limits";
        if let Some(limit) = limit {
            put(role, ResourceField { list, role_path }, name, json!(limit), faults);
        }
    }
    for (list, (path, amounts)) in LISTS.into_iter().zip(lists) {
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

/// The role's amount of `name`: the request, else the limit; and the limit, if it is higher than the request.
fn amount<T: PartialOrd + Copy>(
    lists: &[(String, Map<String, Value>); 2],
    name: &str,
    parse: fn(&str) -> crate::error::Result<T>,
    role_path: &str,
    faults: &mut Faults,
) -> (Option<T>, Option<T>) {
    let mut said = lists.iter().map(|(path, amounts)| {
        let value = amounts.get(name).filter(|value| !value.is_null())?;
        let path = format!("{path}.{name}");
        let amount = faults.check(&path, parse(&scalar(value)))?;
        faults.wrote(flag(role_path, name), path);
        Some(amount)
    });
    let (request, limit) = (said.next().flatten(), said.next().flatten());
    if request.is_some() && limit.is_some() && request > limit {
        faults.refuse(&format!("{}.{name}", lists[0].0), "it is more than the limit");
    }
    (
        request.or(limit),
        limit.filter(|_| request.is_some() && request < limit),
    )
}

/// The flag for a role's amount.
fn flag(role_path: &str, name: &str) -> &'static str {
    match (role_path.starts_with("spec.jobManager"), name) {
        (true, "memory") => "--jobmanager-memory",
        (true, _) => "--jobmanager-cpu",
        (false, "memory") => "--taskmanager-memory",
        (false, _) => "--taskmanager-cpu",
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

/// Sets one amount of the main container in the role's pod template. As in the operator, it replaces the present value.
fn put(role: &mut RoleConfig, place: ResourceField<'_>, name: &str, amount: Value, faults: &mut Faults) {
    let Some(resources) = resources_of(role) else { return };
    let list = resources.entry(place.list).or_insert_with(|| json!({}));
    let Some(amounts) = list.as_object_mut() else { return };
    if amounts.get(name).is_some_and(|other| *other != amount) {
        faults.warn(
            &format!(
                "{}podTemplate: {}.{name} of {MAIN_CONTAINER}",
                place.role_path, place.list
            ),
            format!(
                "no effect: {}resources or resource says {}",
                place.role_path,
                scalar(&amount)
            ),
        );
    }
    amounts.insert(name.to_owned(), amount);
}

/// `resources` of the main container in the role's pod template, created if missing. `None` if the template is
/// malformed, which was rejected when it was read.
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

/// A scalar in its original form: amounts are numbers or strings.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
