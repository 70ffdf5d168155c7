//! The one place that asks the machine for the time.

use std::time::Duration;

use rivulet_core::{Instant, Now, WallTime};

/// Turns the machine's clocks into the core's numbers, counted from its own making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts here.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    pub(crate) fn start() -> Self {
        Self { origin: std::time::Instant::now().into() }
    }

    /// The time of one round of inputs.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    pub(crate) fn now(&self) -> Now {
        // A wall clock before 1970 reads as 1970: expiry then errs towards keeping.
        let wall =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now {
            instant: Instant::default() + std::time::Instant::now().duration_since(self.origin.into_std()),
            wall: WallTime::default() + wall,
        }
    }

    /// When an instant of the core's comes, for the runtime's timers.
    pub(crate) fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        // An instant that is further away than the runtime can count is as good as a day away: the timer is set again.
        const FAR: Duration = Duration::from_secs(24 * 60 * 60);
        let ahead = instant - Instant::default();
        self.origin.checked_add(ahead).unwrap_or(self.origin + FAR)
    }
}

/// The time that the runtime's timers go by.
pub(crate) fn runtime_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// The world's time, for certificates.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
pub(crate) fn wall() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// A number that differs from start to start, for the core's seed. Not a secret.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
pub(crate) fn seed() -> rivulet_core::Seed {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    rivulet_core::Seed(nanos ^ u64::from(std::process::id()).rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_as_far_ahead_as_its_instant() {
        let clock = Clock::start();
        let now = clock.now();
        let later = clock.deadline(now.instant + Duration::from_secs(5)) - clock.deadline(now.instant);
        assert_eq!(later, Duration::from_secs(5));
    }

    #[test]
    fn an_instant_beyond_all_counting_has_a_deadline() {
        let clock = Clock::start();
        assert!(clock.deadline(Instant(u64::MAX)) > clock.deadline(Instant(0)));
    }

    #[test]
    fn time_does_not_go_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now().instant >= first.instant);
        assert!(first.wall > WallTime(0));
    }
}
