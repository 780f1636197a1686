//! Formats numbers of bytes.

/// Bytes, rounded, in a unit that leaves one to four digits before the point, such as `512 B`, `5.2 MiB`, `1023 GiB`.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let bytes = u128::from(bytes);
    let (mut size, mut unit) = (1024, 0);
    // What would be rounded up to 1024 has the next unit.
    while bytes * 2 >= size * 2047 && unit + 1 < UNITS.len() {
        size *= 1024;
        unit += 1;
    }
    let rounded = |parts: u128| (bytes * parts * 2 / size).div_ceil(2);
    let tenths = rounded(10);
    if tenths >= 1000 {
        format!("{} {}", rounded(1), UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_have_a_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (100 << 10, "100 KiB"),
            (102_348, "99.9 KiB"),
            (102_349, "100 KiB"),
            (1023 << 10, "1023 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5_452_595, "5.2 MiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
