//! What a store gives back at the start: the state that the records have built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rivulet_protocol::packet::Will;
use rivulet_protocol::{ClientId, Message, PacketId, Topic, TopicFilter};

use super::record::{DeliveryTerms, Record};
use crate::router::Subscribed;
use crate::{FlowKey, MessageKey, Position, SessionKey, WallTime};

/// The durable state of a broker. Equal lists of records build equal snapshots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Sessions that outlive their connection.
    pub sessions: BTreeMap<SessionKey, StoredSession>,
    /// The messages that sessions and topics refer to.
    pub messages: BTreeMap<MessageKey, StoredMessage>,
    /// The last word of each topic that has one.
    pub retained: BTreeMap<Topic, MessageKey>,
}

/// One session as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// Whose.
    pub client_id: ClientId,
    /// Its expiry interval in seconds; `u32::MAX` for ever.
    pub expiry_secs: u32,
    /// Since when its client is away. `None`: it was connected when the broker stopped.
    pub away_since: Option<WallTime>,
    /// Its subscriptions, by filter and the flow that made them.
    pub subscriptions: BTreeMap<(TopicFilter, FlowKey), Subscribed>,
    /// What it has to be sent, or was sent and has not acknowledged, in order.
    pub deliveries: BTreeMap<Position, StoredDelivery>,
    /// QoS 2 deliveries that its client has, and that PUBCOMP alone is missing of.
    pub released: BTreeMap<Position, PacketId>,
    /// QoS 2 identifiers that the client has not released, by flow.
    pub incoming: BTreeSet<(FlowKey, PacketId)>,
    /// What it wants published if it does not come back.
    pub will: Option<Box<Will>>,
}

/// One message as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// The message.
    pub message: Arc<Message>,
    /// When its lifetime is over.
    pub expires: Option<WallTime>,
    /// How many deliveries and topics refer to it. At 0 it is removed.
    pub references: usize,
}

/// One delivery as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredDelivery {
    /// Of this message.
    pub message: MessageKey,
    /// How.
    pub terms: DeliveryTerms,
    /// Under which identifier it was sent. `None`: it was not.
    pub packet_id: Option<PacketId>,
}

impl Snapshot {
    /// Applies one record. A record whose subject is not there changes nothing.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::SessionStarted { session, client_id, expiry_secs } => {
                self.end(session);
                self.sessions.insert(session, StoredSession::new(client_id, expiry_secs));
            }
            Record::SessionChanged { session, expiry_secs, away_since } => self.change(session, |stored| {
                stored.expiry_secs = expiry_secs;
                stored.away_since = away_since;
            }),
            Record::SessionEnded { session } => self.end(session),
            Record::Subscribed { session, filter, terms } => self.change(session, |stored| {
                stored.subscriptions.insert((filter, terms.flow), terms);
            }),
            Record::Unsubscribed { session, filter, flow } => self.change(session, |stored| {
                stored.subscriptions.remove(&(filter, flow));
            }),
            Record::MessageStored { key, message, expires } => {
                self.messages.insert(key, StoredMessage { message, expires, references: 0 });
            }
            Record::MessageQueued { session, position, message, terms } => {
                self.queue(session, position, message, terms);
            }
            Record::MessageSent { session, position, packet_id } => self.change(session, |stored| {
                if let Some(delivery) = stored.deliveries.get_mut(&position) {
                    delivery.packet_id = Some(packet_id);
                }
            }),
            Record::MessageReleased { session, position, packet_id } => {
                self.finish(session, position);
                self.change(session, |stored| {
                    stored.released.insert(position, packet_id);
                });
            }
            Record::MessageDone { session, position } => self.finish(session, position),
            Record::PacketIdReceived { session, flow, packet_id } => self.change(session, |stored| {
                stored.incoming.insert((flow, packet_id));
            }),
            Record::PacketIdReleased { session, flow, packet_id } => self.change(session, |stored| {
                stored.incoming.remove(&(flow, packet_id));
            }),
            Record::WillSet { session, will } => self.change(session, |stored| stored.will = Some(will)),
            Record::WillCleared { session } => self.change(session, |stored| stored.will = None),
            Record::RetainedSet { message } => self.retain(message),
            Record::RetainedCleared { topic } => {
                if let Some(message) = self.retained.remove(&topic) {
                    self.unrefer(message);
                }
            }
        }
    }

    /// Panics if references do not add up.
    pub fn check(&self) {
        let mut references: BTreeMap<MessageKey, usize> = BTreeMap::new();
        let queued = self.sessions.values().flat_map(|session| session.deliveries.values());
        for message in queued.map(|delivery| &delivery.message).chain(self.retained.values()) {
            *references.entry(*message).or_default() += 1;
        }
        for (key, stored) in &self.messages {
            let counted = references.remove(key).unwrap_or_default();
            assert_eq!(stored.references, counted, "references to {key:?}");
        }
        assert!(references.is_empty(), "messages that are referred to and not stored: {references:?}");
    }

    fn change(&mut self, session: SessionKey, change: impl FnOnce(&mut StoredSession)) {
        if let Some(stored) = self.sessions.get_mut(&session) {
            change(stored);
        }
    }

    fn end(&mut self, session: SessionKey) {
        let Some(stored) = self.sessions.remove(&session) else { return };
        for delivery in stored.deliveries.into_values() {
            self.unrefer(delivery.message);
        }
    }

    fn queue(&mut self, session: SessionKey, position: Position, message: MessageKey, terms: DeliveryTerms) {
        let (Some(stored), Some(queued)) = (self.sessions.get_mut(&session), self.messages.get_mut(&message))
        else {
            return;
        };
        queued.references += 1;
        let delivery = StoredDelivery { message, terms, packet_id: None };
        if let Some(former) = stored.deliveries.insert(position, delivery) {
            self.unrefer(former.message);
        }
    }

    fn finish(&mut self, session: SessionKey, position: Position) {
        let Some(stored) = self.sessions.get_mut(&session) else { return };
        stored.released.remove(&position);
        if let Some(delivery) = stored.deliveries.remove(&position) {
            self.unrefer(delivery.message);
        }
    }

    fn retain(&mut self, message: MessageKey) {
        let Some(stored) = self.messages.get_mut(&message) else { return };
        stored.references += 1;
        let topic = stored.message.topic.clone();
        if let Some(former) = self.retained.insert(topic, message) {
            self.unrefer(former);
        }
    }

    fn unrefer(&mut self, message: MessageKey) {
        let Some(stored) = self.messages.get_mut(&message) else { return };
        stored.references -= 1;
        if stored.references == 0 {
            self.messages.remove(&message);
        }
    }
}

impl StoredSession {
    fn new(client_id: ClientId, expiry_secs: u32) -> Self {
        Self {
            client_id,
            expiry_secs,
            away_since: None,
            subscriptions: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            released: BTreeMap::new(),
            incoming: BTreeSet::new(),
            will: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rivulet_protocol::{MessageProperties, QoS};

    use super::*;

    const SESSION: SessionKey = SessionKey(1);
    const OTHER: SessionKey = SessionKey(2);
    const MESSAGE: MessageKey = MessageKey(1);

    fn started(session: SessionKey) -> Record {
        let client_id = ClientId::parse(format!("client-{}", session.0)).unwrap();
        Record::SessionStarted { session, client_id, expiry_secs: 60 }
    }

    fn stored(key: MessageKey) -> Record {
        let message = Message {
            topic: Topic::parse("t").unwrap(),
            qos: QoS::ExactlyOnce,
            retain: true,
            payload: Bytes::from_static(b"x"),
            properties: MessageProperties::default(),
        };
        Record::MessageStored { key, message: Arc::new(message), expires: None }
    }

    fn queued(session: SessionKey, position: u64) -> Record {
        let terms =
            DeliveryTerms { qos: QoS::ExactlyOnce, retain: false, subscription_ids: Vec::new(), share: None };
        Record::MessageQueued { session, position: Position(position), message: MESSAGE, terms }
    }

    fn built(records: Vec<Record>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for record in records {
            snapshot.apply(record);
        }
        snapshot.check();
        snapshot
    }

    #[test]
    fn a_message_is_kept_until_the_last_session_is_done_with_it() {
        let mut snapshot = built(vec![
            started(SESSION),
            started(OTHER),
            stored(MESSAGE),
            queued(SESSION, 1),
            queued(OTHER, 1),
        ]);
        snapshot.apply(Record::MessageDone { session: SESSION, position: Position(1) });
        snapshot.check();
        assert_eq!(snapshot.messages.len(), 1);
        snapshot.apply(Record::SessionEnded { session: OTHER });
        snapshot.check();
        assert_eq!(snapshot.messages.len(), 0);
    }

    /// 4.3.3.
    #[test]
    fn a_released_message_is_not_kept_but_its_identifier_is() {
        let packet_id = PacketId::MIN;
        let mut snapshot = built(vec![started(SESSION), stored(MESSAGE), queued(SESSION, 1)]);
        snapshot.apply(Record::MessageSent { session: SESSION, position: Position(1), packet_id });
        snapshot.apply(Record::MessageReleased { session: SESSION, position: Position(1), packet_id });
        snapshot.check();
        assert!(snapshot.messages.is_empty());
        assert_eq!(snapshot.sessions[&SESSION].released[&Position(1)], packet_id);
        snapshot.apply(Record::MessageDone { session: SESSION, position: Position(1) });
        assert!(snapshot.sessions[&SESSION].released.is_empty());
    }

    #[test]
    fn a_retained_message_replaces_the_former_one_of_its_topic() {
        let second = MessageKey(2);
        let mut records = vec![stored(MESSAGE), Record::RetainedSet { message: MESSAGE }];
        records.extend([stored(second), Record::RetainedSet { message: second }]);
        let mut snapshot = built(records);
        assert_eq!(snapshot.messages.keys().collect::<Vec<_>>(), [&second]);
        snapshot.apply(Record::RetainedCleared { topic: Topic::parse("t").unwrap() });
        snapshot.check();
        assert!(snapshot.messages.is_empty());
    }

    #[test]
    fn a_record_without_its_subject_changes_nothing() {
        let mut records = vec![queued(SESSION, 1), Record::RetainedSet { message: MESSAGE }];
        records.push(Record::MessageDone { session: SESSION, position: Position(1) });
        records.push(Record::MessageReleased {
            session: SESSION,
            position: Position(1),
            packet_id: PacketId::MIN,
        });
        assert_eq!(built(records), Snapshot::default());
    }
}
