//! TaskManagers of a new version that start beside those of the running one, before its job is stopped.
//!
//! A rolling update of the one Deployment brings them up: `maxSurge` adds them, `maxUnavailable` 0 keeps the old ones,
//! and no Pod is ready for `minReadySeconds`, so that no old one ends before the Deployment of the new version, without
//! this, is applied. The Pod template is the new version's own, so that those Pods stay.
//!
//! The two versions never meet: with high availability each revision has its own IDs, and without it the JobManagers of
//! two revisions listen on different ports.

use serde_json::{Map, Value, json};

use super::{Manifests, main_container, replicas};
use crate::error::Result;
use crate::model::config::Config;
use crate::model::flink::settings::{ConfigMaps, Settings};
use crate::model::main_container::PROBES;
use crate::model::names::ClusterName;

/// Seconds that no Pod reaches, which a Deployment may be given: `progressDeadlineSeconds` must be more.
const NEVER: i32 = i32::MAX - 1;
/// Default port of the JobManager's RPC.
const PORT: u16 = 6123;
/// The other port. It is a port of Services that were made from Flink's templates, for queryable state, which
/// TaskManagers serve, not the JobManager. Source: Flink's `KvStateService`.
const OTHER_PORT: u16 = 6125;
/// Key of the port of the JobManager's RPC.
const RPC_PORT: &str = "jobmanager.rpc.port";

/// The Deployment of a new version, changed so that its Pods start beside those of `before`, which all stay.
///
/// The number of replicas stays that of `before`: Kubernetes' Deployment controller would first apply a new number to the
/// Pods that run. Source: `isScalingEvent` in pkg/controller/deployment/sync.go, `NewRSNewReplicas` in
/// pkg/controller/deployment/util.
pub(crate) fn surged(deployment: &Value, before: &Value) -> Value {
    let mut surged = deployment.clone();
    let spec = &mut surged["spec"];
    spec["replicas"] = json!(replicas(before));
    spec["strategy"] = json!({
        "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": number(deployment, before), "maxUnavailable": 0 },
    });
    spec["minReadySeconds"] = json!(NEVER);
    spec["progressDeadlineSeconds"] = json!(NEVER + 1);
    surged
}

pub(crate) fn number(deployment: &Value, before: &Value) -> u64 {
    replicas(deployment).min(replicas(before))
}

/// The Deployment of a new version as it must be applied before [`surged`] ends, where `live` is surged and the new number
/// of TaskManagers is another; `None`: it can be applied as it is.
///
/// Kubernetes' Deployment controller spreads a change of the number over the Pods of both versions, so that new ones would
/// end too, unless as many as there are fit into the new number and `maxSurge`. Source: `scale` in
/// pkg/controller/deployment/sync.go.
pub(crate) fn unsurged(deployment: &Value, live: &Value) -> Option<Value> {
    let seconds = live["spec"]["minReadySeconds"].as_i64();
    let held = holds(seconds.and_then(|seconds| i32::try_from(seconds).ok()));
    let (before, after) = (replicas(live), replicas(deployment));
    if !held || before == after {
        return None;
    }
    let mut unsurged = deployment.clone();
    let surge = (before + number(deployment, live)).saturating_sub(after);
    unsurged["spec"]["strategy"] = json!({
        "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": surge, "maxUnavailable": "100%" },
    });
    Some(unsurged)
}

/// Whether TaskManagers of two versions run beside each other on purpose.
pub(crate) const fn holds(min_ready_seconds: Option<i32>) -> bool {
    matches!(min_ready_seconds, Some(NEVER))
}

/// The Deployment `live` as it must be applied to get it back: all that it says, but nothing that only the API server
/// says.
pub(crate) fn kept(live: &Value) -> Value {
    const SAID: [&str; 4] = ["annotations", "labels", "name", "namespace"];
    const BY_CONTROLLER: &str = "deployment.kubernetes.io/revision";
    let mut metadata = Map::new();
    for key in SAID.into_iter().chain(["ownerReferences"]) {
        if let Some(value) = live["metadata"].get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(BY_CONTROLLER);
    }
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": live["spec"] })
}

/// The port of the new version's RPC, and `None` for the default: another than that of the running Job `live`. `new` are
/// its objects without such a port.
///
/// # Errors
/// Why TaskManagers of both versions cannot be kept apart.
pub(crate) fn rpc_port(new: &Manifests, live: &Value, name: &ClusterName) -> Result<Option<u16>, String> {
    let of = |object: &Value| Settings::of_object(object, &ConfigMaps::new());
    let (job, task_manager) = (of(&new.job), of(&new.deployment));
    if job.high_availability().is_some() || task_manager.high_availability().is_some() {
        return Err("high availability that is not set with --ha has one ID for both versions".to_owned());
    }
    for settings in [&job, &task_manager] {
        let address = settings.rpc_address();
        if address != Some(name.master().as_str()) {
            return Err(format!("jobmanager.rpc.address is not the Service {}", name.master()));
        }
        if settings.get("jobmanager.rpc.bind-port").is_some() {
            return Err("jobmanager.rpc.bind-port is set".to_owned());
        }
        let port = settings.get(RPC_PORT);
        if port.is_some_and(|port| port != PORT.to_string()) {
            return Err(format!("{RPC_PORT} is set"));
        }
    }
    let used = ["blob.server.port", "rest.port", "rest.bind-port"];
    let taken = used
        .into_iter()
        .find(|key| job.get(key) == Some(&OTHER_PORT.to_string()));
    if let Some(key) = taken {
        return Err(format!("{key} is {OTHER_PORT}, which the JobManager's RPC needs"));
    }
    let ports = new.service["spec"]["ports"].as_array();
    if !ports.into_iter().flatten().any(|port| port["port"] == OTHER_PORT) {
        return Err(format!("its Service has no port {OTHER_PORT}"));
    }
    // A highly available JobManager listens on a port of its own choice.
    Ok(live_port(live).is_none().then_some(OTHER_PORT))
}

/// The port of a running Job or Deployment, if it is the one that is not the default.
pub(crate) fn live_port(live: &Value) -> Option<u16> {
    let settings = Settings::of_object(live, &ConfigMaps::new());
    let is_other = settings.high_availability().is_none() && settings.get(RPC_PORT) == Some(&OTHER_PORT.to_string());
    is_other.then_some(OTHER_PORT)
}

/// The setting of both roles.
pub(super) fn configuration(layer: &Config) -> Option<(String, String)> {
    Some((RPC_PORT.to_owned(), port_of(layer)?.to_string()))
}

/// With high availability TaskManagers are given address and port by the leader.
fn port_of(layer: &Config) -> Option<u16> {
    layer.rpc_port.filter(|_| layer.ha.is_none())
}

/// Lets the probes of the JobManager's default port look at its port.
pub(super) fn probes(job: &mut Value, layer: &Config) -> Result<()> {
    let Some(port) = port_of(layer) else { return Ok(()) };
    let container = main_container(job)?;
    let named: Vec<Value> = container
        .get("ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|named| named["containerPort"] == PORT)
        .map(|named| named["name"].clone())
        .collect();
    for probe in PROBES {
        let Some(at) = container
            .get_mut(probe)
            .and_then(|probe| probe.pointer_mut("/tcpSocket/port"))
        else {
            continue;
        };
        if *at == PORT || named.contains(at) {
            *at = json!(port);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifests;
    use crate::model::template::Templates;

    fn made(change: impl FnOnce(&mut Config)) -> Manifests {
        let named = Config::default().with(|it| (it.name, it.image) = (Some("demo".into()), Some("job:2.3.0".into())));
        let spec = crate::model::spec::Spec::resolve(named.with(change)).unwrap();
        manifests::build(&spec, &Templates::built_in().unwrap(), "ns", 2).unwrap()
    }

    fn port_of(object: &Value) -> Option<String> {
        let settings = Settings::of_object(object, &ConfigMaps::new());
        settings.get(RPC_PORT).map(ToOwned::to_owned)
    }

    fn deployment(replicas: u64) -> Value {
        json!({"metadata": {"name": "demo-task-manager"}, "spec": {"replicas": replicas, "strategy": {"type": "Recreate"}}})
    }

    #[test]
    fn ports_take_turns_and_both_roles_and_the_probe_have_them() {
        let name = ClusterName::new("demo").unwrap();
        let first = made(|_| ());
        assert_eq!((port_of(&first.job), port_of(&first.deployment)), (None, None));
        assert_eq!(rpc_port(&first, &first.job, &name), Ok(Some(OTHER_PORT)));
        let second = made(|it| it.rpc_port = Some(OTHER_PORT));
        let other = Some(OTHER_PORT.to_string());
        let expected = (other.clone(), other);
        assert_eq!((port_of(&second.job), port_of(&second.deployment)), expected);
        let container = &second.job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["livenessProbe"]["tcpSocket"]["port"], OTHER_PORT);
        // Nothing may follow the program's arguments, and the Service stays as it is.
        assert_eq!(second.service, first.service);
        assert_eq!(rpc_port(&first, &second.job, &name), Ok(None));
    }

    #[test]
    fn where_versions_cannot_be_kept_apart_it_is_said_why() {
        let name = ClusterName::new("demo").unwrap();
        let live = made(|_| ()).job;
        let with = |key: &str, value: &str| {
            let new = made(|it| it.configuration = [(key.to_owned(), value.to_owned())].into());
            rpc_port(&new, &live, &name).unwrap_err()
        };
        for (key, value, why) in [
            ("jobmanager.rpc.port", "7000", "jobmanager.rpc.port is set"),
            ("jobmanager.rpc.bind-port", "7000", "jobmanager.rpc.bind-port is set"),
            ("rest.port", "6125", "rest.port is 6125"),
            ("jobmanager.rpc.address", "elsewhere", "is not the Service demo-master"),
            ("high-availability.type", "zookeeper", "one ID for both versions"),
        ] {
            let refusal = with(key, value);
            assert!(refusal.contains(why), "{key}: {refusal}");
        }
        let mut without = made(|_| ());
        without.service["spec"]["ports"] = json!([{"name": "rpc", "port": 6123}]);
        assert!(rpc_port(&without, &live, &name).unwrap_err().contains("no port 6125"));
    }

    #[test]
    fn high_availability_needs_no_port() {
        let new = made(|it| (it.ha, it.rpc_port) = (Some("s3://b/ha".into()), Some(OTHER_PORT)));
        assert_eq!((port_of(&new.job), port_of(&new.deployment)), (None, None));
    }

    #[test]
    fn all_old_pods_stay_and_no_more_new_ones_start_than_are_wanted() {
        for (before, after, surge) in [(2, 2, 2), (2, 5, 2), (4, 1, 1)] {
            let surged = surged(&deployment(after), &deployment(before));
            let spec = &surged["spec"];
            assert_eq!(spec["replicas"], before);
            let wanted = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}});
            assert_eq!(spec["strategy"], wanted);
            let seconds = spec["minReadySeconds"]
                .as_i64()
                .and_then(|seconds| i32::try_from(seconds).ok());
            assert!(holds(seconds) && spec["progressDeadlineSeconds"] == i32::MAX);
        }
        assert!(!holds(None) && !holds(Some(30)));
    }

    #[test]
    fn another_number_takes_no_new_pod_away() {
        let live = |before, after| surged(&deployment(after), &deployment(before));
        assert_eq!(unsurged(&deployment(2), &live(2, 2)), None);
        assert_eq!(unsurged(&deployment(1), &deployment(4)), None);
        for (before, after, surge) in [(4, 1, 4), (2, 3, 1), (2, 4, 0), (2, 9, 0)] {
            let unsurged = unsurged(&deployment(after), &live(before, after)).unwrap();
            assert_eq!(
                unsurged["spec"]["strategy"]["rollingUpdate"]["maxSurge"], surge,
                "{before} {after}"
            );
            assert_eq!(unsurged["spec"]["replicas"], after);
            assert!(unsurged["spec"].get("minReadySeconds").is_none());
        }
    }

    #[test]
    fn what_is_kept_of_a_deployment_is_what_was_said_of_it() {
        let live = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "demo-task-manager", "uid": "u", "resourceVersion": "7", "managedFields": [],
                "labels": {"app": "demo"}, "ownerReferences": [{"uid": "j"}],
                "annotations": {"deployment.kubernetes.io/revision": "3", "a": "b"}},
            "spec": {"replicas": 2}, "status": {"replicas": 2}});
        assert_eq!(
            kept(&live),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "demo-task-manager", "labels": {"app": "demo"}, "ownerReferences": [{"uid": "j"}],
                    "annotations": {"a": "b"}},
                "spec": {"replicas": 2}})
        );
    }
}
