//! The minimum memory of Flink's memory model: with less process memory a role fails before it starts.
//!
//! Sources: Flink's `ProcessMemoryUtils`, `JobManagerFlinkMemoryUtils` and `TaskExecutorFlinkMemoryUtils`, and the defaults
//! of `JobManagerOptions` and `TaskManagerOptions`, which are the same from 1.13 to 2.3.

use std::collections::BTreeMap;

use super::config_keys;
use crate::error::{Error, Result};
use crate::model::quantity::{Memory, memory_flink};

const MIB: u64 = 1 << 20;

/// A role's options, by their present names below `ROLE.memory.`: the name as the user wrote it, and the value.
struct Options<'a> {
    known: BTreeMap<&'a str, (&'a str, &'a str)>,
    role: &'static str,
}

impl<'a> Options<'a> {
    fn of(role: &'static str, configuration: &'a BTreeMap<String, String>) -> Self {
        let mut known = BTreeMap::new();
        for (written, value) in configuration {
            let key = config_keys::current(written);
            let Some(rest) = key.strip_prefix(role).and_then(|rest| rest.strip_prefix(".memory.")) else {
                continue;
            };
            // Of several names the present one counts.
            if key == written || !known.contains_key(rest) {
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
        match self.known.get(rest).map(|(_, value)| value) {
            // An amount for a container must not be zero, but a part may be.
            Some(text)
                if text
                    .trim_matches(|c: char| !c.is_ascii_digit())
                    .chars()
                    .all(|c| c == '0')
                    && text.contains('0') =>
            {
                Some(0)
            }
            Some(text) => memory_flink(text.trim()).ok().map(Memory::bytes),
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

    /// The parts that have their own size, and the minimum of their sum.
    fn least(&self) -> Option<(u64, Vec<(&'a str, u64)>)> {
        let mut parts = self.outside()?.to_vec();
        if self.role == "jobmanager" {
            parts.push(self.part("off-heap.size", 128 * MIB)?);
            // A JVM needs some heap; the minimum is not documented.
            parts.push(self.part("heap.size", 1)?);
            return Some((sum(&parts), parts));
        }
        parts.push(self.part("framework.heap.size", 128 * MIB)?);
        parts.push(self.part("framework.off-heap.size", 128 * MIB)?);
        parts.push(self.part("task.heap.size", 0)?);
        parts.push(self.part("task.off-heap.size", 0)?);
        parts.push(self.part("network.min", 64 * MIB)?);
        if self.has("managed.size") {
            parts.push(self.part("managed.size", 0)?);
            return Some((sum(&parts), parts));
        }
        // Managed memory is a share of Flink's own: the remaining share must be enough for the rest.
        let own = sum(&parts[2..]);
        let managed = self.fraction("managed.fraction", 0.4)?;
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let share = (own as f64 / (1.0 - managed) - own as f64) as u64;
        let name = self
            .known
            .get("managed.fraction")
            .map_or("managed.fraction", |(written, _)| written);
        parts.push((name, share));
        Some((sum(&parts), parts))
    }
}

fn sum(parts: &[(&str, u64)]) -> u64 {
    parts.iter().map(|(_, size)| size).sum()
}

/// Checks that Flink can start in the memory of a role, `jobmanager` or `taskmanager`. Unknown values pass the check.
///
/// # Errors
/// Usage error with the memory that the parts need.
pub(crate) fn check(role: &'static str, process: Memory, configuration: &BTreeMap<String, String>) -> Result<()> {
    let options = Options::of(role, configuration);
    let Some((least, parts)) = options.least() else {
        return Ok(());
    };
    if process.bytes() >= least {
        return Ok(());
    }
    let named = parts.iter().filter(|(_, size)| *size >= MIB);
    let named: Vec<String> = named.map(|(name, size)| format!("{name} {}m", size / MIB)).collect();
    Err(Error::usage(format!(
        "invalid --{role}-memory {}: Flink needs more than {}m for {}",
        process.to_flink(),
        least / MIB,
        named.join(", ")
    ))
    .hint(format!("smaller parts can be said by -D {role}.memory.…")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(role: &'static str, process: &str, options: &[(&str, &str)]) -> Option<String> {
        let pairs = options.iter();
        let configuration = pairs
            .map(|(key, value)| (format!("{role}.memory.{key}"), (*value).to_owned()))
            .collect();
        check(role, memory_flink(process).unwrap(), &configuration)
            .err()
            .map(|error| error.message)
    }

    #[test]
    fn a_jobmanager_has_its_parts_and_a_heap() {
        for (process, options, fits) in [
            ("1m", &[][..], false),
            ("576m", &[], false),
            ("577m", &[], true),
            ("1600m", &[], true),
            ("400m", &[("jvm-metaspace.size", "64m")], true),
            ("384m", &[("jvm-metaspace.size", "64m")], false),
            ("700m", &[("heap.size", "128m")], false),
            ("1m", &[("jvm-metaspace.size", "much")], true),
        ] {
            assert_eq!(
                refused("jobmanager", process, options).is_none(),
                fits,
                "{process} {options:?}"
            );
        }
        assert_eq!(
            refused("jobmanager", "1m", &[]).unwrap(),
            "invalid --jobmanager-memory 1m: Flink needs more than 576m for jvm-metaspace.size 256m, jvm-overhead.min 192m, \
             off-heap.size 128m"
        );
    }

    /// By their old names, which every release still reads.
    #[test]
    fn old_names_of_parts_count_and_are_the_ones_that_are_told() {
        let refused = |process: &str, pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let configuration = pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            let outcome = check("taskmanager", memory_flink(process).unwrap(), &configuration);
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
        for (process, options, fits) in [
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
            assert_eq!(
                refused("taskmanager", process, options).is_none(),
                fits,
                "{process} {options:?}"
            );
        }
    }
}
