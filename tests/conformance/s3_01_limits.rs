//! Sections 3.1.2.10 and 3.1.2.11: keep alive, and what a client asks of the server in CONNECT.

use crate::bytes::{
    Bytes, Connect, PINGREQ, Publish, ack, code, first_byte, property, subscribe, unsubscribe,
};
use crate::packet::Packet;
use crate::scene::Scene;

conformance_tests! { v5:
    what_is_too_large_for_the_client_counts_as_delivered,
    no_answer_is_larger_than_the_client_takes,
    without_a_topic_alias_maximum_no_alias_is_sent,
    aliases_stay_within_the_client_s_maximum,
    response_information_is_for_those_who_asked,
    without_problem_information_answers_have_no_reason_string,
}

conformance_tests! { both together:
    silence_for_one_and_a_half_keep_alive_periods_closes,
    any_packet_keeps_the_connection_alive,
    without_keep_alive_silence_is_no_reason_to_close,
}

/// CONNACK can be as small as this: fixed header, flags, code and an empty property length.
fn maximum_packet_size(connect: Connect, bytes: u32) -> Connect {
    connect.property(Bytes::new().u8(property::MAXIMUM_PACKET_SIZE).u32(bytes))
}

/// A keep alive of one second: not before one and a half, and not much later. The will shows that it was as if the
/// network had failed.
///
/// 5.0: MQTT-3.1.2-22, MQTT-3.2.2-22.
/// 3.1.1: MQTT-3.1.2-24.
async fn silence_for_one_and_a_half_keep_alive_periods_closes(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = scene.connect("watcher").await;
    watcher.subscribe(&topic, 0).await;
    let before = tokio::time::Instant::now();
    let (mut client, _) = scene.connect_as(&scene.hello("client").keep_alive(1).will(&topic, "silent")).await;
    client.closed_with(code::KEEP_ALIVE_TIMEOUT).await;
    assert!(before.elapsed().as_millis() >= 1500, "closed after {:?}", before.elapsed());
    assert_eq!(watcher.publish().await.payload, b"silent");
}

/// Packets of any type count, and so each begins the period anew.
///
/// 5.0: MQTT-3.1.2-22, MQTT-3.12.4-1.
/// 3.1.1: MQTT-3.1.2-24, MQTT-3.12.4-1.
async fn any_packet_keeps_the_connection_alive(scene: Scene) {
    let topic = scene.topic("a");
    let packets = [PINGREQ.to_vec(), Publish::new(scene.version, &topic, "").bytes(), PINGREQ.to_vec()];
    let (mut client, _) = scene.connect_as(&scene.hello("client").keep_alive(1)).await;
    for packet in packets {
        tokio::time::sleep(std::time::Duration::from_millis(900)).await; // within the period, again and again
        client.send(packet).await;
    }
    assert_eq!(client.next().await, Packet::PingResp);
    assert_eq!(client.next().await, Packet::PingResp);
}

/// Keep alive 0 turns it off.
///
/// 5.0: MQTT-3.1.2-22, MQTT-3.12.4-1.
/// 3.1.1: MQTT-3.1.2-24, MQTT-3.12.4-1.
async fn without_keep_alive_silence_is_no_reason_to_close(scene: Scene) {
    let mut client = scene.connect("client").await;
    tokio::time::sleep(std::time::Duration::from_millis(2000)).await; // longer than any period of these tests
    assert!(client.ping().await.is_empty());
}

/// The large one is dropped, and the small one behind it comes, with a receive maximum of one.
///
/// 5.0: MQTT-3.1.2-24, MQTT-3.1.2-25.
async fn what_is_too_large_for_the_client_counts_as_delivered(scene: Scene) {
    let topic = scene.topic("a");
    let connect = maximum_packet_size(scene.hello("client"), 100)
        .property(Bytes::new().u8(property::RECEIVE_MAXIMUM).u16(1));
    let (mut client, _) = scene.connect_as(&connect).await;
    client.subscribe(&topic, 2).await;
    let mut publisher = scene.connect("publisher").await;
    for qos in [0, 1, 2] {
        let large = Publish::new(scene.version, &topic, "large".repeat(20)).qos(qos, 1);
        publisher.deliver(&large).await;
        publisher.deliver(&Publish::new(scene.version, &topic, "small").qos(qos, 2)).await;
        assert_eq!(client.accept().await.payload, b"small");
    }
}

/// Answers, too: what makes them larger is left out.
///
/// 5.0: MQTT-3.1.2-24, MQTT-3.2.2-19, MQTT-3.2.2-20, MQTT-3.4.2-2, MQTT-3.4.2-3, MQTT-3.5.2-2, MQTT-3.5.2-3.
/// 5.0: MQTT-3.6.2-2, MQTT-3.6.2-3, MQTT-3.7.2-2, MQTT-3.7.2-3, MQTT-3.9.2-1, MQTT-3.9.2-2, MQTT-3.11.2-1.
/// 5.0: MQTT-3.11.2-2, MQTT-3.14.2-3, MQTT-3.14.2-4.
async fn no_answer_is_larger_than_the_client_takes(scene: Scene) {
    const BYTES_MAX: usize = 40;
    let topic = scene.topic("a");
    let connect = maximum_packet_size(scene.hello("client"), BYTES_MAX as u32);
    let (mut client, _) = scene.connect_as(&connect).await;
    assert!(client.largest() <= BYTES_MAX, "CONNACK has {} bytes", client.largest());
    // Answers that have a reason to give: nobody listens, nothing is known by this identifier, no filter was there, a
    // filter is wrong, and a rule is broken.
    client.send(Publish::new(scene.version, &topic, "").qos(1, 1).bytes()).await;
    client.ack(first_byte::PUBACK, 1).await;
    client.send(Publish::new(scene.version, &topic, "").qos(2, 2).bytes()).await;
    client.ack(first_byte::PUBREC, 2).await;
    client.send(ack(first_byte::PUBREL, 77)).await;
    client.ack(first_byte::PUBCOMP, 77).await;
    client.send(ack(first_byte::PUBREC, 78)).await;
    client.ack(first_byte::PUBREL, 78).await;
    client.send(unsubscribe(scene.version, 3, &[&topic])).await;
    client.unsuback(3).await;
    client.send(subscribe(scene.version, 4, &[("$share/group/a", 0)])).await;
    client.suback(4).await;
    client.send(scene.hello("client").bytes()).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
    assert!(client.largest() <= BYTES_MAX, "an answer has {} bytes", client.largest());
}

/// None in CONNECT, and none for zero.
///
/// 5.0: MQTT-3.1.2-27.
async fn without_a_topic_alias_maximum_no_alias_is_sent(scene: Scene) {
    let zero = Bytes::new().u8(property::TOPIC_ALIAS_MAXIMUM).u16(0);
    for connect in [scene.hello("absent"), scene.hello("zero").property(zero)] {
        let topic = scene.topic("a");
        let (mut client, _) = scene.connect_as(&connect).await;
        client.subscribe(&topic, 0).await;
        for _ in 0..3 {
            client.send(Publish::new(scene.version, &topic, "").bytes()).await;
            let publish = client.publish().await;
            assert_eq!(
                (publish.topic, publish.properties.number(property::TOPIC_ALIAS)),
                (topic.clone(), None)
            );
        }
    }
}

/// Five topics, two aliases: what comes by alias is what the alias stands for.
///
/// 5.0: MQTT-3.1.2-26, MQTT-3.3.2-11, MQTT-3.3.2-8.
async fn aliases_stay_within_the_client_s_maximum(scene: Scene) {
    const ALIASES: u16 = 2;
    let allowed = Bytes::new().u8(property::TOPIC_ALIAS_MAXIMUM).u16(ALIASES);
    let (mut client, _) = scene.connect_as(&scene.hello("client").property(allowed)).await;
    client.subscribe(&scene.topic("#"), 0).await;
    let mut known = vec![String::new(); usize::from(ALIASES) + 1];
    for round in 0..3 {
        for number in 0..5 {
            let topic = scene.topic(&number.to_string());
            client.send(Publish::new(scene.version, &topic, round.to_string()).bytes()).await;
            let publish = client.publish().await;
            let Some(alias) = publish.properties.number(property::TOPIC_ALIAS) else {
                assert_eq!(publish.topic, topic);
                continue;
            };
            assert!(alias <= ALIASES.into(), "alias {alias}");
            if !publish.topic.is_empty() {
                known[alias as usize] = publish.topic;
            }
            assert_eq!(known[alias as usize], topic);
        }
    }
}

/// Neither by default nor for zero; this broker has some for a client that asks.
///
/// 5.0: MQTT-3.1.2-28.
async fn response_information_is_for_those_who_asked(scene: Scene) {
    let request = |value| Bytes::new().u8(property::REQUEST_RESPONSE_INFORMATION).u8(value);
    for (connect, asked) in [
        (scene.hello("absent"), false),
        (scene.hello("zero").property(request(0)), false),
        (scene.hello("one").property(request(1)), true),
    ] {
        let (_, connack) = scene.connect_as(&connect).await;
        assert_eq!(connack.properties.has(property::RESPONSE_INFORMATION), asked);
    }
}

/// Answers that would have something to explain, and do not. User properties of messages are no answers: they go on.
///
/// 5.0: MQTT-3.1.2-29.
async fn without_problem_information_answers_have_no_reason_string(scene: Scene) {
    let topic = scene.topic("a");
    let none = Bytes::new().u8(property::REQUEST_PROBLEM_INFORMATION).u8(0);
    let (mut client, _) = scene.connect_as(&scene.hello("client").property(none)).await;
    let silent = |properties: &crate::packet::Properties| {
        assert!(!properties.has(property::REASON_STRING) && properties.user().is_empty(), "{properties:?}");
    };
    client.send(Publish::new(scene.version, &topic, "").qos(1, 1).bytes()).await;
    silent(&client.ack(first_byte::PUBACK, 1).await.properties);
    client.send(Publish::new(scene.version, &topic, "").qos(2, 2).bytes()).await;
    silent(&client.ack(first_byte::PUBREC, 2).await.properties);
    client.send(ack(first_byte::PUBREL, 77)).await;
    silent(&client.ack(first_byte::PUBCOMP, 77).await.properties);
    client.send(unsubscribe(scene.version, 3, &[&topic])).await;
    silent(&client.unsuback(3).await.properties);
    client.send(subscribe(scene.version, 4, &[(&topic, 0)])).await;
    silent(&client.suback(4).await.properties);

    let user = Bytes::new().u8(property::USER_PROPERTY).pair("name", "value");
    client.send(Publish::new(scene.version, &topic, "").property(user).bytes()).await;
    assert_eq!(client.publish().await.properties.user(), [("name", "value")]);
}
