//! Section 3.3.2.3: properties of a PUBLISH, on their way through the broker.

use std::time::Duration;

use crate::bytes::{Bytes, Publish, code, hex, property};
use crate::scene::Scene;

conformance_tests! { v5:
    properties_go_on_as_they_came,
    properties_stay_with_a_retained_message,
    user_properties_keep_their_order_and_their_repetitions,
    text_in_properties_is_well_formed,
    a_response_topic_with_wildcards_closes_the_connection,
    an_alias_stands_for_its_topic,
    an_alias_can_be_given_to_another_topic,
    every_alias_up_to_the_maximum_is_accepted,
    an_alias_above_the_maximum_closes_the_connection,
    alias_zero_closes_the_connection,
    aliases_end_with_their_connection,
    the_alias_of_the_publisher_does_not_go_on,
}

conformance_tests! { v5 together:
    a_message_expiry_interval_is_counted_down,
    a_message_that_has_expired_is_not_delivered,
}

fn alias_only(scene: &Scene, alias: u16, payload: &str) -> Publish {
    Publish::new(scene.version, "", payload).alias(alias)
}

/// Payload format, content type, response topic, correlation data: to a subscriber at each QoS.
///
/// 5.0: MQTT-3.3.2-4, MQTT-3.3.2-15, MQTT-3.3.2-16, MQTT-3.3.2-17, MQTT-3.3.2-20.
async fn properties_go_on_as_they_came(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 2).await;
    for format in [0, 1] {
        let properties = Bytes::new()
            .u8(property::CORRELATION_DATA)
            .string(hex("00 FF 80"))
            .u8(property::RESPONSE_TOPIC)
            .string("answers/\u{FEFF}here")
            .u8(property::CONTENT_TYPE)
            .string("text/plain; charset=utf-8")
            .u8(property::USER_PROPERTY)
            .pair("", "")
            .u8(property::PAYLOAD_FORMAT_INDICATOR)
            .u8(format);
        for qos in [0, 1, 2] {
            let publish =
                Publish::new(scene.version, &topic, "text").qos(qos, 1).property(properties.clone());
            client.deliver(&publish).await;
            let properties = client.accept().await.properties;
            assert_eq!(properties.number(property::PAYLOAD_FORMAT_INDICATOR), Some(format.into()));
            assert_eq!(properties.text(property::CONTENT_TYPE), Some("text/plain; charset=utf-8"));
            assert_eq!(properties.text(property::RESPONSE_TOPIC), Some("answers/\u{FEFF}here"));
            assert_eq!(properties.binary(property::CORRELATION_DATA), Some(hex("00 FF 80").as_slice()));
            assert_eq!(properties.user(), [("", "")]);
        }
    }
}

/// A later subscriber gets what an earlier one got.
///
/// 5.0: MQTT-3.3.2-15, MQTT-3.3.2-16, MQTT-3.3.2-17, MQTT-3.3.2-20.
async fn properties_stay_with_a_retained_message(scene: Scene) {
    let topic = scene.topic("a");
    let properties = Bytes::new()
        .u8(property::CONTENT_TYPE)
        .string("type")
        .u8(property::RESPONSE_TOPIC)
        .string("answers")
        .u8(property::CORRELATION_DATA)
        .string("data")
        .u8(property::USER_PROPERTY)
        .pair("name", "value");
    let mut publisher = scene.connect("publisher").await;
    let publish = Publish::new(scene.version, &topic, "").property(properties);
    publisher.deliver(&Publish { payload: b"kept".to_vec(), ..publish }.qos(1, 1).retain()).await;
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 0).await;
    let properties = subscriber.publish().await.properties;
    assert_eq!(properties.text(property::CONTENT_TYPE), Some("type"));
    assert_eq!(properties.text(property::RESPONSE_TOPIC), Some("answers"));
    assert_eq!(properties.binary(property::CORRELATION_DATA), Some(b"data".as_slice()));
    assert_eq!(properties.user(), [("name", "value")]);
}

/// Names may come twice, also with the same value.
///
/// 5.0: MQTT-3.3.2-17, MQTT-3.3.2-18.
async fn user_properties_keep_their_order_and_their_repetitions(scene: Scene) {
    let topic = scene.topic("a");
    let pairs = [("z", "1"), ("a", "2"), ("z", "1"), ("\u{FEFF}", "ü"), ("a", ""), ("z", "0")];
    let properties = pairs
        .iter()
        .fold(Bytes::new(), |bytes, (name, value)| bytes.u8(property::USER_PROPERTY).pair(name, value));
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 0).await;
    client.send(Publish::new(scene.version, &topic, "").property(properties).bytes()).await;
    assert_eq!(client.publish().await.properties.user(), pairs);
}

/// Response topic and content type.
///
/// 5.0: MQTT-3.3.2-13, MQTT-3.3.2-19, MQTT-1.5.4-1.
async fn text_in_properties_is_well_formed(scene: Scene) {
    for id in [property::RESPONSE_TOPIC, property::CONTENT_TYPE] {
        for wrong in ["ED A0 80", "61 00 62", "FF"] {
            let mut client = scene.connect("client").await;
            let property = Bytes::new().u8(id).string(hex(wrong));
            client.send(Publish::new(scene.version, scene.topic("a"), "").property(property).bytes()).await;
            client.closed_with(code::MALFORMED_PACKET).await;
        }
    }
}

/// It is a topic name.
///
/// 5.0: MQTT-3.3.2-14.
async fn a_response_topic_with_wildcards_closes_the_connection(scene: Scene) {
    for wrong in ["#", "a/+", "a#"] {
        let mut client = scene.connect("client").await;
        let property = Bytes::new().u8(property::RESPONSE_TOPIC).string(wrong);
        client.send(Publish::new(scene.version, scene.topic("a"), "").property(property).bytes()).await;
        client.closed_as_wrong().await;
    }
}

/// Once with its topic, then alone.
///
/// 5.0: MQTT-3.3.2-12.
async fn an_alias_stands_for_its_topic(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 0).await;
    client.send(Publish::new(scene.version, &topic, "1").alias(1).bytes()).await;
    client.send(alias_only(&scene, 1, "2").bytes()).await;
    for payload in ["1", "2"] {
        let publish = client.publish().await;
        assert_eq!((publish.topic, publish.payload), (topic.clone(), payload.into()));
    }
    // An alias that was never given.
    client.send(alias_only(&scene, 2, "3").bytes()).await;
    client.closed_as_wrong_or(code::TOPIC_ALIAS_INVALID).await;
}

/// The last topic that came with it is the one.
///
/// 5.0: MQTT-3.3.2-12.
async fn an_alias_can_be_given_to_another_topic(scene: Scene) {
    let (first, second) = (scene.topic("first"), scene.topic("second"));
    let mut client = scene.connect("client").await;
    client.subscribe(&scene.topic("+"), 0).await;
    for topic in [&first, &second, &first] {
        client.send(Publish::new(scene.version, topic, "").alias(1).bytes()).await;
        client.send(alias_only(&scene, 1, "").bytes()).await;
        assert_eq!(client.publish().await.topic, *topic);
        assert_eq!(client.publish().await.topic, *topic);
    }
}

/// From 1 to what CONNACK said, each for a topic of its own.
///
/// 5.0: MQTT-3.3.2-12.
async fn every_alias_up_to_the_maximum_is_accepted(scene: Scene) {
    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    let maximum = connack.properties.number(property::TOPIC_ALIAS_MAXIMUM).unwrap_or(0) as u16;
    client.subscribe(&scene.topic("+"), 0).await;
    for alias in 1..=maximum {
        let topic = scene.topic(&alias.to_string());
        client.send(Publish::new(scene.version, &topic, "").alias(alias).bytes()).await;
        assert_eq!(client.publish().await.topic, topic);
    }
    for alias in 1..=maximum {
        client.send(alias_only(&scene, alias, "").bytes()).await;
        assert_eq!(client.publish().await.topic, scene.topic(&alias.to_string()));
    }
}

/// One too high.
///
/// 5.0: MQTT-3.2.2-17, MQTT-3.2.2-18, MQTT-3.3.2-9.
async fn an_alias_above_the_maximum_closes_the_connection(scene: Scene) {
    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    let maximum = connack.properties.number(property::TOPIC_ALIAS_MAXIMUM).unwrap_or(0) as u16;
    client.send(Publish::new(scene.version, scene.topic("a"), "").alias(maximum + 1).bytes()).await;
    client.closed_with(code::TOPIC_ALIAS_INVALID).await;
}

/// With or without a topic.
///
/// 5.0: MQTT-3.3.2-8.
async fn alias_zero_closes_the_connection(scene: Scene) {
    for topic in [scene.topic("a"), String::new()] {
        let mut client = scene.connect("client").await;
        client.send(Publish::new(scene.version, topic, "").alias(0).bytes()).await;
        client.closed_with(code::TOPIC_ALIAS_INVALID).await;
    }
}

/// The session goes on, its aliases do not.
///
/// 5.0: MQTT-3.3.2-7.
async fn aliases_end_with_their_connection(scene: Scene) {
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.deliver(&Publish::new(scene.version, scene.topic("a"), "").alias(1).qos(1, 1)).await;
    client.leave().await;
    let (mut client, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present);
    client.send(alias_only(&scene, 1, "").bytes()).await;
    client.closed_as_wrong_or(code::TOPIC_ALIAS_INVALID).await;
}

/// A subscriber that allows no alias gets the topic by name; so does one on a later connection, from the session.
///
/// 5.0: MQTT-3.1.2-27, MQTT-3.3.2-7.
async fn the_alias_of_the_publisher_does_not_go_on(scene: Scene) {
    let topic = scene.topic("a");
    let (mut subscriber, _) = scene.connect_as(&scene.hello("subscriber").kept()).await;
    subscriber.subscribe(&topic, 1).await;
    let mut publisher = scene.connect("publisher").await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").alias(3).qos(1, 1)).await;
    publisher.deliver(&alias_only(&scene, 3, "2").qos(1, 2).retain()).await;
    let publish = subscriber.accept().await;
    assert_eq!((publish.topic, publish.properties.has(property::TOPIC_ALIAS)), (topic.clone(), false));
    subscriber.leave().await;
    let (mut subscriber, _) = scene.connect_as(&scene.hello("subscriber").kept().resume()).await;
    let publish = subscriber.accept().await;
    assert_eq!((publish.topic, publish.properties.has(property::TOPIC_ALIAS)), (topic.clone(), false));
    let mut late = scene.connect("late").await;
    late.subscribe(&topic, 0).await;
    let publish = late.publish().await;
    assert_eq!((publish.topic, publish.properties.has(property::TOPIC_ALIAS)), (topic, false));
}

fn expires_in(seconds: u32) -> Bytes {
    Bytes::new().u8(property::MESSAGE_EXPIRY_INTERVAL).u32(seconds)
}

/// In a queue and among the retained messages.
///
/// 5.0: MQTT-3.3.2-6.
async fn a_message_expiry_interval_is_counted_down(scene: Scene) {
    const SECONDS: u32 = 100;
    let topic = scene.topic("a");
    let (mut subscriber, _) = scene.connect_as(&scene.hello("subscriber").kept()).await;
    subscriber.subscribe(&topic, 1).await;
    subscriber.leave().await;
    let mut publisher = scene.connect("publisher").await;
    let publish = Publish::new(scene.version, &topic, "a").qos(1, 1).retain().property(expires_in(SECONDS));
    publisher.deliver(&publish).await;
    tokio::time::sleep(Duration::from_millis(1100)).await; // so that it is less by at least one second

    let (mut subscriber, _) = scene.connect_as(&scene.hello("subscriber").kept().resume()).await;
    let mut late = scene.connect("late").await;
    late.subscribe(&topic, 0).await;
    for client in [&mut subscriber, &mut late] {
        let left = client.accept().await.properties.number(property::MESSAGE_EXPIRY_INTERVAL);
        let left = left.expect("the message expires");
        assert!((SECONDS - 30..SECONDS).contains(&left), "{left} seconds are left");
    }
}

/// Neither from a queue nor as a retained message; what does not expire comes.
///
/// 5.0: MQTT-3.3.2-5.
async fn a_message_that_has_expired_is_not_delivered(scene: Scene) {
    let topic = scene.topic("a");
    let (mut subscriber, _) = scene.connect_as(&scene.hello("subscriber").kept()).await;
    subscriber.subscribe(&topic, 2).await;
    subscriber.leave().await;
    let mut publisher = scene.connect("publisher").await;
    for (id, qos) in [(1, 1), (2, 2)] {
        let publish = Publish::new(scene.version, &topic, "expires").qos(qos, id).retain();
        publisher.deliver(&publish.property(expires_in(1))).await;
    }
    publisher.deliver(&Publish::new(scene.version, &topic, "stays").qos(1, 3)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await; // longer than the interval

    let (mut subscriber, _) = scene.connect_as(&scene.hello("subscriber").kept().resume()).await;
    assert_eq!(subscriber.accept().await.payload, b"stays");
    let mut late = scene.connect("late").await;
    late.subscribe(&topic, 0).await;
    late.hears_nothing().await;
}
