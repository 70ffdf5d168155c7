//! Which session sends next: fairness, credit, and the message that becomes a packet (4.3, 4.4, 4.9).
//!
//! ```text
//!  ready sessions -> each in turn: exchanges to take up again, retained messages, then what waits
//!                    until: no credit, no place in the window, nothing left, or the turn or the step is spent
//! ```
//!
//! A session is ready when something may have changed for it; a turn that finds nothing to do costs little.

use rivulet_protocol::message::OutboundAlias;
use rivulet_protocol::packet::Ack;
use rivulet_protocol::{Delivery, Packet, PacketId, PacketQos, QoS};

use crate::broker::Broker;
use crate::connection::Open;
use crate::connection::flows::Flow;
use crate::durable::{DeliveryTerms, Record};
use crate::event::DropReason;
use crate::key::Via;
use crate::session::inflight::Stage;
use crate::session::queue::Waiting;
use crate::{ConnectionKey, FlowKey, Now, SessionKey};

/// Retained messages put into a queue at a time, for one new subscription.
const REPLAY_PAGE_MESSAGES: usize = 32;

/// What one attempt to send came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attempt {
    /// A packet was sent, or a message was dropped: there may be more.
    Done,
    /// Nothing can be sent until credit, an acknowledgement or a message comes.
    Blocked,
}

impl Broker {
    /// Something may have changed for a session: it gets a turn.
    pub(crate) fn make_ready(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.is_ready && session.connection.is_some() {
            session.is_ready = true;
            self.ready.push_back(key);
        }
    }

    /// Gives turns to ready sessions, within the budget of a step. What is left over is a timer that is due.
    pub(crate) fn deliver(&mut self, now: Now) {
        let mut budget = self.limits.deliveries_per_step;
        while budget > 0
            && let Some(key) = self.ready.pop_front()
        {
            if let Some(session) = self.sessions.get_mut(key) {
                session.is_ready = false;
            }
            let turn = budget.min(self.limits.deliveries_per_turn);
            let spent = self.give_turn(now, key, turn);
            // A turn that was not spent ended because nothing more can be sent.
            if spent == turn {
                self.make_ready(key);
            }
            budget -= spent.max(1);
        }
    }

    /// Sends up to `turn` packets of one session, and says how many.
    fn give_turn(&mut self, now: Now, key: SessionKey, turn: u32) -> u32 {
        let Some(connection) = self.sessions.get(key).and_then(|session| session.connection) else {
            return 0;
        };
        let mut spent = 0;
        while spent < turn {
            if self.resend_next(now, key, connection) == Attempt::Blocked {
                break;
            }
            spent += 1;
        }
        if self.sessions.get(key).is_none_or(|session| session.inflight.is_resending()) {
            return spent;
        }
        // Lanes in turn, so that no flow waits for the messages of another.
        let mut is_blocked = false;
        while spent < turn && !is_blocked {
            is_blocked = !self.replay(now, key);
            spent += u32::from(!is_blocked);
            let mut lane = Some(FlowKey::CONTROL);
            while let Some(flow) = lane
                && spent < turn
            {
                if self.send_next(now, key, Via { connection, flow }) == Attempt::Done {
                    is_blocked = false;
                    spent += 1;
                }
                lane = self.sessions.get(key).and_then(|session| session.queue.flow_after(flow));
            }
        }
        spent
    }

    /// Takes up the next exchange of a former connection: PUBLISH with DUP, or PUBREL [MQTT-4.4.0-1].
    fn resend_next(&mut self, now: Now, key: SessionKey, connection: ConnectionKey) -> Attempt {
        let (Some(session), Some(found)) = (self.sessions.get_mut(key), self.connections.get_mut(connection))
        else {
            return Attempt::Blocked;
        };
        let via = Via::control(connection);
        if !found.flows.get(via.flow).is_some_and(Flow::has_room) {
            return Attempt::Blocked;
        }
        let Some((id, exchange)) = session.inflight.next_resend() else { return Attempt::Blocked };
        match &exchange.stage {
            Stage::Released => self.outbox.send(via, Packet::PubRel(Ack::success(id))),
            Stage::Sent(waiting) => {
                let Some(open) = found.open_mut().filter(|open| open.send_quota.has_room()) else {
                    return Attempt::Blocked;
                };
                let delivery = Delivery { dup: true, ..delivery_of(now, waiting, Some(id)) };
                if !open.peer.takes(&delivery) {
                    // The client came back with a lower maximum.
                    let Some(exchange) = session.inflight.remove(id) else { return Attempt::Blocked };
                    self.forget_delivery(key, exchange.position, QoS::AtLeastOnce, DropReason::TooLarge);
                    return Attempt::Done;
                }
                open.send_quota.take();
                exchange.is_counted = true;
                self.outbox.deliver(via, delivery);
            }
        }
        if let Some(flow) = found.flows.get_mut(via.flow) {
            flow.spend_on_delivery();
        }
        session.inflight.on_resent();
        Attempt::Done
    }

    /// Sends the next message of one lane, or drops it where it cannot be sent.
    fn send_next(&mut self, now: Now, key: SessionKey, lane: Via) -> Attempt {
        let (Some(session), Some(found)) =
            (self.sessions.get_mut(key), self.connections.get_mut(lane.connection))
        else {
            return Attempt::Blocked;
        };
        let via = Via { flow: found.flows.or_control(lane.flow), ..lane };
        let Some(front) = session.queue.front(lane.flow) else { return Attempt::Blocked };
        let has_credit = found.flows.get(via.flow).is_some_and(|flow| flow.has_room());
        let Some(open) = found.open_mut() else { return Attempt::Blocked };
        let has_place = front.qos == QoS::AtMostOnce || open.send_quota.has_room();
        if !has_credit || !has_place {
            return Attempt::Blocked;
        }
        let Some(waiting) = session.queue.pop(lane.flow) else { return Attempt::Blocked };
        let alias = if via.flow == FlowKey::CONTROL {
            open.outbound_aliases.choose(&waiting.message.topic)
        } else {
            None
        };
        let drop_reason = undeliverable(now, open, &waiting, alias);
        if let Some(reason) = drop_reason {
            self.forget_delivery(key, waiting.position, waiting.qos, reason);
            return Attempt::Done;
        }
        let delivery = match waiting.qos {
            QoS::AtMostOnce => Delivery { topic_alias: alias, ..delivery_of(now, &waiting, None) },
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                let Some(id) = session.next_packet_id() else {
                    // Not reached while the window is smaller than the range of identifiers, which it always is.
                    session.queue.push_front(lane.flow, waiting);
                    return Attempt::Blocked;
                };
                open.send_quota.take();
                if session.is_stored {
                    self.durable.write(Record::MessageSent {
                        session: key,
                        position: waiting.position,
                        packet_id: id,
                    });
                    if waiting.qos == QoS::ExactlyOnce {
                        // The identifier is what tells the client a repetition from a new message.
                        self.durable.hold(via.connection);
                    }
                }
                let delivery = Delivery { topic_alias: alias, ..delivery_of(now, &waiting, Some(id)) };
                session.inflight.insert(id, waiting);
                delivery
            }
        };
        open.outbound_aliases.define(&delivery.message.topic, alias);
        if let Some(flow) = found.flows.get_mut(via.flow) {
            flow.spend_on_delivery();
        }
        self.outbox.deliver(via, delivery);
        Attempt::Done
    }

    /// Puts the next retained messages for a new subscription into the queue, once that is empty. Whether it looked
    /// for any.
    fn replay(&mut self, now: Now, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        if !session.queue.is_empty() {
            return false;
        }
        let Some(replay) = session.replays.front_mut() else { return false };
        let room = REPLAY_PAGE_MESSAGES.min(self.limits.queue_messages_max as usize);
        let page = self.retained.page(&replay.filter, replay.after.as_ref(), room);
        replay.after = page.last().map(|kept| kept.message.topic.clone());
        let terms = replay.terms;
        if page.len() < room {
            session.replays.pop_front();
        }
        for kept in page {
            if kept.is_expired(now.wall) {
                continue;
            }
            let position = session.next_position();
            let qos = kept.message.qos.min(terms.options.maximum_qos);
            let subscription_ids: Vec<_> = terms.subscription_id.into_iter().collect();
            if session.is_stored && qos != QoS::AtMostOnce {
                let message = self.durable.store(kept.message.clone(), kept.expires);
                let subscription_ids = subscription_ids.clone();
                let terms = DeliveryTerms { qos, retain: true, subscription_ids, share: None };
                self.durable.write(Record::MessageQueued { session: key, position, message, terms });
            }
            let expires = kept.expires.map(|expires| now.instant + (expires - now.wall));
            let message = kept.message;
            session.queue.push(
                terms.flow,
                Waiting { position, message, qos, retain: true, subscription_ids, share: None, expires },
            );
        }
        true
    }
}

/// Why a message cannot be sent to this client, if it cannot.
fn undeliverable(
    now: Now,
    open: &Open,
    waiting: &Waiting,
    alias: Option<OutboundAlias>,
) -> Option<DropReason> {
    if waiting.is_expired(now.instant) {
        return Some(DropReason::Expired);
    }
    if !open.permissions.may_receive(&waiting.message.topic) {
        return Some(DropReason::NotPermitted);
    }
    if !open.peer.is_limited() {
        return None;
    }
    // Any identifier will do: all have the same size.
    let id = (waiting.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
    let delivery = Delivery { topic_alias: alias, ..delivery_of(now, waiting, id) };
    // [MQTT-3.1.2-25]: as if it had been sent.
    (!open.peer.takes(&delivery)).then_some(DropReason::TooLarge)
}

/// The packet of one message for one session.
fn delivery_of(now: Now, waiting: &Waiting, id: Option<PacketId>) -> Delivery {
    let qos = match (waiting.qos, id) {
        (QoS::AtLeastOnce, Some(id)) => PacketQos::AtLeastOnce(id),
        (QoS::ExactlyOnce, Some(id)) => PacketQos::ExactlyOnce(id),
        (QoS::AtMostOnce, _) | (QoS::AtLeastOnce | QoS::ExactlyOnce, None) => PacketQos::AtMostOnce,
    };
    Delivery {
        message: waiting.message.clone(),
        qos,
        dup: false,
        retain: waiting.retain,
        subscription_ids: waiting.subscription_ids.clone(),
        message_expiry_secs: waiting.remaining_secs(now.instant),
        topic_alias: None,
    }
}

#[cfg(test)]
mod tests;
