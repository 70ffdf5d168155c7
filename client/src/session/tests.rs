use rivulet_protocol::packet::{ConnAckProperties, ReasonProperties, SubAck, UnsubAck};
use rivulet_protocol::{Topic, TopicAlias, UserProperties};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::*;
use crate::{Received, message, subscription};

type Answer<T> = oneshot::Receiver<Result<T, RequestError>>;

fn options() -> Options {
    Options::new("mqtt://localhost").unwrap().topic_alias_maximum(2)
}

fn connack(session_present: bool, properties: ConnAckProperties) -> ConnAck {
    ConnAck { session_present, reason: ReasonCode::Success, properties }
}

fn session_with(options: &Options, properties: ConnAckProperties) -> Session {
    let mut session = Session::new(options);
    session.connected(&connack(false, properties), options).unwrap();
    session
}

fn session() -> Session {
    session_with(&options(), ConnAckProperties::default())
}

fn reconnect(session: &mut Session, session_present: bool) {
    session.lost();
    session.connected(&connack(session_present, ConnAckProperties::default()), &options()).unwrap();
}

fn publish(session: &mut Session, qos: QoS) -> Answer<Published> {
    let (waiter, answer) = oneshot::channel();
    session.request(Request::Publish { message: message("t", "x", qos).unwrap(), waiter });
    answer
}

fn subscribe(session: &mut Session, filters: &[&str]) -> Answer<Vec<ReasonCode>> {
    let (waiter, answer) = oneshot::channel();
    let subscriptions =
        filters.iter().map(|filter| subscription(filter, QoS::AtLeastOnce).unwrap()).collect();
    session.request(Request::Subscribe { subscriptions, terms: SubscribeTerms::default(), waiter });
    answer
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn ok(number: u16) -> Ack {
    Ack::success(id(number))
}

fn suback(number: u16, reasons: &[ReasonCode]) -> Packet {
    let properties = ReasonProperties::default();
    Packet::SubAck(SubAck { packet_id: id(number), reasons: reasons.to_vec(), properties })
}

/// All that goes out, as `(name, identifier, DUP)`.
fn sent(session: &mut Session) -> Vec<(&'static str, u16, bool)> {
    std::iter::from_fn(|| session.poll_send())
        .map(|Sending { packet, .. }| {
            let name = packet.packet_type().name();
            if let Packet::Publish(publish) = &packet {
                return (name, publish.qos.packet_id().map_or(0, PacketId::get), publish.dup);
            }
            if let Packet::PubRec(ack) | Packet::PubComp(ack) = &packet {
                return (name, ack.packet_id.get(), false);
            }
            (name, sending_id(&packet).map_or(0, PacketId::get), false)
        })
        .collect()
}

fn incoming(qos: PacketQos, dup: bool, topic: PublishTopic) -> Packet {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic,
        subscription_ids: Vec::new(),
        properties: Default::default(),
        payload: "x".into(),
    })
}

fn named(topic: &str) -> PublishTopic {
    PublishTopic::Name(Topic::parse(topic).unwrap())
}

fn heard(session: &mut Session, packet: Packet) -> Option<Received> {
    match session.handle(packet).unwrap() {
        Heard::Message(received) => Some(received),
        Heard::Nothing => None,
        Heard::Goodbye(_) => panic!("no goodbye was sent"),
    }
}

#[test]
fn qos_1_is_done_by_puback_with_the_servers_reason() {
    let mut session = session();
    let mut answer = publish(&mut session, QoS::AtLeastOnce);
    assert_eq!(sent(&mut session), [("PUBLISH", 1, false)]);
    assert!(matches!(answer.try_recv(), Err(TryRecvError::Empty)));
    session.handle(Packet::PubAck(Ack::new(id(1), ReasonCode::NoMatchingSubscribers))).unwrap();
    assert_eq!(answer.try_recv().unwrap().unwrap().reason, ReasonCode::NoMatchingSubscribers);
    assert_eq!(session.exchanges.len(), 0);
}

#[test]
fn a_refused_publication_is_over_and_released_by_nobody() {
    let mut session = session();
    let mut answer = publish(&mut session, QoS::ExactlyOnce);
    sent(&mut session);
    session.handle(Packet::PubRec(Ack::new(id(1), ReasonCode::NotAuthorized))).unwrap();
    assert_eq!(sent(&mut session), []);
    let refused = answer.try_recv().unwrap();
    assert!(matches!(refused, Err(RequestError::Refused { reason: ReasonCode::NotAuthorized, .. })));
}

#[test]
fn with_the_session_everything_unfinished_is_sent_again_in_its_order() {
    let mut session = session();
    let _answers: Vec<_> =
        [QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| publish(&mut session, qos)).into();
    sent(&mut session);
    session.handle(Packet::PubRec(ok(1))).unwrap();
    reconnect(&mut session, true);
    assert_eq!(sent(&mut session), [("PUBREL", 1, false), ("PUBLISH", 2, true), ("PUBLISH", 3, true)]);
}

#[test]
fn what_was_never_sent_is_no_repetition() {
    let mut session = session();
    let _answer = publish(&mut session, QoS::AtLeastOnce);
    reconnect(&mut session, true);
    assert_eq!(sent(&mut session), [("PUBLISH", 1, false)]);
}

#[test]
fn without_the_session_qos_1_begins_anew_and_qos_2_that_may_be_there_fails() {
    let mut session = session();
    let mut released = publish(&mut session, QoS::ExactlyOnce);
    let mut unknown = publish(&mut session, QoS::ExactlyOnce);
    let mut again = publish(&mut session, QoS::AtLeastOnce);
    sent(&mut session);
    let mut unsent = publish(&mut session, QoS::ExactlyOnce);
    session.handle(Packet::PubRec(ok(1))).unwrap();
    reconnect(&mut session, false);
    assert!(released.try_recv().unwrap().is_ok());
    assert!(matches!(unknown.try_recv().unwrap(), Err(RequestError::SessionLost)));
    assert!(matches!(again.try_recv(), Err(TryRecvError::Empty)));
    assert!(matches!(unsent.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!(sent(&mut session), [("PUBLISH", 3, false), ("PUBLISH", 4, false)]);
}

#[test]
fn qos_0_that_was_not_sent_when_the_connection_ended_is_not_tried_again() {
    let mut session = session();
    let mut answer = publish(&mut session, QoS::AtMostOnce);
    reconnect(&mut session, true);
    assert_eq!(sent(&mut session), []);
    assert!(matches!(answer.try_recv().unwrap(), Err(RequestError::ConnectionLost)));
}

#[test]
fn granted_subscriptions_are_made_again_only_where_the_session_is_gone() {
    let mut session = session();
    let mut answer = subscribe(&mut session, &["a", "b"]);
    assert_eq!(sent(&mut session), [("SUBSCRIBE", 1, false)]);
    session.handle(suback(1, &[ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized])).unwrap();
    assert_eq!(answer.try_recv().unwrap().unwrap().len(), 2);
    reconnect(&mut session, true);
    assert_eq!(sent(&mut session), []);
    reconnect(&mut session, false);
    assert_eq!(sent(&mut session), [("SUBSCRIBE", 2, false)]);
    session.handle(suback(2, &[ReasonCode::GrantedQoS1])).unwrap();
    let (waiter, _answer) = oneshot::channel();
    let filters = vec![TopicFilter::parse("a").unwrap()];
    session.request(Request::Unsubscribe { filters, waiter });
    sent(&mut session);
    let unsuback =
        UnsubAck { packet_id: id(3), reasons: Vec::new(), properties: ReasonProperties::default() };
    session.handle(Packet::UnsubAck(unsuback)).unwrap();
    reconnect(&mut session, false);
    assert_eq!(sent(&mut session), []);
}

#[test]
fn the_receive_maximum_counts_publications_until_their_last_answer() {
    let properties = ConnAckProperties { receive_maximum: Some(2), ..Default::default() };
    let mut session = session_with(&options(), properties.clone());
    let _answers: Vec<_> = [QoS::ExactlyOnce, QoS::AtLeastOnce].map(|qos| publish(&mut session, qos)).into();
    assert_eq!(session.room(), 0);
    sent(&mut session);
    session.handle(Packet::PubRec(ok(1))).unwrap();
    assert_eq!(session.room(), 0);
    session.handle(Packet::PubComp(ok(1))).unwrap();
    assert_eq!(session.room(), 1);
}

#[test]
fn a_smaller_receive_maximum_holds_back_what_is_sent_again() {
    let mut session = session();
    let _answers: Vec<_> = [QoS::AtLeastOnce; 3].map(|qos| publish(&mut session, qos)).into();
    sent(&mut session);
    session.lost();
    let properties = ConnAckProperties { receive_maximum: Some(2), ..Default::default() };
    session.connected(&connack(true, properties), &options()).unwrap();
    assert_eq!(sent(&mut session), [("PUBLISH", 1, true), ("PUBLISH", 2, true)]);
    session.handle(Packet::PubAck(ok(2))).unwrap();
    assert_eq!(sent(&mut session), [("PUBLISH", 3, true)]);
}

#[test]
fn identifiers_in_use_are_passed_over_and_1_follows_65535() {
    let mut session = session();
    let _first = publish(&mut session, QoS::AtLeastOnce);
    session.exchanges.set_last_id(id(u16::MAX - 1));
    let _second = publish(&mut session, QoS::AtLeastOnce);
    let _third = publish(&mut session, QoS::AtLeastOnce);
    let ids: Vec<_> = sent(&mut session).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, [1, u16::MAX, 2]);
}

#[test]
fn what_the_server_does_not_support_is_refused_here() {
    let properties = ConnAckProperties {
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        ..Default::default()
    };
    let mut session = session_with(&options(), properties);
    let refused = publish(&mut session, QoS::ExactlyOnce).try_recv().unwrap();
    assert!(matches!(refused, Err(RequestError::QosNotSupported { allowed: QoS::AtLeastOnce, .. })));
    let (waiter, mut answer) = oneshot::channel();
    let mut retained = message("t", "x", QoS::AtMostOnce).unwrap();
    retained.retain = true;
    session.request(Request::Publish { message: retained, waiter });
    assert!(matches!(answer.try_recv().unwrap(), Err(RequestError::RetainNotSupported)));
    let mut nothing = subscribe(&mut session, &[]);
    assert!(matches!(nothing.try_recv().unwrap(), Err(RequestError::Unsendable(_))));
    assert_eq!(sent(&mut session), []);
}

#[test]
fn a_repeated_qos_2_publish_is_acknowledged_again_and_heard_once() {
    let mut session = session();
    let qos = PacketQos::ExactlyOnce(id(7));
    assert!(heard(&mut session, incoming(qos, false, named("t"))).is_some());
    assert!(heard(&mut session, incoming(qos, true, named("t"))).is_none());
    assert_eq!(sent(&mut session), [("PUBREC", 7, false), ("PUBREC", 7, false)]);
    reconnect(&mut session, true);
    assert!(heard(&mut session, incoming(qos, true, named("t"))).is_none());
    heard(&mut session, Packet::PubRel(ok(7)));
    assert_eq!(sent(&mut session), [("PUBREC", 7, false), ("PUBCOMP", 7, false)]);
    assert!(heard(&mut session, incoming(qos, false, named("t"))).is_some());
}

#[test]
fn a_release_of_what_is_not_known_is_answered_so_that_the_server_can_finish() {
    let reason = |version| {
        let mut session = session_with(&options().version(version), ConnAckProperties::default());
        heard(&mut session, Packet::PubRel(ok(9)));
        let Packet::PubComp(ack) = session.poll_send().unwrap().packet else { panic!("no PUBCOMP") };
        ack.reason
    };
    assert_eq!(reason(Version::V5), ReasonCode::PacketIdentifierNotFound);
    assert_eq!(reason(Version::V3_1_1), ReasonCode::Success);
}

#[test]
fn a_received_message_of_a_repeated_exchange_is_released_too() {
    let mut session = session();
    session.handle(Packet::PubRec(ok(3))).unwrap();
    assert_eq!(sent(&mut session), [("PUBREL", 3, false)]);
}

#[test]
fn a_topic_alias_stands_for_its_topic_until_the_connection_ends() {
    let mut session = session();
    let alias = TopicAlias::new(2).unwrap();
    let define = PublishTopic::Define(Topic::parse("long/topic").unwrap(), alias);
    heard(&mut session, incoming(PacketQos::AtMostOnce, false, define)).unwrap();
    let used = incoming(PacketQos::AtMostOnce, false, PublishTopic::Alias(alias));
    assert_eq!(heard(&mut session, used.clone()).unwrap().message.topic.as_str(), "long/topic");
    reconnect(&mut session, true);
    assert_eq!(session.handle(used).unwrap_err(), ServerFault::TopicAlias { alias: 2, max: 2 });
    let beyond = PublishTopic::Define(Topic::parse("t").unwrap(), TopicAlias::new(3).unwrap());
    let fault = session.handle(incoming(PacketQos::AtMostOnce, false, beyond)).unwrap_err();
    assert_eq!(fault, ServerFault::TopicAlias { alias: 3, max: 2 });
}

#[test]
fn more_unreleased_messages_than_we_allow_are_a_fault() {
    let options = options().receive_maximum(2.try_into().unwrap());
    let mut session = session_with(&options, ConnAckProperties::default());
    let publish = |number| incoming(PacketQos::ExactlyOnce(id(number)), false, named("t"));
    heard(&mut session, publish(1)).unwrap();
    heard(&mut session, publish(2)).unwrap();
    assert_eq!(session.handle(publish(3)).unwrap_err(), ServerFault::ReceiveMaximum { max: 2 });
}

#[test]
fn an_answer_of_the_wrong_kind_is_a_fault_and_one_to_nothing_is_not() {
    let mut session = session();
    let _answer = publish(&mut session, QoS::AtLeastOnce);
    for packet in [Packet::PubRec(ok(1)), Packet::PubComp(ok(1)), suback(1, &[])] {
        let fault = session.handle(packet).unwrap_err();
        assert!(matches!(fault, ServerFault::WrongAnswer { id: 1, .. }), "{fault}");
    }
    for packet in [Packet::PubAck(ok(99)), Packet::PubComp(ok(99)), suback(99, &[])] {
        session.handle(packet).unwrap();
    }
}

#[test]
fn reason_codes_that_do_not_match_the_filters_are_a_fault() {
    let mut session = session();
    let _answer = subscribe(&mut session, &["a", "b"]);
    let fault = session.handle(suback(1, &[ReasonCode::Success])).unwrap_err();
    assert_eq!(fault, ServerFault::ReasonCount { sent: 2, answered: 1 });
}

#[test]
fn packets_that_only_clients_send_are_faults() {
    let mut session = session();
    let unsubscribe = Packet::Unsubscribe(Unsubscribe {
        packet_id: id(1),
        user_properties: UserProperties::new(),
        filters: vec![TopicFilter::parse("a").unwrap()],
    });
    for packet in [Packet::PingReq, unsubscribe] {
        let packet_type = packet.packet_type();
        assert_eq!(session.handle(packet).unwrap_err(), ServerFault::UnexpectedPacket(packet_type));
    }
    session.handle(Packet::PingResp).unwrap();
}

#[test]
fn a_session_where_a_clean_start_was_asked_for_is_a_fault() {
    let mut session = Session::new(&options());
    let fault = session.connected(&connack(true, ConnAckProperties::default()), &options()).unwrap_err();
    assert_eq!(fault, ServerFault::SessionPresent);
}

#[test]
fn a_clean_session_of_3_1_1_stays_clean_and_a_clean_start_of_5_0_is_for_the_first_connection() {
    let clean_after = |version| session_with(&options().version(version), Default::default()).clean_start();
    assert!(clean_after(Version::V3_1_1));
    assert!(!clean_after(Version::V5));
}
