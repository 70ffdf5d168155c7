//! Sections 3.10 and 3.11: UNSUBSCRIBE and UNSUBACK.

use crate::bytes::{Bytes, Publish, ack, code, first_byte, hex, subscribe, unsubscribe};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    a_filter_to_end_that_is_no_text_closes_the_connection,
    an_unsubscribe_without_filters_closes_the_connection,
    only_the_very_same_filter_is_ended,
    an_ended_subscription_adds_no_messages,
    deliveries_that_have_begun_are_finished,
    unsuback_comes_even_if_nothing_was_ended,
    many_filters_are_ended_by_one_unsubscribe,
}

/// Text of section 1.5.
///
/// 5.0: MQTT-3.10.3-1.
/// 3.1.1: MQTT-3.10.3-1.
async fn a_filter_to_end_that_is_no_text_closes_the_connection(scene: Scene) {
    for wrong in ["61 ED A0 80", "61 00", "FF"] {
        let mut client = scene.connect("client").await;
        let body = Bytes::new().u16(1).properties(scene.version, &Bytes::new()).string(hex(wrong));
        client.send(body.packet(first_byte::UNSUBSCRIBE)).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// A protocol error.
///
/// 5.0: MQTT-3.10.3-2, MQTT-4.13.1-1.
/// 3.1.1: MQTT-3.10.3-2, MQTT-4.8.0-1.
async fn an_unsubscribe_without_filters_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(unsubscribe(scene.version, 1, &[])).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// Not one that matches it, that it matches, or that looks like it.
///
/// 5.0: MQTT-3.10.4-1, MQTT-4.7.3-4.
/// 3.1.1: MQTT-3.10.4-1, MQTT-4.7.3-4.
async fn only_the_very_same_filter_is_ended(scene: Scene) {
    let (filter, topic) = (scene.topic("a/+"), scene.topic("a/b"));
    let mut client = scene.connect("client").await;
    client.subscribe(&filter, 0).await;
    for other in ["a/b", "a/#", "#", "A/+", "a/+/", "/a/+", "+/+"] {
        client.unsubscribe(&scene.topic(other)).await;
    }
    client.tell(&topic, "still").await;
    assert_eq!(client.publish().await.payload, b"still");
    client.unsubscribe(&filter).await;
    client.tell(&topic, "no more").await;
    client.hears_nothing().await;
}

/// Neither at once nor for a session that is away.
///
/// 5.0: MQTT-3.10.4-2.
/// 3.1.1: MQTT-3.10.4-2.
async fn an_ended_subscription_adds_no_messages(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("publisher").await;
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 1).await;
    client.unsubscribe(&topic).await;
    publisher.tell(&topic, "1").await;
    client.hears_nothing().await;
    client.leave().await;
    publisher.tell(&topic, "2").await;
    let (mut client, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present);
    client.hears_nothing().await;
}

/// QoS 1 and 2 whose PUBLISH was sent: the handshake goes on, and is resent on the next connection.
///
/// 5.0: MQTT-3.10.4-3.
/// 3.1.1: MQTT-3.10.4-3.
async fn deliveries_that_have_begun_are_finished(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("publisher").await;
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 2).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1)).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(2, 2)).await;
    let (first, second) = (client.publish().await, client.publish().await);
    let second_id = second.id.expect("QoS 2 has an identifier");
    client.unsubscribe(&topic).await;

    client.send(ack(first_byte::PUBREC, second_id)).await;
    client.ack(first_byte::PUBREL, second_id).await;
    client.send(ack(first_byte::PUBCOMP, second_id)).await;
    client.hears_nothing().await;
    client.vanish();

    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    let again = client.accept().await;
    assert_eq!((again.id, again.dup, again.payload), (first.id, true, b"1".to_vec()));
}

/// With the code that says so in 5.0.
///
/// 5.0: MQTT-3.10.4-4, MQTT-3.10.4-5, MQTT-3.11.3-2.
/// 3.1.1: MQTT-3.10.4-4, MQTT-3.10.4-5.
async fn unsuback_comes_even_if_nothing_was_ended(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(unsubscribe(scene.version, 9, &[&scene.topic("never")])).await;
    let unsuback = client.unsuback(9).await;
    if scene.version == Version::V5 {
        assert_eq!(unsuback.codes, [code::NO_SUBSCRIPTION_EXISTED]);
    }
}

/// One answer, a code for each filter in its order.
///
/// 5.0: MQTT-3.10.4-6, MQTT-3.11.3-1, MQTT-3.11.3-2.
/// 3.1.1: MQTT-3.10.4-6.
async fn many_filters_are_ended_by_one_unsubscribe(scene: Scene) {
    let topics = ["a", "b", "c"].map(|end| scene.topic(end));
    let mut client = scene.connect("client").await;
    client.send(subscribe(scene.version, 1, &[(&topics[0], 0), (&topics[2], 0)])).await;
    client.suback(1).await;
    client.send(unsubscribe(scene.version, 2, &[&topics[0], &topics[1], &topics[2], &topics[0]])).await;
    let unsuback = client.unsuback(2).await;
    if scene.version == Version::V5 {
        let none = code::NO_SUBSCRIPTION_EXISTED;
        assert_eq!(unsuback.codes, [code::SUCCESS, none, code::SUCCESS, none]);
    }
    for topic in &topics {
        client.tell(topic, "").await;
    }
    client.hears_nothing().await;
}
