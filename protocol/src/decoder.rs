//! Bytes in any cut, packets out.

use bytes::{Bytes, BytesMut};

use crate::data::Reader;
use crate::error::Fault;
use crate::fixed_header::FixedHeader;
use crate::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe,
};
use crate::{DecodeError, Packet, PacketType, Version};

/// The most that is reserved ahead for a packet whose fixed header is there: a peer that announces a large packet and
/// sends nothing costs no more than this.
const RESERVE_BYTES_MAX: usize = 65_536;

/// Turns the bytes of one flow into packets. Owns the limit on packet size, which it enforces before it buffers.
#[derive(Debug)]
pub struct Decoder {
    version: Option<Version>,
    maximum_packet_bytes: usize,
}

impl Decoder {
    /// A decoder that awaits CONNECT (a server's control flow) and takes the version from it.
    pub fn new(maximum_packet_bytes: usize) -> Self {
        Self { version: None, maximum_packet_bytes }
    }

    /// A decoder for a flow whose version is known: a client's, or a data flow.
    pub fn with_version(version: Version, maximum_packet_bytes: usize) -> Self {
        Self { version: Some(version), maximum_packet_bytes }
    }

    /// The version of the flow. `None` before CONNECT has said it.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes the next packet off the front of `buffer`. `None`: more bytes are needed. After an error the flow is of
    /// no use any more.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let header = match self.read_header(buffer) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(fault) => return Err(self.error(packet_type(buffer), fault)),
        };
        let bytes = buffer.split_to(header.packet_bytes());
        match (header.packet_type, self.version) {
            (PacketType::Publish, Some(version)) => Publish::decode(&header, bytes, version),
            (packet_type, _) => match self.decode_packet(&header, bytes.freeze()) {
                Ok(packet) => Ok(Some(packet)),
                Err(fault) => Err(self.error(Some(packet_type), fault)),
            },
        }
    }

    /// Reads the fixed header of a packet that is there as a whole.
    #[inline]
    fn read_header(&self, buffer: &mut BytesMut) -> Result<Option<FixedHeader>, Fault> {
        let Some(header) = FixedHeader::read(buffer, self.version)? else {
            return Ok(None);
        };
        let (bytes, max) = (header.packet_bytes(), self.maximum_packet_bytes);
        if bytes > max {
            return Err(Fault::PacketTooLarge { bytes, max });
        }
        if buffer.len() < bytes {
            buffer.reserve((bytes - buffer.len()).min(RESERVE_BYTES_MAX));
            return Ok(None);
        }
        Ok(Some(header))
    }

    fn decode_packet(&mut self, header: &FixedHeader, bytes: Bytes) -> Result<Packet, Fault> {
        let packet_type = header.packet_type;
        let mut reader = Reader::new(&bytes, header.bytes);
        let (version, is_bridge) = match (packet_type, self.version) {
            (PacketType::Connect, known) => {
                let (version, is_bridge) = Connect::decode_version(&mut reader)?;
                self.version = known.or(Some(version));
                (version, is_bridge)
            }
            (_, Some(version)) => (version, false),
            (_, None) => return Err(Fault::ConnectExpected),
        };
        header.check_length(version)?;
        Ok(match packet_type {
            PacketType::Connect => Packet::Connect(Box::new(Connect::decode(reader, version, is_bridge)?)),
            PacketType::Publish => return Err(Fault::ConnectExpected), // in a known version it goes the other way
            PacketType::ConnAck => Packet::ConnAck(Box::new(ConnAck::decode(reader, version)?)),
            PacketType::PubAck => Packet::PubAck(Ack::decode(packet_type, reader, version)?),
            PacketType::PubRec => Packet::PubRec(Ack::decode(packet_type, reader, version)?),
            PacketType::PubRel => Packet::PubRel(Ack::decode(packet_type, reader, version)?),
            PacketType::PubComp => Packet::PubComp(Ack::decode(packet_type, reader, version)?),
            PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(reader, version)?),
            PacketType::SubAck => Packet::SubAck(SubAck::decode(reader, version)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(reader, version)?),
            PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(reader, version)?),
            PacketType::PingReq => reader.finish().map(|()| Packet::PingReq)?,
            PacketType::PingResp => reader.finish().map(|()| Packet::PingResp)?,
            PacketType::Disconnect => Packet::Disconnect(Box::new(Disconnect::decode(reader, version)?)),
            PacketType::Auth => Packet::Auth(Box::new(Auth::decode(reader)?)),
        })
    }

    #[cold]
    fn error(&self, packet: Option<PacketType>, fault: Fault) -> DecodeError {
        DecodeError { version: self.version, packet, fault }
    }
}

/// What the first byte announces.
fn packet_type(buffer: &[u8]) -> Option<PacketType> {
    buffer.first().and_then(|first| PacketType::from_number(first >> 4))
}
