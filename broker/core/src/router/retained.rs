//! Retained messages (3.3.1.3): the last word of each topic, for those who subscribe later.
//!
//! Not here: limits (the caller asks [`Retained::len`] and [`Retained::bytes`]), permissions, delivery.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rivulet_protocol::{Message, Topic, TopicFilter};

use crate::WallTime;

/// A message that is kept, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct RetainedMessage {
    /// What was published. It shares no memory with a receive buffer.
    pub message: Arc<Message>,
    /// When its lifetime is over (3.3.2.3.3). `None`: never.
    pub expires: Option<WallTime>,
}

impl RetainedMessage {
    /// Whether its lifetime is over.
    pub fn is_expired(&self, wall: WallTime) -> bool {
        self.expires.is_some_and(|expires| expires <= wall)
    }

    /// What it costs: topic and payload, in bytes.
    fn bytes(&self) -> usize {
        self.message.topic.as_str().len() + self.message.payload.len()
    }
}

/// All retained messages, by topic.
#[derive(Debug, Default)]
pub struct Retained {
    by_topic: BTreeMap<Topic, RetainedMessage>,
    bytes: usize,
}

impl Retained {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a copy of a message in place of its topic's last one, which is returned [MQTT-3.3.1-5].
    pub fn set(&mut self, message: &Message, expires: Option<WallTime>) -> Option<RetainedMessage> {
        let kept = RetainedMessage { message: Arc::new(message.detach()), expires };
        self.bytes += kept.bytes();
        let replaced = self.by_topic.insert(kept.message.topic.clone(), kept);
        self.bytes -= replaced.as_ref().map_or(0, RetainedMessage::bytes);
        replaced
    }

    /// Removes the message of a topic [MQTT-3.3.1-6].
    pub fn clear(&mut self, topic: &Topic) -> Option<RetainedMessage> {
        let removed = self.by_topic.remove(topic);
        self.bytes -= removed.as_ref().map_or(0, RetainedMessage::bytes);
        removed
    }

    /// The message of a topic.
    pub fn find(&self, topic: &Topic) -> Option<&RetainedMessage> {
        self.by_topic.get(topic)
    }

    /// At most `max` messages that a filter wants, in order of their topics, from the one after `after`. Fewer than
    /// `max`: these were the last.
    ///
    /// Looks at the topics alone that begin as the filter does up to its first wildcard.
    pub fn page(&self, filter: &TopicFilter, after: Option<&Topic>, max: usize) -> Vec<RetainedMessage> {
        let (parent, prefix) = fixed_part(filter.pattern());
        // `a/#` wants `a` too, which does not begin with `a/` but comes before all that does.
        let parent = parent.and_then(|parent| Topic::parse(parent.to_owned()).ok());
        let parent = parent.filter(|parent| after.is_none_or(|after| after < parent));
        let parent = parent.and_then(|parent| self.by_topic.get_key_value(&parent));
        let start = Topic::parse(prefix.to_owned()).ok();
        let below = match (after, &start) {
            (Some(after), Some(start)) if after < start => Bound::Included(start),
            (None, Some(start)) => Bound::Included(start),
            (Some(after), _) => Bound::Excluded(after),
            (None, None) => Bound::Unbounded,
        };
        let below = self.by_topic.range::<Topic, _>((below, Bound::Unbounded));
        let below = below.take_while(|(topic, _)| topic.as_str().starts_with(prefix));
        let wanted = parent.into_iter().chain(below).filter(|(topic, _)| filter.matches(topic));
        wanted.map(|(_, kept)| kept.clone()).take(max).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// What they cost together: topics and payloads, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Panics if the sum of the bytes is wrong.
    pub fn check(&self) {
        let bytes: usize = self.by_topic.values().map(RetainedMessage::bytes).sum();
        assert_eq!(self.bytes, bytes, "retained bytes");
    }
}

/// What all topics that a filter wants begin with, and for a filter that ends in `#` right after it the one topic that
/// has less: `a/b/#` gives `a/b` and `a/b/`. Without a wildcard the filter is the topic.
fn fixed_part(pattern: &str) -> (Option<&str>, &str) {
    let Some(wildcard) = pattern.find(['+', '#']) else {
        return (None, pattern);
    };
    let prefix = &pattern[..wildcard];
    let parent = if pattern[wildcard..].starts_with('#') { prefix.strip_suffix('/') } else { None };
    (parent, prefix)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rivulet_protocol::{MessageProperties, QoS};

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.to_owned()).unwrap()
    }

    fn topic(text: &str) -> Topic {
        Topic::parse(text.to_owned()).unwrap()
    }

    fn message(name: &str, payload: &'static str) -> Message {
        Message {
            topic: topic(name),
            qos: QoS::AtLeastOnce,
            retain: true,
            payload: Bytes::from_static(payload.as_bytes()),
            properties: MessageProperties::default(),
        }
    }

    fn store(topics: &[&str]) -> Retained {
        let mut retained = Retained::new();
        for topic in topics {
            retained.set(&message(topic, "x"), None);
        }
        retained.check();
        retained
    }

    /// All that a filter wants, in pages of `max`.
    fn paged(retained: &Retained, text: &str, max: usize) -> Vec<String> {
        let mut topics: Vec<Topic> = Vec::new();
        loop {
            let page = retained.page(&filter(text), topics.last(), max);
            let is_last = page.len() < max;
            topics.extend(page.into_iter().map(|kept| kept.message.topic.clone()));
            if is_last {
                return topics.iter().map(Topic::to_string).collect();
            }
        }
    }

    /// [MQTT-3.3.1-5].
    #[test]
    fn the_last_message_of_a_topic_is_the_one_that_is_kept() {
        let mut retained = store(&["a"]);
        let replaced = retained.set(&message("a", "longer"), Some(WallTime(5)));
        assert_eq!(replaced.map(|kept| kept.message.payload.clone()), Some(Bytes::from_static(b"x")));
        assert_eq!((retained.len(), retained.bytes()), (1, 7));
        let kept = retained.find(&topic("a")).unwrap();
        assert!(!kept.is_expired(WallTime(4)) && kept.is_expired(WallTime(5)));
        assert!(retained.clear(&topic("a")).is_some());
        assert!(retained.clear(&topic("a")).is_none());
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }

    #[test]
    fn a_kept_message_does_not_hold_on_to_the_buffer_that_it_came_in() {
        let mut retained = Retained::new();
        let buffer = Bytes::from(vec![b'x'; 100]);
        retained.set(&Message { payload: buffer.slice(10..20), ..message("a", "") }, None);
        assert!(buffer.is_unique());
    }

    #[test]
    fn a_multi_level_wildcard_finds_its_parent_and_does_not_stray_to_its_neighbours() {
        let retained = store(&["a", "a!", "a-1/x", "a/b", "a/b/c", "b", "$SYS/a"]);
        for max in 1..8 {
            assert_eq!(paged(&retained, "a/#", max), ["a", "a/b", "a/b/c"]);
            assert_eq!(paged(&retained, "#", max), ["a", "a!", "a-1/x", "a/b", "a/b/c", "b"]);
        }
    }

    #[test]
    fn every_filter_finds_in_pages_of_any_size_what_a_look_at_all_topics_finds() {
        let topics = ["/", "//", "/a", "a", "a/", "a/b", "a/b/c", "a/bb", "a/x/c", "a b", "$x/a", "b"];
        let retained = store(&topics);
        for text in [
            "#", "+", "/#", "/+", "+/+", "a/#", "a/+", "a/+/c", "a/b", "a/b/#", "+/b", "$x/#", "none",
            "none/#",
        ] {
            let mut expected = topics.to_vec();
            expected.retain(|name| filter(text).matches(&topic(name)));
            expected.sort();
            for max in 1..topics.len() + 2 {
                assert_eq!(paged(&retained, text, max), expected, "{text} by {max}");
            }
        }
    }
}
