//! What the broker says itself, and what it knows of itself: messages without a client behind them, and totals.
//!
//! Not here: which messages these are, and when they come (the caller).

use rivulet_protocol::Message;

use crate::Now;
use crate::broker::Broker;
use crate::publication::Publisher;
use crate::session::Session;

/// How much of everything there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Sessions, with or without a connection.
    pub sessions: usize,
    /// Of those, whose client is connected.
    pub connected: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Messages that wait for a client; one that waits for several counts for each.
    pub queued_messages: usize,
    /// What these cost the limits: topics and payloads, in bytes.
    pub queued_bytes: u64,
    /// Retained messages.
    pub retained_messages: usize,
    /// What these cost the limits: topics and payloads, in bytes.
    pub retained_bytes: u64,
}

impl Broker {
    /// Counts everything. Costs a walk over all sessions: for once in a while.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            retained_messages: self.retained.len(),
            retained_bytes: self.retained.bytes() as u64,
            ..Totals::default()
        };
        for key in self.clients.values() {
            let Some(Session { connection, queue, .. }) = self.sessions.get(*key) else { continue };
            totals.sessions += 1;
            totals.connected += usize::from(connection.is_some());
            totals.subscriptions += self.router.count(*key);
            totals.queued_messages += queue.len();
            totals.queued_bytes += queue.bytes();
        }
        totals
    }

    /// Publishes a message of the broker's own. It is not measured by what bounds clients, and not written down.
    pub(crate) fn publish_own(&mut self, now: Now, message: Message) {
        self.publish(now, Publisher::Broker, message);
    }
}

#[cfg(test)]
mod tests {
    use rivulet_protocol::{Message, QoS};

    use super::*;
    use crate::input::OperatorCommand;
    use crate::testing::{Driver, connect_for_long, publish_packet, publish1, retained, text};
    use crate::{Event, Input, Limits};

    fn own(topic: &str, payload: &'static str) -> Input {
        let message = Message { retain: true, qos: QoS::AtMostOnce, ..message(topic, payload) };
        Input::Operator(OperatorCommand::Publish(Box::new(message)))
    }

    fn message(topic: &str, payload: &str) -> Message {
        let publish = publish_packet(topic, payload, rivulet_protocol::PacketQos::AtMostOnce);
        let topic = rivulet_protocol::Topic::parse(topic.to_owned()).unwrap();
        let (payload, properties) = (publish.payload, publish.properties);
        Message { topic, qos: QoS::AtMostOnce, retain: false, payload, properties }
    }

    #[test]
    fn what_the_broker_says_reaches_subscribers_and_those_who_subscribe_later() {
        let mut driver = Driver::new();
        let early = driver.join("early");
        driver.subscribe(early, "$SYS/#", QoS::AtMostOnce);
        driver.handle(own("$SYS/broker/uptime", "1 seconds"));
        assert_eq!(text(&driver.delivery(early)), "1 seconds");
        let late = driver.join("late");
        driver.subscribe(late, "$SYS/#", QoS::AtMostOnce);
        assert_eq!(text(&driver.delivery(late)), "1 seconds");
        assert!(!driver.events.iter().any(|event| matches!(event, Event::Published { .. })));
    }

    #[test]
    fn what_the_broker_says_needs_no_room_and_no_disk() {
        let mut driver = Driver::with(Limits { retained_messages_max: 0, ..Limits::default() });
        let commits = driver.commits.len();
        driver.handle(own("$SYS/broker/uptime", "1 seconds"));
        assert_eq!(driver.broker.totals().retained_messages, 1);
        assert_eq!(driver.commits.len(), commits);
        assert!(driver.stored.retained.is_empty());
    }

    #[test]
    fn totals_count_sessions_subscriptions_and_what_is_kept() {
        let mut driver = Driver::new();
        let away = driver.join_as(connect_for_long("away")).0;
        driver.subscribe(away, "a/#", QoS::AtLeastOnce);
        driver.subscribe(away, "b", QoS::AtLeastOnce);
        driver.send(away, crate::testing::disconnect(rivulet_protocol::ReasonCode::Success));
        let publisher = driver.join("publisher");
        driver.send(publisher, publish1(1, "a/b", "12345"));
        driver.send(publisher, retained("r", "123"));
        let expected = Totals {
            sessions: 2,
            connected: 1,
            subscriptions: 2,
            queued_messages: 1,
            queued_bytes: 8,
            retained_messages: 1,
            retained_bytes: 4,
        };
        assert_eq!(driver.broker.totals(), expected);
    }
}
