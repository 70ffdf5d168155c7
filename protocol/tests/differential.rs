//! Our decoder against `mqttbytes`, which was written by others: on every valid packet both read the same, but for the
//! differences listed here, each with what decides it.
//!
//! `mqttbytes` is a witness for valid packets only. What it takes although a rule forbids it is in
//! `golden/mqttbytes.txt`, one line for each vector.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

mod arbitrary;
mod theirs;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use rivulet_protocol::packet::{Connect, DisconnectProperties};
use rivulet_protocol::{Decoder, Encoder, OutBuffer, Packet, ReasonCode, Version};

const MAXIMUM_PACKET_BYTES: usize = 100_000;

/// A difference on packets that are valid.
struct Difference {
    name: &'static str,
    /// What says that we are right.
    decided_by: &'static str,
    applies: fn(Version, &Packet) -> bool,
    /// A packet on which it shows.
    example: (Version, &'static [u8]),
}

const DIFFERENCES: [Difference; 8] = [
    Difference {
        name: "has no AUTH",
        decided_by: "3.15",
        applies: |_, packet| matches!(packet, Packet::Auth(_)),
        example: (Version::V5, b"\xF0\0"),
    },
    Difference {
        name: "refuses a DISCONNECT of 5.0 whose reason or property length is left out",
        decided_by: "3.14.2.1, 3.14.2.2.1",
        applies: |version, packet| {
            let without_properties = DisconnectProperties::default();
            let is_short = matches!(packet, Packet::Disconnect(it) if it.properties == without_properties);
            is_short && version == Version::V5
        },
        example: (Version::V5, b"\xE0\0"),
    },
    Difference {
        name: "does not know Bad authentication method in DISCONNECT",
        decided_by: "table 2-6",
        applies: |_, packet| matches!(packet, Packet::Disconnect(it) if it.reason == ReasonCode::BadAuthenticationMethod),
        example: (Version::V5, b"\xE0\x02\x8C\0"),
    },
    Difference {
        name: "counts each subscription identifier one byte too long, and takes the last properties for payload",
        decided_by: "2.2.2.1, 3.3.2.3.8",
        applies: |_, packet| matches!(packet, Packet::Publish(publish) if publish.subscription_ids.len() > 1),
        example: (Version::V5, b"\x30\x0A\0\x01t\x06\x0B\x01\x0B\x02\x0B\x03"),
    },
    Difference {
        name: "takes a password for text",
        decided_by: "3.1.3.6: Binary Data",
        applies: |_, packet| {
            connect(packet)
                .and_then(|connect| connect.password.as_ref())
                .is_some_and(|password| std::str::from_utf8(password).is_err())
        },
        example: (Version::V3_1_1, b"\x10\x13\0\x04MQTT\x04\xC2\0\0\0\x01c\0\x01u\0\x01\xFF"),
    },
    Difference {
        name: "takes an empty user name or password for none",
        decided_by: "[MQTT-3.1.2-17], [MQTT-3.1.2-19]",
        applies: |_, packet| {
            connect(packet).is_some_and(|connect| {
                connect.username.as_ref().is_some_and(|name| name.is_empty())
                    || connect.password.as_ref().is_some_and(|password| password.is_empty())
            })
        },
        example: (Version::V3_1_1, b"\x10\x0F\0\x04MQTT\x04\x82\0\0\0\x01c\0\0"),
    },
    Difference {
        name: "does not know 3.1",
        decided_by: "3.1 as published by IBM; many devices in the field speak it",
        applies: |_, packet| connect(packet).is_some_and(|connect| connect.version == Version::V3_1),
        example: (Version::V3_1, b"\x10\x0F\0\x06MQIsdp\x03\x02\0\0\0\x01c"),
    },
    Difference {
        name: "does not know the level of a bridge",
        decided_by: "what mosquitto's and NanoMQ's bridges send",
        applies: |_, packet| connect(packet).is_some_and(|connect| connect.is_bridge),
        example: (Version::V3_1_1, b"\x10\x0D\0\x04MQTT\x84\x02\0\0\0\x01c"),
    },
];

fn connect(packet: &Packet) -> Option<&Connect> {
    if let Packet::Connect(connect) = packet { Some(connect) } else { None }
}

fn known_difference(version: Version, packet: &Packet) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|difference| (difference.applies)(version, packet))
}

fn encode(version: Version, packet: &Packet) -> Vec<u8> {
    let mut out = OutBuffer::new();
    Encoder::new(version, MAXIMUM_PACKET_BYTES).encode(packet, &mut out).unwrap();
    out.take().concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_read_the_same_from_what_we_write((version, packet) in arbitrary::version_and_packet()) {
        if known_difference(version, &packet).is_none() {
            let bytes = encode(version, &packet);
            prop_assert_eq!(theirs::read(version, &bytes), Ok(Some(packet)), "{:02X?}", bytes);
        }
    }

    #[test]
    fn both_read_the_same_from_mutated_packets_that_we_take(
        (version, packet) in arbitrary::version_and_packet(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = encode(version, &packet);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let mut buffer = BytesMut::from(&bytes[..]);
        let decoded = Decoder::with_version(version, MAXIMUM_PACKET_BYTES).decode(&mut buffer);
        if let Ok(Some(packet)) = decoded && known_difference(version, &packet).is_none() {
            // The version of a CONNECT decides how they must be asked.
            let version = connect(&packet).map_or(version, |connect| connect.version);
            let read = theirs::read(version, &bytes[..bytes.len() - buffer.len()]);
            prop_assert_eq!(read, Ok(Some(packet)), "{:02X?}", bytes);
        }
    }
}

#[test]
fn each_difference_shows_on_its_example() {
    for Difference { name, decided_by, applies, example: (version, bytes) } in DIFFERENCES {
        let decoded = Decoder::with_version(version, MAXIMUM_PACKET_BYTES).decode(&mut BytesMut::from(bytes));
        let packet = decoded.unwrap().unwrap();
        assert!(applies(version, &packet), "{name}");
        let read = theirs::read(version, bytes);
        assert_ne!(read, Ok(Some(packet)), "mqttbytes {name}, against {decided_by}: not any more");
    }
}
