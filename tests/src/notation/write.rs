//! Packets to text, as a peer of a given version sees them: a 3.1.1 client gets no reasons and no properties.
//!
//! Reason strings are left out: their wording is nobody's contract.

use std::fmt::{Display, Write};

use rivulet_core::output::Outgoing;
use rivulet_protocol::message::{OutboundAlias, PayloadFormat};
use rivulet_protocol::packet::{
    Ack, Auth, AuthReason, ConnAck, Connect, Disconnect, Publish, PublishTopic, RetainHandling, Subscribe,
    Unsubscribe, Will,
};
use rivulet_protocol::{
    Delivery, MessageProperties, Packet, QoS, ReasonCode, SubscriptionId, UserProperties, Version,
};

use super::line::quote;
use super::reasons;

/// The name of a reason code.
pub fn reason_name(reason: ReasonCode) -> String {
    reasons::name(reason)
}

/// What a peer of this version gets.
pub fn text_of_outgoing(outgoing: &Outgoing, version: Version) -> String {
    match outgoing {
        Outgoing::Packet(packet) => text_of(packet, version),
        Outgoing::Delivery(delivery) => publish(&publish_of(delivery), version),
    }
}

/// One packet as text.
pub fn text_of(packet: &Packet, version: Version) -> String {
    match packet {
        Packet::Connect(packet) => connect(packet),
        Packet::ConnAck(packet) => connack(packet, version),
        Packet::Publish(packet) => publish(packet, version),
        Packet::PubAck(packet) => ack("PUBACK", packet, version),
        Packet::PubRec(packet) => ack("PUBREC", packet, version),
        Packet::PubRel(packet) => ack("PUBREL", packet, version),
        Packet::PubComp(packet) => ack("PUBCOMP", packet, version),
        Packet::Subscribe(packet) => subscribe(packet),
        Packet::SubAck(packet) => {
            let mut text = Text::new("SUBACK");
            text.value("id", Some(packet.packet_id));
            packet.reasons.iter().for_each(|reason| text.word(&granted(*reason, version)));
            text.0
        }
        Packet::Unsubscribe(packet) => unsubscribe(packet),
        Packet::UnsubAck(packet) => {
            let mut text = Text::new("UNSUBACK");
            text.value("id", Some(packet.packet_id));
            let reasons = packet.reasons.iter().filter(|_| version.has_properties());
            reasons.for_each(|reason| text.word(&reasons::name(*reason)));
            text.0
        }
        Packet::PingReq => "PINGREQ".to_owned(),
        Packet::PingResp => "PINGRESP".to_owned(),
        Packet::Disconnect(packet) => disconnect(packet, version),
        Packet::Auth(packet) => auth(packet),
    }
}

/// The PUBLISH that a delivery becomes on the wire.
pub fn publish_of(delivery: &Delivery) -> Publish {
    let message = &*delivery.message;
    let name = message.topic.clone();
    Publish {
        dup: delivery.dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: match delivery.topic_alias {
            None => PublishTopic::Name(name),
            Some(OutboundAlias::Define(alias)) => PublishTopic::Define(name, alias),
            Some(OutboundAlias::Use(alias)) => PublishTopic::Alias(alias),
        },
        subscription_ids: delivery.subscription_ids.clone(),
        properties: MessageProperties {
            message_expiry_secs: delivery.message_expiry_secs,
            ..message.properties.clone()
        },
        payload: message.payload.clone(),
    }
}

/// Words with one space between them.
struct Text(String);

impl Text {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    fn word(&mut self, word: &str) {
        self.0.push(' ');
        self.0.push_str(word);
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.word(name);
        }
    }

    fn value(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            write!(self.0, " {name}={value}").expect("a String takes all that is written to it");
        }
    }

    fn quoted(&mut self, name: &str, value: Option<&[u8]>) {
        self.value(name, value.map(quote));
    }

    fn seconds(&mut self, name: &str, seconds: Option<u32>) {
        match seconds {
            Some(u32::MAX) => self.value(name, Some("never")),
            seconds => self.value(name, seconds),
        }
    }

    fn qos(&mut self, name: &str, qos: QoS) {
        self.value(name, (qos != QoS::AtMostOnce).then_some(qos.bits()));
    }

    fn yes_or_no(&mut self, name: &str, value: Option<bool>) {
        self.value(name, value.map(|yes| if yes { "yes" } else { "no" }));
    }

    fn subscription_ids(&mut self, ids: &[SubscriptionId]) {
        let ids: Vec<_> = ids.iter().map(|id| id.get().to_string()).collect();
        self.value("subscription", (!ids.is_empty()).then(|| ids.join(",")));
    }

    fn user_properties(&mut self, properties: &UserProperties) {
        for (name, value) in properties.iter() {
            self.quoted("user", Some(format!("{name}:{value}").as_bytes()));
        }
    }
}

fn connect(packet: &Connect) -> String {
    let mut text = Text::new("CONNECT");
    text.word(match packet.version {
        Version::V3_1 => "v3.1",
        Version::V3_1_1 => "v3.1.1",
        Version::V5 => "v5",
    });
    text.quoted("client", packet.client_id.as_ref().map(|id| id.as_str().as_bytes()));
    text.flag("anonymous", packet.client_id.is_none());
    text.word(if packet.clean_start { "clean" } else { "resume" });
    text.flag("bridge", packet.is_bridge);
    text.value("keep-alive", (packet.keep_alive_secs > 0).then_some(packet.keep_alive_secs));
    let properties = &packet.properties;
    text.seconds("session-expiry", properties.session_expiry_secs);
    text.value("receive-maximum", properties.receive_maximum);
    text.value("maximum-packet", properties.maximum_packet_bytes);
    text.value("topic-alias-maximum", properties.topic_alias_maximum);
    text.yes_or_no("response-information", properties.request_response_information);
    text.yes_or_no("problem-information", properties.request_problem_information);
    text.user_properties(&properties.user_properties);
    text.quoted("method", properties.authentication_method.as_ref().map(|method| method.as_bytes().as_ref()));
    text.quoted("data", properties.authentication_data.as_deref());
    text.quoted("username", packet.username.as_ref().map(|name| name.as_bytes().as_ref()));
    text.quoted("password", packet.password.as_deref());
    if let Some(packet) = &packet.will {
        will(&mut text, packet);
    }
    text.0
}

fn will(text: &mut Text, will: &Will) {
    text.quoted("will", Some(will.topic.as_str().as_bytes()));
    text.quoted("will-payload", Some(&will.payload));
    text.qos("will-qos", will.qos);
    text.flag("will-retain", will.retain);
    text.value("will-delay", will.properties.delay_secs);
    text.value("will-expiry", will.properties.message.message_expiry_secs);
    let content_type = will.properties.message.content_type.as_ref();
    text.quoted("will-content-type", content_type.map(|name| name.as_bytes().as_ref()));
}

fn connack(packet: &ConnAck, version: Version) -> String {
    let mut text = Text::new("CONNACK");
    text.word(&reasons::name(packet.reason));
    text.flag("session-present", packet.session_present);
    if version.has_properties() {
        let properties = &packet.properties;
        text.seconds("session-expiry", properties.session_expiry_secs);
        text.value("receive-maximum", properties.receive_maximum);
        text.value("maximum-qos", properties.maximum_qos.map(QoS::bits));
        text.yes_or_no("retain", properties.retain_available);
        text.value("maximum-packet", properties.maximum_packet_bytes);
        text.quoted("assigned", properties.assigned_client_id.as_ref().map(|id| id.as_str().as_bytes()));
        text.value("topic-alias-maximum", properties.topic_alias_maximum);
        text.user_properties(&properties.user_properties);
        text.yes_or_no("wildcards", properties.wildcard_subscription_available);
        text.yes_or_no("subscription-ids", properties.subscription_ids_available);
        text.yes_or_no("shared", properties.shared_subscription_available);
        text.value("server-keep-alive", properties.server_keep_alive_secs);
        let response = properties.response_information.as_ref();
        text.quoted("response-information", response.map(|topic| topic.as_bytes().as_ref()));
        text.quoted("server", properties.server_reference.as_ref().map(|server| server.as_bytes().as_ref()));
        let method = properties.authentication_method.as_ref();
        text.quoted("method", method.map(|method| method.as_bytes().as_ref()));
        text.quoted("data", properties.authentication_data.as_deref());
    }
    text.0
}

fn publish(packet: &Publish, version: Version) -> String {
    let mut text = Text::new("PUBLISH");
    text.value("id", packet.qos.packet_id());
    let (name, alias) = match &packet.topic {
        PublishTopic::Name(name) => (name.as_str(), None),
        PublishTopic::Define(name, alias) => (name.as_str(), Some(alias)),
        PublishTopic::Alias(alias) => ("", Some(alias)),
    };
    text.word(&quote(name.as_bytes()));
    text.qos("qos", packet.qos.qos());
    text.flag("dup", packet.dup);
    text.flag("retain", packet.retain);
    text.word(&quote(&packet.payload));
    if version.has_properties() {
        let properties = &packet.properties;
        text.value("alias", alias.map(|alias| alias.get()));
        text.flag("utf8", properties.payload_format == Some(PayloadFormat::Utf8));
        text.value("expiry", properties.message_expiry_secs);
        text.quoted("content-type", properties.content_type.as_ref().map(|name| name.as_bytes().as_ref()));
        text.quoted(
            "response-topic",
            properties.response_topic.as_ref().map(|topic| topic.as_str().as_bytes()),
        );
        text.quoted("correlation", properties.correlation_data.as_deref());
        text.subscription_ids(&packet.subscription_ids);
        text.user_properties(&properties.user_properties);
    }
    text.0
}

fn ack(name: &str, packet: &Ack, version: Version) -> String {
    let mut text = Text::new(name);
    text.value("id", Some(packet.packet_id));
    if version.has_properties() {
        text.word(&reasons::name(packet.reason));
        text.user_properties(&packet.properties.user_properties);
    }
    text.0
}

fn subscribe(packet: &Subscribe) -> String {
    let mut text = Text::new("SUBSCRIBE");
    text.value("id", Some(packet.packet_id));
    text.subscription_ids(packet.subscription_id.as_slice());
    text.user_properties(&packet.user_properties);
    for subscription in &packet.subscriptions {
        let options = subscription.options;
        text.word(&quote(subscription.filter.as_str().as_bytes()));
        text.value("qos", Some(options.maximum_qos.bits()));
        text.flag("no-local", options.no_local);
        text.flag("retain-as-published", options.retain_as_published);
        match options.retain_handling {
            RetainHandling::Send => {}
            RetainHandling::SendIfNew => text.word("retain-handling=1"),
            RetainHandling::DoNotSend => text.word("retain-handling=2"),
        }
    }
    text.0
}

fn unsubscribe(packet: &Unsubscribe) -> String {
    let mut text = Text::new("UNSUBSCRIBE");
    text.value("id", Some(packet.packet_id));
    text.user_properties(&packet.user_properties);
    packet.filters.iter().for_each(|filter| text.word(&quote(filter.as_str().as_bytes())));
    text.0
}

fn disconnect(packet: &Disconnect, version: Version) -> String {
    let mut text = Text::new("DISCONNECT");
    if version.has_properties() {
        if packet.reason == ReasonCode::Success {
            text.word("normal");
        } else {
            text.word(&reasons::name(packet.reason));
        }
        text.seconds("session-expiry", packet.properties.session_expiry_secs);
        text.user_properties(&packet.properties.user_properties);
        let server = packet.properties.server_reference.as_ref();
        text.quoted("server", server.map(|server| server.as_bytes().as_ref()));
    }
    text.0
}

fn auth(packet: &Auth) -> String {
    let mut text = Text::new("AUTH");
    text.word(match packet.reason {
        AuthReason::Success => "success",
        AuthReason::ContinueAuthentication => "continue-authentication",
        AuthReason::ReAuthenticate => "re-authenticate",
    });
    let properties = &packet.properties;
    text.quoted("method", properties.authentication_method.as_ref().map(|method| method.as_bytes().as_ref()));
    text.quoted("data", properties.authentication_data.as_deref());
    text.0
}

fn granted(reason: ReasonCode, version: Version) -> String {
    match (reason, version.has_properties()) {
        (ReasonCode::Success, _) => "granted-0".to_owned(),
        (ReasonCode::GrantedQoS1, _) => "granted-1".to_owned(),
        (ReasonCode::GrantedQoS2, _) => "granted-2".to_owned(),
        (_, false) => "failure".to_owned(),
        (reason, true) => reasons::name(reason),
    }
}
