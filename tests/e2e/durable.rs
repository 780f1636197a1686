//! Clusters that outlive their JobManager, and clusters that Kubernetes clears away when their job has ended.

use std::process::Command;

use serde_json::Value;

use crate::place::{Place, STORAGE, bed, soon};
use crate::process;

/// A JobManager's death costs about a second of work.
pub const RECOVERS: [&str; 2] = ["-D", "execution.checkpointing.interval=1s"];

/// The moment, as the kubelet writes it before the lines of a log.
pub fn now() -> String {
    k8s_openapi::jiff::Timestamp::now().to_string()
}

impl Place {
    /// Waits for a checkpoint that began after now, and gives what was counted before it.
    #[track_caller]
    pub fn checkpointed(&self, name: &str) -> u64 {
        let job = self.job_id(name);
        let completed = || self.rest(name, &format!("jobs/{job}/checkpoints"))?["counts"]["completed"].as_u64();
        let before = self.count(name);
        let known = soon("Flink answers", completed);
        soon("two more checkpoints", || completed().filter(|now| *now >= known + 2));
        before
    }

    /// Kills the processes of a Pod, or of all of them, without a signal before.
    #[track_caller]
    pub fn kill(&self, pod: Option<&str>) {
        if std::env::var("BED_CONTEXT").is_ok() {
            let pod = pod.map_or("--all", |pod| pod);
            self.kubectl(&["delete", "pod", pod, "--force", "--grace-period=0"]);
            return;
        }
        process::run(Command::new(bed("kill")).arg(&self.namespace).args(pod), "").ok();
    }

    /// Asserts that the job was restored after the moment `since`, at or after `before`, under its ID.
    #[track_caller]
    pub fn came_back(&self, name: &str, job: &str, before: u64, since: &str) {
        let selector = format!("app={name},component=task-manager");
        let restored = soon("the job is restored", || {
            let log = self
                .try_kubectl(&["logs", "-l", &selector, "--tail=-1", "--timestamps"])
                .stdout;
            let mut restores: Vec<(&str, u64)> = log
                .lines()
                .filter_map(|line| {
                    let (at, number) = line.split_once(" RESTORED ")?;
                    (at > since).then_some((at, number.trim().parse().ok()?))
                })
                .collect();
            restores.sort_unstable();
            restores.last().map(|(_, number)| *number)
        });
        assert!(
            restored >= before,
            "it counted to {before}, and came back at {restored}"
        );
        let (count, keyed) = self.counted_with_keys(name, restored);
        assert!(
            keyed >= restored,
            "it came back at {restored}, says {count}, but its keys {keyed}"
        );
        assert_eq!(self.job_id(name), job, "the job came back under another ID");
    }

    /// The JobManagers that run, with their addresses.
    pub fn jobmanager_pods(&self, name: &str) -> Vec<(String, String)> {
        let selector = format!("app={name},component=master");
        let pods = self.kubectl(&["get", "pods", "-l", &selector, "-o", "json"]);
        let pods: Value = serde_json::from_str(&pods).unwrap();
        let running = pods["items"].as_array().unwrap().iter();
        let running =
            running.filter(|pod| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        running
            .map(|pod| (text(&pod["metadata"]["name"]), text(&pod["status"]["podIP"])))
            .collect()
    }
}

fn high_availability_maps(place: &Place) -> Vec<Value> {
    // Each revision has an ID of its own, which is their label `app`.
    let selector = "type=flink-native-kubernetes";
    let maps = place.kubectl(&["get", "configmaps", "-l", selector, "-o", "json"]);
    serde_json::from_str::<Value>(&maps).unwrap()["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// The Pod whose address is in Flink's ConfigMap.
fn leader(place: &Place) -> Option<String> {
    let maps = high_availability_maps(place)
        .iter()
        .map(|map| map["data"].to_string())
        .collect::<String>();
    let pods = place.jobmanager_pods("demo");
    pods.into_iter()
        .find(|(_, address)| maps.contains(&format!("@{address}:")))
        .map(|(pod, _)| pod)
}

#[test]
fn a_standby_jobmanager_takes_over_under_the_same_job_id() {
    let place = Place::with_storage("standby");
    let flags = ["--ha=file:///storage/ha", "--ha-create-rbac", "--jobmanager-replicas=2"];
    let program = ["--", "--rate", "50"];
    place
        .create("demo", &[&STORAGE[..], &RECOVERS, &flags, &program].concat())
        .ok();
    let job = place.job_id("demo");
    for kind in ["serviceaccount", "role", "rolebinding"] {
        let object = place.object(&format!("{kind}/demo-high-availability"));
        let labels = &object["metadata"]["labels"];
        assert_eq!(
            (&labels["app"], &labels["app.kubernetes.io/managed-by"]),
            (&"demo".into(), &"kubectl-flink".into())
        );
    }
    let first = soon("both JobManagers run", || {
        (place.jobmanager_pods("demo").len() == 2).then(|| leader(&place))?
    });

    // The leader dies. The other one continues, long before there is a new Pod in the dead one's place.
    let before = place.checkpointed("demo");
    let since = now();
    place.kill(Some(&first));
    place.came_back("demo", &job, before, &since);
    assert_ne!(leader(&place).expect("a leader"), first);

    // A new generation has a new ID, with both JobManagers of it.
    let before = place.count("demo");
    place
        .flink(&["upgrade", "demo", "--env", "NEW=1"])
        .ok()
        .reports(&["without processing for"]);
    place.continued("demo", before);
    let second = place.job_id("demo");
    assert_ne!(second, job);
    assert!(!high_availability_maps(&place).is_empty());

    // The one that is asked for a result may not be the one that was asked for the work.
    let old = place.flink(&["savepoint", "demo"]).ok().stdout.trim().to_owned();
    place.flink(&["savepoint", "demo"]).ok();
    place.flink(&["checkpoint", "demo"]).ok();
    place.flink(&["savepoint", "dispose", "demo", &old, "--yes"]).ok();

    let plan = place.flink(&["delete", "demo", "--dry-run"]).ok();
    plan.reports(&[
        "the ConfigMaps of its high availability",
        "the service account and rights demo-high-availability",
        "files of its high availability in file:///storage/ha stay",
    ]);
    place.flink(&["delete", "demo", "--yes"]).ok();
    place.left_with(&["configmap/demo-history"]);
}

#[test]
fn an_account_without_rights_is_refused_before_anything_is_there() {
    let place = Place::new("ha-rights");
    place.kubectl(&["create", "serviceaccount", "powerless"]);
    let flags = ["--ha=file:///storage/ha", "--service-account=powerless"];
    place.create("demo", &flags).exits(4).reports(&[
        "service account powerless",
        "get, list, watch, create, update, patch, delete",
        "--ha-create-rbac",
    ]);
    place.left_with(&["serviceaccount/powerless"]);
}

const ZOOKEEPER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: zookeeper, labels: {run: zookeeper}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: zookeeper
    image: FLINK
    args: [bin/zookeeper.sh, start-foreground, '1']
    env: [{name: JVM_ARGS, value: -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx128m}]
    readinessProbe: {tcpSocket: {port: 2181}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: zookeeper}
spec:
  selector: {run: zookeeper}
  ports: [{port: 2181}]
";

#[test]
fn by_zookeeper_a_killed_jobmanager_comes_back_under_the_same_job_id() {
    let place = Place::with_storage("zookeeper");
    place.apply(&ZOOKEEPER.replace("FLINK", &format!("flink:{}", crate::place::flink_version())));
    place.kubectl(&["wait", "pod/zookeeper", "--for=condition=Ready", "--timeout=300s"]);
    let flags = [
        "--ha=file:///storage/ha",
        "--ha-zookeeper=zookeeper:2181",
        "--ha-zookeeper-root=/clusters",
        "--",
        "--rate",
        "50",
    ];
    place.create("demo", &[&STORAGE[..], &RECOVERS, &flags].concat()).ok();
    let job = place.job_id("demo");
    assert!(high_availability_maps(&place).is_empty());
    let log = place.kubectl(&["logs", "-l", "app=demo,component=master", "--tail=-1"]);
    assert!(log.contains("/clusters/"), "the root was not passed on: {log}");

    let before = place.checkpointed("demo");
    let pods = place.jobmanager_pods("demo");
    let since = now();
    place.kill(Some(&pods.first().expect("a JobManager").0));
    place.came_back("demo", &job, before, &since);

    let before = place.count("demo");
    place.flink(&["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    assert_ne!(place.job_id("demo"), job);
    place.flink(&["delete", "demo", "--yes"]).ok().reports(&[
        &format!("/clusters/{}/demo/2-", place.namespace),
        " in ZooKeeper and files in file:///storage/ha, of its high availability, stay",
    ]);
    place.kubectl(&["delete", "pod/zookeeper", "service/zookeeper"]);
    place.left_with(&["configmap/demo-history"]);
}

/// The object's one owner.
#[track_caller]
fn owner(place: &Place, object: &str) -> Value {
    place.object(object)["metadata"]["ownerReferences"][0]["uid"].clone()
}

#[test]
fn ended_clusters_are_deleted_by_kubernetes_or_prune_and_can_be_resumed() {
    let place = Place::with_storage("ended");
    let ends = [
        &STORAGE[..],
        &["--label", "team=a", "--", "--rate", "200", "--finish-after", "2000"],
    ]
    .concat();
    let create = |name: &str, flags: &[&str]| {
        let arguments = crate::place::create_arguments(name, flags);
        place.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // This one ends, and nothing clears it away.
    let idle = create("idle", &ends);
    let flags = [&STORAGE[..], &["--ttl-after-finished=10s", "--", "--rate", "50"]].concat();
    place.create("demo", &flags).ok();

    // A resume keeps the objects, for the new Job now, and the time to live. This job finds its end, but not before it has
    // been looked at.
    let before = place.counted("demo", 50);
    let first = owner(&place, "service/demo-master");
    assert_eq!(first, place.object("job/demo-master")["metadata"]["uid"]);
    let end = (before + 4000).to_string();
    place
        .flink(&["savepoint-resume", "demo", "--", "--rate", "50", "--finish-after", &end])
        .ok();
    place.continued("demo", before);
    let second = place.object("job/demo-master")["metadata"]["uid"].clone();
    assert_ne!(first, second);
    for object in ["service/demo-master", "deployment/demo-task-manager"] {
        assert_eq!(owner(&place, object), second, "{object}");
    }

    // Meanwhile the other one has ended, and is reported.
    place.note(idle.end()).ok();
    place.kubectl(&["wait", "job/idle-master", "--for=condition=Complete", "--timeout=300s"]);
    place
        .flink(&["list"])
        .ok()
        .reports(&["idle TaskManagers of idle", " prune` deletes"]);
    let status = place.flink(&["status", "idle"]);
    assert!((status.stdout.clone() + &status.stderr).contains("prune"), "{status}");
    let doctor = place.flink(&["doctor"]);
    assert!(
        doctor.stdout.contains("idle") && doctor.stdout.contains("kubectl flink prune"),
        "{doctor}"
    );
    for flags in [&["--older-than=1h"][..], &["-l", "team=b"]] {
        place
            .flink(&[&["prune", "--yes"], flags].concat())
            .ok()
            .reports(&["no cluster in namespace"]);
    }
    let plan = place.flink(&["prune", "--dry-run", "-l", "team=a"]).ok();
    assert_eq!(plan.stdout, "cluster/idle pruned (dry run)\n");
    assert!(place.exists("job/idle-master"));
    let pruned = place.flink(&["prune", "--yes", "-l", "team=a", "-A"]).ok();
    assert_eq!(pruned.stdout, "cluster/idle pruned\n");
    assert!(!place.exists("deployment/idle-task-manager"));

    // Without a command, all is gone but the histories some time after the job's end. One of them brings its cluster back.
    place.kubectl(&["wait", "job/demo-master", "--for=delete", "--timeout=300s"]);
    place.left_with(&["configmap/demo-history", "configmap/idle-history"]);
    let deleted = place.flink(&["list", "--deleted", "-o", "name"]).ok();
    assert!(
        deleted.stdout.contains("demo") && deleted.stdout.contains("idle"),
        "{deleted}"
    );
    place.flink(&["upgrade", "demo", "--", "--rate", "50"]).ok();
    place.continued("demo", before);
    let third = place.object("job/demo-master");
    assert_eq!(owner(&place, "deployment/demo-task-manager"), third["metadata"]["uid"]);
    assert_eq!(third["spec"]["ttlSecondsAfterFinished"], 10);

    // A stop is an end as well.
    let before = place.count("demo");
    place.flink(&["stop", "demo"]).ok();
    place.left_with(&["configmap/demo-history", "configmap/idle-history"]);
    place.flink(&["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    place.flink(&["delete", "demo", "--yes"]).ok();
}
