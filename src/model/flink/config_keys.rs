//! Flink's own configuration keys, from 1.13 to 2.3, with their old names: to distinguish a typo from the user's own
//! key.
//!
//! The data are generated from Flink's jars, see `flink-keys/generate`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::model::flink::FlinkVersion;
use crate::model::quantity::memory_flink;

/// One line per key: the key, the first and the last release that read it, and, for an old name, the present key.
const KEYS: &str = include_str!("../../../flink-keys/keys.txt");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KnownKey<'a> {
    name: &'a str,
    first: FlinkVersion,
    last: FlinkVersion,
    now: Option<&'a str>,
}

fn known() -> impl Iterator<Item = KnownKey<'static>> {
    KEYS.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(KnownKey {
            name: words.next()?,
            first: words.next()?.parse().ok()?,
            last: words.next()?.parse().ok()?,
            now: words.next(),
        })
    })
}

/// The line of a key: they are sorted by it.
fn line(name: &str) -> Option<&'static str> {
    let (mut low, mut high) = (0, KEYS.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = KEYS[..middle].rfind('\n').map_or(0, |at| at + 1);
        let end = KEYS[middle..].find('\n').map_or(KEYS.len(), |at| middle + at);
        let line = &KEYS[start..end];
        match line.split(' ').next().unwrap_or_default().cmp(name) {
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
            Ordering::Equal => return Some(line),
        }
    }
    None
}

/// Whether Flink has a key of this name, in any known release.
pub(crate) fn is_known(name: &str) -> bool {
    line(name).is_some()
}

/// The present name of a key: Flink also reads old names.
pub(crate) fn current(name: &str) -> &str {
    line(name).and_then(|line| line.split(' ').nth(3)).unwrap_or(name)
}

/// Whether two names belong to the same key.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one == other || current(one) == current(other)
}

/// Two names of one key that say different things: Flink would read only one of them.
pub(crate) fn contradictions<'a>(
    configuration: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    configuration.iter().filter_map(move |(key, value)| {
        let first: &'a str = names.entry(current(key)).or_insert(key);
        (!same_value(&configuration[first], value)).then_some((first, key.as_str()))
    })
}

/// Whether Flink reads both values alike: `True` and `true`, `0.10` and `0.1`, `64 mb` and `64m`.
pub(crate) fn same_value(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    let number = |text: &str| text.parse::<f64>().ok();
    let size = |text: &str| memory_flink(text).ok();
    let is_boolean = ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(one));
    one == other
        || (is_boolean && one.eq_ignore_ascii_case(other))
        || number(one)
            .zip(number(other))
            .is_some_and(|(one, other)| one.total_cmp(&other).is_eq())
        || size(one).zip(size(other)).is_some_and(|(one, other)| one == other)
}

/// The oldest and the newest release whose keys are known.
fn span() -> (FlinkVersion, FlinkVersion) {
    let versions = crate::model::flink::KNOWN_VERSIONS;
    match versions {
        [first, .., last] => (*first, *last),
        _ => (FlinkVersion::new(1, 13), FlinkVersion::new(2, 3)),
    }
}

/// Keys of the newest release, old names left out.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let (_, newest) = span();
    known()
        .filter(move |key| key.now.is_none() && key.last == newest)
        .map(|key| key.name)
}

/// The parameters of a program, which have keys of its own: Flink takes a map also as one key for each of its entries, as
/// nested YAML becomes. Source: `ConfigurationUtils.canBePrefixMap`.
const PARAMETERS: &str = "pipeline.global-job-parameters.";

/// The probable mistake in a key, for the release if it is known; `None`: there is none, or it is the user's own key.
#[must_use]
pub fn doubt(name: &str, version: Option<FlinkVersion>) -> Option<String> {
    let (oldest, newest) = span();
    if let Some(key) = known().find(|key| key.name == name) {
        // Unknown releases are treated like the closest known one.
        let version = version?.clamp(oldest, newest);
        let instead = match key.now.and_then(|now| known().find(|key| key.name == now)) {
            Some(now) if (now.first..=now.last).contains(&version) => format!("; it is called {} now", now.name),
            _ => String::new(),
        };
        return if version > key.last {
            Some(format!(
                "Flink {version} does not read {name}, {} was the last that did{instead}",
                key.last
            ))
        } else if version < key.first {
            Some(format!(
                "Flink {version} does not read {name}, that came with {}",
                key.first
            ))
        } else {
            None
        };
    }
    if name.starts_with(PARAMETERS) {
        return None;
    }
    let most = if name.len() < 20 { 2 } else { 3 };
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', '.'], "");
    let meant = known()
        .filter(|key| key.name.len().abs_diff(name.len()) <= most)
        .map(|key| {
            let same = plain(key.name) == plain(name);
            (
                if same { 0 } else { strsim::osa_distance(name, key.name) },
                key.now.is_some(),
                key,
            )
        })
        .filter(|(distance, _, _)| *distance <= most)
        .min_by_key(|(distance, is_old, _)| (*distance, *is_old))?
        .2;
    Some(format!("Flink has no key {name}; did you mean {}?", meant.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<FlinkVersion> {
        text.parse().ok()
    }

    #[test]
    fn the_data_are_whole() {
        let mut last = "";
        for (index, line) in KEYS.lines().enumerate() {
            let key = known().nth(index);
            let key = key.filter(|key| line.starts_with(key.name)).expect(line);
            assert!(last < key.name, "{last} before {}", key.name);
            assert!(key.first <= key.last, "{line}");
            if let Some(now) = key.now {
                assert!(known().any(|key| key.name == now && key.now.is_none()), "{line}");
            }
            last = key.name;
        }
        assert!(names().count() > 300, "{}", names().count());
    }

    #[test]
    fn each_key_is_found_by_all_of_its_names() {
        for key in known() {
            assert_eq!(current(key.name), key.now.unwrap_or(key.name));
        }
        for (old, now) in [
            ("taskmanager.network.memory.min", "taskmanager.memory.network.min"),
            ("recovery.mode", "high-availability.type"),
        ] {
            assert!(current(old) == now && same(old, now) && same(now, old));
        }
        for own in ["", "a", "zz.z", "state.backen", "state.backendd", "é"] {
            assert_eq!(current(own), own);
        }
        assert!(!same("state.backend", "state.savepoints.dir"));
    }

    #[test]
    fn keys_that_are_read_raise_no_doubt() {
        for (key, releases) in [
            ("execution.checkpointing.interval", "1.13 1.20 2.3 3.0"),
            ("state.backend", "1.13 2.3"),
            ("high-availability", "1.13 2.3"),
            ("taskmanager.memory.managed.fraction", "1.13 2.3"),
        ] {
            for release in releases.split(' ') {
                assert_eq!(doubt(key, version(release)), None, "{key} in {release}");
            }
            assert_eq!(doubt(key, None), None);
        }
    }

    #[test]
    fn keys_that_are_gone_or_not_there_yet_do() {
        let doubt_text = doubt("taskmanager.heap.size", version("2.3")).unwrap();
        assert!(
            doubt_text.starts_with("Flink 2.3 does not read taskmanager.heap.size, 1.20 was the last"),
            "{doubt_text}"
        );
        let doubt_text = doubt("execution.state-recovery.path", version("1.17")).unwrap();
        assert!(doubt_text.contains("came with 1.20"), "{doubt_text}");
    }

    #[test]
    fn slips_are_reported_and_keys_of_users_are_not() {
        for (slip, meant) in [
            ("execution.checkpointing.intervall", "execution.checkpointing.interval"),
            ("state.backend.incrementel", "state.backend.incremental"),
            ("taskmanager.numberoftaskslots", "taskmanager.numberOfTaskSlots"),
            ("execution.checkpointing.min_pause", "execution.checkpointing.min-pause"),
        ] {
            let doubt_text = doubt(slip, version("2.3")).unwrap_or_default();
            assert_eq!(doubt_text, format!("Flink has no key {slip}; did you mean {meant}?"));
        }
        let words = "my.company.setting pipeline.global-job-parameters.a metrics.reporter.prom.factory.class \
            containerized.master.env.FOO fs.s3a.endpoint";
        for own in words.split(' ') {
            assert_eq!(doubt(own, version("2.3")), None, "{own}");
        }
    }
}
