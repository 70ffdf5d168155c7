//! CONNECT (3.1).

use bytes::Bytes;
use bytestring::ByteString;

use crate::data::{Reader, Redacted, Sink};
use crate::encoder::{Body, EncodeError, Explanation};
use crate::error::Fault;
use crate::message::{MessageFields, MessageProperties};
use crate::properties::{Carrier, PropertyReader, PropertySink, WriteProperties, id, not_allowed};
use crate::{ClientId, PacketType, QoS, Topic, UserProperties, Version};

/// Protocol names (3.1.2.1).
const MQTT: &[u8] = b"MQTT";
const MQISDP: &[u8] = b"MQIsdp";

/// Protocol levels (3.1.2.2).
const LEVEL_3_1: u8 = 3;
const LEVEL_3_1_1: u8 = 4;
const LEVEL_5: u8 = 5;

/// What a bridge adds to its level.
const BRIDGE: u8 = 0x80;

/// Connect Flags (3.1.2.3).
const RESERVED: u8 = 1;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

/// A client asks for a connection and names its session (3.1).
#[derive(Clone, Eq, PartialEq)]
pub struct Connect {
    /// 3.1.2.1, 3.1.2.2.
    pub version: Version,
    /// Whether the client is a bridge that set bit 7 of the level, as mosquitto's and NanoMQ's bridges do.
    pub is_bridge: bool,
    /// 3.1.2.4: Clean Start of 5.0, Clean Session of 3.1.1.
    pub clean_start: bool,
    /// 3.1.2.10: 0 turns the mechanism off.
    pub keep_alive_secs: u16,
    /// 3.1.3.1. `None` where the client leaves the choice to the server.
    pub client_id: Option<ClientId>,
    /// 3.1.2.5, 3.1.3.2 to 3.1.3.4.
    pub will: Option<Will>,
    /// 3.1.3.5.
    pub username: Option<ByteString>,
    /// 3.1.3.6. Never printed.
    pub password: Option<Bytes>,
    /// 3.1.2.11. 5.0 only.
    pub properties: ConnectProperties,
}

/// The message that the server publishes if the connection ends without a goodbye (3.1.2.5).
#[derive(Clone, Eq, PartialEq)]
pub struct Will {
    /// 3.1.3.3.
    pub topic: Topic,
    /// 3.1.3.4.
    pub payload: Bytes,
    /// 3.1.2.6.
    pub qos: QoS,
    /// 3.1.2.7.
    pub retain: bool,
    /// 3.1.3.2. 5.0 only.
    pub properties: WillProperties,
}

/// Will Properties (3.1.3.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WillProperties {
    /// 3.1.3.2.2: seconds between the end of the connection and the publication. Absent means 0.
    pub delay_secs: Option<u32>,
    /// What the published message carries.
    pub message: MessageProperties,
}

/// Properties of CONNECT (3.1.2.11). Absent ones have the default that the section states.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ConnectProperties {
    /// 3.1.2.11.2: absent means 0; `u32::MAX` means never.
    pub session_expiry_secs: Option<u32>,
    /// 3.1.2.11.3: 1 to 65,535, absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// 3.1.2.11.4: bytes, not 0, absent means no limit.
    pub maximum_packet_bytes: Option<u32>,
    /// 3.1.2.11.5: absent means 0.
    pub topic_alias_maximum: Option<u16>,
    /// 3.1.2.11.6: absent means `false`.
    pub request_response_information: Option<bool>,
    /// 3.1.2.11.7: absent means `true`.
    pub request_problem_information: Option<bool>,
    /// 3.1.2.11.8.
    pub user_properties: UserProperties,
    /// 3.1.2.11.9.
    pub authentication_method: Option<ByteString>,
    /// 3.1.2.11.10. Never printed.
    pub authentication_data: Option<Bytes>,
}

/// Without the password, of which only the length is told.
impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("is_bridge", &self.is_bridge)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.as_deref().map(Redacted))
            .field("properties", &self.properties)
            .finish()
    }
}

/// Without the payload, of which only the length is told.
impl std::fmt::Debug for Will {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("payload", &Redacted(&self.payload))
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

/// Without the authentication data, of which only the length is told.
impl std::fmt::Debug for ConnectProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_secs", &self.session_expiry_secs)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_bytes", &self.maximum_packet_bytes)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_response_information", &self.request_response_information)
            .field("request_problem_information", &self.request_problem_information)
            .field("user_properties", &self.user_properties)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.as_deref().map(Redacted))
            .finish()
    }
}

impl Connect {
    /// Reads protocol name and level, and whether the client is a bridge: what decides how the rest is read.
    pub(crate) fn decode_version(reader: &mut Reader<'_>) -> Result<(Version, bool), Fault> {
        let name = reader.binary()?;
        if name != MQTT && name != MQISDP {
            return Err(Fault::ProtocolName);
        }
        let level = reader.u8()?;
        let is_bridge = level & BRIDGE != 0;
        let version = match (&name[..], level & !BRIDGE) {
            (MQISDP, LEVEL_3_1) => Version::V3_1,
            (MQTT, LEVEL_3_1_1) => Version::V3_1_1,
            (MQTT, LEVEL_5) if !is_bridge => Version::V5,
            _ => return Err(Fault::UnsupportedProtocolVersion { level }),
        };
        Ok((version, is_bridge))
    }

    /// Reads what follows the level.
    pub(crate) fn decode(mut reader: Reader<'_>, version: Version, is_bridge: bool) -> Result<Self, Fault> {
        let flags = reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive_secs = reader.u16()?;
        let mut properties = ConnectProperties::default();
        if version.has_properties() {
            properties = ConnectProperties::decode(&mut reader)?;
        }
        let client_id = ClientId::parse(reader.string()?);
        let will = if flags & WILL != 0 { Some(Will::decode(flags, &mut reader, version)?) } else { None };
        let username = if flags & USER_NAME != 0 { Some(reader.string()?) } else { None };
        let password = if flags & PASSWORD != 0 { Some(reader.binary()?) } else { None };
        reader.finish()?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self {
            version,
            is_bridge,
            clean_start,
            keep_alive_secs,
            client_id,
            will,
            username,
            password,
            properties,
        })
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos.bits() << WILL_QOS_SHIFT);
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.username.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }
}

/// Checks that the Connect Flags do not contradict each other (3.1.2.3 to 3.1.2.9).
fn check_flags(flags: u8, version: Version) -> Result<(), Fault> {
    let will_qos = (flags >> WILL_QOS_SHIFT) & 0b11;
    if flags & RESERVED != 0 {
        return Err(Fault::ConnectFlagReserved);
    }
    if flags & WILL == 0 && will_qos != 0 {
        return Err(Fault::WillQosWithoutWill { qos: will_qos });
    }
    if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
        return Err(Fault::WillRetainWithoutWill);
    }
    if flags & (USER_NAME | PASSWORD) == PASSWORD && !version.has_properties() {
        return Err(Fault::PasswordWithoutUserName);
    }
    Ok(())
}

impl Will {
    fn decode(flags: u8, reader: &mut Reader<'_>, version: Version) -> Result<Self, Fault> {
        let qos = QoS::from_bits((flags >> WILL_QOS_SHIFT) & 0b11).ok_or(Fault::WillQos3)?;
        let mut properties = WillProperties::default();
        if version.has_properties() {
            properties = WillProperties::decode(reader)?;
        }
        let topic = Topic::parse(reader.text()?).map_err(Fault::WillTopic)?;
        Ok(Self { topic, payload: reader.binary()?, qos, retain: flags & WILL_RETAIN != 0, properties })
    }
}

impl WillProperties {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut delay_secs = None;
        let mut fields = MessageFields::default();
        let mut section = PropertyReader::new(reader, Carrier::Will)?;
        while let Some(id) = section.next()? {
            match id {
                id::WILL_DELAY_INTERVAL => delay_secs = Some(section.u32()?),
                _ => fields.read(id, &mut section)?,
            }
        }
        let user = section.finish_fields();
        let position = reader.position();
        Ok(Self { delay_secs, message: fields.split(user, &mut reader.bytes().clone(), position) })
    }
}

impl ConnectProperties {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut properties = Self::default();
        let mut section = PropertyReader::new(reader, Carrier::Packet(PacketType::Connect))?;
        while let Some(id) = section.next()? {
            match id {
                id::SESSION_EXPIRY_INTERVAL => properties.session_expiry_secs = Some(section.u32()?),
                id::RECEIVE_MAXIMUM => properties.receive_maximum = Some(section.positive_u16(id)?),
                id::MAXIMUM_PACKET_SIZE => properties.maximum_packet_bytes = Some(section.positive_u32(id)?),
                id::TOPIC_ALIAS_MAXIMUM => properties.topic_alias_maximum = Some(section.u16()?),
                id::REQUEST_RESPONSE_INFORMATION => {
                    properties.request_response_information = Some(section.bool(id)?);
                }
                id::REQUEST_PROBLEM_INFORMATION => {
                    properties.request_problem_information = Some(section.bool(id)?);
                }
                id::AUTHENTICATION_METHOD => properties.authentication_method = Some(section.string()?),
                id::AUTHENTICATION_DATA => properties.authentication_data = Some(section.binary()?),
                _ => return Err(not_allowed(id)),
            }
        }
        properties.user_properties = section.finish();
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(Fault::AuthenticationDataWithoutMethod);
        }
        Ok(properties)
    }
}

impl WriteProperties for ConnectProperties {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.property_u32(id::SESSION_EXPIRY_INTERVAL, self.session_expiry_secs);
        sink.property_u16(id::RECEIVE_MAXIMUM, self.receive_maximum);
        sink.property_u32(id::MAXIMUM_PACKET_SIZE, self.maximum_packet_bytes);
        sink.property_u16(id::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
        sink.property_bool(id::REQUEST_RESPONSE_INFORMATION, self.request_response_information);
        sink.property_bool(id::REQUEST_PROBLEM_INFORMATION, self.request_problem_information);
        sink.property_string(id::AUTHENTICATION_METHOD, self.authentication_method.as_deref());
        sink.property_binary(id::AUTHENTICATION_DATA, self.authentication_data.as_deref());
        sink.user_properties(&self.user_properties);
    }
}

impl WriteProperties for WillProperties {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.property_u32(id::WILL_DELAY_INTERVAL, self.delay_secs);
        self.message.write(self.message.message_expiry_secs, sink);
    }
}

impl Body for Connect {
    /// CONNECT is written in its own version, whatever the encoder was made for.
    fn check(&self, _version: Version) -> Result<(), EncodeError> {
        if self.password.is_some() && self.username.is_none() && !self.version.has_properties() {
            return Err(EncodeError::NotInVersion { packet: PacketType::Connect, version: self.version });
        }
        Ok(())
    }

    fn write<S: Sink>(&self, _version: Version, _explanation: Explanation, sink: &mut S) {
        let (name, level) = match self.version {
            Version::V3_1 => (MQISDP, LEVEL_3_1),
            Version::V3_1_1 => (MQTT, LEVEL_3_1_1),
            Version::V5 => (MQTT, LEVEL_5),
        };
        let has_properties = self.version.has_properties();
        let bridge = if self.is_bridge && !has_properties { BRIDGE } else { 0 };
        sink.field(name);
        sink.u8(level | bridge);
        sink.u8(self.flags());
        sink.u16(self.keep_alive_secs);
        if has_properties {
            self.properties.write_section(sink);
        }
        sink.field(self.client_id.as_ref().map_or("", ClientId::as_str).as_bytes());
        if let Some(will) = &self.will {
            if has_properties {
                will.properties.write_section(sink);
            }
            sink.field(will.topic.as_str().as_bytes());
            sink.field(&will.payload);
        }
        if let Some(username) = &self.username {
            sink.field(username.as_bytes());
        }
        if let Some(password) = &self.password {
            sink.field(password);
        }
    }
}
