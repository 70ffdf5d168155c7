use std::time::Duration;

use rivulet_protocol::packet::Connect;
use rivulet_protocol::{Packet, PacketQos, QoS, ReasonCode};

use crate::testing::*;
use crate::{ConnectionKey, Event};

/// A subscriber to `t` at QoS 2 whose session stays, and a publisher whose session stays.
fn scene() -> (Driver, ConnectionKey, ConnectionKey) {
    let mut driver = Driver::new();
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    let (publisher, _) = driver.join_for_long("pub");
    (driver, subscriber, publisher)
}

#[test]
fn what_was_acknowledged_is_delivered_after_a_restart() {
    let (mut driver, subscriber, publisher) = scene();
    driver.send(subscriber, disconnect(ReasonCode::Success));
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, publish2(2, "t", "b"));
    let mut driver = driver.restart(Limits::default());
    let (subscriber, connack) = driver.join_for_long("sub");
    assert!(connack.session_present);
    assert_eq!(driver.payloads(subscriber), ["a", "b"]);
    let (publisher, _) = driver.join_for_long("pub");
    driver.send(publisher, publish1(3, "t", "c"));
    assert_eq!(driver.payloads(subscriber), ["c"], "the subscription is there too");
}

/// 4.3.3, [MQTT-4.4.0-1].
#[test]
fn exchanges_go_on_after_a_restart_where_they_were() {
    let (mut driver, subscriber, publisher) = scene();
    for number in 1..=3 {
        driver.send(publisher, publish2(number, "t", &number.to_string()));
    }
    driver.send(subscriber, Packet::PubRec(success(1)));
    driver.send(subscriber, Packet::PubRec(success(3)));
    driver.send(subscriber, Packet::PubComp(success(3)));
    let mut driver = driver.restart(Limits::default());
    let (subscriber, _) = driver.join_for_long("sub");
    assert_eq!(driver.packet(subscriber), Packet::PubRel(success(1)));
    let again = driver.delivery(subscriber);
    assert_eq!((again.qos, again.dup), (PacketQos::ExactlyOnce(id(2)), true));
    driver.assert_silent(subscriber);
    let (publisher, _) = driver.join_for_long("pub");
    driver.send(publisher, publish2(3, "t", "3"));
    assert_eq!(driver.packet(publisher), Packet::PubRec(success(3)));
    driver.assert_silent(subscriber);
}

#[test]
fn a_session_expires_over_a_restart_as_without_one() {
    let (mut driver, subscriber, _) = scene();
    driver.send(subscriber, disconnect(ReasonCode::Success));
    driver.pass(Duration::from_secs(3000));
    let mut driver = driver.restart(Limits::default());
    driver.pass(Duration::from_secs(599));
    let expired =
        |driver: &Driver| driver.events.iter().any(|event| matches!(event, Event::SessionExpired { .. }));
    assert!(!expired(&driver));
    driver.pass(Duration::from_secs(1));
    assert!(expired(&driver));
    let (_, connack) = driver.join_for_long("sub");
    assert!(!connack.session_present);
}

/// 3.1.2.5: a server may put wills off until it is back.
#[test]
fn the_will_of_a_client_that_was_connected_is_published_after_the_restart() {
    let (mut driver, _, _) = scene();
    driver.join_as(Connect { will: will("t", 10), ..connect_for_long("ann") });
    let mut driver = driver.restart(Limits::default());
    let (subscriber, _) = driver.join_for_long("sub");
    driver.pass(Duration::from_secs(9));
    driver.assert_silent(subscriber);
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.payloads(subscriber), ["will"]);
}

#[test]
fn retained_messages_are_there_after_a_restart_and_cleared_ones_are_not() {
    let (mut driver, _, publisher) = scene();
    driver.send(publisher, retained("kept", "1"));
    driver.send(publisher, retained("kept", "2"));
    driver.send(publisher, retained("gone", "1"));
    driver.send(publisher, retained("gone", ""));
    let mut driver = driver.restart(Limits::default());
    let connection = driver.join("ann");
    driver.subscribe(connection, "+", QoS::AtMostOnce);
    assert_eq!(driver.payloads(connection), ["2"]);
}

#[test]
fn a_lifetime_goes_on_over_a_restart() {
    let (mut driver, subscriber, publisher) = scene();
    driver.send(subscriber, disconnect(ReasonCode::Success));
    let mut publish = publish_packet("t", "x", PacketQos::AtLeastOnce(id(1)));
    publish.properties.message_expiry_secs = Some(60);
    driver.send(publisher, Packet::Publish(publish));
    driver.pass(Duration::from_secs(20));
    let mut driver = driver.restart(Limits::default());
    let (subscriber, _) = driver.join_for_long("sub");
    assert_eq!(driver.delivery(subscriber).message_expiry_secs, Some(40));
}

#[test]
fn nothing_of_sessions_without_a_future_is_stored() {
    let mut driver = Driver::new();
    let (kept, _) = driver.join_for_long("ann");
    driver.subscribe(kept, "t", QoS::AtLeastOnce);
    driver.send(kept, publish1(1, "t", "x"));
    assert_eq!(driver.stored.messages.len(), 1);
    driver.join_as(Connect { clean_start: false, ..connect("ann") });
    assert_eq!(driver.stored, Default::default(), "its session ends with this connection");
}

#[test]
fn a_will_reaches_those_whose_sessions_are_younger() {
    let mut driver = Driver::new();
    driver.join_as(Connect { will: will("t", 0), ..connect_for_long("ann") });
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::AtLeastOnce);
    let mut driver = driver.restart(Limits::default());
    let (subscriber, _) = driver.join_for_long("sub");
    assert_eq!(driver.payloads(subscriber), ["will"]);
}
