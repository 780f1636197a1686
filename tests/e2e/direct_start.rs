//! A start without helper JVMs: the same command line as by the image's own scripts, and sooner.

use std::time::Duration;

use crate::place::{Place, STORAGE, flink_version, soon};

/// A start of a role's process.
struct Start {
    /// The command line of the first process, with what differs from one start to the next left out.
    line: Vec<String>,
    /// From the container's first process to the line in the log that says that the role is ready.
    took: Duration,
    /// The processor time of the processes that ended before the role's own JVM, the helper JVMs among them. Other tests
    /// beside this one change how long a start takes, but not this.
    helpers: Duration,
    /// Whether Flink's scripts started helper JVMs, as far as the log says.
    log: String,
}

impl Place {
    /// The first process of the one Pod of a component, when its log has the line `ready`.
    #[track_caller]
    fn started(&self, component: &str, ready: &str) -> Start {
        let selector = format!("app=demo,component={component}");
        let (pod, log, ready) = soon("the role is ready", || {
            let pods = self.running_pods(&selector);
            let pod = pods.first().filter(|_| pods.len() == 1)?.clone();
            let log = self.try_kubectl(&["logs", &pod, "--timestamps"]).stdout;
            let line = log.lines().find(|line| line.contains(ready))?.to_owned();
            Some((pod, log, line))
        });
        // Field 22 is when the process was started, in hundredths of a second since the machine's start. Fields 16 and 17
        // are the processor time of its children that ended, in hundredths too: the JVM takes the place of the shell that
        // waited for them.
        let script = "sed 's/.*) //' /proc/1/stat | cut -d' ' -f14,15,20 | tr ' ' '\\n'; cut -d' ' -f1 /proc/uptime; date +%s.%N; tr '\\0' '\\n' < /proc/1/cmdline";
        let printed = self.kubectl(&["exec", &pod, "--", "bash", "-c", script]);
        let mut lines = printed.lines();
        let mut number = || lines.next().unwrap().parse::<f64>().unwrap();
        let (user, system, ticks, uptime, now) = (number(), number(), number(), number(), number());
        let stamp = ready.split(' ').next().unwrap();
        let stamp: k8s_openapi::jiff::Timestamp = stamp.parse().unwrap();
        #[allow(clippy::cast_precision_loss)]
        let took = stamp.as_millisecond() as f64 / 1000.0 - (now - uptime + ticks / 100.0);
        let mut line: Vec<String> = lines.map(|word| word.replace(&pod, "POD")).collect();
        if let Some(at) = line.iter().position(|word| word == "--fromSavepoint") {
            line.drain(at..at + 2);
        }
        Start {
            line,
            took: Duration::from_secs_f64(took),
            helpers: Duration::from_secs_f64((user + system) / 100.0),
            log,
        }
    }

    fn both_started(&self) -> [Start; 2] {
        [
            self.started("master", "Rest endpoint listening at"),
            self.started("task-manager", "Successful registration at resource manager"),
        ]
    }
}

#[test]
fn a_direct_start_runs_the_same_command_line_and_is_faster() {
    let place = Place::with_storage("direct");
    let flags = [
        "-D",
        "env.java.opts.all=-Dtest.all=1",
        "-D",
        "env.java.opts.taskmanager=-Dtest.own=$HOME",
        "-D",
        "taskmanager.memory.managed.fraction=0.25",
        "--env",
        "FLINK_PROPERTIES=web.refresh-interval: 3000",
    ];
    place
        .create("demo", &[&STORAGE[..], &flags, &["--", "--rate", "50"]].concat())
        .ok();
    let before = place.counted("demo", 50);
    let scripts = place.both_started();

    // New TaskManagers beside the running ones would have another port of the JobManager.
    place
        .flink(&["upgrade", "demo", "--direct-start", "--surge=never"])
        .ok();
    place.continued("demo", before);
    let direct = place.both_started();
    for ((role, scripts), direct) in ["JobManager", "TaskManager"].into_iter().zip(&scripts).zip(&direct) {
        assert_eq!(direct.line, scripts.line, "{role}");
        assert!(scripts.line.contains(&"-Dtest.all=1".to_owned()), "{:?}", scripts.line);
        assert!(!direct.log.contains("Flink's own helper answers"), "{}", direct.log);
        println!(
            "Flink {}, {role}: ready {:.1} s after its container's start by the scripts, {:.1} s directly: {:.2} of it",
            flink_version(),
            scripts.took.as_secs_f64(),
            direct.took.as_secs_f64(),
            direct.took.as_secs_f64() / scripts.took.as_secs_f64()
        );
        let (less, more) = (direct.helpers, scripts.helpers);
        assert!(
            less * 4 < more,
            "{role}: helper processes took {less:?}, and {more:?} by the scripts"
        );
    }
    let configuration = place.rest("demo", "jobmanager/config").unwrap().to_string();
    assert!(
        configuration.contains("web.refresh-interval") && configuration.contains("3000"),
        "{configuration}"
    );

    // It stays with the cluster, and state moves as always.
    place.flink(&["savepoint", "demo"]).ok();
    let before = place.count("demo");
    place
        .flink(&["upgrade", "demo", "--env", "NEW=1", "--taskmanager-memory=1100m"])
        .ok();
    place.continued("demo", before);
    let own = [
        "get",
        "job,deploy",
        "-o",
        "jsonpath={.items[*].spec.template.spec.containers[0].command[3]}",
    ];
    assert_eq!(place.kubectl(&own), "kubectl-flink kubectl-flink");
    let larger = place.started("task-manager", "Successful registration at resource manager");
    assert!(!larger.log.contains("Flink's own helper answers"), "{}", larger.log);
    assert_ne!(larger.line[1], direct[1].line[1], "the heap has grown");
    place.flink(&["upgrade", "demo", "--direct-start=false"]).ok();
    assert_eq!(place.kubectl(&own), "");
    place.flink(&["delete", "demo", "--yes"]).ok();
}

#[test]
fn an_image_that_is_not_like_flinks_is_reported_and_the_upgrade_rolls_back() {
    let place = Place::with_storage("direct-foreign");
    place
        .create("demo", &[&STORAGE[..], &["--", "--rate", "50"]].concat())
        .ok();
    let before = place.counted("demo", 50);
    place
        .flink(&[
            "upgrade",
            "demo",
            "--direct-start",
            "--surge=never",
            "--env",
            "FLINK_HOME=/opt/elsewhere",
        ])
        .exits(6)
        .reports(&["this image cannot be started directly", "--direct-start=false"]);
    place.continued("demo", before);
    place.flink(&["delete", "demo", "--yes"]).ok();
}
