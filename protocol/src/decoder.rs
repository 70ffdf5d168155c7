//! Bytes in any cut, packets out.

use bytes::BytesMut;

use crate::{DecodeError, Packet, Version};

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

    /// Takes the next packet off the front of `buffer`. `None`: more bytes are needed. After an error the flow is
    /// of no use any more.
    pub fn decode(&mut self, _buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let _ = (self.version, self.maximum_packet_bytes);
        unimplemented!()
    }
}
