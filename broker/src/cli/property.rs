//! Properties of packets as words: `-D PACKET NAME VALUE`.

use std::fmt::Display;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use rivulet_client::{MessageProperties, PayloadFormat, SubscriptionId, Topic, UserProperties};

/// All properties that were given, by the packet that carries them.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub(crate) connect: Connect,
    pub(crate) publish: MessageProperties,
    pub(crate) subscribe: Subscribe,
    pub(crate) will: MessageProperties,
    pub(crate) will_delay_secs: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Connect {
    pub(crate) session_expiry_secs: Option<u32>,
    pub(crate) receive_maximum: Option<NonZeroU16>,
    pub(crate) maximum_packet_bytes: Option<NonZeroU32>,
    pub(crate) topic_alias_maximum: Option<u16>,
    pub(crate) user_properties: UserProperties,
}

#[derive(Debug, Default)]
pub(crate) struct Subscribe {
    pub(crate) id: Option<SubscriptionId>,
    pub(crate) user_properties: UserProperties,
}

/// Reads all words of all `-D`: each is a packet, a name and a value, and for user-property a second value.
pub(crate) fn parse(words: &[String]) -> Result<Properties, String> {
    let mut properties = Properties::default();
    let mut words = words.iter().map(String::as_str);
    while let Some(packet) = words.next() {
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            return Err(format!("-D {packet}: a packet, a name and a value are needed"));
        };
        let pair = match name {
            "user-property" => {
                let second = words.next();
                Some(second.ok_or_else(|| {
                    format!("-D {packet} user-property {value}: a name and a value are needed")
                })?)
            }
            _ => None,
        };
        let property = Property { packet, name, value, pair };
        match packet.to_ascii_lowercase().as_str() {
            "connect" => property.connect(&mut properties.connect)?,
            "publish" => property.message(&mut properties.publish)?,
            "subscribe" => property.subscribe(&mut properties.subscribe)?,
            "will" if name == "will-delay-interval" => properties.will_delay_secs = Some(property.number()?),
            "will" => property.message(&mut properties.will)?,
            _ => return Err(format!("-D {packet}: the packet is connect, publish, subscribe or will")),
        }
    }
    Ok(properties)
}

/// One `-D`.
struct Property<'a> {
    packet: &'a str,
    name: &'a str,
    value: &'a str,
    /// The second value of a user property.
    pair: Option<&'a str>,
}

impl Property<'_> {
    fn connect(&self, connect: &mut Connect) -> Result<(), String> {
        match self.name {
            "session-expiry-interval" => connect.session_expiry_secs = Some(self.number()?),
            "receive-maximum" => connect.receive_maximum = Some(self.number()?),
            "maximum-packet-size" => connect.maximum_packet_bytes = Some(self.number()?),
            "topic-alias-maximum" => connect.topic_alias_maximum = Some(self.number()?),
            "user-property" => self.user_property(&mut connect.user_properties)?,
            _ => return Err(self.unknown()),
        }
        Ok(())
    }

    fn message(&self, message: &mut MessageProperties) -> Result<(), String> {
        match self.name {
            "payload-format-indicator" => {
                message.payload_format = Some(match self.value {
                    "0" => PayloadFormat::Unspecified,
                    "1" => PayloadFormat::Utf8,
                    _ => return Err(self.fault("is 0 or 1")),
                });
            }
            "message-expiry-interval" => message.message_expiry_secs = Some(self.number()?),
            "content-type" => message.content_type = Some(self.value.into()),
            "response-topic" => {
                message.response_topic = Some(Topic::parse(self.value).map_err(|error| self.fault(error))?);
            }
            "correlation-data" => message.correlation_data = Some(self.value.to_owned().into()),
            "user-property" => self.user_property(&mut message.user_properties)?,
            _ => return Err(self.unknown()),
        }
        Ok(())
    }

    fn subscribe(&self, subscribe: &mut Subscribe) -> Result<(), String> {
        match self.name {
            "subscription-identifier" => {
                let id = SubscriptionId::new(self.number()?);
                subscribe.id = Some(id.ok_or_else(|| self.fault("is 1 to 268435455 (3.8.2.1.2)"))?);
            }
            "user-property" => self.user_property(&mut subscribe.user_properties)?,
            _ => return Err(self.unknown()),
        }
        Ok(())
    }

    fn user_property(&self, properties: &mut UserProperties) -> Result<(), String> {
        match properties.push(self.value, self.pair.unwrap_or_default()) {
            true => Ok(()),
            false => Err(self.fault("is longer than 65535 bytes, or holds U+0000")),
        }
    }

    fn number<N: FromStr<Err: Display>>(&self) -> Result<N, String> {
        self.value.parse().map_err(|error: N::Err| self.fault(error))
    }

    fn unknown(&self) -> String {
        format!("-D {} {}: this packet has no such property", self.packet, self.name)
    }

    fn fault(&self, fault: impl Display) -> String {
        format!("-D {} {} {}: {fault}", self.packet, self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Properties, String> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn each_property_reaches_its_packet() {
        let properties = parsed(
            "CONNECT receive-maximum 7 publish content-type text/plain publish user-property a b \
             will will-delay-interval 5 subscribe subscription-identifier 9 will user-property c d",
        )
        .unwrap();
        assert_eq!(properties.connect.receive_maximum.map(NonZeroU16::get), Some(7));
        assert_eq!(properties.publish.content_type.as_deref(), Some("text/plain"));
        assert_eq!(properties.publish.user_properties.iter().collect::<Vec<_>>(), [("a", "b")]);
        assert_eq!(properties.will_delay_secs, Some(5));
        assert_eq!(properties.subscribe.id, SubscriptionId::new(9));
        assert_eq!(properties.will.user_properties.iter().collect::<Vec<_>>(), [("c", "d")]);
    }

    #[test]
    fn each_fault_says_which_property_it_is_in() {
        for (text, says) in [
            ("publish content-type", "a packet, a name and a value are needed"),
            ("publish user-property a", "-D publish user-property a: a name and a value are needed"),
            ("puback user-property a b", "the packet is connect, publish, subscribe or will"),
            ("publish topic-alias 1", "-D publish topic-alias: this packet has no such property"),
            ("connect receive-maximum 0", "-D connect receive-maximum 0: number would be zero"),
            ("connect receive-maximum 70000", "number too large"),
            ("publish payload-format-indicator 2", "is 0 or 1"),
            ("publish response-topic a/#", "-D publish response-topic a/#: "),
            ("subscribe subscription-identifier 0", "is 1 to 268435455"),
        ] {
            let fault = parsed(text).unwrap_err();
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }
}
