//! The one place of this crate that asks the machine for the time.

use std::time::Duration;

use tokio::time::Instant;

/// Counts from the start of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts here.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// How old the run is.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// When the run is so old.
    pub fn at(&self, elapsed: Duration) -> Instant {
        self.start + elapsed
    }
}
