//! How a connection ends: by its client, by us, or by the network; and what its session does then (3.14, 4.13).

use std::time::Duration;

use rivulet_protocol::packet::{Disconnect, DisconnectProperties};
use rivulet_protocol::{DecodeError, Packet, PacketType, ReasonCode};

use super::{Connection, Open, Stage};
use crate::broker::Broker;
use crate::cause::{CloseCause, NetworkLoss};
use crate::durable::Record;
use crate::key::Via;
use crate::session::expiry::Expiry;
use crate::{ConnectionKey, Event, FlowKey, Now, Output, SessionKey, Timer, Violation};

impl Broker {
    /// The client says goodbye (3.14.4).
    pub(crate) fn on_disconnect(
        &mut self,
        now: Now,
        key: ConnectionKey,
        disconnect: &Disconnect,
    ) -> Result<(), Violation> {
        let Some(open) = self.connections.get_mut(key).and_then(Connection::open_mut) else { return Ok(()) };
        if let Some(secs) = disconnect.properties.session_expiry_secs {
            if secs > 0 && !open.expiry_at_connect.outlives_connection() {
                return Err(Violation::ExpirySetAtDisconnect);
            }
            if let Some(session) = self.sessions.get_mut(open.session) {
                session.expiry = Expiry::granted(secs, &self.limits);
            }
        }
        self.close(now, key, CloseCause::Client(disconnect.reason));
        Ok(())
    }

    /// Bytes came that are no packet (4.13). On a data flow that flow alone is broken off.
    pub(crate) fn on_packet_rejected(&mut self, now: Now, via: Via, error: DecodeError) {
        let is_open = self.connections.get(via.connection).is_some_and(Connection::is_open);
        if via.flow != FlowKey::CONTROL {
            self.reset_flow(via, CloseCause::Malformed(error));
        } else if is_open {
            self.close(now, via.connection, CloseCause::Malformed(error));
        } else {
            self.reject_handshake(now, via.connection, error);
        }
    }

    /// Ends a connection: DISCONNECT with the reason if its client understands one, then the close itself.
    pub(crate) fn close(&mut self, now: Now, key: ConnectionKey, cause: CloseCause) {
        let Some(connection) = self.connections.remove(key) else { return };
        if let Stage::Open(open) = &connection.stage
            && let Some(disconnect) = farewell(open, &cause)
        {
            self.outbox.send(Via::control(key), disconnect);
        }
        self.leave(now, key, &connection, &cause);
        self.outbox.event(Event::Closed {
            connection: key,
            client_id: connection.client_id(),
            cause: cause.clone(),
        });
        self.outbox.push(Output::Close { connection: key, cause });
    }

    /// The network ended a connection. What was still to be sent on it cannot be sent.
    pub(crate) fn on_connection_lost(&mut self, now: Now, key: ConnectionKey, loss: NetworkLoss) {
        self.durable.forget(key);
        let Some(connection) = self.connections.remove(key) else { return };
        let cause = CloseCause::Network(loss);
        self.leave(now, key, &connection, &cause);
        self.outbox.event(Event::Closed { connection: key, client_id: connection.client_id(), cause });
    }

    fn leave(&mut self, now: Now, key: ConnectionKey, connection: &Connection, cause: &CloseCause) {
        self.timers.disarm(Timer::Connect(key));
        self.timers.disarm(Timer::KeepAlive(key));
        self.timers.disarm(Timer::Credentials(key));
        if let Stage::Open(open) = &connection.stage {
            // [MQTT-3.14.4-3]: only a normal goodbye takes the will back.
            let is_goodbye = *cause == CloseCause::Client(ReasonCode::Success);
            self.leave_session(now, open.session, is_goodbye);
        }
    }

    /// A session is left by its connection: it ends with it, or waits.
    fn leave_session(&mut self, now: Now, key: SessionKey, is_goodbye: bool) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.connection = None;
        if is_goodbye && session.will.take().is_some() && session.is_stored {
            self.durable.write(Record::WillCleared { session: key });
        }
        if !session.expiry.outlives_connection() {
            return self.end_session(now, key);
        }
        self.hand_over_of_absent(now, key);
        self.drop_for_absent(key);
        self.gather_flows(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let expiry_secs = session.expiry.secs();
        let away_since = Some(now.wall);
        self.durable.write(Record::SessionChanged { session: key, expiry_secs, away_since });
        self.begin_absence(now, key, Duration::ZERO);
    }

    /// All data flows are gone: what belongs to them waits for whichever flow comes next.
    pub(crate) fn gather_flows(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.queue.merge_all();
        session.incoming.on_disconnect();
        session.inflight.begin_resend();
        for replay in &mut session.replays {
            replay.terms.flow = FlowKey::CONTROL;
        }
        let elsewhere = self.router.subscriptions(key).filter(|(_, terms)| terms.flow != FlowKey::CONTROL);
        let elsewhere: Vec<_> = elsewhere.map(|(filter, terms)| (filter.clone(), *terms)).collect();
        if elsewhere.is_empty() {
            return;
        }
        self.router.gather(key);
        for (filter, terms) in elsewhere {
            self.durable.write(Record::Unsubscribed {
                session: key,
                filter: filter.clone(),
                flow: terms.flow,
            });
            if let Some(terms) = self.router.terms(key, FlowKey::CONTROL, &filter).copied() {
                self.durable.write(Record::Subscribed { session: key, filter, terms });
            }
        }
    }
}

/// The DISCONNECT that tells a client why, if there is one for this cause and version [MQTT-3.14.0-1].
fn farewell(open: &Open, cause: &CloseCause) -> Option<Packet> {
    if !open.peer.version.has_properties() {
        return None;
    }
    let reason = cause.disconnect_reason()?;
    // A second CONNECT can be faulty in ways that only a CONNACK could name.
    let is_allowed = reason.is_allowed_in(PacketType::Disconnect);
    let reason = if is_allowed { reason } else { ReasonCode::ProtocolError };
    let reason_string = open.peer.takes_reason_strings().then(|| cause.to_string().into());
    let properties = DisconnectProperties { reason_string, ..DisconnectProperties::default() };
    Some(Packet::Disconnect(Box::new(Disconnect { reason, properties })))
}

#[cfg(test)]
mod tests;
