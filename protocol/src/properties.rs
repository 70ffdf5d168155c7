//! Properties (2.2.2): one table says which identifiers exist, which packets may carry them, and which may repeat.

use crate::PacketType;
use crate::data::{Measure, Sink};
use crate::encoder::Explanation;
use crate::error::Fault;

mod reader;
mod user;

pub(crate) use reader::PropertyReader;
pub(crate) use user::UserFields;
pub use user::UserProperties;

/// The identifiers of table 2-4.
pub(crate) mod id {
    pub(crate) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_IDENTIFIERS_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// Names a property (2.2.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PropertyId(u8);

/// What carries properties: a packet, or the will in CONNECT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Carrier {
    Packet(PacketType),
    Will,
}

/// One line of table 2-4.
#[derive(Clone, Copy, Debug)]
struct Row {
    id: u8,
    name: &'static str,
    /// Where its meaning and its range stand.
    section: &'static str,
    /// One bit for each carrier.
    carriers: u16,
}

const fn row(id: u8, name: &'static str, section: &'static str, carriers: &[Carrier]) -> Row {
    let mut bits = 0;
    let mut carrier = 0;
    while carrier < carriers.len() {
        bits |= 1 << carriers[carrier].number();
        carrier += 1;
    }
    Row { id, name, section, carriers: bits }
}

/// Table 2-4.
const TABLE: [Row; 27] = {
    use Carrier::Will;
    const CONNECT: Carrier = Carrier::Packet(PacketType::Connect);
    const CONNACK: Carrier = Carrier::Packet(PacketType::ConnAck);
    const PUBLISH: Carrier = Carrier::Packet(PacketType::Publish);
    const PUBACK: Carrier = Carrier::Packet(PacketType::PubAck);
    const PUBREC: Carrier = Carrier::Packet(PacketType::PubRec);
    const PUBREL: Carrier = Carrier::Packet(PacketType::PubRel);
    const PUBCOMP: Carrier = Carrier::Packet(PacketType::PubComp);
    const SUBSCRIBE: Carrier = Carrier::Packet(PacketType::Subscribe);
    const SUBACK: Carrier = Carrier::Packet(PacketType::SubAck);
    const UNSUBSCRIBE: Carrier = Carrier::Packet(PacketType::Unsubscribe);
    const UNSUBACK: Carrier = Carrier::Packet(PacketType::UnsubAck);
    const DISCONNECT: Carrier = Carrier::Packet(PacketType::Disconnect);
    const AUTH: Carrier = Carrier::Packet(PacketType::Auth);
    [
        row(id::PAYLOAD_FORMAT_INDICATOR, "Payload Format Indicator", "3.3.2.3.2", &[PUBLISH, Will]),
        row(id::MESSAGE_EXPIRY_INTERVAL, "Message Expiry Interval", "3.3.2.3.3", &[PUBLISH, Will]),
        row(id::CONTENT_TYPE, "Content Type", "3.3.2.3.9", &[PUBLISH, Will]),
        row(id::RESPONSE_TOPIC, "Response Topic", "3.3.2.3.5", &[PUBLISH, Will]),
        row(id::CORRELATION_DATA, "Correlation Data", "3.3.2.3.6", &[PUBLISH, Will]),
        row(id::SUBSCRIPTION_IDENTIFIER, "Subscription Identifier", "3.8.2.1.2", &[PUBLISH, SUBSCRIBE]),
        row(
            id::SESSION_EXPIRY_INTERVAL,
            "Session Expiry Interval",
            "3.1.2.11.2",
            &[CONNECT, CONNACK, DISCONNECT],
        ),
        row(id::ASSIGNED_CLIENT_IDENTIFIER, "Assigned Client Identifier", "3.2.2.3.7", &[CONNACK]),
        row(id::SERVER_KEEP_ALIVE, "Server Keep Alive", "3.2.2.3.14", &[CONNACK]),
        row(id::AUTHENTICATION_METHOD, "Authentication Method", "3.1.2.11.9", &[CONNECT, CONNACK, AUTH]),
        row(id::AUTHENTICATION_DATA, "Authentication Data", "3.1.2.11.10", &[CONNECT, CONNACK, AUTH]),
        row(id::REQUEST_PROBLEM_INFORMATION, "Request Problem Information", "3.1.2.11.7", &[CONNECT]),
        row(id::WILL_DELAY_INTERVAL, "Will Delay Interval", "3.1.3.2.2", &[Will]),
        row(id::REQUEST_RESPONSE_INFORMATION, "Request Response Information", "3.1.2.11.6", &[CONNECT]),
        row(id::RESPONSE_INFORMATION, "Response Information", "3.2.2.3.15", &[CONNACK]),
        row(id::SERVER_REFERENCE, "Server Reference", "3.2.2.3.16", &[CONNACK, DISCONNECT]),
        row(
            id::REASON_STRING,
            "Reason String",
            "3.2.2.3.9",
            &[CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH],
        ),
        row(id::RECEIVE_MAXIMUM, "Receive Maximum", "3.1.2.11.3", &[CONNECT, CONNACK]),
        row(id::TOPIC_ALIAS_MAXIMUM, "Topic Alias Maximum", "3.1.2.11.5", &[CONNECT, CONNACK]),
        row(id::TOPIC_ALIAS, "Topic Alias", "3.3.2.3.4", &[PUBLISH]),
        row(id::MAXIMUM_QOS, "Maximum QoS", "3.2.2.3.4", &[CONNACK]),
        row(id::RETAIN_AVAILABLE, "Retain Available", "3.2.2.3.5", &[CONNACK]),
        row(
            id::USER_PROPERTY,
            "User Property",
            "2.2.2.2",
            &[
                CONNECT,
                Will,
                CONNACK,
                PUBLISH,
                PUBACK,
                PUBREC,
                PUBREL,
                PUBCOMP,
                SUBSCRIBE,
                SUBACK,
                UNSUBSCRIBE,
                UNSUBACK,
                DISCONNECT,
                AUTH,
            ],
        ),
        row(id::MAXIMUM_PACKET_SIZE, "Maximum Packet Size", "3.1.2.11.4", &[CONNECT, CONNACK]),
        row(id::WILDCARD_SUBSCRIPTION_AVAILABLE, "Wildcard Subscription Available", "3.2.2.3.11", &[CONNACK]),
        row(
            id::SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
            "Subscription Identifiers Available",
            "3.2.2.3.12",
            &[CONNACK],
        ),
        row(id::SHARED_SUBSCRIPTION_AVAILABLE, "Shared Subscription Available", "3.2.2.3.13", &[CONNACK]),
    ]
};

/// Which identifiers each carrier may have: one bit for each.
const PROPERTIES_BY_CARRIER: [u64; u16::BITS as usize] = {
    let mut properties = [0; u16::BITS as usize];
    let mut carrier = 0;
    while carrier < properties.len() {
        let mut line = 0;
        while line < TABLE.len() {
            if TABLE[line].carriers & (1 << carrier) != 0 {
                properties[carrier] |= 1 << TABLE[line].id;
            }
            line += 1;
        }
        carrier += 1;
    }
    properties
};

impl Carrier {
    /// Its place among the bits of a line: the number of its packet type, which is never 0.
    const fn number(self) -> u16 {
        match self {
            Self::Packet(packet) => packet as u16,
            Self::Will => 0,
        }
    }

    /// The identifiers that it may have: one bit for each.
    #[inline]
    const fn properties(self) -> u64 {
        PROPERTIES_BY_CARRIER[self.number() as usize]
    }

    /// Whether it may have this property more than once. User Property is dealt with on its own.
    #[inline]
    const fn may_repeat(self, id: u8) -> bool {
        matches!(self, Self::Packet(PacketType::Publish)) && id == id::SUBSCRIPTION_IDENTIFIER
    }

    /// Why it may not have this property, or not once more.
    #[cold]
    fn refuse(self, number: u32) -> Fault {
        let property = u8::try_from(number).map(PropertyId).ok().filter(|property| property.row().is_some());
        match property {
            None => Fault::PropertyUnknown { id: number },
            Some(property) if self.properties() & (1 << property.0) == 0 => {
                Fault::PropertyNotAllowed { property }
            }
            Some(property) => Fault::PropertyTwice { property },
        }
    }
}

impl PropertyId {
    /// The number on the wire.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The name of table 2-4.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The section that says what it means and which values it may have.
    pub fn section(self) -> &'static str {
        self.row().map_or("", |row| row.section)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.id == self.0)
    }
}

impl std::fmt::Display for PropertyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A value that the property's section rules out.
pub(crate) const fn value_fault(id: u8, value: u32) -> Fault {
    Fault::PropertyValue { property: PropertyId(id), value }
}

/// A property that has passed the table and yet is none of this packet's.
pub(crate) const fn not_allowed(id: u8) -> Fault {
    Fault::PropertyNotAllowed { property: PropertyId(id) }
}

/// Writes properties, each only if it is there.
pub(crate) trait PropertySink: Sink {
    /// Byte.
    fn property_u8(&mut self, id: u8, value: Option<u8>) {
        if let Some(value) = value {
            self.bytes(&[id, value]);
        }
    }

    /// Byte that is 0 or 1.
    fn property_bool(&mut self, id: u8, value: Option<bool>) {
        self.property_u8(id, value.map(u8::from));
    }

    /// Two Byte Integer.
    fn property_u16(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.u8(id);
            self.u16(value);
        }
    }

    /// Four Byte Integer.
    fn property_u32(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(id);
            self.u32(value);
        }
    }

    /// UTF-8 Encoded String.
    fn property_string(&mut self, id: u8, value: Option<&str>) {
        self.property_binary(id, value.map(str::as_bytes));
    }

    /// Binary Data.
    fn property_binary(&mut self, id: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.u8(id);
            self.field(value);
        }
    }

    /// Reason String and User Property, as far as there is room for them.
    fn explanation(
        &mut self,
        explanation: Explanation,
        reason: Option<&str>,
        user_properties: &UserProperties,
    ) {
        match explanation {
            Explanation::Full => {
                self.property_string(id::REASON_STRING, reason);
                self.user_properties(user_properties);
            }
            Explanation::ReasonString => self.property_string(id::REASON_STRING, reason),
            Explanation::Nothing => {}
        }
    }

    /// User Properties.
    fn user_properties(&mut self, user_properties: &UserProperties) {
        self.bytes(user_properties.as_wire());
    }
}

impl<S: Sink> PropertySink for S {}

/// The properties of one packet, ready to be written.
pub(crate) trait WriteProperties {
    /// Writes them without their length.
    fn write<S: Sink>(&self, sink: &mut S);

    /// How many bytes they have without their length, and the longest field among them.
    #[inline]
    fn measure(&self) -> Measure {
        let mut measure = Measure::default();
        self.write(&mut measure);
        measure
    }

    /// Writes them after their length [MQTT-2.2.2-1].
    fn write_section<S: Sink>(&self, sink: &mut S) {
        sink.variable_byte_integer(self.measure().bytes);
        self.write(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_27_properties_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(PropertyId(id::RECEIVE_MAXIMUM).to_string(), "Receive Maximum");
    }
}
