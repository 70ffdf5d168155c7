//! When to send PINGREQ, and when to give up on the server (3.1.2.10, 4.13).

use std::time::Duration;

use tokio::time::Instant;

/// Watches over silence in both directions. A ping is due when either side has been silent for the interval: ours,
/// because the server counts on hearing from us; theirs, because it may be gone while we keep sending.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    interval: Option<Duration>,
    timeout: Duration,
    sent: Instant,
    heard: Instant,
    /// When the PINGREQ went out that nothing has followed yet.
    pinged: Option<Instant>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    GiveUp,
}

impl KeepAlive {
    /// No interval: there is no keep alive.
    pub(crate) fn new(interval: Option<Duration>, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, sent: now, heard: now, pinged: None }
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// Anything at all shows that the server is there. Called too where we do not read because the application takes
    /// nothing: that we hear nothing then is not the server's silence, and our own must still be broken.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Due {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        if self.pinged.is_some() {
            return Due::GiveUp;
        }
        self.pinged = Some(now);
        Due::Ping
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some(match self.pinged {
            Some(pinged) => pinged + self.timeout,
            None => self.sent.min(self.heard) + interval,
        })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);
    const TIMEOUT: Duration = Duration::from_secs(10);

    fn keep_alive() -> (KeepAlive, Instant) {
        let start = Instant::now();
        (KeepAlive::new(Some(INTERVAL), TIMEOUT, start), start)
    }

    #[test]
    fn a_ping_is_due_after_silence_of_either_side() {
        let (mut both, start) = keep_alive();
        assert_eq!(both.poll(start + INTERVAL - TIMEOUT), Due::Nothing);
        assert_eq!(both.poll(start + INTERVAL), Due::Ping);
        let (mut ours, start) = keep_alive();
        ours.heard(start + TIMEOUT);
        assert_eq!(ours.poll(start + INTERVAL), Due::Ping);
        let (mut theirs, start) = keep_alive();
        theirs.sent(start + TIMEOUT);
        assert_eq!(theirs.poll(start + INTERVAL), Due::Ping);
    }

    #[test]
    fn a_server_that_does_not_answer_a_ping_is_given_up() {
        let (mut silent, start) = keep_alive();
        assert_eq!(silent.poll(start + INTERVAL), Due::Ping);
        assert_eq!(silent.poll(start + INTERVAL + TIMEOUT / 2), Due::Nothing);
        assert_eq!(silent.poll(start + INTERVAL + TIMEOUT), Due::GiveUp);
    }

    #[test]
    fn any_packet_answers_a_ping() {
        let (mut alive, start) = keep_alive();
        assert_eq!(alive.poll(start + INTERVAL), Due::Ping);
        alive.heard(start + INTERVAL + TIMEOUT / 2);
        alive.sent(start + INTERVAL + TIMEOUT / 2);
        assert_eq!(alive.poll(start + INTERVAL + TIMEOUT), Due::Nothing);
    }

    #[test]
    fn while_we_do_not_read_pings_go_out_and_the_server_is_not_blamed() {
        let (mut deaf, start) = keep_alive();
        for round in 1..10 {
            let now = start + INTERVAL * round;
            deaf.heard(now);
            assert_eq!(deaf.poll(now), Due::Ping, "round {round}");
            deaf.sent(now);
        }
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let start = Instant::now();
        let mut off = KeepAlive::new(None, TIMEOUT, start);
        assert_eq!(off.poll(start + INTERVAL * 1_000), Due::Nothing);
        assert_eq!(off.deadline(), None);
    }
}
