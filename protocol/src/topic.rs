//! Topic names and topic filters (4.7), and shared subscriptions (4.8.2).
//!
//! Not here: how many levels a topic may have (a limit of the server), who wants what (its router).

use std::fmt;

use bytestring::ByteString;

use crate::data::{eight_times, has_nothing_odd};

/// How a shared subscription begins (4.8.2).
const SHARE_PREFIX: &str = "$share/";

/// Where a message is published. At least one character, no wildcard, no U+0000
/// [MQTT-4.7.0-1, 4.7.3-1, 4.7.3-2, 3.3.2-2].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(ByteString);

/// Which topics a subscription wants (4.7.1), with its share name if it is shared (4.8.2).
///
/// `$share/` means a shared subscription in every version: 3.1.1 leaves topics that begin with `$` to the server.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicFilter {
    text: ByteString,
    /// Where the pattern begins in the text: 0 unless shared.
    pattern_at: u16,
}

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicError {
    /// Empty text.
    #[error("is empty [MQTT-4.7.3-1]")]
    Empty,
    /// U+0000.
    #[error("holds U+0000 [MQTT-4.7.3-2]")]
    Nul,
    /// More bytes than a string of the wire can have.
    #[error("has {bytes} bytes, 65535 fit [MQTT-4.7.3-3]")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// `#` or `+` in a topic name.
    #[error("has a wildcard [MQTT-4.7.0-1]")]
    Wildcard,
    /// `#` before the last level, or beside other characters.
    #[error("has a # that is not the whole last level [MQTT-4.7.1-1]")]
    MultiLevelWildcard,
    /// `+` beside other characters.
    #[error("has a + that is not a whole level [MQTT-4.7.1-2]")]
    SingleLevelWildcard,
    /// `$share//…`.
    #[error("has an empty share name [MQTT-4.8.2-1]")]
    ShareNameEmpty,
    /// `$share/a+b/…`.
    #[error("has a wildcard in its share name [MQTT-4.8.2-2]")]
    ShareNameWildcard,
    /// `$share/name` or `$share/name/`.
    #[error("has nothing after its share name [MQTT-4.8.2-2]")]
    SharePatternEmpty,
}

impl Topic {
    /// The only way in.
    #[inline]
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, TopicError> {
        let text = text.into();
        Self::check(text.as_bytes())?;
        Ok(Self(text))
    }

    /// Whether bytes are a topic name if they are UTF-8.
    #[inline]
    pub(crate) fn check(text: &[u8]) -> Result<(), TopicError> {
        if is_plain(text) {
            return Ok(());
        }
        check_text(text)?;
        if text.iter().copied().any(is_wildcard) { Err(TopicError::Wildcard) } else { Ok(()) }
    }

    /// Whether bytes are a topic name of ASCII, as most are. If not, they may still be one.
    #[inline]
    pub(crate) fn is_plain(text: &[u8]) -> bool {
        is_plain(text)
    }

    /// A name that [`Topic::check`] has found to be one.
    #[inline]
    pub(crate) fn checked(text: ByteString) -> Self {
        Self(text)
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
        check_text(text.as_bytes())?;
        let share_bytes = match text.strip_prefix(SHARE_PREFIX) {
            Some(rest) => SHARE_PREFIX.len() + check_share(rest)?,
            None => 0,
        };
        check_pattern(&text[share_bytes..])?;
        let pattern_at = u16::try_from(share_bytes).map_err(|_| TopicError::TooLong { bytes: text.len() })?;
        Ok(Self { text, pattern_at })
    }

    /// The whole text as the client sent it, `$share/…` included: what UNSUBSCRIBE must repeat [MQTT-3.10.4-1].
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a shared subscription.
    pub fn is_shared(&self) -> bool {
        self.pattern_at != 0
    }

    /// The share name of a shared subscription.
    pub fn share_name(&self) -> Option<&str> {
        let pattern_at = usize::from(self.pattern_at);
        self.is_shared().then(|| &self.text[SHARE_PREFIX.len()..pattern_at - 1])
    }

    /// The part that is matched against topics: the text without `$share/{ShareName}/`.
    pub fn pattern(&self) -> &str {
        &self.text[usize::from(self.pattern_at)..]
    }

    /// Whether it has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.pattern().bytes().any(is_wildcard)
    }

    /// The levels of the pattern.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.pattern().split('/')
    }

    /// Whether a topic is among those wanted (4.7.1). A wildcard in the first level does not reach topics that begin
    /// with `$` [MQTT-4.7.2-1].
    pub fn matches(&self, topic: &Topic) -> bool {
        if topic.as_str().starts_with('$') && self.pattern().starts_with(['#', '+']) {
            return false;
        }
        let mut names = topic.levels();
        for level in self.levels() {
            match level {
                "#" => return true, // its parent level too
                "+" if names.next().is_none() => return false,
                "+" => {}
                exact if names.next() != Some(exact) => return false,
                _ => {}
            }
        }
        names.next().is_none()
    }

    /// A copy that shares no memory with the receive buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { text: ByteString::from(&*self.text), pattern_at: self.pattern_at }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether there are bytes, no more than fit, all of them ASCII, and none is 0, `#` or `+`. Looks at eight at a time,
/// because it is done for each PUBLISH.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    // `#` and `+` differ in one bit: without it they are one byte, which the XOR makes 0.
    const WILDCARD: u64 = eight_times(b'#' & b'+');
    const DIFFERENCE: u64 = eight_times(b'#' ^ b'+');
    // Taking 1 off sets the highest bit of a 0, and of nothing else that is ASCII.
    let has_nothing_odd = has_nothing_odd(text, |word| {
        let wildcards = (word & !DIFFERENCE) ^ WILDCARD;
        word | word.wrapping_sub(eight_times(1)) | wildcards.wrapping_sub(eight_times(1))
    });
    has_nothing_odd && !text.is_empty() && text.len() <= usize::from(u16::MAX)
}

#[inline]
const fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'#' | b'+')
}

/// What names and filters have in common (4.7.3).
#[cold]
fn check_text(text: &[u8]) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        bytes if bytes > usize::from(u16::MAX) => Err(TopicError::TooLong { bytes }),
        _ if text.contains(&0) => Err(TopicError::Nul),
        _ => Ok(()),
    }
}

/// Checks the share name at the front of what follows `$share/`; how many bytes it has, its slash included.
fn check_share(text: &str) -> Result<usize, TopicError> {
    let (name, pattern) = text.split_once('/').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(TopicError::ShareNameEmpty);
    }
    if name.bytes().any(is_wildcard) {
        return Err(TopicError::ShareNameWildcard);
    }
    if pattern.is_empty() { Err(TopicError::SharePatternEmpty) } else { Ok(name.len() + 1) }
}

/// Checks that wildcards are whole levels, and `#` the last one (4.7.1).
fn check_pattern(pattern: &str) -> Result<(), TopicError> {
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        if level.contains('#') && (level != "#" || !is_last) {
            return Err(TopicError::MultiLevelWildcard);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevelWildcard);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, topic: &str) -> bool {
        TopicFilter::parse(filter).unwrap().matches(&Topic::parse(topic).unwrap())
    }

    #[test]
    fn a_filter_matches_as_the_examples_of_4_7_1_say() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/tennis/player1/#", "sport/tennis/player10", false),
            ("sport/#", "sport", true),
            ("#", "sport/tennis", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("+/tennis/#", "sport/tennis", true),
            ("a", "a/", false),
            ("a/", "a", false),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
            ("ACCOUNTS", "Accounts", false),
            ("+", "ä", true),
            ("ä/#", "ä/ö", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} and {topic}");
        }
    }

    #[test]
    fn a_leading_wildcard_does_not_reach_topics_that_begin_with_a_dollar() {
        // [MQTT-4.7.2-1]
        assert!(!matches("#", "$SYS/uptime"));
        assert!(!matches("+/uptime", "$SYS/uptime"));
        assert!(!matches("$share/g/#", "$SYS/uptime"));
        assert!(matches("$SYS/#", "$SYS/uptime"));
        assert!(matches("$SYS/+", "$SYS/uptime"));
        assert!(matches("$SYS/#", "$SYS"));
        assert!(matches("$share/g/$SYS/+", "$SYS/uptime"));
        assert!(matches("a/+", "a/$b"));
    }

    #[test]
    fn a_share_name_is_split_off() {
        let filter = TopicFilter::parse("$share/group 1/a/+/#").unwrap();
        assert_eq!(filter.share_name(), Some("group 1"));
        assert_eq!(filter.pattern(), "a/+/#");
        assert_eq!(filter.as_str(), "$share/group 1/a/+/#");
        assert!(filter.has_wildcard());
        assert!(matches("$share/g/a/+/#", "a/b"));
        assert!(matches("$share/g//a", "/a"));

        for plain in ["$share", "$sharex/g/a", "a/$share/g/b", "$SHARE/g/a"] {
            let filter = TopicFilter::parse(plain).unwrap();
            assert_eq!(filter.share_name(), None, "{plain}");
            assert_eq!(filter.pattern(), plain);
        }
    }

    #[test]
    fn a_malformed_filter_says_which_rule_it_breaks() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("a\0", TopicError::Nul),
            ("a#", TopicError::MultiLevelWildcard),
            ("sport/tennis#", TopicError::MultiLevelWildcard),
            ("sport/tennis/#/ranking", TopicError::MultiLevelWildcard),
            ("#/", TopicError::MultiLevelWildcard),
            ("##", TopicError::MultiLevelWildcard),
            ("+#", TopicError::MultiLevelWildcard),
            ("sport+", TopicError::SingleLevelWildcard),
            ("a+/b", TopicError::SingleLevelWildcard),
            ("++", TopicError::SingleLevelWildcard),
            ("$share//a", TopicError::ShareNameEmpty),
            ("$share/", TopicError::ShareNameEmpty),
            ("$share/#/a", TopicError::ShareNameWildcard),
            ("$share/a+/a", TopicError::ShareNameWildcard),
            ("$share/g", TopicError::SharePatternEmpty),
            ("$share/g/", TopicError::SharePatternEmpty),
            ("$share/g/a#", TopicError::MultiLevelWildcard),
        ] {
            assert_eq!(TopicFilter::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_topic_name_has_no_wildcard_and_at_least_one_character() {
        assert_eq!(Topic::parse(""), Err(TopicError::Empty));
        assert_eq!(Topic::parse("a\0"), Err(TopicError::Nul));
        for text in ["#", "a/+", "a+", "a#b"] {
            assert_eq!(Topic::parse(text), Err(TopicError::Wildcard), "{text}");
        }
        for text in ["/", " ", "a//b", "$SYS/x", "\u{FEFF}a", "\u{1}", "\u{FFFF}"] {
            assert!(Topic::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_plain_wherever_its_bytes_stand() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut text = vec![b'/'; length];
                    text[at] = byte;
                    let plain = (1..0x80).contains(&byte) && byte != b'#' && byte != b'+';
                    assert_eq!(is_plain(&text), plain, "{text:?}");
                }
            }
        }
        assert!(!is_plain(b""));
        assert!(!is_plain(&[b'a'; 65_536]));
    }

    #[test]
    fn a_text_of_more_than_65535_bytes_is_neither_name_nor_filter() {
        // [MQTT-4.7.3-3]
        let longest = "a".repeat(65_535);
        let too_long = "a".repeat(65_536);
        assert!(Topic::parse(longest.as_str()).is_ok());
        assert!(TopicFilter::parse(longest.as_str()).is_ok());
        assert_eq!(Topic::parse(too_long.as_str()), Err(TopicError::TooLong { bytes: 65_536 }));
        assert_eq!(TopicFilter::parse(too_long.as_str()), Err(TopicError::TooLong { bytes: 65_536 }));
        let share = format!("$share/{}/a", "g".repeat(65_526));
        assert_eq!(TopicFilter::parse(share.as_str()).unwrap().pattern(), "a");
    }
}
