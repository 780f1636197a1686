//! What Flink's helper JVM (`BashJavaUtils`) computes before a process starts: the memory of its JVM and of its parts.
//!
//! It computes nothing where it is not sure to know every setting, and Flink's helper has to: old names that have no new
//! one, external resources, values in another notation, sizes that contradict each other.
//!
//! Source: Flink's `BashJavaUtils`, `FlinkConfigLoader`, `ProcessMemoryUtils`, `JobManagerFlinkMemoryUtils`,
//! `TaskExecutorFlinkMemoryUtils`, `TaskExecutorProcessUtils`, `MemorySize`. Compared with the helper of each release from
//! 1.13 to 2.3 by `tests/direct`.

use std::collections::BTreeMap;

use super::{FlinkVersion, Role, config_keys};

const MIB: u64 = 1 << 20;

/// What the helper prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) jvm: String,
    /// Settings of the process, as `-D key=value`.
    pub(crate) dynamic: String,
    /// Number of task slots that these parameters are computed for.
    pub(crate) slots: String,
}

/// Parts of a key that has to do with the memory of a process, and is not known here.
const UNKNOWN: [&str; 4] = [
    ".heap.size",
    ".heap.mb",
    ".network.numberOfBuffers",
    "external-resource",
];

/// Settings below `taskmanager.memory.` that do not change the sizes.
const HARMLESS: [&str; 5] = [
    "framework.off-heap.batch-shuffle.size",
    "managed.consumer-weights",
    "min-segment-size",
    "segment-size",
    "starting-segment-size",
];

/// Settings of memory by their present names without `ROLE.memory.`, and of the TaskManager's slots and CPU.
#[derive(Default)]
struct Settings<'a> {
    memory: BTreeMap<&'a str, &'a str>,
    slots: Option<&'a str>,
    cpu: Option<&'a str>,
}

impl<'a> Settings<'a> {
    /// Those in the arguments of the entrypoint. Flink's scripts pass them on without quotes, the program's included.
    fn of(role: Role, arguments: &'a [String]) -> Option<Self> {
        let mut found = Self::default();
        let prefix = match role {
            Role::JobManager => "jobmanager.",
            Role::TaskManager => "taskmanager.",
        };
        let mut names = BTreeMap::new();
        let mut words = arguments.iter().flat_map(|argument| argument.split_whitespace());
        while let Some(word) = words.next() {
            // The helper takes these for its own options, however many dashes they have.
            if ["c", "configDir"].contains(&word.trim_start_matches('-')) {
                return None;
            }
            let pair = match word.strip_prefix("-D") {
                Some("") => words.next()?,
                Some(pair) => pair,
                None if word == "D" || word == "--D" => return None,
                None => continue,
            };
            let (written, value) = pair.split_once('=')?;
            let key = config_keys::current(written);
            let Some(rest) = key.strip_prefix(prefix) else {
                if role == Role::TaskManager && key.starts_with(UNKNOWN[3]) {
                    return None;
                }
                continue;
            };
            match rest.strip_prefix("memory.") {
                Some(part) if HARMLESS.contains(&part) => {}
                Some(part) => {
                    // Of two names of one key Flink prefers one.
                    if *names.entry(part).or_insert(written) != written {
                        return None;
                    }
                    found.memory.insert(part, value);
                }
                None if key == "taskmanager.numberOfTaskSlots" => found.slots = Some(value),
                None if key == "taskmanager.cpu.cores" => found.cpu = Some(value),
                None if UNKNOWN[..3].iter().any(|end| key.ends_with(end)) => return None,
                None => {}
            }
        }
        Some(found)
    }

    fn has(&self, part: &str) -> bool {
        self.memory.contains_key(part)
    }

    fn size(&self, part: &str, default: u64) -> Option<u64> {
        self.memory.get(part).map_or(Some(default), |text| bytes(text))
    }

    /// The range of a part and its share of the whole. Flink reads the share as a `float`.
    fn range(&self, part: &str, share: f32, least: u64, most: u64) -> Option<Range> {
        let key = |end: &str| format!("{part}.{end}");
        let share = match self.memory.get(key("fraction").as_str()) {
            Some(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => text.parse().ok()?,
            Some(_) => return None,
            None => share,
        };
        let (least, most) = (self.size(&key("min"), least)?, self.size(&key("max"), most)?);
        let share = f64::from(share);
        (least <= most && (0.0..1.0).contains(&share)).then_some(Range { share, least, most })
    }

    /// The memory outside of Flink's own, metaspace and overhead, when Flink's own is `flink`, or unknown.
    fn outside(&self, flink: Option<u64>) -> Option<(u64, u64)> {
        let metaspace = self.size("jvm-metaspace.size", 256 * MIB)?;
        let range = self.range("jvm-overhead", 0.1, 192 * MIB, 1024 * MIB)?;
        let process = self.memory.get("process.size").map(|text| bytes(text));
        let overhead = match (flink, process) {
            (None, Some(process)) => range.of(process?)?,
            (Some(flink), Some(process)) => {
                let rest = process?.checked_sub(flink.checked_add(metaspace)?)?;
                range.holds(rest).then_some(rest)?
            }
            (Some(flink), None) => range.beside(flink.checked_add(metaspace)?)?,
            (None, None) => return None,
        };
        Some((metaspace, overhead))
    }

    /// Flink's own memory, where it follows from the size of the process.
    fn flink(&self) -> Option<(u64, (u64, u64))> {
        if let Some(text) = self.memory.get("flink.size") {
            let flink = bytes(text)?;
            return Some((flink, self.outside(Some(flink))?));
        }
        let (metaspace, overhead) = self.outside(None)?;
        let process = bytes(self.memory.get("process.size")?)?;
        let flink = process.checked_sub(metaspace.checked_add(overhead)?)?;
        Some((flink, (metaspace, overhead)))
    }
}

/// A share of the whole that has a minimum and a maximum.
struct Range {
    share: f64,
    least: u64,
    most: u64,
}

impl Range {
    fn holds(&self, size: u64) -> bool {
        (self.least..=self.most).contains(&size)
    }

    fn of(&self, whole: u64) -> Option<u64> {
        Some(multiply(whole, self.share)?.clamp(self.least, self.most))
    }

    /// The part whose share, of all with it, this is, when the rest is known.
    fn beside(&self, rest: u64) -> Option<u64> {
        Some(multiply(rest, self.share / (1.0 - self.share))?.clamp(self.least, self.most))
    }
}

/// The product as `MemorySize.multiply` computes it: by the decimal digits of the factor, without its fraction.
fn multiply(size: u64, factor: f64) -> Option<u64> {
    let text = format!("{factor:e}");
    let (digits, exponent) = text.split_once('e')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent: i32 = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
    let product = format!("{whole}{fraction}")
        .parse::<u128>()
        .ok()?
        .checked_mul(u128::from(size))?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    let scaled = match (exponent < 0, power) {
        (true, power) => power.map_or(0, |power| product / power),
        (false, power) => product.checked_mul(power?)?,
    };
    u64::try_from(scaled).ok()
}

/// An amount in Flink's notation, without white space.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let size: u64 = text[..end].parse().ok()?;
    let shift = match text[end..].to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        "t" | "tb" | "tebibytes" => 40,
        _ => return None,
    };
    // Far beyond any machine; sums of such stay far below the limit of a `long`.
    size.checked_mul(1 << shift).filter(|bytes| *bytes < 1 << 50)
}

/// What the helper computes for `role` from the arguments of the entrypoint; `None`: the helper has to.
pub(crate) fn parameters(role: Role, arguments: &[String], version: Option<FlinkVersion>) -> Option<Parameters> {
    let settings = Settings::of(role, arguments)?;
    match role {
        Role::JobManager => job_manager(&settings),
        Role::TaskManager => task_manager(&settings, version),
    }
}

fn job_manager(settings: &Settings) -> Option<Parameters> {
    let off_heap = settings.size("off-heap.size", 128 * MIB)?;
    let (heap, (metaspace, overhead)) = if let Some(text) = settings.memory.get("heap.size") {
        let heap = bytes(text)?;
        let flink = heap.checked_add(off_heap)?;
        if settings.has("flink.size") && settings.size("flink.size", 0)? != flink {
            return None;
        }
        (heap, settings.outside(Some(flink))?)
    } else {
        let (flink, outside) = settings.flink()?;
        (flink.checked_sub(off_heap).filter(|heap| *heap > 0)?, outside)
    };
    let limited = match settings.memory.get("enable-jvm-direct-memory-limit") {
        None | Some(&"false") => false,
        Some(&"true") => true,
        Some(_) => return None,
    };
    let direct = if limited {
        format!(" -XX:MaxDirectMemorySize={off_heap}")
    } else {
        String::new()
    };
    Some(Parameters {
        jvm: format!("-Xmx{heap} -Xms{heap}{direct} -XX:MaxMetaspaceSize={metaspace}"),
        // In the order of Java's HashMap.
        dynamic: dynamic(
            "jobmanager.memory.",
            &[
                ("off-heap.size", off_heap),
                ("jvm-overhead.min", overhead),
                ("jvm-metaspace.size", metaspace),
                ("heap.size", heap),
                ("jvm-overhead.max", overhead),
            ],
        ),
        slots: String::new(),
    })
}

fn dynamic(prefix: &str, parts: &[(&str, u64)]) -> String {
    let words = parts.iter().map(|(part, size)| format!("-D {prefix}{part}={size}b"));
    words.collect::<Vec<_>>().join(" ")
}

fn task_manager(settings: &Settings, version: Option<FlinkVersion>) -> Option<Parameters> {
    let slots = settings.slots.unwrap_or("1");
    let slots_number: u32 = slots.parse().ok().filter(|slots| (1..=1024).contains(slots))?;
    let cpu = match settings.cpu {
        None => format!("{slots_number}.0"),
        Some(text) => {
            let cores: f64 = text.parse().ok()?;
            // Java writes others with an exponent.
            ((1e-3..1e7).contains(&cores)).then(|| format!("{cores:?}"))?
        }
    };
    let framework_heap = settings.size("framework.heap.size", 128 * MIB)?;
    let framework_off_heap = settings.size("framework.off-heap.size", 128 * MIB)?;
    let task_off_heap = settings.size("task.off-heap.size", 0)?;
    let fixed = framework_heap + framework_off_heap + task_off_heap;
    // The maximum was 1 GiB up to 1.16, and there is none from 1.17 on.
    let unbounded = version.is_none_or(|version| version >= FlinkVersion::new(1, 17));
    let most = if unbounded { u64::MAX } else { 1024 * MIB };
    let network_range = settings.range("network", 0.1, 64 * MIB, most)?;
    let managed_of = |flink: u64| -> Option<u64> {
        if settings.has("managed.size") {
            return settings.size("managed.size", 0);
        }
        settings.range("managed", 0.4, 0, u64::MAX)?.of(flink)
    };
    let task_heap = settings.memory.get("task.heap.size").map(|text| bytes(text));
    let (task_heap, managed, network, (metaspace, overhead)) =
        if let (Some(heap), true) = (task_heap, settings.has("managed.size")) {
            let (heap, managed) = (heap?, settings.size("managed.size", 0)?);
            let others = fixed + heap + managed;
            let network = match settings.memory.get("flink.size") {
                Some(text) => bytes(text)?
                    .checked_sub(others)
                    .filter(|rest| network_range.holds(*rest))?,
                None => network_range.beside(others)?,
            };
            (heap, managed, network, settings.outside(Some(others + network))?)
        } else {
            let (flink, outside) = settings.flink()?;
            let managed = managed_of(flink)?;
            if let Some(heap) = task_heap {
                let heap = heap?;
                let network = flink.checked_sub(fixed + heap + managed)?;
                (heap, managed, network_range.holds(network).then_some(network)?, outside)
            } else {
                let network = network_range.of(flink)?;
                (flink.checked_sub(fixed + managed + network)?, managed, network, outside)
            }
        };
    // Where the version is not known, neither is the maximum.
    if version.is_none() && !settings.has("network.max") && network > 1024 * MIB {
        return None;
    }
    let heap = framework_heap + task_heap;
    let direct = framework_off_heap + task_off_heap + network;
    let own = |parts: &[(&str, u64)]| dynamic("taskmanager.memory.", parts);
    // In the order of Java's HashMap.
    let words = [
        own(&[("network.min", network)]),
        format!("-D taskmanager.cpu.cores={cpu}"),
        own(&[("task.off-heap.size", task_off_heap), ("jvm-metaspace.size", metaspace)]),
        "-D external-resources=none".to_owned(),
        own(&[
            ("jvm-overhead.min", overhead),
            ("framework.off-heap.size", framework_off_heap),
            ("network.max", network),
            ("framework.heap.size", framework_heap),
            ("managed.size", managed),
            ("task.heap.size", task_heap),
        ]),
        format!("-D taskmanager.numberOfTaskSlots={slots_number}"),
        own(&[("jvm-overhead.max", overhead)]),
    ];
    Some(Parameters {
        jvm: format!("-Xmx{heap} -Xms{heap} -XX:MaxDirectMemorySize={direct} -XX:MaxMetaspaceSize={metaspace}"),
        dynamic: words.join(" "),
        slots: slots.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(role: Role, arguments: &[&str]) -> Option<Parameters> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        parameters(role, &arguments, Some(FlinkVersion::new(1, 20)))
    }

    #[test]
    fn products_are_those_of_decimal_digits() {
        for (size, factor, want) in [
            (1_342_177_280, f64::from(0.1_f32), 134_217_730),
            (1_342_177_280, f64::from(0.4_f32), 536_870_920),
            (7, 0.0, 0),
            (1000, 1e-30, 0),
            (3, 2.5, 7),
            (1 << 40, f64::from(0.75_f32) / (1.0 - f64::from(0.75_f32)), 3 << 40),
        ] {
            assert_eq!(multiply(size, factor), Some(want), "{size} {factor}");
        }
    }

    /// The results of other settings are recorded from Flink's scripts, see `tests/cli/direct_start.rs`.
    #[test]
    fn the_last_of_several_arguments_counts_and_the_programs_do_too() {
        let first = of(
            Role::JobManager,
            &[
                "-Djobmanager.memory.process.size=1g",
                "-D",
                "jobmanager.memory.process.size=2g",
            ],
        );
        assert_eq!(first, of(Role::JobManager, &["-Djobmanager.memory.process.size=2048m"]));
        let program = of(
            Role::JobManager,
            &[
                "-Djobmanager.memory.process.size=1g",
                "--",
                "a -Djobmanager.memory.process.size=2g",
            ],
        );
        assert_eq!(first, program);
        assert!(first.unwrap().jvm.starts_with("-Xmx1530082096 "));
    }

    #[test]
    fn nothing_is_computed_in_doubt() {
        let process = "-Djobmanager.memory.process.size=1g";
        for arguments in [
            &[][..],
            &["-Djobmanager.memory.process.size=100m"],
            &[process, "-Djobmanager.memory.jvm-overhead.fraction=1.0"],
            &[process, "-Djobmanager.memory.jvm-overhead.min=2g"],
            &[process, "-Djobmanager.memory.off-heap.size=$(SIZE)"],
            &[process, "-Djobmanager.heap.mb=100"],
            &[process, "-Djobmanager.memory.flink.size=900m"],
            &[process, "c", "x"],
            &[process, "--configDir", "/conf"],
            &[process, "-Dswitch"],
        ] {
            assert_eq!(of(Role::JobManager, arguments), None, "{arguments:?}");
        }
        let process = "-Dtaskmanager.memory.process.size=20g";
        assert!(of(Role::TaskManager, &[process]).is_some());
        let unknown = parameters(Role::TaskManager, &[process.to_owned()], None);
        assert_eq!(unknown, None, "network memory has another maximum before 1.17");
        let words = "-Dtaskmanager.numberOfTaskSlots=0 -Dtaskmanager.cpu.cores=0.0001 \
            -Dtaskmanager.memory.task.heap.size=18g -Dexternal-resource.gpu.amount=1";
        for more in words.split(' ') {
            assert_eq!(of(Role::TaskManager, &[process, more]), None, "{more}");
        }
        let two = [
            "-Dtaskmanager.memory.network.min=64m",
            "-Dtaskmanager.network.memory.min=65m",
            process,
        ];
        assert_eq!(of(Role::TaskManager, &two), None);
    }
}
