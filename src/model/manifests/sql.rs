//! A SQL script as the job of a cluster.
//!
//! The script is an annotation of the JobManager's Pods, from which the kubelet makes a file: it is part of its Job, so that
//! it comes, changes and goes with the revision, and no interruption can leave it behind or without it.

use serde_json::{Value, json};

use super::{list, main_container, map};
use crate::error::Result;
use crate::model::spec::Spec;

/// Flink's program that runs a script: FLIP-480, in flink-table-runtime of Flink 2.0 and later. It finds the SQL gateway's
/// jar in the distribution's folder `opt` by itself. Source: `SqlDriver.findExecutor`; run with 2.3.0.
pub(super) const DRIVER: &str = "org.apache.flink.table.runtime.application.SqlDriver";

const ANNOTATION: &str = "kubectl-flink/sql";
const FOLDER: &str = "/opt/flink/sql";
const FILE: &str = "script.sql";
const VOLUME: &str = "sql-script";

/// The program arguments. The flag has this name in 2.0.2, 2.1.3, 2.2.1 and 2.3.0.
pub(super) fn arguments() -> Vec<String> {
    vec!["--scriptUri".to_owned(), format!("file://{FOLDER}/{FILE}")]
}

/// Mounts the script into the JobManager. A Job that was made with a script, and is a template now, has the volume already.
pub(super) fn mount(job: &mut Value, spec: &Spec) -> Result<()> {
    let Some(script) = &spec.layer.sql else { return Ok(()) };
    map(job, &["spec", "template", "metadata", "annotations"])?.insert(ANNOTATION.to_owned(), json!(script));
    let mounts = list(main_container(job)?, "volumeMounts")?;
    mounts.retain(|mount| mount["name"] != VOLUME);
    mounts.push(json!({ "name": VOLUME, "mountPath": FOLDER, "readOnly": true }));
    let field = json!({ "fieldPath": format!("metadata.annotations['{ANNOTATION}']") });
    let pod = map(job, &["spec", "template", "spec"])?;
    let volumes = list(pod, "volumes")?;
    volumes.retain(|volume| volume["name"] != VOLUME);
    volumes.push(json!({ "name": VOLUME, "downwardAPI": { "items": [{ "path": FILE, "fieldRef": field }] } }));
    Ok(())
}
