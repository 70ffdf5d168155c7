//! Every bound of the core: unit, default, range, and what happens at the edge.

use std::time::Duration;

/// The bounds. Each has a default that suits an edge gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// How long a connection may take to send CONNECT. Default 10 s. At the edge: closed.
    pub connect_timeout: Duration,
    /// Largest packet taken, fixed header included, in bytes. Default 1 MiB. Enforced by the decoder.
    pub maximum_packet_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), maximum_packet_bytes: 1 << 20 }
    }
}
