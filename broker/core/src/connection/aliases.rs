//! Topic aliases of both directions (3.3.2.3.4). They die with their connection [MQTT-3.3.2-7].
//!
//! One map per connection and direction: clients define an alias on one flow and use it on another. Ours are used on the
//! control flow alone, whose order makes sure that a definition comes before its use.

use std::collections::BTreeMap;

use rivulet_protocol::message::OutboundAlias;
use rivulet_protocol::packet::PublishTopic;
use rivulet_protocol::{Topic, TopicAlias};

use crate::Violation;

/// What the client's aliases stand for.
#[derive(Debug)]
pub(crate) struct InboundAliases {
    /// By alias, from 1.
    topics: Vec<Option<Topic>>,
    max: u16,
}

impl InboundAliases {
    /// `max` is what CONNACK tells.
    pub(crate) fn new(max: u16) -> Self {
        Self { topics: Vec::new(), max }
    }

    /// The topic that a PUBLISH names, whichever way.
    pub(crate) fn resolve(&mut self, topic: PublishTopic) -> Result<Topic, Violation> {
        match topic {
            PublishTopic::Name(topic) => Ok(topic),
            PublishTopic::Define(topic, alias) => {
                let index = self.index(alias)?;
                if self.topics.len() <= index {
                    self.topics.resize(index + 1, None);
                }
                self.topics[index] = Some(topic.detach());
                Ok(topic)
            }
            PublishTopic::Alias(alias) => {
                let index = self.index(alias)?;
                let defined = self.topics.get(index).cloned().flatten();
                defined.ok_or(Violation::UnknownTopicAlias { alias: alias.get() })
            }
        }
    }

    fn index(&self, alias: TopicAlias) -> Result<usize, Violation> {
        let alias = alias.get();
        if alias > self.max {
            return Err(Violation::TopicAlias { alias, max: self.max });
        }
        Ok(usize::from(alias) - 1)
    }
}

/// The aliases that we have defined towards the client: the first topics get them, and keep them.
#[derive(Debug)]
pub(crate) struct OutboundAliases {
    by_topic: BTreeMap<Topic, TopicAlias>,
    max: u16,
}

impl OutboundAliases {
    /// `max` is the lower of the client's maximum and ours.
    pub(crate) fn new(max: u16) -> Self {
        Self { by_topic: BTreeMap::new(), max }
    }

    /// How to name a topic. A definition counts only after [`Self::define`].
    pub(crate) fn choose(&self, topic: &Topic) -> Option<OutboundAlias> {
        if self.max == 0 {
            return None;
        }
        if let Some(alias) = self.by_topic.get(topic) {
            return Some(OutboundAlias::Use(*alias));
        }
        let next = u16::try_from(self.by_topic.len() + 1).ok()?;
        if next > self.max {
            return None;
        }
        TopicAlias::new(next).map(OutboundAlias::Define)
    }

    /// A delivery with this choice is sent.
    pub(crate) fn define(&mut self, topic: &Topic, alias: Option<OutboundAlias>) {
        if let Some(OutboundAlias::Define(alias)) = alias {
            self.by_topic.insert(topic.detach(), alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name.to_owned()).unwrap()
    }

    fn alias(number: u16) -> TopicAlias {
        TopicAlias::new(number).unwrap()
    }

    /// [MQTT-3.3.2-12].
    #[test]
    fn an_alias_stands_for_the_last_topic_that_it_was_defined_with() {
        let mut aliases = InboundAliases::new(2);
        assert_eq!(aliases.resolve(PublishTopic::Define(topic("a"), alias(2))), Ok(topic("a")));
        assert_eq!(aliases.resolve(PublishTopic::Alias(alias(2))), Ok(topic("a")));
        assert_eq!(aliases.resolve(PublishTopic::Define(topic("b"), alias(2))), Ok(topic("b")));
        assert_eq!(aliases.resolve(PublishTopic::Alias(alias(2))), Ok(topic("b")));
    }

    /// [MQTT-3.3.2-9].
    #[test]
    fn an_alias_above_the_maximum_or_without_a_definition_is_a_violation() {
        let mut aliases = InboundAliases::new(2);
        let above = aliases.resolve(PublishTopic::Define(topic("a"), alias(3)));
        assert_eq!(above, Err(Violation::TopicAlias { alias: 3, max: 2 }));
        let unknown = aliases.resolve(PublishTopic::Alias(alias(1)));
        assert_eq!(unknown, Err(Violation::UnknownTopicAlias { alias: 1 }));
    }

    /// [MQTT-3.1.2-26], [MQTT-3.1.2-27].
    #[test]
    fn no_more_topics_get_an_alias_than_the_client_allows() {
        let mut aliases = OutboundAliases::new(1);
        let first = aliases.choose(&topic("a"));
        assert_eq!(first, Some(OutboundAlias::Define(alias(1))));
        assert_eq!(aliases.choose(&topic("a")), first, "what was not sent is not defined");
        aliases.define(&topic("a"), first);
        assert_eq!(aliases.choose(&topic("a")), Some(OutboundAlias::Use(alias(1))));
        assert_eq!(aliases.choose(&topic("b")), None);
        assert_eq!(OutboundAliases::new(0).choose(&topic("a")), None);
    }
}
