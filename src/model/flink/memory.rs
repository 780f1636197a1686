//! The sizes of a process that Flink's memory model takes: with others a role fails before it starts.
//!
//! Sources: Flink's `ProcessMemoryUtils`, `JobManagerFlinkMemoryUtils` and `TaskExecutorFlinkMemoryUtils`, and the defaults
//! of `JobManagerOptions` and `TaskManagerOptions`, which are the same from 1.13 to 2.3.

use std::collections::BTreeMap;

use super::{FlinkVersion, config_keys};
use crate::error::{Error, Result};
use crate::model::quantity::{Memory, memory_flink};

const MIB: u64 = 1 << 20;

/// Position of the network's minimum among the parts of a TaskManager.
const NETWORK: usize = 4;

/// A role's options, by their present names below `ROLE.memory.`: the name as the user wrote it, and the value.
struct Options<'a> {
    known: BTreeMap<&'a str, (&'a str, &'a str)>,
    role: &'static str,
}

/// The present name of an option. Up to 1.20 the old size of a heap is read for the one that it would be now, unless that is
/// there too; so is the one in mebibytes, unless one of both is. Source: Flink's `BashJavaUtils` and
/// `MemoryBackwardsCompatibilityUtils`.
pub(crate) fn present(written: &str, version: Option<FlinkVersion>) -> &str {
    let is_old = version.is_none_or(|version| version < FlinkVersion::new(2, 0));
    match written {
        "jobmanager.heap.size" | "jobmanager.heap.mb" if is_old => "jobmanager.memory.heap.size",
        "taskmanager.heap.size" | "taskmanager.heap.mb" if is_old => "taskmanager.memory.flink.size",
        _ => config_keys::current(written),
    }
}

/// Whether the value of this key is a number of mebibytes.
fn is_in_mebibytes(written: &str) -> bool {
    written.ends_with(".heap.mb")
}

impl<'a> Options<'a> {
    fn of(role: &'static str, configuration: &'a BTreeMap<String, String>, version: Option<FlinkVersion>) -> Self {
        let mut known: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for (written, value) in configuration {
            let key = present(written, version);
            let Some(rest) = key.strip_prefix(role).and_then(|rest| rest.strip_prefix(".memory.")) else {
                continue;
            };
            // Of several names the present one counts.
            let other = known.get(rest);
            if other.is_none_or(|(other, _)| key == written || is_in_mebibytes(other)) {
                known.insert(rest, (written.as_str(), value.as_str()));
            }
        }
        Self { known, role }
    }

    /// A part and its size, or its default; `None`: it cannot be parsed, and Flink will report that.
    fn part(&self, rest: &'static str, default: u64) -> Option<(&'a str, u64)> {
        let name = self.known.get(rest).map_or(rest, |(written, _)| written);
        Some((name, self.size(rest, default)?))
    }

    fn size(&self, rest: &str, default: u64) -> Option<u64> {
        match self.known.get(rest) {
            Some((written, text)) if is_in_mebibytes(written) => text.trim().parse::<u64>().ok()?.checked_mul(MIB),
            // An amount for a container must not be zero, but a part may be.
            Some((_, text))
                if text
                    .trim_matches(|c: char| !c.is_ascii_digit())
                    .chars()
                    .all(|c| c == '0')
                    && text.contains('0') =>
            {
                Some(0)
            }
            Some((_, text)) => memory_flink(text.trim()).ok().map(Memory::bytes),
            None => Some(default),
        }
    }

    fn fraction(&self, rest: &str, default: f64) -> Option<f64> {
        let text = self.known.get(rest).map(|(_, value)| value);
        let fraction = text.map_or(Some(default), |text| text.trim().parse().ok())?;
        (0.0..1.0).contains(&fraction).then_some(fraction)
    }

    fn has(&self, rest: &str) -> bool {
        self.known.contains_key(rest)
    }

    /// The memory outside of Flink's own: the JVM's metaspace, and the minimum of its overhead.
    fn outside(&self) -> Option<[(&'a str, u64); 2]> {
        Some([
            self.part("jvm-metaspace.size", 256 * MIB)?,
            self.part("jvm-overhead.min", 192 * MIB)?,
        ])
    }

    /// The parts of Flink's own memory that have their own size, or their minimum.
    fn inside(&self) -> Option<Vec<(&'a str, u64)>> {
        if self.role == "jobmanager" {
            // A JVM needs some heap; the minimum is not documented.
            return Some(vec![self.part("off-heap.size", 128 * MIB)?, self.part("heap.size", 1)?]);
        }
        let mut parts = vec![
            self.part("framework.heap.size", 128 * MIB)?,
            self.part("framework.off-heap.size", 128 * MIB)?,
            self.part("task.heap.size", 0)?,
            self.part("task.off-heap.size", 0)?,
            self.part("network.min", 64 * MIB)?,
        ];
        if self.has("managed.size") {
            parts.push(self.part("managed.size", 0)?);
            return Some(parts);
        }
        // Managed memory is a share of Flink's own: the remaining share must be enough for the rest.
        let share = beside(sum(&parts), self.fraction("managed.fraction", 0.4)?);
        let name = self
            .known
            .get("managed.fraction")
            .map_or("managed.fraction", |(written, _)| written);
        parts.push((name, share));
        Some(parts)
    }

    /// Flink's own memory where it does not follow from the size of the process, and the option that determines it.
    fn own(&self) -> Option<((&'a str, u64), u64)> {
        if self.role == "jobmanager" && self.has("heap.size") {
            let heap = self.part("heap.size", 0)?;
            return Some((heap, heap.1 + self.size("off-heap.size", 128 * MIB)?));
        }
        if self.has("flink.size") {
            let flink = self.part("flink.size", 0)?;
            return Some((flink, flink.1));
        }
        if self.role == "jobmanager" || !self.has("managed.size") || !self.has("task.heap.size") {
            return None;
        }
        let mut parts = self.inside()?;
        let (_, least) = parts.remove(NETWORK);
        let rest = sum(&parts);
        let most = self.size("network.max", u64::MAX)?;
        let network = beside(rest, self.fraction("network.fraction", 0.1)?)
            .max(least)
            .min(most);
        // Up to 1.16 the maximum is 1 GiB if it is not set.
        let known = network <= 1024 * MIB || self.has("network.max");
        known.then_some((self.part("task.heap.size", 0)?, rest + network))
    }
}

fn sum(parts: &[(&str, u64)]) -> u64 {
    parts.iter().map(|(_, size)| size).sum()
}

/// The size of a part that is this `fraction` of the whole, beside the `rest` of it.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn beside(rest: u64, fraction: f64) -> u64 {
    (rest as f64 / (1.0 - fraction) - rest as f64) as u64
}

fn mebibytes(size: u64) -> String {
    format!("{}m", size / MIB)
}

fn named(parts: &[(&str, u64)]) -> String {
    let named = parts.iter().filter(|(_, size)| *size >= MIB);
    let named = named.map(|(name, size)| format!("{name} {}", mebibytes(*size)));
    named.collect::<Vec<_>>().join(", ")
}

/// Checks that Flink can start in the memory of a role, `jobmanager` or `taskmanager`; `what` says where its size is
/// from. Unknown values pass the check.
pub(crate) fn check(
    role: &'static str,
    what: &str,
    process: Memory,
    configuration: &BTreeMap<String, String>,
    version: Option<FlinkVersion>,
) -> Result<()> {
    let options = Options::of(role, configuration, version);
    let (Some(outside), Some(inside)) = (options.outside(), options.inside()) else {
        return Ok(());
    };
    let smaller = |error: Error| {
        if process.bytes() < MIB {
            error.hint("an amount without a unit counts bytes; 2048m and 2g are mebibytes and gibibytes")
        } else {
            error.hint(format!("-D {role}.memory.… sets smaller sizes for these parts"))
        }
    };
    let flink = options
        .has("flink.size")
        .then(|| options.part("flink.size", 0))
        .flatten();
    if let Some((name, flink)) = flink.filter(|(_, flink)| *flink < sum(&inside)) {
        let (size, least, parts) = (mebibytes(flink), mebibytes(sum(&inside)), named(&inside));
        let text = format!("invalid {name} {size}: Flink needs more than {least} for {parts}");
        return Err(smaller(Error::usage(text)));
    }
    let Some(((name, said), own)) = options.own() else {
        let parts = [&outside[..], &inside].concat();
        if process.bytes() >= sum(&parts) {
            return Ok(());
        }
        let (size, least, parts) = (process.to_flink(), mebibytes(sum(&parts)), named(&parts));
        let text = format!("invalid {what} {size}: Flink needs more than {least} for {parts}");
        return Err(smaller(Error::usage(text)));
    };
    let Some(most) = options.size("jvm-overhead.max", 1024 * MIB) else {
        return Ok(());
    };
    let least = own + sum(&outside);
    let most = own + outside[0].1 + most;
    if least > most || (least..=most).contains(&process.bytes()) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "invalid {what} {}: with {name} {} the process takes {} to {}",
        process.to_flink(),
        mebibytes(said),
        mebibytes(least),
        mebibytes(most)
    ))
    .hint("set only one of both: the size of the process follows from that of its parts"))
}

/// The size of the process that follows from the sizes of its parts, in whole MiB if they are; `None`: it does not.
pub(crate) fn derived(
    role: &'static str,
    configuration: &BTreeMap<String, String>,
    version: Option<FlinkVersion>,
) -> Option<Memory> {
    let options = Options::of(role, configuration, version);
    let ([(_, metaspace), (_, least)], (_, own)) = (options.outside()?, options.own()?);
    let most = options.size("jvm-overhead.max", 1024 * MIB)?;
    let share = beside(own + metaspace, options.fraction("jvm-overhead.fraction", 0.1)?);
    let overhead = share.next_multiple_of(MIB).max(least).min(most);
    Some(Memory::from_bytes(own + metaspace + overhead))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(prefix: &str, options: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pair = |(key, value): &(&str, &str)| (format!("{prefix}{key}"), (*value).to_owned());
        options.iter().map(pair).collect()
    }

    fn refused(role: &'static str, process: &str, options: &[(&str, &str)]) -> Option<String> {
        let configuration = configuration(&format!("{role}.memory."), options);
        let (what, process) = (format!("--{role}-memory"), memory_flink(process).unwrap());
        let outcome = check(role, &what, process, &configuration, None);
        outcome.err().map(|error| error.message)
    }

    fn fits(role: &'static str, process: &str, options: &[(&str, &str)]) -> bool {
        refused(role, process, options).is_none()
    }

    #[test]
    fn a_jobmanager_has_its_parts_and_a_heap() {
        for (process, options, want) in [
            ("1m", &[][..], false),
            ("576m", &[], false),
            ("577m", &[], true),
            ("1600m", &[], true),
            ("400m", &[("jvm-metaspace.size", "64m")], true),
            ("384m", &[("jvm-metaspace.size", "64m")], false),
            ("700m", &[("heap.size", "128m")], false),
            ("1m", &[("jvm-metaspace.size", "much")], true),
        ] {
            assert_eq!(fits("jobmanager", process, options), want, "{process} {options:?}");
        }
        assert_eq!(
            refused("jobmanager", "1m", &[]).unwrap(),
            "invalid --jobmanager-memory 1m: Flink needs more than 576m for jvm-metaspace.size 256m, jvm-overhead.min 192m, \
             off-heap.size 128m"
        );
    }

    /// By their old names, which every release still reads.
    #[test]
    fn old_names_of_parts_count_and_are_the_reported_ones() {
        let refused = |process: &str, pairs: &[(&str, &str)]| {
            let configuration = configuration("", pairs);
            let process = memory_flink(process).unwrap();
            let outcome = check("taskmanager", "memory", process, &configuration, None);
            outcome.err().map(|error| error.message)
        };
        assert!(refused("902m", &[]).is_some());
        assert_eq!(refused("902m", &[("taskmanager.network.memory.min", "16mb")]), None);
        assert_eq!(refused("902m", &[("taskmanager.memory.size", "100m")]), None);
        let both = [
            ("taskmanager.memory.network.min", "16mb"),
            ("taskmanager.network.memory.min", "600mb"),
        ];
        assert_eq!(refused("902m", &both), None);
        let message = refused("1g", &both[1..]).unwrap();
        assert!(message.contains("taskmanager.network.memory.min 600m"), "{message}");
    }

    #[test]
    fn a_taskmanager_needs_room_for_managed_memory_as_well() {
        for (process, options, want) in [
            ("900m", &[][..], false),
            ("982m", &[], true),
            ("1g", &[], true),
            ("1728m", &[], true),
            ("800m", &[("managed.fraction", "0")], true),
            ("767m", &[("managed.size", "0b"), ("managed.fraction", "0")], false),
            ("900m", &[("managed.size", "200m")], false),
            ("900m", &[("managed.size", "100m")], true),
            ("500m", &[("network.min", "?")], true),
        ] {
            assert_eq!(fits("taskmanager", process, options), want, "{process} {options:?}");
        }
    }

    /// What Flink says of each: "Derived JVM Overhead size is not in configured JVM Overhead range".
    #[test]
    fn sizes_of_parts_and_of_the_process_must_agree() {
        for (role, process, options, want) in [
            ("jobmanager", "4g", &[("heap.size", "2g")][..], false),
            ("jobmanager", "2624m", &[("heap.size", "2g")], true),
            ("jobmanager", "3456m", &[("heap.size", "2g")], true),
            ("jobmanager", "3457m", &[("heap.size", "2g")], false),
            (
                "jobmanager",
                "4g",
                &[("heap.size", "2g"), ("jvm-overhead.max", "2g")],
                true,
            ),
            ("jobmanager", "1600m", &[("heap.size", "4g")], false),
            ("taskmanager", "2048m", &[("flink.size", "4g")], false),
            ("taskmanager", "5g", &[("flink.size", "4g")], true),
            ("taskmanager", "5g", &[("flink.size", "500m")], false),
            ("taskmanager", "1728m", &[("managed.size", "4g")], false),
            (
                "taskmanager",
                "8g",
                &[("managed.size", "1g"), ("task.heap.size", "1g")],
                false,
            ),
            (
                "taskmanager",
                "3g",
                &[("managed.size", "1g"), ("task.heap.size", "1g")],
                true,
            ),
            ("taskmanager", "1g", &[("flink.size", "much")], true),
        ] {
            assert_eq!(fits(role, process, options), want, "{role} {process} {options:?}");
        }
        assert_eq!(
            refused("jobmanager", "4g", &[("heap.size", "2g")]).unwrap(),
            "invalid --jobmanager-memory 4g: with jobmanager.memory.heap.size 2048m the process takes 2624m to 3456m"
        );
    }

    #[test]
    fn the_old_size_of_a_heap_counts_where_flink_reads_it() {
        let size = |role: &'static str, more: &[&str], version: &str| {
            let keys = more.iter().map(|key| (*key).to_owned());
            let keys = keys.chain([format!("{role}.heap.size")]);
            let sizes = ["4g", "2g"].iter().skip(1 - more.len()).map(|size| (*size).to_owned());
            let size = derived(role, &keys.zip(sizes).collect(), version.parse().ok());
            size.map(Memory::to_flink).unwrap_or_default()
        };
        assert_eq!(size("jobmanager", &[], "1.17"), "2703m");
        assert_eq!(size("taskmanager", &[], "1.20"), "2560m");
        assert_eq!(size("jobmanager", &[], "2.0"), "");
        // The present name comes first.
        assert_eq!(size("taskmanager", &["taskmanager.memory.flink.size"], "1.20"), "4836m");
    }

    /// Computed by the helper of 1.13.6 and 1.15.4; that of 2.3.0 does not read it.
    #[test]
    fn the_oldest_size_of_a_heap_is_in_mebibytes() {
        let size = |options: &[(&str, &str)], version: &str| {
            let configuration = configuration("jobmanager.", options);
            derived("jobmanager", &configuration, version.parse().ok()).map(Memory::to_flink)
        };
        let old = ("heap.mb", "2048");
        assert_eq!(size(&[old], "1.13").as_deref(), Some("2703m"));
        assert_eq!(size(&[old, ("heap.size", "16g")], "1.13").as_deref(), Some("17792m"));
        assert_eq!(
            size(&[old, ("memory.heap.size", "16g")], "1.20").as_deref(),
            Some("17792m")
        );
        assert_eq!(size(&[old], "2.0"), None);
    }

    #[test]
    fn the_size_of_the_process_follows_from_its_parts() {
        for (role, options, process) in [
            ("taskmanager", &[("flink.size", "4g")][..], Some("4836m")),
            ("taskmanager", &[("flink.size", "64m")], Some("512m")),
            ("jobmanager", &[("heap.size", "16g")], Some("17792m")),
            ("taskmanager", &[("managed.size", "4g")], None),
            ("taskmanager", &[], None),
        ] {
            let size = derived(role, &configuration(&format!("{role}.memory."), options), None);
            assert_eq!(size.map(Memory::to_flink).as_deref(), process, "{options:?}");
        }
    }
}
