use rivulet_protocol::packet::{RetainHandling, SubscriptionOptions, Unsubscribe};
use rivulet_protocol::{Packet, QoS, ReasonCode, SubscriptionId, TopicFilter};

use crate::testing::*;
use crate::{CloseCause, ConnectionKey, Violation};

fn unsubscribe(driver: &mut Driver, connection: ConnectionKey, filter: &str) -> ReasonCode {
    let filters = vec![TopicFilter::parse(filter.to_owned()).unwrap()];
    let unsubscribe = Unsubscribe { packet_id: id(2), user_properties: Default::default(), filters };
    driver.send(connection, Packet::Unsubscribe(unsubscribe));
    match driver.packet(connection) {
        Packet::UnsubAck(unsuback) => unsuback.reasons[0],
        other => panic!("UNSUBSCRIBE was answered with {other:?}"),
    }
}

fn options(retain_handling: RetainHandling) -> SubscriptionOptions {
    SubscriptionOptions { maximum_qos: QoS::AtLeastOnce, retain_handling, ..SubscriptionOptions::default() }
}

/// [MQTT-3.9.3-1].
#[test]
fn the_level_that_was_asked_for_is_granted() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let granted = [ReasonCode::Success, ReasonCode::GrantedQoS1, ReasonCode::GrantedQoS2];
    for (maximum_qos, expected) in levels.into_iter().zip(granted) {
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        assert_eq!(driver.subscribe_as(connection, "t", options).reasons, [expected]);
    }
}

/// [MQTT-3.10.4-1], [MQTT-3.10.4-2].
#[test]
fn what_is_unsubscribed_does_not_come_any_more() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.subscribe(connection, "t", QoS::AtMostOnce);
    assert_eq!(unsubscribe(&mut driver, connection, "t"), ReasonCode::Success);
    assert_eq!(unsubscribe(&mut driver, connection, "t"), ReasonCode::NoSubscriptionExisted);
    driver.send(connection, publish0("t", "x"));
    driver.assert_silent(connection);
}

#[test]
fn subscriptions_above_the_limit_are_refused_and_repeated_ones_are_not() {
    let mut driver = Driver::with(Limits { subscriptions_max: 1, ..Limits::default() });
    let connection = driver.join("ann");
    driver.subscribe(connection, "a", QoS::AtMostOnce);
    driver.subscribe(connection, "a", QoS::AtLeastOnce);
    let suback = driver.subscribe_as(connection, "b", SubscriptionOptions::default());
    assert_eq!(suback.reasons, [ReasonCode::QuotaExceeded]);
}

#[test]
fn a_filter_of_more_levels_than_the_limit_is_refused() {
    let mut driver = Driver::with(Limits { topic_levels_max: 2, ..Limits::default() });
    let connection = driver.join("ann");
    driver.subscribe(connection, "a/+", QoS::AtMostOnce);
    let suback = driver.subscribe_as(connection, "a/+/c", SubscriptionOptions::default());
    assert_eq!(suback.reasons, [ReasonCode::TopicFilterInvalid]);
}

/// [MQTT-3.8.3-4].
#[test]
fn no_local_on_a_shared_subscription_ends_the_connection() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    driver.send(connection, subscribe("$share/g/t", options));
    assert_eq!(driver.farewell(connection), ReasonCode::ProtocolError);
    assert_eq!(driver.closed[&connection], CloseCause::Violation(Violation::NoLocalShared));
}

/// [MQTT-3.8.3-3].
#[test]
fn no_local_keeps_own_messages_away() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    driver.subscribe_as(connection, "t", options);
    driver.send(connection, publish0("t", "own"));
    let other = driver.join("bob");
    driver.send(other, publish0("t", "other"));
    assert_eq!(driver.payloads(connection), ["other"]);
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11].
#[test]
fn retained_messages_are_sent_as_the_subscription_asks() {
    let mut driver = Driver::new();
    let publisher = driver.join("pub");
    driver.send(publisher, retained("t", "kept"));
    let cases = [
        (RetainHandling::Send, vec!["kept"], vec!["kept"]),
        (RetainHandling::SendIfNew, vec!["kept"], vec![]),
        (RetainHandling::DoNotSend, vec![], vec![]),
    ];
    for (handling, first, again) in cases {
        let connection = driver.join("ann");
        driver.subscribe_as(connection, "+", options(handling));
        assert_eq!(driver.payloads(connection), first, "{handling:?}");
        driver.subscribe_as(connection, "+", options(handling));
        assert_eq!(driver.payloads(connection), again, "{handling:?}");
    }
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13].
#[test]
fn the_retain_flag_says_whether_a_message_was_kept_unless_it_is_to_stay_as_published() {
    for retain_as_published in [false, true] {
        let mut driver = Driver::new();
        let connection = driver.join("ann");
        let options = SubscriptionOptions { retain_as_published, ..SubscriptionOptions::default() };
        driver.subscribe_as(connection, "t", options);
        driver.send(connection, retained("t", "x"));
        assert_eq!(driver.delivery(connection).retain, retain_as_published);
        driver.subscribe_as(connection, "t", options);
        assert!(driver.delivery(connection).retain, "what is sent because of the subscription was kept");
    }
}

/// [MQTT-3.3.1-6], [MQTT-3.3.1-7].
#[test]
fn a_retained_message_without_content_is_forwarded_and_clears() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.send(connection, retained("t", "x"));
    driver.subscribe_as(connection, "t", options(RetainHandling::DoNotSend));
    driver.send(connection, retained("t", ""));
    assert_eq!(driver.payloads(connection), [""]);
    driver.subscribe(connection, "t", QoS::AtMostOnce);
    driver.assert_silent(connection);
}

/// 4.8.2.
#[test]
fn a_shared_subscription_is_not_shown_retained_messages() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.send(connection, retained("t", "x"));
    driver.subscribe(connection, "$share/g/t", QoS::AtMostOnce);
    driver.assert_silent(connection);
}

#[test]
fn more_retained_messages_than_a_page_all_come_in_order() {
    let mut driver = Driver::new();
    let publisher = driver.join("pub");
    let names: Vec<String> = (0..200).map(|number| format!("t/{number:03}")).collect();
    for name in &names {
        driver.send(publisher, retained(name, name));
    }
    let connection = driver.join("ann");
    driver.subscribe(connection, "t/#", QoS::AtMostOnce);
    assert_eq!(driver.payloads(connection), names);
}

#[test]
fn retained_messages_above_the_limit_are_refused_and_replacements_are_not() {
    let mut driver = Driver::with(Limits { retained_messages_max: 1, ..Limits::default() });
    let connection = driver.join("ann");
    driver.send(connection, retained("a", "1"));
    driver.send(connection, retained("a", "2"));
    driver.send(connection, retained("b", "1"));
    driver.subscribe(connection, "#", QoS::AtMostOnce);
    assert_eq!(driver.payloads(connection), ["2"]);
    driver.send(connection, retained("a", ""));
    driver.payloads(connection);
    driver.send(connection, retained("b", "1"));
    assert_eq!(driver.payloads(connection), ["1"]);
}

/// [MQTT-3.3.4-3], [MQTT-3.3.4-4].
#[test]
fn a_delivery_names_the_subscriptions_that_wanted_it() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    for (filter, number) in [("t", 1), ("+", 2)] {
        let Packet::Subscribe(mut subscribe) = subscribe(filter, SubscriptionOptions::default()) else {
            return;
        };
        subscribe.subscription_id = SubscriptionId::new(number);
        driver.send(connection, Packet::Subscribe(subscribe));
        driver.packet(connection);
    }
    driver.send(connection, publish0("t", "x"));
    let mut ids: Vec<u32> = driver.delivery(connection).subscription_ids.iter().map(|id| id.get()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    driver.assert_silent(connection);
}

/// 4.8.2.
#[test]
fn a_shared_subscription_gives_each_message_to_one_member() {
    let mut driver = Driver::new();
    let members = [driver.join("a"), driver.join("b")];
    for member in members {
        driver.subscribe(member, "$share/g/t", QoS::AtMostOnce);
    }
    let publisher = driver.join("pub");
    for number in 0..4 {
        driver.send(publisher, publish0("t", &number.to_string()));
    }
    let received: Vec<usize> = members.map(|member| driver.payloads(member).len()).to_vec();
    assert_eq!(received, [2, 2]);
}
