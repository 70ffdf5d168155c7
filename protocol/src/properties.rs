//! Properties (2.2.2): one table says which identifiers exist, which packets may carry them, and which may repeat.

use std::ops::{Deref, Range};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::data::{Measure, Reader, Sink};
use crate::encoder::Explanation;
use crate::error::Fault;
use crate::{ClientId, PacketType};

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
        bits |= carriers[carrier].bit();
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

/// The lines of the table by identifier.
const BY_ID: [Option<Row>; 64] = {
    let mut rows = [None; 64];
    let mut index = 0;
    while index < TABLE.len() {
        rows[TABLE[index].id as usize] = Some(TABLE[index]);
        index += 1;
    }
    rows
};

impl Carrier {
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(packet) => 1 << packet as u16,
            Self::Will => 1,
        }
    }

    /// Whether it may carry this property more than once. User Property is dealt with on its own.
    const fn may_repeat(self, id: u8) -> bool {
        matches!(self, Self::Packet(PacketType::Publish)) && id == id::SUBSCRIPTION_IDENTIFIER
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
        BY_ID.get(usize::from(self.0)).and_then(Option::as_ref)
    }
}

impl std::fmt::Display for PropertyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the properties of one carrier: hands out identifiers, leaves the values to the caller, collects User
/// Properties itself.
#[derive(Debug)]
pub(crate) struct PropertyReader<'a, 'b, B = Bytes> {
    reader: &'a mut Reader<'b, B>,
    carrier: Carrier,
    /// One bit for each identifier that was there.
    seen: u64,
    user: UserFields,
}

/// Where the User Properties of one carrier stand.
#[derive(Debug, Default)]
pub(crate) struct UserFields {
    /// Those that were found side by side.
    range: Range<usize>,
    /// Those that other properties came between.
    gathered: Vec<u8>,
}

impl UserFields {
    /// Slices what was found out of the packet's bytes.
    #[inline(always)]
    pub(crate) fn slice(mut self, bytes: &Bytes) -> UserProperties {
        if self.gathered.is_empty() {
            return UserProperties(bytes.slice(self.range));
        }
        self.gather(bytes);
        UserProperties(Bytes::from(self.gathered))
    }

    /// Adds what stands there.
    #[inline(always)]
    fn add(&mut self, range: Range<usize>, bytes: &[u8]) {
        if range.start != self.range.end {
            self.gather(bytes);
            self.range.start = range.start;
        }
        self.range.end = range.end;
    }

    fn gather(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(&bytes[self.range.clone()]);
    }
}

impl<'a, 'b, B: Deref<Target = [u8]>> PropertyReader<'a, 'b, B> {
    /// Reads the property length and stays within it until [`PropertyReader::finish`].
    #[inline(always)]
    pub(crate) fn new(reader: &'a mut Reader<'b, B>, carrier: Carrier) -> Result<Self, Fault> {
        let bytes = reader.variable_byte_integer()? as usize;
        reader.enter_properties(bytes)?;
        Ok(Self { reader, carrier, seen: 0, user: UserFields::default() })
    }

    /// The identifier of the next property, whose value the caller must read. `None`: that was the last.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<u8>, Fault> {
        while self.reader.left() > 0 {
            let from = self.reader.position();
            let number = self.reader.variable_byte_integer()?;
            let row = BY_ID.get(number as usize).and_then(Option::as_ref);
            let Some(row) = row else {
                return Err(Fault::PropertyUnknown { id: number });
            };
            let property = PropertyId(row.id);
            if row.carriers & self.carrier.bit() == 0 {
                return Err(Fault::PropertyNotAllowed { property });
            }
            if row.id == id::USER_PROPERTY {
                self.collect(from)?;
                continue;
            }
            let bit = 1 << row.id;
            if self.seen & bit != 0 && !self.carrier.may_repeat(row.id) {
                return Err(Fault::PropertyTwice { property });
            }
            self.seen |= bit;
            return Ok(Some(row.id));
        }
        Ok(None)
    }

    /// Reads past the properties, and says where the User Properties among them stand.
    #[inline(always)]
    pub(crate) fn finish_fields(self) -> UserFields {
        self.reader.leave_properties();
        self.user
    }

    /// Reads a User Property whose identifier stood at `from`.
    #[inline(always)]
    fn collect(&mut self, from: usize) -> Result<(), Fault> {
        self.reader.skip_string_pair()?;
        self.user.add(from..self.reader.position(), self.reader.all());
        Ok(())
    }

    /// Where Binary Data or a UTF-8 Encoded String stands.
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<Range<usize>, Fault> {
        self.reader.field()
    }

    /// Byte.
    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.reader.u8()
    }

    /// Two Byte Integer.
    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.reader.u16()
    }

    /// Two Byte Integer that may not be 0.
    pub(crate) fn positive_u16(&mut self, id: u8) -> Result<u16, Fault> {
        match self.reader.u16()? {
            0 => Err(value_fault(id, 0)),
            value => Ok(value),
        }
    }

    /// Four Byte Integer.
    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.reader.u32()
    }

    /// Four Byte Integer that may not be 0.
    pub(crate) fn positive_u32(&mut self, id: u8) -> Result<u32, Fault> {
        match self.reader.u32()? {
            0 => Err(value_fault(id, 0)),
            value => Ok(value),
        }
    }

    /// Variable Byte Integer.
    #[inline(always)]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, Fault> {
        self.reader.variable_byte_integer()
    }

    /// Byte that is 0 or 1.
    pub(crate) fn bool(&mut self, id: u8) -> Result<bool, Fault> {
        match self.reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(value_fault(id, value.into())),
        }
    }
}

impl PropertyReader<'_, '_, Bytes> {
    /// Binary Data.
    #[inline(always)]
    pub(crate) fn binary(&mut self) -> Result<Bytes, Fault> {
        self.reader.binary()
    }

    /// UTF-8 Encoded String.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<ByteString, Fault> {
        self.reader.string()
    }

    /// UTF-8 Encoded String that is a client identifier.
    pub(crate) fn client_id(&mut self, id: u8) -> Result<ClientId, Fault> {
        ClientId::parse(self.reader.string()?).ok_or(value_fault(id, 0))
    }

    /// Reads past the properties, and returns the User Properties among them.
    pub(crate) fn finish(self) -> UserProperties {
        let bytes = self.reader.bytes();
        self.finish_fields().slice(bytes)
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
        self.bytes(&user_properties.0);
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

/// User Properties (2.2.2.2): pairs of strings in their order, which the server forwards unaltered [MQTT-3.3.2-17, -18].
///
/// Kept as the bytes of the wire, checked once: a packet with user properties costs no allocation, and forwarding
/// them is one copy of their bytes.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct UserProperties(Bytes);

impl UserProperties {
    /// None of them.
    pub const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            rest = rest.get(1..)?; // the identifier
            Some((split_string(&mut rest)?, split_string(&mut rest)?))
        })
    }

    /// Adds a pair; `false`, and nothing added, if either does not fit the wire.
    #[must_use]
    pub fn push(&mut self, name: &str, value: &str) -> bool {
        let fits = |text: &str| text.len() <= usize::from(u16::MAX) && !text.contains('\0');
        if !fits(name) || !fits(value) {
            return false;
        }
        let mut bytes = BytesMut::from(std::mem::take(&mut self.0));
        bytes.reserve(1 + 2 + name.len() + 2 + value.len());
        bytes.put_u8(id::USER_PROPERTY);
        bytes.field(name.as_bytes());
        bytes.field(value.as_bytes());
        self.0 = bytes.freeze();
        true
    }

    /// The pairs as on the wire of 5.0: each with its identifier in front, without a property length. What a store
    /// keeps.
    pub fn as_wire(&self) -> &Bytes {
        &self.0
    }

    /// What [`UserProperties::as_wire`] returned. `None` if the bytes are anything else.
    pub fn from_wire(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(&bytes, 0);
        while reader.left() > 0 {
            if reader.u8() != Ok(id::USER_PROPERTY) {
                return None;
            }
            reader.skip_string_pair().ok()?;
        }
        Some(Self(bytes))
    }

    /// A copy that shares no memory with the receive buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl std::fmt::Debug for UserProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Takes a string off bytes that were checked when they came in.
fn split_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_properties_keep_pairs_and_their_order() {
        let mut properties = UserProperties::new();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "1"), ("", "")] {
            assert!(properties.push(name, value));
        }
        let pairs: Vec<_> = properties.iter().collect();
        assert_eq!(pairs, [("b", "1"), ("a", "2"), ("b", "1"), ("", "")]);
        assert_eq!(properties.detach(), properties);
        assert_eq!(UserProperties::from_wire(properties.as_wire().clone()), Some(properties));
    }

    #[test]
    fn user_properties_refuse_what_does_not_fit_the_wire() {
        let mut properties = UserProperties::new();
        assert!(!properties.push(&"a".repeat(65_536), ""));
        assert!(!properties.push("", "a\0"));
        assert!(properties.is_empty());
        assert!(properties.push(&"a".repeat(65_535), ""));
    }

    #[test]
    fn bytes_that_are_no_user_properties_are_refused() {
        for bytes in
            [&b"\x26"[..], b"\x26\0\x01a\0\x02b", b"\x1F\0\0\0\0", b"\x26\0\x01\xFF\0\0", b"\x26\0\x01\0\0\0"]
        {
            assert_eq!(UserProperties::from_wire(Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_table_has_27_properties_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(PropertyId(id::RECEIVE_MAXIMUM).to_string(), "Receive Maximum");
    }
}
