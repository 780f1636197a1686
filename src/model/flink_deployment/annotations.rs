//! Settings without a field in FlinkDeployment, as its annotations `kubectl-flink/…`.
//!
//! | annotation | value |
//! |---|---|
//! | `env` | JSON map of texts |
//! | `image-pull-secrets`, `jars` | JSON list of texts |
//! | `mounts` | JSON list of `CLAIM:/PATH[:ro]` |
//! | `entrypoint`, `restart`, `job-id`, `job-id-seed`, `node-port` | as on the command line |
//! | `direct-start`, `ha-create-rbac`, `keep-sidecars` | `true` or `false` |
//! | `sql` | the text of a SQL script |
//! | `ttl-after-finished` | seconds |
//! | `identity`, `rpc-port` | in histories: see [`Config::nonce`], [`Config::rpc_port`] |
//!
//! The operator ignores these annotations, so that a file with them is a valid FlinkDeployment.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::fields::Faults;
use crate::error::{Error, Result};
use crate::model::config::{Config, JobId, Mount};
use crate::model::keyword::Keyword;
use crate::model::nearest::nearest;

/// Annotation of files that `export` has written. A file with this or any other of the plugin's annotations is
/// complete: the operator's additions are not added to it.
pub(crate) const EXPORTED: &str = "kubectl-flink/exported";
pub(super) const PREFIX: &str = "kubectl-flink/";

/// Constants for annotations, and the list of all.
macro_rules! annotations {
    ($($visibility:vis $name:ident = $key:literal;)+) => {
        $($visibility const $name: &str = $key;)+
        const KNOWN: &[&str] = &[$($name),+];
    };
}

annotations! {
    DIRECT_START = "kubectl-flink/direct-start";
    ENTRYPOINT = "kubectl-flink/entrypoint";
    ENV = "kubectl-flink/env";
    HA_CREATE_RBAC = "kubectl-flink/ha-create-rbac";
    IDENTITY = "kubectl-flink/identity";
    pub(super) JARS = "kubectl-flink/jars";
    JOB_ID = "kubectl-flink/job-id";
    JOB_ID_SEED = "kubectl-flink/job-id-seed";
    KEEP_SIDECARS = "kubectl-flink/keep-sidecars";
    MOUNTS = "kubectl-flink/mounts";
    NODE_PORT = "kubectl-flink/node-port";
    PULL_SECRETS = "kubectl-flink/image-pull-secrets";
    RESTART = "kubectl-flink/restart";
    RPC_PORT = "kubectl-flink/rpc-port";
    SQL = "kubectl-flink/sql";
    TTL = "kubectl-flink/ttl-after-finished";
}

/// Annotations of live objects. They describe the present state, not the wanted one.
const OBSERVED: &[&str] = &[
    EXPORTED,
    "kubectl-flink/revision",
    "kubectl-flink/parallelism",
    "kubectl-flink/flink-version",
];

/// Moves the plugin's annotations of `layer` to the corresponding fields.
pub(super) fn take(layer: &mut Config, faults: &mut Faults) {
    let (ours, others): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut layer.annotations)
        .into_iter()
        .partition(|(key, _)| key.starts_with(PREFIX));
    layer.annotations = others;
    for (key, value) in ours {
        let path = format!("metadata.annotations.{key}");
        match key.as_str() {
            ENTRYPOINT => layer.entrypoint = faults.check(&path, Keyword::parse(&value)),
            RESTART => layer.restart = faults.check(&path, Keyword::parse(&value)),
            JOB_ID | JOB_ID_SEED if layer.job_id.is_some() => {
                faults.refuse(&path, format!("{JOB_ID} sets it too; write only one"));
            }
            JOB_ID => layer.job_id = Some(JobId::Fixed(value)),
            JOB_ID_SEED => layer.job_id = Some(JobId::Seed(value)),
            SQL => layer.sql = Some(value),
            IDENTITY => layer.nonce = faults.check(&path, identity(value)),
            NODE_PORT | RPC_PORT => {
                let port = value.parse().ok().filter(|port| *port > 0);
                let port = port.ok_or_else(|| Error::usage(format!("{value:?} is not a port")));
                let field = match key.as_str() {
                    NODE_PORT => &mut layer.node_port,
                    _ => &mut layer.rpc_port,
                };
                *field = faults.check(&path, port);
            }
            DIRECT_START | HA_CREATE_RBAC | KEEP_SIDECARS => {
                let wanted = value.parse().map_err(|_| Error::usage("it must be true or false"));
                let field = match key.as_str() {
                    KEEP_SIDECARS => &mut layer.keep_sidecars,
                    DIRECT_START => &mut layer.direct_start,
                    _ => &mut layer.ha_create_rbac,
                };
                *field = faults.check(&path, wanted);
            }
            TTL => {
                let seconds = value
                    .parse()
                    .map_err(|_| Error::usage("it must be a whole number of seconds"));
                layer.ttl_after_finished = faults.check(&path, seconds);
            }
            ENV => layer.env = faults.check(&path, json_of(&value)).unwrap_or_default(),
            JARS => layer.jars = faults.check(&path, json_of(&value)),
            PULL_SECRETS => layer.image_pull_secrets = faults.check(&path, json_of(&value)),
            MOUNTS => layer.mounts = faults.check(&path, mounts(&value)).unwrap_or_default(),
            observed if OBSERVED.contains(&observed) => {}
            unknown => faults.refuse(
                &path,
                match nearest(unknown, KNOWN.iter().copied()) {
                    Some(known) => format!("unknown annotation of the plugin; did you mean {known}?"),
                    None => "unknown annotation of the plugin".to_owned(),
                },
            ),
        }
    }
}

/// The annotations for the settings of `layer` without a field in FlinkDeployment.
pub(super) fn of(layer: &Config, jars: Option<&Vec<String>>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            found.insert(key.to_owned(), value);
        }
    };
    let mounts: Vec<String> = layer.mounts.iter().map(ToString::to_string).collect();
    say(ENTRYPOINT, layer.entrypoint.map(|word| word.as_str().to_owned()));
    say(RESTART, layer.restart.map(|word| word.as_str().to_owned()));
    say(NODE_PORT, layer.node_port.map(|port| port.to_string()));
    say(HA_CREATE_RBAC, layer.ha_create_rbac.map(|wanted| wanted.to_string()));
    say(KEEP_SIDECARS, layer.keep_sidecars.map(|wanted| wanted.to_string()));
    say(DIRECT_START, layer.direct_start.map(|wanted| wanted.to_string()));
    say(IDENTITY, layer.nonce.clone());
    say(RPC_PORT, layer.rpc_port.map(|port| port.to_string()));
    say(SQL, layer.sql.clone());
    say(TTL, layer.ttl_after_finished.map(|seconds| seconds.to_string()));
    say(ENV, (!layer.env.is_empty()).then(|| json!(layer.env).to_string()));
    say(MOUNTS, (!mounts.is_empty()).then(|| json!(mounts).to_string()));
    say(JARS, jars.map(|jars| json!(jars).to_string()));
    let secrets = layer.image_pull_secrets.as_ref();
    say(PULL_SECRETS, secrets.map(|names| json!(names).to_string()));
    match &layer.job_id {
        Some(JobId::Fixed(id)) => say(JOB_ID, Some(id.clone())),
        Some(JobId::Seed(seed)) => say(JOB_ID_SEED, Some(seed.clone())),
        None => {}
    }
    found
}

/// Checks an identity, which becomes part of names in Kubernetes.
fn identity(text: String) -> Result<String> {
    let fits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if fits {
        Ok(text)
    } else {
        Err(Error::usage(format!("{text:?} is not a valid identity")))
    }
}

fn json_of<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::usage("invalid JSON").because(error))
}

fn mounts(text: &str) -> Result<Vec<Mount>> {
    json_of::<Vec<String>>(text)?
        .iter()
        .map(|mount| mount.parse())
        .collect()
}
