//! A bounded fuzz that any machine can run: golden vectors, mutated from a seed. Nothing panics, nothing hangs, and
//! what is taken can be written and read again.
//!
//! `RIVULET_FUZZ_SEED` and `RIVULET_FUZZ_ITERATIONS` choose another run; both are printed.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]
#![allow(clippy::print_stdout, reason = "a run must say how to repeat it")]

mod hex;

use bytes::BytesMut;
use hex::parse_bytes;
use oorandom::Rand32;
use rivulet_protocol::{Decoder, Encoder, OutBuffer, Packet, TopicFilter, Version};

const SEED: u64 = 20_260_821;
const ITERATIONS: u64 = 200_000;
const MAXIMUM_PACKET_BYTES: usize = 4_096;

/// Bytes that mean something at some place of the wire format.
const TELLING_BYTES: [u8; 16] =
    [0x00, 0x01, 0x02, 0x0B, 0x10, 0x1F, 0x23, 0x26, 0x30, 0x32, 0x7F, 0x80, 0x82, 0xC0, 0xED, 0xFF];

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")));
    let value = value.unwrap_or(default);
    println!("{name}={value}");
    value
}

/// The bytes of all golden vectors.
fn seeds() -> Vec<Vec<u8>> {
    let files = [
        include_str!("golden/ack.txt"),
        include_str!("golden/auth.txt"),
        include_str!("golden/connack.txt"),
        include_str!("golden/connect.txt"),
        include_str!("golden/disconnect.txt"),
        include_str!("golden/publish.txt"),
        include_str!("golden/suback.txt"),
        include_str!("golden/subscribe.txt"),
        include_str!("golden/unsuback.txt"),
        include_str!("golden/unsubscribe.txt"),
    ];
    let blocks = files.iter().flat_map(|file| file.split("\n\n"));
    blocks.filter_map(|block| block.lines().nth(2)).map(parse_bytes).collect()
}

fn below(random: &mut Rand32, end: usize) -> usize {
    random.rand_range(0..end.max(1) as u32) as usize
}

fn mutate(random: &mut Rand32, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    for _ in 0..=below(random, 4) {
        let at = below(random, bytes.len() + 1);
        match below(random, 7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(random, 8),
            1 if at < bytes.len() => bytes[at] = TELLING_BYTES[below(random, TELLING_BYTES.len())],
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.rand_u32() as u8),
            4 => bytes.truncate(at),
            5 => bytes.extend_from_slice(&seeds[below(random, seeds.len())]),
            _ => {
                let from = below(random, bytes.len());
                let piece = bytes[from..(from + below(random, 20)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    // Half of them with a remaining length that fits, so that the body is reached.
    if bytes.len() > 2 && bytes.len() < 129 && random.rand_u32() & 1 == 0 {
        bytes[1] = (bytes.len() - 2) as u8;
    }
}

fn decode_all(version: Option<Version>, bytes: &[u8]) -> Vec<Packet> {
    let mut decoder = match version {
        Some(version) => Decoder::with_version(version, MAXIMUM_PACKET_BYTES),
        None => Decoder::new(MAXIMUM_PACKET_BYTES),
    };
    let mut buffer = BytesMut::from(bytes);
    let mut packets = Vec::new();
    loop {
        let before = buffer.len();
        match decoder.decode(&mut buffer) {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return packets,
            Err(error) => {
                assert!(error.reason().is_error() && !error.to_string().is_empty());
                return packets;
            }
        }
        assert!(buffer.len() < before, "a packet takes bytes off the buffer");
    }
}

#[test]
fn mutated_vectors_never_panic_and_what_is_taken_survives_again() {
    let mut random = Rand32::new(setting("RIVULET_FUZZ_SEED", SEED));
    let iterations = setting("RIVULET_FUZZ_ITERATIONS", ITERATIONS);
    let seeds = seeds();
    let mut taken = 0_u64;
    for _ in 0..iterations {
        let mut bytes = seeds[below(&mut random, seeds.len())].clone();
        mutate(&mut random, &mut bytes, &seeds);
        for version in [None, Some(Version::V3_1), Some(Version::V3_1_1), Some(Version::V5)] {
            for packet in decode_all(version, &bytes) {
                taken += 1;
                let spoken =
                    if let Packet::Connect(connect) = &packet { Some(connect.version) } else { version };
                let Some(spoken) = spoken else { continue };
                let mut out = OutBuffer::new();
                Encoder::new(spoken, MAXIMUM_PACKET_BYTES).encode(&packet, &mut out).unwrap();
                let again = decode_all(Some(spoken), &out.take().concat());
                assert_eq!(again, [packet], "{bytes:02X?} in {version:?}");
            }
        }
    }
    assert!(taken > iterations / 10, "only {taken} packets were taken: the mutations are too coarse");
}

#[test]
fn mutated_filters_never_panic() {
    let mut random = Rand32::new(setting("RIVULET_FUZZ_SEED", SEED));
    let alphabet = ['a', 'b', '/', '+', '#', '$', 'ä', '\0'];
    for _ in 0..setting("RIVULET_FUZZ_ITERATIONS", ITERATIONS) {
        let length = below(&mut random, 12);
        let text: String = (0..length).map(|_| alphabet[below(&mut random, alphabet.len())]).collect();
        let text = if random.rand_u32() & 3 == 0 { format!("$share/{text}") } else { text };
        if let Ok(filter) = TopicFilter::parse(text.as_str()) {
            assert_eq!(filter.levels().count(), filter.pattern().matches('/').count() + 1);
            assert_eq!(filter.has_wildcard(), filter.levels().any(|level| level == "#" || level == "+"));
        }
    }
}
