//! What is wrong with received bytes; each fault knows its statement and its reason code.

use crate::properties::PropertyId;
use crate::topic::TopicError;
use crate::{PacketType, ReasonCode, Version};

/// A packet that cannot be taken: what is wrong, where, and in which version it had to be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecodeError {
    /// What the peer speaks. `None` before its CONNECT has said so: then an answer, if any, is one of 3.1.1.
    pub version: Option<Version>,
    /// Which packet. `None` if its type is not one of the fifteen.
    pub packet: Option<PacketType>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with the bytes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Larger than the receiver takes. Found before the body is there.
    #[error("packet of {bytes} bytes, we allow {max} [MQTT-3.2.2-15]")]
    PacketTooLarge {
        /// Size of the packet, fixed header included.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// A type that the version does not have: 0, and AUTH before 5.0.
    #[error("packet type {number} is reserved (2.1.2)")]
    PacketType {
        /// The four bits.
        number: u8,
    },
    /// The flags of the fixed header are not what they must be.
    #[error("flags {flags:04b} in the fixed header [MQTT-2.1.3-1]")]
    HeaderFlags {
        /// The four bits.
        flags: u8,
    },
    /// Both QoS bits of a PUBLISH.
    #[error("QoS 3 [MQTT-3.3.1-4]")]
    Qos3,
    /// A repetition of what is never repeated.
    #[error("DUP with QoS 0 [MQTT-3.3.1-2]")]
    DupWithQos0,
    /// Remaining length, property length or subscription identifier.
    #[error("variable byte integer of more than four bytes (1.5.5)")]
    VariableByteIntegerTooLong,
    /// 5.0 only: 3.1.1 has no such rule.
    #[error("variable byte integer in more bytes than needed [MQTT-1.5.5-1]")]
    VariableByteIntegerNotMinimal,
    /// Something else came first.
    #[error("the first packet is not CONNECT [MQTT-3.1.0-1]")]
    ConnectExpected,
    /// The remaining length ends within a field, or before one that must be there.
    #[error("the packet ends before its last field (2.1.4)")]
    Truncated,
    /// The remaining length covers more than the fields.
    #[error("{bytes} bytes after the last field (2.1.4)")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// Ill-formed, or with surrogates.
    #[error("a string is not well-formed UTF-8 [MQTT-1.5.4-1]")]
    NotUtf8,
    /// U+0000.
    #[error("a string holds U+0000 [MQTT-1.5.4-2]")]
    Nul,
    /// Where one must be, it is not zero.
    #[error("packet identifier 0 [MQTT-2.2.1-3]")]
    PacketIdZero,
    /// The property length runs past the packet.
    #[error("properties of {bytes} bytes, {left} are left in the packet (2.2.2.1)")]
    PropertyLength {
        /// The property length.
        bytes: usize,
        /// What the packet has.
        left: usize,
    },
    /// A property runs past the property length.
    #[error("a property runs past the property length (2.2.2.1)")]
    PropertyOverrun,
    /// Not in table 2-4.
    #[error("property {id} does not exist (2.2.2.2)")]
    PropertyUnknown {
        /// The identifier.
        id: u32,
    },
    /// In table 2-4, but for other packets.
    #[error("property {property} is not allowed here (2.2.2.2)")]
    PropertyNotAllowed {
        /// Which.
        property: PropertyId,
    },
    /// Only User Property may be repeated, and Subscription Identifier in a PUBLISH.
    #[error("property {property} is there twice ({})", property.section())]
    PropertyTwice {
        /// Which.
        property: PropertyId,
    },
    /// A value that the property's section rules out.
    #[error("property {property} is {value} ({})", property.section())]
    PropertyValue {
        /// Which.
        property: PropertyId,
        /// Its value.
        value: u32,
    },
    /// Aliases begin at 1.
    #[error("topic alias 0 [MQTT-3.3.2-8]")]
    TopicAliasZero,
    /// A response topic is a topic name.
    #[error("the response topic {0} [MQTT-3.3.2-14]")]
    ResponseTopic(TopicError),
    /// Of what method?
    #[error("authentication data without authentication method (3.1.2.11.10)")]
    AuthenticationDataWithoutMethod,
    /// AUTH names the method of CONNECT.
    #[error("no authentication method (3.15.2.2.2)")]
    AuthenticationMethodMissing,
    /// Neither `MQTT` nor `MQIsdp`.
    #[error("the protocol name is not MQTT [MQTT-3.1.2-1]")]
    ProtocolName,
    /// A level that we do not speak.
    #[error("protocol level {level:#04x}, we speak 3, 4 and 5 [MQTT-3.1.2-2]")]
    UnsupportedProtocolVersion {
        /// Byte 7 of CONNECT.
        level: u8,
    },
    /// Bit 0.
    #[error("the reserved connect flag is set [MQTT-3.1.2-3]")]
    ConnectFlagReserved,
    /// Of what will?
    #[error("will QoS {qos} without a will [MQTT-3.1.2-11]")]
    WillQosWithoutWill {
        /// The two bits.
        qos: u8,
    },
    /// Both bits.
    #[error("will QoS 3 [MQTT-3.1.2-12]")]
    WillQos3,
    /// Of what will?
    #[error("will retain without a will [MQTT-3.1.2-13]")]
    WillRetainWithoutWill,
    /// A will is published, so its topic is a topic name.
    #[error("the will topic {0}")]
    WillTopic(TopicError),
    /// Allowed in 5.0 only.
    #[error("password without user name ([MQTT-3.1.2-22] of 3.1.1)")]
    PasswordWithoutUserName,
    /// Bits 7 to 1 of byte 1.
    #[error("connect acknowledge flags {flags:#04x} [MQTT-3.2.2-1]")]
    ConnectAcknowledgeFlags {
        /// The byte.
        flags: u8,
    },
    /// A refused client has no session.
    #[error("session present in a refusal [MQTT-3.2.2-6]")]
    SessionPresentInRefusal,
    /// 3.1.1 has 0 to 5.
    #[error("connect return code {code} (3.2.2.3 of 3.1.1)")]
    ConnectReturnCode {
        /// The byte.
        code: u8,
    },
    /// A code that does not exist, or that this packet may not carry.
    #[error("reason code {code:#04x} in {packet} {}", reason_statement(*packet))]
    ReasonCode {
        /// Where.
        packet: PacketType,
        /// The byte.
        code: u8,
    },
    /// SUBACK and UNSUBACK answer each filter.
    #[error("no reason codes {}", reason_count_statement(*packet))]
    NoReasonCodes {
        /// Which of the two.
        packet: PacketType,
    },
    /// Not a topic name.
    #[error("the topic name {0}")]
    TopicName(TopicError),
    /// Neither by name nor by alias.
    #[error("neither topic name nor topic alias (3.3.2.1)")]
    NoTopic,
    /// Not a topic filter.
    #[error("the topic filter {0}")]
    TopicFilter(TopicError),
    /// SUBSCRIBE asks for something.
    #[error("no subscriptions [MQTT-3.8.3-2]")]
    NoSubscriptions,
    /// UNSUBSCRIBE ends something.
    #[error("no topic filters [MQTT-3.10.3-2]")]
    NoTopicFilters,
    /// Reserved bits of the subscription options.
    #[error("reserved bits in subscription options {options:#04x} [MQTT-3.8.3-5]")]
    SubscriptionOptionsReserved {
        /// The byte.
        options: u8,
    },
    /// Both QoS bits.
    #[error("maximum QoS 3 of a subscription (3.8.3.1)")]
    MaximumQos3,
    /// Both bits.
    #[error("retain handling 3 (3.8.3.1)")]
    RetainHandling3,
    /// Whose messages would be local?
    #[error("no local on a shared subscription [MQTT-3.8.3-4]")]
    NoLocalOnShared,
}

impl DecodeError {
    /// A fault whose packet and version are not known.
    pub const fn new(fault: Fault) -> Self {
        Self { version: None, packet: None, fault }
    }

    /// What the peer is told (4.13).
    pub const fn reason(&self) -> ReasonCode {
        self.fault.reason()
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.packet {
            Some(packet) => write!(f, "{packet}: {}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Fault {
    /// What the peer is told (4.13). Where the specification names no code: Malformed Packet if the bytes cannot be
    /// read, Protocol Error if they can and say what is not allowed (1.2).
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::ProtocolName | Self::UnsupportedProtocolVersion { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::PacketType { .. }
            | Self::HeaderFlags { .. }
            | Self::Qos3
            | Self::DupWithQos0
            | Self::VariableByteIntegerTooLong
            | Self::VariableByteIntegerNotMinimal
            | Self::Truncated
            | Self::TrailingBytes { .. }
            | Self::NotUtf8
            | Self::Nul
            | Self::PropertyLength { .. }
            | Self::PropertyOverrun
            | Self::PropertyUnknown { .. }
            | Self::PropertyNotAllowed { .. }
            | Self::ConnectFlagReserved
            | Self::WillQosWithoutWill { .. }
            | Self::WillQos3
            | Self::WillRetainWithoutWill
            | Self::WillTopic(_)
            | Self::PasswordWithoutUserName
            | Self::ConnectAcknowledgeFlags { .. }
            | Self::ResponseTopic(TopicError::Nul)
            | Self::TopicName(_)
            | Self::TopicFilter(_)
            | Self::SubscriptionOptionsReserved { .. } => ReasonCode::MalformedPacket,
            Self::ConnectExpected
            | Self::PacketIdZero
            | Self::PropertyTwice { .. }
            | Self::PropertyValue { .. }
            | Self::ResponseTopic(_)
            | Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing
            | Self::SessionPresentInRefusal
            | Self::ConnectReturnCode { .. }
            | Self::ReasonCode { .. }
            | Self::NoReasonCodes { .. }
            | Self::NoTopic
            | Self::NoSubscriptions
            | Self::NoTopicFilters
            | Self::MaximumQos3
            | Self::RetainHandling3
            | Self::NoLocalOnShared => ReasonCode::ProtocolError,
        }
    }
}

/// The statement that says which reason codes a packet may carry.
const fn reason_statement(packet: PacketType) -> &'static str {
    match packet {
        PacketType::ConnAck => "[MQTT-3.2.2-8]",
        PacketType::PubAck => "[MQTT-3.4.2-1]",
        PacketType::PubRec => "[MQTT-3.5.2-1]",
        PacketType::PubRel => "[MQTT-3.6.2-1]",
        PacketType::PubComp => "[MQTT-3.7.2-1]",
        PacketType::SubAck => "[MQTT-3.9.3-2]",
        PacketType::UnsubAck => "[MQTT-3.11.3-2]",
        PacketType::Disconnect => "[MQTT-3.14.2-1]",
        PacketType::Auth => "[MQTT-3.15.2-1]",
        PacketType::Connect
        | PacketType::Publish
        | PacketType::Subscribe
        | PacketType::Unsubscribe
        | PacketType::PingReq
        | PacketType::PingResp => "(2.4)",
    }
}

/// The statement that says how many reason codes an answer has.
const fn reason_count_statement(packet: PacketType) -> &'static str {
    match packet {
        PacketType::UnsubAck => "[MQTT-3.11.3-1]",
        PacketType::Connect
        | PacketType::ConnAck
        | PacketType::Publish
        | PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubRel
        | PacketType::PubComp
        | PacketType::Subscribe
        | PacketType::SubAck
        | PacketType::Unsubscribe
        | PacketType::PingReq
        | PacketType::PingResp
        | PacketType::Disconnect
        | PacketType::Auth => "[MQTT-3.9.3-1]",
    }
}
