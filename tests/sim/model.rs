//! What a broker may and must do, as plainly as it can be said: lists, no indexes, nothing shared with the core.
//!
//! The model sees each input before the broker does, and each output after. What it does not allow is a fault; what it
//! still expects when everything has come to rest is one too.
//!
//! Here: connections, sessions, wills. In `model/delivery`: what is published and who gets it. In `model/crash`: what
//! must have survived.

#[path = "model/crash.rs"]
mod crash;
#[path = "model/delivery.rs"]
mod delivery;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rivulet_core::cause::CloseCause;
use rivulet_core::{ConnectionKey, Event, Instant, Now};
use rivulet_protocol::packet::{ConnAck, Connect, Subscribe, Unsubscribe, Will};
use rivulet_protocol::{ClientId, Packet, PacketId, ReasonCode, Version};

use self::delivery::{Asked, Incoming, Owed, Retained, Routing, Subscription};

#[derive(Default)]
pub(crate) struct Model {
    sessions: BTreeMap<ClientId, Session>,
    connections: BTreeMap<ConnectionKey, Connection>,
    /// Everything that was ever routed, in order.
    routings: Vec<Routing>,
    retained: BTreeMap<String, Retained>,
    /// Sessions that have ended since the last restart, of which the next may bring one back whose end was not on disk.
    ended: BTreeMap<ClientId, Vec<Session>>,
    /// Wills and expiries of this step, as the rules say and as the broker reports them.
    wills: Twice,
    expiries: Twice,
    step: usize,
    /// How often something happened that a simulation is there for.
    pub(crate) tally: BTreeMap<&'static str, usize>,
    /// What is sent may have been made ready since then, and waited for the disk.
    pub(crate) ready_since: Instant,
    /// Whether the broker is being told that the disk has failed.
    store_fails: bool,
}

/// What must be equal: who it should have happened to, and who it has.
#[derive(Default)]
struct Twice {
    expected: Vec<ClientId>,
    reported: Vec<ClientId>,
}

impl Twice {
    fn settle(&mut self, what: &str) {
        self.expected.sort();
        self.reported.sort();
        assert_eq!(self.reported, self.expected, "{what} of this step, as reported and as expected");
        *self = Self::default();
    }
}

/// What the broker keeps for a client.
struct Session {
    connection: Option<ConnectionKey>,
    expiry_secs: u32,
    ends: Option<Instant>,
    will: Option<Will>,
    /// Whether the client was told that it is let in with this will.
    is_will_confirmed: bool,
    will_due: Option<Instant>,
    subscriptions: BTreeMap<String, Subscription>,
    /// All that it ever subscribed to, for retained messages.
    asked: Vec<Asked>,
    /// Subscriptions that were ended, by which request, and whether UNSUBACK was sent.
    unsubscribed: BTreeMap<String, (Request, bool)>,
    owed: Vec<Owed>,
    /// Identifiers under way towards the client: place in `owed`.
    inflight: BTreeMap<PacketId, usize>,
    /// QoS 2 identifiers of the client.
    incoming: BTreeMap<PacketId, Incoming>,
    /// Those that it has released, and whether PUBCOMP was sent.
    released: BTreeMap<PacketId, bool>,
    /// Whether CONNACK said that it exists.
    is_confirmed: bool,
}

/// A packet that is to be answered.
type Request = (ConnectionKey, PacketId);

struct Connection {
    version: Version,
    client_id: ClientId,
    receive_maximum: usize,
    /// QoS 1 and 2 messages on their way on this connection.
    unacknowledged: BTreeSet<PacketId>,
    keep_alive: Duration,
    heard: Instant,
    /// Its session, from the verdict to the end.
    is_open: bool,
    session_present: bool,
    /// What came before the verdict.
    early: Vec<Packet>,
    connect: Option<Connect>,
    /// Requests without an answer: UNSUBSCRIBE with what it found, PUBLISH with its routing if that is known.
    subscribes: BTreeMap<PacketId, Subscribe>,
    unsubscribes: BTreeMap<PacketId, (Unsubscribe, Vec<bool>)>,
    publishes: Vec<(PacketId, Option<usize>)>,
    /// Whether the store has failed during its life: what it waited for may be refused.
    saw_store_fail: bool,
    /// Why it must end, if it must.
    must_close: Option<&'static str>,
}

impl Model {
    pub(crate) fn begin_step(&mut self, step: usize) {
        self.step = step;
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// The broker has said all that it had to say about an input.
    pub(crate) fn settle(&mut self) {
        self.wills.settle("wills");
        self.expiries.settle("expiries of sessions");
        self.store_fails = false;
    }

    /// A CONNECT came; it has no effect before the verdict [MQTT-3.1.4-2].
    pub(crate) fn on_connect(&mut self, now: Now, key: ConnectionKey, connect: &Connect) {
        let properties = &connect.properties;
        let connection = Connection {
            version: connect.version,
            client_id: connect.client_id.clone().expect("simulated clients have names"),
            receive_maximum: properties.receive_maximum.map_or(usize::from(u16::MAX), usize::from),
            unacknowledged: BTreeSet::new(),
            keep_alive: Duration::from_millis(u64::from(connect.keep_alive_secs) * 1_500),
            heard: now.instant,
            is_open: false,
            session_present: false,
            early: Vec::new(),
            connect: Some(connect.clone()),
            subscribes: BTreeMap::new(),
            unsubscribes: BTreeMap::new(),
            publishes: Vec::new(),
            saw_store_fail: false,
            must_close: None,
        };
        assert!(self.connections.insert(key, connection).is_none(), "one CONNECT on {key:?}");
    }

    /// The verdict: the client is let in.
    pub(crate) fn on_accepted(&mut self, now: Now, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let Some(connect) = connection.connect.take() else { return };
        let client_id = connection.client_id.clone();
        let early = std::mem::take(&mut connection.early);
        connection.is_open = true;
        connection.heard = now.instant;
        if let Some(former) = self.sessions.get(&client_id).and_then(|session| session.connection) {
            self.leave(now, former, "taken over", false);
        }
        if connect.clean_start {
            self.end_session(now, &client_id);
        }
        let present = self.sessions.contains_key(&client_id);
        let session = self.sessions.entry(client_id).or_insert_with(Session::new);
        session.connection = Some(key);
        session.ends = None;
        session.will_due = None;
        session.will = connect.will.clone();
        session.is_will_confirmed = false;
        session.expiry_secs = match (connect.version.has_properties(), connect.clean_start) {
            (true, _) => connect.properties.session_expiry_secs.unwrap_or(0),
            (false, true) => 0,
            (false, false) => super::SESSION_EXPIRY_V3_SECS,
        };
        // What does not outlive its connection is not on the disk from CONNACK on.
        session.is_confirmed &= session.expiry_secs > 0;
        self.connections.get_mut(&key).unwrap().session_present = present;
        for packet in early {
            self.on_packet(now, key, &packet);
        }
    }

    /// The network says that a connection is gone.
    pub(crate) fn on_lost(&mut self, now: Now, key: ConnectionKey) {
        self.leave(now, key, "network", false);
        self.connections.remove(&key);
    }

    /// The broker is told that the disk has failed, until it has said all that it has to say about it.
    pub(crate) fn on_store_failed(&mut self) {
        self.store_fails = true;
        self.connections.values_mut().for_each(|connection| connection.saw_store_fail = true);
    }

    /// A packet after CONNECT came.
    pub(crate) fn on_packet(&mut self, now: Now, key: ConnectionKey, packet: &Packet) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if connection.connect.is_some() {
            connection.early.push(packet.clone());
            return;
        }
        connection.heard = now.instant;
        if !connection.is_open {
            return;
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(now, key, publish),
            Packet::PubAck(ack) => self.on_client_is_done(key, ack.packet_id, false),
            Packet::PubRec(ack) => self.on_pubrec(key, ack.packet_id),
            Packet::PubRel(ack) => {
                let session = self.session_on(key);
                session.incoming.remove(&ack.packet_id);
                session.released.insert(ack.packet_id, false);
            }
            Packet::PubComp(ack) => self.on_client_is_done(key, ack.packet_id, true),
            Packet::Subscribe(subscribe) => self.on_subscribe(key, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(key, unsubscribe),
            Packet::Disconnect(disconnect) => {
                if let Some(secs) = disconnect.properties.session_expiry_secs {
                    self.session_on(key).expiry_secs = secs;
                }
                self.leave(now, key, "client", disconnect.reason == ReasonCode::Success);
            }
            Packet::PingReq => {}
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Auth(_) => unreachable!("simulated clients do not send this"),
        }
    }

    /// Time has passed: what was due has happened.
    pub(crate) fn on_time(&mut self, now: Now) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let clients: Vec<_> = self.sessions.keys().cloned().collect();
        for client_id in clients {
            if is_due(self.sessions[&client_id].will_due) {
                self.publish_will(now, &client_id);
            }
            if is_due(self.sessions[&client_id].ends) {
                self.expiries.expected.push(client_id.clone());
                self.end_session(now, &client_id);
            }
        }
    }

    /// The broker reports something.
    pub(crate) fn on_event(&mut self, now: Now, event: &Event) {
        match event {
            Event::Closed { connection, cause, .. } => self.on_closed(now, *connection, cause),
            Event::WillPublished { client_id, .. } => {
                self.count("will");
                self.wills.reported.push(client_id.clone());
            }
            Event::SessionExpired { client_id } => {
                self.count("expiry of a session");
                self.expiries.reported.push(client_id.clone());
            }
            Event::MessageDropped { client_id, reason } => self.on_dropped(now, client_id, *reason),
            Event::PublishRefused { client_id, topic, reason } => {
                panic!("a message of {client_id} for {topic} was refused: {reason:?}")
            }
            Event::SubscriptionRefused { client_id, filter, reason } => {
                panic!("a subscription of {client_id} to {filter} was refused: {reason:?}")
            }
            Event::StoreFailed { .. } => assert!(self.store_fails, "no store has failed"),
            Event::Connected { .. }
            | Event::SessionTakenOver { .. }
            | Event::Subscribed { .. }
            | Event::Unsubscribed { .. }
            | Event::Published { .. } => {}
        }
    }

    /// The broker sends anything but a PUBLISH.
    pub(crate) fn on_sent(&mut self, key: ConnectionKey, packet: &Packet) {
        match packet {
            Packet::ConnAck(connack) => self.on_connack(key, connack),
            Packet::PubAck(ack) | Packet::PubRec(ack) if ack.reason.is_error() => {
                let may_refuse =
                    self.connections.get(&key).is_some_and(|connection| connection.saw_store_fail);
                assert!(may_refuse, "{key:?}: {packet:?} refuses what is allowed");
                self.count("refusal");
                self.on_publish_refused(key, ack.packet_id);
            }
            Packet::PubAck(ack) | Packet::PubRec(ack) => self.on_publish_acknowledged(key, ack.packet_id),
            Packet::PubRel(ack) => self.on_pubrel_sent(key, ack),
            Packet::PubComp(ack) => {
                if let Some(confirmed) =
                    self.session_mut(key).and_then(|it| it.released.get_mut(&ack.packet_id))
                {
                    *confirmed = true;
                }
            }
            Packet::PingResp => {}
            Packet::SubAck(suback) => {
                let connection = self.connections.get_mut(&key).expect("SUBACK on a known connection");
                let subscribe = connection.subscribes.remove(&suback.packet_id).expect("SUBACK answers");
                let granted = suback.reasons.iter().map(|reason| reason.byte());
                let asked = subscribe.subscriptions.iter().map(|asked| asked.options.maximum_qos.bits());
                assert!(granted.eq(asked), "each filter is granted as asked: {suback:?}");
                self.confirm_subscriptions((key, suback.packet_id), &subscribe);
            }
            Packet::UnsubAck(unsuback) => {
                let connection = self.connections.get_mut(&key).expect("UNSUBACK on a known connection");
                let (unsubscribe, existed) =
                    connection.unsubscribes.remove(&unsuback.packet_id).expect("UNSUBACK answers");
                if connection.version.has_properties() {
                    let said = unsuback.reasons.iter().map(|reason| *reason == ReasonCode::Success);
                    assert!(said.eq(existed), "each filter is answered as it was: {unsuback:?}");
                }
                self.confirm_unsubscriptions((key, unsuback.packet_id), &unsubscribe);
            }
            Packet::Disconnect(_) => {}
            Packet::Connect(_)
            | Packet::Publish(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => panic!("{key:?} was sent {packet:?}"),
        }
    }

    /// Whether a client has a session that a broker must go on with.
    pub(crate) fn has_session(&self, client_id: &ClientId) -> bool {
        self.sessions.contains_key(client_id)
    }

    fn on_connack(&mut self, key: ConnectionKey, connack: &ConnAck) {
        let connection = self.connections.get_mut(&key).expect("CONNACK on a known connection");
        assert_eq!(connack.reason, ReasonCode::Success, "{} is let in", connection.client_id);
        assert_eq!(
            connack.session_present, connection.session_present,
            "session of {}",
            connection.client_id
        );
        let client_id = connection.client_id.clone();
        if let Some(session) =
            self.sessions.get_mut(&client_id).filter(|session| session.connection == Some(key))
        {
            session.is_confirmed = true;
            session.is_will_confirmed = true;
        }
    }

    fn on_closed(&mut self, now: Now, key: ConnectionKey, cause: &CloseCause) {
        match cause {
            CloseCause::TakenOver => self.count("takeover"),
            CloseCause::KeepAlive { .. } => self.count("missed keep alive"),
            CloseCause::Store(_) => self.count("failed store"),
            CloseCause::Client(_)
            | CloseCause::Malformed(_)
            | CloseCause::Violation(_)
            | CloseCause::Refused(_)
            | CloseCause::ConnectTimeout { .. }
            | CloseCause::Operator(_)
            | CloseCause::Drain
            | CloseCause::Network(_)
            | CloseCause::Overload(_)
            | CloseCause::CredentialsExpired => {}
        }
        let Some(connection) = self.connections.get(&key) else { return };
        let silence = now.instant - connection.heard;
        let is_expected = match cause {
            CloseCause::Client(_) => connection.must_close == Some("client"),
            CloseCause::TakenOver => connection.must_close == Some("taken over"),
            CloseCause::Network(_) => connection.must_close == Some("network"),
            CloseCause::KeepAlive { .. } => {
                !connection.keep_alive.is_zero() && silence >= connection.keep_alive
            }
            CloseCause::ConnectTimeout { .. } => connection.connect.is_some(),
            CloseCause::Store(_) => self.store_fails,
            CloseCause::Malformed(_)
            | CloseCause::Violation(_)
            | CloseCause::Refused(_)
            | CloseCause::Operator(_)
            | CloseCause::Drain
            | CloseCause::Overload(_)
            | CloseCause::CredentialsExpired => false,
        };
        assert!(is_expected, "{} was closed: {cause}", connection.client_id);
        self.leave(now, key, "closed", false);
    }

    /// A connection is over, and its session is on its own.
    fn leave(&mut self, now: Now, key: ConnectionKey, why: &'static str, is_goodbye: bool) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        connection.must_close.get_or_insert(why);
        connection.connect = None;
        if !std::mem::take(&mut connection.is_open) {
            return;
        }
        let client_id = connection.client_id.clone();
        let session = self.sessions.get_mut(&client_id).expect("an open connection has a session");
        session.connection = None;
        if is_goodbye {
            session.will = None;
        }
        session.drop_qos_0();
        if session.expiry_secs == 0 {
            return self.end_session(now, &client_id);
        }
        self.begin_absence(now, &client_id, now.instant);
    }

    /// From `since` on a session waits for its client.
    fn begin_absence(&mut self, now: Now, client_id: &ClientId, since: Instant) {
        let session = self.sessions.get_mut(client_id).expect("only sessions that are there are left");
        if session.expiry_secs < u32::MAX {
            session.ends = Some(since + Duration::from_secs(u64::from(session.expiry_secs)));
        }
        match session.will.as_ref().map(|will| will.properties.delay_secs.unwrap_or(0)) {
            None => {}
            Some(0) => self.publish_will(now, client_id),
            Some(secs) => session.will_due = Some(since + Duration::from_secs(u64::from(secs))),
        }
    }

    /// [MQTT-3.1.2-8]: with the end of the session at the latest.
    fn end_session(&mut self, now: Now, client_id: &ClientId) {
        if self.sessions.contains_key(client_id) {
            self.publish_will(now, client_id);
            let session = self.sessions.remove(client_id).expect("it was there");
            self.ended.entry(client_id.clone()).or_default().push(session);
        }
    }

    fn publish_will(&mut self, now: Now, client_id: &ClientId) {
        let session = self.sessions.get_mut(client_id).expect("wills belong to sessions");
        session.will_due = None;
        let Some(will) = session.will.take() else { return };
        self.wills.expected.push(client_id.clone());
        self.route_will(now, client_id, &will);
    }

    /// The session of a connection, if it is still this connection's.
    fn session_mut(&mut self, key: ConnectionKey) -> Option<&mut Session> {
        let client_id = &self.connections.get(&key)?.client_id;
        self.sessions.get_mut(client_id).filter(|session| session.connection == Some(key))
    }

    fn session_on(&mut self, key: ConnectionKey) -> &mut Session {
        let client_id = &self.connections[&key].client_id;
        self.sessions.get_mut(client_id).expect("an open connection has a session")
    }
}

impl Session {
    fn new() -> Self {
        Self {
            connection: None,
            expiry_secs: 0,
            ends: None,
            will: None,
            is_will_confirmed: false,
            will_due: None,
            subscriptions: BTreeMap::new(),
            asked: Vec::new(),
            unsubscribed: BTreeMap::new(),
            owed: Vec::new(),
            inflight: BTreeMap::new(),
            incoming: BTreeMap::new(),
            released: BTreeMap::new(),
            is_confirmed: false,
        }
    }
}
