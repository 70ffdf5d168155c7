//! How long a session outlives its connection (3.1.2.11.2), and its end.

use std::time::Duration;

use super::will;
use crate::broker::Broker;
use crate::handover::left_behind;
use crate::{Event, Limits, Now, SessionKey, Timer};

/// A session expiry interval. 0 ends the session with its connection; `u32::MAX` never ends it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Expiry(u32);

impl Expiry {
    /// The session ends with its connection.
    pub(crate) const WITH_CONNECTION: Self = Self(0);

    /// What a 5.0 client is granted.
    pub(crate) fn granted(requested_secs: u32, limits: &Limits) -> Self {
        Self(requested_secs.min(limits.session_expiry_max_secs))
    }

    /// What Clean Session of 3.1.1 means (3.1.2.4 of 3.1.1). How long a kept session is kept is left to the server.
    pub(crate) fn of_clean_session(clean_session: bool, limits: &Limits) -> Self {
        if clean_session { Self::WITH_CONNECTION } else { Self(limits.session_expiry_v3_secs) }
    }

    /// As a store kept it.
    pub(crate) const fn from_secs(secs: u32) -> Self {
        Self(secs)
    }

    pub(crate) const fn secs(self) -> u32 {
        self.0
    }

    pub(crate) const fn outlives_connection(self) -> bool {
        self.0 > 0
    }

    /// From the end of the connection to the end of the session. `None`: it never ends.
    pub(crate) const fn interval(self) -> Option<Duration> {
        match self.0 {
            u32::MAX => None,
            secs => Some(Duration::from_secs(secs as u64)),
        }
    }
}

impl Broker {
    /// The client of a session is away from here on: starts the session's expiry and the delay of its will.
    ///
    /// `away` is for how long it has been away already.
    pub(crate) fn begin_absence(&mut self, now: Now, key: SessionKey, away: Duration) {
        let Some(session) = self.sessions.get(key) else { return };
        if let Some(interval) = session.expiry.interval() {
            self.timers.arm(Timer::SessionExpiry(key), now.instant + interval.saturating_sub(away));
        }
        let Some(delay) = session.will.as_deref().map(will::delay) else { return };
        if delay.is_zero() {
            self.publish_will(now, key);
        } else {
            // A session that ends before the delay is over publishes its will then (3.1.3.2.2).
            self.timers.arm(Timer::Will(key), now.instant + delay.saturating_sub(away));
        }
    }

    pub(crate) fn on_session_expiry(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        self.outbox.event(Event::SessionExpired { client_id: session.client_id.clone() });
        self.end_session(now, key);
    }

    /// Ends a session that has no connection: its will is due, then nothing of it is left.
    pub(crate) fn end_session(&mut self, now: Now, key: SessionKey) {
        self.publish_will(now, key);
        let Some(session) = self.sessions.remove(key) else { return };
        self.timers.disarm(Timer::SessionExpiry(key));
        self.timers.disarm(Timer::Will(key));
        self.clients.remove(&session.client_id);
        self.router.forget(key);
        let left_behind = left_behind(&session);
        if session.is_stored {
            self.durable.write_end(key, session.client_id);
        }
        for waiting in &left_behind {
            self.publish_to_group(now, waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_expiry_than_the_limit_is_shortened() {
        let limits = Limits { session_expiry_max_secs: 60, ..Limits::default() };
        assert_eq!(Expiry::granted(61, &limits).secs(), 60);
        assert_eq!(Expiry::granted(60, &limits).secs(), 60);
        assert_eq!(Expiry::granted(u32::MAX, &limits).interval(), Some(Duration::from_secs(60)));
    }

    /// 3.1.2.11.2.
    #[test]
    fn the_largest_interval_never_ends() {
        assert_eq!(Expiry::from_secs(u32::MAX).interval(), None);
        assert!(!Expiry::WITH_CONNECTION.outlives_connection());
    }
}
