//! One network connection of one client, from accept to close.
//!
//! ```text
//!                             .--AUTH--.
//!                             v        |
//! AwaitConnect --CONNECT--> Authenticating --accepted--> Open
//!      |                          |                        |
//!   timeout                    refused       DISCONNECT, violation, takeover, loss
//!      '--------------------------+------------------------+--> removed
//! ```
//!
//! A connection that has ended is removed at once; what was on its way to it finds nothing, which is no fault.
//!
//! Not here: what outlives the connection (`session`).

pub(crate) mod acknowledge;
pub(crate) mod aliases;
pub(crate) mod ending;
pub(crate) mod enhanced;
pub(crate) mod flows;
pub(crate) mod handshake;
pub(crate) mod keep_alive;
pub(crate) mod publish;
pub(crate) mod quota;
pub(crate) mod subscribe;

use std::collections::VecDeque;
use std::sync::Arc;

use rivulet_protocol::flow::FlowKind;
use rivulet_protocol::packet::Connect;
use rivulet_protocol::{ClientId, Delivery, Packet, PacketType, Version};

use self::aliases::{InboundAliases, OutboundAliases};
use self::enhanced::Enhanced;
use self::flows::Flows;
use self::keep_alive::KeepAlive;
use self::quota::SendQuota;
use crate::access::Permissions;
use crate::broker::Broker;
use crate::cause::{CloseCause, Overload};
use crate::input::Identity;
use crate::key::Via;
use crate::session::expiry::Expiry;
use crate::{ConnectionKey, FlowKey, ListenerKey, Now, SessionKey, Timer, Violation};

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    listener: ListenerKey,
    identity: Option<Identity>,
    pub(crate) flows: Flows,
    pub(crate) stage: Stage,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    AwaitConnect,
    Authenticating(Box<Authenticating>),
    Open(Box<Open>),
}

/// A client that asks to be let in.
#[derive(Debug)]
pub(crate) struct Authenticating {
    connect: Connect,
    client_id: ClientId,
    /// Its authentication method and how far it has come, if it has chosen one.
    enhanced: Option<Enhanced>,
    /// Packets that came since, for the time after CONNACK.
    early: VecDeque<(FlowKey, Packet)>,
}

/// A client that was let in, and what was agreed on.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) session: SessionKey,
    pub(crate) client_id: ClientId,
    pub(crate) peer: Peer,
    pub(crate) permissions: Arc<dyn Permissions>,
    /// Its authentication method and what it does with it meanwhile, if it has chosen one.
    enhanced: Option<Box<Enhanced>>,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) inbound_aliases: InboundAliases,
    pub(crate) outbound_aliases: OutboundAliases,
    pub(crate) send_quota: SendQuota,
    /// What CONNACK told: how many QoS 1 and 2 messages the client may have unacknowledged.
    receive_maximum: u16,
    /// What CONNECT asked for; DISCONNECT may change it under conditions (3.14.2.2.2).
    expiry_at_connect: Expiry,
}

/// What the client's CONNECT says about what it can take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) version: Version,
    /// In bytes; `None`: no limit.
    maximum_packet_bytes: Option<u32>,
    wants_problem_information: bool,
}

/// Room for a reason string in the smallest packet size that is sent one: a client that takes less takes no prose.
const REASON_STRING_PACKET_BYTES_MIN: u32 = 1024;

impl Peer {
    fn of(connect: &Connect) -> Self {
        Self {
            version: connect.version,
            maximum_packet_bytes: connect.properties.maximum_packet_bytes,
            wants_problem_information: connect.properties.request_problem_information.unwrap_or(true),
        }
    }

    /// A client whose CONNECT could not be read.
    fn unknown(version: Version) -> Self {
        Self { version, maximum_packet_bytes: None, wants_problem_information: false }
    }

    fn encoder(self) -> rivulet_protocol::Encoder {
        let bytes = self.maximum_packet_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        rivulet_protocol::Encoder::new(self.version, bytes.unwrap_or(usize::MAX))
    }

    /// Whether the client takes a PUBLISH of this size [MQTT-3.1.2-24].
    pub(crate) fn takes(self, delivery: &Delivery) -> bool {
        !self.is_limited() || self.encoder().fits(delivery)
    }

    /// Whether there is a size that the client does not take.
    pub(crate) fn is_limited(self) -> bool {
        self.maximum_packet_bytes.is_some()
    }

    /// Whether to tell the client reasons in words [MQTT-3.1.2-29].
    fn takes_reason_strings(self) -> bool {
        let has_room = self.maximum_packet_bytes.is_none_or(|bytes| bytes >= REASON_STRING_PACKET_BYTES_MIN);
        self.version.has_properties() && self.wants_problem_information && has_room
    }
}

impl Connection {
    pub(crate) fn is_open(&self) -> bool {
        self.session().is_some()
    }

    /// The session, once the client was let in.
    pub(crate) fn session(&self) -> Option<SessionKey> {
        Some(self.open()?.session)
    }

    pub(crate) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.stage {
            Stage::Open(open) => Some(open),
            Stage::AwaitConnect | Stage::Authenticating(_) => None,
        }
    }

    pub(crate) fn open(&self) -> Option<&Open> {
        match &self.stage {
            Stage::Open(open) => Some(open),
            Stage::AwaitConnect | Stage::Authenticating(_) => None,
        }
    }

    /// Who it is, as far as that is known.
    fn client_id(&self) -> Option<ClientId> {
        match &self.stage {
            Stage::AwaitConnect => None,
            Stage::Authenticating(authenticating) => Some(authenticating.client_id.clone()),
            Stage::Open(open) => Some(open.client_id.clone()),
        }
    }
}

impl Broker {
    pub(crate) fn on_connection_opened(
        &mut self,
        now: Now,
        key: ConnectionKey,
        listener: ListenerKey,
        identity: Option<Identity>,
        credit: u32,
    ) {
        let flows = Flows::new(credit, self.limits.answer_reserve_packets);
        self.connections.insert(key, Connection { listener, identity, flows, stage: Stage::AwaitConnect });
        let max = self.limits.connections_max;
        if self.is_draining {
            self.close(now, key, CloseCause::Drain);
        } else if self.connections.len() > max as usize {
            self.close(now, key, CloseCause::Overload(Overload::Connections { max }));
        } else {
            self.timers.arm(Timer::Connect(key), now.instant + self.limits.connect_timeout);
        }
    }

    /// A packet came. What a client may send depends on how far its connection has come, and on the flow.
    pub(crate) fn on_packet(&mut self, now: Now, via: Via, packet: Packet) {
        let Some(connection) = self.connections.get_mut(via.connection) else { return };
        let Some(flow) = connection.flows.get(via.flow) else { return };
        let kind = flow.kind;
        match &mut connection.stage {
            Stage::AwaitConnect => {
                let packet_type = packet.packet_type();
                if let Packet::Connect(connect) = packet
                    && kind == FlowKind::Control
                {
                    self.on_connect(now, via.connection, *connect);
                } else {
                    let violation = Violation::ConnectNotFirst { packet: packet_type };
                    self.close(now, via.connection, CloseCause::Violation(violation));
                }
            }
            Stage::Authenticating(asking) if asking.enhanced.is_some() => {
                self.on_authenticating_packet(now, via, packet);
            }
            Stage::Authenticating(authenticating) => {
                let max = self.limits.early_packets_max;
                if authenticating.early.len() < max as usize {
                    authenticating.early.push_back((via.flow, packet));
                } else {
                    self.close(now, via.connection, CloseCause::Overload(Overload::EarlyPackets { max }));
                }
            }
            Stage::Open(open) => {
                open.keep_alive.heard(now.instant);
                match kind {
                    FlowKind::Control => self.on_control_packet(now, via, packet),
                    FlowKind::ClientData | FlowKind::ServerData => self.on_data_packet(now, via, packet),
                }
            }
        }
    }

    fn on_data_packet(&mut self, now: Now, via: Via, packet: Packet) {
        if is_data_packet(packet.packet_type()) {
            self.on_control_packet(now, via, packet);
        } else {
            let violation = Violation::NotOnDataFlow { packet: packet.packet_type() };
            self.reset_flow(via, CloseCause::Violation(violation));
        }
    }

    fn on_control_packet(&mut self, now: Now, via: Via, packet: Packet) {
        let packet_type = packet.packet_type();
        let handled = match packet {
            Packet::Publish(publish) => self.on_publish(now, via, publish),
            Packet::PubAck(ack) => self.on_puback(via, &ack),
            Packet::PubRec(ack) => self.on_pubrec(via, &ack),
            Packet::PubRel(ack) => self.on_pubrel(via, &ack),
            Packet::PubComp(ack) => self.on_pubcomp(via, &ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(via, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(now, via, unsubscribe),
            Packet::PingReq => {
                self.answer(via, Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.on_disconnect(now, via.connection, &disconnect),
            Packet::Connect(_) => Err(Violation::SecondConnect),
            Packet::Auth(auth) => self.on_auth(via, &auth),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Violation::ServerPacket { packet: packet_type })
            }
        };
        if let Err(violation) = handled {
            self.close(now, via.connection, CloseCause::Violation(violation));
        }
    }

    /// Sends an answer on the flow of its question.
    pub(crate) fn answer(&mut self, via: Via, packet: Packet) {
        if let Some(connection) = self.connections.get_mut(via.connection) {
            self.outbox.send(via, packet);
            connection.flows.spend_on_answer(via, &mut self.outbox);
        }
    }

    pub(crate) fn on_keep_alive_timer(&mut self, now: Now, key: ConnectionKey) {
        let Some(open) = self.connections.get_mut(key).and_then(Connection::open_mut) else { return };
        if self.durable.is_holding(key) {
            // Answers wait for the disk, so the flow may be paused: the silence can be ours.
            open.keep_alive.heard(now.instant);
        }
        let keep_alive_secs = open.keep_alive.period_secs();
        match open.keep_alive.deadline() {
            None => {}
            Some(deadline) if deadline > now.instant => self.timers.arm(Timer::KeepAlive(key), deadline),
            Some(_) => self.close(now, key, CloseCause::KeepAlive { keep_alive_secs }),
        }
    }

    pub(crate) fn on_connect_timer(&mut self, now: Now, key: ConnectionKey) {
        let seconds = self.limits.connect_timeout.as_secs();
        self.close(now, key, CloseCause::ConnectTimeout { seconds });
    }
}

/// Which packets may travel on a data flow.
fn is_data_packet(packet: PacketType) -> bool {
    match packet {
        PacketType::Publish
        | PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubRel
        | PacketType::PubComp
        | PacketType::Subscribe
        | PacketType::Unsubscribe
        | PacketType::PingReq => true,
        PacketType::Connect
        | PacketType::ConnAck
        | PacketType::SubAck
        | PacketType::UnsubAck
        | PacketType::PingResp
        | PacketType::Disconnect
        | PacketType::Auth => false,
    }
}
