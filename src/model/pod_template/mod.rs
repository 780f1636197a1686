//! Changes to the pod templates of a cluster's Job and Deployment: patches of the user, volumes, environment, logging.
//!
//! A *template* here is a Kubernetes PodTemplateSpec, `{metadata, spec}`, and *container* the name of the one that runs
//! Flink in it.

pub(crate) mod checks;
mod for_root;
pub(crate) mod merge;
mod unknown_fields;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::quantity;
use crate::error::{Error, Result};
use crate::model::config::{Mount, RoleConfig};

pub(crate) use merge::{MAIN_CONTAINER, faults, merge, repeated, replaced_lists};
pub(crate) use unknown_fields::unknown_fields;

/// Flink's configuration directory in official images.
const CONF: &str = "/opt/flink/conf";
/// Prefix of the pod annotations that contain files of Flink's configuration directory.
const LOG_ANNOTATION: &str = "kubectl-flink/log.";
/// Volume that provides those annotations as files.
const LOG_VOLUME: &str = "kubectl-flink-log";
/// Kubernetes' limit for all annotations of an object together, keys and values, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;
/// Kubernetes' limit for the part of an annotation's key after the slash, and for names of volumes.
const NAME_LIMIT: usize = 63;

/// Mounts a PersistentVolumeClaim into `container`. A mount at the same path is replaced.
///
/// The volume's name depends on the claim only, so that the same input always results in the same template, and two
/// mounts of one claim share a volume.
///
/// # Errors
/// Failure when the template has no such container or is not a pod template.
pub(crate) fn add_mount(template: &mut Value, container: &str, mount: &Mount) -> Result<()> {
    let volume = volume_name(&mount.claim);
    let main = container_of(template, container)?;
    let mut entry = json!({"name": volume, "mountPath": mount.path});
    if mount.read_only {
        entry["readOnly"] = Value::Bool(true);
    }
    upsert(list(main, "volumeMounts")?, "mountPath", entry);
    // Whether it is read-only depends on the mount, not on the volume: another mount of the same claim may write.
    let source = json!({"name": volume, "persistentVolumeClaim": {"claimName": mount.claim}});
    upsert(list(spec_of(template)?, "volumes")?, "name", source);
    Ok(())
}

/// The one of a container's mounts that has the file or the folder `path`: the deepest. `folder` returns where one is mounted.
pub(crate) fn mount_of<M>(mounts: impl IntoIterator<Item = M>, folder: impl Fn(&M) -> &str, path: &str) -> Option<M> {
    let has = |mount: &M| {
        let rest = path.strip_prefix(folder(mount).trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let having = mounts.into_iter().filter(has);
    having.max_by_key(|mount| folder(mount).trim_end_matches('/').len())
}

/// Sets environment variables of `container` to exactly the values given. A variable of the same name is replaced.
///
/// # Errors
/// Failure when the template has no such container or is not a pod template.
pub(crate) fn add_env(template: &mut Value, container: &str, env: &BTreeMap<String, String>) -> Result<()> {
    if env.is_empty() {
        return Ok(());
    }
    let variables = list(container_of(template, container)?, "env")?;
    for (name, value) in env {
        upsert(variables, "name", json!({"name": name, "value": escape_dollar(value)}));
    }
    Ok(())
}

/// Puts `files` into Flink's configuration directory of `container`, each over the image's own file of that name.
///
/// A cluster has no ConfigMap for them. They are stored in annotations of the Pod, a downwardAPI volume provides them
/// as files, and each is mounted separately: the directory as a whole must stay writable, because the image's
/// entrypoint writes to it.
///
/// # Errors
/// Usage error for a name that is not a valid file name or too long for an annotation, and for contents larger than the
/// limit of an object's annotations; failure when the template has no such container or is not a pod template.
pub(crate) fn add_log_configuration(
    template: &mut Value,
    container: &str,
    files: &BTreeMap<String, String>,
) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    for name in files.keys() {
        check_file_name(name)?;
    }
    let size: usize = files
        .iter()
        .map(|(name, text)| LOG_ANNOTATION.len() + name.len() + text.len())
        .sum();
    if size > ANNOTATIONS_LIMIT {
        return Err(Error::usage(format!(
            "the logging configuration has {size} bytes, Kubernetes allows {ANNOTATIONS_LIMIT} in a Pod's annotations"
        ))
        .hint("put the files into the image, under /opt/flink/conf"));
    }
    let mounts = list(container_of(template, container)?, "volumeMounts")?;
    for name in files.keys() {
        upsert(
            mounts,
            "mountPath",
            json!({"name": LOG_VOLUME, "mountPath": format!("{CONF}/{name}"), "subPath": name, "readOnly": true}),
        );
    }
    let items: Vec<Value> = files
        .keys()
        .map(|name| {
            let field = format!("metadata.annotations['{LOG_ANNOTATION}{name}']");
            json!({"path": name, "fieldRef": {"fieldPath": field}})
        })
        .collect();
    let volume = json!({"name": LOG_VOLUME, "downwardAPI": {"items": items}});
    upsert(list(spec_of(template)?, "volumes")?, "name", volume);
    let metadata = map(object(template, "the pod template")?, "metadata")?;
    let annotations = map(metadata, "annotations")?;
    for (name, text) in files {
        annotations.insert(format!("{LOG_ANNOTATION}{name}"), Value::String(text.clone()));
    }
    Ok(())
}

/// Whether the role's own pod template sets a value of the resource `name` that is compatible with the role's: a lower
/// request, a higher limit, or none. These come from a file's requests and limits, see
/// [`crate::model::flink_deployment`].
pub(crate) fn says_exactly(role: &RoleConfig, list: &str, name: &str) -> bool {
    let containers = role
        .pod_template
        .as_ref()
        .and_then(|template| template["spec"]["containers"].as_array());
    let main = containers
        .into_iter()
        .flatten()
        .find(|container| container["name"] == MAIN_CONTAINER);
    let Some(said) = main.and_then(|main| main["resources"][list].as_object()?.get(name)) else {
        return false;
    };
    let text = said.as_str().map_or_else(|| said.to_string(), ToOwned::to_owned);
    let order = if name == "cpu" {
        quantity::cpu(&text).ok().partial_cmp(&role.cpu)
    } else {
        quantity::memory_kubernetes(&text).ok().partial_cmp(&role.memory)
    };
    match list {
        "limits" => said.is_null() || order == Some(Ordering::Greater),
        _ => order == Some(Ordering::Less),
    }
}

/// Checks that `name` can be a file in Flink's configuration directory.
pub(crate) fn check_file_name(name: &str) -> Result<()> {
    // The annotation's key is the tighter limit: Kubernetes allows 63 characters after the slash.
    let room = NAME_LIMIT - "log.".len();
    let fault = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.contains('/') {
        "it must be a file's name without a folder".to_owned()
    } else if name.len() > room {
        format!("it has {} characters, {room} are allowed", name.len())
    } else if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        || !name.ends_with(|c: char| c.is_ascii_alphanumeric())
        || name.starts_with("..")
    {
        "only a-z, A-Z, 0-9, '.', '-' and '_' are allowed, with a letter or digit at the end".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::usage(format!(
        "invalid logging configuration file {name:?}: {fault}"
    )))
}

/// Escapes `text` so that Kubernetes' expansion of `$(NAME)` in arguments and environment values results in `text`.
///
/// Kubernetes' rule (third_party/forked/golang/expansion): `$$` becomes `$`, `$(NAME)` the variable's value, any other
/// `$` stays. So a run of dollars changes if it is longer than one or ends before a parenthesis; doubling it
/// compensates this. Others stay unchanged: `$HOME` stays readable in the manifest.
pub(crate) fn escape_dollar(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        escaped.push_str(&rest[..start]);
        rest = &rest[start..];
        let after = rest.trim_start_matches('$');
        let run = &rest[..rest.len() - after.len()];
        escaped.push_str(run);
        if run.len() > 1 || after.starts_with('(') {
            escaped.push_str(run);
        }
        rest = after;
    }
    escaped.push_str(rest);
    escaped
}

/// The process's value for `text` in arguments or environment values, and whether Kubernetes inserts a variable, which
/// stays unexpanded here. The opposite of [`escape_dollar`].
pub(crate) fn unescape_dollar(text: &str) -> (String, bool) {
    let (mut plain, mut expands) = (String::with_capacity(text.len()), false);
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if rest.starts_with('(') && rest.contains(')') {
            expands = true;
        }
    }
    plain.push_str(rest);
    (plain, expands)
}

/// Name of a claim's volume. Claims may have dots and 253 characters; volume names may not.
fn volume_name(claim: &str) -> String {
    let plain = format!("claim-{claim}");
    let label = plain.len() <= NAME_LIMIT
        && plain
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !plain.ends_with('-');
    if label {
        return plain;
    }
    let digest = Sha256::digest(claim.as_bytes());
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // A claim cannot have this name by chance: "volume" marks the hashed ones.
    format!("claim-volume-{short}")
}

/// The fields of `value`, or a failure that names `what`.
fn object<'a>(value: &'a mut Value, what: &str) -> Result<&'a mut Map<String, Value>> {
    value
        .as_object_mut()
        .ok_or_else(|| Error::failure(format!("{what} is not a map")))
}

/// The map `key` of `fields`; it is created if it is missing.
fn map<'a>(fields: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Map<String, Value>> {
    let value = fields.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    object(value, &format!("{key} of the pod template"))
}

/// The list `key` of `fields`; it is created if it is missing.
fn list<'a>(fields: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>> {
    let value = fields.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value
        .as_array_mut()
        .ok_or_else(|| Error::failure(format!("{key} of the pod template is not a list")))
}

fn spec_of(template: &mut Value) -> Result<&mut Map<String, Value>> {
    map(object(template, "the pod template")?, "spec")
}

fn container_of<'a>(template: &'a mut Value, container: &str) -> Result<&'a mut Map<String, Value>> {
    list(spec_of(template)?, "containers")?
        .iter_mut()
        .find(|candidate| candidate["name"] == container)
        .and_then(Value::as_object_mut)
        .ok_or_else(|| Error::failure(format!("the pod template has no container {container:?}")))
}

/// Replaces the element with the same `key` as `entry`, or appends `entry`.
fn upsert(elements: &mut Vec<Value>, key: &str, entry: Value) {
    match elements.iter_mut().find(|element| element[key] == entry[key]) {
        Some(element) => *element = entry,
        None => elements.push(entry),
    }
}

#[cfg(test)]
mod tests;
