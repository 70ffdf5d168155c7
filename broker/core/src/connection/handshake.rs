//! CONNECT to CONNACK (3.1, 3.2): who it is, whether it is let in, and which session it gets.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rivulet_protocol::packet::{ConnAck, ConnAckProperties, Connect};
use rivulet_protocol::{ClientId, DecodeError, Packet, PacketType, ReasonCode, Version};

use super::aliases::{InboundAliases, OutboundAliases};
use super::enhanced::{Enhanced, shown};
use super::keep_alive::KeepAlive;
use super::quota::SendQuota;
use super::{Authenticating, Open, Peer, Stage};
use crate::access::{AuthenticationStep, Permissions, Verdict};
use crate::broker::Broker;
use crate::cause::CloseCause;
use crate::durable::Record;
use crate::key::Via;
use crate::session::Session;
use crate::session::expiry::Expiry;
use crate::session::will;
use crate::{ConnectionKey, Event, FlowKey, Limits, Now, Output, SessionKey, Timer, Violation};

/// Longest client identifier of MQTT 3.1, in characters (its section on CONNECT).
const V3_1_CLIENT_ID_CHARACTERS_MAX: usize = 23;

impl Broker {
    pub(crate) fn on_connect(&mut self, now: Now, key: ConnectionKey, connect: Connect) {
        let peer = Peer::of(&connect);
        if connect.properties.authentication_method.is_none()
            && connect.properties.authentication_data.is_some()
        {
            let violation = Violation::AuthenticationDataWithoutMethod;
            return self.refuse(now, key, peer, violation.reason());
        }
        if let Err(reason) = acceptable(&connect, &self.limits) {
            return self.refuse(now, key, peer, reason);
        }
        let client_id = match &connect.client_id {
            Some(client_id) => detach(client_id),
            None => self.assign_client_id(),
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let method = connect.properties.authentication_method.clone();
        let step = method.as_deref().map(|method| AuthenticationStep {
            method: method.to_owned(),
            data: connect.properties.authentication_data.clone(),
            begins: true,
        });
        let enhanced = method.map(Enhanced::begun);
        let credentials = shown(connection, &connect, step);
        let early = VecDeque::new();
        connection.stage =
            Stage::Authenticating(Box::new(Authenticating { connect, client_id, enhanced, early }));
        connection.flows.close_gate(key, &mut self.outbox);
        self.outbox.push(Output::Authenticate { connection: key, credentials: Box::new(credentials) });
    }

    pub(crate) fn on_authenticated(&mut self, now: Now, key: ConnectionKey, verdict: Verdict) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match &connection.stage {
            Stage::AwaitConnect => return,
            Stage::Open(_) => return self.on_authenticated_again(now, key, verdict),
            Stage::Authenticating(asking) if !asking.awaits_verdict() => return,
            Stage::Authenticating(_) => {}
        }
        let stage = std::mem::replace(&mut connection.stage, Stage::AwaitConnect);
        let Stage::Authenticating(authenticating) = stage else { return };
        let peer = Peer::of(&authenticating.connect);
        let early = match verdict {
            Verdict::Refused(reason) => return self.refuse(now, key, peer, reason),
            Verdict::Continue { data } => {
                connection.stage = Stage::Authenticating(authenticating);
                return self.ask_for_more(now, key, peer, data);
            }
            Verdict::Accepted { permissions, expires, data } => {
                let early = match self.admit(now, key, *authenticating, permissions, data) {
                    Ok(early) => early,
                    Err(reason) => return self.refuse(now, key, peer, reason),
                };
                self.limit_stay(now, key, expires);
                early
            }
        };
        for (flow, packet) in early {
            self.on_packet(now, Via { connection: key, flow }, packet);
        }
    }

    /// CONNACK with a reason, and the end [MQTT-3.2.2-7].
    pub(crate) fn refuse(&mut self, now: Now, key: ConnectionKey, peer: Peer, reason: ReasonCode) {
        self.send_refusal(key, peer, reason);
        self.close(now, key, CloseCause::Refused(reason));
    }

    /// The CONNACK of a client that is not let in, if its version has one for this reason
    /// ([MQTT-3.2.2-6] of 3.1.1).
    pub(crate) fn send_refusal(&mut self, key: ConnectionKey, peer: Peer, reason: ReasonCode) {
        let is_known = if peer.version.has_properties() {
            reason.is_allowed_in(PacketType::ConnAck)
        } else {
            reason.connect_return_code().is_some()
        };
        if is_known {
            self.outbox.push(Output::Negotiated { connection: key, encoder: peer.encoder() });
            let properties = ConnAckProperties::default();
            let connack = ConnAck { session_present: false, reason, properties };
            self.outbox.send(Via::control(key), Packet::ConnAck(Box::new(connack)));
        }
    }

    /// Bytes came that are no packet, before CONNACK. A faulty CONNECT gets a CONNACK that says so (4.13.1); what is
    /// no CONNECT gets nothing.
    pub(crate) fn reject_handshake(&mut self, now: Now, key: ConnectionKey, error: DecodeError) {
        let peer = match self.connections.get(key).map(|connection| &connection.stage) {
            Some(Stage::Authenticating(authenticating)) => Some(Peer::of(&authenticating.connect)),
            Some(Stage::AwaitConnect) if error.packet == Some(PacketType::Connect) => {
                Some(Peer::unknown(error.version.unwrap_or(Version::V3_1_1)))
            }
            Some(Stage::AwaitConnect | Stage::Open(_)) | None => None,
        };
        if let Some(peer) = peer {
            self.send_refusal(key, peer, error.reason());
        }
        self.close(now, key, CloseCause::Malformed(error));
    }

    /// Lets a client in: its session is found or made, and its former connection ends. Gives back what it has sent
    /// early.
    fn admit(
        &mut self,
        now: Now,
        key: ConnectionKey,
        asking: Authenticating,
        permissions: Arc<dyn Permissions>,
        data: Option<Bytes>,
    ) -> Result<VecDeque<(FlowKey, Packet)>, ReasonCode> {
        let Authenticating { connect, client_id, enhanced, early } = asking;
        if let Some(will) = &connect.will
            && !permissions.may_publish(&will.topic, will.qos, will.retain)
        {
            return Err(ReasonCode::NotAuthorized);
        }
        let peer = Peer::of(&connect);
        let expiry = requested_expiry(&connect, &self.limits);
        let (session, session_present) =
            self.claim_session(now, key, &client_id, connect.clean_start, expiry)?;
        let keep_alive_secs = granted_keep_alive(&connect, &self.limits);
        let keep_alive = KeepAlive::new(keep_alive_secs, now.instant);
        self.timers.disarm(Timer::Connect(key));
        if let Some(deadline) = keep_alive.deadline() {
            self.timers.arm(Timer::KeepAlive(key), deadline);
        }
        let mut properties = self.agreed(&connect, &client_id, expiry, keep_alive_secs);
        properties.authentication_data = data.filter(|_| enhanced.is_some());
        let receive_maximum = connect.properties.receive_maximum.unwrap_or(u16::MAX);
        let alias_maximum = connect.properties.topic_alias_maximum.unwrap_or(0);
        let open = Open {
            session,
            client_id: client_id.clone(),
            peer,
            permissions,
            enhanced: enhanced.map(|enhanced| Box::new(enhanced.over())),
            keep_alive,
            inbound_aliases: InboundAliases::new(self.limits.topic_alias_maximum),
            outbound_aliases: OutboundAliases::new(alias_maximum.min(self.limits.outbound_topic_alias_max)),
            receive_maximum: self.limits.receive_maximum,
            send_quota: SendQuota::new(receive_maximum.min(self.limits.inflight_max)),
            expiry_at_connect: expiry,
        };
        let Some(connection) = self.connections.get_mut(key) else { return Ok(early) };
        connection.stage = Stage::Open(Box::new(open));
        self.bind_will(key, session, connect.will.map(will::detach));
        self.outbox.push(Output::Negotiated { connection: key, encoder: peer.encoder() });
        let connack = ConnAck { session_present, reason: ReasonCode::Success, properties };
        self.answer(Via::control(key), Packet::ConnAck(Box::new(connack)));
        if let Some(connection) = self.connections.get_mut(key) {
            connection.flows.open_gate(key, &mut self.outbox);
        }
        let version = connect.version;
        self.outbox.event(Event::Connected { connection: key, client_id, version, session_present });
        self.make_ready(session);
        Ok(early)
    }

    /// The session of this client: the one that it had, unless it wants a clean start or the session ended with its
    /// former connection [MQTT-3.1.2-4, 3.1.2-5, 3.1.2-6].
    fn claim_session(
        &mut self,
        now: Now,
        connection: ConnectionKey,
        client_id: &ClientId,
        clean_start: bool,
        expiry: Expiry,
    ) -> Result<(SessionKey, bool), ReasonCode> {
        if let Some(former) = self.connection_of(client_id) {
            let event =
                Event::SessionTakenOver { client_id: client_id.clone(), from: former, to: connection };
            self.outbox.event(event);
            self.close(now, former, CloseCause::TakenOver);
        }
        if let Some(key) = self.clients.get(client_id).copied()
            && clean_start
        {
            self.end_session(now, key);
        }
        let found = self.clients.get(client_id).copied();
        if found.is_none() && self.sessions.len() >= self.limits.sessions_max as usize {
            return Err(ReasonCode::QuotaExceeded);
        }
        let key = match found {
            Some(key) => self.resume_session(key, connection, expiry),
            None => self.start_session(client_id, connection, expiry),
        };
        Ok((key, found.is_some()))
    }

    fn start_session(
        &mut self,
        client_id: &ClientId,
        connection: ConnectionKey,
        expiry: Expiry,
    ) -> SessionKey {
        self.last_session.0 += 1;
        let key = self.last_session;
        let mut session = Session::new(client_id.clone(), expiry);
        session.connection = Some(connection);
        if session.is_stored {
            let client_id = client_id.clone();
            self.durable.write(Record::SessionStarted {
                session: key,
                client_id,
                expiry_secs: expiry.secs(),
            });
            self.durable.hold(connection);
        } else if self.durable.write_end_again(client_id) {
            // CONNACK says that there is no former session, and must be right about that after a restart too.
            self.durable.hold(connection);
        }
        self.sessions.insert(key, session);
        self.clients.insert(client_id.clone(), key);
        key
    }

    /// A client found its session. Its timers end, and it owes nothing for its absence.
    fn resume_session(&mut self, key: SessionKey, connection: ConnectionKey, expiry: Expiry) -> SessionKey {
        self.timers.disarm(Timer::SessionExpiry(key));
        self.timers.disarm(Timer::Will(key));
        let Some(session) = self.sessions.get_mut(key) else { return key };
        // What the session holds may not be on disk yet; its client must not learn of it before.
        self.durable.catch_up(connection);
        session.connection = Some(connection);
        session.expiry = expiry;
        session.inflight.begin_resend();
        if expiry.outlives_connection() {
            let expiry_secs = expiry.secs();
            self.durable.write(Record::SessionChanged { session: key, expiry_secs, away_since: None });
        } else {
            // From here on it ends with its connection, and a restart is an end of that.
            session.is_stored = false;
            self.durable.write_end(key, session.client_id.clone());
        }
        key
    }

    /// What CONNACK tells a 5.0 client (3.2.2.3). Absent is what the default says.
    fn agreed(
        &self,
        connect: &Connect,
        client_id: &ClientId,
        expiry: Expiry,
        keep_alive_secs: u16,
    ) -> ConnAckProperties {
        if !connect.version.has_properties() {
            return ConnAckProperties::default();
        }
        let asked = &connect.properties;
        let response_prefix = self.limits.response_topic_prefix.as_deref();
        let response_prefix = response_prefix.filter(|_| asked.request_response_information == Some(true));
        let wanted_expiry_secs = asked.session_expiry_secs.unwrap_or(0);
        ConnAckProperties {
            session_expiry_secs: (expiry.secs() != wanted_expiry_secs).then_some(expiry.secs()),
            receive_maximum: Some(self.limits.receive_maximum),
            maximum_packet_bytes: Some(self.limits.maximum_packet_bytes),
            assigned_client_id: connect.client_id.is_none().then(|| client_id.clone()),
            topic_alias_maximum: Some(self.limits.topic_alias_maximum).filter(|max| *max > 0),
            server_keep_alive_secs: (keep_alive_secs != connect.keep_alive_secs).then_some(keep_alive_secs),
            response_information: response_prefix.map(|prefix| format!("{prefix}/{client_id}").into()),
            // [MQTT-4.12.0-5].
            authentication_method: asked.authentication_method.clone(),
            ..ConnAckProperties::default()
        }
    }

    /// A name for a client that leaves the choice to us, which no other has [MQTT-3.1.3-6, 3.1.3-7].
    fn assign_client_id(&mut self) -> ClientId {
        loop {
            let text = format!("rivulet-{:016x}", self.chance.rand_u64());
            if let Some(client_id) = ClientId::parse(text)
                && !self.clients.contains_key(&client_id)
            {
                return client_id;
            }
        }
    }
}

/// What can be said before anybody is asked.
fn acceptable(connect: &Connect, limits: &Limits) -> Result<(), ReasonCode> {
    match connect.version {
        Version::V3_1 if !limits.allow_v3_1 => return Err(ReasonCode::UnsupportedProtocolVersion),
        Version::V3_1 => {
            let characters = connect.client_id.as_ref().map_or(0, |id| id.as_str().chars().count());
            if characters == 0 || characters > V3_1_CLIENT_ID_CHARACTERS_MAX {
                return Err(ReasonCode::ClientIdentifierNotValid);
            }
        }
        // [MQTT-3.1.3-8] of 3.1.1: without an identifier there is nothing to find a kept session by.
        Version::V3_1_1 if connect.client_id.is_none() && !connect.clean_start => {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        Version::V3_1_1 | Version::V5 => {}
    }
    Ok(())
}

/// A copy that shares no memory with the receive buffer: it is kept for as long as the session.
fn detach(client_id: &ClientId) -> ClientId {
    ClientId::parse(client_id.as_str().to_owned()).unwrap_or_else(|| client_id.clone())
}

fn requested_expiry(connect: &Connect, limits: &Limits) -> Expiry {
    if connect.version.has_properties() {
        Expiry::granted(connect.properties.session_expiry_secs.unwrap_or(0), limits)
    } else {
        Expiry::of_clean_session(connect.clean_start, limits)
    }
}

/// The period in force. A 3.1.1 client cannot be told another than its own.
fn granted_keep_alive(connect: &Connect, limits: &Limits) -> u16 {
    let max = limits.keep_alive_max_secs;
    let is_too_long = connect.keep_alive_secs == 0 || connect.keep_alive_secs > max;
    if max > 0 && is_too_long && connect.version.has_properties() { max } else { connect.keep_alive_secs }
}

#[cfg(test)]
mod tests;
