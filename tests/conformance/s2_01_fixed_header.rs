//! Sections 2.1 and 2.2: fixed header, packet identifiers, property length.

use crate::bytes::{
    Bytes, DISCONNECT, PINGREQ, Publish, ack, code, first_byte, hex, property, subscribe, unsubscribe,
};
use crate::packet::Packet;
use crate::scene::{Scene, Version};

conformance_tests! { both:
    reserved_flags_that_are_wrong_close_the_connection,
    packet_types_that_only_a_server_sends_close_the_connection,
    a_reserved_packet_type_closes_the_connection,
    packet_identifier_zero_closes_the_connection,
    qos_0_has_no_packet_identifier,
    deliveries_under_way_have_identifiers_of_their_own,
    suback_and_unsuback_repeat_the_identifier,
    packets_may_be_cut_and_joined_at_any_byte,
}

conformance_tests! { v5:
    a_property_length_is_there_even_if_it_is_zero,
    a_property_that_is_repeated_unknown_or_misplaced_closes_the_connection,
}

/// Every packet of a client whose flags are fixed, with one other value.
///
/// 5.0: MQTT-2.1.3-1, MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.14.1-1.
/// 3.1.1: MQTT-2.2.2-1, MQTT-2.2.2-2, MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.14.1-1.
async fn reserved_flags_that_are_wrong_close_the_connection(scene: Scene) {
    let topic = scene.topic("a");
    let wrong = [
        (0x4F, ack(first_byte::PUBACK, 1)),
        (0x52, ack(first_byte::PUBREC, 1)),
        (0x60, ack(first_byte::PUBREL, 1)),
        (0x63, ack(first_byte::PUBREL, 1)),
        (0x72, ack(first_byte::PUBCOMP, 1)),
        (0x80, subscribe(scene.version, 1, &[(&topic, 0)])),
        (0x8A, subscribe(scene.version, 1, &[(&topic, 0)])),
        (0xA0, unsubscribe(scene.version, 1, &[&topic])),
        (0xA3, unsubscribe(scene.version, 1, &[&topic])),
        (0xC1, PINGREQ.to_vec()),
        (0xE2, DISCONNECT.to_vec()),
    ];
    for (first_byte, mut packet) in wrong {
        let mut client = scene.connect("client").await;
        packet[0] = first_byte;
        client.send(packet).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// CONNACK, SUBACK, UNSUBACK and PINGRESP go from server to client alone.
///
/// 5.0: MQTT-4.13.1-1.
/// 3.1.1: MQTT-4.8.0-1.
async fn packet_types_that_only_a_server_sends_close_the_connection(scene: Scene) {
    let codes = Bytes::new().u16(1).properties(scene.version, &Bytes::new()).u8(0);
    let wrong = [
        Bytes::new().u8(0).u8(0).properties(scene.version, &Bytes::new()).packet(first_byte::CONNACK),
        codes.clone().packet(first_byte::SUBACK),
        match scene.version {
            Version::V311 => Bytes::new().u16(1).packet(first_byte::UNSUBACK),
            Version::V5 => codes.packet(first_byte::UNSUBACK),
        },
        Bytes::new().packet(first_byte::PINGRESP),
    ];
    for packet in wrong {
        let mut client = scene.connect("client").await;
        client.send(packet).await;
        client.closed_as_wrong().await;
    }
}

/// Type 0 is reserved, and so is 15 in 3.1.1.
///
/// 5.0: MQTT-4.13.1-1.
/// 3.1.1: MQTT-4.8.0-1.
async fn a_reserved_packet_type_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(hex("00 00")).await;
    client.closed_as_wrong().await;
    if scene.version == Version::V311 {
        let mut client = scene.connect("client").await;
        client.send(hex("F0 00")).await;
        client.closed().await;
    }
}

/// Zero identifies nothing, in any packet that has an identifier.
///
/// 5.0: MQTT-2.2.1-3, MQTT-4.13.1-1.
/// 3.1.1: MQTT-2.3.1-1, MQTT-4.8.0-1.
async fn packet_identifier_zero_closes_the_connection(scene: Scene) {
    let topic = scene.topic("a");
    let wrong = [
        Publish::new(scene.version, &topic, "").qos(1, 0).bytes(),
        Publish::new(scene.version, &topic, "").qos(2, 0).bytes(),
        subscribe(scene.version, 0, &[(&topic, 0)]),
        unsubscribe(scene.version, 0, &[&topic]),
        ack(first_byte::PUBREL, 0),
    ];
    for packet in wrong {
        let mut client = scene.connect("client").await;
        client.send(packet).await;
        client.closed_as_wrong().await;
    }
}

/// What follows the topic of a QoS 0 PUBLISH is never read as an identifier, and a delivery at QoS 0 has none.
///
/// 5.0: MQTT-2.2.1-2.
/// 3.1.1: MQTT-2.3.1-5.
async fn qos_0_has_no_packet_identifier(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 0).await;
    client.send(Publish::new(scene.version, &topic, hex("00 07")).bytes()).await;
    let publish = client.publish().await;
    assert_eq!((publish.qos, publish.id, publish.payload), (0, None, hex("00 07")));
}

/// Messages that are not acknowledged have identifiers that differ and are not zero (the parser insists on the latter).
///
/// 5.0: MQTT-2.2.1-4, MQTT-4.3.2-1, MQTT-4.3.3-1.
/// 3.1.1: MQTT-2.3.1-4.
async fn deliveries_under_way_have_identifiers_of_their_own(scene: Scene) {
    const MESSAGES: usize = 10;
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 2).await;
    for id in 1..=5 {
        publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, id)).await;
        publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(2, id)).await;
    }
    let mut ids = Vec::new();
    for _ in 0..MESSAGES {
        ids.push(subscriber.publish().await.id.expect("QoS 1 and 2 have identifiers"));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MESSAGES);
}

/// Any identifier a client likes, the largest and the smallest included.
///
/// 5.0: MQTT-2.2.1-6, MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.10.4-4, MQTT-3.10.4-5.
/// 3.1.1: MQTT-2.3.1-7, MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.10.4-4.
async fn suback_and_unsuback_repeat_the_identifier(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    for id in [1, 0x0100, 0x7FFF, 0xFFFF] {
        client.send(subscribe(scene.version, id, &[(&topic, 0)])).await;
        client.suback(id).await;
        client.send(unsubscribe(scene.version, id, &[&topic])).await;
        client.unsuback(id).await;
    }
}

/// The transport is a stream of bytes: one byte at a time, then everything at once, gives the same answers.
///
/// 5.0: MQTT-4.2-1.
/// 3.1.1: MQTT-7.1.1-1.
async fn packets_may_be_cut_and_joined_at_any_byte(scene: Scene) {
    for who in ["cut", "joined"] {
        let topic = scene.topic(who);
        let mut bytes = scene.hello(who).bytes();
        bytes.extend(subscribe(scene.version, 1, &[(&topic, 0)]));
        bytes.extend(Publish::new(scene.version, &topic, "a").qos(1, 2).bytes());
        bytes.extend(PINGREQ);
        let mut client = scene.open().await;
        if who == "cut" {
            for byte in bytes {
                client.send([byte]).await;
            }
        } else {
            client.send(bytes).await;
        }
        assert_eq!(client.connack().await.code, 0);
        client.suback(1).await;
        let mut answers = client.until(&Packet::PingResp).await;
        answers.extend(client.fence().await);
        assert_eq!(answers.len(), 2, "PUBACK and the message itself: {answers:?}");
    }
}

/// Zero is written down: what follows it is payload.
///
/// 5.0: MQTT-2.2.2-1.
async fn a_property_length_is_there_even_if_it_is_zero(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 0).await;
    client.send(Bytes::new().string(&topic).raw(hex("00 00 00")).packet(first_byte::PUBLISH)).await;
    assert_eq!(client.publish().await.payload, hex("00 00"));

    let mut client = scene.connect("without").await;
    client.send(Bytes::new().string(&topic).packet(first_byte::PUBLISH)).await;
    client.closed_with(code::MALFORMED_PACKET).await;
}

/// Properties come once, are known, and belong to the packet (2.2.2.2).
///
/// 5.0: MQTT-4.13.1-1.
async fn a_property_that_is_repeated_unknown_or_misplaced_closes_the_connection(scene: Scene) {
    let content_type = Bytes::new().u8(property::CONTENT_TYPE).string("text");
    let wrong = [
        content_type.clone().raw(content_type.into_vec()),
        Bytes::new().u8(0x7F).u8(0),
        Bytes::new().u8(property::RECEIVE_MAXIMUM).u16(1),
        Bytes::new().u8(property::PAYLOAD_FORMAT_INDICATOR).u8(2),
    ];
    for properties in wrong {
        let mut client = scene.connect("client").await;
        client.send(Publish::new(scene.version, scene.topic("a"), "").property(properties).bytes()).await;
        client.closed_as_wrong().await;
    }
}
