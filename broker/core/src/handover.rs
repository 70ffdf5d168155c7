//! What a member of a shared subscription leaves behind goes to another member (4.8.2).
//!
//! | the member | what was not sent | QoS 1, not acknowledged | QoS 2, not acknowledged |
//! |---|---|---|---|
//! | unsubscribes | goes over | stays [MQTT-3.10.4-3] | stays |
//! | loses its connection, its session waits | goes over if a member is connected | stays | stays [MQTT-4.8.2-4] |
//! | and its session ends | goes over | goes over | is lost [MQTT-4.8.2-5] |
//!
//! What its client has refused is over, and goes nowhere [MQTT-4.8.2-6]. Where nobody takes over, what stays can stay.
//!
//! Not here: which member is chosen (`router`).

use rivulet_protocol::{QoS, TopicFilter};

use crate::broker::Broker;
use crate::durable::Record;
use crate::session::Session;
use crate::session::inflight::Stage;
use crate::session::queue::Waiting;
use crate::{Now, SessionKey};

/// What other members may get of a session that is over, in its order.
pub(crate) fn left_behind(session: &Session) -> Vec<Waiting> {
    let sent = session.inflight.iter().filter_map(|(_, exchange)| match &exchange.stage {
        Stage::Sent(waiting) => (waiting.qos == QoS::AtLeastOnce).then_some(waiting),
        Stage::Released => None,
    });
    let shared = sent.chain(session.queue.iter()).filter(|waiting| waiting.share.is_some());
    let mut left_behind: Vec<Waiting> = shared.cloned().collect();
    left_behind.sort_by_key(|waiting| waiting.position);
    left_behind
}

impl Broker {
    /// The client of a session is away: members that are there get what was not sent.
    pub(crate) fn hand_over_of_absent(&mut self, now: Now, key: SessionKey) {
        if self.is_draining {
            // The others leave as well.
            return;
        }
        self.hand_over(now, key, |broker, filter| {
            let is_there = |member| broker.sessions.get(member).is_some_and(|it| it.connection.is_some());
            broker.router.has_member(filter, is_there)
        });
    }

    /// A session is no member any more: others get what was not sent.
    pub(crate) fn hand_over_of_leaver(&mut self, now: Now, key: SessionKey, left: &TopicFilter) {
        if left.share_name().is_some() {
            self.hand_over(now, key, |broker, filter| {
                filter == left && broker.router.has_member(filter, |member| member != key)
            });
        }
    }

    /// Gives what was not sent to other members of those shared subscriptions that have one who takes over.
    fn hand_over(&mut self, now: Now, key: SessionKey, has_successor: impl Fn(&Self, &TopicFilter) -> bool) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut queue = std::mem::take(&mut session.queue);
        let goes_over = |waiting: &Waiting| {
            waiting.share.as_ref().is_some_and(|share| has_successor(self, &share.filter))
        };
        let handed_over = queue.take_those(goes_over);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.queue = queue;
        let is_stored = session.is_stored;
        for waiting in handed_over {
            if is_stored && waiting.qos != QoS::AtMostOnce {
                self.durable.write(Record::MessageDone { session: key, position: waiting.position });
            }
            self.publish_to_group(now, &waiting);
        }
    }
}

#[cfg(test)]
mod tests;
