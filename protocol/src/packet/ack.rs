//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7): four packets of one shape.

use bytestring::ByteString;

use crate::{PacketId, ReasonCode, UserProperties};

/// The content of PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ack {
    /// The exchange that it belongs to.
    pub packet_id: PacketId,
    /// The outcome. 3.1.1 has none on the wire: Success.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: ReasonProperties,
}

impl Ack {
    /// Success, without properties.
    pub fn success(packet_id: PacketId) -> Self {
        Self::new(packet_id, ReasonCode::Success)
    }

    /// A reason, without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: ReasonProperties::default() }
    }
}

/// The two properties that every acknowledgement may carry (3.4.2.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReasonProperties {
    /// For people, not for programs (3.4.2.2.2).
    pub reason_string: Option<ByteString>,
    /// 3.4.2.2.3.
    pub user_properties: UserProperties,
}
