//! DISCONNECT (3.14).

use bytestring::ByteString;

use crate::data::{Reader, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::packet::ack::{check_reason, decode_reason, write_short};
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, id, not_allowed};
use crate::{PacketType, ReasonCode, UserProperties, Version};

/// The last packet of a connection (3.14). In 3.1.1 only a client sends it, without a reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnect {
    /// 3.14.2.1.
    pub reason: ReasonCode,
    /// 3.14.2.2. 5.0 only.
    pub properties: DisconnectProperties,
}

/// Properties of DISCONNECT (3.14.2.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DisconnectProperties {
    /// 3.14.2.2.2: absent means that the one of CONNECT holds. Only from the client.
    pub session_expiry_secs: Option<u32>,
    /// 3.14.2.2.3.
    pub reason_string: Option<ByteString>,
    /// 3.14.2.2.4.
    pub user_properties: UserProperties,
    /// 3.14.2.2.5: another server to use. Only from the server.
    pub server_reference: Option<ByteString>,
}

impl Disconnect {
    /// A reason, without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: DisconnectProperties::default() }
    }

    pub(crate) fn decode(mut reader: Reader<'_>, version: Version) -> Result<Self, Fault> {
        let mut disconnect = Self::new(ReasonCode::Success);
        // 3.14.2.1: a remaining length of 0 means Normal disconnection, one of 1 means no properties.
        if version.has_properties() && reader.left() > 0 {
            disconnect.reason = decode_reason(PacketType::Disconnect, &mut reader)?;
            if reader.left() > 0 {
                disconnect.properties = DisconnectProperties::decode(&mut reader)?;
            }
        }
        reader.finish().map(|()| disconnect)
    }
}

impl DisconnectProperties {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut properties = Self::default();
        let mut section = PropertyReader::new(reader, Carrier::Packet(PacketType::Disconnect))?;
        while let Some(id) = section.next()? {
            match id {
                id::SESSION_EXPIRY_INTERVAL => properties.session_expiry_secs = Some(section.u32()?),
                id::REASON_STRING => properties.reason_string = Some(section.string()?),
                id::SERVER_REFERENCE => properties.server_reference = Some(section.string()?),
                _ => return Err(not_allowed(id)),
            }
        }
        properties.user_properties = section.finish();
        Ok(properties)
    }
}

/// The properties, with less or more explanation.
struct Explained<'a>(&'a DisconnectProperties, Explanation);

impl WriteProperties for Explained<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(properties, explanation) = self;
        sink.property_u32(id::SESSION_EXPIRY_INTERVAL, properties.session_expiry_secs);
        sink.property_string(id::SERVER_REFERENCE, properties.server_reference.as_deref());
        sink.explanation(*explanation, properties.reason_string.as_deref(), &properties.user_properties);
    }
}

impl Body for Disconnect {
    /// Before 5.0 the packet says one thing: that the client ends the connection as it should, without its will. Any
    /// other reason is said by closing the connection.
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if !version.has_properties() && self.reason != ReasonCode::Success {
            return Err(EncodeError::NotInVersion { packet: PacketType::Disconnect, version });
        }
        check_reason(PacketType::Disconnect, self.reason, version)
    }

    fn write<S: Sink>(&self, version: Version, explanation: Explanation, sink: &mut S) {
        if version.has_properties() {
            write_short(self.reason, &Explained(&self.properties, explanation), sink);
        }
    }
}
