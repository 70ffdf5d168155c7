//! PUBLISH (3.3).

use bytes::Bytes;

use crate::{MessageProperties, PacketQos, SubscriptionId, Topic, TopicAlias};

/// A message on one hop (3.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Publish {
    /// 3.3.1.1: perhaps a repetition. Never set with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// 3.3.1.2, 3.3.2.2.
    pub qos: PacketQos,
    /// 3.3.1.3.
    pub retain: bool,
    /// 3.3.2.1, 3.3.2.3.4.
    pub topic: PublishTopic,
    /// 3.3.2.3.8: only from server to client [MQTT-3.3.4-6].
    pub subscription_ids: Vec<SubscriptionId>,
    /// 3.3.2.3.
    pub properties: MessageProperties,
    /// 3.3.3.
    pub payload: Bytes,
}

/// How a PUBLISH names its topic. The name may be empty only where an alias stands for it (3.3.2.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublishTopic {
    /// By name.
    Name(Topic),
    /// By name, and from here on by alias too.
    Define(Topic, TopicAlias),
    /// By an alias that was defined before.
    Alias(TopicAlias),
}
