//! Any packet that a version can say.

use bytes::Bytes;
use bytestring::ByteString;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rivulet_protocol::message::PayloadFormat;
use rivulet_protocol::packet::{
    Ack, Auth, AuthProperties, AuthReason, ConnAck, ConnAckProperties, Connect, ConnectProperties,
    Disconnect, DisconnectProperties, Publish, PublishTopic, ReasonProperties, RetainHandling, SubAck,
    Subscribe, Subscription, SubscriptionOptions, UnsubAck, Unsubscribe, Will, WillProperties,
};
use rivulet_protocol::{
    ClientId, MessageProperties, Packet, PacketId, PacketQos, PacketType, QoS, ReasonCode, SubscriptionId,
    Topic, TopicAlias, TopicFilter, UserProperties, Version,
};

pub(crate) fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V3_1, Version::V3_1_1, Version::V5])
}

/// A version and a packet of it.
pub(crate) fn version_and_packet() -> impl Strategy<Value = (Version, Packet)> {
    version().prop_flat_map(|version| packet(version).prop_map(move |packet| (version, packet)))
}

pub(crate) fn packet(version: Version) -> BoxedStrategy<Packet> {
    let v3 = prop_oneof![
        connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))),
        connack(version).prop_map(|connack| Packet::ConnAck(Box::new(connack))),
        publish(version).prop_map(Packet::Publish),
        ack(version, PacketType::PubAck).prop_map(Packet::PubAck),
        ack(version, PacketType::PubRec).prop_map(Packet::PubRec),
        ack(version, PacketType::PubRel).prop_map(Packet::PubRel),
        ack(version, PacketType::PubComp).prop_map(Packet::PubComp),
        subscribe(version).prop_map(Packet::Subscribe),
        suback(version).prop_map(Packet::SubAck),
        unsubscribe(version).prop_map(Packet::Unsubscribe),
        unsuback(version).prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version).prop_map(|disconnect| Packet::Disconnect(Box::new(disconnect))),
    ];
    if version.has_properties() {
        prop_oneof![14 => v3, 1 => auth().prop_map(|auth| Packet::Auth(Box::new(auth)))].boxed()
    } else {
        v3.boxed()
    }
}

fn string() -> impl Strategy<Value = ByteString> {
    vec(any::<char>().prop_filter("[MQTT-1.5.4-2]", |char| *char != '\0'), 0..20)
        .prop_map(|chars| chars.into_iter().collect::<String>().into())
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![9 => binary(), 1 => vec(any::<u8>(), 4_000..20_000).prop_map(Bytes::from)]
}

pub(crate) fn topic() -> impl Strategy<Value = Topic> {
    string().prop_filter_map("[MQTT-4.7.3-1]", |text| Topic::parse(text.replace(['#', '+'], "/")).ok())
}

pub(crate) fn topic_filter() -> impl Strategy<Value = TopicFilter> {
    let level =
        || prop_oneof![4 => topic().prop_map(|topic| topic.as_str().to_owned()), 1 => Just("+".to_owned())];
    let share =
        option::weighted(0.2, "[a-z]{1,4}").prop_map(|name| name.map(|name| format!("$share/{name}/")));
    let levels = vec(level(), 1..4).prop_map(|levels| levels.join("/"));
    let last = select(vec!["", "/#", "/", "/+"]);
    (share, levels, last).prop_filter_map(
        "a text of the form may still be malformed",
        |(share, levels, last)| {
            TopicFilter::parse(format!("{}{levels}{last}", share.unwrap_or_default())).ok()
        },
    )
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    any::<u16>().prop_filter_map("[MQTT-2.2.1-3]", PacketId::new)
}

fn topic_alias() -> impl Strategy<Value = TopicAlias> {
    any::<u16>().prop_filter_map("[MQTT-3.3.2-8]", TopicAlias::new)
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    prop_oneof![1..200_u32, 1..=SubscriptionId::MAX].prop_filter_map("3.8.2.1.2", SubscriptionId::new)
}

fn client_id() -> impl Strategy<Value = ClientId> {
    string().prop_filter_map("an empty one is none", ClientId::parse)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn user_properties() -> impl Strategy<Value = UserProperties> {
    vec((string(), string()), 0..3).prop_map(|pairs| {
        let mut properties = UserProperties::new();
        assert!(pairs.iter().all(|(name, value)| properties.push(name, value)));
        properties
    })
}

/// Nothing before 5.0.
fn only_v5<T: Clone + Default + std::fmt::Debug + 'static>(
    version: Version,
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    if version.has_properties() { strategy.boxed() } else { Just(T::default()).boxed() }
}

fn message_properties() -> impl Strategy<Value = MessageProperties> {
    let format = option::of(select(vec![PayloadFormat::Unspecified, PayloadFormat::Utf8]));
    let texts = (option::of(string()), option::of(topic()), option::of(binary()));
    (format, option::of(any::<u32>()), texts, user_properties()).prop_map(
        |(
            payload_format,
            message_expiry_secs,
            (content_type, response_topic, correlation_data),
            user_properties,
        )| {
            MessageProperties {
                payload_format,
                message_expiry_secs,
                content_type,
                response_topic,
                correlation_data,
                user_properties,
            }
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Connect> {
    let names = (option::of(client_id()), option::of(string()), option::of(binary()));
    let rest = (option::of(will(version)), only_v5(version, connect_properties()));
    (any::<bool>(), any::<bool>(), any::<u16>(), names, rest).prop_map(
        move |(
            is_bridge,
            clean_start,
            keep_alive_secs,
            (client_id, username, password),
            (will, properties),
        )| Connect {
            version,
            is_bridge: is_bridge && !version.has_properties(),
            clean_start,
            keep_alive_secs,
            client_id,
            will,
            password: password.filter(|_| username.is_some() || version.has_properties()),
            username,
            properties,
        },
    )
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let properties = (option::of(any::<u32>()), message_properties())
        .prop_map(|(delay_secs, message)| WillProperties { delay_secs, message });
    (topic(), binary(), qos(), any::<bool>(), only_v5(version, properties)).prop_map(
        |(topic, payload, qos, retain, properties)| Will { topic, payload, qos, retain, properties },
    )
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(1..=u32::MAX),
        option::of(any::<u16>()),
    );
    let information = (option::of(any::<bool>()), option::of(any::<bool>()));
    (numbers, information, user_properties(), option::of((string(), option::of(binary())))).prop_map(
        |(numbers, information, user_properties, authentication)| {
            let (authentication_method, authentication_data) = authentication.unzip();
            ConnectProperties {
                session_expiry_secs: numbers.0,
                receive_maximum: numbers.1,
                maximum_packet_bytes: numbers.2,
                topic_alias_maximum: numbers.3,
                request_response_information: information.0,
                request_problem_information: information.1,
                user_properties,
                authentication_method,
                authentication_data: authentication_data.flatten(),
            }
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = ConnAck> {
    let reasons = if version.has_properties() {
        reasons(PacketType::ConnAck)
    } else {
        (0..=5).filter_map(ReasonCode::from_connect_return_code).collect()
    };
    (any::<bool>(), select(reasons), only_v5(version, connack_properties())).prop_map(
        move |(session_present, reason, properties)| ConnAck {
            session_present: session_present && reason == ReasonCode::Success && version != Version::V3_1,
            reason,
            properties,
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties> {
    let flag = || option::of(any::<bool>());
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(1..=u32::MAX),
        option::of(any::<u16>()),
    );
    let flags = (flag(), flag(), flag(), flag(), option::of(any::<u16>()));
    let texts = (option::of(string()), option::of(string()), option::of(string()), option::of(client_id()));
    let qos = option::of(select(vec![QoS::AtMostOnce, QoS::AtLeastOnce]));
    let authentication = option::of((string(), option::of(binary())));
    (numbers, flags, texts, qos, authentication, user_properties()).prop_map(
        |(numbers, flags, texts, maximum_qos, authentication, user_properties)| {
            let (authentication_method, authentication_data) = authentication.unzip();
            ConnAckProperties {
                session_expiry_secs: numbers.0,
                receive_maximum: numbers.1,
                maximum_qos,
                retain_available: flags.0,
                maximum_packet_bytes: numbers.2,
                assigned_client_id: texts.3,
                topic_alias_maximum: numbers.3,
                reason_string: texts.0,
                user_properties,
                wildcard_subscription_available: flags.1,
                subscription_ids_available: flags.2,
                shared_subscription_available: flags.3,
                server_keep_alive_secs: flags.4,
                response_information: texts.1,
                server_reference: texts.2,
                authentication_method,
                authentication_data: authentication_data.flatten(),
            }
        },
    )
}

pub(crate) fn publish(version: Version) -> impl Strategy<Value = Publish> {
    let qos = prop_oneof![
        Just(PacketQos::AtMostOnce),
        packet_id().prop_map(PacketQos::AtLeastOnce),
        packet_id().prop_map(PacketQos::ExactlyOnce),
    ];
    let name = topic().prop_map(PublishTopic::Name);
    let topic = if version.has_properties() {
        let define = (topic(), topic_alias()).prop_map(|(topic, alias)| PublishTopic::Define(topic, alias));
        prop_oneof![name, define, topic_alias().prop_map(PublishTopic::Alias)].boxed()
    } else {
        name.boxed()
    };
    let properties = (only_v5(version, vec(subscription_id(), 0..5)), only_v5(version, message_properties()));
    (any::<bool>(), any::<bool>(), qos, topic, properties, payload()).prop_map(
        |(dup, retain, qos, topic, (subscription_ids, properties), payload)| Publish {
            dup: dup && qos != PacketQos::AtMostOnce,
            qos,
            retain,
            topic,
            subscription_ids,
            properties,
            payload,
        },
    )
}

/// The codes that a packet may carry.
fn reasons(packet: PacketType) -> Vec<ReasonCode> {
    (0..=255).filter_map(ReasonCode::from_byte).filter(|reason| reason.is_allowed_in(packet)).collect()
}

fn reason_properties() -> impl Strategy<Value = ReasonProperties> {
    (option::of(string()), user_properties())
        .prop_map(|(reason_string, user_properties)| ReasonProperties { reason_string, user_properties })
}

fn ack(version: Version, packet: PacketType) -> impl Strategy<Value = Ack> {
    let reasons = if version.has_properties() { reasons(packet) } else { vec![ReasonCode::Success] };
    (packet_id(), select(reasons), only_v5(version, reason_properties()))
        .prop_map(|(packet_id, reason, properties)| Ack { packet_id, reason, properties })
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let properties = (only_v5(version, option::of(subscription_id())), only_v5(version, user_properties()));
    (packet_id(), properties, vec(subscription(version), 1..4)).prop_map(
        |(packet_id, (subscription_id, user_properties), subscriptions)| Subscribe {
            packet_id,
            subscription_id,
            user_properties,
            subscriptions,
        },
    )
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription> {
    let handlings = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let options = (any::<bool>(), any::<bool>(), select(handlings.to_vec()));
    (topic_filter(), qos(), only_v5(version, option::of(options))).prop_map(
        |(filter, maximum_qos, options)| {
            let (no_local, retain_as_published, retain_handling) = options.unwrap_or_default();
            let no_local = no_local && !filter.is_shared();
            let options = SubscriptionOptions { maximum_qos, no_local, retain_as_published, retain_handling };
            Subscription { filter, options }
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = SubAck> {
    let reasons = if version.has_properties() {
        reasons(PacketType::SubAck)
    } else {
        (0..=255).filter_map(ReasonCode::from_subscribe_return_code).collect()
    };
    (packet_id(), vec(select(reasons), 1..5), only_v5(version, reason_properties()))
        .prop_map(|(packet_id, reasons, properties)| SubAck { packet_id, reasons, properties })
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    (packet_id(), only_v5(version, user_properties()), vec(topic_filter(), 1..4))
        .prop_map(|(packet_id, user_properties, filters)| Unsubscribe { packet_id, user_properties, filters })
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck> {
    let reasons = only_v5(version, vec(select(reasons(PacketType::UnsubAck)), 1..5));
    (packet_id(), reasons, only_v5(version, reason_properties()))
        .prop_map(|(packet_id, reasons, properties)| UnsubAck { packet_id, reasons, properties })
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect> {
    let reasons =
        if version.has_properties() { reasons(PacketType::Disconnect) } else { vec![ReasonCode::Success] };
    let properties = (
        option::of(any::<u32>()),
        option::of(string()),
        user_properties(),
        option::of(string()),
    )
        .prop_map(|(session_expiry_secs, reason_string, user_properties, server_reference)| {
            DisconnectProperties { session_expiry_secs, reason_string, user_properties, server_reference }
        });
    (select(reasons), only_v5(version, properties))
        .prop_map(|(reason, properties)| Disconnect { reason, properties })
}

fn auth() -> impl Strategy<Value = Auth> {
    let reasons = [AuthReason::Success, AuthReason::ContinueAuthentication, AuthReason::ReAuthenticate];
    (select(reasons.to_vec()), string(), option::of(binary()), reason_properties()).prop_map(
        |(reason, method, authentication_data, ReasonProperties { reason_string, user_properties })| Auth {
            reason,
            properties: AuthProperties {
                authentication_method: Some(method),
                authentication_data,
                reason_string,
                user_properties,
            },
        },
    )
}
