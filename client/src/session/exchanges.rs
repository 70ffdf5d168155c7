//! Exchanges that we began and the server has not finished: publications of QoS 1 and 2, subscribe, unsubscribe.
//!
//! | QoS 2 | we sent | we await | then |
//! |---|---|---|---|
//! | `Sent` | PUBLISH | PUBREC | `Released` |
//! | `Released` | PUBREL | PUBCOMP | over |

use std::collections::{BTreeMap, HashMap};

use rivulet_protocol::packet::{Ack, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe};
use rivulet_protocol::{Message, Packet, PacketId, PacketQos, PacketType, QoS, ReasonCode, TopicFilter};

use super::{answer, publish, refused};
use crate::error::{RequestError, ServerFault};
use crate::request::{Published, SubscribeTerms, Waiter};

/// Exchanges by the order in which they began, and by packet identifier.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    by_sequence: BTreeMap<u64, (PacketId, Exchange)>,
    by_id: HashMap<PacketId, u64>,
    next_sequence: u64,
    last_id: Option<PacketId>,
    /// Publications that count against the server's receive maximum (4.9).
    unacknowledged: usize,
}

#[derive(Debug)]
pub(super) enum Exchange {
    Publish(Publication),
    Subscribe {
        subscriptions: Vec<Subscription>,
        terms: SubscribeTerms,
        waiter: Option<Waiter<Vec<ReasonCode>>>,
    },
    Unsubscribe {
        filters: Vec<TopicFilter>,
        waiter: Waiter<Vec<ReasonCode>>,
    },
}

#[derive(Debug)]
pub(super) struct Publication {
    message: Message,
    phase: Phase,
    /// Whether a PUBLISH of it went out in this session: the next one is a repetition.
    is_sent: bool,
    /// Whether it counts against the receive maximum of this connection.
    is_counted: bool,
    waiter: Waiter<Published>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// PUBLISH went out, or is to.
    Sent,
    /// PUBREC came; PUBREL went out, or is to.
    Released,
}

/// What follows from PUBREC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// PUBREL with this reason.
    Release(ReasonCode),
    /// Nothing: the server refused the message.
    Over,
}

impl Publication {
    pub(super) fn new(message: Message, waiter: Waiter<Published>) -> Self {
        Self { message, phase: Phase::Sent, is_sent: false, is_counted: false, waiter }
    }

    fn packet(&mut self, id: PacketId) -> Packet {
        match self.phase {
            Phase::Released => Packet::PubRel(Ack::success(id)),
            Phase::Sent => {
                let qos = match self.message.qos {
                    QoS::ExactlyOnce => PacketQos::ExactlyOnce(id),
                    QoS::AtMostOnce | QoS::AtLeastOnce => PacketQos::AtLeastOnce(id),
                };
                let dup = std::mem::replace(&mut self.is_sent, true);
                publish(&self.message, qos, dup)
            }
        }
    }
}

impl Exchange {
    /// Ends it without success.
    pub(super) fn fail(self, error: RequestError) {
        match self {
            Self::Publish(publication) => answer(publication.waiter, Err(error)),
            Self::Subscribe { waiter, .. } => {
                if let Some(waiter) = waiter {
                    answer(waiter, Err(error));
                }
            }
            Self::Unsubscribe { waiter, .. } => answer(waiter, Err(error)),
        }
    }
}

impl Exchanges {
    pub(super) fn len(&self) -> usize {
        self.by_sequence.len()
    }

    /// All that are not finished, in their order.
    pub(super) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.by_sequence.keys().copied()
    }

    /// Begins an exchange under a free packet identifier [MQTT-2.2.1-3]. If none is free, it fails.
    pub(super) fn begin(&mut self, exchange: Exchange) -> Option<u64> {
        let Some(id) = self.free_id() else {
            exchange.fail(RequestError::Unsendable("all 65535 packet identifiers are in use".to_owned()));
            return None;
        };
        self.last_id = Some(id);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.by_id.insert(id, sequence);
        self.by_sequence.insert(sequence, (id, exchange));
        Some(sequence)
    }

    fn free_id(&self) -> Option<PacketId> {
        if self.by_id.len() == usize::from(u16::MAX) {
            return None;
        }
        let mut id = self.last_id.map_or(PacketId::MIN, PacketId::next);
        while self.by_id.contains_key(&id) {
            id = id.next();
        }
        Some(id)
    }

    /// A new connection. Without the session, QoS 1 begins anew; QoS 2 that the server may or may not have cannot.
    pub(super) fn connected(&mut self, session_present: bool) {
        self.unacknowledged = 0;
        let mut over = Vec::new();
        for (id, exchange) in self.by_sequence.values_mut() {
            let Exchange::Publish(publication) = exchange else {
                continue;
            };
            publication.is_counted = false;
            if session_present {
                continue;
            }
            if publication.message.qos == QoS::ExactlyOnce && publication.is_sent {
                over.push(*id);
            }
            publication.is_sent = false;
        }
        for id in over {
            match self.finish(id) {
                // The server said PUBREC: the message was its own from then on.
                Some(Exchange::Publish(Publication { phase: Phase::Released, waiter, .. })) => {
                    answer(waiter, Ok(Published { reason: ReasonCode::Success }));
                }
                Some(exchange) => exchange.fail(RequestError::SessionLost),
                None => {}
            }
        }
    }

    /// Whether the server takes no further PUBLISH before it has acknowledged another [MQTT-3.3.4-7].
    pub(super) fn is_held_back(&self, sequence: u64, inflight_max: usize) -> bool {
        match self.by_sequence.get(&sequence) {
            Some((_, Exchange::Publish(publication))) => {
                publication.phase == Phase::Sent && self.unacknowledged >= inflight_max
            }
            Some((_, Exchange::Subscribe { .. } | Exchange::Unsubscribe { .. })) | None => false,
        }
    }

    /// The packet that an exchange sends in its phase.
    pub(super) fn packet(&mut self, sequence: u64) -> Option<Packet> {
        let (id, exchange) = self.by_sequence.get_mut(&sequence)?;
        Some(match exchange {
            Exchange::Publish(publication) => {
                if publication.phase == Phase::Sent && !publication.is_counted {
                    publication.is_counted = true;
                    self.unacknowledged += 1;
                }
                publication.packet(*id)
            }
            Exchange::Subscribe { subscriptions, terms, .. } => Packet::Subscribe(Subscribe {
                packet_id: *id,
                subscription_id: terms.id,
                user_properties: terms.user_properties.clone(),
                subscriptions: subscriptions.clone(),
            }),
            Exchange::Unsubscribe { filters, .. } => Packet::Unsubscribe(Unsubscribe {
                packet_id: *id,
                user_properties: Default::default(),
                filters: filters.clone(),
            }),
        })
    }

    /// Takes an exchange out; its identifier is free again.
    pub(super) fn finish(&mut self, id: PacketId) -> Option<Exchange> {
        let sequence = self.by_id.remove(&id)?;
        let (_, exchange) = self.by_sequence.remove(&sequence)?;
        if let Exchange::Publish(Publication { is_counted: true, .. }) = &exchange {
            self.unacknowledged -= 1;
        }
        Some(exchange)
    }

    pub(super) fn on_puback(&mut self, ack: &Ack) -> Result<(), ServerFault> {
        self.expect(ack.packet_id, PacketType::PubAck, |exchange| {
            matches!(exchange, Exchange::Publish(publication) if publication.message.qos == QoS::AtLeastOnce)
        })?;
        self.finish_publication(ack);
        Ok(())
    }

    pub(super) fn on_pubrec(&mut self, ack: &Ack) -> Result<Step, ServerFault> {
        self.expect(ack.packet_id, PacketType::PubRec, is_exactly_once)?;
        let Some(exchange) = self.exchange(ack.packet_id) else {
            // The server repeats what we finished before the connection was lost: it must be able to finish too.
            return Ok(Step::Release(ReasonCode::PacketIdentifierNotFound));
        };
        if ack.reason.is_error() {
            self.finish_publication(ack);
            return Ok(Step::Over);
        }
        if let Exchange::Publish(publication) = exchange {
            publication.phase = Phase::Released;
        }
        Ok(Step::Release(ReasonCode::Success))
    }

    pub(super) fn on_pubcomp(&mut self, ack: &Ack) -> Result<(), ServerFault> {
        self.expect(ack.packet_id, PacketType::PubComp, is_exactly_once)?;
        // Not found means that the server released it before: as good as done.
        let is_done = ack.reason == ReasonCode::PacketIdentifierNotFound;
        let reason = if is_done { ReasonCode::Success } else { ack.reason };
        self.finish_publication(&Ack { reason, ..ack.clone() });
        Ok(())
    }

    /// Gives the subscriptions that the server granted.
    pub(super) fn on_suback(
        &mut self,
        suback: SubAck,
    ) -> Result<Vec<(Subscription, SubscribeTerms)>, ServerFault> {
        self.expect(suback.packet_id, PacketType::SubAck, |exchange| {
            matches!(exchange, Exchange::Subscribe { .. })
        })?;
        let Some(Exchange::Subscribe { subscriptions, terms, waiter }) = self.finish(suback.packet_id) else {
            return Ok(Vec::new());
        };
        check_count(subscriptions.len(), suback.reasons.len())?;
        let granted = subscriptions.into_iter().zip(&suback.reasons);
        let granted = granted.filter(|(_, reason)| !reason.is_error());
        let granted = granted.map(|(subscription, _)| (subscription, terms.clone())).collect();
        match waiter {
            Some(waiter) => answer(waiter, Ok(suback.reasons)),
            None => report_lost_subscriptions(&suback.reasons),
        }
        Ok(granted)
    }

    /// Gives the filters that are ended.
    pub(super) fn on_unsuback(&mut self, unsuback: UnsubAck) -> Result<Vec<TopicFilter>, ServerFault> {
        self.expect(unsuback.packet_id, PacketType::UnsubAck, |exchange| {
            matches!(exchange, Exchange::Unsubscribe { .. })
        })?;
        let Some(Exchange::Unsubscribe { filters, waiter }) = self.finish(unsuback.packet_id) else {
            return Ok(Vec::new());
        };
        let reasons = if unsuback.reasons.is_empty() {
            vec![ReasonCode::Success; filters.len()] // 3.1.1 has none
        } else {
            unsuback.reasons
        };
        check_count(filters.len(), reasons.len())?;
        let ended = filters.into_iter().zip(&reasons).filter(|(_, reason)| !reason.is_error());
        let ended = ended.map(|(filter, _)| filter).collect();
        answer(waiter, Ok(reasons));
        Ok(ended)
    }

    fn exchange(&mut self, id: PacketId) -> Option<&mut Exchange> {
        let sequence = self.by_id.get(&id)?;
        self.by_sequence.get_mut(sequence).map(|(_, exchange)| exchange)
    }

    /// An answer to nothing is let pass: a server may repeat one. An answer of the wrong kind is a fault.
    fn expect(
        &mut self,
        id: PacketId,
        packet: PacketType,
        fits: impl Fn(&Exchange) -> bool,
    ) -> Result<(), ServerFault> {
        match self.exchange(id) {
            Some(exchange) if !fits(exchange) => Err(ServerFault::WrongAnswer { packet, id: id.get() }),
            Some(_) | None => Ok(()),
        }
    }

    fn finish_publication(&mut self, ack: &Ack) {
        if let Some(Exchange::Publish(publication)) = self.finish(ack.packet_id) {
            let outcome = if ack.reason.is_error() {
                Err(refused(ack.reason, ack.properties.reason_string.as_deref()))
            } else {
                Ok(Published { reason: ack.reason })
            };
            answer(publication.waiter, outcome);
        }
    }
}

fn is_exactly_once(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::Publish(publication) if publication.message.qos == QoS::ExactlyOnce)
}

fn check_count(sent: usize, answered: usize) -> Result<(), ServerFault> {
    if sent == answered { Ok(()) } else { Err(ServerFault::ReasonCount { sent, answered }) }
}

/// The application is not waiting, and would otherwise wonder why nothing comes any more.
fn report_lost_subscriptions(reasons: &[ReasonCode]) {
    for reason in reasons.iter().filter(|reason| reason.is_error()) {
        tracing::warn!(%reason, "server lost the session and refused a subscription that it had granted");
    }
}

#[cfg(test)]
impl Exchanges {
    pub(super) fn set_last_id(&mut self, id: PacketId) {
        self.last_id = Some(id);
    }
}
