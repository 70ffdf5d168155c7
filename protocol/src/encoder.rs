//! Packets to bytes; refuses what the peer cannot take.

use bytes::{BufMut, Bytes, BytesMut};

use crate::data::{Measure, Sink, VARIABLE_BYTE_INTEGER_MAX, VariableByteInteger};
use crate::fixed_header::first_byte;
use crate::packet::{Ack, PublishParts, TypedAck};
use crate::properties::WriteProperties;
use crate::{Delivery, Packet, PacketType, ReasonCode, Version};

/// From this size on a payload is passed on as the slice that it is; below, copying it is cheaper than one more
/// chunk to write.
const LARGE_PAYLOAD_BYTES: usize = 4_096;

/// The first byte of PUBLISH without its flags.
const PUBLISH: u8 = (PacketType::Publish as u8) << 4;

/// Encodes for one peer: its version, and the largest packet that it takes.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    version: Version,
    maximum_packet_bytes: usize,
}

/// Why a packet was not encoded; nothing was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// Larger than the peer takes. A PUBLISH is then dropped as if it had been sent [MQTT-3.1.2-25].
    #[error("packet of {bytes} bytes, the peer takes {max} [MQTT-3.1.2-24]")]
    PacketTooLarge {
        /// Size of the packet, fixed header included.
        bytes: usize,
        /// What the peer takes.
        max: usize,
    },
    /// A string or binary field that its two length bytes cannot say.
    #[error("field of {bytes} bytes, 65535 fit (1.5.4, 1.5.6)")]
    FieldTooLong {
        /// How many.
        bytes: usize,
    },
    /// The version has nothing that says this.
    #[error("this {packet} cannot be said in version {version}")]
    NotInVersion {
        /// Which packet.
        packet: PacketType,
        /// The peer's version.
        version: Version,
    },
    /// A reason code that the packet may not carry (table 2-6).
    #[error("reason code {reason} in {packet} (2.4)")]
    ReasonNotAllowed {
        /// Which packet.
        packet: PacketType,
        /// Which code.
        reason: ReasonCode,
    },
    /// A packet that must have filters or reason codes and has none.
    #[error("empty {packet} [MQTT-3.8.3-2, 3.10.3-2]")]
    Empty {
        /// Which packet.
        packet: PacketType,
    },
}

/// Encoded bytes on their way out, in order: small parts are gathered, a large payload stays the slice that it is.
#[derive(Default)]
pub struct OutBuffer {
    chunks: Vec<Bytes>,
    tail: BytesMut,
}

/// How much a packet explains. A reason string or user properties that would make the packet larger than the peer
/// takes are left out [MQTT-3.2.2-19, 3.2.2-20, 3.4.2-2, 3.4.2-3, 3.5.2-2, 3.5.2-3, 3.6.2-2, 3.6.2-3, 3.7.2-2, 3.7.2-3,
/// 3.9.2-1, 3.9.2-2, 3.11.2-1, 3.11.2-2, 3.14.2-3, 3.14.2-4, 3.15.2-2, 3.15.2-3].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Explanation {
    /// All that there is.
    Full,
    /// Without user properties.
    ReasonString,
    /// Without either.
    Nothing,
}

/// A packet that is written in one piece: variable header and payload, without the fixed header.
pub(crate) trait Body {
    /// Whether the packet can be said in this version at all.
    fn check(&self, version: Version) -> Result<(), EncodeError>;

    /// Writes it.
    fn write<S: Sink>(&self, version: Version, explanation: Explanation, sink: &mut S);
}

/// Without the bytes, which may be anybody's password.
impl std::fmt::Debug for OutBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutBuffer").field("bytes", &self.len()).field("chunks", &self.chunks.len()).finish()
    }
}

impl OutBuffer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }

    /// Takes all that is there, in order.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.close_tail();
        std::mem::take(&mut self.chunks)
    }

    /// Appends a large payload without copying it.
    fn push(&mut self, payload: &Bytes) {
        self.close_tail();
        self.chunks.push(payload.clone());
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(self.tail.split().freeze());
        }
    }
}

impl Encoder {
    /// An encoder for a peer of this version that takes packets of this size.
    pub fn new(version: Version, maximum_packet_bytes: usize) -> Self {
        Self { version, maximum_packet_bytes }
    }

    /// The version that it writes.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Appends one packet.
    pub fn encode(&self, packet: &Packet, out: &mut OutBuffer) -> Result<(), EncodeError> {
        match packet {
            Packet::Connect(connect) => self.encode_body(PacketType::Connect, &**connect, out),
            Packet::ConnAck(connack) => self.encode_body(PacketType::ConnAck, &**connack, out),
            Packet::Publish(publish) => self.encode_publish(PublishParts::of_packet(publish), out),
            Packet::PubAck(ack) => self.encode_ack(PacketType::PubAck, ack, out),
            Packet::PubRec(ack) => self.encode_ack(PacketType::PubRec, ack, out),
            Packet::PubRel(ack) => self.encode_ack(PacketType::PubRel, ack, out),
            Packet::PubComp(ack) => self.encode_ack(PacketType::PubComp, ack, out),
            Packet::Subscribe(subscribe) => self.encode_body(PacketType::Subscribe, subscribe, out),
            Packet::SubAck(suback) => self.encode_body(PacketType::SubAck, suback, out),
            Packet::Unsubscribe(unsubscribe) => self.encode_body(PacketType::Unsubscribe, unsubscribe, out),
            Packet::UnsubAck(unsuback) => self.encode_body(PacketType::UnsubAck, unsuback, out),
            Packet::PingReq => self.encode_body(PacketType::PingReq, &Nothing, out),
            Packet::PingResp => self.encode_body(PacketType::PingResp, &Nothing, out),
            Packet::Disconnect(disconnect) => self.encode_body(PacketType::Disconnect, &**disconnect, out),
            Packet::Auth(auth) => self.encode_body(PacketType::Auth, &**auth, out),
        }
    }

    /// Appends the PUBLISH of one delivery. The payload is not copied if it is large.
    pub fn encode_delivery(&self, delivery: &Delivery, out: &mut OutBuffer) -> Result<(), EncodeError> {
        self.encode_publish(PublishParts::of_delivery(delivery, self.version), out)
    }

    /// Whether the peer takes the PUBLISH of one delivery: whether [`Self::encode_delivery`] will.
    pub fn fits(&self, delivery: &Delivery) -> bool {
        self.measure_publish(&PublishParts::of_delivery(delivery, self.version)).is_ok()
    }

    fn encode_publish(&self, publish: PublishParts<'_>, out: &mut OutBuffer) -> Result<(), EncodeError> {
        let (properties, header) = self.measure_publish(&publish)?;
        let remaining_length = header.bytes + publish.payload.len();

        let is_large = publish.payload.len() >= LARGE_PAYLOAD_BYTES;
        let gathered = if is_large { header.bytes } else { remaining_length };
        start(PUBLISH | publish.flags(), remaining_length, gathered, out);
        publish.write_header(properties, self.version, &mut out.tail);
        if is_large {
            out.push(publish.payload);
        } else {
            out.tail.put_slice(publish.payload);
        }
        Ok(())
    }

    /// The properties, and the header with them, of a PUBLISH that the peer takes.
    #[inline]
    fn measure_publish(&self, publish: &PublishParts<'_>) -> Result<(Measure, Measure), EncodeError> {
        if !publish.has_topic(self.version) {
            return Err(EncodeError::NotInVersion { packet: PacketType::Publish, version: self.version });
        }
        let properties = if self.version.has_properties() { publish.measure() } else { Measure::default() };
        let header = publish.measure_header(properties, self.version);
        check_fields(header)?;
        self.check_size(header.bytes + publish.payload.len())?;
        Ok((properties, header))
    }

    fn encode_ack(&self, packet_type: PacketType, ack: &Ack, out: &mut OutBuffer) -> Result<(), EncodeError> {
        self.encode_body(packet_type, &TypedAck { packet_type, ack }, out)
    }

    fn encode_body(
        &self,
        packet_type: PacketType,
        body: &impl Body,
        out: &mut OutBuffer,
    ) -> Result<(), EncodeError> {
        body.check(self.version)?;
        let mut refused = Ok(());
        for explanation in [Explanation::Full, Explanation::ReasonString, Explanation::Nothing] {
            let mut measure = Measure::default();
            body.write(self.version, explanation, &mut measure);
            check_fields(measure)?;
            refused = self.check_size(measure.bytes);
            if refused.is_ok() {
                start(first_byte(packet_type), measure.bytes, measure.bytes, out);
                body.write(self.version, explanation, &mut out.tail);
                break;
            }
        }
        refused
    }

    /// Whether the peer, and the remaining length, take a packet of this size.
    #[inline]
    fn check_size(&self, remaining_length: usize) -> Result<(), EncodeError> {
        let fixed_header_bytes = 1 + VariableByteInteger::size(remaining_length);
        let bytes = fixed_header_bytes + remaining_length;
        let longest = fixed_header_bytes + VARIABLE_BYTE_INTEGER_MAX as usize;
        let max = self.maximum_packet_bytes.min(longest);
        if bytes > max { Err(EncodeError::PacketTooLarge { bytes, max }) } else { Ok(()) }
    }
}

#[inline]
fn check_fields(measure: Measure) -> Result<(), EncodeError> {
    let bytes = measure.longest_field;
    if bytes > usize::from(u16::MAX) { Err(EncodeError::FieldTooLong { bytes }) } else { Ok(()) }
}

/// Makes room for what will be gathered, and writes the fixed header.
#[inline]
fn start(first: u8, remaining_length: usize, gathered: usize, out: &mut OutBuffer) {
    out.tail.reserve(1 + VariableByteInteger::size(remaining_length) + gathered);
    out.tail.u8(first);
    out.tail.variable_byte_integer(remaining_length);
}

/// The body of PINGREQ and PINGRESP.
struct Nothing;

impl Body for Nothing {
    fn check(&self, _version: Version) -> Result<(), EncodeError> {
        Ok(())
    }

    fn write<S: Sink>(&self, _version: Version, _explanation: Explanation, _sink: &mut S) {}
}
