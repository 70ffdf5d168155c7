//! Sections 4.4 and 4.6: what is sent again, when, and in which order.

use crate::bytes::{Publish, ack, first_byte};
use crate::packet::Packet;
use crate::scene::Scene;

conformance_tests! { both:
    what_is_unacknowledged_is_sent_again_on_the_next_connection,
    a_pubrel_is_sent_again_and_its_publish_is_not,
    what_was_acknowledged_is_not_sent_again,
    messages_are_sent_again_in_their_order,
    messages_arrive_in_the_order_in_which_they_were_published,
    pubrels_come_in_the_order_of_the_pubrecs,
}

conformance_tests! { both together:
    nothing_is_sent_again_while_the_connection_lasts,
}

/// With its identifier and DUP, at QoS 1 and 2; and again, until it is acknowledged.
///
/// 5.0: MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.3.2-3, MQTT-4.3.3-3.
/// 3.1.1: MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.3.2-1, MQTT-4.3.3-1, MQTT-2.3.1-4.
async fn what_is_unacknowledged_is_sent_again_on_the_next_connection(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 2).await;
    client.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1)).await;
    client.deliver(&Publish::new(scene.version, &topic, "2").qos(2, 2)).await;
    let first = [client.publish().await, client.publish().await];
    assert!(first.iter().all(|publish| !publish.dup));
    client.vanish();

    for _ in 0..2 {
        let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
        for publish in &first {
            let again = client.publish().await;
            assert_eq!((again.id, again.dup, &again.payload), (publish.id, true, &publish.payload));
        }
        client.vanish();
    }
}

/// The client has the message; what it waits for is PUBREL.
///
/// 5.0: MQTT-4.3.3-5, MQTT-4.3.3-6, MQTT-4.4.0-1.
/// 3.1.1: MQTT-4.3.3-1, MQTT-4.4.0-1.
async fn a_pubrel_is_sent_again_and_its_publish_is_not(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 2).await;
    client.deliver(&Publish::new(scene.version, &topic, "").qos(2, 1)).await;
    let id = client.publish().await.id.expect("QoS 2 has an identifier");
    client.send(ack(first_byte::PUBREC, id)).await;
    client.ack(first_byte::PUBREL, id).await;
    client.vanish();

    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    client.ack(first_byte::PUBREL, id).await;
    client.send(ack(first_byte::PUBCOMP, id)).await;
    client.hears_nothing().await;
    client.vanish();

    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    client.hears_nothing().await;
}

/// However long it takes: no acknowledgement, no repetition.
///
/// 5.0: MQTT-4.4.0-1.
/// 3.1.1: MQTT-4.4.0-1.
async fn nothing_is_sent_again_while_the_connection_lasts(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 2).await;
    client.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1)).await;
    client.deliver(&Publish::new(scene.version, &topic, "2").qos(2, 2)).await;
    let (_, second) = (client.publish().await, client.publish().await);
    let id = second.id.expect("QoS 2 has an identifier");
    client.send(ack(first_byte::PUBREC, id)).await;
    client.ack(first_byte::PUBREL, id).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await; // time for a repetition that must not come
    client.hears_nothing().await;
}

/// Of three, the two that are left.
///
/// 5.0: MQTT-4.4.0-1, MQTT-4.3.2-3.
/// 3.1.1: MQTT-4.4.0-1, MQTT-4.3.2-1.
async fn what_was_acknowledged_is_not_sent_again(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 1).await;
    for number in 1..=3 {
        client.deliver(&Publish::new(scene.version, &topic, number.to_string()).qos(1, number)).await;
    }
    let ids = [client.publish().await.id, client.publish().await.id, client.publish().await.id];
    client.send(ack(first_byte::PUBACK, ids[1].expect("QoS 1 has an identifier"))).await;
    client.hears_nothing().await;
    client.vanish();

    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert_eq!(client.accept().await.payload, b"1");
    assert_eq!(client.accept().await.payload, b"3");
    client.hears_nothing().await;
}

/// Of the first sending, and before what waited behind.
///
/// 5.0: MQTT-4.4.0-1, MQTT-4.6.0-5.
/// 3.1.1: MQTT-4.6.0-1, MQTT-4.4.0-1.
async fn messages_are_sent_again_in_their_order(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("publisher").await;
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 2).await;
    let message = |number: u16| {
        let qos = 1 + u8::from(number.is_multiple_of(2));
        Publish::new(scene.version, &topic, number.to_string()).qos(qos, number)
    };
    for number in 1..=6 {
        publisher.deliver(&message(number)).await;
    }
    for number in 1..=6 {
        assert_eq!(client.publish().await.payload, number.to_string().as_bytes());
    }
    client.vanish();
    for number in 7..=9 {
        publisher.deliver(&message(number)).await;
    }
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    for number in 1..=9 {
        let publish = client.publish().await;
        assert_eq!((publish.payload, publish.dup), (number.to_string().into_bytes(), number <= 6));
    }
}

/// Of one publisher, on one topic, at one QoS; with a subscriber that keeps up, and one that was away.
///
/// 5.0: MQTT-4.6.0-5, MQTT-4.6.0-6.
/// 3.1.1: MQTT-4.6.0-5, MQTT-4.6.0-6.
async fn messages_arrive_in_the_order_in_which_they_were_published(scene: Scene) {
    const MESSAGES: u16 = 100;
    for qos in [0, 1, 2] {
        let topic = scene.topic(&qos.to_string());
        let mut publisher = scene.connect("publisher").await;
        let mut present = scene.connect("present").await;
        present.subscribe(&topic, qos).await;
        let hello = scene.hello(&format!("away {qos}"));
        let (mut away, _) = scene.connect_as(&hello.clone().kept()).await;
        away.subscribe(&topic, qos).await;
        away.leave().await;
        let publishes = (1..=MESSAGES)
            .map(|number| Publish::new(scene.version, &topic, number.to_string()).qos(qos, number).bytes());
        publisher.send(publishes.collect::<Vec<_>>().concat()).await;
        if qos == 2 {
            for number in 1..=MESSAGES {
                publisher.ack(first_byte::PUBREC, number).await;
                publisher.send(ack(first_byte::PUBREL, number)).await;
            }
        }
        for number in 1..=MESSAGES {
            assert_eq!(present.accept().await.payload, number.to_string().as_bytes());
        }
        let (mut away, _) = scene.connect_as(&hello.kept().resume()).await;
        let waiting = if qos == 0 { 0 } else { MESSAGES };
        for number in 1..=waiting {
            assert_eq!(away.accept().await.payload, number.to_string().as_bytes());
        }
    }
}

/// Whatever the order of those was.
///
/// 5.0: MQTT-4.3.3-4.
/// 3.1.1: MQTT-4.6.0-4.
async fn pubrels_come_in_the_order_of_the_pubrecs(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 2).await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        client.deliver(&Publish::new(scene.version, &topic, "").qos(2, number)).await;
        ids.push(client.publish().await.id.expect("QoS 2 has an identifier"));
    }
    ids.swap(0, 3);
    ids.swap(1, 4);
    client.send(ids.iter().flat_map(|id| ack(first_byte::PUBREC, *id)).collect::<Vec<_>>()).await;
    for id in ids {
        let packet = client.next().await;
        assert!(
            matches!(&packet, Packet::Ack(ack) if ack.first_byte == first_byte::PUBREL && ack.id == id),
            "{packet:?}"
        );
    }
}
