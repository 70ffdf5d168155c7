//! Keep alive (3.1.2.10): a client that is silent for one and a half periods is gone.

use std::time::Duration;

use crate::Instant;

/// The keep alive of one connection.
///
/// Hearing something moves no timer; the timer looks when it is due, and is armed again for what is left.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    period_secs: u16,
    heard: Instant,
}

impl KeepAlive {
    pub(crate) fn new(period_secs: u16, now: Instant) -> Self {
        Self { period_secs, heard: now }
    }

    /// A packet came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(crate) fn period_secs(&self) -> u16 {
        self.period_secs
    }

    /// When the client counts as gone if nothing comes [MQTT-3.1.2-22]. `None`: never, the period is 0.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.period_secs == 0 {
            return None;
        }
        // At most 65,535 s, so one and a half of it is at most 98,302,500 ms.
        let silence = Duration::from_millis(u64::from(self.period_secs) * 1_500);
        Some(self.heard + silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MQTT-3.1.2-22].
    #[test]
    fn the_deadline_is_one_and_a_half_periods_after_the_last_packet() {
        let mut keep_alive = KeepAlive::new(10, Instant(0));
        assert_eq!(keep_alive.deadline(), Some(Instant(15_000_000)));
        keep_alive.heard(Instant(1_000_000));
        assert_eq!(keep_alive.deadline(), Some(Instant(16_000_000)));
    }

    /// 3.1.2.10.
    #[test]
    fn a_period_of_zero_turns_it_off() {
        assert_eq!(KeepAlive::new(0, Instant(0)).deadline(), None);
    }
}
