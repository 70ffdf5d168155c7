//! Packets from the broker, read by a parser of its own. Every packet of every test goes through it, and it insists on
//! all that the specification asks of a server's packets: flags, shortest lengths, well-formed text, properties once
//! and where they belong, reason codes of the right table, nothing left over.
//!
//! Not here: the project's own decoder. A mistake that both shared would hide itself.

use crate::bytes::{first_byte, property};
use crate::scene::Version;

/// A packet that a server may send.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packet {
    ConnAck(ConnAck),
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack),
    SubAck(Codes),
    UnsubAck(Codes),
    PingResp,
    Disconnect(Reason),
    Auth(Reason),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConnAck {
    pub(crate) session_present: bool,
    pub(crate) code: u8,
    pub(crate) properties: Properties,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Publish {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) id: Option<u16>,
    pub(crate) properties: Properties,
    pub(crate) payload: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ack {
    /// `first_byte::PUBACK`, `PUBREC`, `PUBREL` or `PUBCOMP`.
    pub(crate) first_byte: u8,
    pub(crate) id: u16,
    pub(crate) code: u8,
    pub(crate) properties: Properties,
}

/// SUBACK and UNSUBACK; the UNSUBACK of 3.1.1 has no codes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Codes {
    pub(crate) id: u16,
    pub(crate) properties: Properties,
    pub(crate) codes: Vec<u8>,
}

/// DISCONNECT and AUTH.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    pub(crate) code: u8,
    pub(crate) properties: Properties,
}

/// Properties in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Properties(pub(crate) Vec<(u8, Value)>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(u32),
    Text(String),
    Binary(Vec<u8>),
    Pair(String, String),
}

impl Properties {
    /// The number that this property has, if it is there.
    pub(crate) fn number(&self, id: u8) -> Option<u32> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Number(number) if *found == id => Some(*number),
            Value::Number(_) | Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
        })
    }

    /// All numbers that this property has.
    pub(crate) fn numbers(&self, id: u8) -> Vec<u32> {
        let only = |(found, value): &(u8, Value)| match value {
            Value::Number(number) if *found == id => Some(*number),
            Value::Number(_) | Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
        };
        self.0.iter().filter_map(only).collect()
    }

    /// The text that this property has, if it is there.
    pub(crate) fn text(&self, id: u8) -> Option<&str> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Text(text) if *found == id => Some(text.as_str()),
            Value::Number(_) | Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
        })
    }

    /// The binary data that this property has, if it is there.
    pub(crate) fn binary(&self, id: u8) -> Option<&[u8]> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Binary(bytes) if *found == id => Some(bytes.as_slice()),
            Value::Number(_) | Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
        })
    }

    /// User properties in their order.
    pub(crate) fn user(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .filter_map(|(_, value)| match value {
                Value::Pair(name, value) => Some((name.as_str(), value.as_str())),
                Value::Number(_) | Value::Text(_) | Value::Binary(_) => None,
            })
            .collect()
    }

    pub(crate) fn has(&self, id: u8) -> bool {
        self.0.iter().any(|(found, _)| *found == id)
    }
}

/// The PUBLISHes among these packets.
pub(crate) fn publishes(packets: &[Packet]) -> Vec<&Publish> {
    let mut publishes = Vec::new();
    for packet in packets {
        if let Packet::Publish(publish) = packet {
            publishes.push(publish);
        }
    }
    publishes
}

/// Where a packet with this first byte may have its end. `None`: more bytes are needed.
pub(crate) fn split(buffer: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, byte) in buffer.iter().skip(1).enumerate() {
        assert!(index < 4, "broker sent a remaining length of more than four bytes: {buffer:02x?}");
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            assert!(
                index == 0 || *byte != 0,
                "broker sent a remaining length that is not the shortest: {buffer:02x?}"
            );
            let end = 2 + index + length;
            return (buffer.len() >= end).then_some(end);
        }
    }
    None
}

/// Reads one whole packet. Panics on anything that a server must not send.
pub(crate) fn parse(version: Version, bytes: &[u8]) -> Packet {
    let body_at = 1 + 1 + bytes.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count();
    let mut reader = Reader { version, bytes, at: body_at };
    let packet = match bytes[0] {
        first_byte::CONNACK => Packet::ConnAck(reader.connack()),
        first if first & 0xF0 == first_byte::PUBLISH => Packet::Publish(reader.publish(first & 0x0F)),
        first @ (first_byte::PUBACK | first_byte::PUBREC | first_byte::PUBREL | first_byte::PUBCOMP) => {
            Packet::Ack(reader.ack(first))
        }
        first_byte::SUBACK => Packet::SubAck(reader.suback()),
        first_byte::UNSUBACK => Packet::UnsubAck(reader.unsuback()),
        first_byte::PINGRESP => Packet::PingResp,
        first_byte::DISCONNECT if version == Version::V5 => Packet::Disconnect(reader.disconnect()),
        first_byte::AUTH if version == Version::V5 => Packet::Auth(reader.auth()),
        _ => panic!("broker sent a type or flags that a server never sends: {bytes:02x?}"),
    };
    assert_eq!(reader.at, bytes.len(), "broker sent bytes behind the end of the packet: {bytes:02x?}");
    packet
}

const CONNACK_CODES: [u8; 22] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];
const CONNACK_CODES_V311: [u8; 6] = [0, 1, 2, 3, 4, 5];
const PUBACK_CODES: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const PUBREL_CODES: [u8; 2] = [0x00, 0x92];
const SUBACK_CODES: [u8; 12] = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
const SUBACK_CODES_V311: [u8; 4] = [0x00, 0x01, 0x02, 0x80];
const UNSUBACK_CODES: [u8; 7] = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
const DISCONNECT_CODES: [u8; 27] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1,
];
const AUTH_CODES: [u8; 2] = [0x00, 0x18];

const CONNACK_PROPERTIES: [u8; 17] = [
    property::SESSION_EXPIRY_INTERVAL,
    property::ASSIGNED_CLIENT_IDENTIFIER,
    property::SERVER_KEEP_ALIVE,
    property::AUTHENTICATION_METHOD,
    property::AUTHENTICATION_DATA,
    property::RESPONSE_INFORMATION,
    property::SERVER_REFERENCE,
    property::REASON_STRING,
    property::RECEIVE_MAXIMUM,
    property::TOPIC_ALIAS_MAXIMUM,
    property::MAXIMUM_QOS,
    property::RETAIN_AVAILABLE,
    property::USER_PROPERTY,
    property::MAXIMUM_PACKET_SIZE,
    property::WILDCARD_SUBSCRIPTION_AVAILABLE,
    property::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
    property::SHARED_SUBSCRIPTION_AVAILABLE,
];
const PUBLISH_PROPERTIES: [u8; 8] = [
    property::PAYLOAD_FORMAT_INDICATOR,
    property::MESSAGE_EXPIRY_INTERVAL,
    property::CONTENT_TYPE,
    property::RESPONSE_TOPIC,
    property::CORRELATION_DATA,
    property::SUBSCRIPTION_IDENTIFIER,
    property::TOPIC_ALIAS,
    property::USER_PROPERTY,
];
const ACK_PROPERTIES: [u8; 2] = [property::REASON_STRING, property::USER_PROPERTY];
const DISCONNECT_PROPERTIES: [u8; 3] =
    [property::SERVER_REFERENCE, property::REASON_STRING, property::USER_PROPERTY];
const AUTH_PROPERTIES: [u8; 4] = [
    property::AUTHENTICATION_METHOD,
    property::AUTHENTICATION_DATA,
    property::REASON_STRING,
    property::USER_PROPERTY,
];

struct Reader<'a> {
    version: Version,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let from = self.at;
        self.at += count;
        assert!(self.at <= self.bytes.len(), "broker sent a packet that is cut short: {:02x?}", self.bytes);
        &self.bytes[from..self.at]
    }

    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn rest(&mut self) -> Vec<u8> {
        self.take(self.bytes.len() - self.at).to_vec()
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        let bytes = self.take(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    fn u32(&mut self) -> u32 {
        let bytes = self.take(4);
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    fn binary(&mut self) -> Vec<u8> {
        let length = self.u16();
        self.take(usize::from(length)).to_vec()
    }

    fn text(&mut self) -> String {
        let text = String::from_utf8(self.binary())
            .unwrap_or_else(|_| panic!("broker sent text that is not UTF-8: {:02x?}", self.bytes));
        assert!(!text.contains('\0'), "broker sent text with U+0000: {:02x?}", self.bytes);
        text
    }

    fn packet_id(&mut self) -> u16 {
        let id = self.u16();
        assert_ne!(id, 0, "broker sent packet identifier 0: {:02x?}", self.bytes);
        id
    }

    fn code(&mut self, table: &[u8]) -> u8 {
        let code = self.u8();
        assert!(
            table.contains(&code),
            "broker sent code {code:#04x}, which this packet has not: {:02x?}",
            self.bytes
        );
        code
    }

    fn variable(&mut self) -> usize {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.u8();
            value |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                assert!(
                    index == 0 || byte != 0,
                    "broker sent an integer that is not the shortest: {:02x?}",
                    self.bytes
                );
                return value;
            }
        }
        panic!("broker sent an integer of more than four bytes: {:02x?}", self.bytes);
    }

    fn properties(&mut self, allowed: &[u8]) -> Properties {
        let mut properties = Properties::default();
        if self.version == Version::V311 {
            return properties;
        }
        let length = self.variable();
        let end = self.at + length;
        while self.at < end {
            let id = self.u8();
            assert!(
                allowed.contains(&id),
                "broker sent property {id:#04x} where it does not belong: {:02x?}",
                self.bytes
            );
            let may_repeat = [property::USER_PROPERTY, property::SUBSCRIPTION_IDENTIFIER].contains(&id);
            assert!(
                may_repeat || !properties.has(id),
                "broker sent property {id:#04x} twice: {:02x?}",
                self.bytes
            );
            let value = self.value(id);
            properties.0.push((id, value));
        }
        assert_eq!(self.at, end, "broker sent a property length that cuts a property: {:02x?}", self.bytes);
        properties
    }

    fn value(&mut self, id: u8) -> Value {
        match id {
            property::PAYLOAD_FORMAT_INDICATOR
            | property::MAXIMUM_QOS
            | property::RETAIN_AVAILABLE
            | property::WILDCARD_SUBSCRIPTION_AVAILABLE
            | property::SUBSCRIPTION_IDENTIFIER_AVAILABLE
            | property::SHARED_SUBSCRIPTION_AVAILABLE => {
                let value = self.u8();
                assert!(value < 2, "broker sent {value} for property {id:#04x}: {:02x?}", self.bytes);
                Value::Number(value.into())
            }
            property::RECEIVE_MAXIMUM | property::TOPIC_ALIAS => {
                let value = self.u16();
                assert_ne!(value, 0, "broker sent 0 for property {id:#04x}: {:02x?}", self.bytes);
                Value::Number(value.into())
            }
            property::SERVER_KEEP_ALIVE | property::TOPIC_ALIAS_MAXIMUM => Value::Number(self.u16().into()),
            property::MAXIMUM_PACKET_SIZE => {
                let value = self.u32();
                assert_ne!(value, 0, "broker sent a maximum packet size of 0: {:02x?}", self.bytes);
                Value::Number(value)
            }
            property::MESSAGE_EXPIRY_INTERVAL | property::SESSION_EXPIRY_INTERVAL => {
                Value::Number(self.u32())
            }
            property::SUBSCRIPTION_IDENTIFIER => {
                let value = self.variable();
                assert_ne!(value, 0, "broker sent a subscription identifier of 0: {:02x?}", self.bytes);
                Value::Number(u32::try_from(value).expect("four bytes of seven bits"))
            }
            property::CORRELATION_DATA | property::AUTHENTICATION_DATA => Value::Binary(self.binary()),
            property::USER_PROPERTY => Value::Pair(self.text(), self.text()),
            _ => Value::Text(self.text()),
        }
    }

    fn connack(&mut self) -> ConnAck {
        let flags = self.u8();
        assert_eq!(flags & 0xFE, 0, "broker sent reserved connect acknowledge flags: {:02x?}", self.bytes);
        let session_present = flags == 1;
        let code = match self.version {
            Version::V311 => self.code(&CONNACK_CODES_V311),
            Version::V5 => self.code(&CONNACK_CODES),
        };
        assert!(code == 0 || !session_present, "broker refused with session present 1: {:02x?}", self.bytes);
        ConnAck { session_present, code, properties: self.properties(&CONNACK_PROPERTIES) }
    }

    fn publish(&mut self, flags: u8) -> Publish {
        let (dup, qos, retain) = (flags & 0x08 != 0, (flags >> 1) & 0x03, flags & 0x01 != 0);
        assert_ne!(qos, 3, "broker sent QoS 3: {:02x?}", self.bytes);
        assert!(qos > 0 || !dup, "broker sent QoS 0 with DUP: {:02x?}", self.bytes);
        let topic = self.text();
        assert!(!topic.contains(['+', '#']), "broker sent a topic name with wildcards: {topic}");
        let id = (qos > 0).then(|| self.packet_id());
        let properties = self.properties(&PUBLISH_PROPERTIES);
        assert!(
            !topic.is_empty() || properties.has(property::TOPIC_ALIAS),
            "broker sent neither topic nor alias"
        );
        Publish { dup, qos, retain, topic, id, properties, payload: self.rest() }
    }

    fn ack(&mut self, first_byte: u8) -> Ack {
        let id = self.packet_id();
        let table: &[u8] = match first_byte {
            first_byte::PUBACK | first_byte::PUBREC => &PUBACK_CODES,
            _ => &PUBREL_CODES,
        };
        let Reason { code, properties } = self.reason(table, &ACK_PROPERTIES);
        Ack { first_byte, id, code, properties }
    }

    fn suback(&mut self) -> Codes {
        let (id, properties) = (self.packet_id(), self.properties(&ACK_PROPERTIES));
        let mut codes = Vec::new();
        while !self.is_at_end() {
            codes.push(match self.version {
                Version::V311 => self.code(&SUBACK_CODES_V311),
                Version::V5 => self.code(&SUBACK_CODES),
            });
        }
        assert!(!codes.is_empty(), "broker sent SUBACK without a code: {:02x?}", self.bytes);
        Codes { id, properties, codes }
    }

    fn unsuback(&mut self) -> Codes {
        let (id, properties) = (self.packet_id(), self.properties(&ACK_PROPERTIES));
        let mut codes = Vec::new();
        while self.version == Version::V5 && !self.is_at_end() {
            codes.push(self.code(&UNSUBACK_CODES));
        }
        Codes { id, properties, codes }
    }

    fn disconnect(&mut self) -> Reason {
        self.reason(&DISCONNECT_CODES, &DISCONNECT_PROPERTIES)
    }

    fn auth(&mut self) -> Reason {
        self.reason(&AUTH_CODES, &AUTH_PROPERTIES)
    }

    /// A reason code and properties, of which the end may be left out: success, and none.
    fn reason(&mut self, table: &[u8], allowed: &[u8]) -> Reason {
        let absent = Reason { code: 0, properties: Properties::default() };
        if self.version == Version::V311 || self.is_at_end() {
            return absent;
        }
        let code = self.code(table);
        if self.is_at_end() {
            return Reason { code, ..absent };
        }
        Reason { code, properties: self.properties(allowed) }
    }
}
