//! The Application Message: what is routed, queued, retained and stored; and one delivery of it.
//!
//! A message has no packet identifier, no DUP and no topic alias: those belong to one hop, and live in
//! [`crate::packet::Publish`] and [`Delivery`].

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use crate::data::{Redacted, Sink, checked_string};
use crate::error::Fault;
use crate::properties::{PropertyReader, PropertySink, UserFields, id, not_allowed, value_fault};
use crate::{PacketId, QoS, SubscriptionId, Topic, TopicAlias, UserProperties};

/// What a publisher wants others to have.
///
/// Topic, payload and properties are slices of the buffer that they arrived in; [`Message::detach`] copies them out
/// where a message is kept for long.
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    /// Where it was published.
    pub topic: Topic,
    /// The level that the publisher asked for.
    pub qos: QoS,
    /// Whether the publisher asked to keep it as the topic's last word (3.3.1.3).
    pub retain: bool,
    /// The content.
    pub payload: Bytes,
    /// What travels with it, unaltered (3.3.2.3).
    pub properties: MessageProperties,
}

impl Message {
    /// A copy that shares no memory with the receive buffer. A message that is kept (retained, or queued for an
    /// absent client) would otherwise hold a whole buffer for a few bytes.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            topic: self.topic.detach(),
            qos: self.qos,
            retain: self.retain,
            payload: Bytes::copy_from_slice(&self.payload),
            properties: self.properties.detach(),
        }
    }
}

/// Without the payload, of which only the length is told.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("payload", &Redacted(&self.payload))
            .field("properties", &self.properties)
            .finish()
    }
}

/// The properties of a message that the server forwards as they are (3.3.2.3, 3.1.3.2).
#[derive(Clone, Default, Eq, PartialEq)]
pub struct MessageProperties {
    /// 3.3.2.3.2: whether the payload is said to be UTF-8.
    pub payload_format: Option<PayloadFormat>,
    /// 3.3.2.3.3: lifetime in seconds, as the publisher sent it.
    pub message_expiry_secs: Option<u32>,
    /// 3.3.2.3.9.
    pub content_type: Option<ByteString>,
    /// 3.3.2.3.5.
    pub response_topic: Option<Topic>,
    /// 3.3.2.3.6.
    pub correlation_data: Option<Bytes>,
    /// 3.3.2.3.7: pairs, in their order.
    pub user_properties: UserProperties,
}

impl MessageProperties {
    /// Writes all but the lifetime, which is `message_expiry_secs` on this hop.
    #[inline]
    pub(crate) fn write<S: Sink>(&self, message_expiry_secs: Option<u32>, sink: &mut S) {
        sink.property_u8(id::PAYLOAD_FORMAT_INDICATOR, self.payload_format.map(PayloadFormat::byte));
        sink.property_u32(id::MESSAGE_EXPIRY_INTERVAL, message_expiry_secs);
        sink.property_string(id::CONTENT_TYPE, self.content_type.as_deref());
        sink.property_string(id::RESPONSE_TOPIC, self.response_topic.as_ref().map(Topic::as_str));
        sink.property_binary(id::CORRELATION_DATA, self.correlation_data.as_deref());
        sink.user_properties(&self.user_properties);
    }

    fn detach(&self) -> Self {
        Self {
            payload_format: self.payload_format,
            message_expiry_secs: self.message_expiry_secs,
            content_type: self.content_type.as_deref().map(ByteString::from),
            response_topic: self.response_topic.as_ref().map(Topic::detach),
            correlation_data: self.correlation_data.as_deref().map(Bytes::copy_from_slice),
            user_properties: self.user_properties.detach(),
        }
    }
}

/// Where the properties stand that PUBLISH and the will have in common. First all are found and checked, then they are
/// sliced, which cannot fail: so a packet is made in one go, where it stays.
#[derive(Debug, Default)]
pub(crate) struct MessageFields {
    payload_format: Option<PayloadFormat>,
    message_expiry_secs: Option<u32>,
    content_type: Option<Range<usize>>,
    response_topic: Option<Range<usize>>,
    correlation_data: Option<Range<usize>>,
}

impl MessageFields {
    /// Reads the property that `id` begins.
    #[inline(always)]
    pub(crate) fn read<B: Deref<Target = [u8]>>(
        &mut self,
        id: u8,
        section: &mut PropertyReader<'_, '_, B>,
    ) -> Result<(), Fault> {
        match id {
            id::PAYLOAD_FORMAT_INDICATOR => {
                let value = section.u8()?;
                let format = PayloadFormat::from_byte(value).ok_or(value_fault(id, value.into()))?;
                self.payload_format = Some(format);
            }
            id::MESSAGE_EXPIRY_INTERVAL => self.message_expiry_secs = Some(section.u32()?),
            id::CONTENT_TYPE => self.content_type = Some(section.string_field()?),
            id::RESPONSE_TOPIC => self.response_topic = Some(section.response_topic_field()?),
            id::CORRELATION_DATA => self.correlation_data = Some(section.field()?),
            _ => return Err(not_allowed(id)),
        }
        Ok(())
    }

    /// Slices what was found out of the packet's bytes, and leaves in `bytes` what stands from `rest_at` on.
    ///
    /// One step, because strings are made after `bytes` was cut: moving it right after that would stall.
    #[inline(always)]
    pub(crate) fn split(self, user: UserFields, bytes: &mut Bytes, rest_at: usize) -> MessageProperties {
        let content_type = self.content_type.map(|field| bytes.slice(field));
        let response_topic = self.response_topic.map(|field| bytes.slice(field));
        let correlation_data = self.correlation_data.map(|field| bytes.slice(field));
        let user_properties = user.slice(bytes);
        bytes.advance(rest_at);
        MessageProperties {
            payload_format: self.payload_format,
            message_expiry_secs: self.message_expiry_secs,
            content_type: content_type.map(checked_string),
            response_topic: response_topic.map(|topic| Topic::checked(checked_string(topic))),
            correlation_data,
            user_properties,
        }
    }
}

/// Without the correlation data, of which only the length is told.
impl std::fmt::Debug for MessageProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageProperties")
            .field("payload_format", &self.payload_format)
            .field("message_expiry_secs", &self.message_expiry_secs)
            .field("content_type", &self.content_type)
            .field("response_topic", &self.response_topic)
            .field("correlation_data", &self.correlation_data.as_deref().map(Redacted))
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

/// Payload Format Indicator (3.3.2.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PayloadFormat {
    /// 0: unspecified bytes.
    Unspecified,
    /// 1: UTF-8 encoded character data.
    Utf8,
}

impl PayloadFormat {
    /// `None` for more than 1.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Unspecified),
            1 => Some(Self::Utf8),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Utf8 => 1,
        }
    }
}

/// The level of one PUBLISH on one hop, with the packet identifier that QoS 1 and 2 need [MQTT-2.2.1-2].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PacketQos {
    /// QoS 0: nothing to acknowledge.
    AtMostOnce,
    /// QoS 1: answered by PUBACK.
    AtLeastOnce(PacketId),
    /// QoS 2: answered by PUBREC.
    ExactlyOnce(PacketId),
}

impl PacketQos {
    /// The level without its identifier.
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    /// The packet identifier, which QoS 0 has not.
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

/// One message on its way to one subscriber: the shared message, and what differs per subscriber.
///
/// The encoder turns it into a PUBLISH packet without copying the payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// The message that all its subscribers share.
    pub message: Arc<Message>,
    /// Level and packet identifier of this hop.
    pub qos: PacketQos,
    /// Whether it was sent before on this session (3.3.1.1).
    pub dup: bool,
    /// The RETAIN flag of this hop (3.3.1.3, 3.8.3.1).
    pub retain: bool,
    /// Which of the subscriber's subscriptions matched (3.3.2.3.8).
    pub subscription_ids: Vec<SubscriptionId>,
    /// What is left of the message's lifetime in seconds [MQTT-3.3.2-6].
    pub message_expiry_secs: Option<u32>,
    /// Replaces the topic name, or introduces its replacement.
    pub topic_alias: Option<OutboundAlias>,
}

/// A topic alias towards a subscriber (3.3.2.3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutboundAlias {
    /// Sent with the topic name: from here on the alias stands for it.
    Define(TopicAlias),
    /// Sent instead of the topic name.
    Use(TopicAlias),
}
