use std::time::Duration;

use rivulet_protocol::packet::Connect;
use rivulet_protocol::{QoS, ReasonCode};

use crate::cause::NetworkLoss;
use crate::testing::*;
use crate::{ConnectionKey, Input};

/// A watcher of `wills`, and a client with this will and a session that stays for an hour.
fn scene(delay_secs: u32) -> (Driver, ConnectionKey, ConnectionKey) {
    let mut driver = Driver::new();
    let watcher = driver.join("watcher");
    driver.subscribe(watcher, "wills", QoS::AtMostOnce);
    let (connection, _) =
        driver.join_as(Connect { will: will("wills", delay_secs), ..connect_for_long("ann") });
    (driver, watcher, connection)
}

fn lose(driver: &mut Driver, connection: ConnectionKey) {
    driver.handle(Input::ConnectionLost { connection, loss: NetworkLoss::TimedOut });
}

/// [MQTT-3.1.2-8].
#[test]
fn a_will_is_published_once_when_the_connection_is_lost() {
    let (mut driver, watcher, connection) = scene(0);
    lose(&mut driver, connection);
    assert_eq!(driver.payloads(watcher), ["will"]);
    driver.pass(Duration::from_secs(7200));
    driver.assert_silent(watcher);
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3].
#[test]
fn a_normal_goodbye_takes_the_will_back_and_another_does_not() {
    let (mut driver, watcher, connection) = scene(0);
    driver.send(connection, disconnect(ReasonCode::Success));
    driver.pass(Duration::from_secs(7200));
    driver.assert_silent(watcher);
    let (mut driver, watcher, connection) = scene(0);
    driver.send(connection, disconnect(ReasonCode::DisconnectWithWillMessage));
    assert_eq!(driver.payloads(watcher), ["will"]);
}

/// 3.1.3.2.2.
#[test]
fn a_will_waits_for_its_delay() {
    let (mut driver, watcher, connection) = scene(10);
    lose(&mut driver, connection);
    driver.pass(Duration::from_micros(9_999_999));
    driver.assert_silent(watcher);
    driver.pass(Duration::from_micros(1));
    assert_eq!(driver.payloads(watcher), ["will"]);
}

/// [MQTT-3.1.3-9].
#[test]
fn a_client_that_is_back_within_the_delay_has_no_will_published() {
    let (mut driver, watcher, connection) = scene(10);
    lose(&mut driver, connection);
    driver.pass(Duration::from_secs(9));
    driver.join_for_long("ann");
    driver.pass(Duration::from_secs(60));
    driver.assert_silent(watcher);
}

/// 3.1.3.2.2: the earlier of both.
#[test]
fn a_will_is_published_when_its_session_ends_before_its_delay() {
    let (mut driver, watcher, connection) = scene(u32::MAX);
    lose(&mut driver, connection);
    driver.pass(Duration::from_secs(3599));
    driver.assert_silent(watcher);
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.payloads(watcher), ["will"]);
    let (mut driver, watcher, connection) = scene(u32::MAX);
    lose(&mut driver, connection);
    driver.join("ann");
    assert_eq!(driver.payloads(watcher), ["will"], "a clean start ends the session");
}

/// 3.1.4.
#[test]
fn at_a_takeover_a_will_without_delay_is_published_and_one_with_delay_is_not() {
    for (delay_secs, expected) in [(0, vec!["will"]), (10, vec![])] {
        let (mut driver, watcher, _) = scene(delay_secs);
        driver.join_for_long("ann");
        driver.pass(Duration::from_secs(60));
        assert_eq!(driver.payloads(watcher), expected);
    }
}

/// [MQTT-3.1.2-15].
#[test]
fn a_will_can_be_retained() {
    let mut driver = Driver::new();
    let mut will = will("wills", 0);
    if let Some(will) = &mut will {
        will.retain = true;
    }
    let (connection, _) = driver.join_as(Connect { will, ..connect("ann") });
    lose(&mut driver, connection);
    let watcher = driver.join("watcher");
    driver.subscribe(watcher, "wills", QoS::AtLeastOnce);
    let delivery = driver.delivery(watcher);
    assert!(delivery.retain);
    assert_eq!(text(&delivery), "will");
}

#[test]
fn a_client_that_may_not_publish_its_will_is_refused() {
    let mut driver = Driver::new();
    let (_, connack) = driver.join_as(Connect { will: will("$not/allowed", 0), ..connect("ann") });
    assert_eq!(connack.reason, ReasonCode::NotAuthorized);
}
