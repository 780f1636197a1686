//! Takes over objects that other tools created, without a change of their content.

use serde_json::{Value, json};

use super::api::{Cluster, Mode};
use super::resource::Identity;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::objects;
use crate::model::field_ownership::{former_owners, without_former_owners};

/// Number of attempts to write the owners while a controller writes too.
const ATTEMPTS: usize = 8;

/// Applies `object`, which has the present content and more metadata, and takes its fields from their former owners.
/// Returns the names of these owners.
///
/// Without the second step a field that a later version omits would stay, because its former owner still owns it.
pub(crate) async fn take_over(cluster: &Cluster, object: &Value, onto: &Identity, mode: Mode) -> Result<Vec<String>> {
    let mut live = objects::apply(cluster, object, Some(onto), mode).await?.object;
    let former = former_owners(&live);
    if mode == Mode::DryRun || former.is_empty() {
        return Ok(former);
    }
    for _ in 0..ATTEMPTS {
        let patch = json!({"metadata": {
            "managedFields": without_former_owners(&live),
            "resourceVersion": live["metadata"]["resourceVersion"],
        }});
        match cluster.merge_into(onto, &patch).await {
            Ok(_) => return Ok(former),
            Err(error) if error.kind == Kind::Conflict => {
                live = cluster.get(&onto.target("get")).await?.unwrap_or(Value::Null);
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::conflict(format!("other clients keep changing {onto}")))
}
