//! The same faults between the program and a registry of images. After each of them there is never half an image under a
//! name, what is printed of an image is true, and the repetition makes what a run without a fault makes.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use kubectl_flink::testing::Digest;
use tempfile::TempDir;

use crate::fault::{FAULTS, Fault, Plan};
use crate::pack::{archive, gzip, jar};
use crate::registry::Registry;
use crate::run::{Run, run_beside};
use crate::world::World;
use crate::{Mode, failed_case, shown, side_by_side};

/// A command, and the requests to the registry that it makes without a fault. In its words `{registry}` is the registry's
/// address and `{jar}` a jar.
pub struct Command {
    arguments: &'static [&'static str],
    requests: usize,
    registry: Kind,
}

/// How a registry behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It takes layers of the base from the base's repository.
    Mounts,
    /// It asks for a login, and mounts nothing.
    Strict,
}

const CLASS: &[u8] = &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 55];
const BUILD: &[&str] = &[
    "image",
    "build",
    "--base={registry}/flink:2.3.0",
    "--jar={jar}",
    "--push={registry}/team/app:1",
    "--registry-config={login}",
];

pub const COMMANDS: &[Command] = &[
    Command {
        arguments: BUILD,
        requests: 14,
        registry: Kind::Mounts,
    },
    Command {
        arguments: BUILD,
        requests: 23,
        registry: Kind::Strict,
    },
    Command {
        arguments: &["image", "inspect", "{registry}/flink:2.3.0", "-o=json"],
        requests: 4,
        registry: Kind::Mounts,
    },
    Command {
        arguments: &[
            "create",
            "demo",
            "--no-wait",
            "--image={registry}/flink:2.3.0",
            "--jar={jar}",
            "--push-to={registry}/team/app:1",
        ],
        requests: 14,
        registry: Kind::Mounts,
    },
];

/// A registry with a base, a world, and the files that a command names.
struct Scene {
    command: &'static Command,
    behind: Registry,
    world: Arc<Mutex<World>>,
    files: TempDir,
    /// An image has the name of what it is built on in it, so that all runs are made at one address.
    port: Cell<u16>,
}

impl Command {
    fn name(&self) -> String {
        format!("{:?} registry: {}", self.registry, self.arguments.join(" "))
    }
}

impl Scene {
    fn new(command: &'static Command) -> Self {
        let behind = Registry::start();
        let jar = jar(CLASS, &[("more", &vec![7; 100_000])]);
        let layer = |name: &str| gzip(&archive(&format!("opt/flink/usrlib/{name}.jar"), &jar));
        behind.base("flink", "2.3.0", "amd64", &[layer("one"), layer("two")]);
        if command.registry == Kind::Strict {
            behind.no_mounts();
            behind.ask_for("Bearer");
        }
        let files = TempDir::new().unwrap();
        std::fs::write(files.path().join("app.jar"), &jar).unwrap();
        Self {
            command,
            behind,
            world: Arc::default(),
            files,
            port: Cell::new(0),
        }
    }

    /// Runs the command, and gives how many requests it made to the registry.
    fn run(&self, at: usize, fault: Option<Fault>) -> (Run, usize) {
        let plan = Arc::new(Plan {
            at,
            fault,
            ..Plan::default()
        });
        let front = self.behind.behind(plan.clone(), self.port.get());
        self.port.set(front.port());
        let login = self.files.path().join("login.json");
        // tester:s3cret
        let known = format!(
            r#"{{"auths": {{"{}": {{"auth": "dGVzdGVyOnMzY3JldA=="}}}}}}"#,
            front.host()
        );
        std::fs::write(&login, known).unwrap();
        let jar = self.files.path().join("app.jar");
        let words: Vec<String> = self
            .command
            .arguments
            .iter()
            .map(|word| {
                word.replace("{registry}", &front.host())
                    .replace("{jar}", &jar.to_string_lossy())
                    .replace("{login}", &login.to_string_lossy())
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = run_beside(&self.world, &words, &plan);
        let count = front.count();
        for text in [&mut run.stdout, &mut run.stderr] {
            *text = text.replace(&front.host(), "registry.test");
        }
        run.requests = self.behind.log();
        (run, count)
    }

    /// Whether there is an image under the name that is pushed to; half of one is an error.
    fn pushed(&self) -> Result<bool, String> {
        let Some(manifest) = self.behind.manifest("team/app", "1") else {
            return Ok(false);
        };
        let layers = manifest["layers"].as_array().into_iter().flatten();
        for part in layers.chain([&manifest["config"]]) {
            let digest = part["digest"].as_str().unwrap_or_default();
            let there = self.behind.has("team/app", digest);
            if there.is_none_or(|bytes| Digest::of(&bytes).as_str() != digest) {
                return Err(format!("the image has no {digest}"));
            }
        }
        Ok(true)
    }

    /// Whether all that the command is for has been done.
    fn done(&self, run: &Run, plain: &str) -> Result<(), String> {
        if self.command.arguments.contains(&"inspect") {
            let same = run.stdout == plain;
            return same.then_some(()).ok_or(format!("without a fault it says {plain}"));
        }
        if !self.pushed()? {
            return Err("nothing is pushed".to_owned());
        }
        let manifest = self.behind.manifest("team/app", "1").unwrap_or_default();
        let digest = Digest::of(manifest.to_string().as_bytes()).to_string();
        if self.command.arguments[0] != "create" {
            let printed = run.stdout.trim() == format!("registry.test/team/app@{digest}");
            return printed.then_some(()).ok_or(format!("it does not print {digest}"));
        }
        let world = self.world.lock().unwrap();
        let job = world.objects.get("/apis/batch/v1/namespaces/default/jobs/demo-master");
        let image = job.map(|job| job["spec"]["template"]["spec"]["containers"][0]["image"].to_string());
        if image.is_some_and(|image| image.contains(&digest)) {
            Ok(())
        } else {
            Err("the cluster has not the image that was pushed".to_owned())
        }
    }
}

pub fn names() -> impl Iterator<Item = String> {
    COMMANDS.iter().map(Command::name)
}

/// Tries all commands whose name is `wanted`, and gives the number of cases and what failed.
pub fn try_all(wanted: &(dyn Fn(&str) -> bool + Sync), mode: Mode) -> (usize, Vec<String>) {
    let (failures, cases) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let commands = COMMANDS
        .iter()
        .enumerate()
        .filter(|(_, command)| wanted(&command.name()));
    let commands: Vec<_> = commands.collect();
    let plain = commands.len();
    side_by_side(commands, |(turn, command)| {
        let scene = Scene::new(command);
        let (run, count) = scene.run(0, None);
        let judged = match run.code {
            Some(0) if count != command.requests => Err(format!("{count} requests, and not {}", command.requests)),
            Some(0) => scene.done(&run, &run.stdout),
            _ => Err("it fails without a fault".to_owned()),
        };
        if let Err(text) = judged {
            let text = format!("{}: {text}\n{}", command.name(), shown(&run));
            failures.lock().unwrap().push(text);
        }
        let mut cases = cases.lock().unwrap();
        for at in 1..=count {
            for (number, fault) in FAULTS.into_iter().chain([Fault::Flood]).enumerate() {
                let tried = match mode {
                    Mode::All => true,
                    Mode::Few => number % 20 == (turn + at) % 20,
                    Mode::Sample => number % 5 == (turn + at) % 5,
                    Mode::None => false,
                };
                // The limit of an answer is minutes: whole layers are checked in that time.
                if tried && fault != Fault::Silence {
                    cases.push((command, at, fault, run.stdout.clone()));
                }
            }
        }
    });
    let cases = cases.into_inner().unwrap();
    let total = plain + cases.len();
    side_by_side(cases, |(command, at, fault, plain)| {
        if let Err(text) = try_case(command, at, fault, &plain) {
            failures.lock().unwrap().push(text);
        }
    });
    (total, failures.into_inner().unwrap())
}

fn try_case(command: &'static Command, at: usize, fault: Fault, plain: &str) -> Result<(), String> {
    let scene = Scene::new(command);
    let (first, _) = scene.run(at, Some(fault));
    let half = scene.pushed();
    let (again, _) = scene.run(0, None);
    let judge = || {
        crate::ends_as_documented(command.arguments[0], &first, fault)?;
        half?;
        if first.code == Some(0) {
            scene.done(&first, plain)?;
        }
        if again.code != Some(0) {
            return Err("the repetition does not converge".to_owned());
        }
        scene.done(&again, plain)?;
        match scene.world.lock().unwrap().violations.first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    };
    judge().map_err(|text| failed_case(&command.name(), at, fault, &text, [&first, &again]))
}
