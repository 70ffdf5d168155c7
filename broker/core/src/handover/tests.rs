use std::time::Duration;

use rivulet_protocol::packet::{Ack, Connect, Unsubscribe};
use rivulet_protocol::{Packet, QoS, ReasonCode, TopicFilter};

use crate::testing::*;
use crate::{ConnectionKey, Input, Limits, cause::NetworkLoss};

const GROUP: &str = "$share/g/t";
const HOUR: Duration = Duration::from_secs(3600);

/// A member that takes one message at a time, so that the rest waits.
fn narrow(connect: Connect) -> Connect {
    let mut connect = connect;
    connect.properties.receive_maximum = Some(1);
    connect
}

fn member(driver: &mut Driver, connect: Connect, qos: QoS) -> ConnectionKey {
    let (connection, _) = driver.join_as(connect);
    driver.subscribe(connection, GROUP, qos);
    connection
}

/// A member that was sent `1` and has `2` and `3` waiting, then one that joins, and a publisher.
fn scene(leaver: Connect, qos: QoS) -> (Driver, ConnectionKey, ConnectionKey) {
    let mut driver = Driver::new();
    let leaver = member(&mut driver, narrow(leaver), qos);
    let publisher = driver.join("pub");
    for number in 1..=3 {
        driver.send(publisher, publish2(number, "t", &number.to_string()));
    }
    assert_eq!(driver.payloads(leaver), ["1"]);
    let heir = member(&mut driver, connect("heir"), qos);
    (driver, leaver, heir)
}

fn lose(driver: &mut Driver, connection: ConnectionKey) {
    driver.handle(Input::ConnectionLost { connection, loss: NetworkLoss::TimedOut });
}

fn leave_group(driver: &mut Driver, connection: ConnectionKey) {
    let filters = vec![TopicFilter::parse(GROUP.to_owned()).unwrap()];
    let unsubscribe = Unsubscribe { packet_id: id(2), user_properties: Default::default(), filters };
    driver.send(connection, Packet::Unsubscribe(unsubscribe));
    assert!(matches!(driver.packet(connection), Packet::UnsubAck(_)));
}

/// 4.8.2.
#[test]
fn a_session_that_ends_leaves_what_it_has_not_acknowledged_to_another_member_in_order() {
    let (mut driver, leaver, heir) = scene(connect("leaver"), QoS::AtLeastOnce);
    lose(&mut driver, leaver);
    assert_eq!(driver.payloads(heir), ["1", "2", "3"]);
}

/// [MQTT-4.8.2-5].
#[test]
fn a_qos_2_message_that_was_sent_is_sent_to_no_other_member() {
    let (mut driver, leaver, heir) = scene(connect("leaver"), QoS::ExactlyOnce);
    lose(&mut driver, leaver);
    let sent = driver.delivery(heir);
    assert_eq!((text(&sent), sent.dup), ("2".to_owned(), false));
    assert_eq!(driver.payloads(heir), ["3"]);
}

/// [MQTT-4.8.2-4].
#[test]
fn an_absent_member_leaves_what_was_not_sent_and_completes_what_was() {
    let (mut driver, leaver, heir) = scene(connect_for_long("leaver"), QoS::ExactlyOnce);
    lose(&mut driver, leaver);
    assert_eq!(driver.payloads(heir), ["2", "3"]);
    let (leaver, connack) = driver.join_as(narrow(connect_for_long("leaver")));
    assert!(connack.session_present);
    let again = driver.delivery(leaver);
    assert_eq!((text(&again), again.dup), ("1".to_owned(), true));
    driver.assert_silent(leaver);
}

#[test]
fn a_session_that_expires_leaves_what_it_kept() {
    let (mut driver, leaver, heir) = scene(connect_for_long("leaver"), QoS::AtLeastOnce);
    lose(&mut driver, heir);
    lose(&mut driver, leaver);
    let heir = member(&mut driver, connect("heir"), QoS::AtLeastOnce);
    driver.assert_silent(heir);
    driver.pass(HOUR);
    assert_eq!(driver.payloads(heir), ["1", "2", "3"]);
}

#[test]
fn a_restart_forgets_no_group() {
    let (mut driver, leaver, heir) = scene(connect_for_long("leaver"), QoS::AtLeastOnce);
    lose(&mut driver, heir);
    lose(&mut driver, leaver);
    let mut driver = driver.restart(Limits::default());
    let heir = member(&mut driver, connect("heir"), QoS::AtLeastOnce);
    driver.pass(HOUR);
    assert_eq!(driver.payloads(heir), ["1", "2", "3"]);
}

/// [MQTT-3.10.4-3].
#[test]
fn who_unsubscribes_leaves_what_was_not_sent_and_completes_what_was() {
    let (mut driver, leaver, heir) = scene(connect_for_long("leaver"), QoS::AtLeastOnce);
    leave_group(&mut driver, leaver);
    assert_eq!(driver.payloads(heir), ["2", "3"]);
    driver.send(leaver, Packet::PubAck(success(1)));
    lose(&mut driver, leaver);
    driver.join_as(connect_for_long("leaver"));
    assert_eq!(driver.payloads(heir), [""; 0]);
}

#[test]
fn where_nobody_takes_over_the_messages_stay() {
    let (mut driver, leaver, heir) = scene(connect("leaver"), QoS::AtLeastOnce);
    lose(&mut driver, heir);
    leave_group(&mut driver, leaver);
    driver.send(leaver, Packet::PubAck(success(1)));
    assert_eq!(driver.payloads(leaver), ["2"]);
}

#[test]
fn what_another_subscription_brought_stays() {
    let mut driver = Driver::new();
    let leaver = member(&mut driver, narrow(connect_for_long("leaver")), QoS::AtLeastOnce);
    driver.subscribe(leaver, "other", QoS::AtLeastOnce);
    let heir = member(&mut driver, connect("heir"), QoS::AtLeastOnce);
    let publisher = driver.join("pub");
    for number in 1..=2 {
        driver.send(publisher, publish1(number, "other", &number.to_string()));
    }
    lose(&mut driver, leaver);
    assert_eq!(driver.payloads(heir), [""; 0]);
    let (leaver, _) = driver.join_as(connect_for_long("leaver"));
    assert_eq!(driver.payloads(leaver), ["1", "2"]);
}

/// [MQTT-4.8.2-6].
#[test]
fn what_a_member_refuses_is_offered_to_no_other() {
    let (mut driver, leaver, heir) = scene(connect("leaver"), QoS::AtLeastOnce);
    driver.send(leaver, Packet::PubAck(Ack::new(id(1), ReasonCode::NotAuthorized)));
    assert_eq!(driver.payloads(leaver), ["2"]);
    driver.assert_silent(heir);
    lose(&mut driver, leaver);
    assert_eq!(driver.payloads(heir), ["2", "3"]);
}

/// 3.3.2.3.3.
#[test]
fn a_lifetime_goes_on_when_a_message_goes_over() {
    let mut driver = Driver::new();
    let leaver = member(&mut driver, narrow(connect("leaver")), QoS::AtLeastOnce);
    let publisher = driver.join("pub");
    for (number, expiry_secs) in [(1, 90), (2, 90), (3, 30)] {
        let Packet::Publish(mut publish) = publish1(number, "t", &number.to_string()) else { unreachable!() };
        publish.properties.message_expiry_secs = Some(expiry_secs);
        driver.send(publisher, Packet::Publish(publish));
    }
    let heir = member(&mut driver, connect("heir"), QoS::AtLeastOnce);
    driver.pass(Duration::from_secs(30));
    lose(&mut driver, leaver);
    for expected in ["1", "2"] {
        let delivery = driver.delivery(heir);
        assert_eq!((text(&delivery).as_str(), delivery.message_expiry_secs), (expected, Some(60)));
    }
    driver.assert_silent(heir);
}
