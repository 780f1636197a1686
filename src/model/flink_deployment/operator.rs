//! Reads a FlinkDeployment of Flink's operator in the API server: whether it is stopped, and from which state it can
//! continue.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::flink_deployment::{self, Documents};

/// The operator's value for "the last checkpoint according to high availability", instead of a path.
/// Source: the operator's `AbstractJobReconciler.LAST_STATE_DUMMY_SP_PATH`.
const LAST_STATE: &str = "KUBERNETES_OPERATOR_LAST_STATE";

/// The path of the job's last state; `None`: the operator has none, or does not report it.
///
/// Source: `JobStatus` of the operator. `upgradeSavepointPath` is the path from which the operator itself would start;
/// older versions only had the savepoints that they took.
pub(crate) fn last_state(object: &Value) -> Option<&str> {
    let status = &object["status"]["jobStatus"];
    let places = [
        &status["upgradeSavepointPath"],
        &status["savepointInfo"]["lastSavepoint"]["location"],
        &status["checkpointInfo"]["lastCheckpoint"]["location"],
    ];
    let paths = places.into_iter().filter_map(Value::as_str);
    paths.into_iter().find(|path| !path.is_empty() && *path != LAST_STATE)
}

/// Whether the job starts empty each time, because of its file.
pub(crate) fn is_stateless(object: &Value) -> bool {
    matches!(object["spec"]["job"]["upgradeMode"].as_str(), None | Some("stateless"))
}

/// Checks that the operator has stopped the job and will not start it again. `deployed`: whether its JobManager's
/// Deployment exists.
///
/// # Errors
/// Conflict with the command to stop it.
pub(crate) fn check_stopped(object: &Value, deployed: bool) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let wanted = object["spec"]["job"]["state"].as_str().unwrap_or("running");
    let status = object["status"]["jobManagerDeploymentStatus"]
        .as_str()
        .unwrap_or("MISSING");
    let why = if wanted != "suspended" {
        "the operator runs it, or would start it again"
    } else if deployed || status != "MISSING" {
        "the operator has not stopped it yet"
    } else {
        return Ok(());
    };
    Err(
        Error::conflict(format!("FlinkDeployment {name} is not stopped: {why}"))
            .hint(format!(
                "`kubectl patch flinkdeployment {name} --type=merge -p '{{\"spec\":{{\"job\":{{\"state\":\"suspended\",\"upgradeMode\":\"savepoint\"}}}}}}'` stops it with a savepoint"
            ))
            .hint("repeat the command when its JobManager is gone; nothing was changed"),
    )
}

/// Its spec, as a running job, with its ignored parts.
pub(crate) fn spec(object: &Value) -> Result<Documents> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut found = flink_deployment::read_all(&object.to_string(), &format!("FlinkDeployment {name}"))?;
    for layer in &mut found.layers {
        // It had to be stopped for the adoption.
        layer.suspended = false;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    fn object(state: &str, status: &Value) -> Value {
        json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "orders"},
            "spec": {"image": "a", "job": {"state": state, "upgradeMode": "savepoint"}}, "status": status})
    }

    #[test]
    fn only_one_that_stays_stopped_is_taken() {
        let stopped = object("suspended", &json!({"jobManagerDeploymentStatus": "MISSING"}));
        assert!(check_stopped(&stopped, false).is_ok());
        for (object, deployed) in [
            (
                object("running", &json!({"jobManagerDeploymentStatus": "MISSING"})),
                false,
            ),
            (
                object("suspended", &json!({"jobManagerDeploymentStatus": "READY"})),
                false,
            ),
            (stopped.clone(), true),
        ] {
            let error = check_stopped(&object, deployed).unwrap_err();
            assert_eq!(error.kind, Kind::Conflict, "{object}");
            assert!(error.hints[0].contains("\"state\":\"suspended\""), "{error:?}");
        }
        assert!(!spec(&stopped).unwrap().layers[0].suspended);
    }

    #[test]
    fn the_state_is_what_the_operator_would_go_on_from() {
        let state =
            |status: Value| last_state(&object("suspended", &json!({ "jobStatus": status }))).map(ToOwned::to_owned);
        let savepoint = json!({"lastSavepoint": {"location": "s3://b/old"}});
        assert_eq!(
            state(json!({"upgradeSavepointPath": "s3://b/new", "savepointInfo": savepoint})).as_deref(),
            Some("s3://b/new")
        );
        let expected = Some("s3://b/old");
        assert_eq!(state(json!({ "savepointInfo": savepoint })).as_deref(), expected);
        assert_eq!(state(json!({"upgradeSavepointPath": LAST_STATE})), None);
        assert_eq!(state(json!({"state": "FINISHED"})), None);
    }
}
