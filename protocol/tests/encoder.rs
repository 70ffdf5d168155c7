//! What the encoder refuses, what it leaves out, and how it gathers.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rivulet_protocol::message::OutboundAlias;
use rivulet_protocol::packet::{
    Ack, Auth, AuthProperties, AuthReason, ConnAck, ConnAckProperties, Disconnect, Publish, PublishTopic,
    ReasonProperties, SubAck, Subscribe, Unsubscribe,
};
use rivulet_protocol::{
    Decoder, Delivery, EncodeError, Encoder, Message, MessageProperties, OutBuffer, Packet, PacketId,
    PacketQos, PacketType, QoS, ReasonCode, SubscriptionId, Topic, TopicAlias, UserProperties, Version,
};

/// What a peer without a limit takes.
const NO_LIMIT: usize = usize::MAX;

fn encode(version: Version, max: usize, packet: &Packet) -> Result<Vec<u8>, EncodeError> {
    let mut out = OutBuffer::new();
    let encoded = Encoder::new(version, max).encode(packet, &mut out);
    let bytes = out.take().concat();
    if encoded.is_err() {
        assert!(bytes.is_empty(), "nothing is written of a packet that is refused");
    }
    encoded.map(|()| bytes)
}

fn user_properties(name: &str, value: &str) -> UserProperties {
    let mut properties = UserProperties::new();
    assert!(properties.push(name, value));
    properties
}

fn explained(reason: &str, value: &str) -> ReasonProperties {
    ReasonProperties { reason_string: Some(reason.into()), user_properties: user_properties("k", value) }
}

fn delivery(payload: Bytes) -> Delivery {
    let message = Message {
        topic: Topic::parse("a/b").unwrap(),
        qos: QoS::ExactlyOnce,
        retain: true,
        payload,
        properties: MessageProperties { message_expiry_secs: Some(60), ..Default::default() },
    };
    Delivery {
        message: Arc::new(message),
        qos: PacketQos::AtLeastOnce(PacketId::MIN),
        dup: false,
        retain: false,
        subscription_ids: vec![SubscriptionId::new(7).unwrap()],
        message_expiry_secs: Some(10),
        topic_alias: None,
    }
}

fn written(version: Version, delivery: &Delivery) -> Publish {
    let mut out = OutBuffer::new();
    Encoder::new(version, NO_LIMIT).encode_delivery(delivery, &mut out).unwrap();
    let mut buffer = BytesMut::from(&out.take().concat()[..]);
    let decoded = Decoder::with_version(version, 10_000_000).decode(&mut buffer).unwrap();
    let Some(Packet::Publish(publish)) = decoded else { panic!("{decoded:?}") };
    publish
}

#[test]
fn a_delivery_carries_what_its_hop_says_and_not_what_the_publisher_said() {
    let publish = written(Version::V5, &delivery(Bytes::from_static(b"hi")));
    assert_eq!(publish.qos, PacketQos::AtLeastOnce(PacketId::MIN));
    assert!(!publish.retain && !publish.dup);
    assert_eq!(publish.topic, PublishTopic::Name(Topic::parse("a/b").unwrap()));
    assert_eq!(publish.subscription_ids, [SubscriptionId::new(7).unwrap()]);
    assert_eq!(publish.properties.message_expiry_secs, Some(10)); // [MQTT-3.3.2-6]
    assert_eq!(publish.payload, "hi");
}

#[test]
fn a_delivery_to_3_1_1_has_no_properties() {
    let mut out = OutBuffer::new();
    let encoder = Encoder::new(Version::V3_1_1, NO_LIMIT);
    encoder.encode_delivery(&delivery(Bytes::from_static(b"hi")), &mut out).unwrap();
    assert_eq!(out.take().concat(), b"\x32\x09\0\x03a/b\0\x01hi");
}

#[test]
fn a_delivery_names_its_topic_by_alias_where_there_are_aliases() {
    let alias = TopicAlias::new(3).unwrap();
    let topic = Topic::parse("a/b").unwrap();
    let mut delivery = delivery(Bytes::new());
    delivery.topic_alias = Some(OutboundAlias::Define(alias));
    assert_eq!(written(Version::V5, &delivery).topic, PublishTopic::Define(topic.clone(), alias));
    assert_eq!(written(Version::V3_1_1, &delivery).topic, PublishTopic::Name(topic.clone()));
    delivery.topic_alias = Some(OutboundAlias::Use(alias));
    assert_eq!(written(Version::V5, &delivery).topic, PublishTopic::Alias(alias));
    assert_eq!(written(Version::V3_1_1, &delivery).topic, PublishTopic::Name(topic));
}

#[test]
fn dup_is_never_written_with_qos_0() {
    // [MQTT-3.3.1-2]
    let mut delivery = delivery(Bytes::new());
    delivery.dup = true;
    assert!(written(Version::V5, &delivery).dup);
    delivery.qos = PacketQos::AtMostOnce;
    assert!(!written(Version::V5, &delivery).dup);
}

#[test]
fn small_packets_are_gathered_and_a_large_payload_is_a_chunk_of_its_own() {
    let mut out = OutBuffer::new();
    let encoder = Encoder::new(Version::V5, NO_LIMIT);
    let large = Bytes::from(vec![b'x'; 100_000]);
    encoder.encode(&Packet::PingReq, &mut out).unwrap();
    encoder.encode_delivery(&delivery(Bytes::from_static(b"small")), &mut out).unwrap();
    encoder.encode_delivery(&delivery(large.clone()), &mut out).unwrap();
    encoder.encode(&Packet::PingResp, &mut out).unwrap();
    let bytes = out.len();
    let chunks = out.take();
    assert_eq!(chunks.len(), 3);
    assert_eq!(chunks[1].as_ptr(), large.as_ptr());
    assert_eq!(chunks[2], &b"\xD0\0"[..]);
    assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), bytes);
    assert!(out.is_empty() && out.take().is_empty());
}

#[test]
fn a_packet_is_refused_one_byte_above_what_the_peer_takes() {
    // [MQTT-3.1.2-24]
    let packet = Packet::Publish(Publish {
        dup: false,
        qos: PacketQos::AtMostOnce,
        retain: false,
        topic: PublishTopic::Name(Topic::parse("t").unwrap()),
        subscription_ids: Vec::new(),
        properties: MessageProperties::default(),
        payload: Bytes::from(vec![0; 200]),
    });
    let bytes = 1 + 2 + 2 + 1 + 1 + 200; // type, remaining length, topic, properties, payload
    assert_eq!(encode(Version::V5, bytes, &packet).unwrap().len(), bytes);
    let refused = Err(EncodeError::PacketTooLarge { bytes, max: bytes - 1 });
    assert_eq!(encode(Version::V5, bytes - 1, &packet), refused);
    let mut out = OutBuffer::new();
    let delivery = delivery(Bytes::from(vec![0; 200]));
    assert!(Encoder::new(Version::V5, 200).encode_delivery(&delivery, &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn a_packet_gives_up_user_properties_first_and_then_its_reason_string() {
    // [MQTT-3.4.2-2], [MQTT-3.4.2-3]
    let ack =
        Ack { properties: explained("why", "value"), ..Ack::new(PacketId::MIN, ReasonCode::QuotaExceeded) };
    let packet = Packet::PubAck(ack);
    let full = encode(Version::V5, NO_LIMIT, &packet).unwrap();
    assert_eq!(encode(Version::V5, full.len(), &packet).unwrap(), full);
    let without_pair = b"\x40\x0A\0\x01\x97\x06\x1F\0\x03why";
    assert_eq!(encode(Version::V5, full.len() - 1, &packet).unwrap(), without_pair);
    assert_eq!(encode(Version::V5, without_pair.len(), &packet).unwrap(), without_pair);
    assert_eq!(encode(Version::V5, without_pair.len() - 1, &packet).unwrap(), b"\x40\x03\0\x01\x97");
    assert_eq!(encode(Version::V5, 5, &packet).unwrap(), b"\x40\x03\0\x01\x97");
    assert_eq!(encode(Version::V5, 4, &packet), Err(EncodeError::PacketTooLarge { bytes: 5, max: 4 }));
}

#[test]
fn every_packet_that_explains_can_do_without() {
    // [MQTT-3.2.2-19, 3.2.2-20, 3.9.2-1, 3.9.2-2, 3.14.2-3, 3.14.2-4, 3.15.2-2, 3.15.2-3]
    let ReasonProperties { reason_string, user_properties } = explained("why", "value");
    let connack = ConnAckProperties {
        reason_string: reason_string.clone(),
        user_properties: user_properties.clone(),
        receive_maximum: Some(5),
        ..Default::default()
    };
    let mut disconnect = Disconnect::new(ReasonCode::ServerMoved);
    disconnect.properties.reason_string = reason_string.clone();
    disconnect.properties.user_properties = user_properties.clone();
    disconnect.properties.server_reference = Some("b".into());
    let auth = AuthProperties {
        authentication_method: Some("m".into()),
        authentication_data: None,
        reason_string,
        user_properties,
    };
    let suback = SubAck {
        packet_id: PacketId::MIN,
        reasons: vec![ReasonCode::Success],
        properties: explained("why", "value"),
    };
    let cases = [
        (
            Packet::ConnAck(Box::new(ConnAck {
                session_present: false,
                reason: ReasonCode::Success,
                properties: connack,
            })),
            &b"\x20\x06\0\0\x03\x21\0\x05"[..],
        ),
        (Packet::SubAck(suback), b"\x90\x04\0\x01\0\0"),
        (Packet::Disconnect(Box::new(disconnect)), b"\xE0\x06\x9D\x04\x1C\0\x01b"),
        (
            Packet::Auth(Box::new(Auth { reason: AuthReason::ContinueAuthentication, properties: auth })),
            b"\xF0\x06\x18\x04\x15\0\x01m",
        ),
    ];
    for (packet, least) in cases {
        assert_eq!(encode(Version::V5, least.len(), &packet).unwrap(), least, "{packet:?}");
        assert!(encode(Version::V5, least.len() - 1, &packet).is_err());
    }
}

#[test]
fn user_properties_of_a_publish_are_never_left_out() {
    // [MQTT-3.3.2-17]
    let mut delivery = delivery(Bytes::new());
    Arc::make_mut(&mut delivery.message).properties.user_properties = user_properties("k", &"v".repeat(100));
    let mut out = OutBuffer::new();
    let refused = Encoder::new(Version::V5, 100).encode_delivery(&delivery, &mut out);
    assert!(matches!(refused, Err(EncodeError::PacketTooLarge { .. })));
}

#[test]
fn a_field_that_two_length_bytes_cannot_say_is_refused() {
    let too_long = "x".repeat(65_536);
    let mut ack = Ack::success(PacketId::MIN);
    ack.properties.reason_string = Some(too_long.as_str().into());
    let refused = Err(EncodeError::FieldTooLong { bytes: 65_536 });
    assert_eq!(encode(Version::V5, NO_LIMIT, &Packet::PubAck(ack)), refused);
    let mut delivery = delivery(Bytes::new());
    Arc::make_mut(&mut delivery.message).properties.correlation_data = Some(too_long.into());
    let mut out = OutBuffer::new();
    assert_eq!(Encoder::new(Version::V5, NO_LIMIT).encode_delivery(&delivery, &mut out), refused.map(|_| ()));
    assert!(out.is_empty());
}

#[test]
fn a_reason_code_that_the_packet_may_not_carry_is_refused() {
    let packet = PacketType::PubRel;
    let reason = ReasonCode::QuotaExceeded;
    let ack = Packet::PubRel(Ack::new(PacketId::MIN, reason));
    assert_eq!(encode(Version::V5, NO_LIMIT, &ack), Err(EncodeError::ReasonNotAllowed { packet, reason }));
}

#[test]
fn what_3_1_1_cannot_say_is_refused() {
    let version = Version::V3_1_1;
    let refused = |packet| Err(EncodeError::NotInVersion { packet, version });
    let connack = |reason| {
        Packet::ConnAck(Box::new(ConnAck {
            session_present: false,
            reason,
            properties: ConnAckProperties::default(),
        }))
    };
    let disconnect = |reason| Packet::Disconnect(Box::new(Disconnect::new(reason)));
    let auth = Auth { reason: AuthReason::Success, properties: AuthProperties::default() };
    let encode = |packet| encode(version, NO_LIMIT, &packet);
    assert_eq!(encode(Packet::Auth(Box::new(auth))), refused(PacketType::Auth));
    assert_eq!(encode(connack(ReasonCode::MalformedPacket)), refused(PacketType::ConnAck));
    assert_eq!(encode(connack(ReasonCode::Banned)).unwrap(), b"\x20\x02\0\x05");
    assert_eq!(encode(disconnect(ReasonCode::ServerShuttingDown)), refused(PacketType::Disconnect));
    assert_eq!(encode(disconnect(ReasonCode::DisconnectWithWillMessage)), refused(PacketType::Disconnect));
    assert_eq!(encode(disconnect(ReasonCode::Success)).unwrap(), b"\xE0\0");
}

#[test]
fn an_acknowledgement_to_3_1_1_has_neither_reason_nor_properties() {
    let mut ack = Ack::new(PacketId::MIN, ReasonCode::QuotaExceeded);
    ack.properties = explained("why", "value");
    assert_eq!(encode(Version::V3_1_1, NO_LIMIT, &Packet::PubAck(ack)).unwrap(), b"\x40\x02\0\x01");
}

#[test]
fn every_refusal_of_a_subscription_is_0x80_in_3_1_1() {
    let reasons = vec![ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized, ReasonCode::TopicFilterInvalid];
    let suback = SubAck { packet_id: PacketId::MIN, reasons, properties: explained("why", "value") };
    assert_eq!(
        encode(Version::V3_1_1, NO_LIMIT, &Packet::SubAck(suback)).unwrap(),
        b"\x90\x05\0\x01\x02\x80\x80"
    );
}

#[test]
fn a_packet_without_its_filters_is_refused() {
    // [MQTT-3.8.3-2], [MQTT-3.10.3-2]
    let subscribe = Subscribe {
        packet_id: PacketId::MIN,
        subscription_id: None,
        user_properties: UserProperties::new(),
        subscriptions: Vec::new(),
    };
    let unsubscribe =
        Unsubscribe { packet_id: PacketId::MIN, user_properties: UserProperties::new(), filters: Vec::new() };
    for packet in [Packet::Subscribe(subscribe), Packet::Unsubscribe(unsubscribe)] {
        let refused = Err(EncodeError::Empty { packet: packet.packet_type() });
        assert_eq!(encode(Version::V5, NO_LIMIT, &packet), refused);
    }
}
