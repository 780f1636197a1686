//! What people see of a change: a checklist on terminals of three sizes, whose finished stages stay with their times, and a
//! line for each stage where nothing is drawn.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::fault::Plan;
use crate::given::Given;
use crate::run::program;
use crate::server::Server;
use crate::terminal::{self, Frame, Line, SIZES, Session};
use crate::world::World;
use crate::{Worlds, side_by_side};

/// Ctrl-C.
const INTERRUPT: &str = "\u{3}";

struct Case {
    given: Given,
    command: &'static str,
    /// What is on the terminal when Ctrl-C is pressed.
    interrupt_at: Option<&'static str>,
    code: i32,
    /// What is there at the end, in this order. A line that begins with ✔ or ✘ ends with its time, where `~` says so.
    last: &'static [&'static str],
    /// What is waited for meanwhile, in lines whose time counts.
    counts: &'static [&'static str],
}

const UPGRADE: Case = Case {
    given: Given::Running,
    command: "upgrade demo --env A=2 --surge never",
    interrupt_at: None,
    code: 0,
    last: &[
        "✔ demo: stopped with savepoint file:/savepoints/savepoint-",
        "✔ demo: the JobManager has ended ~",
        "✔ demo: job ",
        " runs, 1 task",
        "demo: without processing for ",
        " s: savepoint ",
        " s, JobManager's end ",
        " s, new objects ",
        " s, start ",
        "cluster/demo upgraded",
        "next: kubectl flink status demo",
        "next: kubectl flink logs -f demo",
    ],
    counts: &["demo: the job is paused"],
};

const CASES: &[Case] = &[
    UPGRADE,
    // The terminal is left as a program finds it: no line that is not redrawn.
    Case {
        command: "stop demo",
        interrupt_at: Some("demo: the JobManager ends"),
        code: 130,
        last: &[
            "✔ demo: stopped with savepoint file:/savepoints/savepoint-",
            "✘ demo: the JobManager ends ~",
            "error: interrupted at: demo: the JobManager ends; what was started continues",
            "hint: ",
        ],
        counts: &[],
        ..UPGRADE
    },
    // The same with two lines.
    Case {
        interrupt_at: Some("demo: the job is paused"),
        code: 130,
        last: &["error: interrupted at: demo: ", "hint: "],
        counts: &[],
        ..UPGRADE
    },
    // Why it is given up, and that it goes back, is all there.
    Case {
        command: "upgrade demo --image missing:2.3.0 --flink-version 2.3.0 --surge never",
        code: 6,
        last: &[
            "✔ demo: stopped with savepoint file:/savepoints/savepoint-",
            "✔ demo: the JobManager has ended ~",
            "✘ demo: ",
            "warning: demo: ",
            "demo: going back to the previous version",
            "✔ demo: job ",
            " runs, 1 task",
            "error: ",
            "did not come up",
        ],
        ..UPGRADE
    },
    Case {
        given: Given::Nothing,
        command: "create demo --image flink:2.3.0",
        interrupt_at: None,
        code: 0,
        last: &[
            "cluster/demo created",
            "✔ demo: job ",
            " runs, 1 task, after ",
            "next: kubectl flink",
        ],
        counts: &["demo: waiting for the JVM of the JobMa"],
    },
    Case {
        given: Given::Suspended,
        command: "resume demo",
        interrupt_at: None,
        code: 0,
        last: &["✔ demo: job ", " runs, 1 task", "cluster/demo resumed"],
        counts: &[],
    },
    Case {
        given: Given::Running,
        command: "stop demo",
        interrupt_at: None,
        code: 0,
        last: &[
            "✔ demo: stopped with savepoint file:/savepoints/savepoint-",
            "✔ demo: the JobManager has ended ~",
            "next: `kubectl flink resume demo` starts it again from there",
        ],
        counts: &["demo: the JobManager ends"],
    },
    Case {
        given: Given::Running,
        command: "delete demo --yes --savepoint",
        interrupt_at: None,
        code: 0,
        last: &[
            "✔ demo: stopped with savepoint file:/savepoints/savepoint-",
            "✔ demo: the JobManager has ended ~",
            "✔ demo: the TaskManagers have ended ~",
            "cluster/demo deleted",
        ],
        counts: &[],
    },
];

/// The same command in words alone.
const PLAIN: &str = "upgrade demo --env A=2 --surge never --plain";

fn name(case: &Case) -> String {
    let ends = if case.interrupt_at.is_some() { " and Ctrl-C" } else { "" };
    format!("{:?}: {}{ends} on a terminal", case.given, case.command)
}

pub fn names() -> impl Iterator<Item = String> {
    CASES.iter().map(name).chain([format!("{PLAIN} on a terminal")])
}

/// Runs those whose name is `wanted`, each at each size.
pub fn try_all(worlds: &Worlds, wanted: &(dyn Fn(&str) -> bool + Sync)) -> (usize, Vec<String>) {
    let failures = Mutex::new(Vec::new());
    let cases = CASES.iter().filter(|case| wanted(&name(case)));
    let all: Vec<_> = cases.flat_map(|case| SIZES.map(|size| (case, size))).collect();
    let mut number = all.len();
    side_by_side(all, |(case, size)| {
        if let Err(text) = try_one(worlds, case, size) {
            failures
                .lock()
                .unwrap()
                .push(format!("{} of {size:?}: {text}", name(case)));
        }
    });
    let mut failures = failures.into_inner().unwrap();
    if wanted(&format!("{PLAIN} on a terminal")) {
        number += 1;
        failures.extend(plain(worlds).err());
    }
    (number, failures)
}

fn run(world: &World, command: &str, size: (u16, u16), press: impl FnMut(&Frame) -> Option<&'static str>) -> Session {
    let world = Arc::new(Mutex::new(world.clone()));
    let server = Server::start(&world, &Arc::<Plan>::default());
    let home = TempDir::new().unwrap();
    let arguments: Vec<&str> = command.split(' ').collect();
    terminal::run(&program(&server, &home, &arguments), size, press)
}

fn try_one(worlds: &Worlds, case: &Case, size: (u16, u16)) -> Result<(), String> {
    let mut interrupt_at = case.interrupt_at;
    let press = |frame: &Frame| {
        let is_there = frame
            .live()
            .any(|line| interrupt_at.is_some_and(|text| line.contains(text)));
        is_there.then(|| interrupt_at = None).map(|()| INTERRUPT)
    };
    let session = run(&worlds[&case.given], case.command, size, press);
    let wrong = |text: String| Err(format!("{text}\n{session}"));
    if session.code != Some(case.code) {
        return wrong("it ends otherwise".to_owned());
    }
    if let Some(fault) = session.fault_of_checklist() {
        return wrong(fault);
    }
    let text = session.last().joined();
    let mut rest = text.as_str();
    for part in case.last {
        let words = part.trim_end_matches(" ~");
        let Some((_, after)) = rest.split_once(words) else {
            return wrong(format!("{part:?} is not there, or not in its place"));
        };
        let time = after.trim_start().split(' ').next().unwrap_or_default();
        let is_time = time.strip_suffix('s').is_some_and(|time| time.parse::<f64>().is_ok());
        if *part != words && !is_time {
            return wrong(format!("{words:?} has no time, but {time:?}"));
        }
        rest = after;
    }
    if let Some(line) = broken_part(session.last()) {
        return wrong(format!("{line:?} does not end with a whole part of the pause"));
    }
    for waits in case.counts {
        let times = session.times(waits);
        if times.len() < 5 || !times.is_sorted() {
            let mut seen: Vec<&str> = session.frames.iter().flat_map(Frame::live).collect();
            seen.dedup();
            let seen = seen.join("\n");
            return wrong(format!("the time of {waits:?} does not count: {times:?} in\n{seen}"));
        }
    }
    Ok(())
}

/// A line of the time without processing that is wider than the terminal, or ends within one of its parts.
fn broken_part(frame: &Frame) -> Option<&str> {
    let is_first = |line: &&Line| line.text.contains("without processing for ");
    let mut lines = frame.lines.iter().skip_while(|line| !is_first(line));
    let first = lines.next().into_iter();
    let of_pause = first.chain(lines.take_while(|line| line.text.starts_with("  ")));
    let is_whole = |text: &str| [" s", " s,", " s:"].iter().any(|end| text.ends_with(end));
    let mut broken = of_pause.filter(|line| line.is_wrapped || !is_whole(&line.text));
    broken.next().map(|line| line.text.as_str())
}

/// With --plain a terminal gets words alone, as a pipe does.
fn plain(worlds: &Worlds) -> Result<(), String> {
    let session = run(&worlds[&Given::Running], PLAIN, (80, 24), |_| None);
    let text = String::from_utf8_lossy(&session.bytes).into_owned();
    let words = |c: char| c == '\n' || c == '\r' || !c.is_control();
    let drawn = text.contains(['✔', '⠋']) || !text.chars().all(words) || text.replace("\r\n", "").contains('\r');
    let lines = [
        "demo: writing a savepoint",
        "demo: the JobManager ends",
        "demo: submitted",
        "cluster/demo upgraded",
    ];
    let is_whole = lines.iter().all(|line| text.lines().any(|other| other == *line));
    if session.code == Some(0) && !drawn && is_whole {
        return Ok(());
    }
    Err(format!("with --plain: {text}\n{session}"))
}
