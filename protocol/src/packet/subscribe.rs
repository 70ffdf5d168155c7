//! SUBSCRIBE and SUBACK (3.8, 3.9).

use crate::packet::ReasonProperties;
use crate::{PacketId, QoS, ReasonCode, SubscriptionId, TopicFilter, UserProperties};

/// A client asks for subscriptions (3.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscribe {
    /// 3.8.2.
    pub packet_id: PacketId,
    /// 3.8.2.1.2: belongs to every subscription of this packet. 5.0 only.
    pub subscription_id: Option<SubscriptionId>,
    /// 3.8.2.1.3. 5.0 only.
    pub user_properties: UserProperties,
    /// 3.8.3: at least one [MQTT-3.8.3-2].
    pub subscriptions: Vec<Subscription>,
}

/// A topic filter with its options (3.8.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// Which topics.
    pub filter: TopicFilter,
    /// On which terms.
    pub options: SubscriptionOptions,
}

/// Subscription Options (3.8.3.1). In 3.1.1 all but the level are at their defaults.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SubscriptionOptions {
    /// The highest level at which the client takes messages.
    pub maximum_qos: QoS,
    /// Whether the client's own messages stay away.
    pub no_local: bool,
    /// Whether forwarded messages keep the RETAIN flag of their publisher.
    pub retain_as_published: bool,
    /// What happens to retained messages when the subscription is made.
    pub retain_handling: RetainHandling,
}

/// Retain Handling (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0: send retained messages at each subscribe.
    #[default]
    Send = 0,
    /// 1: only if the subscription did not exist.
    SendIfNew = 1,
    /// 2: never.
    DoNotSend = 2,
}

/// The server's answer to SUBSCRIBE (3.9).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubAck {
    /// 3.9.2.
    pub packet_id: PacketId,
    /// 3.9.3: one per subscription, in their order.
    pub reasons: Vec<ReasonCode>,
    /// 3.9.2.1. 5.0 only.
    pub properties: ReasonProperties,
}
