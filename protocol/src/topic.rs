//! Topic names and topic filters (4.7), and shared subscriptions (4.8.2).

use std::fmt;

use bytestring::ByteString;

/// Where a message is published. At least one character, no wildcard, no U+0000
/// [MQTT-4.7.0-1, 4.7.3-1, 4.7.3-2, 3.3.2-2].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(ByteString);

/// Which topics a subscription wants (4.7.1), with its share name if it is shared (4.8.2).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicFilter(ByteString);

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicError {
    /// Empty text.
    #[error("is empty [MQTT-4.7.3-1]")]
    Empty,
}

impl Topic {
    /// The only way in.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, TopicError> {
        let text = text.into();
        if text.is_empty() { Err(TopicError::Empty) } else { Ok(Self(text)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels between the slashes; at least one, and each may be empty.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// A copy that shares no memory with the receive buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(ByteString::from(&*self.0))
    }
}

impl TopicFilter {
    /// The only way in. Knows `$share/{ShareName}/{filter}`.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, TopicError> {
        let text = text.into();
        if text.is_empty() { Err(TopicError::Empty) } else { Ok(Self(text)) }
    }

    /// The whole text as the client sent it, `$share/…` included: what UNSUBSCRIBE must repeat [MQTT-3.10.4-1].
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The share name of a shared subscription.
    pub fn share_name(&self) -> Option<&str> {
        None
    }

    /// The part that is matched against topics: the text without `$share/{ShareName}/`.
    pub fn pattern(&self) -> &str {
        &self.0
    }

    /// Whether it has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        false
    }

    /// The levels of the pattern.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.pattern().split('/')
    }

    /// Whether a topic is among those wanted (4.7.1, 4.7.2: `#` and `+` do not reach topics that begin with `$`).
    pub fn matches(&self, _topic: &Topic) -> bool {
        unimplemented!()
    }

    /// A copy that shares no memory with the receive buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(ByteString::from(&*self.0))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
