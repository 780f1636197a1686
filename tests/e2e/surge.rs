//! TaskManagers of a new version that start before the running job is stopped.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::place::{Place, STORAGE, soon};
use crate::untouched::Untouched;

const FLAGS: [&str; 5] = ["-D", "execution.checkpointing.interval=2s", "--", "--rate", "50"];

/// The log of a JobManager, to its end.
struct Log(Child);

impl Log {
    fn of(place: &Place) -> Self {
        let pod = place.kubectl(&["get", "pods", "-l", "app=demo,component=master", "-o", "name"]);
        let child = Command::new("kubectl")
            .args(["-n", &place.namespace, "logs", "--follow", pod.trim()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The addresses of the TaskManagers that have registered. Their IDs begin with them.
    fn registered(self) -> BTreeSet<String> {
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ids = text
            .lines()
            .filter_map(|line| line.split_once("Registering TaskManager with ResourceID "));
        ids.map(|(_, id)| id.split(':').next().unwrap().to_owned()).collect()
    }
}

impl Place {
    fn task_manager_pods(&self) -> Vec<Value> {
        let pods = self.kubectl(&["get", "pods", "-l", "app=demo,component=task-manager", "-o", "json"]);
        let pods: Value = serde_json::from_str(&pods).unwrap();
        let mut pods = pods["items"].as_array().unwrap().clone();
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods
    }

    fn addresses(&self) -> BTreeSet<String> {
        let pods = self.task_manager_pods();
        pods.iter()
            .map(|pod| pod["status"]["podIP"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The port of the JobManager's RPC that both roles get; `None`: the default.
    #[track_caller]
    fn rpc_port(&self) -> Option<String> {
        let [job, deployment] = ["job/demo-master", "deployment/demo-task-manager"].map(|object| {
            let object = self.object(object);
            let arguments = object["spec"]["template"]["spec"]["containers"][0]["args"]
                .as_array()
                .unwrap()
                .clone();
            let mut ports = arguments
                .iter()
                .filter_map(|argument| argument.as_str()?.strip_prefix("-Djobmanager.rpc.port="));
            ports.next_back().map(ToOwned::to_owned)
        });
        assert_eq!(job, deployment);
        job
    }

    /// Whether the Deployment keeps TaskManagers of two versions.
    fn surges(&self) -> bool {
        self.object("deployment/demo-task-manager")["spec"]["minReadySeconds"].as_u64() > Some(3600)
    }

    /// Nothing is left of TaskManagers that were beside the running ones.
    #[track_caller]
    fn without_surge(&self, pods: &BTreeSet<String>) {
        assert!(!self.surges());
        soon("only the running TaskManagers are left", || {
            (self.addresses() == *pods).then_some(())
        });
    }

    /// Runs a change that starts warm, and gives the seconds without processing.
    #[track_caller]
    fn changes_warm(&self, arguments: &[&str]) -> f64 {
        let (old, log) = (self.addresses(), Log::of(self));
        let before = self.count("demo");
        let run = self.flink(arguments).ok().reports(&[
            "1 new TaskManager is up beside the running one",
            "without processing for",
        ]);
        self.continued("demo", before);
        let new = self.addresses();
        assert!(!self.surges() && new.is_disjoint(&old), "{new:?} {old:?}");
        // The Pods that started before are those that run now.
        let job = self.object("job/demo-master");
        let made = |object: &Value| object["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
        for pod in self.task_manager_pods() {
            assert!(made(&pod) < made(&job), "{pod}");
        }
        assert_eq!(
            log.registered(),
            old,
            "TaskManagers that registered with the old JobManager"
        );
        let rest = run.stderr.split_once("without processing for ").unwrap().1;
        rest.split_once(" s").unwrap().0.parse().unwrap()
    }
}

#[test]
fn task_managers_start_before_the_job_is_stopped_and_never_meet_the_other_jobmanager() {
    let place = Place::with_storage("surge");
    place.create("demo", &[&STORAGE[..], &FLAGS].concat()).ok();
    place.counted("demo", 100);
    assert_eq!(place.rpc_port(), None);
    place.changes_warm(&["upgrade", "demo", "--env", "NEW=1"]);
    assert_eq!(place.rpc_port().as_deref(), Some("6125"));
    let probe = place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["livenessProbe"].clone();
    assert_eq!(probe["tcpSocket"]["port"], 6125);
    place.changes_warm(&["restart", "demo"]);
    assert_eq!(place.rpc_port(), None);
    place.changes_warm(&["savepoint-resume", "demo", "--env", "NEW=2"]);
    // An upgrade to the same spec changes nothing.
    let unchanged = place.flink(&["upgrade", "demo"]).ok();
    assert_eq!(unchanged.stdout, "cluster/demo unchanged\n");

    // A version that comes up in part goes back, and the one before has its own port.
    let (before, log) = (place.count("demo"), Log::of(&place));
    let old = place.addresses();
    place
        .flink(&["upgrade", "demo", "--", "--throw-in-main"])
        .exits(6)
        .reports(&["thrown in main on purpose", "again, from file:/storage/savepoints/"]);
    place.runs("demo");
    place.continued("demo", before);
    assert_eq!(place.rpc_port().as_deref(), Some("6125"));
    assert_eq!(log.registered(), old);
    let log = Log::of(&place);
    let running = place.addresses();
    place.flink(&["delete", "demo", "--yes"]).ok();
    assert_eq!(
        log.registered(),
        running,
        "TaskManagers of the version that was given up"
    );
}

#[test]
fn a_version_whose_task_managers_do_not_come_up_leaves_the_job_untouched() {
    let place = Place::with_storage("surge-broken");
    place.create("demo", &[&STORAGE[..], &FLAGS].concat()).ok();
    place.counted("demo", 50);
    let pods = place.addresses();
    let mut untouched = Untouched::of(&place, 3);
    let mut refused = |flags: &[&str], cause: &[&str]| {
        place
            .flink(&[&["upgrade", "demo"], flags].concat())
            .exits(6)
            .reports(&["the upgrade of demo changed nothing"])
            .reports(cause);
        untouched.holds();
        place.without_surge(&pods);
        assert_eq!(place.savepoints("demo").len(), 0, "a savepoint was taken");
    };
    refused(&["--image=absent-job:2.3.0", "--no-image-check"], &["absent-job:2.3.0"]);
    refused(
        &["--env", "JAVA_TOOL_OPTIONS=-XX:+NoSuchOption"],
        &["TaskManager Pod", "ended with exit code 1"],
    );
    // No room for both: the upgrade says so, and works without.
    place.quota("few", "pods=2");
    refused(
        &["--env", "NEW=1", "--surge=always"],
        &["there is no room", "exceeded quota"],
    );
    let before = place.count("demo");
    place.flink(&["upgrade", "demo", "--env", "NEW=1"]).ok().reports(&[
        "no room for new TaskManagers beside the running ones",
        "without processing for",
    ]);
    place.continued("demo", before);
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn a_change_that_is_killed_before_the_job_is_stopped_continues_or_is_given_up() {
    let place = Place::with_storage("surge-killed");
    place.create("demo", &[&STORAGE[..], &FLAGS].concat()).ok();
    place.counted("demo", 50);
    let pods = place.addresses();
    let mut untouched = Untouched::of(&place, 3);
    let killed = || {
        let upgrade = place.start(&["upgrade", "demo", "--env", "NEW=1"]);
        soon("the new TaskManager is made", || place.surges().then_some(()));
        upgrade.signal("KILL");
        upgrade.end();
    };
    killed();
    assert_eq!(place.journal()["step"], "surging");
    let status = place.flink(&["status", "demo"]).ok().stdout;
    // The operation under way comes first, and it is no fault of the job.
    let first = status.lines().next().unwrap();
    let unfinished = "the job runs, and TaskManagers of revision 2 start beside its own";
    assert!(
        first.starts_with("Unfinished") && first.ends_with(unfinished),
        "{status}"
    );
    assert!(!status.contains("Did not start"), "{status}");
    place
        .flink(&["upgrade", "demo", "--abort"])
        .exits(6)
        .reports(&["changed nothing"]);
    untouched.holds();
    place.without_surge(&pods);
    assert_eq!(place.savepoints("demo").len(), 0, "a savepoint was taken");

    killed();
    let before = place.count("demo");
    place
        .flink(&["upgrade", "demo", "--continue"])
        .ok()
        .reports(&["without processing for"]);
    place.continued("demo", before);
    assert!(!place.surges());
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn with_high_availability_each_version_has_its_own_leader() {
    let place = Place::with_storage("surge-ha");
    let ha = ["--ha=file:///storage/ha", "--ha-create-rbac"];
    place.create("demo", &[&STORAGE[..], &ha, &FLAGS].concat()).ok();
    place.counted("demo", 100);
    place.changes_warm(&["upgrade", "demo", "--env", "NEW=1"]);
    assert_eq!(place.rpc_port(), None);
    // Those of the version before are gone.
    let selector = "type=flink-native-kubernetes";
    let maps = place.kubectl(&["get", "configmaps", "-l", selector, "-o", "name"]);
    assert!(
        !maps.is_empty() && maps.lines().all(|map| map.contains("/demo-2-")),
        "{maps}"
    );
    place.flink(&["delete", "demo", "--yes"]).ok();
}
