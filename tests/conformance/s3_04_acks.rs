//! Sections 3.4 to 3.7: PUBACK, PUBREC, PUBREL and PUBCOMP.

use crate::bytes::{Bytes, Publish, ack, ack_with, code, first_byte, property};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    an_acknowledgement_that_is_cut_short_closes_the_connection,
    the_answers_of_qos_2_repeat_the_identifier,
}

conformance_tests! { v5:
    reason_codes_of_another_packet_close_the_connection,
    acknowledgements_with_properties_are_understood,
    a_message_that_nobody_wants_is_acknowledged_as_such,
    an_unknown_identifier_is_answered_as_such,
}

/// Half an identifier, or none; in 3.1.1 also a byte more.
///
/// 5.0: MQTT-4.13.1-1.
/// 3.1.1: MQTT-4.8.0-1.
async fn an_acknowledgement_that_is_cut_short_closes_the_connection(scene: Scene) {
    for first in [first_byte::PUBACK, first_byte::PUBREC, first_byte::PUBREL, first_byte::PUBCOMP] {
        for length in [0, 1] {
            let mut client = scene.connect("client").await;
            client.send(Bytes::new().raw(&[0][..length]).packet(first)).await;
            client.closed_with(code::MALFORMED_PACKET).await;
        }
        if scene.version == Version::V311 {
            let mut client = scene.connect("client").await;
            client.send(ack_with(first, 1, 0)).await;
            client.closed().await;
        }
    }
}

/// Of the PUBLISH that is under way, in both directions.
///
/// 5.0: MQTT-2.2.1-5, MQTT-4.3.3-4, MQTT-4.3.3-11, MQTT-3.6.2-1, MQTT-3.7.2-1.
/// 3.1.1: MQTT-2.3.1-6, MQTT-4.3.3-1, MQTT-4.3.3-2.
async fn the_answers_of_qos_2_repeat_the_identifier(scene: Scene) {
    let topic = scene.topic("a");
    let (mut publisher, mut subscriber) =
        (scene.connect("publisher").await, scene.connect("subscriber").await);
    subscriber.subscribe(&topic, 2).await;
    for id in [0x0102, 0xFFFF] {
        publisher.send(Publish::new(scene.version, &topic, "").qos(2, id).bytes()).await;
        assert_eq!(publisher.ack(first_byte::PUBREC, id).await.code, code::SUCCESS);
        publisher.send(ack(first_byte::PUBREL, id)).await;
        assert_eq!(publisher.ack(first_byte::PUBCOMP, id).await.code, code::SUCCESS);
        let delivery = subscriber.publish().await.id.expect("QoS 2 has an identifier");
        subscriber.send(ack(first_byte::PUBREC, delivery)).await;
        assert_eq!(subscriber.ack(first_byte::PUBREL, delivery).await.code, code::SUCCESS);
        subscriber.send(ack(first_byte::PUBCOMP, delivery)).await;
    }
}

/// One that exists, yet not here; and one that does not exist.
///
/// 5.0: MQTT-3.4.2-1, MQTT-3.5.2-1, MQTT-3.6.2-1, MQTT-3.7.2-1.
async fn reason_codes_of_another_packet_close_the_connection(scene: Scene) {
    for first in [first_byte::PUBACK, first_byte::PUBREC, first_byte::PUBREL, first_byte::PUBCOMP] {
        for wrong in [code::SESSION_TAKEN_OVER, code::CONTINUE_AUTHENTICATION, 0x7F] {
            let mut client = scene.connect("client").await;
            client.send(ack_with(first, 1, wrong)).await;
            client.closed_as_wrong().await;
        }
    }
}

/// With a code alone, and with a code and properties.
///
/// 5.0: MQTT-4.3.2-3, MQTT-4.3.3-3, MQTT-2.2.2-1.
async fn acknowledgements_with_properties_are_understood(scene: Scene) {
    let topic = scene.topic("a");
    let properties = Bytes::new()
        .u8(property::USER_PROPERTY)
        .pair("name", "value")
        .u8(property::REASON_STRING)
        .string("as it should be")
        .u8(property::USER_PROPERTY)
        .pair("name", "value");
    let receive_maximum = Bytes::new().u8(property::RECEIVE_MAXIMUM).u16(1);
    let (mut client, _) = scene.connect_as(&scene.hello("client").property(receive_maximum)).await;
    client.subscribe(&topic, 2).await;
    // One message at a time is all the client takes: if an acknowledgement were not understood, the next would not come.
    for properties in [Bytes::new(), properties] {
        let answer = |first: u8, id: u16| {
            Bytes::new().u16(id).u8(code::SUCCESS).properties(Version::V5, &properties).packet(first)
        };
        client.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1)).await;
        let id = client.publish().await.id.expect("QoS 1 has an identifier");
        client.send(answer(first_byte::PUBACK, id)).await;
        client.send(Publish::new(scene.version, &topic, "2").qos(2, 2).bytes()).await;
        client.ack(first_byte::PUBREC, 2).await;
        client.send(answer(first_byte::PUBREL, 2)).await;
        client.ack_among(first_byte::PUBCOMP, 2).await;
        let id = client.publish().await.id.expect("QoS 2 has an identifier");
        client.send(answer(first_byte::PUBREC, id)).await;
        client.ack(first_byte::PUBREL, id).await;
        client.send(answer(first_byte::PUBCOMP, id)).await;
    }
    client.hears_nothing().await;
}

/// No Matching Subscribers in PUBACK and PUBREC, or plain success: the server may leave it out.
///
/// 5.0: MQTT-3.4.2-1, MQTT-3.5.2-1.
async fn a_message_that_nobody_wants_is_acknowledged_as_such(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect("client").await;
    let fits = [code::SUCCESS, code::NO_MATCHING_SUBSCRIBERS];
    client.send(Publish::new(scene.version, &topic, "").qos(1, 1).bytes()).await;
    assert!(fits.contains(&client.ack(first_byte::PUBACK, 1).await.code));
    client.send(Publish::new(scene.version, &topic, "").qos(2, 2).bytes()).await;
    assert!(fits.contains(&client.ack(first_byte::PUBREC, 2).await.code));
}

/// PUBREL and PUBREC for what was never begun.
///
/// 5.0: MQTT-3.6.2-1, MQTT-3.7.2-1, MQTT-4.3.3-11.
async fn an_unknown_identifier_is_answered_as_such(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(ack(first_byte::PUBREL, 77)).await;
    assert_eq!(client.ack(first_byte::PUBCOMP, 77).await.code, code::PACKET_IDENTIFIER_NOT_FOUND);
    client.send(ack(first_byte::PUBREC, 78)).await;
    assert_eq!(client.ack(first_byte::PUBREL, 78).await.code, code::PACKET_IDENTIFIER_NOT_FOUND);
}
