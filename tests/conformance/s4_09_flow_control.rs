//! Section 4.9: how much a client lets the server send before it acknowledges.

use crate::bytes::{Bytes, Connect, PINGREQ, Publish, ack, first_byte, property, unsubscribe};
use crate::packet::Packet;
use crate::scene::Scene;

conformance_tests! { v5:
    a_client_is_sent_no_more_than_it_takes,
    pubrec_makes_no_room_and_pubcomp_does,
    a_full_window_holds_back_nothing_but_publish,
    a_new_connection_has_a_window_of_its_own,
}

fn receive_maximum(connect: Connect, messages: u16) -> Connect {
    connect.property(Bytes::new().u8(property::RECEIVE_MAXIMUM).u16(messages))
}

/// Two at a time, at QoS 1; each PUBACK brings one more.
///
/// 5.0: MQTT-3.3.4-9, MQTT-4.9.0-1, MQTT-4.9.0-2.
async fn a_client_is_sent_no_more_than_it_takes(scene: Scene) {
    const WINDOW: u16 = 2;
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&receive_maximum(scene.hello("client"), WINDOW)).await;
    client.subscribe(&topic, 1).await;
    let mut publisher = scene.connect("publisher").await;
    for number in 1..=6 {
        publisher.tell(&topic, &number.to_string()).await;
    }
    let mut ids = vec![client.publish().await.id, client.publish().await.id];
    for number in 3..=6 {
        assert!(client.ping().await.is_empty(), "the window is full");
        let id = ids.remove(0).expect("QoS 1 has an identifier");
        client.send(ack(first_byte::PUBACK, id)).await;
        let publish = client.publish().await;
        assert_eq!(publish.payload, number.to_string().as_bytes());
        ids.push(publish.id);
    }
}

/// A QoS 2 message is under way until its PUBCOMP.
///
/// 5.0: MQTT-3.3.4-9, MQTT-4.9.0-2.
async fn pubrec_makes_no_room_and_pubcomp_does(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&receive_maximum(scene.hello("client"), 1)).await;
    client.subscribe(&topic, 2).await;
    let mut publisher = scene.connect("publisher").await;
    for number in 1..=2 {
        publisher.deliver(&Publish::new(scene.version, &topic, number.to_string()).qos(2, number)).await;
    }
    let id = client.publish().await.id.expect("QoS 2 has an identifier");
    client.send(ack(first_byte::PUBREC, id)).await;
    client.ack(first_byte::PUBREL, id).await;
    assert!(client.ping().await.is_empty(), "the window is full");
    client.send(ack(first_byte::PUBCOMP, id)).await;
    assert_eq!(client.publish().await.payload, b"2");
}

/// Every request of the client is answered all the same.
///
/// 5.0: MQTT-3.3.4-10, MQTT-4.9.0-3.
async fn a_full_window_holds_back_nothing_but_publish(scene: Scene) {
    let (topic, other) = (scene.topic("a"), scene.topic("other"));
    let (mut client, _) = scene.connect_as(&receive_maximum(scene.hello("client"), 1)).await;
    client.subscribe(&topic, 1).await;
    let mut publisher = scene.connect("publisher").await;
    for number in 1..=3 {
        publisher.tell(&topic, &number.to_string()).await;
    }
    assert_eq!(client.publish().await.payload, b"1");

    client.send(PINGREQ).await;
    assert_eq!(client.next().await, Packet::PingResp);
    client.subscribe(&other, 0).await;
    client.send(unsubscribe(scene.version, 1, &[&other])).await;
    client.unsuback(1).await;
    client.send(Publish::new(scene.version, &other, "").qos(1, 2).bytes()).await;
    client.ack(first_byte::PUBACK, 2).await;
    client.send(Publish::new(scene.version, &other, "").qos(2, 3).bytes()).await;
    client.ack(first_byte::PUBREC, 3).await;
    client.send(ack(first_byte::PUBREL, 3)).await;
    client.ack(first_byte::PUBCOMP, 3).await;
}

/// What is sent again counts, and the size is the new connection's.
///
/// 5.0: MQTT-4.9.0-1, MQTT-3.3.4-9, MQTT-4.4.0-1.
async fn a_new_connection_has_a_window_of_its_own(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&receive_maximum(scene.hello("client").kept(), 3)).await;
    client.subscribe(&topic, 1).await;
    let mut publisher = scene.connect("publisher").await;
    for number in 1..=5 {
        publisher.tell(&topic, &number.to_string()).await;
    }
    for number in 1..=3 {
        assert_eq!(client.publish().await.payload, number.to_string().as_bytes());
    }
    assert!(client.ping().await.is_empty(), "the window is full");
    client.vanish();

    let connect = receive_maximum(scene.hello("client").kept().resume(), 1);
    let (mut client, _) = scene.connect_as(&connect).await;
    for number in 1..=5 {
        let publish = client.publish().await;
        assert_eq!((publish.payload, publish.dup), (number.to_string().into_bytes(), number <= 3));
        assert!(client.ping().await.is_empty(), "the window is full");
        client.send(ack(first_byte::PUBACK, publish.id.expect("QoS 1 has an identifier"))).await;
    }
}
