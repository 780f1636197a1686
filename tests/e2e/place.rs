//! A namespace of its own for each test, the plugin's real binary in it, and the real kubectl to look from outside.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, LIMIT, Run, Running, eventually};

/// A namespace. It is deleted with this, after a failed test's last words.
pub struct Place {
    pub namespace: String,
    folder: TempDir,
    begun: Instant,
    transcript: RefCell<Vec<Run>>,
}

/// Image of the counting job.
pub fn counting_job() -> String {
    format!("counting-job:{}", flink_version())
}

/// Whether the tests run with this release or a later one.
pub fn flink_is_since(major: u32, minor: u32) -> bool {
    let version = flink_version();
    let mut parts = version.split('.').map(|part| part.parse().expect("numbers"));
    (parts.next(), parts.next()) >= (Some(major), Some(minor))
}

/// The release of Flink that is tested.
pub fn flink_version() -> String {
    std::env::var("FLINK_VERSION").unwrap_or_else(|_| "2.3.0".to_owned())
}

/// The distribution of the release that is tested: FLINK_HOME, or that of the test cluster.
pub fn flink_home() -> PathBuf {
    if let Ok(home) = std::env::var("FLINK_HOME") {
        return PathBuf::from(home);
    }
    let state = std::env::var("BED_STATE").expect("FLINK_HOME names the distribution where there is no test cluster");
    let wanted = format!("flink-{}-", flink_version());
    let cache = PathBuf::from(state).parent().unwrap().to_owned();
    let found = std::fs::read_dir(&cache).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let named = entry.file_name().to_string_lossy().starts_with(&wanted);
        (named && entry.path().join("bin/flink").is_file()).then(|| entry.path())
    });
    found.unwrap_or_else(|| panic!("no {wanted}…/bin/flink in {}", cache.display()))
}

/// Flags of a cluster that starts fast on a small machine and reports its metrics soon.
pub const SMALL: [&str; 6] = [
    "--jobmanager-memory=800m",
    "--taskmanager-memory=1g",
    "--env",
    // A JVM that does not verify Flink's classes starts with a sixth less work. A machine with many tests on it starts one slowly.
    "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote \
     -Dpekko.remote.classic.startup-timeout=120s -Dakka.remote.classic.startup-timeout=120s",
    "-D",
    "metrics.fetcher.update-interval=500",
];

/// Flags of a cluster with the folders of the claim that [`Place::with_storage`] makes.
pub const STORAGE: [&str; 3] = [
    "--mount=storage:/storage",
    "--savepoint-dir=file:///storage/savepoints",
    "--checkpoint-dir=file:///storage/checkpoints",
];

impl Place {
    /// A namespace whose name has the topic.
    pub fn new(topic: &str) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let namespace = format!("e2e-{topic}-{millis:x}{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let place = Self {
            namespace,
            folder: TempDir::new().unwrap(),
            begun: Instant::now(),
            transcript: RefCell::new(Vec::new()),
        };
        kubectl(&["create", "namespace", &place.namespace]);
        place
    }

    /// With a bound claim `storage`.
    pub fn with_storage(topic: &str) -> Self {
        let place = Self::new(topic);
        process::run(Command::new(bed("storage")).arg(&place.namespace), "").ok();
        place
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The plugin, ready to run in the namespace.
    pub fn plugin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flink"));
        // The namespace is first: after `--` it would be the program's.
        command.arg(format!("--namespace={}", self.namespace)).args(arguments);
        for variable in ["APPLICATION_NAME", "IMAGE_NAME", "JOB_PARALLELISM", "JOB_ARGUMENTS"] {
            command.env_remove(format!("FLINK_{variable}"));
        }
        // Templates of the user's own would be found there.
        command.env("XDG_CONFIG_HOME", self.folder.path().join("no-configuration"));
        command
    }

    /// Runs the plugin.
    pub fn flink(&self, arguments: &[&str]) -> Run {
        self.note(process::run(&mut self.plugin(arguments), ""))
    }

    /// Starts the plugin.
    pub fn start(&self, arguments: &[&str]) -> Running {
        process::start(&mut self.plugin(arguments), "")
    }

    /// Creates a small cluster of the counting job, unless `flags` name another image.
    pub fn create(&self, name: &str, flags: &[&str]) -> Run {
        let arguments = create_arguments(name, flags);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.flink(&arguments)
    }

    /// Keeps a run for the last words of a failed test.
    pub fn note(&self, run: Run) -> Run {
        crate::documents::check(&run.stdout);
        self.transcript.borrow_mut().push(run.clone());
        run
    }

    /// Runs kubectl in the namespace; it must succeed.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).ok().stdout
    }

    /// Runs kubectl in the namespace.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Run {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl in the namespace, with something to read.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = Command::new("kubectl");
        command.arg(format!("--namespace={}", self.namespace)).args(arguments);
        process::run(&mut command, input)
    }

    /// Makes an object of the namespace.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.kubectl_with(&["apply", "-f", "-"], yaml).ok();
    }

    /// Makes a quota, and waits until Kubernetes enforces it: from when its controller has written the quota's status.
    #[track_caller]
    pub fn quota(&self, name: &str, hard: &str) {
        self.kubectl(&["create", "quota", name, &format!("--hard={hard}")]);
        soon("the quota is in force", || {
            self.object(&format!("resourcequota/{name}"))
                .pointer("/status/hard")
                .cloned()
        });
    }

    /// An object as the API server has it.
    #[track_caller]
    pub fn object(&self, reference: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", reference, "-o", "json"])).unwrap()
    }

    /// Whether an object is there.
    #[track_caller]
    pub fn exists(&self, reference: &str) -> bool {
        !self
            .kubectl(&["get", reference, "--ignore-not-found", "-o", "name"])
            .is_empty()
    }

    /// The names of the Pods with these labels that run.
    #[track_caller]
    pub fn running_pods(&self, labels: &str) -> Vec<String> {
        let pods = self.kubectl(&[
            "get",
            "pods",
            "-l",
            labels,
            "--field-selector=status.phase=Running",
            "-o",
            "name",
        ]);
        pods.lines()
            .map(|pod| pod.trim_start_matches("pod/").to_owned())
            .collect()
    }

    /// The history as the ConfigMap has it: its savepoints.
    #[track_caller]
    pub fn savepoints(&self, name: &str) -> Vec<Value> {
        let history = self.object(&format!("configmap/{name}-history"));
        serde_json::from_str(history["data"]["savepoints"].as_str().unwrap()).unwrap()
    }

    /// Path of the newest savepoint in the history, which must be completed.
    #[track_caller]
    pub fn last_savepoint(&self, name: &str) -> String {
        let savepoints = self.savepoints(name);
        let last = savepoints.last().expect("a savepoint in the history");
        assert_eq!(last["progress"], "completed", "{last}");
        last["path"].as_str().unwrap().to_owned()
    }

    /// All objects of the namespace, of whatever kind, but for those that Kubernetes makes in each and the storage.
    pub fn objects(&self) -> Vec<String> {
        let kinds = kubectl(&["api-resources", "--namespaced", "--verbs=list,create", "--output=name"]);
        let kinds: Vec<&str> = kinds
            .lines()
            .filter(|kind| *kind != "events" && *kind != "events.events.k8s.io")
            .collect();
        let not_ours = [
            "configmap/kube-root-ca.crt",
            "serviceaccount/default",
            "persistentvolumeclaim/storage",
        ];
        self.kubectl(&["get", &kinds.join(","), "--output=name"])
            .lines()
            .filter(|object| !not_ours.contains(object))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Waits until these objects are all that is left. Kubernetes collects some a moment after their owners.
    #[track_caller]
    pub fn left_with(&self, wanted: &[&str]) {
        let begun = Instant::now();
        loop {
            let mut objects = self.objects();
            objects.sort();
            if objects == wanted {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "left are {objects:?}, wanted {wanted:?}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The last words of a failed test: what is known only as long as the namespace lives.
    fn last_words(&self) -> String {
        let mut words = String::new();
        let mut say = |title: &str, text: &str| {
            let _ = write!(words, "\n===== {title} =====\n{}\n", text.trim_end());
        };
        for run in self.transcript.borrow().iter() {
            say("the plugin", &run.to_string());
        }
        let ask = |arguments: &[&str]| {
            let run = self.try_kubectl(arguments);
            run.stdout + &run.stderr
        };
        say("objects", &ask(&["get", "all,configmaps", "-o", "wide"]));
        say("events", &ask(&["get", "events", "--sort-by=.lastTimestamp"]));
        say("pods", &ask(&["describe", "pods"]));
        for pod in ask(&["get", "pods", "-o", "name"]).lines() {
            say(
                &format!("log of {pod}"),
                &ask(&["logs", pod, "--all-containers", "--tail=80"]),
            );
            let before = self.try_kubectl(&["logs", pod, "--all-containers", "--previous", "--tail=80"]);
            if before.code == Some(0) {
                say(&format!("log of {pod} before its restart"), &before.stdout);
            }
        }
        if let Ok(state) = std::env::var("BED_STATE") {
            let log = std::fs::read_to_string(format!("{state}/log/kubelet.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(&self.namespace)).collect();
            say("kubelet", &lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        words
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let seconds = self.begun.elapsed().as_secs();
        // Past the capture of the test's output: progress and faults are seen when they happen, not at the end.
        let mut report = format!("{test} is done after {seconds} s\n");
        if std::thread::panicking() {
            let words = self.last_words();
            report = format!(
                "\n##### {test} failed after {seconds} s: what there was to see #####\n{words}\n##### end of {test} #####\n"
            );
        }
        let _ = std::io::stderr().write_all(report.as_bytes());
        let _ = process::run(
            Command::new("kubectl").args(["delete", "namespace", &self.namespace, "--wait=false"]),
            "",
        );
        if let (Ok(storage), Err(_)) = (std::env::var("BED_STORAGE"), std::env::var("BED_CONTEXT")) {
            let volume = format!("storage-{}", self.namespace);
            let _ = process::run(
                Command::new("kubectl").args(["delete", "pv", &volume, "--wait=false", "--ignore-not-found"]),
                "",
            );
            let _ = std::fs::remove_dir_all(format!("{storage}/{}", self.namespace));
        }
    }
}

/// Runs kubectl outside of a namespace; it must succeed.
#[track_caller]
pub fn kubectl(arguments: &[&str]) -> String {
    process::run(Command::new("kubectl").args(arguments), "").ok().stdout
}

/// The arguments of [`Place::create`].
pub fn create_arguments(name: &str, flags: &[&str]) -> Vec<String> {
    let mut arguments = vec!["create".to_owned(), name.to_owned()];
    if !flags.iter().any(|flag| flag.starts_with("--image")) {
        arguments.push(format!("--image={}", counting_job()));
        // The name of the image says nothing of Flink, so its tag is not taken for Flink's version.
        arguments.push(format!("--flink-version={}", flink_version()));
    }
    arguments.extend(SMALL.iter().chain(flags).map(|flag| (*flag).to_owned()));
    arguments
}

/// A script of tests/bed.
pub fn bed(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bed").join(script)
}

/// Waits as long as any program may take.
#[track_caller]
pub fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually(what, LIMIT, look)
}
