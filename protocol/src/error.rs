//! What is wrong with received bytes; each fault knows its statement and its reason code.

use crate::ReasonCode;

/// A packet that cannot be taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than the receiver takes.
    #[error("packet of {bytes} bytes, we allow {max} [MQTT-3.2.2-15]")]
    PacketTooLarge {
        /// Size of the packet, fixed header included.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
}

impl DecodeError {
    /// What the peer is told (4.13).
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
        }
    }
}
