//! Messages that wait to be sent.
//!
//! ```text
//!   in -> [ queue: not yet sent ][ window: sent, not acknowledged ] -> out
//!            oldest first             at most receive maximum
//! ```
//!
//! One lane per flow, so that a flow without credit holds up no other; inside a lane all levels of QoS keep one order.
//!
//! Not here: packet identifiers (`packet_ids`), who wants what (`router`), disk (`durable`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rivulet_protocol::{Message, QoS, SubscriptionId};

use crate::router::Share;
use crate::{FlowKey, Instant, Position};

/// One message that waits for one session, with all that differs per session.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) position: Position,
    pub(crate) message: Arc<Message>,
    /// The lower of what the publisher sent and the subscriber asked for [MQTT-3.8.4-8].
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: Vec<SubscriptionId>,
    /// The shared subscription whose only copy this is.
    pub(crate) share: Option<Share>,
    /// When the message's lifetime is over.
    pub(crate) expires: Option<Instant>,
}

impl Waiting {
    /// What it costs the queue's byte limit: topic and payload.
    pub(crate) fn bytes(&self) -> u64 {
        bytes_of(&self.message)
    }

    /// What is left of its lifetime in whole seconds, rounded up: a message that is not yet over never has 0 left.
    pub(crate) fn remaining_secs(&self, now: Instant) -> Option<u32> {
        let left = self.expires? - now;
        let secs = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(u32::try_from(secs).unwrap_or(u32::MAX))
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What a message costs a queue.
pub(crate) fn bytes_of(message: &Message) -> u64 {
    (message.topic.as_str().len() + message.payload.len()) as u64
}

/// The messages of one session that were not yet sent.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    control: VecDeque<Waiting>,
    data: BTreeMap<FlowKey, VecDeque<Waiting>>,
    messages: usize,
    bytes: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, flow: FlowKey, waiting: Waiting) {
        self.messages += 1;
        self.bytes += waiting.bytes();
        if flow == FlowKey::CONTROL {
            self.control.push_back(waiting);
        } else {
            self.data.entry(flow).or_default().push_back(waiting);
        }
    }

    /// Puts back a message that was taken and could not be sent.
    pub(crate) fn push_front(&mut self, flow: FlowKey, waiting: Waiting) {
        self.messages += 1;
        self.bytes += waiting.bytes();
        let lane =
            if flow == FlowKey::CONTROL { &mut self.control } else { self.data.entry(flow).or_default() };
        lane.push_front(waiting);
    }

    /// The next message of a flow.
    pub(crate) fn front(&self, flow: FlowKey) -> Option<&Waiting> {
        if flow == FlowKey::CONTROL { self.control.front() } else { self.data.get(&flow)?.front() }
    }

    pub(crate) fn pop(&mut self, flow: FlowKey) -> Option<Waiting> {
        let waiting = if flow == FlowKey::CONTROL {
            self.control.pop_front()?
        } else {
            let lane = self.data.get_mut(&flow)?;
            let waiting = lane.pop_front()?;
            if lane.is_empty() {
                self.data.remove(&flow);
            }
            waiting
        };
        self.messages -= 1;
        self.bytes -= waiting.bytes();
        Some(waiting)
    }

    /// Takes the message that has waited longest, to make room.
    pub(crate) fn pop_oldest(&mut self) -> Option<Waiting> {
        let oldest_data =
            self.data.iter().filter_map(|(flow, lane)| Some((lane.front()?.position, *flow))).min();
        let oldest_control = self.control.front().map(|waiting| (waiting.position, FlowKey::CONTROL));
        let (_, flow) = oldest_control.into_iter().chain(oldest_data).min()?;
        self.pop(flow)
    }

    /// The first flow after this one that has messages waiting.
    pub(crate) fn flow_after(&self, flow: FlowKey) -> Option<FlowKey> {
        self.data
            .range((std::ops::Bound::Excluded(flow), std::ops::Bound::Unbounded))
            .next()
            .map(|(flow, _)| *flow)
    }

    /// A data flow is gone: what waits for it goes to the control flow, at its place in the session's order.
    pub(crate) fn merge(&mut self, flow: FlowKey) {
        if let Some(lane) = self.data.remove(&flow) {
            let mut merged: Vec<Waiting> = self.control.drain(..).chain(lane).collect();
            merged.sort_by_key(|waiting| waiting.position);
            self.control = merged.into();
        }
    }

    /// All data flows are gone.
    pub(crate) fn merge_all(&mut self) {
        while let Some((flow, _)) = self.data.first_key_value() {
            self.merge(*flow);
        }
    }

    /// Drops what is not promised to an absent client (4.1), and says how many messages that were.
    pub(crate) fn drop_qos_0(&mut self) -> usize {
        let before = self.messages;
        let mut bytes = 0;
        let mut keep = |waiting: &Waiting| {
            let is_promised = waiting.qos != QoS::AtMostOnce;
            if !is_promised {
                bytes += waiting.bytes();
            }
            is_promised
        };
        self.control.retain(&mut keep);
        for lane in self.data.values_mut() {
            lane.retain(&mut keep);
        }
        self.data.retain(|_, lane| !lane.is_empty());
        self.bytes -= bytes;
        self.messages = self.control.len() + self.data.values().map(VecDeque::len).sum::<usize>();
        before - self.messages
    }

    /// Takes the messages that this is said of, in the session's order.
    pub(crate) fn take_those(&mut self, is_meant: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut extracted = Vec::new();
        for lane in std::iter::once(&mut self.control).chain(self.data.values_mut()) {
            let (meant, kept): (Vec<_>, Vec<_>) = lane.drain(..).partition(&is_meant);
            extracted.extend(meant);
            *lane = kept.into();
        }
        extracted.sort_by_key(|waiting| waiting.position);
        self.data.retain(|_, lane| !lane.is_empty());
        self.messages -= extracted.len();
        self.bytes -= extracted.iter().map(Waiting::bytes).sum::<u64>();
        extracted
    }

    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> {
        self.iter().map(|waiting| waiting.position)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.control.iter().chain(self.data.values().flatten())
    }

    /// Panics if the sums are wrong or a lane is out of order.
    pub(crate) fn check(&self) {
        assert_eq!(self.messages, self.iter().count(), "messages in the queue");
        assert_eq!(self.bytes, self.iter().map(Waiting::bytes).sum::<u64>(), "bytes in the queue");
        for lane in std::iter::once(&self.control).chain(self.data.values()) {
            assert!(
                lane.iter().is_sorted_by_key(|waiting| waiting.position),
                "a lane keeps the session's order"
            );
        }
        assert!(self.data.values().all(|lane| !lane.is_empty()), "a lane without messages is removed");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use rivulet_protocol::{MessageProperties, Topic};

    use super::*;

    const DATA: FlowKey = FlowKey(2);

    fn waiting(position: u64, qos: QoS) -> Waiting {
        let message = Message {
            topic: Topic::parse("t").unwrap(),
            qos,
            retain: false,
            payload: Bytes::from_static(b"1234"),
            properties: MessageProperties::default(),
        };
        let position = Position(position);
        let message = Arc::new(message);
        Waiting {
            position,
            message,
            qos,
            retain: false,
            subscription_ids: Vec::new(),
            share: None,
            expires: None,
        }
    }

    fn positions(queue: &Queue) -> Vec<u64> {
        queue.positions().map(|position| position.0).collect()
    }

    #[test]
    fn what_waits_for_a_lost_flow_takes_its_place_on_the_control_flow() {
        let mut queue = Queue::default();
        for (position, flow) in [(1, DATA), (2, FlowKey::CONTROL), (3, DATA), (4, FlowKey::CONTROL)] {
            queue.push(flow, waiting(position, QoS::AtLeastOnce));
        }
        queue.merge(DATA);
        queue.check();
        assert_eq!(positions(&queue), [1, 2, 3, 4]);
        assert_eq!(queue.flow_after(FlowKey::CONTROL), None);
    }

    /// 4.1.
    #[test]
    fn only_what_was_promised_waits_for_an_absent_client() {
        let mut queue = Queue::default();
        for (position, qos) in [(1, QoS::AtMostOnce), (2, QoS::AtLeastOnce), (3, QoS::AtMostOnce)] {
            queue.push(FlowKey::CONTROL, waiting(position, qos));
        }
        assert_eq!(queue.drop_qos_0(), 2);
        queue.check();
        assert_eq!(positions(&queue), [2]);
        assert_eq!(queue.bytes(), 5);
    }

    #[test]
    fn the_oldest_of_all_flows_makes_room() {
        let mut queue = Queue::default();
        queue.push(FlowKey::CONTROL, waiting(2, QoS::AtLeastOnce));
        queue.push(DATA, waiting(1, QoS::AtLeastOnce));
        assert_eq!(queue.pop_oldest().map(|waiting| waiting.position), Some(Position(1)));
        assert_eq!(queue.pop_oldest().map(|waiting| waiting.position), Some(Position(2)));
        assert!(queue.pop_oldest().is_none());
        queue.check();
    }

    /// [MQTT-3.3.2-6].
    #[test]
    fn a_lifetime_is_counted_down_and_over_at_its_end() {
        let end = Instant(0) + Duration::from_secs(10);
        let message = Waiting { expires: Some(end), ..waiting(1, QoS::AtMostOnce) };
        assert_eq!(message.remaining_secs(Instant(0)), Some(10));
        assert_eq!(message.remaining_secs(Instant(0) + Duration::from_millis(9_001)), Some(1));
        assert!(!message.is_expired(Instant(end.0 - 1)));
        assert!(message.is_expired(end));
    }
}
