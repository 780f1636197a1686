//! One run of the program against a world.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::fault::{Fault, Plan};
use crate::server::Server;
use crate::world::World;

/// The longest run, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(60);
/// Where the server does not come back, some commands wait for it on purpose. The test presses Ctrl-C then, but not before
/// the time is over in which each request is repeated.
const PATIENCE: Duration = Duration::from_secs(8);

/// What `edit` does to a spec.
const EDITOR: &str = "sed -i 's/flink:2.3.0$/flink:2.3.0-java17/'";

pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
    pub requests: Vec<String>,
    /// Whether the test ended it.
    pub interrupted: bool,
}

pub fn run(world: &Arc<Mutex<World>>, arguments: &[&str], at: usize, fault: Option<Fault>) -> Run {
    let plan = Plan {
        at,
        fault,
        ..Plan::default()
    };
    with_plan(world, arguments, &Arc::new(plan))
}

/// The same with the fault at another server than the API server, whose plan this is.
pub fn run_beside(world: &Arc<Mutex<World>>, arguments: &[&str], plan: &Arc<Plan>) -> Run {
    with_plans(world, arguments, &Arc::default(), plan)
}

/// The same, with all texts that come from a cluster poisoned, and with all requests traced.
pub fn run_poisoned(world: &Arc<Mutex<World>>, arguments: &[&str]) -> Run {
    let plan = Plan {
        escapes: true,
        ..Plan::default()
    };
    let arguments: Vec<&str> = std::iter::once("-vv").chain(arguments.iter().copied()).collect();
    with_plan(world, &arguments, &Arc::new(plan))
}

/// What `apply -f demo.yaml` reads.
const FILE: &str = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\n\
    spec: {image: 'flink:2.3.0', flinkConfiguration: {state.backend.type: hashmap}, job: {parallelism: 1}}\n";

/// The same as the plan says.
pub fn with_plan(world: &Arc<Mutex<World>>, arguments: &[&str], plan: &Arc<Plan>) -> Run {
    with_plans(world, arguments, plan, plan)
}

/// The program for a server, with a home folder.
pub fn program(server: &Server, home: &TempDir, arguments: &[&str]) -> Command {
    let kubeconfig = home.path().join("config");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: test, contexts: [{{name: test, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: \"{}\"}}}}], users: [{{name: u, user: {{token: hidden-token}}}}]}}",
        server.url()
    );
    std::fs::write(&kubeconfig, text).unwrap();
    std::fs::write(home.path().join("demo.yaml"), FILE).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flink"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("KUBECONFIG", &kubeconfig)
        .env("KUBECTL_FLINK_NO_IMAGE_CHECK", "1")
        .env("KUBE_EDITOR", EDITOR);
    command.current_dir(home.path());
    command
}

/// `meets` is the plan whose fault the program meets, `plan` that of the API server.
fn with_plans(world: &Arc<Mutex<World>>, arguments: &[&str], plan: &Arc<Plan>, meets: &Arc<Plan>) -> Run {
    let fault = meets.fault;
    let server = Server::start(world, plan);
    let home = TempDir::new().unwrap();
    let mut command = program(&server, &home, arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if fault == Some(Fault::Silence) {
        command.arg("--request-timeout=1s");
    }
    let mut child = command.spawn().unwrap();
    let read = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let child = Arc::new(Mutex::new(child));
    *meets.victim.lock().unwrap() = Some(Arc::clone(&child));
    let begun = Instant::now();
    let usual = if fault == Some(Fault::Gone) { PATIENCE } else { LIMIT };
    let limit = meets.limit.unwrap_or(usual);
    let mut interrupted = false;
    let status = loop {
        if let Some(status) = child.lock().unwrap().try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > limit && !interrupted {
            interrupted = true;
            child.lock().unwrap().kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if meets.drowned.load(Ordering::SeqCst) {
        let text = "it reads without a limit".to_owned();
        world.lock().unwrap().violations.push(text);
    }
    Run {
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        code: status.code(),
        requests: server.requests(),
        interrupted,
    }
}
