//! PUBLISH from a client: the packet becomes a message (3.3.4, 4.3).

use rivulet_protocol::message::PayloadFormat;
use rivulet_protocol::packet::{Ack, Publish};
use rivulet_protocol::{Message, Packet, PacketId, PacketQos, ReasonCode};

use super::Connection;
use crate::broker::Broker;
use crate::durable::Record;
use crate::key::Via;
use crate::publication::{Publisher, Reach};
use crate::session::incoming::Arrival;
use crate::{ConnectionKey, Event, Now, SessionKey, Violation};

impl Broker {
    pub(crate) fn on_publish(&mut self, now: Now, via: Via, publish: Publish) -> Result<(), Violation> {
        let Some(open) = self.connections.get_mut(via.connection).and_then(Connection::open_mut) else {
            return Ok(());
        };
        if !publish.subscription_ids.is_empty() {
            return Err(Violation::SubscriptionIdInPublish);
        }
        let session = open.session;
        let topic = open.inbound_aliases.resolve(publish.topic)?;
        let message = Message {
            topic,
            qos: publish.qos.qos(),
            retain: publish.retain,
            payload: publish.payload,
            properties: publish.properties,
        };
        match publish.qos {
            PacketQos::AtMostOnce => {
                // There is nothing to answer: what is refused is an event alone.
                if self.accept(via.connection, &message).is_ok() {
                    self.publish(now, Publisher::Client(session), message);
                }
                Ok(())
            }
            PacketQos::AtLeastOnce(id) => {
                self.check_receive_maximum(via.connection, session)?;
                self.publish_at_least_once(now, via, session, id, message);
                Ok(())
            }
            PacketQos::ExactlyOnce(id) => {
                let is_known =
                    self.sessions.get(session).is_some_and(|session| session.incoming.contains(via.flow, id));
                if !is_known {
                    self.check_receive_maximum(via.connection, session)?;
                }
                self.publish_exactly_once(now, via, session, id, message);
                Ok(())
            }
        }
    }

    /// 4.3.2.
    fn publish_at_least_once(
        &mut self,
        now: Now,
        via: Via,
        session: SessionKey,
        id: PacketId,
        message: Message,
    ) {
        let reason = match self.accept(via.connection, &message) {
            Ok(()) => {
                // The acknowledgement says that the message is safe with all who are promised it.
                self.durable.hold(via.connection);
                delivered(self.publish(now, Publisher::Client(session), message))
            }
            Err(reason) => reason,
        };
        self.answer(via, Packet::PubAck(Ack::new(id, reason)));
    }

    /// 4.3.3: the message is routed when it comes, and its identifier is kept until PUBREL, so that a repetition is
    /// not routed again.
    fn publish_exactly_once(&mut self, now: Now, via: Via, key: SessionKey, id: PacketId, message: Message) {
        let is_known = self.sessions.get(key).is_some_and(|session| session.incoming.contains(via.flow, id));
        if !is_known && let Err(reason) = self.accept(via.connection, &message) {
            return self.answer(via, Packet::PubRec(Ack::new(id, reason)));
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let arrival = session.incoming.receive(via.flow, id);
        let received = Record::PacketIdReceived { session: key, flow: via.flow, packet_id: id };
        let is_stored = session.is_stored;
        let reason = match arrival {
            Arrival::New => {
                self.durable.hold(via.connection);
                if is_stored {
                    self.durable.write(received);
                }
                delivered(self.publish(now, Publisher::Client(key), message))
            }
            Arrival::Repeated => ReasonCode::Success,
            Arrival::Adopted { from } => {
                if is_stored {
                    self.durable.write(Record::PacketIdReleased { session: key, flow: from, packet_id: id });
                    self.durable.write(received);
                }
                ReasonCode::Success
            }
        };
        self.answer(via, Packet::PubRec(Ack::new(id, reason)));
    }

    /// [MQTT-3.3.4-7]. An exchange is open for the client until the last acknowledgement is on its way to it. 3.1.1
    /// knows no maximum.
    fn check_receive_maximum(
        &mut self,
        connection: ConnectionKey,
        session: SessionKey,
    ) -> Result<(), Violation> {
        let Some(open) = self.connections.get_mut(connection).and_then(Connection::open_mut) else {
            return Ok(());
        };
        if !open.peer.version.has_properties() {
            return Ok(());
        }
        let max = open.receive_maximum;
        let counted = self.sessions.get(session).map_or(0, |session| session.incoming.counted());
        let unacknowledged = counted + self.durable.answers_held(connection) + 1;
        if unacknowledged > usize::from(max) {
            return Err(Violation::ReceiveMaximum { unacknowledged, max });
        }
        Ok(())
    }

    /// Whether a client's message is taken. If not: an event, and the reason for its acknowledgement.
    fn accept(&mut self, connection: ConnectionKey, message: &Message) -> Result<(), ReasonCode> {
        let judged = self.judge(connection, message);
        if let Err(reason) = judged
            && let Some(open) = self.connections.get_mut(connection).and_then(Connection::open_mut)
        {
            let client_id = open.client_id.clone();
            self.outbox.event(Event::PublishRefused { client_id, topic: message.topic.detach(), reason });
        }
        judged
    }

    fn judge(&self, connection: ConnectionKey, message: &Message) -> Result<(), ReasonCode> {
        let Some(open) = self.connections.get(connection).and_then(Connection::open) else {
            return Err(ReasonCode::NotAuthorized);
        };
        if message.topic.levels().nth(self.limits.topic_levels_max as usize).is_some() {
            return Err(ReasonCode::TopicNameInvalid);
        }
        if !open.permissions.may_publish(&message.topic, message.qos, message.retain) {
            return Err(ReasonCode::NotAuthorized);
        }
        let says_utf8 = message.properties.payload_format == Some(PayloadFormat::Utf8);
        if says_utf8 && self.limits.check_payload_format && std::str::from_utf8(&message.payload).is_err() {
            return Err(ReasonCode::PayloadFormatInvalid);
        }
        if message.retain && !self.can_retain(message) {
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }
}

/// What the acknowledgement of a taken message says (3.4.2.1).
fn delivered(reach: Reach) -> ReasonCode {
    if reach.wanted == 0 { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success }
}

#[cfg(test)]
mod tests;
