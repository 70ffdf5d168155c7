//! From what a store has kept to a broker that goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::Broker;
use crate::durable::{Snapshot, StoredDelivery, StoredMessage, StoredSession};
use crate::session::Session;
use crate::session::expiry::Expiry;
use crate::session::inflight::Stage;
use crate::session::queue::Waiting;
use crate::{FlowKey, Instant, MessageKey, Now, Position, SessionKey, WallTime};

impl Broker {
    /// Takes over a snapshot. Only a step knows the time, and with it what is left of expiries and delays.
    pub(crate) fn restore(&mut self, now: Now, snapshot: Snapshot) {
        for key in snapshot.retained.values() {
            if let Some(stored) = snapshot.messages.get(key) {
                self.retained.set(&stored.message, stored.expires);
            }
        }
        let mut absences = Vec::with_capacity(snapshot.sessions.len());
        for (key, stored) in snapshot.sessions {
            self.last_session = self.last_session.max(key);
            // Who was connected when the broker stopped is away from here on.
            absences.push((key, stored.away_since.map_or(Duration::ZERO, |since| now.wall - since)));
            self.restore_session(now, key, stored, &snapshot.messages);
        }
        // Wills are due only when all who want them are there.
        for (key, away) in absences {
            self.begin_absence(now, key, away);
        }
    }

    fn restore_session(
        &mut self,
        now: Now,
        key: SessionKey,
        stored: StoredSession,
        messages: &BTreeMap<MessageKey, StoredMessage>,
    ) {
        let mut session = Session::new(stored.client_id.clone(), Expiry::from_secs(stored.expiry_secs));
        session.will = stored.will;
        for (flow, id) in stored.incoming {
            session.incoming.restore(flow, id);
        }
        for (position, delivery) in stored.deliveries {
            session.resume_positions(position);
            restore_delivery(now, &mut session, position, delivery, messages);
        }
        for (position, id) in stored.released {
            session.resume_positions(position);
            session.inflight.restore(id, position, Stage::Released);
        }
        session.inflight.begin_resend();
        self.clients.insert(stored.client_id, key);
        self.sessions.insert(key, session);
        for ((filter, _), terms) in stored.subscriptions {
            self.router.subscribe(key, &filter, terms);
        }
        self.gather_flows(key);
    }
}

fn restore_delivery(
    now: Now,
    session: &mut Session,
    position: Position,
    delivery: StoredDelivery,
    messages: &BTreeMap<MessageKey, StoredMessage>,
) {
    let StoredDelivery { message, terms, packet_id } = delivery;
    let Some(stored) = messages.get(&message) else { return };
    let waiting = Waiting {
        position,
        message: stored.message.clone(),
        qos: terms.qos,
        retain: terms.retain,
        subscription_ids: terms.subscription_ids,
        share: terms.share,
        expires: stored.expires.map(|expires| to_instant(now, expires)),
    };
    match packet_id {
        None => session.queue.push(FlowKey::CONTROL, waiting),
        Some(id) => session.inflight.restore(id, position, Stage::Sent(waiting)),
    }
}

/// A point in the world's time on the clock of timers; what is past is due.
fn to_instant(now: Now, wall: WallTime) -> Instant {
    now.instant + (wall - now.wall)
}

#[cfg(test)]
mod tests;
