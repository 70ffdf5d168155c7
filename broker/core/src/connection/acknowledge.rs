//! PUBACK, PUBREC, PUBREL and PUBCOMP from a client (4.3).
//!
//! An acknowledgement is taken from any flow: our identifiers are unique over all flows of a session, and a client may
//! answer on another flow than before.

use rivulet_protocol::packet::Ack;
use rivulet_protocol::{Packet, PacketType, QoS, ReasonCode};

use super::Connection;
use crate::broker::Broker;
use crate::durable::Record;
use crate::key::Via;
use crate::session::inflight::{Exchange, Stage};
use crate::{SessionKey, Violation};

impl Broker {
    /// The client has a QoS 1 message. An identifier that is not in flight is left over from before: no fault.
    pub(crate) fn on_puback(&mut self, via: Via, ack: &Ack) -> Result<(), Violation> {
        let Some((key, exchange)) = self.exchange(via, ack) else { return Ok(()) };
        if exchange.stage.qos() != QoS::AtLeastOnce {
            return Err(wrong(PacketType::PubAck, ack));
        }
        self.finish_exchange(via, key, ack);
        Ok(())
    }

    /// The client has a QoS 2 message, or does not want it [MQTT-4.3.3-4].
    pub(crate) fn on_pubrec(&mut self, via: Via, ack: &Ack) -> Result<(), Violation> {
        let Some((key, exchange)) = self.exchange(via, ack) else {
            if !ack.reason.is_error() {
                self.answer(
                    via,
                    Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::PacketIdentifierNotFound)),
                );
            }
            return Ok(());
        };
        if exchange.stage.qos() != QoS::ExactlyOnce {
            return Err(wrong(PacketType::PubRec, ack));
        }
        if ack.reason.is_error() {
            self.finish_exchange(via, key, ack);
            return Ok(());
        }
        let position = exchange.position;
        exchange.stage = Stage::Released;
        if self.sessions.get(key).is_some_and(|session| session.is_stored) {
            // After PUBREL the client may forget the identifier: we must not send the message under it again.
            self.durable.write(Record::MessageReleased { session: key, position, packet_id: ack.packet_id });
            self.durable.hold(via.connection);
        }
        self.answer(via, Packet::PubRel(Ack::success(ack.packet_id)));
        Ok(())
    }

    /// The client releases the identifier of a QoS 2 PUBLISH [MQTT-4.3.3-11].
    pub(crate) fn on_pubrel(&mut self, via: Via, ack: &Ack) -> Result<(), Violation> {
        let Some(key) = self.session_of(via.connection) else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        let released = session.incoming.release(via.flow, ack.packet_id);
        if let Some(flow) = released
            && session.is_stored
        {
            // Were it lost, a new message under the same identifier would pass for a repetition.
            self.durable.write(Record::PacketIdReleased { session: key, flow, packet_id: ack.packet_id });
            self.durable.hold(via.connection);
        }
        let reason =
            if released.is_some() { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.answer(via, Packet::PubComp(Ack::new(ack.packet_id, reason)));
        Ok(())
    }

    /// A QoS 2 delivery is over.
    pub(crate) fn on_pubcomp(&mut self, via: Via, ack: &Ack) -> Result<(), Violation> {
        let Some((key, exchange)) = self.exchange(via, ack) else { return Ok(()) };
        match exchange.stage {
            Stage::Released => self.finish_exchange(via, key, ack),
            Stage::Sent(_) => return Err(wrong(PacketType::PubComp, ack)),
        }
        Ok(())
    }

    fn exchange(&mut self, via: Via, ack: &Ack) -> Option<(SessionKey, &mut Exchange)> {
        let key = self.session_of(via.connection)?;
        Some((key, self.sessions.get_mut(key)?.inflight.get_mut(ack.packet_id)?))
    }

    /// An exchange is over: its identifier is free, and its place in the send quota (4.9).
    fn finish_exchange(&mut self, via: Via, key: SessionKey, ack: &Ack) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(exchange) = session.inflight.remove(ack.packet_id) else { return };
        if session.is_stored {
            // Nothing waits for this: were it lost, the message would be sent again with DUP, or PUBREL would.
            self.durable.write(Record::MessageDone { session: key, position: exchange.position });
        }
        if exchange.is_counted
            && let Some(open) = self.connections.get_mut(via.connection).and_then(Connection::open_mut)
        {
            open.send_quota.give_back();
        }
        self.make_ready(key);
    }
}

fn wrong(packet: PacketType, ack: &Ack) -> Violation {
    Violation::WrongAcknowledgement { packet, packet_id: ack.packet_id }
}

#[cfg(test)]
mod tests;
