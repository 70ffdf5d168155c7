//! How long to wait before the next attempt.

use std::time::Duration;

use oorandom::Rand32;

use crate::Reconnect;

/// A connection that held this long was a good one: pauses begin again with the first.
pub(crate) const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Doubling pauses, each drawn from the upper half of its length.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Reconnect,
    attempts: u32,
    chance: Rand32,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect, seed: u64) -> Self {
        Self { policy, attempts: 0, chance: Rand32::new(seed) }
    }

    /// The next pause with its number, from 1; `None` if there is to be no further attempt.
    pub(crate) fn next(&mut self) -> Option<(Duration, u32)> {
        match self.policy {
            Reconnect::Never => None,
            Reconnect::Backoff { first, max } => {
                let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
                let longest = first.saturating_mul(factor).min(max);
                self.attempts = self.attempts.saturating_add(1);
                Some((longest.mul_f32(0.5 + self.chance.rand_float() / 2.0), self.attempts))
            }
        }
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// A seed that differs between processes and between the clients of one.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn pauses_double_up_to_their_maximum_and_never_go_below_its_half() {
        let mut backoff = Backoff::new(Reconnect::Backoff { first: FIRST, max: MAX }, 7);
        for attempt in 1..=100 {
            let (pause, number) = backoff.next().unwrap();
            let longest = FIRST.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(MAX);
            assert_eq!(number, attempt);
            assert!(pause <= longest && pause >= longest / 2, "attempt {attempt}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.next().unwrap().0 <= FIRST);
    }

    #[test]
    fn two_clients_do_not_come_back_together() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(Reconnect::Backoff { first: FIRST, max: MAX }, seed);
            (0..8).map(|_| backoff.next().unwrap().0).collect::<Vec<_>>()
        };
        assert_ne!(pauses(1), pauses(2));
        assert_ne!(seed(), seed());
    }

    #[test]
    fn never_means_no_attempt() {
        assert!(Backoff::new(Reconnect::Never, 1).next().is_none());
    }
}
