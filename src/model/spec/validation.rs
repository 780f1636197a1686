//! Checks of a spec's settings.

use serde_json::Value;

use super::MAX_JOB_MANAGERS;
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::flink::arguments::MAX_ARGUMENT;
use crate::model::flink::script_keys;
use crate::model::flink::{FlinkVersion, Role};
use crate::model::pod_template::MAIN_CONTAINER;

/// The first release whose JobManagers all know the result of a savepoint. In earlier ones only the REST server that took the
/// request knows it, and the Service spreads requests over all JobManagers.
///
/// Source: `SavepointHandlers`, which extends `AbstractAsynchronousOperationHandlers` before 1.15, and asks the leader's
/// `DispatcherCachedOperationsHandler` since.
const SHARED_RESULTS: FlinkVersion = FlinkVersion::new(1, 15);

/// Checks the settings that require high availability, or one kind of it.
pub(super) fn validate_high_availability(layer: &Config, version: Option<FlinkVersion>) -> Result<()> {
    let managers = layer.job_managers.unwrap_or(1);
    if !(1..=MAX_JOB_MANAGERS).contains(&managers) {
        return Err(Error::usage(format!(
            "invalid number of JobManagers {managers}: it must be 1 to {MAX_JOB_MANAGERS}"
        )));
    }
    if managers > 1
        && let Some(version) = version.filter(|version| *version < SHARED_RESULTS)
    {
        let error = Error::usage(format!(
            "Flink {version} cannot have {managers} JobManagers: before {SHARED_RESULTS}, only the one that took the request for a savepoint knows its path"
        ));
        return Err(layer.because_of_version(
            error.hint(
                "--jobmanager-replicas 1: with --ha, a JobManager that fails is restarted, and its job continues",
            ),
        ));
    }
    let rbac = layer.ha_create_rbac == Some(true);
    let wanted = [
        (
            layer.zookeeper.is_some(),
            "a ZooKeeper (--ha-zookeeper) is used by high availability only".to_owned(),
        ),
        (rbac, "--ha-create-rbac needs high availability".to_owned()),
        (managers > 1, format!("{managers} JobManagers need high availability")),
    ];
    if layer.ha.is_none()
        && let Some((_, why)) = wanted.into_iter().find(|(wanted, _)| *wanted)
    {
        return Err(Error::usage(why).hint("--ha STORAGE_DIR turns it on, with its data in that folder"));
    }
    if layer.zookeeper_root.is_some() && layer.zookeeper.is_none() {
        return Err(
            Error::usage("a node of ZooKeeper (--ha-zookeeper-root) needs a ZooKeeper")
                .hint("--ha-zookeeper QUORUM names it, such as zk-0:2181,zk-1:2181"),
        );
    }
    if rbac && layer.zookeeper.is_some() {
        return Err(Error::usage(
            "high availability by ZooKeeper needs no rights in Kubernetes, so --ha-create-rbac has nothing to make",
        ));
    }
    let server = |server: &str| {
        let port = server.rsplit_once(':').map(|(_, port)| port.trim().parse::<u16>());
        !server.trim().is_empty() && port.is_none_or(|port| port.is_ok())
    };
    if let Some(quorum) = layer
        .zookeeper
        .as_deref()
        .filter(|quorum| !quorum.split(',').all(server))
    {
        return Err(Error::usage(format!(
            "invalid quorum of ZooKeeper {quorum:?}: it must be like zk-0:2181,zk-1:2181"
        )));
    }
    match layer.zookeeper_root.as_deref().filter(|root| !root.starts_with('/')) {
        Some(root) => Err(Error::usage(format!(
            "invalid node of ZooKeeper {root:?}: it must be a path like /flink"
        ))),
        None => Ok(()),
    }
}

/// Checks keys that become environment variables against the environment: if it has another value, the scripts would
/// not read the key.
pub(super) fn validate_script_keys(layer: &Config) -> Result<()> {
    for role in [Role::JobManager, Role::TaskManager] {
        for script_keys::Variable { key, name, value } in script_keys::variables(&layer.configuration, role) {
            let templates = [&layer.pod_template, &layer.role(role).pod_template];
            let containers = templates.into_iter().flatten();
            let containers = containers
                .filter_map(|template| template["spec"]["containers"].as_array())
                .flatten();
            let main = containers.filter(|container| container["name"] == MAIN_CONTAINER);
            let mut env = main.filter_map(|main| main["env"].as_array()).flatten();
            let same = |variable: &Value| variable["value"].as_str() == Some(&value);
            let other = layer.env.get(name).is_some_and(|said| *said != value)
                || env.any(|variable| variable["name"] == name && !same(variable));
            if other {
                return Err(Error::usage(format!(
                    "{key} has no effect, because Flink reads the environment variable {name} instead, which is set, too"
                ))
                .hint("write only one of them"));
            }
        }
    }
    Ok(())
}

/// Checks a SQL script, which is in an annotation: all of an object's may have 256 KiB. Source: `TotalAnnotationSizeLimitB`
/// in apimachinery.
pub(super) fn validate_sql(layer: &Config) -> Result<()> {
    let Some(script) = &layer.sql else { return Ok(()) };
    let fault = if script.trim().is_empty() {
        Some("the SQL script is empty".to_owned())
    } else if script.len() > MAX_SQL {
        Some(format!(
            "the SQL script has {} bytes, at most {MAX_SQL} fit into a cluster",
            script.len()
        ))
    } else if layer.job_class.is_some() || layer.arguments.iter().flatten().next().is_some() {
        Some("a SQL script is the whole job: it has no entry class and no program arguments".to_owned())
    } else {
        None
    };
    fault.map_or(Ok(()), |fault| Err(Error::usage(fault)))
}

/// The longest SQL script, in bytes.
const MAX_SQL: usize = 200_000;

/// Checks for text that no process can receive: NUL, and arguments longer than Linux allows.
pub(super) fn validate_texts(layer: &Config) -> Result<()> {
    let check = |what: &str, text: &str, beside: usize| {
        if text.contains('\0') {
            return Err(Error::usage(format!(
                "a {what} has a NUL character, which cannot be passed to a process"
            )));
        }
        if text.len() + beside > MAX_ARGUMENT {
            return Err(Error::usage(format!(
                "a {what} has {} bytes; Linux passes at most {MAX_ARGUMENT} in one argument",
                text.len()
            )));
        }
        Ok(())
    };
    let all = |what: &str, texts: &[String]| texts.iter().try_for_each(|text| check(what, text, 0));
    all("program argument", layer.arguments.as_deref().unwrap_or_default())?;
    all("savepoint path", layer.from_savepoint.as_slice())?;
    all("job class", layer.job_class.as_slice())?;
    all("jar", layer.jars.as_deref().unwrap_or_default())?;
    for (key, value) in &layer.configuration {
        check("configuration", value, key.len() + 3)?;
    }
    for (key, value) in &layer.env {
        check("environment variable", value, key.len() + 1)?;
    }
    for folder in [&layer.savepoint_dir, &layer.checkpoint_dir, &layer.ha]
        .into_iter()
        .flatten()
    {
        check("folder", folder, 40)?;
    }
    let not_empty = [
        ("savepoint path", &layer.from_savepoint),
        ("job class", &layer.job_class),
        ("savepoint folder", &layer.savepoint_dir),
        ("checkpoint folder", &layer.checkpoint_dir),
        ("folder of high availability", &layer.ha),
    ];
    for (what, value) in not_empty {
        if value.as_deref() == Some("") {
            return Err(Error::usage(format!("the {what} is empty")));
        }
    }
    if let Some(bad) = layer
        .jars
        .iter()
        .flatten()
        .find(|jar| jar.is_empty() || jar.contains(','))
    {
        return Err(Error::usage(format!(
            "invalid jar {bad:?}: Flink separates jars by commas"
        )));
    }
    if let Some(bad) = layer
        .env
        .keys()
        .find(|key| key.is_empty() || key.contains(|c: char| c == '=' || !(' '..='~').contains(&c)))
    {
        return Err(Error::usage(format!("invalid name of an environment variable {bad:?}")));
    }
    Ok(())
}
