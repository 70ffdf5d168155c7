use std::time::Duration;

use rivulet_protocol::packet::{Connect, Disconnect, DisconnectProperties};
use rivulet_protocol::{Packet, PacketType, QoS, ReasonCode};

use crate::cause::NetworkLoss;
use crate::input::OperatorCommand;
use crate::testing::*;
use crate::{CloseCause, Event, FlowKey, Input, Violation};

fn disconnect_with_expiry(secs: u32) -> Packet {
    let properties =
        DisconnectProperties { session_expiry_secs: Some(secs), ..DisconnectProperties::default() };
    Packet::Disconnect(Box::new(Disconnect { reason: ReasonCode::Success, properties }))
}

#[test]
fn every_connection_that_was_opened_leaves_one_event_that_says_why_it_ended() {
    let mut driver = Driver::new();
    let never_joined = driver.open();
    let left = driver.join("ann");
    let lost = driver.join("bob");
    driver.handle(Input::FlowFinished { connection: never_joined, flow: FlowKey::CONTROL });
    driver.send(left, disconnect(ReasonCode::Success));
    driver.send(left, disconnect(ReasonCode::Success));
    driver.handle(Input::ConnectionLost { connection: left, loss: NetworkLoss::TimedOut });
    driver.handle(Input::ConnectionLost { connection: lost, loss: NetworkLoss::TimedOut });
    driver.handle(Input::ConnectionLost { connection: lost, loss: NetworkLoss::TimedOut });
    let ends = driver.events.iter().filter_map(|event| match event {
        Event::Closed { connection, client_id, cause } => {
            Some((*connection, client_id.as_ref().map(ToString::to_string), cause.clone()))
        }
        _ => None,
    });
    let expected = [
        (never_joined, None, CloseCause::Network(NetworkLoss::ClosedByPeer)),
        (left, Some("ann".to_owned()), CloseCause::Client(ReasonCode::Success)),
        (lost, Some("bob".to_owned()), CloseCause::Network(NetworkLoss::TimedOut)),
    ];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
    assert!(!driver.closed.contains_key(&lost), "what is lost is not closed");
}

/// [MQTT-3.14.0-1] of 5.0 has a server's DISCONNECT; 3.1.1 has none.
#[test]
fn the_reason_is_sent_to_those_who_know_reasons() {
    for (connect, is_told) in [(connect("ann"), true), (connect_v3("ann"), false)] {
        let mut driver = Driver::new();
        let (connection, _) = driver.join_as(connect);
        driver.handle(Input::Operator(OperatorCommand::Drain));
        if is_told {
            assert_eq!(driver.farewell(connection), ReasonCode::ServerShuttingDown);
        }
        driver.assert_silent(connection);
        assert_eq!(driver.closed[&connection], CloseCause::Drain);
    }
}

/// [MQTT-3.1.2-29].
#[test]
fn reasons_in_words_go_to_those_who_want_problem_information() {
    for wants in [true, false] {
        let mut driver = Driver::new();
        let mut connect = connect("ann");
        connect.properties.request_problem_information = Some(wants);
        let (connection, _) = driver.join_as(connect);
        driver.send(connection, Packet::PingResp);
        let Packet::Disconnect(disconnect) = driver.packet(connection) else { panic!("no DISCONNECT") };
        assert_eq!(disconnect.properties.reason_string.is_some(), wants);
    }
}

#[test]
fn a_draining_broker_takes_no_new_connection() {
    let mut driver = Driver::new();
    driver.handle(Input::Operator(OperatorCommand::Drain));
    let late = driver.open();
    assert_eq!(driver.closed[&late], CloseCause::Drain);
}

#[test]
fn an_operator_ends_the_connection_of_one_client() {
    let mut driver = Driver::new();
    let ann = driver.join("ann");
    let bob = driver.join("bob");
    let client_id = rivulet_protocol::ClientId::parse("ann").unwrap();
    let reason = ReasonCode::AdministrativeAction;
    driver.handle(Input::Operator(OperatorCommand::Disconnect { client_id, reason }));
    assert_eq!(driver.farewell(ann), reason);
    assert!(!driver.closed.contains_key(&bob));
}

#[test]
fn packets_that_only_servers_send_end_the_connection() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.send(connection, Packet::PingResp);
    assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
    let violation = Violation::ServerPacket { packet: PacketType::PingResp };
    assert_eq!(driver.closed[&connection], CloseCause::Violation(violation));
}

/// [MQTT-3.1.2-22].
#[test]
fn a_silent_client_is_gone_after_one_and_a_half_keep_alives_since_its_last_packet() {
    let mut driver = Driver::new();
    let (connection, _) = driver.join_as(Connect { keep_alive_secs: 10, ..connect("ann") });
    driver.pass(Duration::from_secs(14));
    driver.send(connection, Packet::PingReq);
    assert_eq!(driver.packet(connection), Packet::PingResp);
    driver.pass(Duration::from_micros(14_999_999));
    assert!(driver.closed.is_empty());
    driver.pass(Duration::from_micros(1));
    assert_eq!(driver.farewell(connection), ReasonCode::KeepAliveTimeout);
    assert_eq!(driver.closed[&connection], CloseCause::KeepAlive { keep_alive_secs: 10 });
}

#[test]
fn a_client_whose_answers_wait_for_the_disk_is_not_taken_for_silent() {
    let mut driver = Driver::new();
    let (connection, _) = driver.join_as(Connect { keep_alive_secs: 10, ..connect_for_long("ann") });
    driver.stall_disk();
    driver.send(connection, publish2(1, "t", "x"));
    driver.pass(Duration::from_secs(60));
    assert!(driver.closed.is_empty());
    driver.resume_disk();
    driver.pass(Duration::from_secs(60));
    assert_eq!(driver.closed[&connection], CloseCause::KeepAlive { keep_alive_secs: 10 });
}

/// 3.14.2.2.2.
#[test]
fn disconnect_may_change_the_expiry_but_not_bring_a_session_to_life() {
    let mut driver = Driver::new();
    let (connection, _) = driver.join_for_long("ann");
    driver.send(connection, disconnect_with_expiry(0));
    let (connection, connack) = driver.join_for_long("ann");
    assert!(!connack.session_present);
    driver.send(connection, disconnect_with_expiry(10));
    driver.pass(Duration::from_secs(9));
    let (connection, connack) = driver.join_as(Connect { clean_start: false, ..connect("ann") });
    assert!(connack.session_present);
    driver.send(connection, disconnect_with_expiry(10));
    assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
    assert_eq!(driver.closed[&connection], CloseCause::Violation(Violation::ExpirySetAtDisconnect));
}

/// 3.1.2.11.2.
#[test]
fn a_session_lives_for_its_expiry_interval_and_no_longer() {
    let mut driver = Driver::new();
    let (connection, _) = driver.join_for_long("ann");
    driver.send(connection, disconnect(ReasonCode::Success));
    driver.pass(Duration::from_secs(3599));
    let (connection, connack) = driver.join_for_long("ann");
    assert!(connack.session_present);
    driver.handle(Input::ConnectionLost { connection, loss: NetworkLoss::TimedOut });
    driver.pass(Duration::from_secs(3600));
    assert!(driver.events.iter().any(|event| matches!(event, Event::SessionExpired { .. })));
    let (_, connack) = driver.join_for_long("ann");
    assert!(!connack.session_present);
}

/// 3.1.2.4 of 3.1.1.
#[test]
fn a_3_1_1_session_is_kept_unless_it_is_clean() {
    let mut driver = Driver::new();
    for (clean_start, is_kept) in [(false, true), (true, false)] {
        let (connection, _) = driver.join_as(Connect { clean_start, ..connect_v3("ann") });
        driver.subscribe(connection, "t", QoS::AtMostOnce);
        driver.send(connection, disconnect(ReasonCode::Success));
        let (connection, connack) = driver.join_as(Connect { clean_start: false, ..connect_v3("ann") });
        assert_eq!(connack.session_present, is_kept);
        driver.send(connection, disconnect(ReasonCode::Success));
    }
}
