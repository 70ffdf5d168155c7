//! Durations measured by the thousand, and how they are told.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer durations count as this one.
const LONGEST: Duration = Duration::from_secs(3600);

/// Three digits: a percentile is right to one part in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A collection of durations, in microseconds.
#[derive(Debug)]
pub struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        let longest = micros(LONGEST);
        Self(
            Histogram::new_with_max(longest, SIGNIFICANT_DIGITS)
                .expect("the two constants are within its bounds"),
        )
    }
}

impl Durations {
    /// Adds one. Times under a microsecond count as one.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(micros(duration).max(1));
    }

    /// All of `others` too.
    pub fn append(&mut self, others: &Self) {
        // Both have the same bounds, so that there is nothing that does not fit.
        self.0.add(&others.0).unwrap_or(());
    }

    /// `None` if there is none.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| Micros(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Percentiles {
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
            max: Micros(self.0.max()),
        })
    }
}

/// What is told of many durations. In JSON: microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half were not longer.
    pub p50: Micros,
    /// Nine of ten were not longer.
    pub p90: Micros,
    /// 99 of a hundred were not longer.
    pub p99: Micros,
    /// None was longer.
    pub max: Micros,
}

/// A duration in microseconds. Prints itself with three digits and the unit that fits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            micros @ ..1_000 => return f.pad(&format!("{micros} µs")),
            micros @ ..1_000_000 => (micros as f64 / 1e3, "ms"),
            micros => (micros as f64 / 1e6, "s"),
        };
        let digits = match value {
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_thousand_even_steps_stand_where_they_should() {
        let mut durations = Durations::default();
        for millis in 1..=1000 {
            durations.record(Duration::from_millis(millis));
        }
        let percentiles = durations.percentiles().unwrap();
        for (got, want) in [
            (percentiles.p50, 500_000),
            (percentiles.p90, 900_000),
            (percentiles.p99, 990_000),
            (percentiles.max, 1_000_000),
        ] {
            assert!(got.0.abs_diff(want) <= want / 1000, "{got} is not {want} µs");
        }
    }

    #[test]
    fn nothing_measured_has_no_percentiles() {
        assert_eq!(Durations::default().percentiles(), None);
    }

    #[test]
    fn a_duration_beyond_all_bounds_is_counted_not_dropped() {
        let mut durations = Durations::default();
        durations.record(Duration::MAX);
        durations.record(Duration::ZERO);
        let percentiles = durations.percentiles().unwrap();
        assert_eq!(percentiles.p50, Micros(1));
        assert!(percentiles.max.0 >= micros(LONGEST));
    }

    #[test]
    fn a_duration_is_told_in_three_digits_and_the_unit_that_fits() {
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1.00 ms"),
            (12_345, "12.3 ms"),
            (999_400, "999 ms"),
            (1_500_000, "1.50 s"),
            (61_000_000, "61.0 s"),
        ] {
            assert_eq!(Micros(micros).to_string(), text);
        }
        assert_eq!(format!("[{:>8}]", Micros(5)), "[    5 µs]");
    }
}
