//! What the broker may be waiting for, and the one queue of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ConnectionKey, Instant, SessionKey};

/// A named reason to wake up. Reaches the operator through [`crate::Broker::poll_timeout`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// A connection has not come to its CONNACK since it was accepted.
    Connect(ConnectionKey),
    /// Nothing heard for one and a half keep-alive periods [MQTT-3.1.2-22].
    KeepAlive(ConnectionKey),
    /// What the client has shown to be let in runs out.
    Credentials(ConnectionKey),
    /// The session's client has stayed away for its expiry interval (3.1.2.11.2).
    SessionExpiry(SessionKey),
    /// The will's delay is over (3.1.3.2.2).
    Will(SessionKey),
    /// Deliveries were left over by the budget of a step, or what a store has kept was not yet taken over.
    Deliveries,
}

/// All timers in the order in which they are due; equal instants in the order of [`Timer`].
///
/// Each timer is armed once at most, so the queue is bounded by what owns timers.
#[derive(Debug, Default)]
pub(crate) struct TimerQueue {
    queue: BTreeSet<(Instant, Timer)>,
    armed: BTreeMap<Timer, Instant>,
}

impl TimerQueue {
    /// Arms a timer, in place of its former instant.
    pub(crate) fn arm(&mut self, timer: Timer, at: Instant) {
        if let Some(former) = self.armed.insert(timer, at) {
            self.queue.remove(&(former, timer));
        }
        self.queue.insert((at, timer));
    }

    /// Disarms a timer, if it is armed.
    pub(crate) fn disarm(&mut self, timer: Timer) {
        if let Some(at) = self.armed.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    /// The first timer.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.queue.first().copied()
    }

    /// Takes the first timer if it is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.disarm(timer);
        Some(timer)
    }

    /// Panics if queue and index disagree.
    pub(crate) fn check(&self) {
        assert_eq!(self.queue.len(), self.armed.len(), "each armed timer is queued once");
        for (at, timer) in &self.queue {
            assert_eq!(self.armed.get(timer), Some(at), "{timer:?} is queued as it is armed");
        }
    }

    /// The timers that are armed.
    pub(crate) fn timers(&self) -> impl Iterator<Item = Timer> {
        self.armed.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Timer = Timer::Connect(ConnectionKey(1));
    const SECOND: Timer = Timer::KeepAlive(ConnectionKey(2));

    #[test]
    fn the_earliest_timer_comes_first_and_none_before_its_instant() {
        let mut timers = TimerQueue::default();
        timers.arm(FIRST, Instant(20));
        timers.arm(SECOND, Instant(10));
        timers.check();
        assert_eq!(timers.next(), Some((Instant(10), SECOND)));
        assert_eq!(timers.take_due(Instant(9)), None);
        assert_eq!(timers.take_due(Instant(10)), Some(SECOND));
        assert_eq!(timers.take_due(Instant(10)), None);
    }

    #[test]
    fn arming_again_replaces_the_former_instant() {
        let mut timers = TimerQueue::default();
        timers.arm(FIRST, Instant(10));
        timers.arm(FIRST, Instant(30));
        timers.check();
        assert_eq!(timers.take_due(Instant(29)), None);
        timers.disarm(FIRST);
        assert_eq!(timers.next(), None);
        timers.check();
    }
}
