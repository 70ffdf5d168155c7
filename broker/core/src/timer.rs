//! What the broker may be waiting for.

use crate::ConnectionKey;

/// A named reason to wake up. Reaches the operator through [`crate::Broker::poll_timeout`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// CONNECT has not arrived since the connection was accepted.
    Connect(ConnectionKey),
    /// Nothing heard for one and a half keep-alive periods [MQTT-3.1.2-22].
    KeepAlive(ConnectionKey),
}
