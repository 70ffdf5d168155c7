//! UNSUBSCRIBE and UNSUBACK (3.10, 3.11).

use crate::packet::ReasonProperties;
use crate::{PacketId, ReasonCode, TopicFilter, UserProperties};

/// A client ends subscriptions (3.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsubscribe {
    /// 3.10.2.
    pub packet_id: PacketId,
    /// 3.10.2.1.2. 5.0 only.
    pub user_properties: UserProperties,
    /// 3.10.3: at least one [MQTT-3.10.3-2].
    pub filters: Vec<TopicFilter>,
}

/// The server's answer to UNSUBSCRIBE (3.11).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnsubAck {
    /// 3.11.2.
    pub packet_id: PacketId,
    /// 3.11.3: one per filter, in their order. Not on the wire in 3.1.1, where decoding leaves it empty.
    pub reasons: Vec<ReasonCode>,
    /// 3.11.2.1. 5.0 only.
    pub properties: ReasonProperties,
}
