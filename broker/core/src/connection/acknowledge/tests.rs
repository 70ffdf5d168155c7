use rivulet_protocol::packet::{Ack, Connect};
use rivulet_protocol::{Packet, PacketQos, PacketType, QoS, ReasonCode};

use crate::testing::*;
use crate::{CloseCause, ConnectionKey, Violation};

/// A subscriber to `t` at QoS 2 with this receive maximum, and a publisher.
fn scene(receive_maximum: u16) -> (Driver, ConnectionKey, ConnectionKey) {
    let mut driver = Driver::new();
    let mut connect: Connect = connect("sub");
    connect.properties.receive_maximum = Some(receive_maximum);
    let (subscriber, _) = driver.join_as(connect);
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    let publisher = driver.join("pub");
    (driver, subscriber, publisher)
}

/// [MQTT-3.3.4-9], 4.9.
#[test]
fn no_more_is_sent_than_the_receive_maximum_until_an_acknowledgement_comes() {
    let (mut driver, subscriber, publisher) = scene(1);
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, publish2(2, "t", "b"));
    driver.send(publisher, publish1(3, "t", "c"));
    assert_eq!(driver.delivery(subscriber).qos, PacketQos::AtLeastOnce(id(1)));
    driver.assert_silent(subscriber);
    driver.send(subscriber, Packet::PubAck(success(1)));
    assert_eq!(driver.delivery(subscriber).qos, PacketQos::ExactlyOnce(id(2)));
    driver.send(subscriber, Packet::PubRec(success(2)));
    assert_eq!(driver.packet(subscriber), Packet::PubRel(success(2)));
    driver.assert_silent(subscriber);
    driver.send(subscriber, Packet::PubComp(success(2)));
    assert_eq!(driver.delivery(subscriber).qos, PacketQos::AtLeastOnce(id(3)));
}

/// 4.9: PUBREC with an error ends the exchange.
#[test]
fn a_message_that_the_client_refuses_frees_its_place_and_is_not_released() {
    let (mut driver, subscriber, publisher) = scene(1);
    driver.send(publisher, publish2(1, "t", "a"));
    driver.send(publisher, publish2(2, "t", "b"));
    driver.delivery(subscriber);
    driver.send(subscriber, Packet::PubRec(Ack::new(id(1), ReasonCode::QuotaExceeded)));
    assert_eq!(text(&driver.delivery(subscriber)), "b");
}

/// 3.5.2.1, 3.6.2.1, 3.7.2.1.
#[test]
fn unknown_identifiers_are_answered_where_an_answer_is_due_and_are_no_fault() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.send(connection, Packet::PubAck(success(9)));
    driver.send(connection, Packet::PubComp(success(9)));
    driver.assert_silent(connection);
    let unknown = Ack::new(id(9), ReasonCode::PacketIdentifierNotFound);
    driver.send(connection, Packet::PubRec(success(9)));
    assert_eq!(driver.packet(connection), Packet::PubRel(unknown.clone()));
    driver.send(connection, Packet::PubRel(success(9)));
    assert_eq!(driver.packet(connection), Packet::PubComp(unknown));
    assert!(driver.closed.is_empty());
}

#[test]
fn an_acknowledgement_of_another_level_ends_the_connection() {
    let ack = success(1);
    let wrong = [
        (publish2(1, "t", "a"), Packet::PubAck(ack.clone()), PacketType::PubAck),
        (publish2(1, "t", "a"), Packet::PubComp(ack.clone()), PacketType::PubComp),
        (publish1(1, "t", "a"), Packet::PubRec(ack), PacketType::PubRec),
    ];
    for (publish, answer, packet) in wrong {
        let (mut driver, subscriber, publisher) = scene(10);
        driver.send(publisher, publish);
        driver.delivery(subscriber);
        driver.send(subscriber, answer);
        let violation = Violation::WrongAcknowledgement { packet, packet_id: id(1) };
        assert_eq!(driver.closed[&subscriber], CloseCause::Violation(violation));
    }
}
