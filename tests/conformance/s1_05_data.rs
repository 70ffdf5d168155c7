//! Section 1.5: data representation. Where text is wrong, both versions close; 5.0 says why.

use crate::bytes::{Bytes, Connect, Publish, code, first_byte, hex, property, subscribe};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    text_with_a_surrogate_is_malformed,
    text_that_is_not_utf_8_is_malformed,
    text_with_a_null_character_is_malformed,
    a_byte_order_mark_is_an_ordinary_character,
    a_remaining_length_of_five_bytes_is_malformed,
}

conformance_tests! { v5:
    a_property_length_that_is_not_the_shortest_is_malformed,
    a_string_pair_is_well_formed_in_both_halves,
}

/// UTF-8 of code points from U+D800 to U+DFFF stands for nothing.
///
/// 5.0: MQTT-1.5.4-1.
/// 3.1.1: MQTT-1.5.3-1.
async fn text_with_a_surrogate_is_malformed(scene: Scene) {
    for surrogate in ["ED A0 80", "ED AF BF", "ED B0 80", "ED BF BF"] {
        let mut client = scene.connect("client").await;
        client.send(Publish::new(scene.version, hex(surrogate), "").bytes()).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// Overlong forms, lone continuation bytes, cut sequences, and code points above U+10FFFF.
///
/// 5.0: MQTT-1.5.4-1, MQTT-3.3.2-1.
/// 3.1.1: MQTT-1.5.3-1, MQTT-3.3.2-1.
async fn text_that_is_not_utf_8_is_malformed(scene: Scene) {
    for wrong in ["C0 AF", "80", "E2 82", "F4 90 80 80", "FF"] {
        let mut client = scene.connect("client").await;
        client.send(Publish::new(scene.version, hex(wrong), "").bytes()).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// U+0000 is not text, wherever text may stand.
///
/// 5.0: MQTT-1.5.4-2, MQTT-4.7.3-2.
/// 3.1.1: MQTT-1.5.3-2, MQTT-4.7.3-2.
async fn text_with_a_null_character_is_malformed(scene: Scene) {
    let mut client = scene.connect("publisher").await;
    client.send(Publish::new(scene.version, "a\0b", "").bytes()).await;
    client.closed_with(code::MALFORMED_PACKET).await;

    let mut client = scene.connect("subscriber").await;
    client.send(subscribe(scene.version, 1, &[("a\0b", 0)])).await;
    client.closed_with(code::MALFORMED_PACKET).await;

    let mut client = scene.open().await;
    client.send(Connect::new(scene.version, "a\0b").bytes()).await;
    client.refused(code::MALFORMED_PACKET, None).await;
}

/// EF BB BF is U+FEFF: a topic with it and a topic without it differ, and it arrives as it was sent.
///
/// 5.0: MQTT-1.5.4-3, MQTT-4.7.3-4.
/// 3.1.1: MQTT-1.5.3-3, MQTT-4.7.3-4.
async fn a_byte_order_mark_is_an_ordinary_character(scene: Scene) {
    let (plain, marked) = (scene.topic("a"), scene.topic("\u{FEFF}a"));
    let mut client = scene.connect("client").await;
    client.subscribe(&marked, 0).await;
    client.tell(&plain, "plain").await;
    client.tell(&marked, "marked").await;
    let publish = client.publish().await;
    assert_eq!((publish.topic, publish.payload), (marked, b"marked".to_vec()));
}

/// A remaining length has at most four bytes.
///
/// 5.0: MQTT-4.13.1-1.
/// 3.1.1: MQTT-4.8.0-1.
async fn a_remaining_length_of_five_bytes_is_malformed(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(hex("30 80 80 80 80 01")).await;
    client.closed_with(code::MALFORMED_PACKET).await;
}

/// A property length of zero in two bytes.
///
/// 5.0: MQTT-1.5.5-1.
async fn a_property_length_that_is_not_the_shortest_is_malformed(scene: Scene) {
    let mut client = scene.connect("client").await;
    let body = Bytes::new().string(scene.topic("a")).raw(hex("80 00"));
    client.send(body.packet(first_byte::PUBLISH)).await;
    client.closed_with(code::MALFORMED_PACKET).await;
}

/// A user property whose name or value is not UTF-8.
///
/// 5.0: MQTT-1.5.7-1.
async fn a_string_pair_is_well_formed_in_both_halves(scene: Scene) {
    let (wrong, right) = (hex("ED A0 80"), b"right".to_vec());
    for (name, value) in [(&wrong, &right), (&right, &wrong)] {
        let mut client = scene.connect("client").await;
        let pair = Bytes::new().u8(property::USER_PROPERTY).pair(name, value);
        client.send(Publish::new(Version::V5, scene.topic("a"), "").property(pair).bytes()).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}
