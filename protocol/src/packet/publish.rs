//! PUBLISH (3.3).

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::data::{Measure, Reader, Redacted, Sink, VariableByteInteger, check_utf8, checked_string};
use crate::error::Fault;
use crate::fixed_header::{FixedHeader, PublishFlags};
use crate::message::MessageFields;
use crate::properties::{
    Carrier, PropertyReader, PropertySink, UserFields, WriteProperties, id, value_fault,
};
use crate::{
    DecodeError, Delivery, MessageProperties, Packet, PacketQos, PacketType, QoS, SubscriptionId, Topic,
    TopicAlias, Version,
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
    /// Reads a PUBLISH. The result is the decoder's own: a packet is large to move, so it is made where it stays.
    #[inline(always)]
    pub(crate) fn decode(
        header: &FixedHeader,
        bytes: BytesMut,
        version: Version,
    ) -> Result<Option<Packet>, DecodeError> {
        let decoded = match Head::decode(header, &bytes, version) {
            Ok(head) if head.has_properties => return Self::decode_with_properties(head, bytes, version),
            Ok(head) => Self::decode_plain(head, bytes),
            Err(fault) => Err(fault),
        };
        decoded.map(|publish| Some(Packet::Publish(publish))).map_err(|fault| fault.in_publish(version))
    }

    /// Reads the rest of a PUBLISH without properties.
    #[inline(always)]
    fn decode_plain(head: Head, bytes: BytesMut) -> Result<Self, Fault> {
        let Head { flags: PublishFlags { dup, retain, .. }, qos, name, end, .. } = head;
        let mut bytes = bytes.freeze();
        let name = bytes.slice(name);
        bytes.advance(end);
        check_name(&name)?;
        Ok(Self {
            dup,
            qos,
            retain,
            topic: PublishTopic::Name(Topic::checked(checked_string(name))),
            subscription_ids: Vec::new(),
            properties: MessageProperties::default(),
            payload: bytes,
        })
    }

    /// Reads the rest of a PUBLISH with properties.
    #[inline(never)]
    fn decode_with_properties(
        head: Head,
        bytes: BytesMut,
        version: Version,
    ) -> Result<Option<Packet>, DecodeError> {
        let Head { flags: PublishFlags { dup, retain, .. }, qos, name, end, .. } = head;
        let mut fields = PublishFields::default();
        let payload_at = match fields.read(&bytes, end, name.clone()) {
            Ok(payload_at) => payload_at,
            Err(fault) => return Err(fault.in_publish(version)),
        };
        let mut bytes = bytes.freeze();
        let name = Topic::checked(checked_string(bytes.slice(name)));
        let topic = match fields.alias {
            Some(alias) if name.as_str().is_empty() => PublishTopic::Alias(alias),
            Some(alias) => PublishTopic::Define(name, alias),
            None => PublishTopic::Name(name),
        };
        Ok(Some(Packet::Publish(Self {
            dup,
            qos,
            retain,
            topic,
            subscription_ids: fields.subscription_ids,
            properties: fields.message.split(fields.user, &mut bytes, payload_at),
            payload: bytes,
        })))
    }
}

/// Whether bytes are a topic name.
#[inline(always)]
fn check_name(name: &[u8]) -> Result<(), Fault> {
    if Topic::is_plain(name) { Ok(()) } else { check_odd_name(name) }
}

#[cold]
fn check_odd_name(name: &[u8]) -> Result<(), Fault> {
    check_utf8(name)?;
    Topic::check(name).map_err(Fault::TopicName)
}

/// What the properties of a PUBLISH say, and where they stand.
#[derive(Default)]
struct PublishFields {
    alias: Option<TopicAlias>,
    subscription_ids: Vec<SubscriptionId>,
    message: MessageFields,
    user: UserFields,
}

impl PublishFields {
    /// Reads the properties that stand at `at`; returns where the payload begins.
    #[inline(always)]
    fn read(&mut self, bytes: &BytesMut, at: usize, name: Range<usize>) -> Result<usize, Fault> {
        let mut reader = Reader::new(bytes, at);
        let mut section = PropertyReader::new(&mut reader, Carrier::Packet(PacketType::Publish))?;
        while let Some(id) = section.next()? {
            match id {
                id::TOPIC_ALIAS => {
                    self.alias = Some(TopicAlias::new(section.u16()?).ok_or(Fault::TopicAliasZero)?);
                }
                id::SUBSCRIPTION_IDENTIFIER => {
                    let number = section.variable_byte_integer()?;
                    self.subscription_ids.push(SubscriptionId::new(number).ok_or(value_fault(id, number))?);
                }
                _ => self.message.read(id, &mut section)?,
            }
        }
        self.user = section.finish_fields();
        match self.alias {
            Some(_) if name.is_empty() => {}
            None if name.is_empty() => return Err(Fault::NoTopic),
            Some(_) | None => check_name(&bytes[name])?,
        }
        Ok(reader.position())
    }
}

/// What stands before the properties.
struct Head {
    flags: PublishFlags,
    qos: PacketQos,
    /// Where the topic name stands.
    name: Range<usize>,
    /// Whether there are properties, or a name that only an alias can make good.
    has_properties: bool,
    /// Where the payload begins, or the property length.
    end: usize,
}

impl Head {
    #[inline(always)]
    fn decode(header: &FixedHeader, bytes: &BytesMut, version: Version) -> Result<Self, Fault> {
        header.check_length(version)?;
        let flags = PublishFlags::read(header.flags)?;
        let mut reader = Reader::new(bytes, header.bytes);
        let name = reader.field()?;
        let qos = match flags.qos {
            QoS::AtMostOnce => PacketQos::AtMostOnce,
            QoS::AtLeastOnce => PacketQos::AtLeastOnce(reader.packet_id()?),
            QoS::ExactlyOnce => PacketQos::ExactlyOnce(reader.packet_id()?),
        };
        let is_plain = !version.has_properties() || (!name.is_empty() && reader.skip_empty_properties());
        Ok(Self { flags, qos, name, has_properties: !is_plain, end: reader.position() })
    }
}

impl Fault {
    #[cold]
    fn in_publish(self, version: Version) -> DecodeError {
        DecodeError { version: Some(version), packet: Some(PacketType::Publish), fault: self }
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

    /// How many bytes [`PublishParts::write_header`] writes, and the longest field among them.
    #[inline]
    pub(crate) fn measure_header(&self, properties: Measure, version: Version) -> Measure {
        let packet_id_bytes = if self.qos.packet_id().is_some() { 2 } else { 0 };
        let property_bytes = if version.has_properties() {
            VariableByteInteger::size(properties.bytes) + properties.bytes
        } else {
            0
        };
        let bytes = 2 + self.topic.len() + packet_id_bytes + property_bytes;
        Measure { bytes, longest_field: properties.longest_field } // a topic fits by its type
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
            if properties.bytes > 0 {
                self.write(sink);
            }
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
