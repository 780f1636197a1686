//! One running cluster, seen through all commands that look at it and that end its job.

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, SMALL, STORAGE, counting_job, create_arguments, soon};
use crate::process::{Run, eventually};

fn parsed(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run}"))
}

fn tree(place: &Place, arguments: &[&str]) -> Value {
    parsed(&place.flink(&[arguments, &["-o", "json"]].concat()).ok())
}

/// Whether there is a checkpoint or savepoint at a path, as the storage has it.
fn is_written(place: &Place, path: &str) -> bool {
    let Ok(storage) = std::env::var("BED_STORAGE") else {
        return true;
    };
    let below = path.strip_prefix("file:/storage/").expect("a path of the storage");
    std::path::Path::new(&storage)
        .join(&place.namespace)
        .join(below)
        .join("_metadata")
        .exists()
}

#[test]
fn a_running_cluster_is_looked_at_suspended_resumed_and_stopped() {
    let place = Place::with_storage("operate");
    let flags = [
        "-D",
        "execution.checkpointing.interval=1s",
        "-D",
        "s3.secret-key=hidden-one",
        "--",
        "--rate",
        "50",
    ];
    place.create("demo", &[&STORAGE[..], &flags].concat()).ok();
    place.flink(&["wait", "demo", "--for", "checkpoint"]).ok();
    let first_job = place.job_id("demo");
    let savepoint = savepoints_and_checkpoints(&place, &first_job);
    looks(&place, &first_job);
    parts(&place);
    with_the_printed_role(&place);

    // By the other way to Flink, which needs no proxy.
    for way in ["port-forward", "proxy"] {
        let status = parsed(&place.flink(&["status", "demo", "-o", "json", "--access", way]).ok());
        assert_eq!(status["job"]["state"], "RUNNING", "{way}: {status}");
        assert_eq!(status["vertices"].as_array().map(Vec::len), Some(3), "{way}: {status}");
    }

    // Suspended: everything is kept but the Pods.
    let before = place.counted("demo", 50);
    let suspended = place.flink(&["suspend", "demo"]).ok();
    let path = suspended.stdout.trim().to_owned();
    assert!(is_written(&place, &path), "{suspended}");
    assert_eq!(place.last_savepoint("demo"), path);
    for object in ["job/demo-master", "deployment/demo-task-manager", "service/demo-master"] {
        assert!(place.exists(object), "{object}");
    }
    assert_eq!(place.object("deployment/demo-task-manager")["spec"]["replicas"], 0);
    place
        .flink(&["wait", "demo", "--for", "suspended", "--timeout", "60s"])
        .ok();
    assert_eq!(tree(&place, &["list", "demo"])["status"]["phase"], "Suspended");
    let why = place.flink(&["why", "demo"]).ok();
    assert!(why.stdout.contains(&format!("stopped with savepoint {path}")), "{why}");
    place.flink(&["exceptions", "demo"]).exits(8).reports(&["has ended"]);
    place.flink(&["savepoint", "demo"]).exits(8).reports(&["does not run"]);
    // Repeated, it is as good as the first time.
    assert_eq!(place.flink(&["suspend", "demo"]).ok().stdout.trim(), path);

    place.flink(&["resume", "demo"]).ok();
    place.continued("demo", before);
    let before = place.count("demo");
    // A client requests a savepoint and never reads the result: that must not delay the end by five minutes.
    let job = place.job_id("demo");
    let body = json!({"target-directory": "file:///storage/unread", "cancel-job": false});
    place.post("demo", &format!("jobs/{job}/savepoints"), &body);
    let stopped = place
        .flink(&["stop", "demo", "--drain"])
        .ok()
        .within(Duration::from_secs(200));
    let path = stopped.stdout.trim().to_owned();
    assert!(is_written(&place, &path), "{stopped}");
    place
        .flink(&["wait", "demo", "--for", "stopped", "--timeout", "60s"])
        .ok();
    let ended = place.object("job/demo-master");
    let complete = ended["status"]["conditions"].to_string().contains("Complete");
    assert!(complete || ended["spec"]["suspend"] == true, "{ended}");
    // The TaskManagers are left behind, and that is reported.
    let why = place.flink(&["why", "demo", "-o", "json"]).exits(6);
    assert_eq!(parsed(&why)["cause"]["cause"], "idle-taskmanagers", "{why}");

    // A savepoint's files go by Flink, so a job must run; it resumes from the newest one.
    place.flink(&["resume", "demo"]).ok();
    place.continued("demo", before);
    place.flink(&["savepoint", "dispose", "demo", &path, "--yes"]).exits(8);
    place.flink(&["savepoint", "dispose", "demo", &savepoint, "--yes"]).ok();
    assert!(!is_written(&place, &savepoint), "{savepoint} is still there");
    let listed = tree(&place, &["savepoint", "list", "demo"]);
    let disposed = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["path"] == *savepoint);
    assert_eq!(disposed.unwrap()["status"], "Disposed", "{listed}");

    let canceled = place
        .flink(&["cancel", "demo", "--yes"])
        .ok()
        .within(Duration::from_secs(200));
    assert_eq!(canceled.stdout, "cluster/demo canceled\n");
    let after = place
        .flink(&["wait", "demo", "--for", "finished", "--timeout", "60s"])
        .exits(6);
    after.reports(&["canceled"]);
    place.flink(&["delete", "demo", "--yes", "--purge"]).ok();
    place
        .flink(&["wait", "demo", "--for", "deleted", "--timeout", "60s"])
        .ok();
    place.flink(&["why", "demo"]).exits(3);
}

/// Gives the path of a savepoint.
fn savepoints_and_checkpoints(place: &Place, job: &str) -> String {
    let taken = place.flink(&["savepoint", "demo"]).ok();
    let path = taken.stdout.trim().to_owned();
    assert!(path.starts_with("file:/storage/savepoints/savepoint-"), "{taken}");
    assert!(is_written(place, &path), "{path}");
    assert_eq!(place.last_savepoint("demo"), path);
    // The job runs on, and it is the same one.
    assert_eq!(place.job_id("demo"), job);
    place.runs("demo");

    let elsewhere = [
        "savepoint",
        "demo",
        "--dir",
        "file:///storage/elsewhere",
        "--format",
        "native",
    ];
    let native = place.flink(&elsewhere).ok().stdout.trim().to_owned();
    assert!(native.starts_with("file:/storage/elsewhere/savepoint-"), "{native}");
    let trigger = place
        .flink(&["savepoint", "demo", "--no-wait"])
        .ok()
        .stdout
        .trim()
        .to_owned();
    let waited = place
        .flink(&["wait", "demo", "--for", "savepoint", "--timeout", "5m"])
        .ok();
    let listed = tree(place, &["savepoint", "list", "demo"]);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "{listed}");
    assert_eq!(
        (&items[0]["triggerId"], &items[0]["path"]),
        (&json!(trigger), &json!(waited.stdout.trim()))
    );
    assert_eq!(
        (&items[1]["format"], &items[1]["path"]),
        (&json!("native"), &json!(native))
    );
    let oldest = &items[2];
    assert_eq!(oldest["path"], path, "{listed}");
    for (field, want) in [
        ("status", json!("Completed")),
        ("format", json!("canonical")),
        ("reason", json!("savepoint")),
        ("jobId", json!(job)),
        ("image", json!(counting_job())),
        ("revision", json!(1)),
    ] {
        assert_eq!(oldest[field], want, "{field}: {listed}");
    }
    assert!(oldest["size"].as_u64().is_some_and(|size| size > 1000), "{listed}");

    let checkpoint = place.flink(&["checkpoint", "demo", "--type", "full"]).ok();
    let newest = checkpoint.stdout.trim();
    assert!(
        newest.starts_with(&format!("file:/storage/checkpoints/{job}/chk-")),
        "{checkpoint}"
    );
    path
}

/// All commands that only look.
fn looks(place: &Place, job: &str) {
    let status = soon("all rates are known", || {
        let status = tree(place, &["status", "demo"]);
        let known = |vertex: &Value| vertex["busy"].is_number() && vertex["recordsOutPerSecond"].as_f64() > Some(0.0);
        known(&status["vertices"][0]).then_some(status)
    });
    assert_eq!(status["cluster"]["phase"], "Running", "{status}");
    assert_eq!(status["cluster"]["highAvailability"], Value::Null, "{status}");
    assert_eq!(
        (&status["job"]["id"], &status["job"]["state"]),
        (&json!(job), &json!("RUNNING"))
    );
    assert_eq!(status["job"]["restarts"], 0, "{status}");
    let names: Vec<&Value> = status["vertices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vertex| &vertex["name"])
        .collect();
    assert_eq!(names, ["Source: numbers", "keys", "total"], "{status}");
    assert!(
        status["checkpoints"]["last"]["path"]
            .as_str()
            .unwrap()
            .contains("/chk-"),
        "{status}"
    );
    assert_eq!(status["checkpoints"]["consecutiveFailures"], 0, "{status}");
    assert!(
        !status["checkpoints"]["recentDurationsMillis"]
            .as_array()
            .unwrap()
            .is_empty(),
        "{status}"
    );
    let managers = &status["taskManagers"];
    assert_eq!(
        (&managers["ready"], &managers["slotsTotal"], &managers["slotsFree"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(
        status["lastSavepoint"]["path"],
        place.last_savepoint("demo"),
        "{status}"
    );
    let screen = place.flink(&["status", "demo"]).ok().stdout;
    for words in [
        "demo in",
        "RUNNING",
        "3 of 3 tasks run",
        "Source: numbers",
        "every 1s",
        "progress is lost",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    let why = place.flink(&["why", "demo"]).ok().stdout;
    assert!(why.starts_with("nothing is wrong: the job is RUNNING"), "{why}");

    let list = tree(place, &["list", "--live"]);
    let live = &list["items"][0]["live"];
    assert_eq!(
        (&live["state"], &live["restarts"]),
        (&json!("RUNNING"), &json!(0)),
        "{list}"
    );
    // Not on a terminal a watch is one look below the other, without control characters.
    let watch = place.start(&["status", "demo", "--watch", "--interval", "500ms"]);
    std::thread::sleep(Duration::from_secs(5));
    watch.signal("INT");
    let watched = place.note(watch.end()).exits(130);
    let looks = watched.stdout.matches("Nothing is wrong.").count();
    assert!(looks > 1 && !watched.stdout.contains('\u{1b}'), "{watched}");

    let top = place.flink(&["top"]).ok().stdout;
    assert!(
        top.lines()
            .nth(1)
            .is_some_and(|line| line.contains("RUNNING") && line.contains("3/3")),
        "{top}"
    );
    let top = place.flink(&["top", "demo"]).ok().stdout;
    assert!(
        top.contains("Source: numbers") && top.contains("last checkpoint took"),
        "{top}"
    );
}

/// What the cluster's parts say of themselves.
fn parts(place: &Place) {
    let config = place.flink(&["config", "demo"]).ok().stdout;
    assert!(!config.contains("hidden-one"), "{config}");
    let interval = tree(place, &["config", "demo", "checkpointing.interval"]);
    let setting = &interval["items"][0];
    assert_eq!(
        (&setting["jobManager"], &setting["taskManager"]),
        (&json!("1s"), &json!("1s")),
        "{interval}"
    );
    place.flink(&["exceptions", "demo"]).ok().reports(&["no exceptions"]);

    let events = tree(place, &["events", "demo"]);
    let reasons: Vec<(&str, &str)> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["object"]["kind"].as_str().unwrap(),
                item["reason"].as_str().unwrap(),
            )
        })
        .collect();
    for want in [
        ("Job", "SuccessfulCreate"),
        ("Pod", "Scheduled"),
        ("Pod", "Started"),
        ("Deployment", "ScalingReplicaSet"),
    ] {
        assert!(reasons.contains(&want), "{want:?}: {events}");
    }

    let logs = place
        .flink(&[
            "logs",
            "demo",
            "--role",
            "jobmanager",
            "--grep",
            "Completed checkpoint",
            "--tail",
            "2000",
        ])
        .ok();
    assert!(logs.stdout.lines().count() > 0, "{logs}");
    assert!(
        logs.stdout
            .lines()
            .all(|line| line.starts_with("jobmanager/") && line.contains("Completed checkpoint")),
        "{logs}"
    );
    let both = place
        .flink(&["logs", "demo", "--timestamps", "--since", "1h"])
        .ok()
        .stdout;
    let times: Vec<&str> = both.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(times.is_sorted(), "the lines are not in the order of time");
    assert!(both.contains("taskmanager/"), "{both}");

    let doctor = tree(place, &["doctor", "demo"]);
    let checks = doctor["items"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["severity"] != "critical"), "{doctor}");
    assert!(checks.iter().any(|check| check["check"] == "storage"), "{doctor}");
}

/// What `doctor --rbac` prints is enough, also where Flink can be reached by a port-forward alone.
fn with_the_printed_role(place: &Place) {
    let printed = place
        .flink(&["doctor", "--rbac", "--subject", "ServiceAccount:operator"])
        .ok();
    place.kubectl(&["create", "serviceaccount", "operator"]);
    place.apply(&printed.stdout);
    let operator = format!("--as=system:serviceaccount:{}:operator", place.namespace);
    let run = |command: &[&str], access: &str| place.flink(&[command, &[&operator, access]].concat());
    for command in [
        &["events", "demo"][..],
        &["logs", "demo", "--tail=2"],
        &["checkpoint", "demo"],
    ] {
        run(command, "--access=auto").ok();
    }
    let doctor = run(&["doctor", "demo"], "--access=proxy").ok();
    assert!(doctor.stdout.contains("rights are granted"), "{doctor}");

    let mut role = place.object("role/kubectl-flink");
    let proxy = |rule: &Value| rule["resources"].to_string().contains("services/proxy");
    role["rules"].as_array_mut().unwrap().retain(|rule| !proxy(rule));
    place.apply(&role.to_string());
    // The API server learns of it a moment later.
    soon("the proxy is forbidden", || {
        let status = parsed(&run(&["status", "demo", "-ojson"], "--access=proxy").ok());
        status["job"].is_null().then_some(())
    });
    run(&["checkpoint", "demo"], "--access=proxy")
        .exits(4)
        .reports(&["services/proxy", "--access port-forward"]);
    for access in ["--access=auto", "--access=port-forward"] {
        let status = parsed(&run(&["status", "demo", "-ojson"], access).ok());
        assert_eq!(status["job"]["state"], "RUNNING", "{access}: {status}");
    }
    let list = parsed(&run(&["list", "--live", "-ojson"], "--access=auto").ok());
    assert_eq!(list["items"][0]["live"]["state"], "RUNNING", "{list}");
    run(&["checkpoint", "demo"], "--access=auto").ok();
}

#[test]
fn a_job_is_run_to_its_end_and_nothing_is_left() {
    let place = Place::new("run");
    let run = |name: &str, more: &[&str]| {
        let arguments = create_arguments(name, &[&["-D", "execution.buffer-timeout.interval=0"], more].concat());
        let arguments: Vec<&str> = arguments.iter().skip(2).map(String::as_str).collect();
        place.flink(&[&["run", name, "--rm"], &arguments[..]].concat())
    };
    let finished = run("good", &["--", "--rate", "1000", "--finish-after", "2000"]).ok();
    assert!(finished.stdout.ends_with("cluster/good finished\n"), "{finished}");
    run("bad", &["--", "--rate", "200", "--fail-after", "400"])
        .exits(6)
        .reports(&["IllegalStateException: failed on purpose at record 400"]);
    run("late", &["--limit", "20s", "--", "--rate", "10"]).exits(5);
    place.left_with(&[
        "configmap/bad-history",
        "configmap/good-history",
        "configmap/late-history",
    ]);
}

/// Interrupted in the middle of a savepoint: Flink completes it, and the repeated command prints that one.
#[test]
fn an_interrupted_savepoint_is_found_by_its_repetition() {
    let place = Place::with_storage("interrupted");
    let flags = [&SMALL[..0], &STORAGE[..], &["--", "--rate", "50", "--slow", "8"]].concat();
    place.create("demo", &flags).ok();
    let first = place.start(&["savepoint", "demo"]);
    let trigger = soon("the trigger is in the history", || {
        let saved = place.try_kubectl(&["get", "configmap/demo-history", "-o", "jsonpath={.data.savepoints}"]);
        let saved: Value = serde_json::from_str(&saved.stdout).ok()?;
        saved[0]["triggerId"].as_str().map(ToOwned::to_owned)
    });
    let job = place.job_id("demo");
    soon("Flink has the request", || {
        let path = format!("jobs/{job}/savepoints/{trigger}");
        place.rest("demo", &path)
    });
    first.signal("INT");
    let interrupted = place.note(first.end()).exits(130);
    interrupted.reports(&[
        "what was started continues in the cluster",
        "the same command continues",
    ]);
    let again = place
        .flink(&["savepoint", "demo"])
        .ok()
        .reports(&["is being written already"]);
    let saved = place.savepoints("demo");
    assert_eq!(saved.len(), 1, "{saved:?}");
    assert_eq!(
        (&saved[0]["triggerId"], &saved[0]["path"]),
        (&json!(trigger), &json!(again.stdout.trim()))
    );
    assert!(is_written(&place, again.stdout.trim()), "{again}");

    // The log continues in the Pod that takes the place of one that was killed, and no line comes twice.
    let mut follow = place.start(&["logs", "demo", "-f", "--role", "taskmanager", "--timestamps"]);
    place.kubectl(&["delete", "pod", "-l", "app=demo,component=task-manager", "--wait=false"]);
    let next = soon("another TaskManager runs", || {
        let pods = place.try_kubectl(&[
            "get",
            "pods",
            "-l",
            "app=demo,component=task-manager",
            "--field-selector=status.phase=Running",
            "-o",
            "json",
        ]);
        let pods: Value = serde_json::from_str(&pods.stdout).ok()?;
        let alive = pods["items"]
            .as_array()?
            .iter()
            .find(|pod| pod["metadata"]["deletionTimestamp"].is_null())?;
        alive["metadata"]["name"].as_str().map(ToOwned::to_owned)
    });
    let written = eventually("it writes a log", crate::process::LIMIT, || {
        let log = place.try_kubectl(&["logs", &next]).stdout;
        (log.lines().count() > 50).then_some(log)
    });
    std::thread::sleep(Duration::from_secs(5));
    assert!(follow.runs());
    follow.signal("INT");
    let ended = place.note(follow.end()).exits(130);
    let prefix = format!("taskmanager/{} ", next.rsplit('-').next().unwrap());
    let followed: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| Some(line.strip_prefix(&prefix)?.split_once(' ')?.1))
        .collect();
    for line in written.lines().filter(|line| !line.trim().is_empty()) {
        let times = |lines: &mut dyn Iterator<Item = &str>| lines.filter(|other| *other == line).count();
        let (want, got) = (times(&mut written.lines()), times(&mut followed.iter().copied()));
        // More of the same may have come since.
        assert!(
            got >= want,
            "{line:?} is {got} times in what was followed, and {want} times in the log"
        );
    }
    let stamped: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with(&prefix)).collect();
    let different: std::collections::BTreeSet<&&str> = stamped.iter().collect();
    // The runtime gives each line a time of its own.
    let doubled = stamped.len() - different.len();
    assert_eq!(doubled, 0, "of {} lines so many came twice", stamped.len());
}
