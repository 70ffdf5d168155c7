use std::time::Duration;

use rivulet_protocol::error::Fault;
use rivulet_protocol::packet::Connect;
use rivulet_protocol::{ClientId, DecodeError, Packet, PacketType, QoS, ReasonCode, Version};

use crate::access::Verdict;
use crate::cause::Overload;
use crate::testing::*;
use crate::{CloseCause, Event, FlowKey, Input, Violation};

/// The reason of the CONNACK that this CONNECT gets from a broker with these limits; `None`: it gets none.
fn refused(limits: Limits, connect: Connect) -> Option<ReasonCode> {
    let mut driver = Driver::with(limits);
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect)));
    let reason = match driver.take(connection)? {
        Got::Packet(Packet::ConnAck(connack)) => connack.reason,
        other => panic!("CONNECT was answered with {other:?}"),
    };
    assert_eq!(driver.closed.contains_key(&connection), reason.is_error());
    Some(reason)
}

#[test]
fn every_version_is_let_in() {
    for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
        let connect = Connect { version, ..connect("ann") };
        assert_eq!(refused(Limits::default(), connect), Some(ReasonCode::Success), "{version}");
    }
}

#[test]
fn the_first_event_of_a_client_names_its_version() {
    let mut driver = Driver::new();
    let (connection, connack) = driver.join_as(connect_v3("ann"));
    assert!(!connack.session_present);
    let client_id = ClientId::parse("ann").unwrap();
    let connected =
        Event::Connected { connection, client_id, version: Version::V3_1_1, session_present: false };
    assert_eq!(driver.events, [connected]);
}

#[test]
fn version_3_1_is_refused_where_it_is_not_served_and_has_short_identifiers_where_it_is() {
    let old = |name: &str| Connect { version: Version::V3_1, ..connect(name) };
    let without = Limits { allow_v3_1: false, ..Limits::default() };
    assert_eq!(refused(without, old("ann")), Some(ReasonCode::UnsupportedProtocolVersion));
    let longest = "a".repeat(23);
    assert_eq!(refused(Limits::default(), old(&longest)), Some(ReasonCode::Success));
    assert_eq!(refused(Limits::default(), old(&(longest + "a"))), Some(ReasonCode::ClientIdentifierNotValid));
    let nameless = Connect { client_id: None, ..old("") };
    assert_eq!(refused(Limits::default(), nameless), Some(ReasonCode::ClientIdentifierNotValid));
}

/// [MQTT-3.1.3-8] of 3.1.1.
#[test]
fn a_3_1_1_client_that_keeps_its_session_has_a_name() {
    let nameless = Connect { client_id: None, ..connect_v3("") };
    let kept = Connect { clean_start: false, ..nameless.clone() };
    assert_eq!(refused(Limits::default(), kept), Some(ReasonCode::ClientIdentifierNotValid));
    assert_eq!(refused(Limits::default(), nameless), Some(ReasonCode::Success));
}

/// [MQTT-3.1.3-7].
#[test]
fn a_client_without_a_name_is_told_the_one_that_it_is_given() {
    let mut driver = Driver::new();
    let nameless = Connect { client_id: None, ..connect("") };
    let (_, first) = driver.join_as(nameless.clone());
    let (_, second) = driver.join_as(nameless);
    assert!(first.properties.assigned_client_id.is_some());
    assert_ne!(first.properties.assigned_client_id, second.properties.assigned_client_id);
}

#[test]
fn a_refused_client_is_told_and_disturbs_nobody() {
    let mut driver = Driver::new();
    let first = driver.join("ann");
    driver.verdict = || Some(Verdict::Refused(ReasonCode::BadUserNameOrPassword));
    let (second, connack) = driver.join_as(connect("ann"));
    assert_eq!(connack.reason, ReasonCode::BadUserNameOrPassword);
    assert_eq!(driver.closed[&second], CloseCause::Refused(ReasonCode::BadUserNameOrPassword));
    assert!(!driver.closed.contains_key(&first));
}

/// [MQTT-3.2.2-6] of 3.1.1.
#[test]
fn a_3_1_1_client_is_told_nothing_where_its_version_has_no_return_code() {
    let mut driver = Driver::new();
    driver.verdict = || Some(Verdict::Refused(ReasonCode::UnspecifiedError));
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect_v3("ann"))));
    driver.assert_silent(connection);
    assert!(driver.closed.contains_key(&connection));
}

/// 3.2.2.3.
#[test]
fn connack_tells_what_differs_from_the_defaults() {
    let limits = Limits {
        session_expiry_max_secs: 60,
        keep_alive_max_secs: 30,
        receive_maximum: 5,
        topic_alias_maximum: 0,
        response_topic_prefix: Some("responses".to_owned()),
        ..Limits::default()
    };
    let mut driver = Driver::with(limits);
    let mut connect = Connect { keep_alive_secs: 31, ..connect_for_long("ann") };
    connect.properties.request_response_information = Some(true);
    let (_, connack) = driver.join_as(connect);
    let told = connack.properties;
    assert_eq!(told.session_expiry_secs, Some(60));
    assert_eq!(told.server_keep_alive_secs, Some(30));
    assert_eq!(told.receive_maximum, Some(5));
    assert_eq!(told.topic_alias_maximum, None);
    assert_eq!(told.response_information.as_deref(), Some("responses/ann"));
    assert_eq!(told.assigned_client_id, None);
}

#[test]
fn a_3_1_1_client_is_told_no_properties() {
    let mut driver = Driver::with(Limits { keep_alive_max_secs: 30, ..Limits::default() });
    let (_, connack) = driver.join_as(connect_v3("ann"));
    assert_eq!(connack.properties, Default::default());
}

/// [MQTT-3.1.4-3].
#[test]
fn a_client_that_comes_again_takes_its_session_over() {
    let mut driver = Driver::new();
    let (first, _) = driver.join_for_long("ann");
    driver.subscribe(first, "t", QoS::AtMostOnce);
    let (second, connack) = driver.join_for_long("ann");
    assert!(connack.session_present);
    assert_eq!(driver.farewell(first), ReasonCode::SessionTakenOver);
    assert_eq!(driver.closed[&first], CloseCause::TakenOver);
    driver.send(second, publish0("t", "x"));
    assert_eq!(driver.payloads(second), ["x"]);
}

/// [MQTT-3.1.2-4].
#[test]
fn a_clean_start_finds_nothing_of_before() {
    let mut driver = Driver::new();
    let (first, _) = driver.join_for_long("ann");
    driver.subscribe(first, "t", QoS::AtLeastOnce);
    let (second, connack) = driver.join_as(Connect { clean_start: true, ..connect_for_long("ann") });
    assert!(!connack.session_present);
    driver.send(second, publish1(1, "t", "x"));
    assert_eq!(ack_of(&driver.packet(second)), (id(1), ReasonCode::NoMatchingSubscribers));
}

#[test]
fn packets_behind_connect_wait_for_the_verdict_in_their_order() {
    let mut driver = Driver::new();
    driver.verdict = || None;
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect("ann"))));
    driver.send(connection, publish1(1, "t", "x"));
    driver.send(connection, Packet::PingReq);
    driver.assert_silent(connection);
    let permissions = std::sync::Arc::new(crate::access::AllowAll);
    driver.handle(Input::Authenticated {
        connection,
        verdict: Verdict::Accepted { permissions, expires: None, data: None },
    });
    assert_eq!(driver.connack(connection).reason, ReasonCode::Success);
    assert_eq!(ack_of(&driver.packet(connection)).0, id(1));
    assert_eq!(driver.packet(connection), Packet::PingResp);
}

#[test]
fn more_early_packets_than_the_limit_end_the_connection() {
    let mut driver = Driver::with(Limits { early_packets_max: 1, ..Limits::default() });
    driver.verdict = || None;
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect("ann"))));
    driver.send(connection, Packet::PingReq);
    assert!(driver.closed.is_empty());
    driver.send(connection, Packet::PingReq);
    assert_eq!(driver.closed[&connection], CloseCause::Overload(Overload::EarlyPackets { max: 1 }));
}

/// [MQTT-3.1.0-1].
#[test]
fn another_packet_than_connect_comes_to_nothing() {
    let mut driver = Driver::new();
    let connection = driver.open();
    driver.send(connection, Packet::PingReq);
    driver.assert_silent(connection);
    let violation = Violation::ConnectNotFirst { packet: PacketType::PingReq };
    assert_eq!(driver.closed[&connection], CloseCause::Violation(violation));
}

/// [MQTT-3.1.0-2].
#[test]
fn a_second_connect_ends_the_connection() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.send(connection, Packet::Connect(Box::new(connect("ann"))));
    assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
    assert_eq!(driver.closed[&connection], CloseCause::Violation(Violation::SecondConnect));
}

#[test]
fn a_client_that_does_not_come_to_connack_in_time_is_closed() {
    let mut driver = Driver::new();
    driver.verdict = || None;
    let silent = driver.open();
    let asking = driver.open();
    driver.send(asking, Packet::Connect(Box::new(connect("ann"))));
    driver.pass(Duration::from_micros(9_999_999));
    assert!(driver.closed.is_empty());
    driver.pass(Duration::from_micros(1));
    for connection in [silent, asking] {
        assert_eq!(driver.closed[&connection], CloseCause::ConnectTimeout { seconds: 10 });
    }
}

#[test]
fn connections_above_the_limit_are_closed_at_once() {
    let mut driver = Driver::with(Limits { connections_max: 1, ..Limits::default() });
    let first = driver.open();
    let second = driver.open();
    assert_eq!(driver.closed[&second], CloseCause::Overload(Overload::Connections { max: 1 }));
    assert!(!driver.closed.contains_key(&first));
}

#[test]
fn a_new_session_above_the_limit_is_refused_and_a_kept_one_is_not() {
    let mut driver = Driver::with(Limits { sessions_max: 1, ..Limits::default() });
    driver.join_for_long("ann");
    let (_, connack) = driver.join_as(connect("bob"));
    assert_eq!(connack.reason, ReasonCode::QuotaExceeded);
    let (_, connack) = driver.join_for_long("ann");
    assert_eq!(connack.reason, ReasonCode::Success);
}

#[test]
fn a_faulty_connect_is_answered_in_its_version() {
    let level = Fault::UnsupportedProtocolVersion { level: 9 };
    let cases = [
        (None, level, Some(ReasonCode::UnsupportedProtocolVersion)),
        (Some(Version::V5), Fault::Truncated, Some(ReasonCode::MalformedPacket)),
        (Some(Version::V3_1_1), Fault::Truncated, None),
    ];
    for (version, fault, expected) in cases {
        let mut driver = Driver::new();
        let connection = driver.open();
        let error = DecodeError { version, packet: Some(PacketType::Connect), fault };
        driver.handle(Input::PacketRejected { connection, flow: FlowKey::CONTROL, error });
        let connack = expected.map(|_| driver.connack(connection).reason);
        assert_eq!(connack, expected);
        assert_eq!(driver.closed[&connection], CloseCause::Malformed(error));
    }
}

#[test]
fn what_a_client_has_shown_runs_out() {
    let mut driver = Driver::new();
    driver.verdict = || None;
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect("ann"))));
    let permissions = std::sync::Arc::new(crate::access::AllowAll);
    let expires = Some(driver.now.wall + Duration::from_secs(60));
    driver.handle(Input::Authenticated {
        connection,
        verdict: Verdict::Accepted { permissions, expires, data: None },
    });
    driver.connack(connection);
    driver.pass(Duration::from_secs(60));
    assert_eq!(driver.farewell(connection), ReasonCode::NotAuthorized);
    assert_eq!(driver.closed[&connection], CloseCause::CredentialsExpired);
}
