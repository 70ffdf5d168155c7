//! Packets to bytes; refuses what the peer cannot take.

use bytes::{Bytes, BytesMut};

use crate::{Delivery, Packet, Version};

/// Encodes for one peer: its version, and the largest packet that it takes.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    version: Version,
    maximum_packet_bytes: usize,
}

/// Why a packet was not encoded; nothing was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// Larger than the peer takes.
    #[error("packet of {bytes} bytes, the peer takes {max} [MQTT-3.1.2-24]")]
    PacketTooLarge {
        /// Size of the packet, fixed header included.
        bytes: usize,
        /// What the peer takes.
        max: usize,
    },
}

/// Encoded bytes on their way out, in order: small parts are gathered, a large payload stays the slice that it is.
#[derive(Debug, Default)]
pub struct OutBuffer {
    chunks: Vec<Bytes>,
    tail: BytesMut,
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
        unimplemented!()
    }
}

impl Encoder {
    /// An encoder for a peer of this version that takes packets of this size.
    pub fn new(version: Version, maximum_packet_bytes: usize) -> Self {
        Self { version, maximum_packet_bytes }
    }

    /// Appends one packet.
    pub fn encode(&self, _packet: &Packet, _out: &mut OutBuffer) -> Result<(), EncodeError> {
        let _ = (self.version, self.maximum_packet_bytes);
        unimplemented!()
    }

    /// Appends the PUBLISH of one delivery. The payload is not copied if it is large.
    pub fn encode_delivery(&self, _delivery: &Delivery, _out: &mut OutBuffer) -> Result<(), EncodeError> {
        unimplemented!()
    }
}
