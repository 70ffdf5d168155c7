//! What the codec costs in memory: nothing for each PUBLISH, and no copy of a large payload.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

use std::sync::Arc;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use rivulet_protocol::message::PayloadFormat;
use rivulet_protocol::packet::{Ack, Publish, PublishTopic};
use rivulet_protocol::{
    Decoder, Delivery, Encoder, Message, MessageProperties, OutBuffer, Packet, PacketId, PacketQos, QoS,
    Topic, UserProperties, Version,
};

const MAXIMUM_PACKET_BYTES: usize = 10_000_000;
const MEBIBYTE: usize = 1_048_576;

fn properties() -> MessageProperties {
    let mut user_properties = UserProperties::new();
    assert!(user_properties.push("station", "KJFK"));
    assert!(user_properties.push("unit", "hPa"));
    MessageProperties {
        payload_format: Some(PayloadFormat::Utf8),
        message_expiry_secs: Some(60),
        content_type: Some("application/json".into()),
        response_topic: Some(Topic::parse("replies/KJFK").unwrap()),
        correlation_data: Some(Bytes::from_static(b"17")),
        user_properties,
    }
}

fn publish(properties: MessageProperties) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: PacketQos::AtLeastOnce(PacketId::MIN),
        retain: false,
        topic: PublishTopic::Name(Topic::parse("weather/KJFK/pressure/sea").unwrap()),
        subscription_ids: Vec::new(),
        properties,
        payload: Bytes::from_static(&[b'x'; 64]),
    })
}

/// How often decoding so many equal packets from one buffer allocates.
fn allocations_of_decoding(version: Version, packet: &Packet, count: usize) -> u64 {
    let mut out = OutBuffer::new();
    for _ in 0..count {
        Encoder::new(version, MAXIMUM_PACKET_BYTES).encode(packet, &mut out).unwrap();
    }
    let mut buffer = BytesMut::from(&out.take().concat()[..]);
    let mut decoder = Decoder::with_version(version, MAXIMUM_PACKET_BYTES);
    let mut decoded = 0;
    let info = measure(|| {
        while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
            decoded += usize::from(matches!(packet, Packet::Publish(_) | Packet::PubAck(_)));
        }
    });
    assert_eq!(decoded, count);
    info.count_total
}

#[test]
fn decoding_publishes_allocates_once_for_the_buffer_and_never_for_a_packet() {
    for version in [Version::V3_1_1, Version::V5] {
        for packet in [publish(MessageProperties::default()), publish(properties())] {
            for count in [1, 10, 1_000] {
                // Splitting a buffer for the first time makes it shared, which is one allocation.
                assert_eq!(allocations_of_decoding(version, &packet, count), 1, "{count} packets, {version}");
            }
        }
    }
}

#[test]
fn decoding_acknowledgements_allocates_never_for_a_packet() {
    let ack = Packet::PubAck(Ack::success(PacketId::MIN));
    assert_eq!(allocations_of_decoding(Version::V5, &ack, 1_000), 1);
}

#[test]
fn user_properties_that_are_scattered_are_gathered_in_a_few_allocations() {
    // User property, payload format, user property.
    let packet = b"\x30\x14\0\x01t\x10\x26\0\x01a\0\x011\x01\x01\x26\0\x01b\0\x012";
    let mut decoder = Decoder::with_version(Version::V5, MAXIMUM_PACKET_BYTES);
    let mut buffer = BytesMut::from(&packet[..]);
    let mut decoded = None;
    let info = measure(|| decoded = decoder.decode(&mut buffer).unwrap());
    let Some(Packet::Publish(publish)) = decoded else { panic!("{decoded:?}") };
    let pairs: Vec<_> = publish.properties.user_properties.iter().collect();
    assert_eq!(pairs, [("a", "1"), ("b", "2")]);
    // Sharing the buffer, the box to gather in, gathering twice, sharing what was gathered.
    assert!(info.count_total <= 5, "{info:?}");
}

#[test]
fn a_mebibyte_for_a_thousand_subscribers_is_never_copied() {
    let mut out = OutBuffer::new();
    let Packet::Publish(publish) = publish(properties()) else { unreachable!() };
    let PublishTopic::Name(topic) = publish.topic else { unreachable!() };
    let payload = Bytes::from(vec![b'x'; MEBIBYTE]);
    let message =
        Arc::new(Message { topic, qos: QoS::AtLeastOnce, retain: false, payload, properties: properties() });
    let encoder = Encoder::new(Version::V5, MAXIMUM_PACKET_BYTES);
    let info = measure(|| {
        for _ in 0..1_000 {
            let delivery = Delivery {
                message: Arc::clone(&message),
                qos: PacketQos::AtLeastOnce(PacketId::MIN),
                dup: false,
                retain: false,
                subscription_ids: Vec::new(),
                message_expiry_secs: Some(59),
                topic_alias: None,
            };
            encoder.encode_delivery(&delivery, &mut out).unwrap();
        }
    });
    assert!(out.len() > 1_000 * MEBIBYTE);
    assert!(info.bytes_total < MEBIBYTE as u64, "{info:?}");
    let chunks = out.take();
    let shared = chunks.iter().filter(|chunk| chunk.as_ptr() == message.payload.as_ptr()).count();
    assert_eq!(shared, 1_000);
}

#[test]
fn topic_and_payload_are_slices_of_the_received_buffer() {
    let packet = b"\x30\x0A\0\x03a/b\0hell";
    let mut buffer = BytesMut::from(&packet[..]);
    let start = buffer.as_ptr();
    let decoded = Decoder::with_version(Version::V5, MAXIMUM_PACKET_BYTES).decode(&mut buffer).unwrap();
    let Some(Packet::Publish(publish)) = decoded else { panic!("{decoded:?}") };
    let PublishTopic::Name(topic) = &publish.topic else { panic!("{publish:?}") };
    assert_eq!(topic.as_str().as_ptr() as usize - start as usize, 4);
    assert_eq!(publish.payload.as_ptr() as usize - start as usize, 8);
}

#[test]
fn a_large_packet_that_is_only_announced_costs_little() {
    let mut decoder = Decoder::with_version(Version::V5, MAXIMUM_PACKET_BYTES);
    let mut buffer = BytesMut::from(&b"\x30\xFF\xFF\x7F\0\x01t"[..]); // 2 MiB to come
    let info = measure(|| assert_eq!(decoder.decode(&mut buffer), Ok(None)));
    assert!(info.bytes_total <= 100_000, "{info:?}");
    let again = measure(|| assert_eq!(decoder.decode(&mut buffer), Ok(None)));
    assert_eq!(again.count_total, 0);
}

#[test]
fn a_packet_that_is_too_large_is_refused_before_anything_is_allocated() {
    let mut decoder = Decoder::with_version(Version::V5, 100);
    let mut buffer = BytesMut::from(&b"\x30\xFF\xFF\xFF\x7F"[..]);
    let info = measure(|| assert!(decoder.decode(&mut buffer).is_err()));
    assert_eq!(info.count_total, 0);
}
