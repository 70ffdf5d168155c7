//! What `mqttbytes` has read, as one of our packets. `None` if ours cannot say it.

use bytes::{Bytes, BytesMut};
use mqttbytes::{Error, v4, v5};
use rivulet_protocol::message::PayloadFormat;
use rivulet_protocol::packet::{
    Ack, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, DisconnectProperties, Publish,
    PublishTopic, ReasonProperties, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions,
    UnsubAck, Unsubscribe, Will, WillProperties,
};
use rivulet_protocol::{
    ClientId, MessageProperties, Packet, PacketId, PacketQos, QoS, ReasonCode, SubscriptionId, Topic,
    TopicAlias, TopicFilter, UserProperties, Version,
};

type Pairs = Vec<(String, String)>;

/// Reads one packet as `mqttbytes` does.
pub(crate) fn read(version: Version, bytes: &[u8]) -> Result<Option<Packet>, Error> {
    let mut buffer = BytesMut::from(bytes);
    if version.has_properties() {
        v5::read(&mut buffer, bytes.len()).map(of_v5)
    } else {
        v4::read(&mut buffer, bytes.len()).map(of_v4)
    }
}

fn qos(level: mqttbytes::QoS) -> Option<QoS> {
    QoS::from_bits(level as u8)
}

fn packet_qos(level: mqttbytes::QoS, id: u16) -> Option<PacketQos> {
    Some(match qos(level)? {
        QoS::AtMostOnce => PacketQos::AtMostOnce,
        QoS::AtLeastOnce => PacketQos::AtLeastOnce(PacketId::new(id)?),
        QoS::ExactlyOnce => PacketQos::ExactlyOnce(PacketId::new(id)?),
    })
}

/// An absent text of ours is an empty one of theirs.
fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn optional_topic(text: Option<String>) -> Option<Option<Topic>> {
    text.map(|text| Topic::parse(text).ok()).map_or(Some(None), |topic| topic.map(Some))
}

fn user_properties(pairs: Pairs) -> Option<UserProperties> {
    let mut properties = UserProperties::new();
    pairs.iter().all(|(name, value)| properties.push(name, value)).then_some(properties)
}

fn reason_properties(reason_string: Option<String>, pairs: Pairs) -> Option<ReasonProperties> {
    Some(ReasonProperties {
        reason_string: reason_string.map(Into::into),
        user_properties: user_properties(pairs)?,
    })
}

fn of_v4(packet: v4::Packet) -> Option<Packet> {
    let ack = |id| PacketId::new(id).map(Ack::success);
    Some(match packet {
        v4::Packet::Connect(connect) => Packet::Connect(Box::new(connect_of_v4(connect)?)),
        v4::Packet::ConnAck(connack) => Packet::ConnAck(Box::new(ConnAck {
            session_present: connack.session_present,
            reason: ReasonCode::from_connect_return_code(connack.code as u8)?,
            properties: ConnAckProperties::default(),
        })),
        v4::Packet::Publish(publish) => Packet::Publish(Publish {
            dup: publish.dup,
            qos: packet_qos(publish.qos, publish.pkid)?,
            retain: publish.retain,
            topic: PublishTopic::Name(Topic::parse(publish.topic).ok()?),
            subscription_ids: Vec::new(),
            properties: MessageProperties::default(),
            payload: publish.payload,
        }),
        v4::Packet::PubAck(puback) => Packet::PubAck(ack(puback.pkid)?),
        v4::Packet::PubRec(pubrec) => Packet::PubRec(ack(pubrec.pkid)?),
        v4::Packet::PubRel(pubrel) => Packet::PubRel(ack(pubrel.pkid)?),
        v4::Packet::PubComp(pubcomp) => Packet::PubComp(ack(pubcomp.pkid)?),
        v4::Packet::Subscribe(subscribe) => {
            let subscriptions = subscribe.filters.into_iter().map(|filter| {
                let options = SubscriptionOptions { maximum_qos: qos(filter.qos)?, ..Default::default() };
                Some(Subscription { filter: TopicFilter::parse(filter.path).ok()?, options })
            });
            Packet::Subscribe(Subscribe {
                packet_id: PacketId::new(subscribe.pkid)?,
                subscription_id: None,
                user_properties: UserProperties::new(),
                subscriptions: subscriptions.collect::<Option<_>>()?,
            })
        }
        v4::Packet::SubAck(suback) => Packet::SubAck(SubAck {
            packet_id: PacketId::new(suback.pkid)?,
            reasons: suback.return_codes.into_iter().map(suback_reason_of_v4).collect::<Option<_>>()?,
            properties: ReasonProperties::default(),
        }),
        v4::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::new(unsubscribe.pkid)?,
            user_properties: UserProperties::new(),
            filters: filters(unsubscribe.topics)?,
        }),
        v4::Packet::UnsubAck(unsuback) => Packet::UnsubAck(UnsubAck {
            packet_id: PacketId::new(unsuback.pkid)?,
            reasons: Vec::new(),
            properties: ReasonProperties::default(),
        }),
        v4::Packet::PingReq => Packet::PingReq,
        v4::Packet::PingResp => Packet::PingResp,
        v4::Packet::Disconnect => Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success))),
    })
}

fn connect_of_v4(connect: v4::Connect) -> Option<Connect> {
    let (username, password) = connect.login.map(|login| (login.username, login.password)).unzip();
    let will = connect.last_will.map(|will| {
        Some(Will {
            topic: Topic::parse(will.topic).ok()?,
            payload: will.message,
            qos: qos(will.qos)?,
            retain: will.retain,
            properties: WillProperties::default(),
        })
    });
    Some(Connect {
        version: Version::V3_1_1,
        is_bridge: false,
        clean_start: connect.clean_session,
        keep_alive_secs: connect.keep_alive,
        client_id: ClientId::parse(connect.client_id),
        will: will.map_or(Some(None), |will| will.map(Some))?,
        username: username.and_then(filled).map(Into::into),
        password: password.and_then(filled).map(Bytes::from),
        properties: ConnectProperties::default(),
    })
}

fn suback_reason_of_v4(code: v4::SubscribeReasonCode) -> Option<ReasonCode> {
    ReasonCode::from_byte(match code {
        v4::SubscribeReasonCode::Success(level) => level as u8,
        v4::SubscribeReasonCode::Failure => 0x80,
    })
}

fn filters(texts: Vec<String>) -> Option<Vec<TopicFilter>> {
    texts.into_iter().map(|text| TopicFilter::parse(text).ok()).collect()
}

fn ack(id: u16, reason: u8, properties: Option<ReasonProperties>) -> Option<Ack> {
    Some(Ack {
        packet_id: PacketId::new(id)?,
        reason: ReasonCode::from_byte(reason)?,
        properties: properties.unwrap_or_default(),
    })
}

/// Their four acknowledgements, SUBACK and UNSUBACK have the same two properties in types of their own.
macro_rules! reasons {
    ($properties:expr) => {
        match $properties {
            Some(properties) => {
                Some(reason_properties(properties.reason_string, properties.user_properties)?)
            }
            None => None,
        }
    };
}

fn of_v5(packet: v5::Packet) -> Option<Packet> {
    Some(match packet {
        v5::Packet::Connect(connect) => Packet::Connect(Box::new(connect_of_v5(connect)?)),
        v5::Packet::ConnAck(connack) => Packet::ConnAck(Box::new(connack_of_v5(connack)?)),
        v5::Packet::Publish(publish) => Packet::Publish(publish_of_v5(publish)?),
        v5::Packet::PubAck(it) => Packet::PubAck(ack(it.pkid, it.reason as u8, reasons!(it.properties))?),
        v5::Packet::PubRec(it) => Packet::PubRec(ack(it.pkid, it.reason as u8, reasons!(it.properties))?),
        v5::Packet::PubRel(it) => Packet::PubRel(ack(it.pkid, it.reason as u8, reasons!(it.properties))?),
        v5::Packet::PubComp(it) => Packet::PubComp(ack(it.pkid, it.reason as u8, reasons!(it.properties))?),
        v5::Packet::Subscribe(subscribe) => Packet::Subscribe(subscribe_of_v5(subscribe)?),
        v5::Packet::SubAck(it) => Packet::SubAck(SubAck {
            packet_id: PacketId::new(it.pkid)?,
            reasons: it
                .return_codes
                .iter()
                .map(|code| ReasonCode::from_byte(*code as u8))
                .collect::<Option<_>>()?,
            properties: reasons!(it.properties).unwrap_or_default(),
        }),
        v5::Packet::Unsubscribe(it) => Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::new(it.pkid)?,
            user_properties: user_properties(
                it.properties.map(|own| own.user_properties).unwrap_or_default(),
            )?,
            filters: filters(it.filters)?,
        }),
        v5::Packet::UnsubAck(it) => Packet::UnsubAck(UnsubAck {
            packet_id: PacketId::new(it.pkid)?,
            reasons: it
                .reasons
                .iter()
                .map(|code| ReasonCode::from_byte(*code as u8))
                .collect::<Option<_>>()?,
            properties: reasons!(it.properties).unwrap_or_default(),
        }),
        v5::Packet::PingReq => Packet::PingReq,
        v5::Packet::PingResp => Packet::PingResp,
        v5::Packet::Disconnect(disconnect) => Packet::Disconnect(Box::new(disconnect_of_v5(disconnect)?)),
    })
}

fn connect_of_v5(connect: v5::Connect) -> Option<Connect> {
    let (username, password) = connect.login.map(|login| (login.username, login.password)).unzip();
    let will = match connect.last_will {
        Some(will) => Some(will_of_v5(will)?),
        None => None,
    };
    let properties = match connect.properties {
        Some(own) => ConnectProperties {
            session_expiry_secs: own.session_expiry_interval,
            receive_maximum: own.receive_maximum,
            maximum_packet_bytes: own.max_packet_size,
            topic_alias_maximum: own.topic_alias_max,
            request_response_information: own.request_response_info.map(|value| value == 1),
            request_problem_information: own.request_problem_info.map(|value| value == 1),
            user_properties: user_properties(own.user_properties)?,
            authentication_method: own.authentication_method.map(Into::into),
            authentication_data: own.authentication_data,
        },
        None => ConnectProperties::default(),
    };
    Some(Connect {
        version: Version::V5,
        is_bridge: false,
        clean_start: connect.clean_session,
        keep_alive_secs: connect.keep_alive,
        client_id: ClientId::parse(connect.client_id),
        will,
        username: username.and_then(filled).map(Into::into),
        password: password.and_then(filled).map(Bytes::from),
        properties,
    })
}

fn will_of_v5(will: v5::LastWill) -> Option<Will> {
    let properties = match will.properties {
        Some(own) => WillProperties {
            delay_secs: own.delay_interval,
            message: MessageProperties {
                payload_format: own.payload_format_indicator.and_then(PayloadFormat::from_byte),
                message_expiry_secs: own.message_expiry_interval,
                content_type: own.content_type.map(Into::into),
                response_topic: optional_topic(own.response_topic)?,
                correlation_data: own.correlation_data,
                user_properties: user_properties(own.user_properties)?,
            },
        },
        None => WillProperties::default(),
    };
    Some(Will {
        topic: Topic::parse(will.topic).ok()?,
        payload: will.message,
        qos: qos(will.qos)?,
        retain: will.retain,
        properties,
    })
}

fn connack_of_v5(connack: v5::ConnAck) -> Option<ConnAck> {
    let flag = |value: Option<u8>| value.map(|value| value == 1);
    let properties = match connack.properties {
        Some(own) => ConnAckProperties {
            session_expiry_secs: own.session_expiry_interval,
            receive_maximum: own.receive_max,
            maximum_qos: own.max_qos.and_then(QoS::from_bits),
            retain_available: flag(own.retain_available),
            maximum_packet_bytes: own.max_packet_size,
            assigned_client_id: own.assigned_client_identifier.and_then(ClientId::parse),
            topic_alias_maximum: own.topic_alias_max,
            reason_string: own.reason_string.map(Into::into),
            user_properties: user_properties(own.user_properties)?,
            wildcard_subscription_available: flag(own.wildcard_subscription_available),
            subscription_ids_available: flag(own.subscription_identifiers_available),
            shared_subscription_available: flag(own.shared_subscription_available),
            server_keep_alive_secs: own.server_keep_alive,
            response_information: own.response_information.map(Into::into),
            server_reference: own.server_reference.map(Into::into),
            authentication_method: own.authentication_method.map(Into::into),
            authentication_data: own.authentication_data,
        },
        None => ConnAckProperties::default(),
    };
    let reason = ReasonCode::from_byte(connack.code as u8)?;
    Some(ConnAck { session_present: connack.session_present, reason, properties })
}

fn publish_of_v5(publish: v5::Publish) -> Option<Publish> {
    let own = publish.properties.unwrap_or(v5::PublishProperties {
        payload_format_indicator: None,
        message_expiry_interval: None,
        topic_alias: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
        subscription_identifiers: Vec::new(),
        content_type: None,
    });
    let topic = match (publish.topic.is_empty(), own.topic_alias) {
        (true, alias) => PublishTopic::Alias(TopicAlias::new(alias?)?),
        (false, Some(alias)) => {
            PublishTopic::Define(Topic::parse(publish.topic).ok()?, TopicAlias::new(alias)?)
        }
        (false, None) => PublishTopic::Name(Topic::parse(publish.topic).ok()?),
    };
    let ids = own.subscription_identifiers.into_iter();
    Some(Publish {
        dup: publish.dup,
        qos: packet_qos(publish.qos, publish.pkid)?,
        retain: publish.retain,
        topic,
        subscription_ids: ids.map(|id| SubscriptionId::new(id.try_into().ok()?)).collect::<Option<_>>()?,
        properties: MessageProperties {
            payload_format: own.payload_format_indicator.and_then(PayloadFormat::from_byte),
            message_expiry_secs: own.message_expiry_interval,
            content_type: own.content_type.map(Into::into),
            response_topic: optional_topic(own.response_topic)?,
            correlation_data: own.correlation_data,
            user_properties: user_properties(own.user_properties)?,
        },
        payload: publish.payload,
    })
}

fn subscribe_of_v5(subscribe: v5::Subscribe) -> Option<Subscribe> {
    let (id, pairs) = subscribe.properties.map(|own| (own.id, own.user_properties)).unwrap_or_default();
    let subscriptions = subscribe.filters.into_iter().map(|filter| {
        let options = SubscriptionOptions {
            maximum_qos: qos(filter.qos)?,
            no_local: filter.nolocal,
            retain_as_published: filter.preserve_retain,
            retain_handling: match filter.retain_forward_rule {
                v5::RetainForwardRule::OnEverySubscribe => RetainHandling::Send,
                v5::RetainForwardRule::OnNewSubscribe => RetainHandling::SendIfNew,
                v5::RetainForwardRule::Never => RetainHandling::DoNotSend,
            },
        };
        Some(Subscription { filter: TopicFilter::parse(filter.path).ok()?, options })
    });
    let id = id.map(|id| SubscriptionId::new(id.try_into().ok()?));
    Some(Subscribe {
        packet_id: PacketId::new(subscribe.pkid)?,
        subscription_id: id.map_or(Some(None), |id| id.map(Some))?,
        user_properties: user_properties(pairs)?,
        subscriptions: subscriptions.collect::<Option<_>>()?,
    })
}

fn disconnect_of_v5(disconnect: v5::Disconnect) -> Option<Disconnect> {
    let properties = match disconnect.properties {
        Some(own) => DisconnectProperties {
            session_expiry_secs: own.session_expiry_interval,
            reason_string: own.reason_string.map(Into::into),
            user_properties: user_properties(own.user_properties)?,
            server_reference: own.server_reference.map(Into::into),
        },
        None => DisconnectProperties::default(),
    };
    Some(Disconnect { reason: ReasonCode::from_byte(disconnect.reason_code as u8)?, properties })
}
