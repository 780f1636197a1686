//! Ages in kubectl's format, and limits in seconds.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The time since `then` in kubectl's format: `45s`, `3m5s`, `3h2m`, `5d3h`, `2y10d`.
///
/// Source: `HumanDuration` in k8s.io/apimachinery/pkg/util/duration. As there, a clock that is a second behind results
/// in `0s`, and more in `<invalid>`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |large: i64, unit: char, small: i64, rest: char| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{rest}")
        }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => pair(days, 'd', hours % 24, 'h'),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => pair(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// A time of Flink's, in milliseconds.
pub(crate) fn time(millis: Option<u64>) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis?).ok()?).ok()
}

/// A sentence about an operation with the age of its start, instead of the time: `… by bob@home since TIME; …`.
pub(crate) fn with_age(sentence: &str, now: Timestamp) -> String {
    let parts = sentence.split_once(" since ");
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_at_checked(rest.find('Z')? + 1)?)));
    match parts.and_then(|(before, (time, after))| Some((before, time.parse().ok()?, after))) {
        Some((before, then, after)) => format!("{before}, started {} ago{after}", age(then, now)),
        None => sentence.to_owned(),
    }
}

/// The limit as the user set it: what came before the wait took a part of its last second.
pub(crate) fn whole_seconds(limit: Option<Duration>) -> u64 {
    limit.map_or(0, |limit| limit.as_secs() + u64::from(limit.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_as_it_was_set() {
        let named = |millis| whole_seconds(Some(Duration::from_millis(millis)));
        assert_eq!([named(1), named(4_300), named(5_000)], [1, 5, 5]);
        assert_eq!(whole_seconds(None), 0);
    }

    #[test]
    fn the_start_of_an_operation_is_an_age() {
        let now = "2026-01-01T00:01:36Z".parse().unwrap();
        assert_eq!(
            with_age("stop by bob@home since 2026-01-01T00:00:00Z; it is done since Z", now),
            "stop by bob@home, started 96s ago; it is done since Z"
        );
        for other in ["stop by bob@home", "stop since yesterday", "stop since 2026-01-01Z"] {
            assert_eq!(with_age(other, now), other);
        }
    }

    #[test]
    fn ages_are_those_of_kubectl() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (45, "45s"),
            (119, "119s"),
            (2 * MINUTE, "2m"),
            (3 * MINUTE + 5, "3m5s"),
            (10 * MINUTE + 5, "10m"),
            (179 * MINUTE, "179m"),
            (3 * HOUR + 2 * MINUTE, "3h2m"),
            (8 * HOUR + 2 * MINUTE, "8h"),
            (47 * HOUR, "47h"),
            (5 * DAY, "5d"),
            (5 * DAY + 3 * HOUR, "5d3h"),
            (9 * DAY + 3 * HOUR, "9d"),
            (800 * DAY, "2y70d"),
            (9 * 365 * DAY, "9y"),
        ];
        let then = Timestamp::UNIX_EPOCH;
        for (seconds, text) in cases {
            assert_eq!(age(then, Timestamp::from_second(seconds).unwrap()), text);
        }
    }
}
