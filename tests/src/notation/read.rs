//! Text to packets.

use std::str::FromStr;

use bytes::Bytes;
use bytestring::ByteString;
use rivulet_protocol::message::PayloadFormat;
use rivulet_protocol::packet::{
    Ack, Auth, AuthProperties, AuthReason, ConnAck, ConnAckProperties, Connect, ConnectProperties,
    Disconnect, DisconnectProperties, Publish, PublishTopic, ReasonProperties, RetainHandling, SubAck,
    Subscribe, Subscription, SubscriptionOptions, UnsubAck, Unsubscribe, Will, WillProperties,
};
use rivulet_protocol::{
    ClientId, MessageProperties, Packet, PacketId, PacketQos, QoS, ReasonCode, SubscriptionId, Topic,
    TopicAlias, TopicFilter, UserProperties, Version,
};

use super::{Line, reasons};

type Read<T> = Result<T, String>;

/// Takes a packet off the front of a line.
pub fn packet(line: &mut Line) -> Read<Packet> {
    let name = line.word().ok_or("a packet begins with its name")?;
    Ok(match name.as_str() {
        "CONNECT" => Packet::Connect(Box::new(connect(line)?)),
        "CONNACK" => Packet::ConnAck(Box::new(connack(line)?)),
        "PUBLISH" => Packet::Publish(publish(line)?),
        "PUBACK" => Packet::PubAck(ack(line)?),
        "PUBREC" => Packet::PubRec(ack(line)?),
        "PUBREL" => Packet::PubRel(ack(line)?),
        "PUBCOMP" => Packet::PubComp(ack(line)?),
        "SUBSCRIBE" => Packet::Subscribe(subscribe(line)?),
        "SUBACK" => Packet::SubAck(SubAck {
            packet_id: packet_id(line)?,
            reasons: granted(line)?,
            properties: ReasonProperties::default(),
        }),
        "UNSUBSCRIBE" => Packet::Unsubscribe(unsubscribe(line)?),
        "UNSUBACK" => Packet::UnsubAck(UnsubAck {
            packet_id: packet_id(line)?,
            reasons: granted(line)?,
            properties: ReasonProperties::default(),
        }),
        "PINGREQ" => Packet::PingReq,
        "PINGRESP" => Packet::PingResp,
        "DISCONNECT" => Packet::Disconnect(Box::new(disconnect(line)?)),
        "AUTH" => Packet::Auth(Box::new(auth(line)?)),
        name => return Err(format!("{name} is no packet")),
    })
}

fn connect(line: &mut Line) -> Read<Connect> {
    let version = [("v3.1", Version::V3_1), ("v3.1.1", Version::V3_1_1), ("v5", Version::V5)];
    let version =
        version.into_iter().find(|(name, _)| line.flag(name)).map_or(Version::V5, |(_, version)| version);
    let client_id = match line.value_text("client")? {
        Some(text) => Some(ClientId::parse(text).ok_or("client: is no client identifier")?),
        None => None,
    };
    line.flag("anonymous");
    let clean_start = line.flag("clean");
    if clean_start == line.flag("resume") {
        return Err("say `clean` or `resume`".to_owned());
    }
    Ok(Connect {
        version,
        is_bridge: line.flag("bridge"),
        clean_start,
        keep_alive_secs: line.number("keep-alive")?.unwrap_or(0),
        client_id,
        will: will(line)?,
        username: string(line, "username")?,
        password: line.value_bytes("password")?.map(Bytes::from),
        properties: ConnectProperties {
            session_expiry_secs: seconds(line, "session-expiry")?,
            receive_maximum: line.number("receive-maximum")?,
            maximum_packet_bytes: line.number("maximum-packet")?,
            topic_alias_maximum: line.number("topic-alias-maximum")?,
            request_response_information: yes_or_no(line, "response-information")?,
            request_problem_information: yes_or_no(line, "problem-information")?,
            user_properties: user_properties(line)?,
            authentication_method: string(line, "method")?,
            authentication_data: line.value_bytes("data")?.map(Bytes::from),
        },
    })
}

fn will(line: &mut Line) -> Read<Option<Will>> {
    let Some(topic) = line.value_text("will")? else {
        return Ok(None);
    };
    Ok(Some(Will {
        topic: self::topic(topic)?,
        payload: line.value_bytes("will-payload")?.unwrap_or_default().into(),
        qos: qos(line, "will-qos")?,
        retain: line.flag("will-retain"),
        properties: WillProperties {
            delay_secs: line.number("will-delay")?,
            message: MessageProperties {
                message_expiry_secs: line.number("will-expiry")?,
                content_type: string(line, "will-content-type")?,
                ..MessageProperties::default()
            },
        },
    }))
}

fn connack(line: &mut Line) -> Read<ConnAck> {
    let session_present = line.flag("session-present");
    let reason = line.word().ok_or("CONNACK needs a reason")?;
    Ok(ConnAck {
        session_present,
        reason: self::reason(&reason)?,
        properties: ConnAckProperties {
            session_expiry_secs: seconds(line, "session-expiry")?,
            receive_maximum: line.number("receive-maximum")?,
            maximum_packet_bytes: line.number("maximum-packet")?,
            topic_alias_maximum: line.number("topic-alias-maximum")?,
            assigned_client_id: line.value_text("assigned")?.and_then(ClientId::parse),
            server_keep_alive_secs: line.number("server-keep-alive")?,
            ..ConnAckProperties::default()
        },
    })
}

fn publish(line: &mut Line) -> Read<Publish> {
    let id: Option<u16> = line.number("id")?;
    let id = id.map(|id| PacketId::new(id).ok_or("packet identifier 0")).transpose()?;
    let qos = match (qos(line, "qos")?, id) {
        (QoS::AtMostOnce, None) => PacketQos::AtMostOnce,
        (QoS::AtLeastOnce, Some(id)) => PacketQos::AtLeastOnce(id),
        (QoS::ExactlyOnce, Some(id)) => PacketQos::ExactlyOnce(id),
        (QoS::AtMostOnce, Some(_)) => return Err("QoS 0 has no packet identifier".to_owned()),
        (QoS::AtLeastOnce | QoS::ExactlyOnce, None) => return Err("which packet identifier?".to_owned()),
    };
    let name = line.text()?.ok_or("where to?")?;
    let alias: Option<u16> = line.number("alias")?;
    let alias = alias.map(|alias| TopicAlias::new(alias).ok_or("topic alias 0")).transpose()?;
    let topic = match (name.is_empty(), alias) {
        (true, Some(alias)) => PublishTopic::Alias(alias),
        (false, Some(alias)) => PublishTopic::Define(topic(name)?, alias),
        (_, None) => PublishTopic::Name(topic(name)?),
    };
    Ok(Publish {
        dup: line.flag("dup"),
        qos,
        retain: line.flag("retain"),
        topic,
        subscription_ids: subscription_ids(line)?,
        properties: MessageProperties {
            payload_format: line.flag("utf8").then_some(PayloadFormat::Utf8),
            message_expiry_secs: line.number("expiry")?,
            content_type: string(line, "content-type")?,
            response_topic: line.value_text("response-topic")?.map(self::topic).transpose()?,
            correlation_data: line.value_bytes("correlation")?.map(Bytes::from),
            user_properties: user_properties(line)?,
        },
        payload: line.bytes().unwrap_or_default().into(),
    })
}

fn ack(line: &mut Line) -> Read<Ack> {
    let packet_id = packet_id(line)?;
    let reason = line.word().map_or(Ok(ReasonCode::Success), |name| reason(&name))?;
    Ok(Ack::new(packet_id, reason))
}

fn subscribe(line: &mut Line) -> Read<Subscribe> {
    let packet_id = packet_id(line)?;
    let subscription_id = subscription_ids(line)?.pop();
    let user_properties = user_properties(line)?;
    let mut subscriptions = Vec::new();
    while !line.is_empty() {
        let after = line.split_at_text();
        let filter = line.text()?.ok_or("subscribe to what?")?;
        subscriptions.push(Subscription { filter: self::filter(filter)?, options: options(line)? });
        line.end()?;
        *line = after;
    }
    if subscriptions.is_empty() {
        return Err("subscribe to what?".to_owned());
    }
    Ok(Subscribe { packet_id, subscription_id, user_properties, subscriptions })
}

fn options(line: &mut Line) -> Read<SubscriptionOptions> {
    Ok(SubscriptionOptions {
        maximum_qos: qos(line, "qos")?,
        no_local: line.flag("no-local"),
        retain_as_published: line.flag("retain-as-published"),
        retain_handling: match line.number::<u8>("retain-handling")? {
            None | Some(0) => RetainHandling::Send,
            Some(1) => RetainHandling::SendIfNew,
            Some(2) => RetainHandling::DoNotSend,
            Some(other) => return Err(format!("retain-handling={other} is reserved")),
        },
    })
}

fn unsubscribe(line: &mut Line) -> Read<Unsubscribe> {
    let packet_id = packet_id(line)?;
    let user_properties = user_properties(line)?;
    let mut filters = Vec::new();
    while let Some(text) = line.text()? {
        filters.push(filter(text)?);
    }
    Ok(Unsubscribe { packet_id, user_properties, filters })
}

fn disconnect(line: &mut Line) -> Read<Disconnect> {
    let reason = match line.word().as_deref() {
        None | Some("normal") => ReasonCode::Success,
        Some(name) => reason(name)?,
    };
    let properties = DisconnectProperties {
        session_expiry_secs: seconds(line, "session-expiry")?,
        ..DisconnectProperties::default()
    };
    Ok(Disconnect { reason, properties })
}

fn auth(line: &mut Line) -> Read<Auth> {
    let reason = match line.word().as_deref() {
        None | Some("success") => AuthReason::Success,
        Some("continue-authentication") => AuthReason::ContinueAuthentication,
        Some("re-authenticate") => AuthReason::ReAuthenticate,
        Some(other) => return Err(format!("AUTH has no reason {other}")),
    };
    Ok(Auth {
        reason,
        properties: AuthProperties {
            authentication_method: string(line, "method")?,
            authentication_data: line.value_bytes("data")?.map(Bytes::from),
            ..AuthProperties::default()
        },
    })
}

fn granted(line: &mut Line) -> Read<Vec<ReasonCode>> {
    let mut reasons = Vec::new();
    while let Some(name) = line.word() {
        reasons.push(match name.as_str() {
            "granted-0" => ReasonCode::Success,
            "granted-1" => ReasonCode::GrantedQoS1,
            "granted-2" => ReasonCode::GrantedQoS2,
            name => reason(name)?,
        });
    }
    Ok(reasons)
}

/// A reason code by its name.
pub fn reason(name: &str) -> Read<ReasonCode> {
    reasons::parse(name).ok_or_else(|| format!("{name} is no reason"))
}

fn packet_id(line: &mut Line) -> Read<PacketId> {
    let id = line.number("id")?.ok_or("which packet identifier?")?;
    PacketId::new(id).ok_or_else(|| "packet identifier 0".to_owned())
}

fn qos(line: &mut Line, name: &str) -> Read<QoS> {
    let bits = line.number(name)?.unwrap_or(0);
    QoS::from_bits(bits).ok_or_else(|| format!("{name}={bits} is out of range"))
}

fn seconds(line: &mut Line, name: &str) -> Read<Option<u32>> {
    match line.number::<String>(name)?.as_deref() {
        None => Ok(None),
        Some("never") => Ok(Some(u32::MAX)),
        Some(number) => {
            u32::from_str(number).map(Some).map_err(|_| format!("{name}={number} is out of range"))
        }
    }
}

fn yes_or_no(line: &mut Line, name: &str) -> Read<Option<bool>> {
    match line.number::<String>(name)?.as_deref() {
        None => Ok(None),
        Some("yes") => Ok(Some(true)),
        Some("no") => Ok(Some(false)),
        Some(other) => Err(format!("{name}={other}: say yes or no")),
    }
}

fn subscription_ids(line: &mut Line) -> Read<Vec<SubscriptionId>> {
    let Some(list) = line.number::<String>("subscription")? else {
        return Ok(Vec::new());
    };
    let id = |text: &str| text.parse().ok().and_then(SubscriptionId::new);
    list.split(',')
        .map(|text| id(text).ok_or_else(|| format!("subscription={text} is out of range")))
        .collect()
}

fn user_properties(line: &mut Line) -> Read<UserProperties> {
    let mut properties = UserProperties::new();
    while let Some(pair) = line.value_text("user")? {
        let (name, value) = pair.split_once(':').ok_or("user: write \"name:value\"")?;
        if !properties.push(name, value) {
            return Err(format!("user={pair:?} does not fit the wire"));
        }
    }
    Ok(properties)
}

fn string(line: &mut Line, name: &str) -> Read<Option<ByteString>> {
    Ok(line.value_text(name)?.map(ByteString::from))
}

fn topic(text: String) -> Read<Topic> {
    Topic::parse(text.clone()).map_err(|error| format!("topic {text:?} {error}"))
}

fn filter(text: String) -> Read<TopicFilter> {
    TopicFilter::parse(text.clone()).map_err(|error| format!("filter {text:?} {error}"))
}
