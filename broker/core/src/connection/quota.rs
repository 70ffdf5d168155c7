//! The send quota towards a client: how many QoS 1 and 2 messages may be unacknowledged (4.9).
//!
//! One quota for all flows of a connection: every client seen keeps one table for all of them.

/// The quota of one connection.
#[derive(Debug)]
pub(crate) struct SendQuota {
    maximum: u16,
    used: u16,
}

impl SendQuota {
    /// `maximum` is the lower of the client's receive maximum and ours.
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum, used: 0 }
    }

    /// Whether another message may be sent [MQTT-3.3.4-9].
    pub(crate) fn has_room(&self) -> bool {
        self.used < self.maximum
    }

    /// A QoS 1 or 2 PUBLISH is sent.
    pub(crate) fn take(&mut self) {
        self.used += 1;
    }

    /// Its last acknowledgement came.
    pub(crate) fn give_back(&mut self) {
        self.used -= 1;
    }

    pub(crate) fn used(&self) -> u16 {
        self.used
    }

    pub(crate) fn maximum(&self) -> u16 {
        self.maximum
    }
}
