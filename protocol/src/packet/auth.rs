//! AUTH (3.15). 5.0 only.

use bytes::Bytes;
use bytestring::ByteString;

use crate::data::{Reader, Redacted, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::packet::ack::{decode_reason, write_short};
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, id, not_allowed};
use crate::{PacketType, ReasonCode, UserProperties, Version};

/// A step of enhanced authentication (3.15, 4.12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth {
    /// 3.15.2.1.
    pub reason: AuthReason,
    /// 3.15.2.2.
    pub properties: AuthProperties,
}

/// The three reasons that AUTH may carry (3.15.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum AuthReason {
    /// 0x00: authentication is done. From the server.
    Success = 0x00,
    /// 0x18: the exchange goes on.
    ContinueAuthentication = 0x18,
    /// 0x19: begin again, on the open connection. From the client.
    ReAuthenticate = 0x19,
}

/// Properties of AUTH (3.15.2.2).
#[derive(Clone, Default, Eq, PartialEq)]
pub struct AuthProperties {
    /// 3.15.2.2.2.
    pub authentication_method: Option<ByteString>,
    /// 3.15.2.2.3. Never printed.
    pub authentication_data: Option<Bytes>,
    /// 3.15.2.2.4.
    pub reason_string: Option<ByteString>,
    /// 3.15.2.2.5.
    pub user_properties: UserProperties,
}

/// Without the authentication data, of which only the length is told.
impl std::fmt::Debug for AuthProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthProperties")
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.as_deref().map(Redacted))
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

impl AuthReason {
    /// The reason code that it is.
    pub const fn code(self) -> ReasonCode {
        match self {
            Self::Success => ReasonCode::Success,
            Self::ContinueAuthentication => ReasonCode::ContinueAuthentication,
            Self::ReAuthenticate => ReasonCode::ReAuthenticate,
        }
    }
}

impl Auth {
    pub(crate) fn decode(mut reader: Reader<'_>) -> Result<Self, Fault> {
        // 3.15.2.1: a remaining length of 0 means Success without properties.
        if reader.left() == 0 {
            return Ok(Self { reason: AuthReason::Success, properties: AuthProperties::default() });
        }
        let packet = PacketType::Auth;
        let code = decode_reason(packet, &mut reader)?;
        let reasons = [AuthReason::Success, AuthReason::ContinueAuthentication, AuthReason::ReAuthenticate];
        let reason = reasons.into_iter().find(|reason| reason.code() == code);
        let reason = reason.ok_or(Fault::ReasonCode { packet, code: code.byte() })?;
        let properties = AuthProperties::decode(&mut reader)?;
        if properties.authentication_method.is_none() {
            return Err(Fault::AuthenticationMethodMissing);
        }
        reader.finish().map(|()| Self { reason, properties })
    }
}

impl AuthProperties {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut properties = Self::default();
        let mut section = PropertyReader::new(reader, Carrier::Packet(PacketType::Auth))?;
        while let Some(id) = section.next()? {
            match id {
                id::AUTHENTICATION_METHOD => properties.authentication_method = Some(section.string()?),
                id::AUTHENTICATION_DATA => properties.authentication_data = Some(section.binary()?),
                id::REASON_STRING => properties.reason_string = Some(section.string()?),
                _ => return Err(not_allowed(id)),
            }
        }
        properties.user_properties = section.finish();
        Ok(properties)
    }
}

/// The properties, with less or more explanation.
struct Explained<'a>(&'a AuthProperties, Explanation);

impl WriteProperties for Explained<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(properties, explanation) = self;
        sink.property_string(id::AUTHENTICATION_METHOD, properties.authentication_method.as_deref());
        sink.property_binary(id::AUTHENTICATION_DATA, properties.authentication_data.as_deref());
        sink.explanation(*explanation, properties.reason_string.as_deref(), &properties.user_properties);
    }
}

impl Body for Auth {
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if version.has_properties() {
            return Ok(());
        }
        Err(EncodeError::NotInVersion { packet: PacketType::Auth, version })
    }

    fn write<S: Sink>(&self, _version: Version, explanation: Explanation, sink: &mut S) {
        let properties = Explained(&self.properties, explanation);
        if self.reason == AuthReason::Success {
            write_short(self.reason.code(), &properties, sink);
        } else {
            sink.u8(self.reason.code().byte());
            properties.write_section(sink);
        }
    }
}
