//! PUBLISH (3.3).

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use crate::data::{Measure, Reader, Redacted, Sink};
use crate::error::Fault;
use crate::fixed_header::{FixedHeader, PublishFlags};
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, id, value_fault};
use crate::{
    Delivery, MessageProperties, PacketQos, PacketType, QoS, SubscriptionId, Topic, TopicAlias, Version,
};

/// A message on one hop (3.3).
#[derive(Clone, Eq, PartialEq)]
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

/// Without the payload, of which only the length is told.
impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("subscription_ids", &self.subscription_ids)
            .field("properties", &self.properties)
            .field("payload", &Redacted(&self.payload))
            .finish()
    }
}

impl Publish {
    /// Inlined, so that the packet is made where it stays.
    #[inline(always)]
    pub(crate) fn decode(header: &FixedHeader, mut bytes: Bytes, version: Version) -> Result<Self, Fault> {
        header.check_length(version)?;
        let PublishFlags { dup, qos, retain } = PublishFlags::read(header.flags)?;
        let mut reader = Reader::new(&bytes, header.bytes);
        let name = reader.field()?;
        let qos = match qos {
            QoS::AtMostOnce => PacketQos::AtMostOnce,
            QoS::AtLeastOnce => PacketQos::AtLeastOnce(reader.packet_id()?),
            QoS::ExactlyOnce => PacketQos::ExactlyOnce(reader.packet_id()?),
        };
        if !version.has_properties() || (!name.is_empty() && reader.skip_empty_properties()) {
            let payload_at = reader.position();
            let name = bytes.slice(name);
            bytes.advance(payload_at);
            Topic::check(&name).map_err(Fault::TopicName)?;
            let Ok(name) = ByteString::try_from(name) else { return Err(Fault::NotUtf8) };
            return Ok(Self {
                dup,
                qos,
                retain,
                topic: PublishTopic::Name(Topic::checked(name)),
                subscription_ids: Vec::new(),
                properties: MessageProperties::default(),
                payload: bytes,
            });
        }
        let PublishProperties { alias, subscription_ids, properties } =
            PublishProperties::decode(&mut reader)?;
        let payload_at = reader.position();
        let Ok(name) = ByteString::try_from(bytes.slice(name)) else { return Err(Fault::NotUtf8) };
        let topic = topic(name, alias, version)?;
        bytes.advance(payload_at);
        Ok(Self { dup, qos, retain, topic, subscription_ids, properties, payload: bytes })
    }
}

/// How the packet names its topic (3.3.2.1, 3.3.2.3.4).
#[inline(always)]
fn topic(name: ByteString, alias: Option<TopicAlias>, version: Version) -> Result<PublishTopic, Fault> {
    match alias {
        Some(alias) if name.is_empty() => Ok(PublishTopic::Alias(alias)),
        Some(alias) => Ok(PublishTopic::Define(Topic::parse(name).map_err(Fault::TopicName)?, alias)),
        None if name.is_empty() && version.has_properties() => Err(Fault::NoTopic),
        None => Ok(PublishTopic::Name(Topic::parse(name).map_err(Fault::TopicName)?)),
    }
}

/// All properties of PUBLISH (3.3.2.3).
#[derive(Debug, Default)]
struct PublishProperties {
    alias: Option<TopicAlias>,
    subscription_ids: Vec<SubscriptionId>,
    properties: MessageProperties,
}

impl PublishProperties {
    #[inline(always)]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut all = Self::default();
        let mut section = PropertyReader::new(reader, Carrier::Packet(PacketType::Publish))?;
        while let Some(id) = section.next()? {
            match id {
                id::TOPIC_ALIAS => {
                    all.alias = Some(TopicAlias::new(section.u16()?).ok_or(Fault::TopicAliasZero)?)
                }
                id::SUBSCRIPTION_IDENTIFIER => {
                    let number = section.variable_byte_integer()?;
                    all.subscription_ids.push(SubscriptionId::new(number).ok_or(value_fault(id, number))?);
                }
                _ => all.properties.read(id, &mut section)?,
            }
        }
        all.properties.user_properties = section.finish();
        Ok(all)
    }
}

/// What a PUBLISH is written from: a packet, or a delivery with the message that it shares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishParts<'a> {
    dup: bool,
    qos: PacketQos,
    retain: bool,
    /// Empty where an alias stands for it.
    topic: &'a str,
    alias: Option<TopicAlias>,
    subscription_ids: &'a [SubscriptionId],
    message_expiry_secs: Option<u32>,
    properties: &'a MessageProperties,
    pub(crate) payload: &'a Bytes,
}

impl<'a> PublishParts<'a> {
    pub(crate) fn of_packet(publish: &'a Publish) -> Self {
        let (topic, alias) = match &publish.topic {
            PublishTopic::Name(topic) => (topic.as_str(), None),
            PublishTopic::Define(topic, alias) => (topic.as_str(), Some(*alias)),
            PublishTopic::Alias(alias) => ("", Some(*alias)),
        };
        Self {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic,
            alias,
            subscription_ids: &publish.subscription_ids,
            message_expiry_secs: publish.properties.message_expiry_secs,
            properties: &publish.properties,
            payload: &publish.payload,
        }
    }

    /// Before 5.0 there are no aliases: the name is always there.
    pub(crate) fn of_delivery(delivery: &'a Delivery, version: Version) -> Self {
        use crate::message::OutboundAlias;

        let name = delivery.message.topic.as_str();
        let (topic, alias) = match delivery.topic_alias {
            Some(OutboundAlias::Use(alias)) if version.has_properties() => ("", Some(alias)),
            Some(OutboundAlias::Define(alias) | OutboundAlias::Use(alias)) => (name, Some(alias)),
            None => (name, None),
        };
        Self {
            dup: delivery.dup,
            qos: delivery.qos,
            retain: delivery.retain,
            topic,
            alias,
            subscription_ids: &delivery.subscription_ids,
            message_expiry_secs: delivery.message_expiry_secs,
            properties: &delivery.message.properties,
            payload: &delivery.message.payload,
        }
    }

    /// Whether it names its topic in a way that the version has.
    pub(crate) fn has_topic(&self, version: Version) -> bool {
        !self.topic.is_empty() || version.has_properties()
    }

    #[inline]
    pub(crate) fn flags(&self) -> u8 {
        PublishFlags { dup: self.dup, qos: self.qos.qos(), retain: self.retain }.bits()
    }

    /// Writes all but the payload; `properties` is what [`WriteProperties::measure`] has found.
    #[inline]
    pub(crate) fn write_header<S: Sink>(&self, properties: Measure, version: Version, sink: &mut S) {
        sink.field(self.topic.as_bytes());
        if let Some(packet_id) = self.qos.packet_id() {
            sink.u16(packet_id.get());
        }
        if version.has_properties() {
            sink.variable_byte_integer(properties.bytes);
            self.write(sink);
        }
    }
}

impl WriteProperties for PublishParts<'_> {
    #[inline]
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.property_u16(id::TOPIC_ALIAS, self.alias.map(TopicAlias::get));
        for subscription_id in self.subscription_ids {
            sink.u8(id::SUBSCRIPTION_IDENTIFIER);
            sink.variable_byte_integer(subscription_id.get() as usize);
        }
        self.properties.write(self.message_expiry_secs, sink);
    }
}
