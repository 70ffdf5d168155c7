//! SUBSCRIBE and SUBACK (3.8, 3.9).

use crate::data::{Reader, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::packet::ReasonProperties;
use crate::packet::ack::{check_reason, decode_reason};
use crate::properties::{
    Carrier, PropertyReader, PropertySink, WriteProperties, id, not_allowed, value_fault,
};
use crate::{PacketId, PacketType, QoS, ReasonCode, SubscriptionId, TopicFilter, UserProperties, Version};

/// Bits of the subscription options above the level (3.8.3.1).
const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const RETAIN_HANDLING_SHIFT: u8 = 4;

/// Reserved bits of the subscription options (3.8.3.1), and of the requested level of 3.1.1 (3.8.3 of 3.1.1).
const RESERVED: u8 = 0b1100_0000;
const RESERVED_3_1_1: u8 = 0b1111_1100;

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

impl Subscribe {
    pub(crate) fn decode(mut reader: Reader<'_>, version: Version) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        let mut subscription_id = None;
        let mut user_properties = UserProperties::new();
        if version.has_properties() {
            let mut section = PropertyReader::new(&mut reader, Carrier::Packet(PacketType::Subscribe))?;
            while let Some(id) = section.next()? {
                match id {
                    id::SUBSCRIPTION_IDENTIFIER => {
                        let number = section.variable_byte_integer()?;
                        subscription_id = Some(SubscriptionId::new(number).ok_or(value_fault(id, number))?);
                    }
                    _ => return Err(not_allowed(id)),
                }
            }
            user_properties = section.finish();
        }
        let mut subscriptions = Vec::new();
        while reader.left() > 0 {
            subscriptions.push(Subscription::decode(&mut reader, version)?);
        }
        if subscriptions.is_empty() {
            return Err(Fault::NoSubscriptions);
        }
        Ok(Self { packet_id, subscription_id, user_properties, subscriptions })
    }
}

impl Subscription {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, Fault> {
        let filter = TopicFilter::parse(reader.text()?).map_err(Fault::TopicFilter)?;
        let options = SubscriptionOptions::from_byte(reader.u8()?, version)?;
        if options.no_local && filter.is_shared() {
            return Err(Fault::NoLocalOnShared);
        }
        Ok(Self { filter, options })
    }
}

impl SubscriptionOptions {
    fn from_byte(options: u8, version: Version) -> Result<Self, Fault> {
        let reserved = if version.has_properties() { RESERVED } else { RESERVED_3_1_1 };
        if options & reserved != 0 {
            return Err(Fault::SubscriptionOptionsReserved { options });
        }
        let retain_handling = match options >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Fault::RetainHandling3),
        };
        Ok(Self {
            maximum_qos: QoS::from_bits(options & 0b11).ok_or(Fault::MaximumQos3)?,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    fn byte(self, version: Version) -> u8 {
        let level = self.maximum_qos.bits();
        if !version.has_properties() {
            return level;
        }
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let retain_as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        level | no_local | retain_as_published | ((self.retain_handling as u8) << RETAIN_HANDLING_SHIFT)
    }
}

impl WriteProperties for Subscribe {
    fn write<S: Sink>(&self, sink: &mut S) {
        if let Some(subscription_id) = self.subscription_id {
            sink.u8(id::SUBSCRIPTION_IDENTIFIER);
            sink.variable_byte_integer(subscription_id.get() as usize);
        }
        sink.user_properties(&self.user_properties);
    }
}

impl Body for Subscribe {
    fn check(&self, _version: Version) -> Result<(), EncodeError> {
        if self.subscriptions.is_empty() {
            return Err(EncodeError::Empty { packet: PacketType::Subscribe });
        }
        Ok(())
    }

    fn write<S: Sink>(&self, version: Version, _explanation: Explanation, sink: &mut S) {
        sink.u16(self.packet_id.get());
        if version.has_properties() {
            self.write_section(sink);
        }
        for Subscription { filter, options } in &self.subscriptions {
            sink.field(filter.as_str().as_bytes());
            sink.u8(options.byte(version));
        }
    }
}

impl SubAck {
    pub(crate) fn decode(mut reader: Reader<'_>, version: Version) -> Result<Self, Fault> {
        let packet = PacketType::SubAck;
        let packet_id = reader.packet_id()?;
        let mut properties = ReasonProperties::default();
        if version.has_properties() {
            properties = ReasonProperties::decode(packet, &mut reader)?;
        }
        let mut reasons = Vec::with_capacity(reader.left());
        while reader.left() > 0 {
            reasons.push(if version.has_properties() {
                decode_reason(packet, &mut reader)?
            } else {
                let code = reader.u8()?;
                ReasonCode::from_subscribe_return_code(code).ok_or(Fault::ReasonCode { packet, code })?
            });
        }
        if reasons.is_empty() {
            return Err(Fault::NoReasonCodes { packet });
        }
        Ok(Self { packet_id, reasons, properties })
    }
}

impl Body for SubAck {
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if self.reasons.is_empty() {
            return Err(EncodeError::Empty { packet: PacketType::SubAck });
        }
        self.reasons.iter().try_for_each(|reason| check_reason(PacketType::SubAck, *reason, version))
    }

    fn write<S: Sink>(&self, version: Version, explanation: Explanation, sink: &mut S) {
        sink.u16(self.packet_id.get());
        if version.has_properties() {
            self.properties.explaining(explanation).write_section(sink);
        }
        for reason in &self.reasons {
            sink.u8(if version.has_properties() { reason.byte() } else { reason.subscribe_return_code() });
        }
    }
}
