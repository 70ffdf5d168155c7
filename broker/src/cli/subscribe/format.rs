//! What is printed of a message: `-F`.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use rivulet_client::{PayloadFormat, Received};
use serde_json::json;

/// Text with places where parts of a message go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    Part(Part),
}

/// What a letter after the percent sign stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Topic,
    Payload,
    LowerHex,
    UpperHex,
    Length,
    Qos,
    Retain,
    Dup,
    UnixTime,
    Json,
    ContentType,
    CorrelationData,
    MessageExpiry,
    PayloadFormat,
    UserProperties,
    ResponseTopic,
    SubscriptionIds,
}

impl Format {
    /// Reads a format.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut format = Self { pieces: Vec::new() };
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => match letters.next() {
                    Some('%') => format.push('%'),
                    Some(letter) => format.pieces.push(Piece::Part(part(letter)?)),
                    None => return Err("a percent sign at the end is written %%".to_owned()),
                },
                '\\' => format.push(match letters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some('0') => '\0',
                    Some('\\') => '\\',
                    Some(other) => return Err(format!("\\{other} is not known, \\\\ is a backslash")),
                    None => return Err("a backslash at the end is written \\\\".to_owned()),
                }),
                other => format.push(other),
            }
        }
        Ok(format)
    }

    /// The payload as it is.
    pub(crate) fn payload() -> Self {
        Self { pieces: vec![Piece::Part(Part::Payload)] }
    }

    /// Topic and payload.
    pub(crate) fn topic_and_payload() -> Self {
        let pieces = vec![Piece::Part(Part::Topic), Piece::Text(" ".to_owned()), Piece::Part(Part::Payload)];
        Self { pieces }
    }

    fn push(&mut self, letter: char) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(letter),
            Some(Piece::Part(_)) | None => self.pieces.push(Piece::Text(letter.to_string())),
        }
    }

    /// Writes a message that came at a time.
    pub(crate) fn write(
        &self,
        received: &Received,
        at: SystemTime,
        output: &mut impl Write,
    ) -> io::Result<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => output.write_all(text.as_bytes())?,
                Piece::Part(part) => part.write(received, at, output)?,
            }
        }
        Ok(())
    }
}

fn part(letter: char) -> Result<Part, String> {
    Ok(match letter {
        't' => Part::Topic,
        'p' => Part::Payload,
        'x' => Part::LowerHex,
        'X' => Part::UpperHex,
        'l' => Part::Length,
        'q' => Part::Qos,
        'r' => Part::Retain,
        'd' => Part::Dup,
        'U' => Part::UnixTime,
        'j' => Part::Json,
        'C' => Part::ContentType,
        'D' => Part::CorrelationData,
        'E' => Part::MessageExpiry,
        'F' => Part::PayloadFormat,
        'P' => Part::UserProperties,
        'R' => Part::ResponseTopic,
        'S' => Part::SubscriptionIds,
        other => return Err(format!("%{other} is not known; see the formats in --help")),
    })
}

impl Part {
    fn write(self, received: &Received, at: SystemTime, output: &mut impl Write) -> io::Result<()> {
        let Received { message, dup, subscription_ids } = received;
        let properties = &message.properties;
        match self {
            Self::Topic => write!(output, "{}", message.topic),
            Self::Payload => output.write_all(&message.payload),
            Self::LowerHex => message.payload.iter().try_for_each(|byte| write!(output, "{byte:02x}")),
            Self::UpperHex => message.payload.iter().try_for_each(|byte| write!(output, "{byte:02X}")),
            Self::Length => write!(output, "{}", message.payload.len()),
            Self::Qos => write!(output, "{}", message.qos.bits()),
            Self::Retain => write!(output, "{}", u8::from(message.retain)),
            Self::Dup => write!(output, "{}", u8::from(*dup)),
            Self::UnixTime => {
                let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
                write!(output, "{}.{:09}", since.as_secs(), since.subsec_nanos())
            }
            Self::Json => write!(output, "{}", json(received)),
            Self::ContentType => optional(properties.content_type.as_ref(), output),
            Self::CorrelationData => {
                output.write_all(properties.correlation_data.as_deref().unwrap_or_default())
            }
            Self::MessageExpiry => optional(properties.message_expiry_secs.as_ref(), output),
            Self::PayloadFormat => optional(properties.payload_format.map(format_number).as_ref(), output),
            Self::UserProperties => {
                let pairs = properties.user_properties.iter().map(|(name, value)| format!("{name}:{value}"));
                output.write_all(pairs.collect::<Vec<_>>().join(" ").as_bytes())
            }
            Self::ResponseTopic => optional(properties.response_topic.as_ref(), output),
            Self::SubscriptionIds => {
                let ids = subscription_ids.iter().map(|id| id.get().to_string());
                output.write_all(ids.collect::<Vec<_>>().join(" ").as_bytes())
            }
        }
    }
}

fn optional(value: Option<&impl std::fmt::Display>, output: &mut impl Write) -> io::Result<()> {
    value.map_or(Ok(()), |value| write!(output, "{value}"))
}

fn format_number(format: PayloadFormat) -> u8 {
    match format {
        PayloadFormat::Unspecified => 0,
        PayloadFormat::Utf8 => 1,
    }
}

/// A payload that is no UTF-8 text loses what cannot be shown: its length still tells.
fn json(received: &Received) -> serde_json::Value {
    let message = &received.message;
    json!({
        "topic": message.topic.as_str(),
        "qos": message.qos.bits(),
        "retain": u8::from(message.retain),
        "payloadlen": message.payload.len(),
        "payload": String::from_utf8_lossy(&message.payload),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rivulet_client::{QoS, SubscriptionId, Topic, message};

    use super::*;

    fn received() -> Received {
        let mut message = message("a/b", "hi\"\x01", QoS::AtLeastOnce).unwrap();
        message.retain = true;
        message.properties.content_type = Some("text/plain".into());
        message.properties.message_expiry_secs = Some(9);
        message.properties.payload_format = Some(PayloadFormat::Utf8);
        message.properties.response_topic = Some(Topic::parse("answer").unwrap());
        message.properties.correlation_data = Some("17".into());
        assert!(message.properties.user_properties.push("k", "v"));
        assert!(message.properties.user_properties.push("l", "w"));
        let subscription_ids = [3, 4].map(|id| SubscriptionId::new(id).unwrap()).to_vec();
        Received { message, dup: false, subscription_ids }
    }

    fn printed(format: &str) -> String {
        let mut output = Vec::new();
        let at = UNIX_EPOCH + Duration::from_millis(1_500);
        Format::parse(format).unwrap().write(&received(), at, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn every_part_of_a_message_can_be_printed() {
        for (format, expected) in [
            ("%t %p", "a/b hi\"\x01"),
            ("%x %X %l", "68692201 68692201 4"),
            ("%q%r%d", "110"),
            ("%U", "1.500000000"),
            ("100%%\\n\\t\\\\", "100%\n\t\\"),
            ("%C|%D|%E|%F|%P|%R|%S", "text/plain|17|9|1|k:v l:w|answer|3 4"),
            ("%j", r#"{"payload":"hi\"\u0001","payloadlen":4,"qos":1,"retain":1,"topic":"a/b"}"#),
        ] {
            assert_eq!(printed(format), expected, "{format}");
        }
    }

    #[test]
    fn a_part_that_a_message_lacks_is_empty() {
        let bare = Received {
            message: message("t", "", QoS::AtMostOnce).unwrap(),
            dup: true,
            subscription_ids: Vec::new(),
        };
        let mut output = Vec::new();
        Format::parse("%C%D%E%F%P%R%S%p%d").unwrap().write(&bare, UNIX_EPOCH, &mut output).unwrap();
        assert_eq!(output, b"1");
    }

    #[test]
    fn a_format_that_cannot_be_read_says_where() {
        for (format, says) in [
            ("%z", "%z is not known"),
            ("%", "written %%"),
            ("\\q", "\\q is not known"),
            ("\\", "written \\\\"),
        ] {
            let fault = Format::parse(format).unwrap_err();
            assert!(fault.contains(says), "{format}: {fault}");
        }
    }
}
