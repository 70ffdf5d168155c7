//! What a store missed while it failed: written again, whole, with the next batch.
//!
//! Records are changes, and a change that was not taken would leave those behind it without their subject. So each
//! session and topic of a failed commit is written as it is. That is much for a store that failed for long; it is the
//! price of going on without a restart.

use rivulet_protocol::{QoS, Topic};

use super::{DeliveryTerms, Record};
use crate::broker::Broker;
use crate::session::Session;
use crate::session::inflight::Stage;
use crate::session::queue::Waiting;
use crate::{Instant, Now, SessionKey, WallTime};

impl Broker {
    /// Puts what the store missed before the batch of this step, if this step writes at all.
    pub(crate) fn write_missed(&mut self, now: Now) {
        if self.durable.batch.is_empty() {
            return;
        }
        let missed = std::mem::take(&mut self.durable.missed);
        let batch = std::mem::take(&mut self.durable.batch);
        for key in missed.sessions {
            self.write_session(now, key);
        }
        for topic in missed.topics {
            self.write_retained_of(&topic);
        }
        self.durable.batch.extend(batch);
    }

    fn write_session(&mut self, now: Now, key: SessionKey) {
        let stored = self.sessions.get(key).filter(|session| session.is_stored);
        let Some(session) = stored else {
            return self.durable.write(Record::SessionEnded { session: key });
        };
        let Session { client_id, expiry, .. } = session;
        let expiry_secs = expiry.secs();
        self.durable.write(Record::SessionStarted {
            session: key,
            client_id: client_id.clone(),
            expiry_secs,
        });
        let away_since = session.connection.is_none().then_some(now.wall);
        self.durable.write(Record::SessionChanged { session: key, expiry_secs, away_since });
        for (filter, terms) in self.router.subscriptions(key) {
            self.durable.write(Record::Subscribed { session: key, filter: filter.clone(), terms: *terms });
        }
        for (flow, packet_id) in session.incoming.iter() {
            self.durable.write(Record::PacketIdReceived { session: key, flow, packet_id });
        }
        if let Some(will) = &session.will {
            self.durable.write(Record::WillSet { session: key, will: will.clone() });
        }
        // QoS 0 is never on disk: nothing would take it off again when it is sent.
        for waiting in session.queue.iter().filter(|waiting| waiting.qos > QoS::AtMostOnce) {
            self.durable.write_waiting(now, key, waiting);
        }
        for (packet_id, exchange) in session.inflight.iter() {
            let position = exchange.position;
            match &exchange.stage {
                Stage::Sent(waiting) => {
                    self.durable.write_waiting(now, key, waiting);
                    self.durable.write(Record::MessageSent { session: key, position, packet_id });
                }
                Stage::Released => {
                    self.durable.write(Record::MessageReleased { session: key, position, packet_id });
                }
            }
        }
    }

    fn write_retained_of(&mut self, topic: &Topic) {
        let message = self.retained.find(topic).cloned();
        let message = message.map(|kept| self.durable.store(kept.message, kept.expires));
        self.durable.write_retained(topic, message);
    }
}

impl super::Durable {
    fn write_waiting(&mut self, now: Now, session: SessionKey, waiting: &Waiting) {
        let Waiting { position, qos, retain, .. } = *waiting;
        let expires = waiting.expires.map(|expires| to_wall(now, expires));
        let message = self.store(waiting.message.clone(), expires);
        let subscription_ids = waiting.subscription_ids.clone();
        let terms = DeliveryTerms { qos, retain, subscription_ids, share: waiting.share.clone() };
        self.write(Record::MessageQueued { session, position, message, terms });
    }
}

/// A point on the clock of timers in the world's time; what is past is due.
fn to_wall(now: Now, instant: Instant) -> WallTime {
    now.wall + (instant - now.instant)
}
