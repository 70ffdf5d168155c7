use rivulet_protocol::packet::{Publish, PublishTopic};
use rivulet_protocol::{MessageProperties, Packet, PacketQos, QoS, ReasonCode, SubscriptionId, TopicAlias};

use crate::testing::*;
use crate::{CloseCause, Violation};

#[test]
fn a_message_reaches_its_subscriber_at_the_lower_of_both_levels() {
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for published in levels {
        for subscribed in levels {
            let mut driver = Driver::new();
            let subscriber = driver.join("sub");
            let publisher = driver.join("pub");
            driver.subscribe(subscriber, "t", subscribed);
            let qos = match published {
                QoS::AtMostOnce => PacketQos::AtMostOnce,
                QoS::AtLeastOnce => PacketQos::AtLeastOnce(id(7)),
                QoS::ExactlyOnce => PacketQos::ExactlyOnce(id(7)),
            };
            driver.send(publisher, Packet::Publish(publish_packet("t", "x", qos)));
            let delivery = driver.delivery(subscriber);
            assert_eq!(delivery.qos.qos(), published.min(subscribed));
            assert_eq!(text(&delivery), "x");
            assert!(!delivery.dup && !delivery.retain);
            driver.assert_silent(subscriber);
        }
    }
}

/// [MQTT-4.3.3-10].
#[test]
fn a_repeated_qos_2_publish_is_acknowledged_again_and_delivered_once() {
    let mut driver = Driver::new();
    let subscriber = driver.join("sub");
    let publisher = driver.join("pub");
    driver.subscribe(subscriber, "t", QoS::AtMostOnce);
    for _ in 0..2 {
        driver.send(publisher, publish2(7, "t", "x"));
        assert_eq!(ack_of(&driver.packet(publisher)), (id(7), ReasonCode::Success));
    }
    assert_eq!(driver.payloads(subscriber), ["x"]);
    driver.send(publisher, Packet::PubRel(success(7)));
    assert_eq!(driver.packet(publisher), Packet::PubComp(success(7)));
    driver.send(publisher, publish2(7, "t", "y"));
    assert_eq!(driver.payloads(subscriber), ["y"]);
}

/// 3.4.2.1.
#[test]
fn a_message_that_nobody_wants_is_acknowledged_with_that_reason() {
    let mut driver = Driver::new();
    let publisher = driver.join("pub");
    driver.send(publisher, publish1(7, "t", "x"));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(7), ReasonCode::NoMatchingSubscribers));
    driver.send(publisher, publish2(8, "t", "x"));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(8), ReasonCode::NoMatchingSubscribers));
}

#[test]
fn a_message_that_may_not_be_published_is_refused_and_reaches_nobody() {
    let mut driver = Driver::new();
    let subscriber = driver.join("sub");
    let publisher = driver.join("pub");
    driver.subscribe(subscriber, "$any/+", QoS::AtMostOnce);
    driver.send(publisher, publish1(7, "$any/t", "x"));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(7), ReasonCode::NotAuthorized));
    driver.send(publisher, publish2(8, "$any/t", "x"));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(8), ReasonCode::NotAuthorized));
    driver.send(publisher, publish0("$any/t", "x"));
    driver.assert_silent(publisher);
    driver.assert_silent(subscriber);
}

/// [MQTT-3.3.4-7].
#[test]
fn one_qos_2_publish_more_than_the_receive_maximum_ends_the_connection() {
    let mut driver = Driver::with(Limits { receive_maximum: 2, ..Limits::default() });
    let publisher = driver.join("pub");
    driver.send(publisher, publish2(1, "t", "x"));
    driver.send(publisher, publish2(2, "t", "x"));
    driver.send(publisher, publish2(2, "t", "x"));
    assert!(driver.closed.is_empty(), "a repetition is no further publish");
    driver.send(publisher, publish2(3, "t", "x"));
    let violation = Violation::ReceiveMaximum { unacknowledged: 3, max: 2 };
    assert_eq!(driver.closed[&publisher], CloseCause::Violation(violation));
}

/// [MQTT-3.3.4-7]: an acknowledgement that waits for the disk has not reached the client.
#[test]
fn publishes_whose_acknowledgement_waits_for_the_disk_count_against_the_receive_maximum() {
    let mut driver = Driver::with(Limits { receive_maximum: 2, ..Limits::default() });
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::AtLeastOnce);
    let publisher = driver.join("pub");
    driver.stall_disk();
    driver.send(publisher, publish1(1, "t", "x"));
    driver.send(publisher, publish1(2, "t", "x"));
    driver.assert_silent(publisher);
    driver.resume_disk();
    assert_eq!(driver.packet(publisher), Packet::PubAck(success(1)));
    assert_eq!(driver.packet(publisher), Packet::PubAck(success(2)));
    driver.stall_disk();
    for number in 3..=5 {
        driver.send(publisher, publish1(number, "t", "x"));
    }
    driver.resume_disk();
    let violation = Violation::ReceiveMaximum { unacknowledged: 3, max: 2 };
    assert_eq!(driver.closed[&publisher], CloseCause::Violation(violation));
}

/// [MQTT-3.3.4-6].
#[test]
fn a_subscription_identifier_from_a_client_ends_the_connection() {
    let mut driver = Driver::new();
    let publisher = driver.join("pub");
    let mut publish = publish_packet("t", "x", PacketQos::AtMostOnce);
    publish.subscription_ids = vec![SubscriptionId::new(1).unwrap()];
    driver.send(publisher, Packet::Publish(publish));
    assert_eq!(driver.farewell(publisher), ReasonCode::ProtocolError);
}

/// 3.3.2.3.4.
#[test]
fn an_alias_of_the_publisher_is_a_topic_name_to_subscribers() {
    let mut driver = Driver::new();
    let subscriber = driver.join("sub");
    let publisher = driver.join("pub");
    driver.subscribe(subscriber, "t", QoS::AtMostOnce);
    let alias = TopicAlias::new(3).unwrap();
    let named = publish_packet("t", "1", PacketQos::AtMostOnce);
    let PublishTopic::Name(topic) = named.topic.clone() else { unreachable!() };
    driver.send(
        publisher,
        Packet::Publish(Publish { topic: PublishTopic::Define(topic, alias), ..named.clone() }),
    );
    driver.send(publisher, Packet::Publish(Publish { topic: PublishTopic::Alias(alias), ..named }));
    for _ in 0..2 {
        let delivery = driver.delivery(subscriber);
        assert_eq!(delivery.message.topic.as_str(), "t");
        assert_eq!(delivery.topic_alias, None);
    }
}

/// 3.3.2.3.2.
#[test]
fn a_payload_that_says_it_is_text_and_is_not_is_refused() {
    let mut driver = Driver::new();
    let publisher = driver.join("pub");
    let mut publish = publish_packet("t", "x", PacketQos::AtLeastOnce(id(7)));
    publish.payload = bytes::Bytes::from_static(b"\xff");
    let payload_format = Some(rivulet_protocol::message::PayloadFormat::Utf8);
    publish.properties = MessageProperties { payload_format, ..MessageProperties::default() };
    driver.send(publisher, Packet::Publish(publish));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(7), ReasonCode::PayloadFormatInvalid));
}

#[test]
fn a_topic_of_more_levels_than_the_limit_is_refused() {
    let mut driver = Driver::with(Limits { topic_levels_max: 2, ..Limits::default() });
    let publisher = driver.join("pub");
    driver.send(publisher, publish1(1, "a/b", "x"));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(1), ReasonCode::NoMatchingSubscribers));
    driver.send(publisher, publish1(2, "a/b/c", "x"));
    assert_eq!(ack_of(&driver.packet(publisher)), (id(2), ReasonCode::TopicNameInvalid));
}
