use rivulet_protocol::message::OutboundAlias;
use rivulet_protocol::packet::Connect;
use rivulet_protocol::{Packet, PacketQos, QoS, ReasonCode, Topic, TopicAlias, TopicFilter};

use crate::access::{Permissions, Verdict};
use crate::cause::{NetworkLoss, Overload};
use crate::event::DropReason;
use crate::limits::OnFullQueue;
use crate::testing::*;
use crate::{CloseCause, ConnectionKey, Event, FlowKey, Input, Timer};

fn lose(driver: &mut Driver, connection: ConnectionKey) {
    driver.handle(Input::ConnectionLost { connection, loss: NetworkLoss::TimedOut });
}

fn drops(driver: &mut Driver) -> Vec<DropReason> {
    let dropped = driver.events.drain(..).filter_map(|event| match event {
        Event::MessageDropped { reason, .. } => Some(reason),
        _ => None,
    });
    dropped.collect()
}

/// A client that subscribed to `t` at QoS 2, has a session for an hour, and left; and a publisher.
fn absent(limits: Limits) -> (Driver, ConnectionKey) {
    let mut driver = Driver::with(limits);
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    driver.send(subscriber, disconnect(ReasonCode::Success));
    let publisher = driver.join("pub");
    (driver, publisher)
}

/// [MQTT-4.4.0-1], [MQTT-4.6.0-1].
#[test]
fn what_was_not_acknowledged_is_sent_again_in_order_with_its_identifier_and_dup() {
    let mut driver = Driver::new();
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    let publisher = driver.join("pub");
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, publish2(2, "t", "b"));
    driver.send(publisher, publish1(3, "t", "c"));
    for _ in 0..3 {
        assert!(!driver.delivery(subscriber).dup);
    }
    driver.send(subscriber, Packet::PubRec(success(2)));
    driver.packet(subscriber);
    driver.send(subscriber, Packet::PubAck(success(3)));
    lose(&mut driver, subscriber);
    driver.send(publisher, publish1(4, "t", "d"));
    let (subscriber, connack) = driver.join_for_long("sub");
    assert!(connack.session_present);
    let first = driver.delivery(subscriber);
    assert_eq!((text(&first).as_str(), first.qos, first.dup), ("a", PacketQos::AtLeastOnce(id(1)), true));
    assert_eq!(driver.packet(subscriber), Packet::PubRel(success(2)));
    let last = driver.delivery(subscriber);
    assert_eq!((text(&last).as_str(), last.qos, last.dup), ("d", PacketQos::AtLeastOnce(id(4)), false));
    driver.assert_silent(subscriber);
}

/// 4.9: a resent PUBLISH takes a place, a resent PUBREL does not.
#[test]
fn a_resend_keeps_to_the_receive_maximum_of_the_new_connection() {
    let mut driver = Driver::new();
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    let publisher = driver.join("pub");
    for number in 1..=3 {
        driver.send(publisher, publish2(number, "t", &number.to_string()));
    }
    driver.send(subscriber, Packet::PubRec(success(1)));
    lose(&mut driver, subscriber);
    let mut connect = connect_for_long("sub");
    connect.properties.receive_maximum = Some(1);
    let (subscriber, _) = driver.join_as(connect);
    assert_eq!(driver.packet(subscriber), Packet::PubRel(success(1)));
    assert_eq!(text(&driver.delivery(subscriber)), "2");
    driver.assert_silent(subscriber);
    driver.send(subscriber, Packet::PubComp(success(1)));
    driver.assert_silent(subscriber);
    driver.send(subscriber, Packet::PubRec(success(2)));
    driver.packet(subscriber);
    driver.send(subscriber, Packet::PubComp(success(2)));
    assert_eq!(text(&driver.delivery(subscriber)), "3");
}

/// 4.1.
#[test]
fn only_qos_1_and_2_wait_for_an_absent_client() {
    let (mut driver, publisher) = absent(Limits::default());
    driver.send(publisher, publish0("t", "0"));
    driver.send(publisher, publish1(1, "t", "1"));
    driver.send(publisher, publish2(2, "t", "2"));
    assert_eq!(drops(&mut driver), [DropReason::Away]);
    let (subscriber, _) = driver.join_for_long("sub");
    assert_eq!(driver.payloads(subscriber), ["1", "2"]);
}

#[test]
fn a_full_queue_follows_the_policy_of_the_limits() {
    let cases = [(OnFullQueue::DropOldest, ["2", "3"]), (OnFullQueue::DropNewest, ["1", "2"])];
    for (on_full_queue, expected) in cases {
        let (mut driver, publisher) =
            absent(Limits { queue_messages_max: 2, on_full_queue, ..Limits::default() });
        for number in 1..=3 {
            driver.send(publisher, publish1(number, "t", &number.to_string()));
        }
        assert_eq!(drops(&mut driver), [DropReason::QueueFull]);
        let (subscriber, _) = driver.join_for_long("sub");
        assert_eq!(driver.payloads(subscriber), expected);
    }
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let (mut driver, publisher) = absent(Limits { queue_bytes_max: 10, ..Limits::default() });
    driver.send(publisher, publish1(1, "t", "1234"));
    driver.send(publisher, publish1(2, "t", "5678"));
    assert_eq!(drops(&mut driver), []);
    driver.send(publisher, publish1(3, "t", "9"));
    driver.send(publisher, publish1(4, "t", "more than all"));
    assert_eq!(drops(&mut driver), [DropReason::QueueFull; 2]);
}

/// A client that does not read, with room for a CONNACK, a SUBACK and nothing else.
fn slow(limits: Limits) -> (Driver, ConnectionKey, ConnectionKey) {
    let mut driver = Driver::with(limits);
    let subscriber = driver.open_with_credit(3);
    driver.send(subscriber, Packet::Connect(Box::new(connect("slow"))));
    driver.connack(subscriber);
    driver.subscribe(subscriber, "t", QoS::AtLeastOnce);
    let publisher = driver.join("pub");
    (driver, subscriber, publisher)
}

#[test]
fn deliveries_wait_for_credit_and_qos_0_is_dropped_when_the_queue_is_full() {
    let (mut driver, subscriber, publisher) = slow(Limits { queue_messages_max: 2, ..Limits::default() });
    for payload in ["1", "2", "3"] {
        driver.send(publisher, publish0("t", payload));
    }
    driver.assert_silent(subscriber);
    assert_eq!(drops(&mut driver), [DropReason::QueueFull]);
    driver.handle(Input::Credit { connection: subscriber, flow: FlowKey::CONTROL, packets: 1 });
    assert_eq!(driver.payloads(subscriber), ["1"]);
    driver.handle(Input::Credit { connection: subscriber, flow: FlowKey::CONTROL, packets: 5 });
    assert_eq!(driver.payloads(subscriber), ["2"]);
}

#[test]
fn a_slow_client_is_disconnected_where_the_limits_say_so() {
    let limits =
        Limits { queue_messages_max: 1, on_full_queue: OnFullQueue::Disconnect, ..Limits::default() };
    let (mut driver, subscriber, publisher) = slow(limits);
    driver.send(publisher, publish1(1, "t", "1"));
    driver.send(publisher, publish1(2, "t", "2"));
    assert_eq!(driver.farewell(subscriber), ReasonCode::QuotaExceeded);
    assert_eq!(driver.closed[&subscriber], CloseCause::Overload(Overload::Queue { messages: 1 }));
}

#[test]
fn a_publish_to_many_does_not_keep_others_waiting() {
    let mut driver = Driver::with(Limits { deliveries_per_step: 2, ..Limits::default() });
    let subscribers: Vec<_> = (0..5).map(|number| driver.join(&format!("sub-{number}"))).collect();
    for subscriber in &subscribers {
        driver.subscribe(*subscriber, "t", QoS::AtMostOnce);
    }
    let publisher = driver.join("pub");
    let now = driver.now;
    let input = |packet| Input::PacketReceived { connection: publisher, flow: FlowKey::CONTROL, packet };
    driver.broker.handle(now, input(publish0("t", "x")));
    driver.broker.check();
    assert_eq!(driver.broker.poll_timeout(), Some((now.instant, Timer::Deliveries)));
    driver.handle(input(Packet::PingReq));
    assert_eq!(driver.packet(publisher), Packet::PingResp);
    for subscriber in subscribers {
        assert_eq!(driver.payloads(subscriber), ["x"]);
    }
    assert_eq!(driver.broker.poll_timeout(), None);
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6].
#[test]
fn a_lifetime_is_counted_down_while_a_message_waits_and_ends_it() {
    let (mut driver, publisher) = absent(Limits::default());
    for (number, secs) in [(1, 10), (2, 60)] {
        let mut publish = publish_packet("t", &secs.to_string(), PacketQos::AtLeastOnce(id(number)));
        publish.properties.message_expiry_secs = Some(secs);
        driver.send(publisher, Packet::Publish(publish));
    }
    driver.pass(std::time::Duration::from_secs(10));
    driver.events.clear();
    let (subscriber, _) = driver.join_for_long("sub");
    let delivery = driver.delivery(subscriber);
    assert_eq!((text(&delivery).as_str(), delivery.message_expiry_secs), ("60", Some(50)));
    driver.assert_silent(subscriber);
    assert_eq!(drops(&mut driver), [DropReason::Expired]);
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25].
#[test]
fn a_message_that_is_too_large_for_its_subscriber_is_dropped_as_if_it_were_delivered() {
    let mut driver = Driver::new();
    let mut connect: Connect = connect_for_long("sub");
    connect.properties.maximum_packet_bytes = Some(20);
    let (subscriber, _) = driver.join_as(connect);
    driver.subscribe(subscriber, "t", QoS::AtLeastOnce);
    let publisher = driver.join("pub");
    // Fixed header 2, topic 3, identifier 2, property length 1: 12 bytes of payload are what fits.
    driver.send(publisher, publish1(1, "t", "123456789012"));
    driver.send(publisher, publish1(2, "t", "1234567890123"));
    assert_eq!(driver.payloads(subscriber), ["123456789012"]);
    assert_eq!(drops(&mut driver), [DropReason::TooLarge]);
    let stored = driver.stored.sessions.values().next().unwrap();
    assert_eq!(stored.deliveries.len(), 1, "the store forgets what was dropped");
}

/// [MQTT-3.3.2-8], 3.1.2.11.5.
#[test]
fn topics_are_replaced_by_as_many_aliases_as_the_client_allows() {
    let mut driver = Driver::new();
    let mut connect = connect("sub");
    connect.properties.topic_alias_maximum = Some(1);
    let (subscriber, _) = driver.join_as(connect);
    driver.subscribe(subscriber, "#", QoS::AtMostOnce);
    let publisher = driver.join("pub");
    for topic in ["a", "a", "b"] {
        driver.send(publisher, publish0(topic, "x"));
    }
    let alias = TopicAlias::new(1).unwrap();
    let expected = [Some(OutboundAlias::Define(alias)), Some(OutboundAlias::Use(alias)), None];
    for topic_alias in expected {
        assert_eq!(driver.delivery(subscriber).topic_alias, topic_alias);
    }
}

#[derive(Debug)]
struct NotSecret;

impl Permissions for NotSecret {
    fn may_publish(&self, _topic: &Topic, _qos: QoS, _retain: bool) -> bool {
        true
    }

    fn may_subscribe(&self, _filter: &TopicFilter) -> bool {
        true
    }

    fn may_receive(&self, topic: &Topic) -> bool {
        topic.as_str() != "secret"
    }
}

#[test]
fn a_wildcard_does_not_reach_further_than_the_permission() {
    let mut driver = Driver::new();
    driver.verdict =
        || Some(Verdict::Accepted { permissions: std::sync::Arc::new(NotSecret), expires: None, data: None });
    let connection = driver.join("ann");
    driver.subscribe(connection, "#", QoS::AtMostOnce);
    driver.send(connection, publish0("secret", "x"));
    driver.send(connection, publish0("open", "y"));
    assert_eq!(driver.payloads(connection), ["y"]);
    assert_eq!(drops(&mut driver), [DropReason::NotPermitted]);
}
