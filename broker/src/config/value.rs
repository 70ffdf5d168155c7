//! Durations such as `30s` and sizes such as `1MiB`, as text and back.

use std::time::Duration;

/// Units of a duration, largest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of a size, in bytes. The first that divides a size without a rest is used to print it.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// What a duration looks like, for messages.
pub(super) const DURATION_EXAMPLE: &str = "a duration such as \"30s\" (units: ms, s, m, h, d)";

/// What a size looks like, for messages.
pub(super) const SIZE_EXAMPLE: &str = "a size such as \"1MiB\" (units: B, KB, MB, GB, KiB, MiB, GiB)";

/// A number with its unit, as in `30s`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Bytes of a number with its unit, as in `1MiB`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// The shortest text that [`parse_duration`] reads back.
pub(super) fn duration_text(duration: Duration) -> String {
    print(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS)
}

/// The shortest text that [`parse_size`] reads back.
pub(super) fn size_text(bytes: u64) -> String {
    print(bytes, &SIZE_UNITS)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print(number: u64, units: &[(&str, u64)]) -> String {
    match units.iter().find(|(_, factor)| number != 0 && number.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", number / factor),
        None => match units.iter().find(|(unit, _)| matches!(*unit, "s" | "B")) {
            Some((unit, _)) => format!("{number}{unit}"),
            None => number.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("5 m"), Some(Duration::from_secs(300)));
        assert_eq!(parse_duration("1d"), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn a_number_alone_or_an_unknown_unit_is_no_duration() {
        for text in
            ["30", "s", "", "-1s", "1.5s", "30 parsecs", "99999999999999999999s", "99999999999999999d"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_know_thousands_and_powers_of_two() {
        assert_eq!(parse_size("1MB"), Some(1_000_000));
        assert_eq!(parse_size("1MiB"), Some(1_048_576));
        assert_eq!(parse_size("512B"), Some(512));
        assert_eq!(parse_size("1mb"), None);
    }

    #[test]
    fn what_is_printed_reads_back() {
        for duration in [0, 1, 999, 1_000, 90_000, 600_000, 86_400_000].map(Duration::from_millis) {
            assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
        }
        for bytes in [0, 1, 1_000, 1_024, 1_500_000, 1 << 20, 268_435_460] {
            assert_eq!(parse_size(&size_text(bytes)), Some(bytes));
        }
        assert_eq!(duration_text(Duration::from_secs(600)), "10m");
        assert_eq!(size_text(1 << 20), "1MiB");
    }
}
