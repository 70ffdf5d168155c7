//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7): four packets of one shape.

use bytestring::ByteString;

use crate::data::{Reader, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, id, not_allowed};
use crate::{PacketId, PacketType, ReasonCode, UserProperties, Version};

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

/// An acknowledgement with the packet that it is.
pub(crate) struct TypedAck<'a> {
    pub(crate) packet_type: PacketType,
    pub(crate) ack: &'a Ack,
}

impl Ack {
    #[inline]
    pub(crate) fn decode(
        packet: PacketType,
        mut reader: Reader<'_>,
        version: Version,
    ) -> Result<Self, Fault> {
        let mut ack = Self::success(reader.packet_id()?);
        // 3.4.2.1: a remaining length of 2 means Success, one of 3 means no properties.
        if version.has_properties() && reader.left() > 0 {
            ack.reason = decode_reason(packet, &mut reader)?;
            if reader.left() > 0 {
                ack.properties = ReasonProperties::decode(packet, &mut reader)?;
            }
        }
        reader.finish().map(|()| ack)
    }

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

impl ReasonProperties {
    pub(crate) fn decode(packet: PacketType, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut reason_string = None;
        let mut section = PropertyReader::new(reader, Carrier::Packet(packet))?;
        while let Some(id) = section.next()? {
            match id {
                id::REASON_STRING => reason_string = Some(section.string()?),
                _ => return Err(not_allowed(id)),
            }
        }
        Ok(Self { reason_string, user_properties: section.finish() })
    }

    /// What is left of them where only so much is explained.
    pub(crate) fn explaining(&self, explanation: Explanation) -> ExplainedProperties<'_> {
        ExplainedProperties { properties: self, explanation }
    }
}

/// Reason string and user properties, or fewer of them.
pub(crate) struct ExplainedProperties<'a> {
    properties: &'a ReasonProperties,
    explanation: Explanation,
}

impl WriteProperties for ExplainedProperties<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let ReasonProperties { reason_string, user_properties } = self.properties;
        sink.explanation(self.explanation, reason_string.as_deref(), user_properties);
    }
}

impl Body for TypedAck<'_> {
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        check_reason(self.packet_type, self.ack.reason, version)
    }

    fn write<S: Sink>(&self, version: Version, explanation: Explanation, sink: &mut S) {
        sink.u16(self.ack.packet_id.get());
        if version.has_properties() {
            let properties = self.ack.properties.explaining(explanation);
            write_short(self.ack.reason, &properties, sink);
        }
    }
}

/// A reason code that this packet may carry.
#[inline]
pub(crate) fn decode_reason(packet: PacketType, reader: &mut Reader<'_>) -> Result<ReasonCode, Fault> {
    let code = reader.u8()?;
    let reason = ReasonCode::from_byte(code).filter(|reason| reason.is_allowed_in(packet));
    reason.ok_or(Fault::ReasonCode { packet, code })
}

/// Refuses to send a code that this packet may not carry; before 5.0 there are none on the wire.
pub(crate) fn check_reason(
    packet: PacketType,
    reason: ReasonCode,
    version: Version,
) -> Result<(), EncodeError> {
    if version.has_properties() && !reason.is_allowed_in(packet) {
        return Err(EncodeError::ReasonNotAllowed { packet, reason });
    }
    Ok(())
}

/// Writes reason and properties, and leaves out what means the same by its absence (3.4.2.1, 3.14.2.1, 3.15.2.1).
pub(crate) fn write_short<S: Sink>(reason: ReasonCode, properties: &impl WriteProperties, sink: &mut S) {
    let has_properties = properties.measure().bytes > 0;
    if has_properties || reason != ReasonCode::Success {
        sink.u8(reason.byte());
    }
    if has_properties {
        properties.write_section(sink);
    }
}
