//! Bars, sparklines and amounts, for screens.

use crate::model::bytes::human;

const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A share as `width` cells that are filled from the left.
pub(crate) fn bar(share: f64, width: usize) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut text: String = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8]);
    }
    let drawn = text.chars().count();
    text + &"░".repeat(width.saturating_sub(drawn))
}

/// Numbers as a line of columns, from zero to the largest.
pub(crate) fn sparkline(numbers: &[u64]) -> String {
    let largest = numbers.iter().copied().max().unwrap_or(0).max(1);
    numbers
        .iter()
        .map(|number| {
            let height = number.saturating_mul(7) / largest;
            HEIGHTS[usize::try_from(height).unwrap_or(7).min(7)]
        })
        .collect()
}

/// A share, such as `45%`; a dash where it is unknown.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0))
}

/// An amount of bytes, such as `8.1 KiB`; a dash where it is unknown.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn bytes(amount: Option<f64>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| human(amount.round() as u64))
}

/// A rate or number, such as `1.2k`; a dash where it is unknown.
pub(crate) fn count(amount: Option<f64>) -> String {
    let Some(mut amount) = amount else {
        return "-".to_owned();
    };
    let mut units = ["", "k", "M", "G", "T"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // What would be rounded up to a whole step has the next unit.
    while amount >= 999.5 {
        let Some(next) = units.next() else { break };
        amount /= 1000.0;
        unit = next;
    }
    let digits = usize::from(amount < 9.95 && amount.fract() >= 0.05 && amount.fract() < 0.95);
    format!("{amount:.digits$}{unit}")
}

/// A time span, such as `639ms`, `4.2s`, `3m5s`.
pub(crate) fn millis(span: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    match span {
        ..1_000 => format!("{span}ms"),
        1_000..10_000 if span.is_multiple_of(1_000) => format!("{}s", span / 1_000),
        1_000..10_000 => format!("{:.1}s", span as f64 / 1000.0),
        10_000..120_000 => format!("{}s", span / 1000),
        _ if span < 7_200_000 => pair(span / 60_000, "m", span / 1000 % 60, "s"),
        _ => pair(span / 3_600_000, "h", span / 60_000 % 60, "m"),
    }
}

fn pair(large: u64, unit: &str, small: u64, rest: &str) -> String {
    match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_width() {
        for share in [0.0, 0.01, 0.333, 0.5, 0.999, 1.0, 7.0, -1.0] {
            assert_eq!(bar(share, 8).chars().count(), 8, "{share}");
        }
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(0.0, 2), "░░");
        assert_eq!(bar(1.0, 2), "██");
    }

    #[test]
    fn sparklines_go_from_zero_to_the_largest() {
        assert_eq!(sparkline(&[0, 50, 100]), "▁▄█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[u64::MAX]).chars().count(), 1);
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn amounts_have_the_unit_that_fits() {
        for (amount, want) in [
            (0.0, "0 B"),
            (1.5, "2 B"),
            (1023.9, "1.0 KiB"),
            (8_117.0, "7.9 KiB"),
            (3_221_225_472.0, "3.0 GiB"),
        ] {
            assert_eq!(bytes(Some(amount)), want);
        }
        for (amount, want) in [
            (0.0, "0"),
            (999.9, "1k"),
            (1234.0, "1.2k"),
            (45_600.0, "46k"),
            (2e6, "2M"),
        ] {
            assert_eq!(count(Some(amount)), want);
        }
        assert_eq!(count(None), "-");
        for (span, want) in [
            (639, "639ms"),
            (4_210, "4.2s"),
            (61_000, "61s"),
            (185_000, "3m5s"),
            (600_000, "10m"),
            (7_260_000, "2h1m"),
            (86_400_000, "24h"),
        ] {
            assert_eq!(millis(span), want);
        }
    }
}
