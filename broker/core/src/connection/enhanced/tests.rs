use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rivulet_protocol::packet::{Auth, AuthProperties, AuthReason, Connect};
use rivulet_protocol::{Packet, PacketType, QoS, ReasonCode, Topic, TopicFilter};

use crate::access::{AllowAll, AuthenticationStep, Verdict};
use crate::testing::*;
use crate::{CloseCause, ConnectionKey, FlowKey, Input, Permissions, Violation, WallTime};

const METHOD: &str = "METHOD";

fn connect_with(method: &str) -> Connect {
    let mut connect = connect("ann");
    connect.properties.authentication_method = Some(method.into());
    connect.properties.authentication_data = Some(Bytes::from_static(b"first"));
    connect
}

fn auth(reason: AuthReason, method: Option<&str>, data: &'static str) -> Packet {
    let properties = AuthProperties {
        authentication_method: method.map(Into::into),
        authentication_data: Some(Bytes::from_static(data.as_bytes())),
        ..AuthProperties::default()
    };
    Packet::Auth(Box::new(Auth { reason, properties }))
}

fn answer(data: &'static str) -> Packet {
    auth(AuthReason::ContinueAuthentication, Some(METHOD), data)
}

fn again(data: &'static str) -> Packet {
    auth(AuthReason::ReAuthenticate, Some(METHOD), data)
}

fn step(data: &'static str, begins: bool) -> Option<AuthenticationStep> {
    Some(AuthenticationStep {
        method: METHOD.into(),
        data: Some(Bytes::from_static(data.as_bytes())),
        begins,
    })
}

fn accepted(data: &'static str) -> Verdict {
    let data = Some(Bytes::from_static(data.as_bytes()));
    Verdict::Accepted { permissions: Arc::new(AllowAll), expires: None, data }
}

fn more(data: &'static str) -> Verdict {
    Verdict::Continue { data: Bytes::from_static(data.as_bytes()) }
}

fn judge(driver: &mut Driver, connection: ConnectionKey, verdict: Verdict) {
    driver.handle(Input::Authenticated { connection, verdict });
}

/// The AUTH that a client got: reason, method and data.
fn asked(driver: &mut Driver, connection: ConnectionKey) -> (AuthReason, Option<String>, Option<Bytes>) {
    match driver.packet(connection) {
        Packet::Auth(auth) => {
            let properties = auth.properties;
            let method = properties.authentication_method.map(|method| method.to_string());
            (auth.reason, method, properties.authentication_data)
        }
        other => panic!("{connection:?} waits for AUTH and got {other:?}"),
    }
}

/// A client that has sent CONNECT with a method, and whose verdicts come by hand.
fn begin() -> (Driver, ConnectionKey) {
    let mut driver = Driver::new();
    driver.verdict = || None;
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect_with(METHOD))));
    (driver, connection)
}

/// One that was asked for more.
fn challenged() -> (Driver, ConnectionKey) {
    let (mut driver, connection) = begin();
    judge(&mut driver, connection, more("challenge"));
    asked(&mut driver, connection);
    (driver, connection)
}

/// One that was let in.
fn open() -> (Driver, ConnectionKey) {
    let (mut driver, connection) = begin();
    judge(&mut driver, connection, accepted("welcome"));
    driver.connack(connection);
    (driver, connection)
}

/// The reason of CONNACK and the rule, where a client is turned away.
fn turned_away(driver: &mut Driver, connection: ConnectionKey) -> (ReasonCode, CloseCause) {
    (driver.connack(connection).reason, driver.closed[&connection].clone())
}

/// [MQTT-4.12.0-2], [MQTT-4.12.0-3], [MQTT-4.12.0-5].
#[test]
fn an_exchange_goes_on_until_the_verdict_and_names_its_method_each_time() {
    let (mut driver, connection) = begin();
    driver.assert_silent(connection);
    assert_eq!(driver.shown.pop().unwrap().step, step("first", true));
    for (challenge, response) in [("1", "one"), ("2", "two")] {
        judge(&mut driver, connection, more(challenge));
        let expected = (AuthReason::ContinueAuthentication, Some(METHOD.into()), Some(challenge.into()));
        assert_eq!(asked(&mut driver, connection), expected);
        driver.send(connection, answer(response));
        let shown = driver.shown.pop().unwrap();
        assert_eq!(shown.step, step(response, false));
        assert_eq!(shown.client_id.unwrap().as_str(), "ann");
    }
    judge(&mut driver, connection, accepted("welcome"));
    let connack = driver.connack(connection);
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(connack.properties.authentication_method.as_deref(), Some(METHOD));
    assert_eq!(connack.properties.authentication_data.as_deref(), Some(&b"welcome"[..]));
}

/// [MQTT-4.12.0-1], [MQTT-4.12.0-4].
#[test]
fn who_is_refused_gets_the_reason_and_is_closed_at_any_point_of_the_exchange() {
    let answered = || {
        let (mut driver, connection) = challenged();
        driver.send(connection, answer("x"));
        (driver, connection)
    };
    for (mut driver, connection) in [begin(), answered()] {
        judge(&mut driver, connection, Verdict::Refused(ReasonCode::BadAuthenticationMethod));
        let reason = ReasonCode::BadAuthenticationMethod;
        assert_eq!(turned_away(&mut driver, connection), (reason, CloseCause::Refused(reason)));
    }
}

/// [MQTT-4.12.0-6].
#[test]
fn who_has_named_no_method_gets_neither_auth_nor_a_method() {
    let mut driver = Driver::new();
    driver.verdict = || Some(accepted("welcome"));
    let (_, connack) = driver.join_as(connect("ann"));
    assert_eq!(connack.properties.authentication_method, None);
    assert_eq!(connack.properties.authentication_data, None);
    driver.verdict = || Some(more("challenge"));
    let connection = driver.open();
    driver.send(connection, Packet::Connect(Box::new(connect("bob"))));
    assert_eq!(turned_away(&mut driver, connection).0, ReasonCode::ImplementationSpecificError);
}

/// [MQTT-4.12.0-7].
#[test]
fn who_has_named_no_method_sends_no_auth() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.send(connection, again("x"));
    assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
    assert_eq!(driver.closed[&connection], CloseCause::Violation(Violation::UnexpectedAuth));
}

/// [MQTT-3.1.2-30].
#[test]
fn nothing_but_auth_and_disconnect_is_taken_before_connack() {
    for (mut driver, connection) in [begin(), challenged()] {
        driver.send(connection, publish0("t", "early"));
        let violation = Violation::NotAuthenticatedYet { packet: PacketType::Publish };
        let expected = (ReasonCode::ProtocolError, CloseCause::Violation(violation));
        assert_eq!(turned_away(&mut driver, connection), expected);
    }
    for (mut driver, connection) in [begin(), challenged()] {
        driver.send(connection, disconnect(ReasonCode::Success));
        driver.assert_silent(connection);
        assert_eq!(driver.closed[&connection], CloseCause::Client(ReasonCode::Success));
    }
}

#[test]
fn auth_out_of_turn_is_a_protocol_error() {
    for (mut driver, connection, packet) in [
        (begin().0, begin().1, answer("x")),
        (challenged().0, challenged().1, again("x")),
        (challenged().0, challenged().1, auth(AuthReason::Success, Some(METHOD), "x")),
    ] {
        driver.send(connection, packet);
        let (reason, cause) = turned_away(&mut driver, connection);
        assert_eq!(reason, ReasonCode::ProtocolError);
        assert!(matches!(cause, CloseCause::Violation(Violation::AuthOutOfTurn { .. })), "{cause}");
    }
    let (mut driver, connection) = open();
    driver.send(connection, answer("x"));
    assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
}

/// [MQTT-4.12.0-5], [MQTT-4.12.1-1].
#[test]
fn the_method_is_the_same_in_all_steps() {
    for other in [None, Some("OTHER")] {
        let (mut driver, connection) = challenged();
        driver.send(connection, auth(AuthReason::ContinueAuthentication, other, "x"));
        let expected =
            (ReasonCode::ProtocolError, CloseCause::Violation(Violation::AuthenticationMethodChanged));
        assert_eq!(turned_away(&mut driver, connection), expected);
        let (mut driver, connection) = open();
        driver.send(connection, auth(AuthReason::ReAuthenticate, other, "x"));
        assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
        assert_eq!(driver.closed[&connection], expected.1);
    }
}

/// 4.12.1.
#[test]
fn messages_go_on_while_a_client_authenticates_again() {
    let (mut driver, connection) = open();
    driver.subscribe(connection, "t", QoS::AtMostOnce);
    driver.shown.clear();
    driver.send(connection, again("first"));
    driver.send(connection, publish0("t", "1"));
    judge(&mut driver, connection, more("challenge"));
    driver.send(connection, publish0("t", "2"));
    assert_eq!(text(&driver.delivery(connection)), "1");
    let (reason, method, _) = asked(&mut driver, connection);
    assert_eq!((reason, method.as_deref()), (AuthReason::ContinueAuthentication, Some(METHOD)));
    assert_eq!(text(&driver.delivery(connection)), "2");
    driver.send(connection, answer("second"));
    judge(&mut driver, connection, accepted("welcome"));
    let expected = (AuthReason::Success, Some(METHOD.into()), Some("welcome".into()));
    assert_eq!(asked(&mut driver, connection), expected);
    let steps: Vec<_> = driver.shown.drain(..).map(|shown| shown.step).collect();
    assert_eq!(steps, [step("first", true), step("second", false)]);
    driver.send(connection, again("once more"));
    assert_eq!(driver.shown.pop().unwrap().step, step("once more", true));
}

/// [MQTT-4.12.1-2].
#[test]
fn who_fails_to_authenticate_again_is_disconnected_with_a_reason_that_disconnect_has() {
    for (reason, told) in [
        (ReasonCode::NotAuthorized, ReasonCode::NotAuthorized),
        (ReasonCode::ServerBusy, ReasonCode::ServerBusy),
        (ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized),
    ] {
        let (mut driver, connection) = open();
        driver.send(connection, again("x"));
        judge(&mut driver, connection, Verdict::Refused(reason));
        assert_eq!(driver.farewell(connection), told);
        let violation = Violation::ReAuthenticationFailed { reason };
        assert_eq!(driver.closed[&connection], CloseCause::Violation(violation));
    }
}

#[derive(Debug)]
struct MayNothing;

impl Permissions for MayNothing {
    fn may_publish(&self, _: &Topic, _: QoS, _: bool) -> bool {
        false
    }

    fn may_subscribe(&self, _: &TopicFilter) -> bool {
        false
    }

    fn may_receive(&self, _: &Topic) -> bool {
        false
    }
}

#[test]
fn who_authenticates_again_may_do_what_the_last_verdict_says_and_for_as_long() {
    let (mut driver, connection) = open();
    driver.send(connection, again("x"));
    let expires = Some(WallTime(driver.now.wall.0 + 60_000));
    judge(
        &mut driver,
        connection,
        Verdict::Accepted { permissions: Arc::new(MayNothing), expires, data: None },
    );
    asked(&mut driver, connection);
    driver.send(connection, publish1(1, "t", "x"));
    assert_eq!(ack_of(&driver.packet(connection)), (id(1), ReasonCode::NotAuthorized));
    driver.send(connection, again("x"));
    judge(&mut driver, connection, accepted("welcome"));
    driver.pass(Duration::from_secs(60));
    assert!(!driver.closed.contains_key(&connection), "the last verdict has no end");
}

#[test]
fn a_verdict_that_nobody_waits_for_changes_nothing() {
    let (mut driver, connection) = challenged();
    judge(&mut driver, connection, accepted("welcome"));
    driver.assert_silent(connection);
    driver.send(connection, answer("x"));
    judge(&mut driver, connection, accepted("welcome"));
    driver.connack(connection);
    judge(&mut driver, connection, Verdict::Refused(ReasonCode::NotAuthorized));
    assert!(!driver.closed.contains_key(&connection));
}

#[test]
fn an_exchange_that_takes_too_long_ends_with_the_time_of_connect() {
    let (mut driver, connection) = challenged();
    driver.pass(Limits::default().connect_timeout);
    assert!(matches!(driver.closed[&connection], CloseCause::ConnectTimeout { .. }));
}

#[test]
fn a_client_is_not_read_while_its_verdict_is_awaited() {
    let (mut driver, connection) = challenged();
    let flow = FlowKey::CONTROL;
    let told = |driver: &mut Driver| {
        driver.flow_outputs.drain(..).map(|output| format!("{output:?}")).collect::<Vec<_>>()
    };
    let line = |what: &str| format!("{what} {{ connection: {connection:?}, flow: {flow:?} }}");
    assert_eq!(told(&mut driver), [line("Pause"), line("Resume")]);
    driver.send(connection, answer("x"));
    assert_eq!(told(&mut driver), [line("Pause")]);
    judge(&mut driver, connection, accepted("welcome"));
    assert_eq!(told(&mut driver), [line("Resume")]);
}
