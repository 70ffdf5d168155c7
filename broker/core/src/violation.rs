//! Rules that are broken across packets; each knows its statement and its reason code.

use rivulet_protocol::ReasonCode;

/// A rule that a client broke. The text goes to the log; the reason goes on the wire.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// 3.1.
    #[error("client sent a second CONNECT [MQTT-3.1.0-2]")]
    SecondConnect,
}

impl Violation {
    /// What the client is told.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::SecondConnect => ReasonCode::ProtocolError,
        }
    }
}
