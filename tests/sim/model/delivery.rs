//! What is published, who it is owed to, and whether what is sent is owed.

use std::collections::BTreeMap;

use rivulet_core::event::DropReason;
use rivulet_core::{ConnectionKey, Instant, Now};
use rivulet_protocol::packet::{Ack, Publish, PublishTopic, RetainHandling, Subscribe, Unsubscribe, Will};
use rivulet_protocol::{ClientId, MessageProperties, PacketId, PacketQos, QoS, ReasonCode};

use super::{Model, Request, Session};
use crate::number_of;

/// One message that was let through to its subscribers.
pub(crate) struct Routing {
    pub(crate) number: u64,
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) publisher: ClientId,
    pub(crate) expires: Option<Instant>,
    /// Whether its publisher was told that it is safe.
    pub(crate) is_acknowledged: bool,
}

pub(crate) struct Subscription {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) id: Option<u32>,
    pub(crate) request: Request,
    /// Whether SUBACK was sent.
    pub(crate) is_confirmed: bool,
}

/// A subscription with what it says about retained messages.
pub(crate) struct Asked {
    pub(crate) filter: String,
    pub(crate) qos: QoS,
    pub(crate) step: usize,
}

/// A QoS 2 message of a client that was not released.
pub(crate) struct Incoming {
    /// `None`: it was routed before a restart.
    pub(crate) routing: Option<usize>,
    /// Whether PUBREC was sent.
    pub(crate) is_confirmed: bool,
}

/// One message for one session.
pub(crate) struct Owed {
    pub(crate) routing: usize,
    pub(crate) qos: QoS,
    pub(crate) ids: Vec<u32>,
    pub(crate) stage: Stage,
    /// On which connection the session was when it was routed.
    pub(crate) since: Option<ConnectionKey>,
    /// Whether it is a retained message that was asked for.
    pub(crate) is_replay: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Pending,
    Sent(PacketId),
    /// PUBREC has come; whether PUBREL was sent.
    Released(PacketId, bool),
    Done,
    /// It was dropped with a reason, or it was QoS 0 and overtaken.
    Gone,
}

/// What a topic has kept.
#[derive(Default)]
pub(crate) struct Retained {
    /// Each change: what was kept from then on, who changed it, and when.
    pub(crate) changes: Vec<Change>,
}

#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// `None`: cleared.
    pub(crate) kept: Option<usize>,
    /// The routing that did it.
    pub(crate) by: usize,
    pub(crate) step: usize,
}

impl Retained {
    pub(crate) fn kept(&self) -> Option<usize> {
        self.changes.last().and_then(|change| change.kept)
    }

    /// Whether a message was kept at a step or later.
    fn was_kept_since(&self, step: usize, is_meant: impl Fn(usize) -> bool) -> bool {
        let until = self.changes.iter().skip(1).map(|next| next.step).chain([usize::MAX]);
        let mut changes = self.changes.iter().zip(until);
        changes.any(|(change, until)| until >= step && change.kept.is_some_and(&is_meant))
    }
}

impl Routing {
    /// Whether a delivery comes within the lifetime, and says what was left of it when it was made ready.
    fn is_timely(&self, now: Now, ready_since: Instant, publish: &Publish) -> bool {
        match (self.expires, publish.properties.message_expiry_secs) {
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
            (Some(expires), Some(said)) => {
                let least = (expires - now.instant).as_secs();
                let most = (expires - ready_since).as_secs() + 1;
                (publish.dup || expires > ready_since) && (least..=most).contains(&said.into())
            }
        }
    }
}

/// What is published, by a client or for it.
struct Publication<'a> {
    topic: &'a str,
    payload: &'a [u8],
    qos: QoS,
    retain: bool,
    properties: &'a MessageProperties,
}

impl Model {
    pub(super) fn on_publish(&mut self, now: Now, key: ConnectionKey, publish: &Publish) {
        let PublishTopic::Name(topic) = &publish.topic else { panic!("simulated clients use no aliases") };
        let publication = Publication {
            topic: topic.as_str(),
            payload: &publish.payload,
            qos: publish.qos.qos(),
            retain: publish.retain,
            properties: &publish.properties,
        };
        let client_id = self.connections[&key].client_id.clone();
        let routing = match publish.qos {
            PacketQos::AtMostOnce => {
                self.route(now, &client_id, &publication);
                return;
            }
            PacketQos::AtLeastOnce(_) => Some(self.route(now, &client_id, &publication)),
            PacketQos::ExactlyOnce(id) => match self.session_on(key).incoming.get(&id) {
                Some(known) => known.routing,
                None => {
                    let routing = self.route(now, &client_id, &publication);
                    let session = self.session_on(key);
                    session.released.remove(&id);
                    session.incoming.insert(id, Incoming { routing: Some(routing), is_confirmed: false });
                    Some(routing)
                }
            },
        };
        let id = publish.qos.packet_id().expect("QoS 1 and 2 have one");
        self.connections.get_mut(&key).unwrap().publishes.push((id, routing));
    }

    pub(super) fn route_will(&mut self, now: Now, client_id: &ClientId, will: &Will) {
        let publication = Publication {
            topic: will.topic.as_str(),
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            properties: &will.properties.message,
        };
        self.route(now, client_id, &publication);
    }

    /// Owes a message to every session that wants it.
    fn route(&mut self, now: Now, publisher: &ClientId, publication: &Publication<'_>) -> usize {
        let routing = self.routings.len();
        let lifetime = publication
            .properties
            .message_expiry_secs
            .map(|secs| std::time::Duration::from_secs(secs.into()));
        self.routings.push(Routing {
            number: number_of(publication.payload, publication.properties),
            topic: publication.topic.to_owned(),
            qos: publication.qos,
            publisher: publisher.clone(),
            expires: lifetime.map(|lifetime| now.instant + lifetime),
            is_acknowledged: false,
        });
        if publication.retain {
            let kept = (!publication.payload.is_empty()).then_some(routing);
            let change = Change { kept, by: routing, step: self.step };
            self.retained.entry(publication.topic.to_owned()).or_default().changes.push(change);
        }
        for (client_id, session) in &mut self.sessions {
            let is_own = client_id == publisher;
            let wanted: Vec<_> = session
                .subscriptions
                .iter()
                .filter(|(filter, terms)| is_wanted(filter, publication.topic) && !(terms.no_local && is_own))
                .map(|(_, terms)| terms)
                .collect();
            let Some(highest) = wanted.iter().map(|terms| terms.qos).max() else { continue };
            let qos = highest.min(publication.qos);
            let mut ids: Vec<u32> = wanted.iter().filter_map(|terms| terms.id).collect();
            ids.sort_unstable();
            if qos > QoS::AtMostOnce || session.connection.is_some() {
                let since = session.connection;
                let owed = Owed { routing, qos, ids, stage: Stage::Pending, since, is_replay: false };
                session.owed.push(owed);
            }
        }
        routing
    }

    /// PUBACK or PUBREC is sent: the message is safe.
    pub(super) fn on_publish_acknowledged(&mut self, key: ConnectionKey, id: PacketId) {
        let connection = self.connections.get_mut(&key).expect("acknowledgement on a known connection");
        let place = connection.publishes.iter().position(|(publish, _)| *publish == id);
        let place = place.unwrap_or_else(|| panic!("{key:?}: acknowledgement of {id} answers nothing"));
        let (_, routing) = connection.publishes.remove(place);
        if let Some(routing) = routing {
            self.routings[routing].is_acknowledged = true;
        }
        let session = self.session_mut(key);
        if let Some(incoming) = session.and_then(|session| session.incoming.get_mut(&id)) {
            incoming.is_confirmed |= incoming.routing == routing;
        }
    }

    /// PUBACK or PUBREC says that the message is not safe: the exchange is over.
    pub(super) fn on_publish_refused(&mut self, key: ConnectionKey, id: PacketId) {
        let connection = self.connections.get_mut(&key).expect("acknowledgement on a known connection");
        connection.publishes.retain(|(publish, _)| *publish != id);
        if let Some(session) = self.session_mut(key) {
            session.incoming.remove(&id);
        }
    }

    /// The broker sends a message.
    pub(crate) fn on_delivery(&mut self, now: Now, key: ConnectionKey, publish: &Publish) {
        let PublishTopic::Name(topic) = &publish.topic else { panic!("simulated clients take no aliases") };
        let number = number_of(&publish.payload, &publish.properties);
        self.count(match (publish.dup, publish.retain, publish.qos.qos()) {
            (true, _, _) => "repetition",
            (false, true, _) => "retained message",
            (false, false, QoS::AtMostOnce) => "delivery of QoS 0",
            (false, false, QoS::AtLeastOnce) => "delivery of QoS 1",
            (false, false, QoS::ExactlyOnce) => "delivery of QoS 2",
        });
        if self.session_mut(key).is_none() {
            return; // it was under way when its connection ended
        }
        let connection = self.connections.get_mut(&key).expect("it has a session");
        let client_id = connection.client_id.clone();
        let what = format!("{client_id} is sent {number} on {topic} with {:?}", publish.qos);
        if let Some(id) = publish.qos.packet_id() {
            assert!(connection.unacknowledged.insert(id), "{what}: its identifier is in use [MQTT-2.2.1-3]");
            let used = connection.unacknowledged.len();
            assert!(used <= connection.receive_maximum, "{what}: {used} are unacknowledged [MQTT-3.3.4-9]");
        }
        let is_under_way = |id| self.sessions[&client_id].inflight.contains_key(&id);
        if publish.retain && !publish.qos.packet_id().is_some_and(is_under_way) {
            self.expect_replay(now, &client_id, publish, topic.as_str());
        }
        let routings = &self.routings;
        let session = self.sessions.get_mut(&client_id).expect("it has a session");
        let place = session.place_of(routings, publish, topic.as_str(), self.ready_since);
        let place = place.unwrap_or_else(|| panic!("{what}: not owed"));
        session.expect_order(now, routings, place, &what);
        let owed = &mut session.owed[place];
        let routing = &routings[owed.routing];
        let mut ids: Vec<u32> = publish.subscription_ids.iter().map(|id| id.get()).collect();
        ids.sort_unstable();
        assert_eq!(ids, owed.ids, "{what}: its subscriptions");
        let said = publish.properties.message_expiry_secs;
        let is_timely = routing.is_timely(now, self.ready_since, publish);
        assert!(is_timely, "{what}: it says that {said:?} s are left [MQTT-3.3.2-5, 3.3.2-6]");
        owed.stage = match publish.qos.packet_id() {
            None => Stage::Done,
            Some(id) => {
                session.inflight.insert(id, place);
                Stage::Sent(id)
            }
        };
    }

    /// A retained message is owed if it was kept at some time since a matching SUBSCRIBE.
    fn expect_replay(&mut self, now: Now, client_id: &ClientId, publish: &Publish, topic: &str) {
        let number = number_of(&publish.payload, &publish.properties);
        let session = self.sessions.get_mut(client_id).expect("it has a session");
        let is_known = |owed: &Owed| owed.is_replay && self.routings[owed.routing].number == number;
        if session.owed.iter().any(|owed| is_known(owed) && owed.stage == Stage::Pending) {
            return; // from before a restart
        }
        let kept = self.retained.get(topic);
        let is_meant = |routing: usize| self.routings[routing].number == number;
        let is_this =
            |routing: &Routing| routing.number == number && routing.is_timely(now, self.ready_since, publish);
        let routing = self.routings.iter().rposition(is_this);
        let routing =
            routing.unwrap_or_else(|| panic!("{client_id} is sent {number}, which nobody published so"));
        let published = self.routings[routing].qos;
        let asked = session.asked.iter().find(|asked| {
            let is_level = published.min(asked.qos) == publish.qos.qos();
            let was_kept = kept.is_some_and(|kept| kept.was_kept_since(asked.step, is_meant));
            is_level && was_kept && is_wanted(&asked.filter, topic)
        });
        assert!(
            asked.is_some(),
            "{client_id} is sent retained {number} on {topic}, which it did not ask for"
        );
        let mut ids: Vec<u32> = publish.subscription_ids.iter().map(|id| id.get()).collect();
        ids.sort_unstable();
        let (qos, stage) = (publish.qos.qos(), Stage::Pending);
        session.owed.push(Owed { routing, qos, ids, stage, since: None, is_replay: true });
    }

    pub(super) fn on_pubrel_sent(&mut self, key: ConnectionKey, ack: &Ack) {
        let Some(session) = self.session_mut(key) else { return };
        match session.inflight.get(&ack.packet_id).map(|place| &mut session.owed[*place].stage) {
            Some(Stage::Released(_, is_told)) => *is_told = true,
            other => assert!(ack.reason == ReasonCode::PacketIdentifierNotFound, "PUBREL for {other:?}"),
        }
    }

    pub(super) fn on_pubrec(&mut self, key: ConnectionKey, id: PacketId) {
        let session = self.session_on(key);
        if let Some(place) = session.inflight.get(&id) {
            let owed = &mut session.owed[*place];
            if owed.stage == Stage::Sent(id) {
                owed.stage = Stage::Released(id, false);
            }
        }
    }

    /// PUBACK or PUBCOMP has come.
    pub(super) fn on_client_is_done(&mut self, key: ConnectionKey, id: PacketId, is_comp: bool) {
        let session = self.session_on(key);
        if let Some(place) = session.inflight.remove(&id) {
            let owed = &mut session.owed[place];
            assert_eq!(is_comp, owed.qos == QoS::ExactlyOnce, "simulated clients acknowledge what they get");
            owed.stage = Stage::Done;
        }
        self.connections.get_mut(&key).unwrap().unacknowledged.remove(&id);
    }

    pub(super) fn on_dropped(&mut self, now: Now, client_id: &ClientId, reason: DropReason) {
        match reason {
            DropReason::Away => {}
            DropReason::Expired => {
                self.count("expiry of a message");
                let is_expired = |routing: &Routing| routing.expires.is_some_and(|at| at <= now.instant);
                assert!(self.routings.iter().any(is_expired), "{client_id}: nothing has expired yet");
            }
            DropReason::QueueFull | DropReason::TooLarge | DropReason::NotPermitted => {
                panic!("a message for {client_id} was dropped: {reason:?}")
            }
        }
    }

    pub(super) fn on_subscribe(&mut self, key: ConnectionKey, subscribe: &Subscribe) {
        let step = self.step;
        let session = self.session_on(key);
        for asked in &subscribe.subscriptions {
            let filter = asked.filter.as_str().to_owned();
            let options = asked.options;
            let former = session.subscriptions.remove(&filter);
            let is_asked = match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => former.is_none(),
                RetainHandling::DoNotSend => false,
            };
            if is_asked {
                session.asked.push(Asked { filter: filter.clone(), qos: options.maximum_qos, step });
            }
            session.unsubscribed.remove(&filter);
            let terms = Subscription {
                qos: options.maximum_qos,
                no_local: options.no_local,
                id: subscribe.subscription_id.map(|id| id.get()),
                request: (key, subscribe.packet_id),
                is_confirmed: former.is_some_and(|former| former.is_confirmed),
            };
            session.subscriptions.insert(filter, terms);
        }
        self.connections.get_mut(&key).unwrap().subscribes.insert(subscribe.packet_id, subscribe.clone());
    }

    pub(super) fn on_unsubscribe(&mut self, key: ConnectionKey, unsubscribe: &Unsubscribe) {
        let session = self.session_on(key);
        let mut existed = Vec::new();
        for filter in &unsubscribe.filters {
            let filter = filter.as_str().to_owned();
            existed.push(session.subscriptions.remove(&filter).is_some());
            session.unsubscribed.insert(filter, ((key, unsubscribe.packet_id), false));
        }
        let pending = (unsubscribe.clone(), existed);
        self.connections.get_mut(&key).unwrap().unsubscribes.insert(unsubscribe.packet_id, pending);
    }

    pub(super) fn confirm_subscriptions(&mut self, request: Request, subscribe: &Subscribe) {
        let Some(session) = self.session_mut(request.0) else { return };
        for asked in &subscribe.subscriptions {
            let terms = session.subscriptions.get_mut(asked.filter.as_str());
            if let Some(terms) = terms.filter(|terms| terms.request == request) {
                terms.is_confirmed = true;
            }
        }
    }

    pub(super) fn confirm_unsubscriptions(&mut self, request: Request, unsubscribe: &Unsubscribe) {
        let Some(session) = self.session_mut(request.0) else { return };
        for filter in &unsubscribe.filters {
            if let Some((by, confirmed)) = session.unsubscribed.get_mut(filter.as_str()) {
                *confirmed |= *by == request;
            }
        }
    }

    /// All that sessions with a connection still wait for, when nothing is under way any more.
    pub(crate) fn expect_nothing_owed(&self, now: Now) {
        for (client_id, session) in self.sessions.iter().filter(|(_, session)| session.connection.is_some()) {
            for owed in &session.owed {
                let routing = &self.routings[owed.routing];
                let is_expired = routing.expires.is_some_and(|expires| expires <= now.instant);
                let may_be_missing = owed.qos == QoS::AtMostOnce || is_expired;
                let is_over = matches!(owed.stage, Stage::Done | Stage::Gone);
                assert!(
                    is_over || may_be_missing,
                    "{client_id} waits for {}: {:?}",
                    routing.number,
                    owed.stage
                );
            }
        }
    }

    /// Forgets what is over, so that long runs stay small.
    pub(crate) fn prune(&mut self) {
        for session in self.sessions.values_mut().filter(|session| session.inflight.is_empty()) {
            session.owed.retain(|owed| !matches!(owed.stage, Stage::Done | Stage::Gone));
            if session.connection.is_some() {
                session.asked.clear();
            }
        }
    }

    /// What each topic keeps, by topic and number, `$` topics aside.
    pub(crate) fn retained(&self, now: Now) -> BTreeMap<String, u64> {
        let kept = self.retained.iter().filter_map(|(topic, retained)| {
            let routing = &self.routings[retained.kept()?];
            let is_over = routing.expires.is_some_and(|expires| expires <= now.instant);
            (!is_over).then(|| (topic.clone(), routing.number))
        });
        kept.collect()
    }
}

impl Session {
    /// QoS 0 does not wait for a client that is away.
    pub(super) fn drop_qos_0(&mut self) {
        let waiting = self.owed.iter_mut().filter(|owed| owed.qos == QoS::AtMostOnce);
        waiting.for_each(|owed| owed.stage = Stage::Gone);
    }

    /// Which of the messages that are owed this is. A repetition is one that was sent before, or may have been: it was
    /// owed before this connection began.
    fn place_of(
        &self,
        routings: &[Routing],
        publish: &Publish,
        topic: &str,
        ready_since: Instant,
    ) -> Option<usize> {
        let number = number_of(&publish.payload, &publish.properties);
        let is_same = |owed: &Owed| {
            routings[owed.routing].number == number
                && routings[owed.routing].topic == topic
                && owed.qos == publish.qos.qos()
                && owed.is_replay == publish.retain
        };
        if publish.dup {
            let id = publish.qos.packet_id().expect("QoS 0 is not repeated [MQTT-3.3.1-2]");
            if let Some(place) = self.inflight.get(&id) {
                let owed = &self.owed[*place];
                return (is_same(owed) && owed.stage == Stage::Sent(id)).then_some(*place);
            }
        }
        // A message that its publisher repeats has a lifetime for each time.
        let is_over =
            |owed: &Owed| routings[owed.routing].expires.is_some_and(|expires| expires <= ready_since);
        let is_of_this_connection = |owed: &Owed| owed.since == self.connection;
        self.owed.iter().position(|owed| {
            let may_be_late = publish.dup && !is_of_this_connection(owed);
            let may_be_first = !publish.dup && !is_over(owed);
            is_same(owed) && owed.stage == Stage::Pending && (may_be_late || may_be_first)
        })
    }

    /// What was published earlier by the same client to the same topic comes earlier [MQTT-4.6.0-5, 4.6.0-6].
    fn expect_order(&mut self, now: Now, routings: &[Routing], place: usize, what: &str) {
        let routing = &routings[self.owed[place].routing];
        if self.owed[place].is_replay {
            return;
        }
        for owed in &mut self.owed[..place] {
            let earlier = &routings[owed.routing];
            let is_lane = earlier.topic == routing.topic && earlier.publisher == routing.publisher;
            if !is_lane || owed.stage != Stage::Pending || owed.is_replay {
                continue;
            }
            let is_expired = earlier.expires.is_some_and(|expires| expires <= now.instant);
            let may_be_missing = owed.qos == QoS::AtMostOnce || is_expired;
            assert!(may_be_missing, "{what}: before {} [MQTT-4.6.0-5]", earlier.number);
            owed.stage = Stage::Gone;
        }
    }
}

/// 4.7, by recursion over lists of levels.
pub(crate) fn is_wanted(filter: &str, topic: &str) -> bool {
    fn matches(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            ([], []) => true,
            (["#"], _) => true,
            (["+", filter @ ..], [_, topic @ ..]) => matches(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) => level == name && matches(filter, topic),
            ([], _) | (_, []) => false,
        }
    }
    let is_reserved = topic.starts_with('$') && filter.starts_with(['+', '#']);
    !is_reserved && matches(&filter.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}
