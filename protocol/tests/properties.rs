//! Table 2-4, packet by packet: which property each may carry, once or more often.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

use bytes::BytesMut;
use rivulet_protocol::{Decoder, Fault, Version};

/// Identifier, a valid value, and the packets of table 2-4. `W` is the will.
const TABLE: [(u8, &[u8], &str); 27] = [
    (0x01, b"\x01", "PUBLISH W"),
    (0x02, b"\0\0\0\x01", "PUBLISH W"),
    (0x03, b"\0\x01a", "PUBLISH W"),
    (0x08, b"\0\x01a", "PUBLISH W"),
    (0x09, b"\0\x01a", "PUBLISH W"),
    (0x0B, b"\x01", "PUBLISH SUBSCRIBE"),
    (0x11, b"\0\0\0\x01", "CONNECT CONNACK DISCONNECT"),
    (0x12, b"\0\x01a", "CONNACK"),
    (0x13, b"\0\x01", "CONNACK"),
    (0x15, b"\0\x01a", "CONNECT CONNACK AUTH"),
    (0x16, b"\0\x01a", "CONNECT CONNACK AUTH"),
    (0x17, b"\x01", "CONNECT"),
    (0x18, b"\0\0\0\x01", "W"),
    (0x19, b"\x01", "CONNECT"),
    (0x1A, b"\0\x01a", "CONNACK"),
    (0x1C, b"\0\x01a", "CONNACK DISCONNECT"),
    (0x1F, b"\0\x01a", "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"),
    (0x21, b"\0\x01", "CONNECT CONNACK"),
    (0x22, b"\0\x01", "CONNECT CONNACK"),
    (0x23, b"\0\x01", "PUBLISH"),
    (0x24, b"\x01", "CONNACK"),
    (0x25, b"\x01", "CONNACK"),
    (
        0x26,
        b"\0\x01a\0\x01b",
        "CONNECT W CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH",
    ),
    (0x27, b"\0\0\0\x01", "CONNECT CONNACK"),
    (0x28, b"\x01", "CONNACK"),
    (0x29, b"\x01", "CONNACK"),
    (0x2A, b"\x01", "CONNACK"),
];

/// What carries properties: its name, its first byte, and what stands before and after them.
const CARRIERS: [(&str, u8, &[u8], &[u8]); 14] = [
    ("CONNECT", 0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\x01c"),
    ("W", 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c", b"\0\x01w\0\0"),
    ("CONNACK", 0x20, b"\0\0", b""),
    ("PUBLISH", 0x30, b"\0\x01t", b"payload"),
    ("PUBACK", 0x40, b"\0\x01\0", b""),
    ("PUBREC", 0x50, b"\0\x01\0", b""),
    ("PUBREL", 0x62, b"\0\x01\0", b""),
    ("PUBCOMP", 0x70, b"\0\x01\0", b""),
    ("SUBSCRIBE", 0x82, b"\0\x01", b"\0\x01f\0"),
    ("SUBACK", 0x90, b"\0\x01", b"\0"),
    ("UNSUBSCRIBE", 0xA2, b"\0\x01", b"\0\x01f"),
    ("UNSUBACK", 0xB0, b"\0\x01", b"\0"),
    ("DISCONNECT", 0xE0, b"\0", b""),
    ("AUTH", 0xF0, b"\x18", b""),
];

/// Why a carrier with this property, so many times, is refused.
fn fault(carrier: &(&str, u8, &[u8], &[u8]), id: u8, value: &[u8], count: usize) -> Option<Fault> {
    let (name, first, before, after) = carrier;
    let mut properties = Vec::new();
    // Data needs its method, and AUTH always has one.
    if (id == 0x16 && matches!(*name, "CONNECT" | "CONNACK")) || (*name == "AUTH" && id != 0x15) {
        properties.extend_from_slice(b"\x15\0\x01m");
    }
    for _ in 0..count {
        properties.push(id);
        properties.extend_from_slice(value);
    }
    let property_length = [u8::try_from(properties.len()).unwrap()];
    let body = [before, &property_length[..], &properties, after].concat();
    let fixed_header = [*first, u8::try_from(body.len()).unwrap()];
    let packet = [&fixed_header[..], &body].concat();
    let decoded = Decoder::with_version(Version::V5, packet.len()).decode(&mut BytesMut::from(&packet[..]));
    decoded.err().map(|error| error.fault)
}

#[test]
fn each_packet_may_carry_the_properties_of_its_line_and_no_others() {
    for carrier in &CARRIERS {
        for (id, value, packets) in TABLE {
            let is_allowed = packets.split(' ').any(|packet| packet == carrier.0);
            match fault(carrier, id, value, 1) {
                None => assert!(is_allowed, "{} takes {id:#04x}", carrier.0),
                Some(Fault::PropertyNotAllowed { property }) => {
                    assert_eq!(property.byte(), id);
                    assert!(!is_allowed, "{} refuses {id:#04x}", carrier.0);
                }
                Some(other) => panic!("{} with {id:#04x}: {other}", carrier.0),
            }
        }
    }
}

#[test]
fn no_property_may_be_there_twice_but_user_property_and_the_subscription_identifier_of_a_publish() {
    for carrier in &CARRIERS {
        for (id, value, packets) in TABLE {
            if packets.split(' ').any(|packet| packet == carrier.0) {
                let may_repeat = id == 0x26 || (id == 0x0B && carrier.0 == "PUBLISH");
                match fault(carrier, id, value, 2) {
                    None => assert!(may_repeat, "{} takes {id:#04x} twice", carrier.0),
                    Some(Fault::PropertyTwice { property }) => {
                        assert_eq!(property.byte(), id);
                        assert!(!may_repeat, "{} refuses {id:#04x} twice", carrier.0);
                    }
                    Some(other) => panic!("{} with {id:#04x} twice: {other}", carrier.0),
                }
            }
        }
    }
}

#[test]
fn an_identifier_that_is_not_in_the_table_is_refused_everywhere() {
    for carrier in &CARRIERS {
        for id in (0..0x80).filter(|id| TABLE.iter().all(|(known, ..)| known != id)) {
            assert_eq!(
                fault(carrier, id, b"", 1),
                Some(Fault::PropertyUnknown { id: id.into() }),
                "{}",
                carrier.0
            );
        }
    }
}
