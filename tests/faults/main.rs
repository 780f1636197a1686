//! What goes wrong between the program and the API server, at every request of every command.
//!
//! A Kubernetes and a Flink in memory carry out what the real binary asks. The nth request is refused, cut, not answered,
//! answered with a fault, half an answer or garbage, or the program is killed there, before the request is carried out
//! or after it. Then the command is repeated without a fault. It must hold that
//!
//! - the faulty run ends by itself, and succeeds or prints one error with an exit code of its own;
//! - a connection that is cut once ends nothing that may be repeated;
//! - the repetition converges;
//! - every savepoint that was written is in the history;
//! - no job starts with less than its predecessor did, and no second JobManager beside the first;
//! - nothing is deleted that was not shown, and a cluster beside it is left alone;
//! - the world is the one that a run without a fault leaves, but for uids, versions, times and IDs ([`compare`]).
//!
//! By default a part of the faults is tried at each request, another at each, so that every fault meets every command.
//! Without a fault each command makes no more requests than it is known to make, and none that docs/rbac.yaml does not
//! allow. No secret is ever printed, not even with `-vv`. Answers that are nested too deeply, that do not end, or whose
//! texts would do something to a terminal, are faults too.
//!
//! - Two commands run beside each other, each held at one of its requests ([`pairs`]).
//! - A command runs beside one that is about to stop the job, and is killed then ([`killed`]).
//! - A watch ends since the server has its version no more, and what was deleted is missing from the new list ([`watches`]).
//! - A command lacks one of its rights ([`denied`]).
//! - What is printed for programs has the documented shape ([`results`]).
//! - What people see of a change on a terminal is a checklist ([`checklist`]).
//! - What speaks to a registry of images meets the same faults there ([`images`]).
//!
//! The in-memory API server does not have everything: lists that server-side apply merges by a key are replaced as a
//! whole, and conflicts between field managers do not occur, since the program forces them; admission, quotas,
//! defaults, `status` as a subresource, finalizers and pages of lists are left to the test cluster (tests/e2e). A deleted
//! object goes at once; only Pods take time. Access reviews say no to what [`world::World::denied`] has.
//!
//! `FAULTS=all` tries all of them, `FAULTS=sample` this part, as continuous integration does. Without it the tests of a
//! change stay short: one case in twelve of each command, or the whole part where an argument names commands.
//! `FAULTS=none` counts requests only; any other value is an error. An argument is a part of the name of the cases to run,
//! and one that no name has is an error.

// The harness is test code too, and it may panic: `allow-unwrap-in-tests` knows only the functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[cfg(target_os = "linux")]
mod checklist;
mod commands;
mod compare;
mod denied;
#[path = "../schema/mod.rs"]
#[allow(dead_code)]
mod documents;
mod ends;
mod fault;
mod gate;
mod given;
mod hostile;
mod images;
mod judge;
mod killed;
#[path = "../cli/pack.rs"]
mod pack;
mod pairs;
mod parallel;
#[path = "../cli/registry/mod.rs"]
#[allow(dead_code)]
mod registry;
mod results;
mod rights;
mod run;
mod server;
#[cfg(target_os = "linux")]
#[path = "../terminal/mod.rs"]
#[allow(dead_code)]
mod terminal;
mod watches;
#[path = "../world/mod.rs"]
#[allow(dead_code)]
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use commands::{COMMANDS, Command, Requests, Then, polls};
use compare::{Depth, View, at_rest, becomes};
use fault::{FAULTS, Fault};
use given::{GIVEN, Given, KEPT, LAST_CHECKPOINT};
use judge::{beside, deleted_only_what_was_shown, ends_as_documented, is_cut, is_repeated, keeps_savepoints};
use parallel::side_by_side;
use run::{Run, run};
use world::World;

/// Faults that are tried at each request where not all are: one of the first two where something is changed, and so many
/// others, all in turn. All take minutes.
const SAMPLE: usize = 1;
/// Of so many cases of the sample one is tried where few are.
const FEW: usize = 12;

/// The worlds that commands are given.
type Worlds = BTreeMap<Given, World>;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Some cases of the sample, for the tests of a change.
    Few,
    Sample,
    All,
    /// Runs without a fault only.
    None,
}

/// Failures that are shown as a whole.
const SHOWN: usize = 40;

struct Case {
    command: &'static Command,
    at: usize,
    fault: Fault,
    /// The world after a run without a fault.
    expected: Arc<View>,
}

/// The number of cases of a part, and what failed.
type Tried = (usize, Vec<String>);

fn main() -> ExitCode {
    let begun = Instant::now();
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mode = match std::env::var("FAULTS").unwrap_or_default().as_str() {
        "" if filters.is_empty() => Mode::Few,
        "" | "sample" => Mode::Sample,
        "all" => Mode::All,
        "none" => Mode::None,
        other => {
            println!("FAULTS is all, sample, none or nothing, and not {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let commands = COMMANDS.iter().map(Command::name);
    let names = commands
        .chain(killed::names())
        .chain(images::names())
        .chain(pairs::names())
        .chain(results::names())
        .chain(watches::names());
    #[cfg(target_os = "linux")]
    let names = names.chain(checklist::names());
    let names: Vec<String> = names.collect();
    if let Some(filter) = filters
        .iter()
        .find(|filter| !names.iter().any(|name| name.contains(filter.as_str())))
    {
        println!(
            "no case has {filter:?} in its name; the names are\n{}",
            names.join("\n")
        );
        return ExitCode::FAILURE;
    }
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let worlds = made();
    // What waits longest begins first.
    let parts: &[&(dyn Fn() -> Tried + Sync)] = &[
        &|| watches::try_all(&worlds, &wanted, mode),
        &|| killed::try_all(&worlds, &wanted, mode),
        &|| try_commands(&worlds, &wanted, mode),
        &|| results::try_all(&worlds, &wanted),
        &|| pairs::try_all(&worlds, &wanted, mode),
        &|| images::try_all(&wanted, mode),
        #[cfg(target_os = "linux")]
        &|| checklist::try_all(&worlds, &wanted),
    ];
    let tried: Vec<Tried> = std::thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(part)).collect();
        running.into_iter().map(|part| part.join().unwrap()).collect()
    });
    let total: usize = tried.iter().map(|(number, _)| number).sum();
    let failures: Vec<String> = tried.into_iter().flat_map(|(_, failures)| failures).collect();
    for (number, failure) in failures.iter().enumerate() {
        match failure.split_once('\n') {
            Some((first, _)) if number >= SHOWN => println!("{first}"),
            _ => println!("{failure}\n"),
        }
    }
    let outcome = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "test result: {outcome}. {} passed; {} failed; faults at every request of {} commands, two clients with {} pairs \
         of commands; finished in {:.1}s",
        total.saturating_sub(failures.len()),
        failures.len(),
        COMMANDS.len() + images::COMMANDS.len(),
        pairs::PAIRS.len(),
        begun.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Tries the faults at each request of all commands whose name is `wanted`, and gives the number of cases and what failed.
fn try_commands(worlds: &Worlds, wanted: &(dyn Fn(&str) -> bool + Sync), mode: Mode) -> (usize, Vec<String>) {
    let (failures, tried_plain, cases) = (Mutex::new(Vec::new()), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let denied = Mutex::new(Vec::new());
    let commands = COMMANDS
        .iter()
        .enumerate()
        .filter(|(_, command)| wanted(&command.name()));
    side_by_side(commands.collect(), |(turn, command)| {
        let given = &worlds[&command.given];
        let world = Arc::new(Mutex::new(given.clone()));
        let plain = run(&world, command.arguments, 0, None);
        let (tried, mut bad) = hostile::try_command(command, given);
        let expected = Arc::new(at_rest(&world, Depth::Outcome));
        until_done(command, &world, given);
        if let Err(text) = fault_free(command, &plain, &world.lock().unwrap(), given) {
            bad.push(format!("{}: {text}\n{}", command.name(), shown(&plain)));
        }
        tried_plain.fetch_add(tried + 1, Ordering::SeqCst);
        failures.lock().unwrap().append(&mut bad);
        if mode != Mode::None {
            let more = cases_of(command, turn, &plain, mode == Mode::All, &expected);
            cases.lock().unwrap().extend(few(more, turn, mode));
            let more = denied::cases_of(command, turn, &plain, mode, &expected);
            denied.lock().unwrap().extend(few(more, turn, mode));
        }
    });
    let mut cases = cases.into_inner().unwrap();
    // The long ones come first.
    cases.sort_by_key(|case| (case.fault != Fault::Flood, case.command.then == Then::Unchanged));
    let denied = denied.into_inner().unwrap();
    let total = cases.len() + denied.len() + tried_plain.into_inner();
    let judge = |outcome: Result<(), String>| failures.lock().unwrap().extend(outcome.err());
    std::thread::scope(|scope| {
        scope.spawn(|| side_by_side(cases, |case| judge(try_case(&case, &worlds[&case.command.given]))));
        side_by_side(denied, |case| {
            judge(denied::try_case(&case, &worlds[&case.command.given]));
        });
    });
    (total, failures.into_inner().unwrap())
}

/// The cases to try of those of one sample.
fn few<T>(cases: Vec<T>, turn: usize, mode: Mode) -> impl Iterator<Item = T> {
    let tried = move |at: usize| mode != Mode::Few || (at + turn).is_multiple_of(FEW);
    cases
        .into_iter()
        .enumerate()
        .filter(move |(at, _)| tried(*at))
        .map(|(_, case)| case)
}

fn made() -> Worlds {
    let worlds = Mutex::new(BTreeMap::new());
    side_by_side(GIVEN.to_vec(), |(given, steps)| {
        let mut world = make(steps);
        if matches!(given, Given::Canceled | Given::Lost) {
            world = interrupted(world);
        }
        if given == Given::Lost {
            world.lose_jobmanager();
        }
        if given == Given::ByHand {
            world.forget_plugin();
        }
        worlds.lock().unwrap().insert(given, world);
    });
    worlds.into_inner().unwrap()
}

/// The faults that are tried with a command, of which `plain` is a run without any.
fn cases_of(command: &'static Command, turn: usize, plain: &Run, everything: bool, expected: &Arc<View>) -> Vec<Case> {
    let mut cases = Vec::new();
    let case = |at, fault| Case {
        command,
        at,
        fault,
        expected: Arc::clone(expected),
    };
    let last = match command.requests {
        Requests::Exactly(number) => number,
        Requests::Polls { most, .. } => plain.requests.len().min(most),
    };
    if everything || command.arguments.len() == 1 || command.arguments[1] == "list" {
        // A log has no end that is known, and continues to the output.
        let log = |request: &String| request.contains("/log?");
        let ends = plain.requests.iter().take(last).position(log).unwrap_or(last);
        cases.extend((1..=ends).map(|at| case(at, Fault::Flood)));
    }
    // A watch that is opened again shows what happened meanwhile in its new list only.
    let watches = plain
        .requests
        .iter()
        .zip(1..)
        .filter(|(request, _)| request.contains("watch=true"));
    let watches = watches.filter(|(_, at)| everything || (turn + at).is_multiple_of(2));
    cases.extend(watches.map(|(_, at)| case(at, Fault::Expired)));
    for at in 1..=last {
        // Where nothing is changed, there is no fault that matters more than others.
        let first = if command.then == Then::Unchanged { 0 } else { 2 };
        for (number, fault) in FAULTS.into_iter().enumerate() {
            let turn = turn + at;
            let tried = if number < first {
                number == turn % first
            } else {
                // Where something is changed, at every other request.
                let (is_turn, turn) = if first == 0 {
                    (true, turn)
                } else {
                    (turn.is_multiple_of(2), turn / 2)
                };
                is_turn && (number - first + turn * SAMPLE) % (FAULTS.len() - first) < SAMPLE
            };
            if everything || tried {
                cases.push(case(at, fault));
            }
        }
    }
    cases
}

/// A world in which `other` runs, and `demo` is as `steps` leave it.
fn make(steps: &[&[&str]]) -> World {
    let world = Arc::new(Mutex::new(World::default()));
    let other = ["create", "other", "--image", "flink:2.3.0", "--no-wait"];
    for step in std::iter::once(&other[..]).chain(steps.iter().copied()) {
        let run = run(&world, step, 0, None);
        assert_eq!(run.code, Some(0), "{}\n{}", step.join(" "), shown(&run));
    }
    let mut world = world.lock().unwrap().clone();
    world.deleted.clear();
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    world
}

/// The same world with a change from the last checkpoint that was killed when it had canceled the job: the JobManager has
/// the path, which was not read.
fn interrupted(world: World) -> World {
    let plain = Arc::new(Mutex::new(world.clone()));
    let cancels = run(&plain, LAST_CHECKPOINT, 0, None)
        .requests
        .iter()
        .position(|request| request.starts_with("PATCH ") && request.contains("/proxy/jobs/"));
    let world = Arc::new(Mutex::new(world));
    let killed = run(&world, LAST_CHECKPOINT, cancels.unwrap() + 1, Some(Fault::KillAfter));
    assert_eq!(killed.code, None, "{}", shown(&killed));
    let world = world.lock().unwrap().clone();
    assert!(
        world.disk.iter().any(|written| written.path == KEPT),
        "{:?}",
        world.disk
    );
    world
}

fn fault_free(command: &Command, plain: &Run, world: &World, before: &World) -> Result<(), String> {
    if plain.code != Some(command.success()) {
        return Err("it fails without a fault".to_owned());
    }
    command.done(world, before)?;
    // These ask for what may be refused, too.
    if !matches!(command.arguments[0], "doctor" | "report" | "top" | "version")
        && let Some(request) = rights::beyond_the_role(&plain.requests)
    {
        return Err(format!("it asks for what docs/rbac.yaml does not allow: {request}"));
    }
    let (counted, known) = match command.requests {
        Requests::Exactly(number) => (plain.requests.len(), number),
        Requests::Polls { fixed, .. } => (plain.requests.iter().filter(|request| !polls(request)).count(), fixed),
    };
    if counted != known {
        return Err(format!("{counted} requests, and not {known}"));
    }
    Ok(())
}

fn try_case(case: &Case, given: &World) -> Result<(), String> {
    let Case { command, at, fault, .. } = case;
    let world = Arc::new(Mutex::new(given.clone()));
    let first = run(&world, command.arguments, *at, Some(*fault));
    let mut again = run(&world, command.arguments, 0, None);
    if command.arguments[0] == "edit" && again.stderr.contains("`kubectl flink upgrade demo --continue`") {
        // During a change there is no version to edit: it is continued as the message says.
        again = run(&world, &["upgrade", "demo", "--continue"], 0, None);
    }
    until_done(command, &world, given);
    let same = becomes(&world, Depth::Outcome, &[&case.expected]);
    let world = world.lock().unwrap();
    let judge = || {
        ends_as_documented(command.arguments[0], &first, *fault)?;
        if is_cut(*fault) && is_repeated(first.requests.get(at - 1)) && first.code != Some(command.success()) {
            return Err("it ends where a connection is cut once".to_owned());
        }
        if !command.converged(&again, &world) {
            return Err("the repetition does not converge".to_owned());
        }
        command.done(&world, given)?;
        if let Some(violation) = world.violations.first() {
            return Err(violation.clone());
        }
        if command.then != Then::Purged {
            keeps_savepoints(&world)?;
        }
        deleted_only_what_was_shown(&world, command)?;
        beside(&world, given)?;
        if command.continues() && again.code == Some(3) {
            // The operation ended as the first run says, one version or the other: there is nothing to repeat.
            return Ok(());
        }
        // What went back has completed checkpoints since then, and the repetition starts from the newest.
        let is_newer = |line: &str| line.contains("file:/checkpoints/chk-");
        let same = same.or_else(|text| {
            let newer = first.code == Some(6) && text.lines().skip(1).all(is_newer);
            if newer { Ok(()) } else { Err(text) }
        });
        // Flink did not say which checkpoint its canceled job has left: the history has its last savepoint only.
        let is_unread = |line: &str| line.contains(r#"initialSavepointPath: null instead of "file:/checkpoints/"#);
        let asked_flink = first
            .requests
            .get(at - 1)
            .is_some_and(|request| request.contains("/proxy/"));
        // A JobManager that did not answer is named in what is asked before.
        let is_said = first.stderr.contains(" is lost") || *fault == Fault::Utf8;
        let gives_up = command.given == Given::Canceled && command.then == Then::Deleted;
        let same = same.or_else(|text| {
            let unread = gives_up && asked_flink && is_said && text.lines().skip(1).all(is_unread);
            if unread { Ok(()) } else { Err(text) }
        });
        same.map_err(|text| format!("the world is another one than after a run without a fault: {text}"))
    };
    judge().map_err(|text| failed_case(&command.name(), *at, *fault, &text, [&first, &again]))
}

/// What there is to see of a case that failed: the run that the fault met, and its repetition.
fn failed_case(name: &str, at: usize, fault: Fault, text: &str, runs: [&Run; 2]) -> String {
    failed(&format!("{name} / request {at} / {fault:?}: {text}"), runs)
}

fn failed(text: &str, [first, again]: [&Run; 2]) -> String {
    format!("{text}\n{}--- again\n{}", shown(first), shown(again))
}

/// Kubernetes ends by itself what was deleted, and a JobManager goes a moment after its job.
fn until_done(command: &Command, world: &Mutex<World>, given: &World) {
    let begun = Instant::now();
    while command.done(&world.lock().unwrap(), given).is_err() && begun.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(10));
        world.lock().unwrap().tick();
    }
}

fn shown(run: &Run) -> String {
    let code = run.code.map_or("none".to_owned(), |code| code.to_string());
    let requests = run
        .requests
        .iter()
        .take(40)
        .enumerate()
        .map(|(at, request)| format!("  {} {request}\n", at + 1));
    format!(
        "exit code {code}\n{}{}{}",
        run.stdout,
        run.stderr,
        requests.collect::<String>()
    )
}
