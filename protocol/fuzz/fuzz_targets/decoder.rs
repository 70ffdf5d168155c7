//! Any bytes, in any cut: no panic, and what is taken is written and read again as the same packet.
//!
//! The first byte chooses the version, the second how many bytes arrive at a time.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rivulet_protocol::{Decoder, Encoder, OutBuffer, Packet, Version};

const MAXIMUM_PACKET_BYTES: usize = 65_536;

fuzz_target!(|input: &[u8]| {
    let [version, step, bytes @ ..] = input else { return };
    let version = match version % 4 {
        0 => None,
        1 => Some(Version::V3_1),
        2 => Some(Version::V3_1_1),
        _ => Some(Version::V5),
    };
    let mut decoder = match version {
        Some(version) => Decoder::with_version(version, MAXIMUM_PACKET_BYTES),
        None => Decoder::new(MAXIMUM_PACKET_BYTES),
    };
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(usize::from(*step).max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(packet)) => check_again(decoder.version(), &packet),
                Ok(None) => break,
                Err(error) => {
                    assert!(error.reason().is_error() && !error.to_string().is_empty());
                    return;
                }
            }
        }
    }
});

fn check_again(version: Option<Version>, packet: &Packet) {
    let spoken = if let Packet::Connect(connect) = packet { Some(connect.version) } else { version };
    let spoken = spoken.expect("a packet is only taken in a known version");
    let mut out = OutBuffer::new();
    Encoder::new(spoken, MAXIMUM_PACKET_BYTES)
        .encode(packet, &mut out)
        .expect("what was read can be written");
    let mut buffer = BytesMut::from(&out.take().concat()[..]);
    let again = Decoder::with_version(spoken, MAXIMUM_PACKET_BYTES).decode(&mut buffer);
    assert_eq!(again.as_ref(), Ok(&Some(packet.clone())));
}
