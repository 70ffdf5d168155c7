//! CONNACK (3.2).

use bytes::Bytes;
use bytestring::ByteString;

use crate::data::{Reader, Redacted, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::packet::ack::{check_reason, decode_reason};
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, id, not_allowed};
use crate::{ClientId, PacketType, QoS, ReasonCode, UserProperties, Version};

/// The server's answer to CONNECT (3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnAck {
    /// 3.2.2.1.1: whether the server had a session for this client.
    pub session_present: bool,
    /// 3.2.2.2. A 3.1.1 return code is the reason code that means the same.
    pub reason: ReasonCode,
    /// 3.2.2.3. 5.0 only.
    pub properties: ConnAckProperties,
}

/// Properties of CONNACK (3.2.2.3). Absent ones have the default that the section states.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ConnAckProperties {
    /// 3.2.2.3.2: where it differs from what the client asked for.
    pub session_expiry_secs: Option<u32>,
    /// 3.2.2.3.3: 1 to 65,535.
    pub receive_maximum: Option<u16>,
    /// 3.2.2.3.4: QoS 0 or 1; absent means 2.
    pub maximum_qos: Option<QoS>,
    /// 3.2.2.3.5: absent means `true`.
    pub retain_available: Option<bool>,
    /// 3.2.2.3.6: bytes, not 0.
    pub maximum_packet_bytes: Option<u32>,
    /// 3.2.2.3.7.
    pub assigned_client_id: Option<ClientId>,
    /// 3.2.2.3.8: absent means 0.
    pub topic_alias_maximum: Option<u16>,
    /// 3.2.2.3.9.
    pub reason_string: Option<ByteString>,
    /// 3.2.2.3.10.
    pub user_properties: UserProperties,
    /// 3.2.2.3.11: absent means `true`.
    pub wildcard_subscription_available: Option<bool>,
    /// 3.2.2.3.12: absent means `true`.
    pub subscription_ids_available: Option<bool>,
    /// 3.2.2.3.13: absent means `true`.
    pub shared_subscription_available: Option<bool>,
    /// 3.2.2.3.14: seconds.
    pub server_keep_alive_secs: Option<u16>,
    /// 3.2.2.3.15.
    pub response_information: Option<ByteString>,
    /// 3.2.2.3.16.
    pub server_reference: Option<ByteString>,
    /// 3.2.2.3.17.
    pub authentication_method: Option<ByteString>,
    /// 3.2.2.3.18. Never printed.
    pub authentication_data: Option<Bytes>,
}

/// Without the authentication data, of which only the length is told.
impl std::fmt::Debug for ConnAckProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnAckProperties")
            .field("session_expiry_secs", &self.session_expiry_secs)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_qos", &self.maximum_qos)
            .field("retain_available", &self.retain_available)
            .field("maximum_packet_bytes", &self.maximum_packet_bytes)
            .field("assigned_client_id", &self.assigned_client_id)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .field("wildcard_subscription_available", &self.wildcard_subscription_available)
            .field("subscription_ids_available", &self.subscription_ids_available)
            .field("shared_subscription_available", &self.shared_subscription_available)
            .field("server_keep_alive_secs", &self.server_keep_alive_secs)
            .field("response_information", &self.response_information)
            .field("server_reference", &self.server_reference)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.as_deref().map(Redacted))
            .finish()
    }
}

impl ConnAck {
    pub(crate) fn decode(mut reader: Reader<'_>, version: Version) -> Result<Self, Fault> {
        let flags = reader.u8()?;
        if flags > 1 {
            return Err(Fault::ConnectAcknowledgeFlags { flags });
        }
        // In 3.1 the byte is reserved.
        let session_present = flags == 1 && version != Version::V3_1;
        // A server that does not speak 5.0 answers with the two bytes of 3.1.1 and closes ([MQTT-3.1.2-2] of 3.1.1).
        let has_properties = version.has_properties() && reader.left() > 1;
        let reason = if has_properties {
            decode_reason(PacketType::ConnAck, &mut reader)?
        } else {
            let code = reader.u8()?;
            ReasonCode::from_connect_return_code(code).ok_or(Fault::ConnectReturnCode { code })?
        };
        if version.has_properties() && !has_properties && reason != ReasonCode::UnsupportedProtocolVersion {
            return Err(Fault::Truncated);
        }
        if session_present && reason != ReasonCode::Success {
            return Err(Fault::SessionPresentInRefusal);
        }
        let mut properties = ConnAckProperties::default();
        if has_properties {
            properties = ConnAckProperties::decode(&mut reader)?;
        }
        reader.finish().map(|()| Self { session_present, reason, properties })
    }
}

impl ConnAckProperties {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut properties = Self::default();
        let mut section = PropertyReader::new(reader, Carrier::Packet(PacketType::ConnAck))?;
        while let Some(id) = section.next()? {
            properties.decode_property(id, &mut section)?;
        }
        properties.user_properties = section.finish();
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(Fault::AuthenticationDataWithoutMethod);
        }
        Ok(properties)
    }

    fn decode_property(&mut self, id: u8, section: &mut PropertyReader<'_, '_>) -> Result<(), Fault> {
        match id {
            id::SESSION_EXPIRY_INTERVAL => self.session_expiry_secs = Some(section.u32()?),
            id::RECEIVE_MAXIMUM => self.receive_maximum = Some(section.positive_u16(id)?),
            id::MAXIMUM_QOS => {
                let level = if section.bool(id)? { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                self.maximum_qos = Some(level);
            }
            id::RETAIN_AVAILABLE => self.retain_available = Some(section.bool(id)?),
            id::MAXIMUM_PACKET_SIZE => self.maximum_packet_bytes = Some(section.positive_u32(id)?),
            id::ASSIGNED_CLIENT_IDENTIFIER => {
                self.assigned_client_id = Some(section.client_id(id)?);
            }
            id::TOPIC_ALIAS_MAXIMUM => self.topic_alias_maximum = Some(section.u16()?),
            id::REASON_STRING => self.reason_string = Some(section.string()?),
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => {
                self.wildcard_subscription_available = Some(section.bool(id)?);
            }
            id::SUBSCRIPTION_IDENTIFIERS_AVAILABLE => {
                self.subscription_ids_available = Some(section.bool(id)?)
            }
            id::SHARED_SUBSCRIPTION_AVAILABLE => self.shared_subscription_available = Some(section.bool(id)?),
            id::SERVER_KEEP_ALIVE => self.server_keep_alive_secs = Some(section.u16()?),
            id::RESPONSE_INFORMATION => self.response_information = Some(section.string()?),
            id::SERVER_REFERENCE => self.server_reference = Some(section.string()?),
            id::AUTHENTICATION_METHOD => self.authentication_method = Some(section.string()?),
            id::AUTHENTICATION_DATA => self.authentication_data = Some(section.binary()?),
            _ => return Err(not_allowed(id)),
        }
        Ok(())
    }
}

/// The properties, with less or more explanation.
struct Explained<'a>(&'a ConnAckProperties, Explanation);

impl WriteProperties for Explained<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(properties, explanation) = self;
        // 3.2.2.3.4: QoS 2 is said by absence.
        let maximum_qos = properties.maximum_qos.filter(|qos| *qos != QoS::ExactlyOnce).map(QoS::bits);
        let client_id = properties.assigned_client_id.as_ref().map(ClientId::as_str);
        sink.property_u32(id::SESSION_EXPIRY_INTERVAL, properties.session_expiry_secs);
        sink.property_u16(id::RECEIVE_MAXIMUM, properties.receive_maximum);
        sink.property_u8(id::MAXIMUM_QOS, maximum_qos);
        sink.property_bool(id::RETAIN_AVAILABLE, properties.retain_available);
        sink.property_u32(id::MAXIMUM_PACKET_SIZE, properties.maximum_packet_bytes);
        sink.property_string(id::ASSIGNED_CLIENT_IDENTIFIER, client_id);
        sink.property_u16(id::TOPIC_ALIAS_MAXIMUM, properties.topic_alias_maximum);
        sink.property_bool(id::WILDCARD_SUBSCRIPTION_AVAILABLE, properties.wildcard_subscription_available);
        sink.property_bool(id::SUBSCRIPTION_IDENTIFIERS_AVAILABLE, properties.subscription_ids_available);
        sink.property_bool(id::SHARED_SUBSCRIPTION_AVAILABLE, properties.shared_subscription_available);
        sink.property_u16(id::SERVER_KEEP_ALIVE, properties.server_keep_alive_secs);
        sink.property_string(id::RESPONSE_INFORMATION, properties.response_information.as_deref());
        sink.property_string(id::SERVER_REFERENCE, properties.server_reference.as_deref());
        sink.property_string(id::AUTHENTICATION_METHOD, properties.authentication_method.as_deref());
        sink.property_binary(id::AUTHENTICATION_DATA, properties.authentication_data.as_deref());
        sink.explanation(*explanation, properties.reason_string.as_deref(), &properties.user_properties);
    }
}

impl Body for ConnAck {
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if !version.has_properties() && self.reason.connect_return_code().is_none() {
            return Err(EncodeError::NotInVersion { packet: PacketType::ConnAck, version });
        }
        check_reason(PacketType::ConnAck, self.reason, version)
    }

    fn write<S: Sink>(&self, version: Version, explanation: Explanation, sink: &mut S) {
        let is_accepted = self.reason == ReasonCode::Success;
        // Byte 1 is reserved in 3.1, and 0 in a refusal [MQTT-3.2.2-6].
        let session_present = self.session_present && is_accepted && version != Version::V3_1;
        sink.u8(session_present.into());
        if version.has_properties() {
            sink.u8(self.reason.byte());
            Explained(&self.properties, explanation).write_section(sink);
        } else {
            sink.u8(self.reason.connect_return_code().unwrap_or(ReasonCode::UnspecifiedError.byte()));
        }
    }
}
