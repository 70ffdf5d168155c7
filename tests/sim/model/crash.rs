//! What must be on the disk when a broker stops without warning, and where the next one goes on.
//!
//! What was acknowledged must be there. What was not may be there or not; what the disk says then holds.

use std::collections::BTreeSet;

use rivulet_core::durable::StoredSession;
use rivulet_core::{Now, Snapshot};
use rivulet_protocol::{ClientId, QoS};

use super::delivery::{Change, Incoming, Owed, Routing, Stage, Subscription};
use super::{Model, Session};
use crate::number_of;

impl Model {
    /// A broker has stopped, and another starts from what is on the disk.
    pub(crate) fn on_restart(&mut self, now: Now, disk: &Snapshot) {
        self.count("restart");
        if !disk.sessions.is_empty() {
            self.count("session that survived");
        }
        self.connections.clear();
        self.expect_sessions(now, disk);
        self.expect_retained(now, disk);
        self.expect_no_second_copies(disk);
        let stored: Vec<_> = disk.sessions.values().map(|stored| self.adopt(now, disk, stored)).collect();
        self.sessions.clear();
        self.ended.clear();
        let mut absences = Vec::new();
        for (client_id, away, session) in stored {
            let former = self.sessions.insert(client_id.clone(), session);
            assert!(former.is_none(), "the disk has two sessions of {client_id}");
            absences.push((client_id, away));
        }
        for (client_id, away) in absences {
            let since = now.wall - away.unwrap_or(now.wall);
            let since = rivulet_core::Instant(now.instant.0.saturating_sub(since.as_micros() as u64));
            self.begin_absence(now, &client_id, since);
        }
    }

    /// Acknowledged means on disk.
    fn expect_sessions(&self, now: Now, disk: &Snapshot) {
        for (client_id, session) in self.sessions.iter().filter(|(_, session)| session.is_confirmed) {
            let stored = disk.sessions.values().find(|stored| stored.client_id == *client_id);
            if session.expiry_secs == 0 {
                assert!(stored.is_none(), "{client_id} was told that its former session is gone");
                continue;
            }
            let stored = stored.unwrap_or_else(|| panic!("the session of {client_id} is lost"));
            expect_subscriptions(client_id, session, stored);
            let is_will_stored = session.will.as_ref() == stored.will.as_deref();
            let may_miss_will = session.will.is_none() || !session.is_will_confirmed;
            assert!(is_will_stored || may_miss_will, "the will of {client_id} is forgotten");
            for (id, incoming) in &session.incoming {
                let is_stored = stored.incoming.iter().any(|(_, stored)| stored == id);
                assert!(is_stored || !incoming.is_confirmed, "{client_id}: PUBREC of {id} is forgotten");
            }
            for (id, is_confirmed) in &session.released {
                let is_stored = stored.incoming.iter().any(|(_, stored)| stored == id);
                assert!(!(is_stored && *is_confirmed), "{client_id}: PUBCOMP of {id} is forgotten");
            }
            for owed in &session.owed {
                self.expect_delivery(now, disk, client_id, stored, owed);
            }
        }
    }

    fn expect_delivery(
        &self,
        now: Now,
        disk: &Snapshot,
        client_id: &ClientId,
        stored: &StoredSession,
        owed: &Owed,
    ) {
        let routing = &self.routings[owed.routing];
        let what = format!("{client_id}: {} in {:?}", routing.number, owed.stage);
        let is_released = |of| stored.released.values().any(|id| *id == of);
        let mut copies = stored.deliveries.values().filter(|delivery| {
            number_in(disk, delivery.message) == routing.number && delivery.terms.retain == owed.is_replay
        });
        let is_stored = match owed.stage {
            Stage::Sent(id) if owed.qos == QoS::ExactlyOnce => {
                let is_known = copies.any(|copy| copy.packet_id == Some(id)) || is_released(id);
                assert!(is_known, "{what}: its identifier is forgotten");
                true
            }
            Stage::Released(id, is_told) => {
                let is_sent = copies.any(|copy| copy.packet_id == Some(id));
                assert!(!(is_sent && is_told), "{what}: its PUBREL is forgotten");
                is_sent || is_released(id)
            }
            Stage::Pending | Stage::Sent(_) => copies.next().is_some(),
            Stage::Done | Stage::Gone => return,
        };
        let is_expired = routing.expires.is_some_and(|expires| expires <= now.instant);
        let is_promised = owed.qos > QoS::AtMostOnce && routing.is_acknowledged && !owed.is_replay;
        assert!(is_stored || is_expired || !is_promised, "{what}: acknowledged, and lost");
    }

    fn expect_retained(&mut self, now: Now, disk: &Snapshot) {
        let step = self.step;
        let topics = disk.retained.keys().map(|topic| topic.as_str().to_owned());
        let topics: BTreeSet<String> = topics.chain(self.retained.keys().cloned()).collect();
        for topic in topics {
            let stored = disk.retained.iter().find(|(stored, _)| stored.as_str() == topic);
            let stored = stored.map(|(_, key)| number_in(disk, *key));
            let retained = self.retained.entry(topic.clone()).or_default();
            let safe = retained.changes.iter().rposition(|change| self.routings[change.by].is_acknowledged);
            let routings = &self.routings;
            let number = |change: &Change| change.kept.map(|kept| routings[kept].number);
            let is_over = |change: &Change| {
                change.kept.and_then(|kept| routings[kept].expires).is_some_and(|at| at <= now.instant)
            };
            let possible = &retained.changes[safe.unwrap_or(0)..];
            let is_possible = possible.iter().any(|change| number(change) == stored)
                || (stored.is_none() && (safe.is_none() || possible.iter().any(is_over)));
            assert!(is_possible, "{topic} keeps {stored:?} on disk");
            if retained.kept().map(|kept| routings[kept].number) == stored {
                continue;
            }
            // What the disk says holds from here on, and cannot be undone by another crash.
            let kept = possible.iter().rfind(|change| number(change) == stored).copied();
            let by = kept.map_or(0, |change| change.by);
            retained.changes.push(Change { kept: kept.and_then(|change| change.kept), by, step });
        }
    }

    /// A QoS 2 message that its sender will repeat was not given to anybody yet, or the repetition will be known.
    fn expect_no_second_copies(&self, disk: &Snapshot) {
        for (client_id, session) in &self.sessions {
            let Some(stored) = disk.sessions.values().find(|stored| stored.client_id == *client_id) else {
                continue;
            };
            for (id, incoming) in &session.incoming {
                let Some(routing) = incoming.routing.map(|routing| &self.routings[routing]) else { continue };
                if stored.incoming.iter().any(|(_, stored)| stored == id) {
                    continue;
                }
                let copies = disk.sessions.values().flat_map(|session| session.deliveries.values());
                let copies = copies.filter(|delivery| number_in(disk, delivery.message) == routing.number);
                let is_alone = copies.filter(|delivery| !delivery.terms.retain).count() == 0;
                assert!(is_alone, "{} of {client_id} is on disk, its identifier {id} is not", routing.number);
            }
        }
    }

    /// The session as the disk has it.
    fn adopt(
        &self,
        now: Now,
        disk: &Snapshot,
        stored: &StoredSession,
    ) -> (ClientId, Option<rivulet_core::WallTime>, Session) {
        let client_id = stored.client_id.clone();
        let mut session = Session::new();
        session.expiry_secs = stored.expiry_secs;
        session.is_confirmed = true;
        session.will = stored.will.as_deref().cloned();
        let request = (rivulet_core::ConnectionKey(0), rivulet_protocol::PacketId::MIN);
        for ((filter, _), terms) in &stored.subscriptions {
            let terms = Subscription {
                qos: terms.options.maximum_qos,
                no_local: terms.options.no_local,
                id: terms.subscription_id.map(|id| id.get()),
                request,
                is_confirmed: true,
            };
            session.subscriptions.insert(filter.as_str().to_owned(), terms);
        }
        for (_, id) in &stored.incoming {
            let routing = self.sessions.get(&client_id).and_then(|former| former.incoming.get(id)?.routing);
            session.incoming.insert(*id, Incoming { routing, is_confirmed: true });
        }
        let mut adopted = Vec::new();
        let ended = self.ended.get(&client_id).into_iter().flatten().rev();
        let candidates: Vec<&Session> = self.sessions.get(&client_id).into_iter().chain(ended).collect();
        for (position, delivery) in &stored.deliveries {
            let number = number_in(disk, delivery.message);
            let expires = disk.messages[&delivery.message].expires;
            let is_meant = |routing: &Routing| {
                let lifetime = routing.expires.map(|expires| now.wall + (expires - now.instant));
                routing.number == number && (lifetime == expires || lifetime <= Some(now.wall))
            };
            let owed = owed_to(&self.routings, &candidates, is_meant, delivery.terms.retain);
            let routing =
                owed.unwrap_or_else(|| panic!("{client_id}: {number} is on disk, and was not owed"));
            let mut ids: Vec<u32> = delivery.terms.subscription_ids.iter().map(|id| id.get()).collect();
            ids.sort_unstable();
            let stage = delivery.packet_id.map_or(Stage::Pending, Stage::Sent);
            let (qos, is_replay) = (delivery.terms.qos, delivery.terms.retain);
            adopted.push((*position, Owed { routing, qos, ids, stage, since: None, is_replay }));
        }
        for (position, id) in &stored.released {
            let routing = released(&candidates, *id).unwrap_or(0);
            let (qos, stage) = (QoS::ExactlyOnce, Stage::Released(*id, false));
            let owed = Owed { routing, qos, ids: Vec::new(), stage, since: None, is_replay: false };
            adopted.push((*position, owed));
        }
        adopted.sort_by_key(|(position, _)| *position);
        for (_, owed) in adopted {
            if let Stage::Sent(id) | Stage::Released(id, _) = owed.stage {
                session.inflight.insert(id, session.owed.len());
            }
            session.owed.push(owed);
        }
        (client_id, stored.away_since, session)
    }
}

fn expect_subscriptions(client_id: &ClientId, session: &Session, stored: &StoredSession) {
    let is_stored = |filter: &str| stored.subscriptions.keys().any(|(stored, _)| stored.as_str() == filter);
    for (filter, terms) in &session.subscriptions {
        assert!(is_stored(filter) || !terms.is_confirmed, "{client_id}: SUBACK of {filter} is forgotten");
    }
    for (filter, (_, is_confirmed)) in &session.unsubscribed {
        assert!(!(is_stored(filter) && *is_confirmed), "{client_id}: UNSUBACK of {filter} is forgotten");
    }
}

/// The number of a message on disk.
fn number_in(disk: &Snapshot, key: rivulet_core::key::MessageKey) -> u64 {
    let message = &disk.messages[&key].message;
    number_of(&message.payload, &message.properties)
}

/// The routing of a message that was owed to a session, before it ended or not.
fn owed_to(
    routings: &[Routing],
    candidates: &[&Session],
    is_meant: impl Fn(&Routing) -> bool,
    is_replay: bool,
) -> Option<usize> {
    let mut owed = candidates.iter().flat_map(|session| session.owed.iter().rev());
    let is_same = |owed: &&Owed| is_meant(&routings[owed.routing]) && owed.is_replay == is_replay;
    let found = owed.find(is_same).map(|owed| owed.routing);
    // A retained message may wait that was not sent yet.
    found.or_else(|| is_replay.then(|| routings.iter().rposition(is_meant))?)
}

fn released(candidates: &[&Session], id: rivulet_protocol::PacketId) -> Option<usize> {
    let mut owed = candidates.iter().flat_map(|session| session.owed.iter());
    owed.find(|owed| matches!(owed.stage, Stage::Released(of, _) if of == id)).map(|owed| owed.routing)
}
