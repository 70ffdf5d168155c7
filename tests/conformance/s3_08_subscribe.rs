//! Sections 3.8 and 3.9: SUBSCRIBE and SUBACK.

use crate::bytes::{Bytes, Publish, code, first_byte, hex, option, property, subscribe, subscribe_with};
use crate::packet::{Packet, publishes};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    a_filter_that_is_no_text_closes_the_connection,
    a_subscribe_without_filters_closes_the_connection,
    reserved_subscription_options_close_the_connection,
    a_subscribe_that_is_cut_short_closes_the_connection,
    each_filter_has_its_code_in_order,
    the_same_filter_again_replaces_the_subscription,
    replacing_a_subscription_loses_no_message,
    wildcards_are_granted,
}

conformance_tests! { v5:
    no_local_keeps_a_client_s_own_messages_from_it,
    no_local_on_a_shared_subscription_closes_the_connection,
    retain_handling_3_closes_the_connection,
    a_new_subscription_identifier_replaces_the_old_one,
    subscription_identifier_zero_closes_the_connection,
}

/// Text of section 1.5, in the first place and behind a sound one.
///
/// 5.0: MQTT-3.8.3-1.
/// 3.1.1: MQTT-3.8.3-1.
async fn a_filter_that_is_no_text_closes_the_connection(scene: Scene) {
    for before in [&[][..], &["sound"][..]] {
        let mut body = Bytes::new().u16(1).properties(scene.version, &Bytes::new());
        for filter in before {
            body = body.string(filter).u8(0);
        }
        let mut client = scene.connect("client").await;
        client.send(body.string(hex("61 ED A0 80")).u8(0).packet(first_byte::SUBSCRIBE)).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// A protocol error.
///
/// 5.0: MQTT-3.8.3-2, MQTT-4.13.1-1.
/// 3.1.1: MQTT-3.8.3-3, MQTT-4.8.0-1.
async fn a_subscribe_without_filters_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(subscribe(scene.version, 1, &[])).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// Bits 6 and 7 of 5.0; bits 2 to 7 of 3.1.1; and QoS 3 in both.
///
/// 5.0: MQTT-3.8.3-5, MQTT-4.13.1-1.
/// 3.1.1: MQTT-3.8.3-4, MQTT-4.8.0-1.
async fn reserved_subscription_options_close_the_connection(scene: Scene) {
    let reserved: &[u8] = match scene.version {
        Version::V311 => &[0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x03],
        Version::V5 => &[0x40, 0x80],
    };
    for options in reserved {
        let mut client = scene.connect("client").await;
        client.send(subscribe(scene.version, 1, &[(&scene.topic("a"), *options)])).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
    let mut client = scene.connect("client").await;
    client.send(subscribe(scene.version, 1, &[(&scene.topic("a"), 0x03)])).await;
    client.closed_as_wrong().await;
}

/// A filter without its options, and half a filter.
///
/// 5.0: MQTT-3.8.3-2, MQTT-4.13.1-1.
/// 3.1.1: MQTT-3.8.3-3, MQTT-4.8.0-1.
async fn a_subscribe_that_is_cut_short_closes_the_connection(scene: Scene) {
    for cut in ["00 01 61", "00 02 61", "00"] {
        let mut client = scene.connect("client").await;
        let body = Bytes::new().u16(1).properties(scene.version, &Bytes::new()).raw(hex(cut));
        client.send(body.packet(first_byte::SUBSCRIBE)).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// As many subscriptions as filters, and each with what it asked for.
///
/// 5.0: MQTT-3.8.4-5, MQTT-3.8.4-6, MQTT-3.8.4-7, MQTT-3.9.3-1, MQTT-3.9.3-2.
/// 3.1.1: MQTT-3.8.4-4, MQTT-3.8.4-5, MQTT-3.9.3-1, MQTT-3.9.3-2.
async fn each_filter_has_its_code_in_order(scene: Scene) {
    let filters = ["a", "b", "c", "d"].map(|end| scene.topic(end));
    let qos = [2, 0, 1, 2];
    let mut client = scene.connect("client").await;
    let asked: Vec<(&str, u8)> = filters.iter().map(String::as_str).zip(qos).collect();
    client.send(subscribe(scene.version, 7, &asked)).await;
    assert_eq!(client.suback(7).await.codes, qos);
    client.hears_nothing().await;
    for (filter, qos) in asked {
        client.deliver(&Publish::new(scene.version, filter, "").qos(2, 1)).await;
        assert_eq!(client.accept().await.qos, qos);
    }
}

/// Its QoS is the new one, and there is one copy.
///
/// 5.0: MQTT-3.8.4-3.
/// 3.1.1: MQTT-3.8.4-3.
async fn the_same_filter_again_replaces_the_subscription(scene: Scene) {
    let (filter, topic) = (scene.topic("+"), scene.topic("a"));
    let mut client = scene.connect("client").await;
    for qos in [2, 0, 1] {
        client.subscribe(&filter, qos).await;
        client.deliver(&Publish::new(scene.version, &topic, "").qos(2, 1)).await;
        assert_eq!(client.accept().await.qos, qos);
        client.hears_nothing().await;
    }
}

/// Published all the while.
///
/// 5.0: MQTT-3.8.4-4.
/// 3.1.1: MQTT-3.8.4-3.
async fn replacing_a_subscription_loses_no_message(scene: Scene) {
    const MESSAGES: u16 = 50;
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 0).await;
    for number in 1..=MESSAGES {
        publisher.send(Publish::new(scene.version, &topic, number.to_string()).qos(1, number).bytes()).await;
        subscriber.send(subscribe(scene.version, number, &[(&topic, 0)])).await;
    }
    for number in 1..=MESSAGES {
        publisher.ack(first_byte::PUBACK, number).await;
    }
    let heard = subscriber.fence().await;
    let payloads: Vec<Vec<u8>> = publishes(&heard).iter().map(|publish| publish.payload.clone()).collect();
    let sent: Vec<Vec<u8>> = (1..=MESSAGES).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(payloads, sent);
}

/// This broker supports them, so it need not refuse them.
///
/// 3.1.1: MQTT-3.8.3-2.
/// 5.0: MQTT-3.8.4-7.
async fn wildcards_are_granted(scene: Scene) {
    let mut client = scene.connect("client").await;
    for filter in ["#", "+/#", "a/+/b", "/#"] {
        client.subscribe(&scene.topic(filter), 1).await;
    }
}

/// Others get it, and so does the client through another subscription.
///
/// 5.0: MQTT-3.8.3-3.
async fn no_local_keeps_a_client_s_own_messages_from_it(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, mut other) = (scene.connect("client").await, scene.connect("other").await);
    client.subscribe(&topic, option::NO_LOCAL | 1).await;
    other.subscribe(&topic, option::NO_LOCAL | 1).await;
    client.tell(&topic, "own").await;
    assert_eq!(other.accept().await.payload, b"own");
    client.hears_nothing().await;
    other.tell(&topic, "theirs").await;
    assert_eq!(client.accept().await.payload, b"theirs");
    client.subscribe(&scene.topic("+"), 1).await;
    client.tell(&topic, "own").await;
    assert_eq!(client.accept().await.payload, b"own");
}

/// A protocol error.
///
/// 5.0: MQTT-3.8.3-4.
async fn no_local_on_a_shared_subscription_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    let filter = format!("$share/group/{}", scene.topic("a"));
    client.send(subscribe(scene.version, 1, &[(&filter, option::NO_LOCAL)])).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// A protocol error (3.8.3.1).
///
/// 5.0: MQTT-4.13.1-1.
async fn retain_handling_3_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    let options = option::RETAIN_IF_NEW | option::RETAIN_NEVER;
    client.send(subscribe(scene.version, 1, &[(&scene.topic("a"), options)])).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// Another number, and then none.
///
/// 5.0: MQTT-3.8.4-3, MQTT-3.3.4-3.
async fn a_new_subscription_identifier_replaces_the_old_one(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    for number in [Some(1), Some(2), None] {
        let identifier = number.map_or_else(Bytes::new, |number: u32| {
            Bytes::new().u8(property::SUBSCRIPTION_IDENTIFIER).variable(number as usize)
        });
        client.send(subscribe_with(scene.version, 1, &identifier, &[(&topic, 0)])).await;
        client.suback(1).await;
        client.send(Publish::new(scene.version, &topic, "").bytes()).await;
        let numbers = client.publish().await.properties.numbers(property::SUBSCRIPTION_IDENTIFIER);
        assert_eq!(numbers, number.into_iter().collect::<Vec<u32>>());
    }
}

/// A protocol error (3.8.2.1.2).
///
/// 5.0: MQTT-4.13.1-1.
async fn subscription_identifier_zero_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    let identifier = Bytes::new().u8(property::SUBSCRIPTION_IDENTIFIER).variable(0);
    client.send(subscribe_with(scene.version, 1, &identifier, &[(&scene.topic("a"), 0)])).await;
    let last = client.until_closed().await;
    assert!(
        matches!(last.as_slice(), [Packet::Disconnect(reason)] if reason.code == code::PROTOCOL_ERROR),
        "{last:?}"
    );
}
