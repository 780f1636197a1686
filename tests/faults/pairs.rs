//! Two clients at one cluster. The first is held at one of its requests, the second runs to one of its own or to its end,
//! then the first continues to its end, then the second.
//!
//! The world at the end is that of one order of the two commands, or of one of them alone where the other was refused:
//! with exit code 8, and without any change. What was refused and is repeated does what it does after the other one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::commands::{COMMANDS, Requests};
use crate::compare::{Depth, View, at_rest, becomes};
use crate::fault::{Fault, Plan};
use crate::gate::Gate;
use crate::given::{CREATE, Given};
use crate::run::{Run, run, with_plan};
use crate::world::World;
use crate::{Mode, Worlds, beside, ends_as_documented, keeps_savepoints, shown, side_by_side};

/// Pairs of requests that are tried with two commands in one order.
const SAMPLE: usize = 3;
/// How long one client is held for the other: one that waits for what the first has still to do must not wait for ever.
const HELD: Duration = Duration::from_secs(3);
/// Exit code of a command that is refused since another one changes the cluster, or has changed it.
const REFUSED: i32 = 8;

type Arguments = &'static [&'static str];

pub struct Pair {
    given: Given,
    commands: [Arguments; 2],
}

const fn pair(given: Given, first: Arguments, second: Arguments) -> Pair {
    Pair {
        given,
        commands: [first, second],
    }
}

const UPGRADE: Arguments = &["upgrade", "demo", "--env", "A=2"];
const RESUME: Arguments = &["savepoint-resume", "demo", "--no-wait"];

pub const PAIRS: &[Pair] = &[
    pair(Given::Running, UPGRADE, &["upgrade", "demo", "--env", "B=3"]),
    pair(Given::Running, UPGRADE, UPGRADE),
    pair(Given::Running, UPGRADE, &["stop", "demo"]),
    pair(Given::Running, UPGRADE, &["suspend", "demo"]),
    pair(Given::Running, UPGRADE, &["cancel", "demo", "--yes"]),
    pair(Given::Running, UPGRADE, &["prune", "--yes"]),
    pair(Given::Running, UPGRADE, &["edit", "demo"]),
    pair(Given::Running, UPGRADE, &["set", "parallelism", "demo", "2"]),
    pair(Given::Running, UPGRADE, &["restart", "demo"]),
    pair(Given::Running, UPGRADE, &["scale", "demo", "-p", "2"]),
    pair(Given::Adaptive, UPGRADE, &["scale", "demo", "-p", "3"]),
    pair(Given::Changed, &["rollback", "demo"], UPGRADE),
    pair(Given::Running, UPGRADE, &["delete", "demo", "--yes", "--savepoint"]),
    pair(
        Given::Running,
        UPGRADE,
        &["delete", "demo", "--yes", "--cancel", "--purge"],
    ),
    pair(Given::Running, RESUME, RESUME),
    pair(Given::Running, RESUME, &["delete", "demo", "--yes", "--savepoint"]),
    pair(Given::Stopped, RESUME, RESUME),
    pair(Given::Stopped, RESUME, &["delete", "demo", "--yes"]),
    pair(Given::Stopped, RESUME, &["prune", "--yes"]),
    pair(
        Given::Suspended,
        &["resume", "demo", "--no-wait"],
        &["resume", "demo", "--no-wait"],
    ),
    pair(Given::Running, &["stop", "demo"], &["stop", "demo"]),
    pair(
        Given::Running,
        &["stop", "demo"],
        &["delete", "demo", "--yes", "--cancel"],
    ),
    pair(Given::Nothing, CREATE, CREATE),
    pair(
        Given::Nothing,
        CREATE,
        &["create", "demo", "--image", "flink:2.3.0", "--no-wait", "-p", "2"],
    ),
    pair(Given::Deleted, RESUME, RESUME),
    pair(Given::Failed, CREATE, CREATE),
    pair(Given::Failed, CREATE, &["delete", "demo", "--yes"]),
];

/// One order of two commands, and what each of them does without the other.
struct Order {
    given: Given,
    commands: [Arguments; 2],
    /// Requests that each makes alone.
    requests: [usize; 2],
    /// Exit codes and world where only the first runs, only the second, the first and then the second, and the other way.
    outcomes: [Outcome; 4],
    /// What a command does on purpose when it runs after the other one, such as to start with less than was canceled.
    meant: Vec<String>,
}

#[derive(Clone)]
struct Outcome {
    codes: [Option<i32>; 2],
    view: View,
}

/// A pair of requests: the first client is held at its own; the second as well, or runs to its end.
struct Case<'a> {
    order: &'a Order,
    first: usize,
    second: Option<usize>,
}

impl Pair {
    fn name(&self) -> String {
        let [first, second] = self.commands.map(|words| words.join(" "));
        format!("{:?}: {first} | {second}", self.given)
    }
}

/// Whether a filter names one of the pairs.
pub fn names() -> impl Iterator<Item = String> {
    PAIRS.iter().map(Pair::name)
}

/// Tries all pairs whose name is `wanted`, and gives the number of cases and what failed.
pub fn try_all(worlds: &Worlds, wanted: &(dyn Fn(&str) -> bool + Sync), mode: Mode) -> (usize, Vec<String>) {
    let (failures, orders) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let pairs = PAIRS.iter().enumerate().filter(|(_, pair)| wanted(&pair.name()));
    side_by_side(pairs.collect(), |(turn, pair)| {
        let (order, turned) = measure(pair, &worlds[&pair.given]);
        let mut orders = orders.lock().unwrap();
        if pair.commands[0] != pair.commands[1] {
            orders.push((turn, turned));
        }
        orders.push((turn, order));
    });
    let orders = orders.into_inner().unwrap();
    let cases: Vec<Case> = orders
        .iter()
        .flat_map(|(turn, order)| cases_of(order, *turn, mode))
        .collect();
    let total = cases.len();
    side_by_side(cases, |case| {
        if let Err(text) = try_case(&case, &worlds[&case.order.given]) {
            failures.lock().unwrap().push(text);
        }
    });
    (total, failures.into_inner().unwrap())
}

/// Runs the commands of a pair alone and one after the other; gives both orders.
fn measure(pair: &Pair, given: &World) -> (Order, Order) {
    let [a, b] = pair.commands;
    let mut meant = Vec::new();
    let mut sequence = |words: [Arguments; 2]| {
        let world = Arc::new(Mutex::new(given.clone()));
        let runs = words.map(|words| (run(&world, words, 0, None), at_rest(&world, Depth::All)));
        meant.append(&mut world.lock().unwrap().violations);
        runs
    };
    let [(a_alone, a_view), (b_after, ab_view)] = sequence([a, b]);
    let [(b_alone, b_view), (a_after, ba_view)] = sequence([b, a]);
    let outcome = |codes, view: &View| Outcome {
        codes,
        view: view.clone(),
    };
    let refused = Some(REFUSED);
    let order = Order {
        given: pair.given,
        commands: [a, b],
        requests: [requests(pair.given, a, &a_alone), requests(pair.given, b, &b_alone)],
        outcomes: [
            outcome([a_alone.code, refused], &a_view),
            outcome([refused, b_alone.code], &b_view),
            outcome([a_alone.code, b_after.code], &ab_view),
            outcome([a_after.code, b_alone.code], &ba_view),
        ],
        meant,
    };
    let turned = Order {
        given: pair.given,
        commands: [b, a],
        requests: [order.requests[1], order.requests[0]],
        outcomes: [1, 0, 3, 2].map(|at| {
            let Outcome { codes: [a, b], view } = &order.outcomes[at];
            outcome([*b, *a], view)
        }),
        meant: order.meant.clone(),
    };
    (order, turned)
}

/// Requests at which a command is held: not those that only repeat while it waits.
fn requests(given: Given, words: Arguments, alone: &Run) -> usize {
    let known = COMMANDS
        .iter()
        .find(|command| command.given == given && command.arguments == words);
    match known.map(|command| command.requests) {
        Some(Requests::Polls { most, .. }) => most.min(alone.requests.len()),
        _ => alone.requests.len().min(42),
    }
}

fn cases_of(order: &Order, turn: usize, mode: Mode) -> Vec<Case<'_>> {
    let [first, second] = order.requests;
    let every = (1..=first).flat_map(|i| (1..=second + 1).map(move |j| (i, (j <= second).then_some(j))));
    let all: Vec<_> = every.map(|(first, second)| Case { order, first, second }).collect();
    let sample = match mode {
        Mode::All => return all,
        Mode::None => return Vec::new(),
        Mode::Few => 2,
        Mode::Sample => SAMPLE,
    };
    // Half of them let the second client run to its end. The golden ratio spreads over a range what counts up.
    let spread = |count: usize, range: usize| 1 + (count * 618_033_989 / 1000) % 1_000_000 * range / 1_000_000;
    (0..sample)
        .map(|at| Case {
            order,
            first: spread(turn * sample + at, first),
            second: (at % 2 == 1).then(|| spread(turn * sample + at * 7 + 3, second)),
        })
        .collect()
}

fn try_case(case: &Case, given: &World) -> Result<(), String> {
    let world = Arc::new(Mutex::new(given.clone()));
    let order = case.order;
    let [first, second] = beside_each_other(&world, case);
    let codes = [first.code, second.code];
    let judge = || {
        ends_as_documented(order.commands[0][0], &first, Fault::Status(409))?;
        ends_as_documented(order.commands[1][0], &second, Fault::Status(409))?;
        violations(&world, case, given)?;
        let expected: Vec<&View> = order
            .outcomes
            .iter()
            .filter(|outcome| outcome.codes == codes)
            .map(|outcome| &outcome.view)
            .collect();
        if expected.is_empty() {
            return Err(format!("exit codes {codes:?}, which no order of the two gives"));
        }
        becomes(&world, Depth::All, &expected).map_err(|text| format!("the world is not that of any order: {text}"))?;
        Ok(())
    };
    let outcome = judge().and_then(|()| match codes {
        [Some(0), Some(REFUSED)] => repeat(
            &world,
            order.commands[1],
            order.outcomes[2].codes[1],
            &order.outcomes[2],
        ),
        [Some(REFUSED), Some(0)] => repeat(
            &world,
            order.commands[0],
            order.outcomes[3].codes[0],
            &order.outcomes[3],
        ),
        _ => Ok(()),
    });
    outcome.and_then(|()| violations(&world, case, given)).map_err(|text| {
        let [a, b] = order.commands.map(|words| words.join(" "));
        let until = case.second.map_or("its end".to_owned(), |at| format!("request {at}"));
        format!(
            "{:?}: {a} (held at request {}) | {b} (to {until}): {text}\n--- {a}\n{}--- {b}\n{}",
            order.given,
            case.first,
            shown(&first),
            shown(&second)
        )
    })
}

/// Runs both commands, each held where the case says.
fn beside_each_other(world: &Arc<Mutex<World>>, case: &Case) -> [Run; 2] {
    let gates = [case.first, case.second.unwrap_or(usize::MAX)].map(|at| Arc::new(Gate::new(at)));
    let [first, second] = &gates;
    std::thread::scope(|scope| {
        let start = |number: usize| {
            let plan = Arc::new(Plan {
                gate: Some(Arc::clone(&gates[number])),
                ..Plan::default()
            });
            let gate = Arc::clone(&gates[number]);
            scope.spawn(move || {
                let run = with_plan(world, case.order.commands[number], &plan);
                gate.end();
                run
            })
        };
        let one = start(0);
        first.until_reached(HELD);
        let other = start(1);
        second.until_reached(HELD);
        first.open();
        if !first.until_ended(HELD) {
            second.open();
        }
        let one = one.join().unwrap();
        second.open();
        [one, other.join().unwrap()]
    })
}

/// What must hold whatever the exit codes are.
fn violations(world: &Mutex<World>, case: &Case, given: &World) -> Result<(), String> {
    let world = world.lock().unwrap();
    if let Some(violation) = world.violations.iter().find(|text| !case.order.meant.contains(text)) {
        return Err(violation.clone());
    }
    if !case.order.commands.iter().any(|words| words.contains(&"--purge")) {
        keeps_savepoints(&world)?;
    }
    beside(&world, given)
}

/// Repeats a command that was refused: what it does then is what it does after the other one.
fn repeat(world: &Arc<Mutex<World>>, words: Arguments, code: Option<i32>, expected: &Outcome) -> Result<(), String> {
    let again = run(world, words, 0, None);
    if again.code != code {
        return Err(format!(
            "the repetition of what was refused ends otherwise:\n{}",
            shown(&again)
        ));
    }
    becomes(world, Depth::All, &[&expected.view]).map_err(|text| {
        format!(
            "the repetition of what was refused makes another world: {text}\n{}",
            shown(&again)
        )
    })
}
