//! Section 3.3: flags, topic name, what becomes of a PUBLISH.

use crate::bytes::{Bytes, Publish, ack, code, first_byte, hex, property, subscribe};
use crate::packet::{Packet, publishes};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    dup_of_an_incoming_publish_does_not_go_on,
    qos_3_closes_the_connection,
    dup_with_qos_0_closes_the_connection,
    a_topic_name_with_a_wildcard_closes_the_connection,
    a_publish_that_is_cut_short_closes_the_connection,
    a_publish_is_answered_as_its_qos_asks,
    the_topic_and_payload_arrive_as_they_were_sent,
    a_delivery_has_the_lower_of_both_qos,
    overlapping_subscriptions_deliver_at_the_highest_qos,
    what_is_not_permitted_is_acknowledged_and_goes_nowhere,
}

conformance_tests! { v5:
    a_publish_without_topic_and_alias_closes_the_connection,
    a_client_sends_no_subscription_identifier,
    subscription_identifiers_come_with_what_they_matched,
    overlapping_subscriptions_name_all_their_identifiers,
}

/// Only a repetition of ours has DUP, whatever the publisher's had.
///
/// 5.0: MQTT-3.3.1-3, MQTT-3.3.1-2, MQTT-4.3.1-1, MQTT-4.3.2-2, MQTT-4.3.3-2.
/// 3.1.1: MQTT-3.3.1-3, MQTT-3.3.1-2, MQTT-4.3.1-1.
async fn dup_of_an_incoming_publish_does_not_go_on(scene: Scene) {
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 2).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "0")).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1).dup()).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(2, 2).dup()).await;
    for qos in [0, 1, 2] {
        let publish = subscriber.accept().await;
        assert_eq!((publish.qos, publish.dup), (qos, false));
    }
}

/// Both QoS bits, whatever the other flags are.
///
/// 5.0: MQTT-3.3.1-4, MQTT-4.13.1-1.
/// 3.1.1: MQTT-3.3.1-4, MQTT-4.8.0-1.
async fn qos_3_closes_the_connection(scene: Scene) {
    for flags in [0x06, 0x07, 0x0E, 0x0F] {
        let mut client = scene.connect("client").await;
        let mut publish = Publish::new(scene.version, scene.topic("a"), "").qos(1, 1);
        publish.flags = flags;
        client.send(publish.bytes()).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// What is never repeated is no repetition.
///
/// 5.0: MQTT-3.3.1-2.
/// 3.1.1: MQTT-3.3.1-2.
async fn dup_with_qos_0_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(Publish::new(scene.version, scene.topic("a"), "").dup().bytes()).await;
    client.closed_as_wrong().await;
}

/// Topic Name invalid or malformed: the connection ends, and nobody gets the message.
///
/// 5.0: MQTT-3.3.2-2, MQTT-4.7.0-1.
/// 3.1.1: MQTT-3.3.2-2, MQTT-4.7.1-1.
async fn a_topic_name_with_a_wildcard_closes_the_connection(scene: Scene) {
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&scene.topic("#"), 0).await;
    for wildcard in ["#", "+", "a/+/b", "a/#", "a+", "#a"] {
        let mut client = scene.connect("client").await;
        client.send(Publish::new(scene.version, scene.topic(wildcard), "").bytes()).await;
        let last = client.until_closed().await;
        if scene.version == Version::V5 {
            let codes = [code::MALFORMED_PACKET, code::PROTOCOL_ERROR, code::TOPIC_NAME_INVALID];
            assert!(
                matches!(last.as_slice(), [Packet::Disconnect(reason)] if codes.contains(&reason.code)),
                "{last:?}"
            );
        }
    }
    subscriber.hears_nothing().await;
}

/// No topic at all, half a topic, half an identifier.
///
/// 5.0: MQTT-3.3.2-1, MQTT-4.13.1-1.
/// 3.1.1: MQTT-3.3.2-1, MQTT-4.8.0-1.
async fn a_publish_that_is_cut_short_closes_the_connection(scene: Scene) {
    for cut in ["30 00", "30 01 00", "30 03 00 02 61", "32 04 00 01 61 00"] {
        let mut client = scene.connect("client").await;
        client.send(hex(cut)).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// An empty topic name and no alias that could stand for one.
///
/// 5.0: MQTT-4.7.3-1, MQTT-4.13.1-1.
async fn a_publish_without_topic_and_alias_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(Publish::new(scene.version, "", "").bytes()).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// Nothing, PUBACK, PUBREC.
///
/// 5.0: MQTT-3.3.4-1, MQTT-4.3.2-4, MQTT-4.3.3-8, MQTT-2.2.1-5.
/// 3.1.1: MQTT-3.3.4-1, MQTT-4.3.2-2, MQTT-4.3.3-2, MQTT-2.3.1-6.
async fn a_publish_is_answered_as_its_qos_asks(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.send(Publish::new(scene.version, &topic, "").bytes()).await;
    client.hears_nothing().await;
    for id in [1, 0xFFFF, 0x0100] {
        client.send(Publish::new(scene.version, &topic, "").qos(1, id).bytes()).await;
        client.ack(first_byte::PUBACK, id).await;
        client.send(Publish::new(scene.version, &topic, "").qos(2, id).bytes()).await;
        client.ack(first_byte::PUBREC, id).await;
        client.send(ack(first_byte::PUBREL, id)).await;
        client.ack(first_byte::PUBCOMP, id).await;
    }
}

/// Under the topic that was published, which the filter matches; payloads of no byte, any byte, and many.
///
/// 5.0: MQTT-3.3.2-3, MQTT-4.5.0-1.
/// 3.1.1: MQTT-3.3.2-3, MQTT-4.5.0-1.
async fn the_topic_and_payload_arrive_as_they_were_sent(scene: Scene) {
    let topic = scene.topic("a/b");
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut client = scene.connect("client").await;
    client.subscribe(&scene.topic("+/b"), 0).await;
    for payload in [Vec::new(), every_byte.clone(), every_byte.repeat(256)] {
        client.send(Publish::new(scene.version, &topic, &payload).bytes()).await;
        let publish = client.publish().await;
        assert_eq!(publish.topic, topic);
        assert!(publish.payload == payload, "{} bytes came of {}", publish.payload.len(), payload.len());
    }
}

/// Each QoS to each QoS.
///
/// 5.0: MQTT-3.8.4-8, MQTT-4.3.1-1.
/// 3.1.1: MQTT-3.8.4-6, MQTT-4.3.1-1.
async fn a_delivery_has_the_lower_of_both_qos(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("publisher").await;
    for granted in [0, 1, 2] {
        let mut subscriber = scene.connect(&granted.to_string()).await;
        subscriber.subscribe(&topic, granted).await;
        for qos in [0, 1, 2] {
            publisher.deliver(&Publish::new(scene.version, &topic, "").qos(qos, 1)).await;
            assert_eq!(subscriber.accept().await.qos, qos.min(granted));
        }
    }
}

/// One copy or several: the highest comes.
///
/// 5.0: MQTT-3.3.4-2.
/// 3.1.1: MQTT-3.3.5-1.
async fn overlapping_subscriptions_deliver_at_the_highest_qos(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    for (filter, qos) in [(scene.topic("+"), 1), (scene.topic("#"), 2), (topic.clone(), 0)] {
        client.subscribe(&filter, qos).await;
    }
    client.deliver(&Publish::new(scene.version, &topic, "").qos(2, 1)).await;
    let heard = client.fence().await;
    let highest = publishes(&heard).iter().map(|publish| publish.qos).max();
    assert_eq!(highest, Some(2), "{heard:?}");
}

/// 3.1.1 has no word for it, 5.0 has Not authorized; the handshake is finished in both, and nothing is retained.
///
/// 5.0: MQTT-3.3.4-1, MQTT-3.4.2-1, MQTT-3.5.2-1, MQTT-3.9.3-2, MQTT-3.8.4-7.
/// 3.1.1: MQTT-3.3.5-2, MQTT-3.9.3-2.
async fn what_is_not_permitted_is_acknowledged_and_goes_nowhere(scene: Scene) {
    let topic = format!("unwritable/{}", scene.topic("a"));
    let unreadable = format!("unreadable/{}", scene.topic("a"));
    let mut watcher = scene.connect("watcher").await;
    watcher.subscribe(&format!("+/{}", scene.topic("a")), 0).await;
    let mut client = scene.connect("client").await;
    client.send(Publish::new(scene.version, &topic, "0").retain().bytes()).await;
    client.send(Publish::new(scene.version, &topic, "1").qos(1, 1).retain().bytes()).await;
    let puback = client.ack(first_byte::PUBACK, 1).await;
    client.send(Publish::new(scene.version, &topic, "2").qos(2, 2).retain().bytes()).await;
    let pubrec = client.ack(first_byte::PUBREC, 2).await;
    client.send(subscribe(scene.version, 3, &[(&unreadable, 0)])).await;
    let suback = client.suback(3).await;
    if scene.version == Version::V5 {
        let not_authorized = code::NOT_AUTHORIZED;
        assert_eq!(
            (puback.code, pubrec.code, suback.codes),
            (not_authorized, not_authorized, vec![not_authorized])
        );
    } else {
        client.send(ack(first_byte::PUBREL, 2)).await;
        client.ack(first_byte::PUBCOMP, 2).await;
        assert_eq!(suback.codes, [0x80]);
    }
    watcher.hears_nothing().await;
    watcher.subscribe(&format!("+/{}", scene.topic("a")), 0).await;
    watcher.hears_nothing().await;
}

/// Protocol Error.
///
/// 5.0: MQTT-3.3.4-6.
async fn a_client_sends_no_subscription_identifier(scene: Scene) {
    let mut client = scene.connect("client").await;
    let identifier = Bytes::new().u8(property::SUBSCRIPTION_IDENTIFIER).variable(1);
    client.send(Publish::new(scene.version, scene.topic("a"), "").property(identifier).bytes()).await;
    client.closed_as_wrong().await;
}

fn identified(number: usize) -> Bytes {
    Bytes::new().u8(property::SUBSCRIPTION_IDENTIFIER).variable(number)
}

/// The identifier of each subscription, of the smallest and the largest number; a subscription without one adds none.
///
/// 5.0: MQTT-3.3.4-3, MQTT-1.5.5-1.
async fn subscription_identifiers_come_with_what_they_matched(scene: Scene) {
    const LARGEST: usize = 268_435_455;
    let mut client = scene.connect("client").await;
    for (id, number) in [(1, 1), (2, 128), (3, LARGEST)] {
        let filter = scene.topic(&number.to_string());
        client
            .send(crate::bytes::subscribe_with(scene.version, id, &identified(number), &[(&filter, 0)]))
            .await;
        client.suback(id).await;
    }
    let none = scene.topic("none");
    client.send(subscribe(scene.version, 4, &[(&none, 0)])).await;
    client.suback(4).await;
    for number in [1, 128, LARGEST] {
        client.send(Publish::new(scene.version, scene.topic(&number.to_string()), "").bytes()).await;
        let numbers = client.publish().await.properties.numbers(property::SUBSCRIPTION_IDENTIFIER);
        assert_eq!(numbers, [number as u32]);
    }
    client.send(Publish::new(scene.version, &none, "").bytes()).await;
    assert!(client.publish().await.properties.numbers(property::SUBSCRIPTION_IDENTIFIER).is_empty());
}

/// All in one copy, or one in each copy: together they are complete.
///
/// 5.0: MQTT-3.3.4-3, MQTT-3.3.4-4, MQTT-3.3.4-5.
async fn overlapping_subscriptions_name_all_their_identifiers(scene: Scene) {
    let topic = scene.topic("a/b");
    let mut client = scene.connect("client").await;
    for (id, filter) in
        [(1, scene.topic("a/+")), (2, scene.topic("#")), (3, topic.clone()), (4, scene.topic("c"))]
    {
        let properties = identified(id.into());
        client.send(crate::bytes::subscribe_with(scene.version, id, &properties, &[(&filter, 0)])).await;
        client.suback(id).await;
    }
    client.send(Publish::new(scene.version, &topic, "").bytes()).await;
    let mut numbers = Vec::new();
    let copies = client.fence().await;
    for publish in publishes(&copies) {
        let of_copy = publish.properties.numbers(property::SUBSCRIPTION_IDENTIFIER);
        assert!(copies.len() == 1 || of_copy.len() == 1, "each of several copies names its own: {copies:?}");
        numbers.extend(of_copy);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
}
