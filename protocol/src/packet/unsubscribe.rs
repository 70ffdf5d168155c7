//! UNSUBSCRIBE and UNSUBACK (3.10, 3.11).

use crate::data::{Reader, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::packet::ReasonProperties;
use crate::packet::ack::{check_reason, decode_reason};
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, not_allowed};
use crate::{PacketId, PacketType, ReasonCode, TopicFilter, UserProperties, Version};

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

impl Unsubscribe {
    pub(crate) fn decode(mut reader: Reader<'_>, version: Version) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        let mut user_properties = UserProperties::new();
        if version.has_properties() {
            let mut section = PropertyReader::new(&mut reader, Carrier::Packet(PacketType::Unsubscribe))?;
            if let Some(id) = section.next()? {
                return Err(not_allowed(id));
            }
            user_properties = section.finish();
        }
        let mut filters = Vec::new();
        while reader.left() > 0 {
            filters.push(TopicFilter::parse(reader.text()?).map_err(Fault::TopicFilter)?);
        }
        if filters.is_empty() {
            return Err(Fault::NoTopicFilters);
        }
        Ok(Self { packet_id, user_properties, filters })
    }
}

impl WriteProperties for Unsubscribe {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.user_properties(&self.user_properties);
    }
}

impl Body for Unsubscribe {
    fn check(&self, _version: Version) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::Empty { packet: PacketType::Unsubscribe });
        }
        Ok(())
    }

    fn write<S: Sink>(&self, version: Version, _explanation: Explanation, sink: &mut S) {
        sink.u16(self.packet_id.get());
        if version.has_properties() {
            self.write_section(sink);
        }
        for filter in &self.filters {
            sink.field(filter.as_str().as_bytes());
        }
    }
}

impl UnsubAck {
    pub(crate) fn decode(mut reader: Reader<'_>, version: Version) -> Result<Self, Fault> {
        let packet = PacketType::UnsubAck;
        let packet_id = reader.packet_id()?;
        let mut properties = ReasonProperties::default();
        let mut reasons = Vec::new();
        if version.has_properties() {
            properties = ReasonProperties::decode(packet, &mut reader)?;
            reasons.reserve_exact(reader.left());
            while reader.left() > 0 {
                reasons.push(decode_reason(packet, &mut reader)?);
            }
            if reasons.is_empty() {
                return Err(Fault::NoReasonCodes { packet });
            }
        }
        reader.finish()?;
        Ok(Self { packet_id, reasons, properties })
    }
}

impl Body for UnsubAck {
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if version.has_properties() && self.reasons.is_empty() {
            return Err(EncodeError::Empty { packet: PacketType::UnsubAck });
        }
        self.reasons.iter().try_for_each(|reason| check_reason(PacketType::UnsubAck, *reason, version))
    }

    fn write<S: Sink>(&self, version: Version, explanation: Explanation, sink: &mut S) {
        sink.u16(self.packet_id.get());
        if version.has_properties() {
            self.properties.explaining(explanation).write_section(sink);
            for reason in &self.reasons {
                sink.u8(reason.byte());
            }
        }
    }
}
