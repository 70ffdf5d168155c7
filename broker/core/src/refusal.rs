//! A write failed: what was to be acknowledged is refused, and never passed over in silence.
//!
//! The broker's memory keeps what the store did not take. A client that is told of the failure tries again or reports
//! it; at worst a message is delivered that its publisher believes lost.

use rivulet_protocol::packet::Ack;
use rivulet_protocol::{Packet, QoS, ReasonCode};

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
        let is_stored = self.sessions.get(open.session).is_some_and(|session| session.is_stored);
        for output in outputs {
            match refused(output, is_stored, fault) {
                Refusal::None(output) => self.outbox.push(output),
                Refusal::Reason(via, ack) if knows_reasons => self.outbox.send(via, Packet::PubAck(ack)),
                Refusal::Reason(..) | Refusal::Close => {
                    return self.close(now, key, CloseCause::Store(fault));
                }
            }
        }
    }
}

/// What becomes of an output whose write failed.
enum Refusal {
    /// It promises nothing, or was a refusal already.
    None(Output),
    /// PUBACK says so.
    Reason(Via, Ack),
    /// No packet can say so.
    Close,
}

fn refused(output: Output, is_stored: bool, fault: StoreFault) -> Refusal {
    let Output::Send { connection, flow, packet } = &output else {
        return Refusal::None(output);
    };
    match packet {
        Outgoing::Packet(Packet::PubAck(ack)) if !ack.reason.is_error() => {
            let reason = match fault {
                StoreFault::Full => ReasonCode::QuotaExceeded,
                StoreFault::Failing => ReasonCode::ImplementationSpecificError,
            };
            let via = Via { connection: *connection, flow: *flow };
            Refusal::Reason(via, Ack::new(ack.packet_id, reason))
        }
        Outgoing::Packet(packet) if promises(packet) => Refusal::Close,
        // The store does not know under which identifier it went: after a restart it would go twice.
        Outgoing::Delivery(delivery) if is_stored && delivery.qos.qos() == QoS::ExactlyOnce => Refusal::Close,
        Outgoing::Packet(_) | Outgoing::Delivery(_) => Refusal::None(output),
    }
}

/// Whether a client that has this packet relies on what was to be written.
fn promises(packet: &Packet) -> bool {
    match packet {
        Packet::ConnAck(connack) => !connack.reason.is_error(),
        // The message is kept in memory. Its identifier must be known as long, or the client's repetition would make
        // a second copy [MQTT-4.3.3-10]: so PUBREC is not turned into a refusal.
        Packet::PubAck(ack) | Packet::PubRec(ack) => !ack.reason.is_error(),
        // They know no reason that says so (3.6.2.1, 3.7.2.1), or say it of one filter among many.
        Packet::PubRel(_) | Packet::PubComp(_) | Packet::SubAck(_) | Packet::UnsubAck(_) => true,
        Packet::Connect(_)
        | Packet::Publish(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => false,
    }
}
