use rivulet_protocol::flow::FlowKind;
use rivulet_protocol::packet::SubscriptionOptions;
use rivulet_protocol::{Packet, PacketQos, PacketType, QoS};

use crate::access::{AllowAll, Verdict};
use crate::testing::*;
use crate::{CloseCause, ConnectionKey, FlowKey, Input, Output, Violation};

const DATA: FlowKey = FlowKey(2);

fn open_flow(driver: &mut Driver, connection: ConnectionKey, flow: FlowKey) {
    driver.handle(Input::FlowOpened { connection, flow, kind: FlowKind::ClientData, credit: 100 });
}

fn subscribe_on(driver: &mut Driver, connection: ConnectionKey, flow: FlowKey, filter: &str) {
    let options = SubscriptionOptions { maximum_qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    driver.send_on(connection, flow, subscribe(filter, options));
    assert_eq!(taken(driver, connection).0, flow, "an answer goes where the question came from");
}

fn taken(driver: &mut Driver, connection: ConnectionKey) -> (FlowKey, Got) {
    driver.got.get_mut(&connection).unwrap().remove(0)
}

/// The flow, the identifier and the content of a delivery.
fn delivered(driver: &mut Driver, connection: ConnectionKey) -> (FlowKey, u16, String) {
    match taken(driver, connection) {
        (flow, Got::Delivery(delivery)) => {
            let id = delivery.qos.packet_id().map_or(0, |id| id.get());
            (flow, id, text(&delivery))
        }
        (_, Got::Packet(packet)) => panic!("{connection:?} waits for a message and got {packet:?}"),
    }
}

/// What was said about reading flows: `true` to read, `false` not to.
fn reading(driver: &mut Driver) -> Vec<(FlowKey, bool)> {
    let said = driver.flow_outputs.drain(..).filter_map(|output| match output {
        Output::Pause { flow, .. } => Some((flow, false)),
        Output::Resume { flow, .. } => Some((flow, true)),
        _ => None,
    });
    said.collect()
}

#[test]
fn nothing_is_read_while_authentication_is_under_way() {
    let mut driver = Driver::new();
    driver.verdict = || None;
    let connection = driver.open();
    open_flow(&mut driver, connection, DATA);
    driver.send(connection, Packet::Connect(Box::new(connect("ann"))));
    assert_eq!(reading(&mut driver), [(FlowKey::CONTROL, false)], "a data flow is not read to begin with");
    let permissions = std::sync::Arc::new(AllowAll);
    driver.handle(Input::Authenticated {
        connection,
        verdict: Verdict::Accepted { permissions, expires: None, data: None },
    });
    assert_eq!(reading(&mut driver), [(FlowKey::CONTROL, true), (DATA, true)]);
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    let mut driver = Driver::new();
    let connection = driver.open_with_credit(4);
    driver.send(connection, Packet::Connect(Box::new(connect("ann"))));
    driver.flow_outputs.clear();
    for _ in 0..3 {
        driver.send(connection, Packet::PingReq);
    }
    assert_eq!(
        reading(&mut driver),
        [(FlowKey::CONTROL, false)],
        "CONNACK and three answers are all that fits"
    );
    driver.send(connection, Packet::PingReq);
    driver.handle(Input::Credit { connection, flow: FlowKey::CONTROL, packets: 1 });
    assert_eq!(reading(&mut driver), [], "what was on its way is still answered, and counts");
    driver.handle(Input::Credit { connection, flow: FlowKey::CONTROL, packets: 1 });
    assert_eq!(reading(&mut driver), [(FlowKey::CONTROL, true)]);
}

#[test]
fn the_same_filter_on_two_flows_is_delivered_on_both_with_identifiers_of_their_own() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    open_flow(&mut driver, connection, DATA);
    subscribe_on(&mut driver, connection, FlowKey::CONTROL, "t");
    subscribe_on(&mut driver, connection, DATA, "t");
    let publisher = driver.join("pub");
    driver.send(publisher, publish1(1, "t", "x"));
    assert_eq!(delivered(&mut driver, connection), (FlowKey::CONTROL, 1, "x".to_owned()));
    assert_eq!(delivered(&mut driver, connection), (DATA, 2, "x".to_owned()));
    driver.send_on(connection, DATA, Packet::PubAck(success(2)));
    driver.send_on(connection, DATA, Packet::PubAck(success(1)));
}

#[test]
fn a_flow_without_credit_holds_up_no_other() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.handle(Input::FlowOpened { connection, flow: DATA, kind: FlowKind::ClientData, credit: 2 });
    subscribe_on(&mut driver, connection, DATA, "slow");
    subscribe_on(&mut driver, connection, FlowKey::CONTROL, "fast");
    driver.send(connection, publish0("slow", "1"));
    driver.send(connection, publish0("fast", "2"));
    assert_eq!(delivered(&mut driver, connection), (FlowKey::CONTROL, 0, "2".to_owned()));
    driver.assert_silent(connection);
    driver.handle(Input::Credit { connection, flow: DATA, packets: 1 });
    assert_eq!(delivered(&mut driver, connection), (DATA, 0, "1".to_owned()));
}

#[test]
fn a_data_flow_that_ends_takes_its_subscriptions_along_and_leaves_what_was_promised() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.handle(Input::FlowOpened { connection, flow: DATA, kind: FlowKind::ClientData, credit: 2 });
    subscribe_on(&mut driver, connection, DATA, "t");
    let publisher = driver.join("pub");
    driver.send(publisher, publish1(1, "t", "promised"));
    driver.assert_silent(connection);
    driver.handle(Input::FlowFinished { connection, flow: DATA });
    assert_eq!(delivered(&mut driver, connection), (FlowKey::CONTROL, 1, "promised".to_owned()));
    assert!(matches!(driver.flow_outputs.last(), Some(Output::FinishFlow { flow: DATA, .. })));
    driver.send(publisher, publish1(2, "t", "late"));
    driver.assert_silent(connection);
}

#[test]
fn a_packet_that_belongs_on_the_control_flow_resets_the_data_flow_alone() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    open_flow(&mut driver, connection, DATA);
    driver.send_on(connection, DATA, disconnect(rivulet_protocol::ReasonCode::Success));
    let violation = Violation::NotOnDataFlow { packet: PacketType::Disconnect };
    let reset = driver.flow_outputs.pop();
    assert!(
        matches!(&reset, Some(Output::ResetFlow { flow: DATA, cause, .. }) if *cause == CloseCause::Violation(violation)),
        "{reset:?}"
    );
    driver.send(connection, Packet::PingReq);
    assert_eq!(driver.packet(connection), Packet::PingResp);
}

/// 4.3.3.
#[test]
fn a_qos_2_exchange_outlives_its_data_flow() {
    let mut driver = Driver::new();
    let connection = driver.join("ann");
    driver.subscribe(connection, "t", QoS::AtMostOnce);
    open_flow(&mut driver, connection, DATA);
    let publish = Packet::Publish(publish_packet("t", "x", PacketQos::ExactlyOnce(id(7))));
    driver.send_on(connection, DATA, publish.clone());
    driver.handle(Input::FlowReset { connection, flow: DATA, code: 0 });
    driver.send(connection, publish);
    driver.send(connection, Packet::PubRel(success(7)));
    let (mut messages, mut packets) = (0, Vec::new());
    while let Some(got) = driver.take(connection) {
        match got {
            Got::Delivery(_) => messages += 1,
            Got::Packet(packet) => packets.push(packet),
        }
    }
    assert_eq!(messages, 1);
    let recs = [Packet::PubRec(success(7)), Packet::PubRec(success(7)), Packet::PubComp(success(7))];
    assert_eq!(packets, recs);
}
