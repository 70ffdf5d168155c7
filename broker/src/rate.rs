//! Rates: so many per second, and what was not used is saved up for a while.
//!
//! Time is an argument; nothing here waits.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// So many per second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many.
    pub per_second: NonZeroU32,
    /// How long unused ones are saved up: the burst, as a time. With less than a second a slow rate may never have one.
    pub burst: Duration,
}

/// The rates of each client; `None`: as fast as it likes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PublishRates {
    /// Messages per second.
    pub messages: Option<Rate>,
    /// Bytes of payloads per second.
    pub bytes: Option<Rate>,
}

/// The rates of arriving connections; `None`: as fast as they come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConnectionRates {
    /// Of all together.
    pub all: Option<Rate>,
    /// Of each address.
    pub per_address: Option<Rate>,
}

impl Rate {
    /// How long it takes for so many.
    fn time_for(self, amount: usize) -> Duration {
        let nanoseconds = amount as u128 * NANOSECONDS_PER_SECOND / u128::from(self.per_second.get());
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// What is left of a rate: one instant, at which nothing of it is used any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// With all that can be saved up.
    pub(crate) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes so many. What is not there is a debt, to be waited for.
    pub(crate) fn take(&mut self, rate: Rate, amount: usize, now: Instant) {
        self.full_at = self.full_at.max(now) + rate.time_for(amount);
    }

    /// How long until there is one.
    pub(crate) fn wait(&self, rate: Rate, now: Instant) -> Duration {
        let used = self.full_at.saturating_duration_since(now) + rate.time_for(1);
        used.saturating_sub(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst_seconds: u64) -> Rate {
        Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: Duration::from_secs(burst_seconds) }
    }

    fn taken(bucket: &mut Bucket, rate: Rate, now: Instant) -> usize {
        let mut taken = 0;
        while bucket.wait(rate, now).is_zero() {
            bucket.take(rate, 1, now);
            taken += 1;
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_saved_up_goes_at_once_and_the_rest_at_the_rate() {
        let (rate, start) = (rate(10, 2), Instant::now());
        let mut bucket = Bucket::full(start);
        assert_eq!(taken(&mut bucket, rate, start), 20);
        assert_eq!(bucket.wait(rate, start), Duration::from_millis(100));
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_millis(99)), 0);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_millis(100)), 1);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_millis(1_100)), 10);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_secs(3_600)), 20, "no more is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_is_waited_for() {
        let (rate, start) = (rate(1_000, 1), Instant::now());
        let mut bucket = Bucket::full(start);
        bucket.take(rate, 5_000, start);
        assert_eq!(bucket.wait(rate, start), Duration::from_millis(4_001));
        assert_eq!(bucket.wait(rate, start + Duration::from_millis(4_001)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_rate_has_one_each_second() {
        let (rate, start) = (rate(1, 1), Instant::now());
        let mut bucket = Bucket::full(start);
        assert_eq!(taken(&mut bucket, rate, start), 1);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_secs(1)), 1);
    }
}
