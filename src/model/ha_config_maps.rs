//! Interprets the ConfigMaps of Flink's Kubernetes high availability.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::flink::job_id;
use crate::model::job_phase::ended_at;

/// Annotation with the lease of the leader. Source: `ConfigMapLock` of the fabric8 client, which Flink uses.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Longer than a lease of Flink's, which is renewed every 5 s and lasts 15 s, by clocks that differ.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// Prefix of the keys of completed checkpoints. Source: Flink's `Constants.CHECKPOINT_ID_KEY_PREFIX`.
const CHECKPOINT: &str = "checkpointID-";

/// The IDs under which a cluster keeps its high-availability data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) own: Vec<String>,
    /// The IDs that other clusters can also have: they are names without a nonce.
    pub(crate) shared: Vec<String>,
    /// Those of them that no JobManager of the cluster has: by now another cluster can be using them.
    pub(crate) past: Vec<String>,
}

impl Ids {
    /// Adds an ID. An ID that contains the `nonce` of a revision belongs to that revision only.
    pub(crate) fn add(&mut self, id: &str, nonce: Option<&str>) {
        let unique = nonce.is_some_and(|nonce| !nonce.is_empty() && id.ends_with(&format!("-{nonce}")));
        for (list, wanted) in [(&mut self.own, true), (&mut self.shared, !unique)] {
            if wanted && !list.iter().any(|known| known == id) {
                list.push(id.to_owned());
            }
        }
    }

    /// Adds an ID of the history, or of a job that has ended; those of other objects are added before.
    pub(crate) fn add_past(&mut self, id: &str, nonce: Option<&str>) {
        let (known, shared) = (self.own.iter().any(|known| known == id), self.shared.len());
        self.add(id, nonce);
        if !known && self.shared.len() > shared {
            self.past.push(id.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty()
    }
}

/// Whether the leases of this Job's JobManagers have expired, because it has ended.
pub(crate) fn has_no_lease(job: &Value, now: Timestamp) -> bool {
    ended_at(job).is_some_and(|end| now.duration_since(end) > LEASE)
}

/// Whether a JobManager leads by this ConfigMap at the time `now`: its lease was renewed, and not released.
pub(crate) fn is_led(map: &Value, now: Timestamp) -> bool {
    let record = map["metadata"]["annotations"][LEADER].as_str();
    let record = record.and_then(|record| serde_json::from_str::<Value>(record).ok());
    let record = record.unwrap_or_default();
    let renewed = record["renewTime"]
        .as_str()
        .and_then(|time| time.parse::<Timestamp>().ok());
    let is_held = record["holderIdentity"]
        .as_str()
        .is_some_and(|holder| !holder.is_empty());
    is_held && renewed.is_some_and(|renewed| now.duration_since(renewed).abs() <= LEASE)
}

/// Whether `id` can be a cluster ID of Flink: it becomes part of names and labels in Kubernetes.
pub(crate) fn is_id(id: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&id.len()) && id.bytes().all(plain) && id.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a ConfigMap with Flink's labels belongs to high availability: native clusters have others for their
/// configuration, which their Deployment owns.
pub(crate) fn is_of_high_availability(map: &Value) -> bool {
    let metadata = &map["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let owned = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty());
    !owned && (name.ends_with("-config-map") || name.ends_with("-leader"))
}

/// Whether it has a completed checkpoint that Flink would restore.
pub(crate) fn have_checkpoint(maps: &[Value]) -> bool {
    maps.iter().any(has_checkpoint)
}

fn has_checkpoint(map: &Value) -> bool {
    match &map["data"] {
        Value::Object(data) => data.keys().any(|key| key.starts_with(CHECKPOINT)),
        _ => false,
    }
}

/// The IDs of the jobs of cluster `id` that have such a checkpoint. Source: Flink's names of these ConfigMaps,
/// `ID-JOB-config-map`, before 1.15 `ID-JOB-jobmanager-leader`.
pub(crate) fn jobs_with_checkpoint(maps: &[Value], id: &str) -> Vec<String> {
    let job = |map: &Value| {
        let name = map["metadata"]["name"].as_str()?;
        let (job, _) = name.strip_prefix(id)?.strip_prefix('-')?.split_once('-')?;
        job_id::is_id(job).then(|| job.to_owned())
    };
    maps.iter().filter(|map| has_checkpoint(map)).filter_map(job).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_maps_of_high_availability_are_meant() {
        for (name, owned, want) in [
            ("demo-1-ab-cluster-config-map", false, true),
            ("demo-1-ab-00000000002efde30000000000000000-config-map", false, true),
            ("demo-dispatcher-leader", false, true),
            ("flink-config-demo", true, false),
            ("pod-template-demo", true, false),
            ("demo-cluster-config-map", true, false),
        ] {
            let mut map = json!({"metadata": {"name": name}});
            if owned {
                map["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "name": "demo"}]);
            }
            assert_eq!(is_of_high_availability(&map), want, "{name}");
        }
    }

    #[test]
    fn a_lease_is_held_until_it_expires_or_is_released() {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        for (holder, renewed, want) in [
            ("a", "2026-01-01T09:59:57.123456Z", true),
            ("a", "2026-01-01T10:00:20Z", true),
            ("a", "2026-01-01T09:58:00Z", false),
            ("", "2026-01-01T09:59:57Z", false),
        ] {
            let record = json!({"holderIdentity": holder, "leaseDuration": 15.0, "renewTime": renewed});
            let map = json!({"metadata": {"annotations": {LEADER: record.to_string()}}});
            assert_eq!(is_led(&map, now), want, "{record}");
        }
        assert!(!is_led(&json!({"metadata": {"annotations": {LEADER: "?"}}}), now));
        assert!(!is_led(&json!({}), now));
    }

    #[test]
    fn an_id_of_the_objects_is_not_past() {
        let mut ids = Ids::default();
        ids.add("demo", None);
        for (id, nonce) in [
            ("demo", None),
            ("old", None),
            ("old", None),
            ("demo-1-k3x9", Some("k3x9")),
        ] {
            ids.add_past(id, nonce);
        }
        assert_eq!(ids.past, ["old"]);
        assert_eq!(ids.shared, ["demo", "old"]);
    }

    #[test]
    fn a_checkpoint_is_known_by_its_key() {
        let leader = json!({"data": {"org.apache.flink.k8s.leader.dispatcher": "x"}});
        let job = json!({"data": {"checkpointID-0000000000000000007": "x", "counter": "8"}});
        assert!(!have_checkpoint(&[]));
        assert!(!have_checkpoint(&[leader.clone(), json!({})]));
        assert!(have_checkpoint(&[leader, job]));
    }

    #[test]
    fn the_job_of_a_checkpoint_is_in_the_name_of_its_map() {
        let map = |name: &str, key: &str| json!({"metadata": {"name": name}, "data": {key: "x"}});
        let (one, other) = ("1".repeat(32), "f".repeat(32));
        let maps = [
            map("demo-cluster-config-map", "checkpointID-0000000000000000007"),
            map(&format!("demo-{one}-config-map"), "checkpointID-0000000000000000007"),
            map(&format!("demo-{other}-config-map"), "counter"),
            map(
                &format!("demo-b-{other}-config-map"),
                "checkpointID-0000000000000000007",
            ),
        ];
        assert_eq!(jobs_with_checkpoint(&maps, "demo"), [one]);
        assert_eq!(jobs_with_checkpoint(&maps, "demo-b"), [other]);
    }

    #[test]
    fn what_is_no_id_is_never_asked_for() {
        assert!(is_id("demo") && is_id("demo-1-k3x9a0b1"));
        for bad in ["", "Demo", "a,b", "a b", "a)", "1a", "$(ID)", &"a".repeat(64)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
