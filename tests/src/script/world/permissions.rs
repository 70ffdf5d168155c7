//! What the clients of a script may do: everything that no line of the script denies.

use rivulet_core::Permissions;
use rivulet_protocol::{QoS, Topic, TopicFilter};

/// Denials, by what is denied. Topics are matched by filters, filters by their text.
#[derive(Clone, Debug, Default)]
pub(super) struct Denials {
    pub(super) publish: Vec<TopicFilter>,
    pub(super) subscribe: Vec<TopicFilter>,
    pub(super) receive: Vec<TopicFilter>,
}

impl Permissions for Denials {
    fn may_publish(&self, topic: &Topic, _qos: QoS, _retain: bool) -> bool {
        !self.publish.iter().any(|filter| filter.matches(topic))
    }

    fn may_subscribe(&self, filter: &TopicFilter) -> bool {
        !self.subscribe.contains(filter)
    }

    fn may_receive(&self, topic: &Topic) -> bool {
        !self.receive.iter().any(|filter| filter.matches(topic))
    }
}
