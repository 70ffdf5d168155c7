//! Enhanced authentication: AUTH, before CONNACK and on the open connection (3.15, 4.12).
//!
//! ```text
//!           begins                 Continue: AUTH 0x18
//!  Over ------------> AwaitsVerdict -------------------> AwaitsClient
//!    ^                 |         ^                            |
//!    '---- Accepted ---'         '-------- AUTH 0x18 ---------'
//! ```
//!
//! Before CONNACK the exchange is all that a client may do; on the open connection messages go on meanwhile.
//!
//! Not here: what methods there are, and what they say (the caller).

use bytes::Bytes;
use bytestring::ByteString;
use rivulet_protocol::packet::{Auth, AuthProperties, AuthReason, Connect};
use rivulet_protocol::{Packet, ReasonCode};

use super::{Authenticating, Connection, Peer, Stage};
use crate::access::{AuthenticationStep, Credentials, Verdict};
use crate::broker::Broker;
use crate::cause::CloseCause;
use crate::key::Via;
use crate::{ConnectionKey, FlowKey, Now, Output, Timer, Violation, WallTime};

/// The method that a client chose in its CONNECT, and how far its exchange has come.
#[derive(Debug)]
pub(crate) struct Enhanced {
    method: ByteString,
    exchange: Exchange,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exchange {
    AwaitsVerdict,
    AwaitsClient,
    Over,
}

impl Enhanced {
    /// An exchange that CONNECT began. The method is kept for as long as the connection, without its receive buffer.
    pub(crate) fn begun(method: ByteString) -> Self {
        Self { method: ByteString::from(&*method), exchange: Exchange::AwaitsVerdict }
    }

    pub(crate) fn over(self) -> Self {
        Self { exchange: Exchange::Over, ..self }
    }

    /// Takes a client's AUTH, if it is its turn to send one like this.
    fn take(&mut self, auth: &Auth) -> Result<AuthenticationStep, Violation> {
        let begins = match (auth.reason, self.exchange) {
            (AuthReason::ContinueAuthentication, Exchange::AwaitsClient) => false,
            (AuthReason::ReAuthenticate, Exchange::Over) => true,
            (
                AuthReason::Success | AuthReason::ContinueAuthentication | AuthReason::ReAuthenticate,
                Exchange::AwaitsVerdict | Exchange::AwaitsClient | Exchange::Over,
            ) => return Err(Violation::AuthOutOfTurn { reason: auth.reason }),
        };
        let AuthProperties { authentication_method, authentication_data, .. } = &auth.properties;
        if authentication_method.as_ref() != Some(&self.method) {
            return Err(Violation::AuthenticationMethodChanged);
        }
        self.exchange = Exchange::AwaitsVerdict;
        let method = self.method.to_string();
        Ok(AuthenticationStep { method, data: authentication_data.clone(), begins })
    }

    /// The AUTH that the broker sends.
    fn packet(&self, reason: AuthReason, data: Option<Bytes>) -> Packet {
        let properties = AuthProperties {
            authentication_method: Some(self.method.clone()),
            authentication_data: data,
            ..AuthProperties::default()
        };
        Packet::Auth(Box::new(Auth { reason, properties }))
    }
}

impl Authenticating {
    pub(crate) fn awaits_verdict(&self) -> bool {
        self.enhanced.as_ref().is_none_or(|enhanced| enhanced.exchange == Exchange::AwaitsVerdict)
    }
}

/// What a client shows with its CONNECT.
pub(crate) fn shown(
    connection: &Connection,
    connect: &Connect,
    step: Option<AuthenticationStep>,
) -> Credentials {
    Credentials {
        listener: connection.listener,
        version: connect.version,
        client_id: connect.client_id.clone(),
        username: connect.username.as_deref().map(str::to_owned),
        password: connect.password.clone(),
        identity: connection.identity.clone(),
        step,
    }
}

impl Broker {
    /// A packet of a client that has chosen a method and waits for CONNACK: AUTH or DISCONNECT [MQTT-3.1.2-30].
    pub(crate) fn on_authenticating_packet(&mut self, now: Now, via: Via, packet: Packet) {
        let Via { connection: key, flow } = via;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Stage::Authenticating(asking) = &mut connection.stage else { return };
        let peer = Peer::of(&asking.connect);
        let is_control = flow == FlowKey::CONTROL;
        let step =
            if let (Packet::Auth(auth), Some(enhanced), true) = (&packet, &mut asking.enhanced, is_control) {
                enhanced.take(auth)
            } else if let (Packet::Disconnect(disconnect), true) = (&packet, is_control) {
                return self.close(now, key, CloseCause::Client(disconnect.reason));
            } else {
                Err(Violation::NotAuthenticatedYet { packet: packet.packet_type() })
            };
        match step {
            Ok(step) => {
                let Stage::Authenticating(asking) = &connection.stage else { return };
                let credentials = Box::new(shown(connection, &asking.connect, Some(step)));
                connection.flows.close_gate(key, &mut self.outbox);
                self.outbox.push(Output::Authenticate { connection: key, credentials });
            }
            Err(violation) => {
                self.send_refusal(key, peer, violation.reason());
                self.close(now, key, CloseCause::Violation(violation));
            }
        }
    }

    /// The method has more to ask before CONNACK [MQTT-4.12.0-2].
    pub(crate) fn ask_for_more(&mut self, now: Now, key: ConnectionKey, peer: Peer, data: Bytes) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Stage::Authenticating(asking) = &mut connection.stage else { return };
        let Some(enhanced) = &mut asking.enhanced else {
            // [MQTT-4.12.0-6]: nobody can be asked who has chosen no method.
            return self.refuse(now, key, peer, ReasonCode::ImplementationSpecificError);
        };
        enhanced.exchange = Exchange::AwaitsClient;
        let packet = enhanced.packet(AuthReason::ContinueAuthentication, Some(data));
        self.outbox.push(Output::Negotiated { connection: key, encoder: peer.encoder() });
        self.answer(Via::control(key), packet);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.flows.open_control_gate(key, &mut self.outbox);
        }
    }

    /// AUTH on the open connection: the client authenticates again, or goes on with it (4.12.1).
    pub(crate) fn on_auth(&mut self, via: Via, auth: &Auth) -> Result<(), Violation> {
        let Some(connection) = self.connections.get_mut(via.connection) else { return Ok(()) };
        let (listener, identity) = (connection.listener, connection.identity.clone());
        let Some(open) = connection.open_mut() else { return Ok(()) };
        let Some(enhanced) = &mut open.enhanced else { return Err(Violation::UnexpectedAuth) };
        let credentials = Credentials {
            listener,
            version: open.peer.version,
            client_id: Some(open.client_id.clone()),
            username: None,
            password: None,
            identity,
            step: Some(enhanced.take(auth)?),
        };
        let (connection, credentials) = (via.connection, Box::new(credentials));
        self.outbox.push(Output::Authenticate { connection, credentials });
        Ok(())
    }

    /// The verdict on a client that authenticates again. From here on it may do what this verdict says.
    pub(crate) fn on_authenticated_again(&mut self, now: Now, key: ConnectionKey, verdict: Verdict) {
        let Some(open) = self.connections.get_mut(key).and_then(Connection::open_mut) else { return };
        let Some(enhanced) = &mut open.enhanced else { return };
        if enhanced.exchange != Exchange::AwaitsVerdict {
            return;
        }
        match verdict {
            Verdict::Continue { data } => {
                enhanced.exchange = Exchange::AwaitsClient;
                let packet = enhanced.packet(AuthReason::ContinueAuthentication, Some(data));
                self.answer(Via::control(key), packet);
            }
            Verdict::Accepted { permissions, expires, data } => {
                enhanced.exchange = Exchange::Over;
                let packet = enhanced.packet(AuthReason::Success, data);
                open.permissions = permissions;
                self.limit_stay(now, key, expires);
                self.answer(Via::control(key), packet);
            }
            Verdict::Refused(reason) => {
                let violation = Violation::ReAuthenticationFailed { reason };
                self.close(now, key, CloseCause::Violation(violation));
            }
        }
    }

    /// What the client has shown runs out at this time, or never.
    pub(crate) fn limit_stay(&mut self, now: Now, key: ConnectionKey, expires: Option<WallTime>) {
        match expires {
            Some(expires) => {
                self.timers.arm(Timer::Credentials(key), now.instant + (expires - now.wall));
            }
            None => self.timers.disarm(Timer::Credentials(key)),
        }
    }
}

#[cfg(test)]
mod tests;
