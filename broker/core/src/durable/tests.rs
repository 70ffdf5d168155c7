use rivulet_protocol::packet::Connect;
use rivulet_protocol::{Packet, QoS, ReasonCode};

use crate::cause::NetworkLoss;
use crate::durable::{Commit, StoreFault};
use crate::testing::*;
use crate::{CloseCause, ConnectionKey, Input};

/// A subscriber to `t` at QoS 2 whose session stays, and a publisher whose session does not.
fn scene() -> (Driver, ConnectionKey, ConnectionKey) {
    let mut driver = Driver::new();
    let (subscriber, _) = driver.join_for_long("sub");
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    let publisher = driver.join("pub");
    (driver, subscriber, publisher)
}

#[test]
fn neither_acknowledgement_nor_delivery_comes_before_the_write_is_safe() {
    let (mut driver, subscriber, publisher) = scene();
    driver.stall_disk();
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, publish2(2, "t", "b"));
    driver.assert_silent(publisher);
    driver.assert_silent(subscriber);
    driver.resume_disk();
    assert_eq!(driver.packet(publisher), Packet::PubAck(success(1)));
    assert_eq!(driver.packet(publisher), Packet::PubRec(success(2)));
    assert_eq!(driver.payloads(subscriber), ["a", "b"]);
}

#[test]
fn commits_are_released_one_by_one() {
    let (mut driver, _, publisher) = scene();
    driver.stall_disk();
    let before = driver.commits.len();
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, publish1(2, "t", "b"));
    let [first, second] = driver.commits[before..] else { panic!("two commits") };
    driver.handle(Input::Persisted { through: first });
    assert_eq!(driver.packet(publisher), Packet::PubAck(success(1)));
    driver.assert_silent(publisher);
    driver.handle(Input::Persisted { through: second });
    assert_eq!(driver.packet(publisher), Packet::PubAck(success(2)));
}

#[test]
fn sessions_that_end_with_their_connection_write_nothing_and_wait_for_nothing() {
    let mut driver = Driver::new();
    driver.stall_disk();
    let subscriber = driver.join("sub");
    driver.subscribe(subscriber, "t", QoS::ExactlyOnce);
    let publisher = driver.join("pub");
    driver.send(publisher, publish2(1, "t", "a"));
    assert_eq!(driver.packet(publisher), Packet::PubRec(success(1)));
    driver.send(publisher, Packet::PubRel(success(1)));
    assert_eq!(driver.packet(publisher), Packet::PubComp(success(1)));
    assert_eq!(driver.payloads(subscriber), ["a"]);
    driver.send(subscriber, Packet::PubRec(success(1)));
    assert_eq!(driver.packet(subscriber), Packet::PubRel(success(1)));
    driver.send(subscriber, disconnect(ReasonCode::Success));
    assert_eq!(driver.commits, []);
}

#[test]
fn a_memory_subscriber_does_not_wait_for_the_disk_of_another() {
    let (mut driver, _, publisher) = scene();
    let memory = driver.join("memory");
    driver.subscribe(memory, "t", QoS::AtLeastOnce);
    driver.stall_disk();
    driver.send(publisher, publish1(1, "t", "a"));
    assert_eq!(driver.payloads(memory), ["a"]);
    driver.assert_silent(publisher);
}

#[test]
fn a_connection_keeps_its_order_while_it_waits_and_pings_are_answered() {
    let (mut driver, subscriber, publisher) = scene();
    driver.stall_disk();
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, publish1(2, "nobody", "b"));
    driver.send(publisher, Packet::PingReq);
    assert_eq!(driver.packet(publisher), Packet::PingResp);
    driver.assert_silent(publisher);
    driver.send(publisher, disconnect(ReasonCode::Success));
    assert!(!driver.closed.contains_key(&publisher), "the close waits behind the acknowledgements");
    driver.resume_disk();
    assert_eq!(driver.packet(publisher), Packet::PubAck(success(1)));
    assert_eq!(ack_of(&driver.packet(publisher)).0, id(2));
    assert!(driver.closed.contains_key(&publisher));
    assert_eq!(driver.payloads(subscriber), ["a"]);
}

#[test]
fn a_session_and_its_subscription_are_safe_before_the_client_hears_of_them() {
    let mut driver = Driver::new();
    driver.stall_disk();
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect_for_long("ann"))));
    driver.assert_silent(connection);
    driver.resume_disk();
    assert_eq!(driver.connack(connection).reason, ReasonCode::Success);
    driver.stall_disk();
    driver.send(connection, subscribe("t", Default::default()));
    driver.assert_silent(connection);
    driver.resume_disk();
    assert!(matches!(driver.packet(connection), Packet::SubAck(_)));
}

#[test]
fn a_client_that_comes_back_is_not_shown_what_is_not_safe() {
    let (mut driver, subscriber, publisher) = scene();
    driver.handle(Input::ConnectionLost { connection: subscriber, loss: NetworkLoss::TimedOut });
    driver.stall_disk();
    driver.send(publisher, publish1(1, "t", "a"));
    let subscriber = driver.open();
    driver.send(subscriber, Packet::Connect(Box::new(connect_for_long("sub"))));
    driver.assert_silent(subscriber);
    driver.resume_disk();
    assert!(driver.connack(subscriber).session_present);
    assert_eq!(driver.payloads(subscriber), ["a"]);
}

#[test]
fn what_waits_for_a_lost_connection_is_forgotten() {
    let (mut driver, _, publisher) = scene();
    driver.stall_disk();
    driver.send(publisher, publish1(1, "t", "a"));
    driver.handle(Input::ConnectionLost { connection: publisher, loss: NetworkLoss::TimedOut });
    driver.resume_disk();
    driver.assert_silent(publisher);
}

#[test]
fn a_failed_write_refuses_what_it_was_to_make_safe() {
    for (fault, reason) in [
        (StoreFault::Full, ReasonCode::QuotaExceeded),
        (StoreFault::Failing, ReasonCode::ImplementationSpecificError),
    ] {
        let (mut driver, _, publisher) = scene();
        driver.stall_disk();
        let from = Commit(driver.commits.last().unwrap().0 + 1);
        driver.send(publisher, publish1(1, "t", "a"));
        driver.fail_disk(from, fault);
        assert_eq!(ack_of(&driver.packet(publisher)), (id(1), reason));
        driver.send(publisher, publish1(1, "t", "again"));
        assert_eq!(ack_of(&driver.packet(publisher)), (id(1), ReasonCode::Success), "it is a new publish");
    }
}

/// The message is in memory, and a repetition must find its identifier there.
#[test]
fn a_failed_write_of_qos_2_ends_the_connection_and_keeps_the_identifier() {
    let (mut driver, _, publisher) = scene();
    driver.stall_disk();
    let from = Commit(driver.commits.last().unwrap().0 + 1);
    driver.send(publisher, publish2(2, "t", "b"));
    driver.fail_disk(from, StoreFault::Failing);
    assert_eq!(driver.closed[&publisher], CloseCause::Store(StoreFault::Failing));
}

#[test]
fn a_failed_write_ends_the_connection_of_a_client_that_cannot_be_told() {
    let (mut driver, ..) = scene();
    let (publisher, _) = driver.join_as(connect_v3("old"));
    driver.stall_disk();
    let from = Commit(driver.commits.last().unwrap().0 + 1);
    driver.send(publisher, publish1(1, "t", "a"));
    driver.fail_disk(from, StoreFault::Full);
    driver.assert_silent(publisher);
    assert_eq!(driver.closed[&publisher], CloseCause::Store(StoreFault::Full));
}

#[test]
fn a_client_whose_session_could_not_be_written_is_not_let_in() {
    let mut driver = Driver::new();
    driver.stall_disk();
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect_for_long("ann"))));
    driver.fail_disk(Commit(1), StoreFault::Full);
    assert_eq!(driver.closed[&connection], CloseCause::Store(StoreFault::Full));
}

/// What a store missed while it failed is written as soon as it works again.
#[test]
fn a_store_that_works_again_learns_what_it_missed() {
    let (mut driver, subscriber, publisher) = scene();
    driver.send(subscriber, disconnect(ReasonCode::Success));
    driver.stall_disk();
    let from = Commit(driver.commits.last().unwrap().0 + 1);
    let late = driver.open();
    driver.send(late, Packet::Connect(Box::new(Connect { clean_start: false, ..connect_for_long("late") })));
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, retained("kept", "k"));
    driver.fail_disk(from, StoreFault::Full);
    let (late, connack) = driver.join_for_long("late");
    assert!(connack.session_present);
    driver.subscribe(late, "t", QoS::AtLeastOnce);
    driver.send(publisher, publish1(2, "t", "b"));
    let mut driver = driver.restart(Limits::default());
    let (subscriber, connack) = driver.join_for_long("sub");
    assert!(connack.session_present);
    assert_eq!(driver.payloads(subscriber), ["a", "b"]);
    let (late, connack) = driver.join_for_long("late");
    assert!(connack.session_present);
    assert_eq!(driver.payloads(late), ["b"]);
    driver.subscribe(late, "kept", QoS::AtMostOnce);
    assert_eq!(driver.payloads(late), ["k"]);
}

#[test]
fn a_client_that_left_while_the_store_failed_is_closed_and_told_nothing_false() {
    let (mut driver, _, publisher) = scene();
    driver.stall_disk();
    let from = Commit(driver.commits.last().unwrap().0 + 1);
    driver.send(publisher, publish1(1, "t", "a"));
    driver.send(publisher, disconnect(ReasonCode::Success));
    driver.fail_disk(from, StoreFault::Full);
    driver.assert_silent(publisher);
    assert_eq!(driver.closed[&publisher], CloseCause::Client(ReasonCode::Success));
}

/// [MQTT-3.2.2-2]: the client would find a session that it was told it has not.
#[test]
fn a_session_that_replaces_a_stored_one_waits_for_the_end_of_that() {
    let (mut driver, subscriber, _) = scene();
    driver.send(subscriber, disconnect(ReasonCode::Success));
    driver.stall_disk();
    let first = driver.open();
    driver.send(first, Packet::Connect(Box::new(connect("sub"))));
    driver.assert_silent(first);
    driver.handle(Input::ConnectionLost { connection: first, loss: NetworkLoss::TimedOut });
    let second = driver.open();
    driver.send(second, Packet::Connect(Box::new(connect("sub"))));
    driver.assert_silent(second);
    driver.resume_disk();
    assert!(!driver.connack(second).session_present);
    driver.stall_disk();
    let third = driver.open();
    driver.send(third, Packet::Connect(Box::new(connect("sub"))));
    assert!(!driver.connack(third).session_present, "what is over is over");
}
