//! The broker: connections, sessions, router, timers.

use crate::{Input, Instant, Limits, Now, Output, Seed, Snapshot, Timer};

/// A broker as a value.
#[derive(Debug)]
pub struct Broker {}

impl Broker {
    /// A broker with what a store has kept.
    pub fn new(_limits: Limits, _seed: Seed, _snapshot: Snapshot) -> Self {
        Self {}
    }

    /// Applies one input. Never fails: a peer's mistake becomes outputs, ours is a bug.
    pub fn handle(&mut self, _now: Now, _input: Input) {}

    /// The next thing to do; drained before the next `handle`, within a fairness budget.
    pub fn poll_output(&mut self, _now: Now) -> Option<Output> {
        None
    }

    /// When to call again with [`Input::TimerDue`], and what is waiting.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        None
    }

    /// Panics if two parts of the state disagree. After each step in tests and simulation.
    pub fn check(&self) {}
}
