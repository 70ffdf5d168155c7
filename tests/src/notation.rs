//! MQTT packets as text, for scripts and traces: `PUBLISH id=7 "t" qos=1 "payload"`.
//!
//! One packet is one line: its name, then flags (`retain`), values (`qos=1`) and quoted texts (topics, payloads) in
//! any order among themselves. What is absent has the value that the specification gives to its absence.
//! Reading is in `read`, writing in `write`.

mod line;
mod read;
mod write;

pub use line::Line;
pub use read::{packet, reason};
pub use write::{publish_of, reason_name, text_of, text_of_outgoing};

/// Reason codes by name: the specification's words in lower case, with hyphens (2.4).
mod reasons {
    use rivulet_protocol::ReasonCode;

    /// The name of a reason code.
    pub(super) fn name(reason: ReasonCode) -> String {
        let mut name = String::new();
        for letter in format!("{reason:?}").replace("QoS", "Qos").chars() {
            if !name.is_empty() && (letter.is_uppercase() || letter.is_ascii_digit()) {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    /// The reason code of a name.
    pub(super) fn parse(name: &str) -> Option<ReasonCode> {
        ALL.into_iter().find(|reason| self::name(*reason) == name)
    }

    const ALL: [ReasonCode; 43] = [
        ReasonCode::Success,
        ReasonCode::GrantedQoS1,
        ReasonCode::GrantedQoS2,
        ReasonCode::DisconnectWithWillMessage,
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::NoSubscriptionExisted,
        ReasonCode::ContinueAuthentication,
        ReasonCode::ReAuthenticate,
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::ProtocolError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::UnsupportedProtocolVersion,
        ReasonCode::ClientIdentifierNotValid,
        ReasonCode::BadUserNameOrPassword,
        ReasonCode::NotAuthorized,
        ReasonCode::ServerUnavailable,
        ReasonCode::ServerBusy,
        ReasonCode::Banned,
        ReasonCode::ServerShuttingDown,
        ReasonCode::BadAuthenticationMethod,
        ReasonCode::KeepAliveTimeout,
        ReasonCode::SessionTakenOver,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::TopicNameInvalid,
        ReasonCode::PacketIdentifierInUse,
        ReasonCode::PacketIdentifierNotFound,
        ReasonCode::ReceiveMaximumExceeded,
        ReasonCode::TopicAliasInvalid,
        ReasonCode::PacketTooLarge,
        ReasonCode::MessageRateTooHigh,
        ReasonCode::QuotaExceeded,
        ReasonCode::AdministrativeAction,
        ReasonCode::PayloadFormatInvalid,
        ReasonCode::RetainNotSupported,
        ReasonCode::QoSNotSupported,
        ReasonCode::UseAnotherServer,
        ReasonCode::ServerMoved,
        ReasonCode::SharedSubscriptionsNotSupported,
        ReasonCode::ConnectionRateExceeded,
        ReasonCode::MaximumConnectTime,
        ReasonCode::SubscriptionIdentifiersNotSupported,
        ReasonCode::WildcardSubscriptionsNotSupported,
    ];
}

#[cfg(test)]
mod tests {
    use rivulet_protocol::Version;

    use super::{Line, packet, text_of};

    #[track_caller]
    fn reads_as_written(text: &str) {
        let mut line = Line::parse(text).unwrap();
        let read = packet(&mut line).unwrap();
        line.end().unwrap();
        assert_eq!(text_of(&read, Version::V5), text);
    }

    #[test]
    fn packets_are_read_as_they_are_written() {
        for text in [
            "CONNECT v5 client=\"c\" clean",
            "CONNECT v5 anonymous resume keep-alive=30 session-expiry=60 receive-maximum=2 username=\"u\" password=\"p\"",
            "CONNECT v3.1.1 client=\"c\" clean will=\"gone\" will-payload=\"x\" will-qos=1 will-retain will-delay=5",
            "CONNACK success session-present assigned=\"a\" server-keep-alive=9",
            "CONNACK success receive-maximum=9 maximum-packet=100 topic-alias-maximum=3",
            "CONNACK not-authorized",
            "PUBLISH \"t\" \"x\"",
            "PUBLISH id=7 \"t\" qos=2 dup retain \"a \\\"quoted\\\" \\xff\" alias=3 expiry=5 subscription=1,2 user=\"k:v\"",
            "PUBLISH \"\" \"x\" alias=3 utf8 content-type=\"c\" response-topic=\"r\" correlation=\"\\x01\"",
            "PUBACK id=7 success",
            "PUBREC id=7 no-matching-subscribers",
            "PUBREL id=7 packet-identifier-not-found",
            "PUBCOMP id=7 success",
            "SUBSCRIBE id=1 subscription=5 \"a/#\" qos=0 \"b\" qos=2 no-local retain-as-published retain-handling=2",
            "SUBACK id=1 granted-0 granted-1 granted-2 not-authorized",
            "UNSUBSCRIBE id=1 \"a\" \"b\"",
            "UNSUBACK id=1 success no-subscription-existed",
            "PINGREQ",
            "PINGRESP",
            "DISCONNECT normal",
            "DISCONNECT disconnect-with-will-message session-expiry=0",
            "AUTH continue-authentication method=\"m\" data=\"d\"",
        ] {
            reads_as_written(text);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "PUBLISH",
            "HELLO",
            "PUBACK id=0 success",
            "PUBACK id=1 fine",
            "SUBSCRIBE id=1",
            "PUBLISH \"a\" \"b",
        ] {
            let read = Line::parse(text).and_then(|mut line| packet(&mut line).and_then(|_| line.end()));
            assert!(read.is_err(), "{text}");
        }
        let mut line = Line::parse("PINGREQ id=3").unwrap();
        assert!(packet(&mut line).is_ok());
        assert_eq!(line.end(), Err("does not understand `id=3`".to_owned()));
    }
}
