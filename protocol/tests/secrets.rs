//! Nothing that is printed shows a password, authentication data or a payload.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

use std::sync::Arc;

use bytes::Bytes;
use rivulet_protocol::packet::{
    Auth, AuthProperties, AuthReason, ConnAck, ConnAckProperties, Connect, ConnectProperties, Publish,
    PublishTopic, Will, WillProperties,
};
use rivulet_protocol::{
    Delivery, Message, MessageProperties, Packet, PacketQos, QoS, ReasonCode, Topic, Version,
};

const SECRET: &[u8] = b"hunter2-hunter2";

fn topic() -> Topic {
    Topic::parse("a/b").unwrap()
}

fn secret() -> Bytes {
    Bytes::from_static(SECRET)
}

fn properties() -> MessageProperties {
    MessageProperties { correlation_data: Some(secret()), ..Default::default() }
}

fn assert_redacted(printed: &str) {
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(!printed.contains(&format!("{SECRET:?}")[1..20]), "{printed}");
    assert!(printed.contains("<15 bytes>"), "{printed}");
}

#[test]
fn a_connect_is_printed_whole_but_for_its_secrets() {
    let connect = Connect {
        version: Version::V5,
        is_bridge: false,
        clean_start: true,
        keep_alive_secs: 60,
        client_id: None,
        will: Some(Will {
            topic: topic(),
            payload: secret(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: WillProperties { delay_secs: None, message: properties() },
        }),
        username: Some("alice".into()),
        password: Some(secret()),
        properties: ConnectProperties { authentication_data: Some(secret()), ..Default::default() },
    };
    let printed = format!("{:?} {connect:#?}", Packet::Connect(Box::new(connect.clone())));
    assert_redacted(&printed);
    for part in ["alice", "keep_alive_secs: 60", "a/b", "authentication_data", "password"] {
        assert!(printed.contains(part), "{part} is missing in {printed}");
    }
}

#[test]
fn a_publish_and_a_delivery_are_printed_without_their_payload() {
    let publish = Publish {
        dup: false,
        qos: PacketQos::AtMostOnce,
        retain: false,
        topic: PublishTopic::Name(topic()),
        subscription_ids: Vec::new(),
        properties: properties(),
        payload: secret(),
    };
    assert_redacted(&format!("{:?}", Packet::Publish(publish)));
    let message = Message {
        topic: topic(),
        qos: QoS::AtMostOnce,
        retain: false,
        payload: secret(),
        properties: properties(),
    };
    let delivery = Delivery {
        message: Arc::new(message),
        qos: PacketQos::AtMostOnce,
        dup: false,
        retain: false,
        subscription_ids: Vec::new(),
        message_expiry_secs: None,
        topic_alias: None,
    };
    assert_redacted(&format!("{delivery:?}"));
}

#[test]
fn authentication_data_is_never_printed() {
    let auth = Auth {
        reason: AuthReason::ContinueAuthentication,
        properties: AuthProperties { authentication_data: Some(secret()), ..Default::default() },
    };
    assert_redacted(&format!("{:?}", Packet::Auth(Box::new(auth))));
    let connack = ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: ConnAckProperties { authentication_data: Some(secret()), ..Default::default() },
    };
    assert_redacted(&format!("{:?}", Packet::ConnAck(Box::new(connack))));
}
