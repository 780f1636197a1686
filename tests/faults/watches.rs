//! Watches whose version has expired. An object that was deleted meanwhile is missing from the new list, and no event
//! reports its deletion. Every command that waits ends as it does when it sees the deletion.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::fault::Plan;
use crate::given::Given;
use crate::run::{Run, run, with_plan};
use crate::world::World;
use crate::{Mode, Worlds, shown, side_by_side};

/// How long a command may take that has nothing left to wait for: a few pauses before a watch is opened again.
const LIMIT: Duration = Duration::from_secs(15);
/// How long one may take for which a change has to come to its end.
const CHANGED: Duration = Duration::from_secs(60);
/// Requests after which a command that polls has seen what there is.
const POLLED: usize = 8;
/// Time after which a command is ended that watches for ever.
const WATCHED: Duration = Duration::from_secs(5);

struct Wait {
    given: Given,
    arguments: &'static [&'static str],
    meanwhile: Meanwhile,
    end: End,
}

/// What happens while the command waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// Nothing but what it does itself.
    Nothing,
    /// This command runs beside it.
    Runs(&'static [&'static str]),
    /// Another client deletes all objects of the cluster. Until then no Pod starts.
    IsDeleted,
}

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Code(i32),
    /// With an error: not found, or that the job cannot come up.
    Fails,
    /// It does not end; the last line that it prints has this text.
    Prints(&'static str),
}

const fn wait(given: Given, arguments: &'static [&'static str], meanwhile: Meanwhile, end: End) -> Wait {
    Wait {
        given,
        arguments,
        meanwhile,
        end,
    }
}

const RESTART: Meanwhile = Meanwhile::Runs(&["restart", "demo"]);
const DELETE: Meanwhile = Meanwhile::Runs(&["delete", "demo", "--yes", "--cancel"]);

const WAITS: &[Wait] = &[
    wait(
        Given::Running,
        &["wait", "demo", "--for", "deleted"],
        DELETE,
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "stopped"],
        DELETE,
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "finished"],
        DELETE,
        End::Fails,
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "suspended"],
        DELETE,
        End::Fails,
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "finished"],
        Meanwhile::Runs(&["stop", "demo"]),
        End::Code(0),
    ),
    wait(
        Given::Nothing,
        &["run", "demo", "--image", "flink:2.3.0"],
        DELETE,
        End::Fails,
    ),
    wait(
        Given::Nothing,
        &["run", "demo", "--image", "batch:2.3.0"],
        Meanwhile::Nothing,
        End::Code(0),
    ),
    wait(
        Given::Nothing,
        &["create", "demo", "--image", "flink:2.3.0"],
        Meanwhile::Nothing,
        End::Code(0),
    ),
    wait(
        Given::Nothing,
        &["create", "demo", "--image", "flink:2.3.0"],
        Meanwhile::IsDeleted,
        End::Fails,
    ),
    wait(
        Given::Suspended,
        &["wait", "demo", "--for", "running"],
        Meanwhile::IsDeleted,
        End::Fails,
    ),
    wait(
        Given::Running,
        &["upgrade", "demo", "--env", "A=2"],
        Meanwhile::Nothing,
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["savepoint-resume", "demo"],
        Meanwhile::Nothing,
        End::Code(0),
    ),
    wait(Given::Running, &["stop", "demo"], Meanwhile::Nothing, End::Code(0)),
    wait(Given::Running, &["suspend", "demo"], Meanwhile::Nothing, End::Code(0)),
    wait(
        Given::Running,
        &["delete", "demo", "--yes", "--savepoint"],
        Meanwhile::Nothing,
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["delete", "demo", "--yes", "--cancel"],
        Meanwhile::Nothing,
        End::Code(0),
    ),
    wait(Given::Running, &["list", "--watch"], DELETE, End::Prints("Deleted")),
    // Another user's upgrade ends a job, and starts another one.
    wait(
        Given::Running,
        &["wait", "demo", "--for", "taskmanagers=2"],
        Meanwhile::Runs(&["upgrade", "demo", "-p", "2"]),
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "checkpoint"],
        RESTART,
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "savepoint"],
        RESTART,
        End::Code(0),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "checkpoint"],
        Meanwhile::Runs(&["stop", "demo"]),
        End::Code(6),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "taskmanagers=2"],
        Meanwhile::Runs(&["stop", "demo"]),
        End::Code(6),
    ),
    wait(
        Given::Running,
        &["wait", "demo", "--for", "taskmanagers=2"],
        DELETE,
        End::Code(3),
    ),
];

impl Wait {
    fn name(&self) -> String {
        let meanwhile = match self.meanwhile {
            Meanwhile::Nothing => String::new(),
            Meanwhile::Runs(words) => format!(" while {} runs", words.join(" ")),
            Meanwhile::IsDeleted => " while it is deleted".to_owned(),
        };
        format!("watches: {:?}: {}{meanwhile}", self.given, self.arguments.join(" "))
    }

    /// Whether it only asks Flink, again and again.
    fn polls(&self) -> bool {
        let goals = ["checkpoint", "savepoint", "taskmanagers=2"];
        self.arguments.last().is_some_and(|goal| goals.contains(goal))
    }
}

pub fn names() -> impl Iterator<Item = String> {
    WAITS.iter().map(Wait::name)
}

/// Tries all waits whose name is `wanted`, and gives the number of cases and what failed.
pub fn try_all(worlds: &Worlds, wanted: &(dyn Fn(&str) -> bool + Sync), mode: Mode) -> (usize, Vec<String>) {
    let waits: Vec<&Wait> = WAITS
        .iter()
        .filter(|wait| mode != Mode::None && wanted(&wait.name()))
        .collect();
    let (total, failures) = (waits.len(), Mutex::new(Vec::new()));
    side_by_side(waits, |wait| {
        let run = try_wait(wait, &worlds[&wait.given]);
        if let Err(text) = judge(wait, &run) {
            let text = format!("{}: {text}\n{}", wait.name(), shown(&run));
            failures.lock().unwrap().push(text);
        }
    });
    (total, failures.into_inner().unwrap())
}

fn try_wait(wait: &Wait, given: &World) -> Run {
    let world = Arc::new(Mutex::new(given.clone()));
    world.lock().unwrap().full = wait.meanwhile == Meanwhile::IsDeleted;
    let endless = matches!(wait.end, End::Prints(_));
    let plan = Arc::new(Plan {
        hides_deletions: true,
        limit: Some(match () {
            () if endless => WATCHED,
            () if wait.polls() => CHANGED,
            () => LIMIT,
        }),
        ..Plan::default()
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| with_plan(&world, wait.arguments, &plan));
        let begun = Instant::now();
        let polls = || wait.polls() && plan.requests.load(Ordering::SeqCst) >= POLLED;
        let waits = || plan.watches.load(Ordering::SeqCst) >= 2 || polls();
        while wait.meanwhile != Meanwhile::Nothing && !waits() && begun.elapsed() < LIMIT && !waiting.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Until all watches are open, and it has seen what there is.
        std::thread::sleep(Duration::from_millis(300));
        match wait.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Runs(words) => drop(run(&world, words, 0, None)),
            Meanwhile::IsDeleted => {
                let mut world = world.lock().unwrap();
                let objects = world
                    .objects
                    .keys()
                    .filter(|path| path.contains("/demo-") && !path.contains("-history"));
                let objects: Vec<String> = objects.cloned().collect();
                for path in &objects {
                    world.remove(path);
                }
            }
        }
        waiting.join().unwrap()
    })
}

fn judge(wait: &Wait, run: &Run) -> Result<(), String> {
    let last = run.stdout.lines().last().unwrap_or_default();
    match (wait.end, run.code) {
        (End::Prints(text), _) if last.contains(text) => Ok(()),
        (End::Prints(text), _) => Err(format!("its last line does not say {text}")),
        (_, None) => Err("it waits for what is gone".to_owned()),
        (End::Code(code), Some(is)) if code == is => Ok(()),
        (End::Fails, Some(3 | 6)) => Ok(()),
        (_, Some(code)) => Err(format!("exit code {code}")),
    }
}
