//! Section 3.2: CONNACK, and the limits that it names, or does not name, since this broker has all of MQTT.

use crate::bytes::{Bytes, Publish, code, connect_flag, first_byte, property};
use crate::packet::Packet;
use crate::scene::{Scene, Version};

conformance_tests! { both:
    session_present_says_whether_the_session_is_there,
    every_qos_is_supported,
}

conformance_tests! { v5:
    what_connack_does_not_limit_is_supported,
    a_packet_above_the_server_s_maximum_closes_the_connection,
    more_than_the_server_s_receive_maximum_closes_the_connection,
    acknowledged_messages_do_not_count_towards_the_receive_maximum,
}

/// No session, a new one, the same again, and after a clean start none.
///
/// 5.0: MQTT-3.2.2-2, MQTT-3.2.2-3, MQTT-3.2.2-1.
/// 3.1.1: MQTT-3.2.2-1, MQTT-3.2.2-2, MQTT-3.2.2-3.
async fn session_present_says_whether_the_session_is_there(scene: Scene) {
    let (clean, kept) = (scene.hello("client"), scene.hello("client").kept().resume());
    for (connect, present) in [(&clean, false), (&kept, false), (&kept, true), (&kept, true), (&clean, false)]
    {
        let (client, connack) = scene.connect_as(connect).await;
        assert_eq!(connack.session_present, present);
        client.leave().await;
    }
    let (_, connack) = scene.connect_as(&kept).await;
    assert!(!connack.session_present);
}

/// To publish, to subscribe, and for a will; so CONNACK names no maximum QoS.
///
/// 5.0: MQTT-3.2.2-9, MQTT-3.2.2-10, MQTT-3.2.2-12.
/// 3.1.1: MQTT-3.8.4-5.
async fn every_qos_is_supported(scene: Scene) {
    let topic = scene.topic("a");
    let will_qos = connect_flag::WILL_QOS_2;
    let (mut client, connack) =
        scene.connect_as(&scene.hello("client").will(&topic, "").flag(will_qos)).await;
    assert!(!connack.properties.has(property::MAXIMUM_QOS), "{connack:?}");
    for qos in [0, 1, 2] {
        client.subscribe(&topic, qos).await;
        client.deliver(&Publish::new(scene.version, &topic, "").qos(qos, 1)).await;
        assert_eq!(client.accept().await.qos, qos);
    }
}

/// Retained messages and wills, wildcards, subscription identifiers, shared subscriptions.
///
/// 5.0: MQTT-3.2.2-13.
async fn what_connack_does_not_limit_is_supported(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, connack) =
        scene.connect_as(&scene.hello("client").will(&topic, "").flag(connect_flag::WILL_RETAIN)).await;
    let features = [
        property::RETAIN_AVAILABLE,
        property::WILDCARD_SUBSCRIPTION_AVAILABLE,
        property::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
        property::SHARED_SUBSCRIPTION_AVAILABLE,
    ];
    for feature in features {
        assert_ne!(connack.properties.number(feature), Some(0), "{connack:?}");
    }
    client.deliver(&Publish::new(scene.version, &topic, "kept").qos(1, 1).retain()).await;
    client.subscribe(&scene.topic("#"), 0).await;
    assert_eq!(client.publish().await.payload, b"kept");
    client.subscribe(&format!("$share/group/{topic}"), 0).await;
}

/// Packet too large, and it is said before the whole packet has come.
///
/// 5.0: MQTT-3.2.2-15, MQTT-4.13.1-1.
async fn a_packet_above_the_server_s_maximum_closes_the_connection(scene: Scene) {
    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    let Some(maximum) = connack.properties.number(property::MAXIMUM_PACKET_SIZE) else {
        return; // no maximum, no packet that is too large
    };
    // Five bytes of fixed header, and more in the body than would fit.
    let header = Bytes::new().u8(first_byte::PUBLISH).variable(maximum as usize);
    client.send(header.into_vec()).await;
    client.closed_with(code::PACKET_TOO_LARGE).await;
}

/// QoS 2 messages that wait for PUBREL.
///
/// 5.0: MQTT-3.3.4-7, MQTT-4.9.0-1.
async fn more_than_the_server_s_receive_maximum_closes_the_connection(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    let maximum = connack.properties.number(property::RECEIVE_MAXIMUM).unwrap_or(65_535) as u16;
    assert!(maximum < 65_535, "no client can have so many identifiers under way: {connack:?}");
    for id in 1..=maximum {
        client.send(Publish::new(scene.version, &topic, "").qos(2, id).bytes()).await;
    }
    for id in 1..=maximum {
        client.ack(first_byte::PUBREC, id).await;
    }
    client.send(Publish::new(scene.version, &topic, "").qos(2, maximum + 1).bytes()).await;
    client.closed_with(code::RECEIVE_MAXIMUM_EXCEEDED).await;
}

/// PUBCOMP and PUBACK make room.
///
/// 5.0: MQTT-4.9.0-1, MQTT-4.9.0-2.
async fn acknowledged_messages_do_not_count_towards_the_receive_maximum(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    let maximum = connack.properties.number(property::RECEIVE_MAXIMUM).unwrap_or(65_535) as u16;
    for id in 1..maximum {
        client.send(Publish::new(Version::V5, &topic, "").qos(2, id).bytes()).await;
    }
    for id in 1..maximum {
        client.ack(first_byte::PUBREC, id).await;
    }
    // One place is left, and it serves one message after the other.
    for _ in 0..5 {
        client.deliver(&Publish::new(Version::V5, &topic, "").qos(1, maximum)).await;
        client.deliver(&Publish::new(Version::V5, &topic, "").qos(2, maximum)).await;
    }
    assert_eq!(client.fence().await, Vec::<Packet>::new());
}
