//! Sections 4.3 and 4.5: the delivery protocols of QoS 0, 1 and 2, in both directions.

use crate::bytes::{Bytes, Publish, ack, ack_with, code, first_byte, property};
use crate::scene::Scene;

conformance_tests! { both:
    after_puback_the_identifier_is_a_new_message,
    until_pubrel_the_identifier_is_the_same_message,
    after_pubcomp_the_identifier_is_a_new_message,
    pubrel_is_answered_again_and_again,
    a_qos_2_message_is_known_on_the_next_connection,
    deliveries_begin_without_dup_and_take_unused_identifiers,
    a_message_goes_to_every_session_that_matches,
    messages_are_acknowledged_in_the_order_in_which_they_came,
}

conformance_tests! { v5:
    a_refused_delivery_is_over,
    a_refused_qos_2_message_frees_its_identifier,
}

conformance_tests! { v5 together:
    a_qos_2_message_that_was_sent_does_not_expire,
}

/// DUP or not.
///
/// 5.0: MQTT-4.3.2-5, MQTT-4.3.2-4.
/// 3.1.1: MQTT-4.3.2-2.
async fn after_puback_the_identifier_is_a_new_message(scene: Scene) {
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 0).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 5)).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 5).dup()).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(1, 5)).await;
    for payload in ["1", "1", "2"] {
        assert_eq!(subscriber.publish().await.payload, payload.as_bytes());
    }
}

/// It is acknowledged each time, and delivered once.
///
/// 5.0: MQTT-4.3.3-10, MQTT-4.3.3-8.
/// 3.1.1: MQTT-4.3.3-2.
async fn until_pubrel_the_identifier_is_the_same_message(scene: Scene) {
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 2).await;
    let publish = Publish::new(scene.version, &topic, "once").qos(2, 5);
    for repetition in [publish.clone(), publish.clone().dup(), publish.clone().dup(), publish] {
        publisher.send(repetition.bytes()).await;
        assert_eq!(publisher.ack(first_byte::PUBREC, 5).await.code, code::SUCCESS);
    }
    publisher.send(ack(first_byte::PUBREL, 5)).await;
    publisher.ack(first_byte::PUBCOMP, 5).await;
    assert_eq!(subscriber.accept().await.payload, b"once");
    subscriber.hears_nothing().await;
}

/// The handshake is over, and the number is free.
///
/// 5.0: MQTT-4.3.3-12.
/// 3.1.1: MQTT-4.3.3-2.
async fn after_pubcomp_the_identifier_is_a_new_message(scene: Scene) {
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 2).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(2, 5)).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(2, 5).dup()).await;
    assert_eq!(subscriber.accept().await.payload, b"1");
    assert_eq!(subscriber.accept().await.payload, b"2");
}

/// The PUBCOMP may have been lost.
///
/// 5.0: MQTT-4.3.3-11.
/// 3.1.1: MQTT-4.3.3-2.
async fn pubrel_is_answered_again_and_again(scene: Scene) {
    let mut publisher = scene.connect("publisher").await;
    publisher.deliver(&Publish::new(scene.version, scene.topic("a"), "").qos(2, 5)).await;
    for _ in 0..2 {
        publisher.send(ack(first_byte::PUBREL, 5)).await;
        publisher.ack(first_byte::PUBCOMP, 5).await;
    }
}

/// Repeated on a new connection of the same session, it is not delivered again.
///
/// 5.0: MQTT-4.3.3-10, MQTT-4.3.3-12, MQTT-3.1.2-23, MQTT-4.1.0-1.
/// 3.1.1: MQTT-4.3.3-2, MQTT-4.1.0-1.
async fn a_qos_2_message_is_known_on_the_next_connection(scene: Scene) {
    let topic = scene.topic("a");
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 2).await;
    let publish = Publish::new(scene.version, &topic, "once").qos(2, 5);
    let (mut publisher, _) = scene.connect_as(&scene.hello("publisher").kept()).await;
    publisher.send(publish.bytes()).await;
    publisher.ack(first_byte::PUBREC, 5).await;
    publisher.vanish();

    let (mut publisher, connack) = scene.connect_as(&scene.hello("publisher").kept().resume()).await;
    assert!(connack.session_present);
    publisher.send(publish.dup().bytes()).await;
    publisher.ack(first_byte::PUBREC, 5).await;
    publisher.send(ack(first_byte::PUBREL, 5)).await;
    assert_eq!(publisher.ack(first_byte::PUBCOMP, 5).await.code, code::SUCCESS);
    assert_eq!(subscriber.accept().await.payload, b"once");
    subscriber.hears_nothing().await;
}

/// While one is under way the next takes another; when it is over, any.
///
/// 5.0: MQTT-4.3.2-1, MQTT-4.3.2-2, MQTT-4.3.3-1, MQTT-4.3.3-2, MQTT-2.2.1-4.
/// 3.1.1: MQTT-4.3.2-1, MQTT-4.3.3-1, MQTT-2.3.1-4.
async fn deliveries_begin_without_dup_and_take_unused_identifiers(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 2).await;
    let mut under_way = Vec::new();
    for number in 1..=20_u16 {
        let qos = 1 + u8::from(number.is_multiple_of(2));
        client.deliver(&Publish::new(scene.version, &topic, "").qos(qos, number)).await;
        let publish = client.publish().await;
        let id = publish.id.expect("QoS 1 and 2 have identifiers");
        assert!(!publish.dup && publish.qos == qos && !under_way.contains(&id), "{publish:?}, {under_way:?}");
        if number % 3 == 0 && qos == 1 {
            client.send(ack(first_byte::PUBACK, id)).await;
        } else {
            under_way.push(id);
        }
    }
}

/// Connected or away, by name or by wildcard.
///
/// 5.0: MQTT-4.5.0-1, MQTT-3.1.2-23.
/// 3.1.1: MQTT-4.5.0-1, MQTT-3.1.2-5.
async fn a_message_goes_to_every_session_that_matches(scene: Scene) {
    let topic = scene.topic("a/b");
    for (who, filter) in [("1", "a/b"), ("2", "a/+"), ("3", "#"), ("4", "a/b/#")] {
        let (mut client, _) = scene.connect_as(&scene.hello(who).kept()).await;
        client.subscribe(&scene.topic(filter), 1).await;
        client.leave().await;
    }
    scene.connect("publisher").await.tell(&topic, "a").await;
    for who in ["1", "2", "3", "4"] {
        let (mut client, _) = scene.connect_as(&scene.hello(who).kept().resume()).await;
        assert_eq!(client.accept().await.payload, b"a");
    }
}

/// PUBACKs among themselves, PUBRECs among themselves, PUBCOMPs as the PUBRELs came.
///
/// 5.0: MQTT-4.3.2-4, MQTT-4.3.3-8.
/// 3.1.1: MQTT-4.6.0-2, MQTT-4.6.0-3.
async fn messages_are_acknowledged_in_the_order_in_which_they_came(scene: Scene) {
    let topic = scene.topic("a");
    let ids: Vec<u16> = (1..=20).rev().collect();
    let mut client = scene.connect("client").await;
    for (qos, answer) in [(1, first_byte::PUBACK), (2, first_byte::PUBREC)] {
        let publishes = ids.iter().map(|id| Publish::new(scene.version, &topic, "").qos(qos, *id).bytes());
        client.send(publishes.collect::<Vec<_>>().concat()).await;
        for id in &ids {
            client.ack(answer, *id).await;
        }
    }
}

/// It was sent before its time was over; afterwards it is sent again, and its handshake is finished.
///
/// 5.0: MQTT-4.3.3-7, MQTT-4.3.3-13.
async fn a_qos_2_message_that_was_sent_does_not_expire(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 2).await;
    let expiry = Bytes::new().u8(property::MESSAGE_EXPIRY_INTERVAL).u32(1);
    client.deliver(&Publish::new(scene.version, &topic, "sent").qos(2, 1).property(expiry)).await;
    let id = client.publish().await.id.expect("QoS 2 has an identifier");
    client.vanish();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await; // longer than the interval

    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    let again = client.publish().await;
    assert_eq!((again.id, again.dup, again.payload), (Some(id), true, b"sent".to_vec()));
    client.send(ack(first_byte::PUBREC, id)).await;
    client.ack(first_byte::PUBREL, id).await;
    client.send(ack(first_byte::PUBCOMP, id)).await;
    client.hears_nothing().await;
}

/// A code of 0x80 or more in PUBACK or PUBREC: no PUBREL, no repetition, and the window has room again.
///
/// 5.0: MQTT-4.4.0-2, MQTT-3.3.4-9.
async fn a_refused_delivery_is_over(scene: Scene) {
    let topic = scene.topic("a");
    let connect = scene.hello("client").kept().property(Bytes::new().u8(property::RECEIVE_MAXIMUM).u16(1));
    let (mut client, _) = scene.connect_as(&connect).await;
    client.subscribe(&topic, 2).await;
    for (qos, answer) in [(1, first_byte::PUBACK), (2, first_byte::PUBREC)] {
        client.deliver(&Publish::new(scene.version, &topic, "refused").qos(qos, 1)).await;
        let id = client.publish().await.id.expect("QoS 1 and 2 have identifiers");
        client.send(ack_with(answer, id, code::UNSPECIFIED_ERROR)).await;
        client.hears_nothing().await;
    }
    client.vanish();
    let (mut client, connack) = scene.connect_as(&connect.resume()).await;
    assert!(connack.session_present);
    client.hears_nothing().await;
}

/// A PUBREC of 0x80 or more: the same identifier is a new message at once.
///
/// 5.0: MQTT-4.3.3-9.
async fn a_refused_qos_2_message_frees_its_identifier(scene: Scene) {
    let topic = scene.topic("a");
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 2).await;
    let mut publisher = scene.connect("publisher").await;
    let says_it_is_text = Bytes::new().u8(property::PAYLOAD_FORMAT_INDICATOR).u8(1);
    let refused = Publish::new(scene.version, &topic, [0xFF]).qos(2, 5).property(says_it_is_text);
    publisher.send(refused.bytes()).await;
    let pubrec = publisher.ack(first_byte::PUBREC, 5).await;
    assert!(pubrec.code >= code::UNSPECIFIED_ERROR, "a payload that is no text is refused: {pubrec:?}");
    publisher.deliver(&Publish::new(scene.version, &topic, "new").qos(2, 5)).await;
    assert_eq!(subscriber.accept().await.payload, b"new");
}
