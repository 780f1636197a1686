//! What Flink's memory model needs at least: with less in its process a role fails before it begins.
//!
//! Sources: Flink's `ProcessMemoryUtils`, `JobManagerFlinkMemoryUtils` and `TaskExecutorFlinkMemoryUtils`, and the defaults
//! of `JobManagerOptions` and `TaskManagerOptions`, which are the same from 1.13 to 2.3.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::quantity::{Memory, memory_flink};

const MIB: u64 = 1 << 20;

/// A role's options, as the configuration has them.
struct Options<'a> {
    configuration: &'a BTreeMap<String, String>,
    role: &'static str,
}

impl Options<'_> {
    fn key(&self, rest: &str) -> String {
        format!("{}.memory.{rest}", self.role)
    }

    /// A size, or its default; `None`: it cannot be read, and Flink will say so.
    fn size(&self, rest: &str, default: u64) -> Option<u64> {
        match self.configuration.get(&self.key(rest)) {
            // An amount for a container is never nothing, a part of it may be.
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
        let text = self.configuration.get(&self.key(rest));
        let fraction = text.map_or(Some(default), |text| text.trim().parse().ok())?;
        (0.0..1.0).contains(&fraction).then_some(fraction)
    }

    fn has(&self, rest: &str) -> bool {
        self.configuration.contains_key(&self.key(rest))
    }

    /// What is outside of Flink's own memory: the JVM's metaspace, and its overhead at the least.
    fn outside(&self) -> Option<[(&'static str, u64); 2]> {
        Some([
            ("jvm-metaspace.size", self.size("jvm-metaspace.size", 256 * MIB)?),
            ("jvm-overhead.min", self.size("jvm-overhead.min", 192 * MIB)?),
        ])
    }

    /// The parts that have a size of their own, and the least of all of them together.
    fn least(&self) -> Option<(u64, Vec<(&'static str, u64)>)> {
        let mut parts = self.outside()?.to_vec();
        if self.role == "jobmanager" {
            parts.push(("off-heap.size", self.size("off-heap.size", 128 * MIB)?));
            // Without any heap there is no JVM; how little is too little nobody says.
            parts.push(("heap.size", self.size("heap.size", 1)?));
            return Some((sum(&parts), parts));
        }
        parts.push(("framework.heap.size", self.size("framework.heap.size", 128 * MIB)?));
        parts.push((
            "framework.off-heap.size",
            self.size("framework.off-heap.size", 128 * MIB)?,
        ));
        parts.push(("task.heap.size", self.size("task.heap.size", 0)?));
        parts.push(("task.off-heap.size", self.size("task.off-heap.size", 0)?));
        parts.push(("network.min", self.size("network.min", 64 * MIB)?));
        if self.has("managed.size") {
            parts.push(("managed.size", self.size("managed.size", 0)?));
            return Some((sum(&parts), parts));
        }
        // Managed memory is a share of Flink's own: what is left over by it has to hold the rest.
        let own = sum(&parts[2..]);
        let managed = self.fraction("managed.fraction", 0.4)?;
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let share = (own as f64 / (1.0 - managed) - own as f64) as u64;
        parts.push(("managed.fraction", share));
        Some((sum(&parts), parts))
    }
}

fn sum(parts: &[(&str, u64)]) -> u64 {
    parts.iter().map(|(_, size)| size).sum()
}

/// Whether Flink can start in the memory of a role, `jobmanager` or `taskmanager`. What it cannot be known of passes.
///
/// # Errors
/// Usage error with what the parts need.
pub fn check(role: &'static str, process: Memory, configuration: &BTreeMap<String, String>) -> Result<()> {
    let options = Options { configuration, role };
    let Some((least, parts)) = options.least() else {
        return Ok(());
    };
    if process.bytes() >= least {
        return Ok(());
    }
    let told = parts.iter().filter(|(_, size)| *size >= MIB);
    let told: Vec<String> = told.map(|(name, size)| format!("{name} {}m", size / MIB)).collect();
    Err(Error::usage(format!(
        "invalid --{role}-memory {}: Flink needs more than {}m for {}",
        process.to_flink(),
        least / MIB,
        told.join(", ")
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
