//! Clusters that are broken in many ways, and what `why` says of each: the one cause, before all others.

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, SMALL, STORAGE, counting_job, flink_is_since, flink_version};
use crate::process::eventually;

/// Room for JVMs on a slow machine.
const SLOW: Duration = Duration::from_secs(400);

/// Flags of a job that is restarted however often it fails. The name of the first key came with 1.19.
fn always_restarts() -> [&'static str; 4] {
    let strategy = if flink_is_since(1, 19) {
        "restart-strategy.type=fixed-delay"
    } else {
        "restart-strategy=fixed-delay"
    };
    ["-D", strategy, "-D", "restart-strategy.fixed-delay.attempts=1000"]
}

/// A cluster as `create` would make it, changed by `edit`, made by kubectl. `edit` gets the Service, the Job and the
/// Deployment; what it makes null is not made.
fn broken(place: &Place, name: &str, flags: &[&str], edit: impl FnOnce(&mut [Value])) {
    let image = format!("--image={}", counting_job());
    let create = ["create", name, &image, "--dry-run=client", "-o", "json"];
    let list = place.flink(&[&create[..], &SMALL, flags].concat()).ok();
    let mut list: Value = serde_json::from_str(&list.stdout).unwrap();
    let items = list["items"].as_array_mut().unwrap();
    edit(items);
    items.retain(|item| !item.is_null());
    let made = place.kubectl_with(&["create", "-f", "-"], &list.to_string());
    made.ok();
}

fn pod(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]
}

fn container(object: &mut Value) -> &mut Value {
    &mut pod(object)["containers"][0]
}

/// Waits until `cause` is the first one and has all `words`, and gives the whole answer. Words may come after the cause:
/// what Flink says of exceptions is up to three seconds old.
#[track_caller]
fn first(place: &Place, name: &str, cause: &str, words: &[&str]) -> Value {
    let mut last = String::new();
    let begun = std::time::Instant::now();
    loop {
        let run = place.flink(&["why", name, "-o", "json"]);
        let printed: Value = serde_json::from_str(&run.stdout).unwrap_or(Value::Null);
        let text = printed["cause"].to_string();
        if printed["cause"]["cause"] == cause && words.iter().all(|word| text.contains(word)) {
            assert_eq!(run.code, Some(6), "{run}");
            return printed;
        }
        if run.stdout != last {
            last.clone_from(&run.stdout);
        }
        assert!(
            begun.elapsed() < SLOW,
            "{name} is not reported to have {cause} with {words:?}: {run}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[track_caller]
fn has_hints(printed: &Value) {
    let cause = &printed["cause"];
    let hints = cause["hints"].as_array().unwrap();
    assert!(!hints.is_empty(), "{cause:#}");
}

/// What keeps Pods from being made, placed or started: none of it needs Flink.
#[test]
fn what_keeps_pods_from_running_is_named_first() {
    let place = Place::new("reasons");
    let no_workers = |items: &mut [Value]| items[2]["spec"]["replicas"] = json!(0);
    broken(&place, "pull", &[], |items| {
        container(&mut items[1])["image"] = json!("absent:1");
    });
    broken(&place, "name", &[], |items| {
        container(&mut items[1])["image"] = json!("Bad//:x");
    });
    broken(&place, "never", &["--image-pull-policy=Never"], |items| {
        container(&mut items[1])["image"] = json!("absent:1");
    });
    broken(&place, "secret", &[], |items| {
        container(&mut items[1])["envFrom"] = json!([{"secretRef": {"name": "keys"}}]);
    });
    broken(&place, "root", &[], |items| {
        container(&mut items[1])["securityContext"]["runAsUser"] = json!(0);
    });
    broken(&place, "large", &["--jobmanager-cpu=100"], |_| {});
    broken(&place, "picky", &[], |items| {
        pod(&mut items[2])["nodeSelector"] = json!({"disk": "ssd"});
    });
    broken(&place, "claim", &["--mount=absent:/x"], |_| {});
    broken(&place, "volume", &[], |items| {
        pod(&mut items[1])["volumes"] = json!([{"name": "v", "configMap": {"name": "absent"}}]);
        container(&mut items[1])["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    });
    broken(&place, "account", &["--service-account=absent"], no_workers);
    broken(&place, "word", &[], |items| {
        container(&mut items[1])["command"] = json!(["/nothing"]);
        no_workers(items);
    });
    broken(&place, "init", &[], |items| {
        pod(&mut items[1])["initContainers"] = json!([{"name": "prepare", "image": counting_job(),
            "command": ["sh", "-c", "echo the bucket is not there; exit 3"]}]);
        no_workers(items);
    });
    broken(&place, "halted", &[], |items| {
        items[1]["spec"]["suspend"] = json!(true);
        no_workers(items);
    });
    broken(&place, "workers", &[], |items| items[1] = Value::Null);

    for (name, cause, words) in [
        ("pull", "image-pull", &["absent:1"][..]),
        ("name", "image-name", &["Bad//:x"]),
        ("never", "image-never-pull", &["absent:1", "IfNotPresent"]),
        ("secret", "container-config", &["secret \\\"keys\\\" not found"]),
        ("root", "container-config", &["9999"]),
        ("large", "unschedulable", &["Insufficient cpu"]),
        ("picky", "unschedulable", &["TaskManager Pod", "node selector"]),
        (
            "claim",
            "unschedulable",
            &["persistentvolumeclaim \\\"absent\\\" not found", "--mount"],
        ),
        ("volume", "volume", &["configmap \\\"absent\\\" not found"]),
        (
            "account",
            "pod-refused",
            &["serviceaccount \\\"absent\\\" not found", "--service-account"],
        ),
        ("word", "container-create", &["/nothing"]),
        ("init", "init-container", &["prepare", "the bucket is not there"]),
        ("halted", "suspended", &["halted-master"]),
        ("workers", "no-jobmanager", &["kubectl flink resume"]),
    ] {
        has_hints(&first(&place, name, cause, words));
    }

    // A quota and Pod Security refuse what comes after them.
    place.kubectl(&["delete", "jobs,deployments", "--all", "--wait=false"]);
    place.quota("small", "pods=0");
    broken(&place, "quota", &[], |_| {});
    has_hints(&first(&place, "quota", "quota", &["exceeded quota: small"]));
    place.kubectl(&[
        "label",
        "namespace",
        &place.namespace,
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    broken(&place, "privileged", &[], |items| {
        let security = &mut container(&mut items[1])["securityContext"];
        *security = json!({"privileged": true});
    });
    has_hints(&first(&place, "privileged", "pod-refused", &["violates PodSecurity"]));
    let doctor = place.flink(&["doctor"]).exits(1);
    assert!(doctor.stdout.contains("of 0 pods are used"), "{doctor}");
}

/// What Flink itself fails by, with real JVMs: a few at a time.
#[test]
#[allow(clippy::too_many_lines)]
fn what_flink_fails_by_is_named_first() {
    let place = Place::with_storage("flink-reasons");
    let alone = |items: &mut [Value]| items[2]["spec"]["replicas"] = json!(0);
    let check = |name: &str, cause: &str, words: &[&str]| {
        has_hints(&first(&place, name, cause, words));
        place.kubectl(&[
            "delete",
            &format!("job/{name}-master"),
            &format!("deployment/{name}-task-manager"),
            "--wait=false",
        ]);
    };
    // Of what was made by another way: `create` refuses such sizes.
    broken(&place, "option", &[], |items| {
        let list = container(&mut items[1])["args"].as_array_mut().unwrap();
        list.insert(1, json!("-Djobmanager.memory.heap.size=3g"));
        alone(items);
    });
    broken(
        &place,
        "scheme",
        &[
            "--checkpoint-dir=s3://bucket/x",
            "-D",
            "execution.checkpointing.interval=1s",
        ],
        alone,
    );
    broken(
        &place,
        "account",
        &["--ha=file:///tmp/ha", "--service-account=default"],
        alone,
    );
    check("option", "memory-configuration", &["--jobmanager-memory"]);
    check("scheme", "file-system-plugin", &["'s3'"]);
    check("account", "ha-rights", &["configmaps"]);

    // The program is in the JobManager's image only.
    broken(&place, "image", &always_restarts(), |items| {
        container(&mut items[2])["image"] = json!(format!("flink:{}", flink_version()));
    });
    broken(&place, "address", &[], |items| {
        let list = container(&mut items[2])["args"].as_array_mut().unwrap();
        let own = list
            .iter_mut()
            .find(|item| item.as_str().unwrap().contains("rpc.address"))
            .unwrap();
        *own = json!("-Djobmanager.rpc.address=another-master");
    });
    check(
        "image",
        "class-missing-on-taskmanagers",
        &["/opt/flink/usrlib", &format!("flink:{}", flink_version())],
    );
    check("address", "rpc-address", &["address-master", "another-master"]);

    broken(&place, "slots", &["-p", "2"], |items| {
        items[2]["spec"]["replicas"] = json!(1);
    });
    broken(&place, "killed", &[], |items| {
        container(&mut items[2])["resources"] = json!({"limits": {"memory": "60Mi"}, "requests": {"memory": "60Mi"}});
    });
    // TaskManagers that cannot reach the JobManager, and such without memory for what goes between them.
    broken(&place, "unknown", &[], |items| {
        pod(&mut items[2])["hostAliases"] = json!([{"ip": "192.0.2.1", "hostnames": ["unknown-master"]}]);
    });
    let buffers = [
        "-D",
        "taskmanager.memory.network.min=64k",
        "-D",
        "taskmanager.memory.network.max=64k",
    ];
    broken(&place, "buffers", &buffers, |_| {});
    check("slots", "too-few-slots", &["2 are needed"]);
    check("killed", "memory-configuration", &["60Mi", "--taskmanager-memory"]);
    check("buffers", "network-buffers", &["taskmanager.memory.network"]);
    check("unknown", "taskmanagers-unregistered", &["unknown-master"]);

    let often = [
        "-D",
        "execution.checkpointing.interval=1s",
        "-D",
        "execution.checkpointing.timeout=10s",
    ];
    let tolerated = ["-D", "execution.checkpointing.tolerable-failed-checkpoints=1000"];
    let flags = [
        &STORAGE[..],
        &often,
        &tolerated,
        &["--", "--rate", "50", "--slow", "25"],
    ]
    .concat();
    broken(&place, "slow", &flags, |_| {});
    broken(
        &place,
        "loop",
        &[&always_restarts()[..], &["--", "--rate", "100", "--fail-after", "100"]].concat(),
        |_| {},
    );
    has_hints(&first(
        &place,
        "loop",
        "restarting",
        &["failed on purpose at record 100", "org.kubectlflink.jobs.Total.flatMap"],
    ));
    let exceptions = place.flink(&["exceptions", "loop", "-o", "json"]).ok();
    let exceptions: Value = serde_json::from_str(&exceptions.stdout).unwrap();
    assert!(
        exceptions["items"][0]["cause"]
            .as_str()
            .unwrap()
            .contains("failed on purpose at record 100"),
        "{exceptions}"
    );
    check("slow", "checkpoint-timeout", &["Checkpoint expired before completing"]);

    // Everything runs, and then the Service goes; without it no client finds the JobManager, and that is reported as
    // well.
    place.kubectl(&["delete", "service/loop-master"]);
    check("loop", "no-service", &["kubectl flink resume loop"]);
    eventually("the Pods are gone", SLOW, || {
        let pods = place.kubectl(&["get", "pods", "-o", "name"]);
        pods.is_empty().then_some(())
    });
}
