//! Packets as one line of text each: what the golden vectors expect.

use bytes::Bytes;
use bytestring::ByteString;
use rivulet_protocol::packet::{
    Ack, AuthProperties, ConnAckProperties, Connect, ConnectProperties, DisconnectProperties, Publish,
    PublishTopic, ReasonProperties, RetainHandling, Subscription, WillProperties,
};
use rivulet_protocol::{MessageProperties, Packet, ReasonCode, Topic, UserProperties};

/// All that a packet says, one line, defaults left out.
pub(crate) fn describe(packet: &Packet) -> String {
    let mut line = Line(packet.packet_type().to_string());
    match packet {
        Packet::Connect(connect) => connect_text(&mut line, connect),
        Packet::ConnAck(connack) => {
            line.flag("session_present", connack.session_present);
            line.word(connack.reason.name());
            connack_properties(&mut line, &connack.properties);
        }
        Packet::Publish(publish) => publish_text(&mut line, publish),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack_text(&mut line, ack)
        }
        Packet::Subscribe(subscribe) => {
            line.value("id", subscribe.packet_id);
            line.option("subscription_id", subscribe.subscription_id.map(|id| id.get()));
            user_properties(&mut line, &subscribe.user_properties);
            subscribe
                .subscriptions
                .iter()
                .for_each(|subscription| subscription_text(&mut line, subscription));
        }
        Packet::SubAck(suback) => {
            line.value("id", suback.packet_id);
            reason_properties(&mut line, &suback.properties);
            suback.reasons.iter().for_each(|reason| line.reason(*reason));
        }
        Packet::Unsubscribe(unsubscribe) => {
            line.value("id", unsubscribe.packet_id);
            user_properties(&mut line, &unsubscribe.user_properties);
            unsubscribe.filters.iter().for_each(|filter| line.word(&format!("{:?}", filter.as_str())));
        }
        Packet::UnsubAck(unsuback) => {
            line.value("id", unsuback.packet_id);
            reason_properties(&mut line, &unsuback.properties);
            unsuback.reasons.iter().for_each(|reason| line.reason(*reason));
        }
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => {
            line.reason(disconnect.reason);
            disconnect_properties(&mut line, &disconnect.properties);
        }
        Packet::Auth(auth) => {
            line.reason(auth.reason.code());
            auth_properties(&mut line, &auth.properties);
        }
    }
    line.0
}

struct Line(String);

impl Line {
    fn word(&mut self, word: &str) {
        self.0 += " ";
        self.0 += word;
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.word(name);
        }
    }

    fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.word(&format!("{name}={value}"));
    }

    fn option(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn text(&mut self, name: &str, value: Option<&ByteString>) {
        self.option(name, value.map(|text| format!("{text:?}")));
    }

    fn bytes(&mut self, name: &str, value: Option<&Bytes>) {
        self.option(name, value.map(|bytes| format!("{:?}", bytes).split_off(1)));
    }

    fn reason(&mut self, reason: ReasonCode) {
        self.word(&format!("{reason:?}"));
    }
}

fn connect_text(line: &mut Line, connect: &Connect) {
    line.word(&connect.version.to_string());
    line.flag("bridge", connect.is_bridge);
    line.flag("clean_start", connect.clean_start);
    line.value("keep_alive", connect.keep_alive_secs);
    line.option("client_id", connect.client_id.as_ref().map(|id| format!("{:?}", id.as_str())));
    connect_properties(line, &connect.properties);
    if let Some(will) = &connect.will {
        line.word("will {");
        line.value("topic", format!("{:?}", will.topic.as_str()));
        line.value("qos", will.qos.bits());
        line.flag("retain", will.retain);
        will_properties(line, &will.properties);
        line.bytes("payload", Some(&will.payload));
        line.word("}");
    }
    line.text("username", connect.username.as_ref());
    line.bytes("password", connect.password.as_ref());
}

fn connect_properties(line: &mut Line, properties: &ConnectProperties) {
    line.option("session_expiry", properties.session_expiry_secs);
    line.option("receive_maximum", properties.receive_maximum);
    line.option("maximum_packet_size", properties.maximum_packet_bytes);
    line.option("topic_alias_maximum", properties.topic_alias_maximum);
    line.option("request_response_information", properties.request_response_information);
    line.option("request_problem_information", properties.request_problem_information);
    line.text("authentication_method", properties.authentication_method.as_ref());
    line.bytes("authentication_data", properties.authentication_data.as_ref());
    user_properties(line, &properties.user_properties);
}

fn will_properties(line: &mut Line, properties: &WillProperties) {
    line.option("delay", properties.delay_secs);
    message_properties(line, &properties.message);
}

fn connack_properties(line: &mut Line, properties: &ConnAckProperties) {
    line.option("session_expiry", properties.session_expiry_secs);
    line.option("receive_maximum", properties.receive_maximum);
    line.option("maximum_qos", properties.maximum_qos.map(|qos| qos.bits()));
    line.option("retain_available", properties.retain_available);
    line.option("maximum_packet_size", properties.maximum_packet_bytes);
    line.option(
        "assigned_client_id",
        properties.assigned_client_id.as_ref().map(|id| format!("{:?}", id.as_str())),
    );
    line.option("topic_alias_maximum", properties.topic_alias_maximum);
    line.option("wildcard_subscription_available", properties.wildcard_subscription_available);
    line.option("subscription_ids_available", properties.subscription_ids_available);
    line.option("shared_subscription_available", properties.shared_subscription_available);
    line.option("server_keep_alive", properties.server_keep_alive_secs);
    line.text("response_information", properties.response_information.as_ref());
    line.text("server_reference", properties.server_reference.as_ref());
    line.text("authentication_method", properties.authentication_method.as_ref());
    line.bytes("authentication_data", properties.authentication_data.as_ref());
    line.text("reason_string", properties.reason_string.as_ref());
    user_properties(line, &properties.user_properties);
}

fn publish_text(line: &mut Line, publish: &Publish) {
    line.flag("dup", publish.dup);
    line.value("qos", publish.qos.qos().bits());
    line.option("id", publish.qos.packet_id());
    line.flag("retain", publish.retain);
    let quoted = |topic: &Topic| format!("{:?}", topic.as_str());
    match &publish.topic {
        PublishTopic::Name(topic) => line.word(&quoted(topic)),
        PublishTopic::Define(topic, alias) => {
            line.word(&format!("{} define_alias={}", quoted(topic), alias.get()))
        }
        PublishTopic::Alias(alias) => line.value("alias", alias.get()),
    }
    publish.subscription_ids.iter().for_each(|id| line.value("subscription_id", id.get()));
    message_properties(line, &publish.properties);
    line.bytes("payload", Some(&publish.payload));
}

fn message_properties(line: &mut Line, properties: &MessageProperties) {
    line.option("payload_format", properties.payload_format.map(|format| format.byte()));
    line.option("message_expiry", properties.message_expiry_secs);
    line.text("content_type", properties.content_type.as_ref());
    line.option(
        "response_topic",
        properties.response_topic.as_ref().map(|topic| format!("{:?}", topic.as_str())),
    );
    line.bytes("correlation_data", properties.correlation_data.as_ref());
    user_properties(line, &properties.user_properties);
}

fn ack_text(line: &mut Line, ack: &Ack) {
    line.value("id", ack.packet_id);
    line.reason(ack.reason);
    reason_properties(line, &ack.properties);
}

fn reason_properties(line: &mut Line, properties: &ReasonProperties) {
    line.text("reason_string", properties.reason_string.as_ref());
    user_properties(line, &properties.user_properties);
}

fn disconnect_properties(line: &mut Line, properties: &DisconnectProperties) {
    line.option("session_expiry", properties.session_expiry_secs);
    line.text("server_reference", properties.server_reference.as_ref());
    line.text("reason_string", properties.reason_string.as_ref());
    user_properties(line, &properties.user_properties);
}

fn auth_properties(line: &mut Line, properties: &AuthProperties) {
    line.text("authentication_method", properties.authentication_method.as_ref());
    line.bytes("authentication_data", properties.authentication_data.as_ref());
    line.text("reason_string", properties.reason_string.as_ref());
    user_properties(line, &properties.user_properties);
}

fn subscription_text(line: &mut Line, subscription: &Subscription) {
    let options = subscription.options;
    line.word(&format!("{:?}:{}", subscription.filter.as_str(), options.maximum_qos.bits()));
    line.flag("no_local", options.no_local);
    line.flag("retain_as_published", options.retain_as_published);
    match options.retain_handling {
        RetainHandling::Send => {}
        RetainHandling::SendIfNew => line.word("retain_handling=1"),
        RetainHandling::DoNotSend => line.word("retain_handling=2"),
    }
}

fn user_properties(line: &mut Line, user_properties: &UserProperties) {
    for (name, value) in user_properties.iter() {
        line.word(&format!("user({name:?},{value:?})"));
    }
}
