//! A write failed: what was to be acknowledged is refused, and never passed over in silence.
//!
//! The broker's memory keeps what the store did not take. A client that is told of the failure tries again or reports
//! it; at worst a message is delivered that its publisher believes lost.

use rivulet_protocol::packet::Ack;
use rivulet_protocol::{Packet, ReasonCode};

use crate::broker::Broker;
use crate::cause::CloseCause;
use crate::connection::Connection;
use crate::durable::{Commit, StoreFault};
use crate::key::Via;
use crate::output::Outgoing;
use crate::{ConnectionKey, Event, Now, Output};

impl Broker {
    pub(crate) fn on_persist_failed(&mut self, now: Now, from: Commit, fault: StoreFault) {
        self.outbox.event(Event::StoreFailed { from, fault });
        for (connection, outputs) in self.durable.fail(from) {
            self.refuse_outputs(now, connection, outputs, fault);
        }
    }

    /// Lets go what waited for a failed write: acknowledgements as refusals if the client understands them; else the
    /// connection ends before the acknowledgement.
    fn refuse_outputs(&mut self, now: Now, key: ConnectionKey, outputs: Vec<Output>, fault: StoreFault) {
        let Some(open) = self.connections.get(key).and_then(Connection::open) else {
            // It has ended already; its close is all that is left of it.
            let closes = outputs.into_iter().filter(|output| matches!(output, Output::Close { .. }));
            return self.outbox.0.extend(closes);
        };
        let knows_reasons = open.peer.version.has_properties();
        for output in outputs {
            let Output::Send { connection, flow, packet: Outgoing::Packet(packet) } = output else {
                self.outbox.push(output);
                continue;
            };
            let via = Via { connection, flow };
            match refused(&packet, fault) {
                Refusal::None => self.outbox.send(via, packet),
                Refusal::Reason(as_packet, ack) if knows_reasons => {
                    if let Packet::PubRec(_) = &packet {
                        self.forget_incoming(via, &ack);
                    }
                    self.outbox.send(via, as_packet(ack));
                }
                Refusal::Reason(..) | Refusal::Close => {
                    return self.close(now, key, CloseCause::Store(fault));
                }
            }
        }
    }

    /// A QoS 2 PUBLISH was refused: its identifier is free again [MQTT-4.3.3-9].
    fn forget_incoming(&mut self, via: Via, ack: &Ack) {
        if let Some(key) = self.session_of(via.connection)
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.incoming.release(via.flow, ack.packet_id);
        }
    }
}

/// What becomes of a packet whose write failed.
enum Refusal {
    /// It promises nothing, or was a refusal already.
    None,
    /// The same acknowledgement says so.
    Reason(fn(Ack) -> Packet, Ack),
    /// No answer of its kind can say so.
    Close,
}

fn refused(packet: &Packet, fault: StoreFault) -> Refusal {
    let reason = match fault {
        StoreFault::Full => ReasonCode::QuotaExceeded,
        StoreFault::Failing => ReasonCode::ImplementationSpecificError,
    };
    match packet {
        Packet::PubAck(ack) if !ack.reason.is_error() => {
            Refusal::Reason(Packet::PubAck, Ack::new(ack.packet_id, reason))
        }
        Packet::PubRec(ack) if !ack.reason.is_error() => {
            Refusal::Reason(Packet::PubRec, Ack::new(ack.packet_id, reason))
        }
        Packet::ConnAck(connack) if !connack.reason.is_error() => Refusal::Close,
        // PUBREL and PUBCOMP know no such reason (3.6.2.1, 3.7.2.1).
        Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PubRel(_) | Packet::PubComp(_) => Refusal::Close,
        Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::ConnAck(_)
        | Packet::Connect(_)
        | Packet::Publish(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => Refusal::None,
    }
}
