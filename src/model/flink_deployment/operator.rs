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
/// Source: `JobStatus` of the operator, and its `AbstractJobReconciler.restoreJob`: a path in the status counts only for a
/// job that was stopped with a savepoint. Otherwise the path is that of an earlier stop, and the last state is in the
/// high-availability data alone, also where a savepoint was asked for and the job could not take one.
/// `upgradeSavepointPath` is the path from which the operator itself would start; older versions only had the savepoints
/// that they took.
pub(crate) fn last_state(object: &Value) -> Option<&str> {
    let status = &object["status"]["jobStatus"];
    let record = &object["status"]["reconciliationStatus"]["lastReconciledSpec"];
    let upgrade = status["upgradeSavepointPath"].as_str();
    if stopped_by(record).as_deref() == Some("last-state") || upgrade == Some(LAST_STATE) {
        return None;
    }
    let places = [
        upgrade,
        status["savepointInfo"]["lastSavepoint"]["location"].as_str(),
        status["checkpointInfo"]["lastCheckpoint"]["location"].as_str(),
        // The operator has never started it.
        object["spec"]["job"]["initialSavepointPath"]
            .as_str()
            .filter(|_| record.is_null()),
    ];
    let mut paths = places.into_iter().flatten();
    paths.find(|path| !path.is_empty() && *path != LAST_STATE)
}

/// The `upgradeMode` with which the operator stopped the job, from its record of the spec. It differs from the mode of the
/// file if the operator fell back to another one.
fn stopped_by(record: &Value) -> Option<String> {
    let record: Value = serde_json::from_str(record.as_str()?).ok()?;
    // The operator's first versions wrote the spec without metadata around it.
    let jobs = [&record["spec"]["job"], &record["job"]];
    let mut modes = jobs.into_iter().filter_map(|job| job["upgradeMode"].as_str());
    modes.next().map(ToOwned::to_owned)
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
    fn the_state_is_the_one_that_the_operator_would_start_from() {
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
        let taken = json!({"upgradeSavepointPath": LAST_STATE, "savepointInfo": savepoint});
        assert_eq!(state(taken), None);
    }

    /// The operator leaves a path in the status when the job runs again, also if it stops the job later by its high-availability data.
    #[test]
    fn a_savepoint_of_an_earlier_stop_is_not_the_last_state() {
        let state = |record: &Value| {
            let status = json!({"jobStatus": {"upgradeSavepointPath": "s3://b/old"},
                "reconciliationStatus": {"lastReconciledSpec": record.to_string()}});
            last_state(&object("suspended", &status)).map(ToOwned::to_owned)
        };
        let job = |mode: &str| json!({"state": "suspended", "upgradeMode": mode});
        for (record, expected) in [
            (json!({"spec": {"job": job("savepoint")}}), Some("s3://b/old")),
            (json!({"spec": {"job": job("last-state")}}), None),
            (json!({"job": job("last-state")}), None),
            (json!({}), Some("s3://b/old")),
        ] {
            assert_eq!(state(&record).as_deref(), expected, "{record}");
        }
    }

    #[test]
    fn a_job_that_never_ran_starts_from_the_path_of_its_file() {
        let mut new = object("suspended", &json!({}));
        new["spec"]["job"]["initialSavepointPath"] = json!("s3://b/first");
        assert_eq!(last_state(&new), Some("s3://b/first"));
        let record = json!({"spec": new["spec"]}).to_string();
        new["status"]["reconciliationStatus"]["lastReconciledSpec"] = json!(record);
        assert_eq!(last_state(&new), None);
    }
}
