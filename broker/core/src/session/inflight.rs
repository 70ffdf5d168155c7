//! Deliveries that were sent and are not acknowledged in full (4.3.2, 4.3.3), and their order for a resend (4.4, 4.6).

use std::collections::{BTreeMap, VecDeque};

use rivulet_protocol::{PacketId, QoS};

use super::queue::Waiting;
use crate::Position;

/// All deliveries in flight of one session.
#[derive(Debug, Default)]
pub(crate) struct Inflight {
    exchanges: BTreeMap<PacketId, Exchange>,
    /// What was not yet sent again on this connection, oldest first.
    resend: VecDeque<PacketId>,
}

/// One delivery in flight.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) position: Position,
    pub(crate) stage: Stage,
    /// Whether it takes a place in the send quota of this connection (4.9).
    pub(crate) is_counted: bool,
}

/// How far a delivery has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// PUBLISH was sent; PUBACK or PUBREC is missing.
    Sent(Waiting),
    /// PUBREC came and PUBREL was sent; PUBCOMP is missing. The message is the client's.
    Released,
}

impl Stage {
    /// The level whose acknowledgements this stage waits for.
    pub(crate) fn qos(&self) -> QoS {
        match self {
            Self::Sent(waiting) => waiting.qos,
            Self::Released => QoS::ExactlyOnce,
        }
    }
}

impl Inflight {
    /// Notes a delivery that is sent.
    pub(crate) fn insert(&mut self, id: PacketId, waiting: Waiting) {
        let exchange = Exchange { position: waiting.position, stage: Stage::Sent(waiting), is_counted: true };
        self.exchanges.insert(id, exchange);
    }

    /// Notes a delivery of a former connection; [`Self::begin_resend`] must follow.
    pub(crate) fn restore(&mut self, id: PacketId, position: Position, stage: Stage) {
        self.exchanges.insert(id, Exchange { position, stage, is_counted: false });
    }

    pub(crate) fn get_mut(&mut self, id: PacketId) -> Option<&mut Exchange> {
        self.exchanges.get_mut(&id)
    }

    /// The exchange ended.
    pub(crate) fn remove(&mut self, id: PacketId) -> Option<Exchange> {
        let removed = self.exchanges.remove(&id);
        if removed.is_some() && !self.resend.is_empty() {
            self.resend.retain(|resend| *resend != id);
        }
        removed
    }

    pub(crate) fn contains(&self, id: PacketId) -> bool {
        self.exchanges.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// The connection is gone: all has to be sent again on the next one, in the original order [MQTT-4.4.0-1, 4.6.0-1].
    pub(crate) fn begin_resend(&mut self) {
        let mut order: Vec<(Position, PacketId)> = Vec::with_capacity(self.exchanges.len());
        for (id, exchange) in &mut self.exchanges {
            exchange.is_counted = false;
            order.push((exchange.position, *id));
        }
        order.sort_unstable();
        self.resend = order.into_iter().map(|(_, id)| id).collect();
    }

    /// The next exchange to be taken up again on this connection.
    pub(crate) fn next_resend(&mut self) -> Option<(PacketId, &mut Exchange)> {
        let id = *self.resend.front()?;
        Some((id, self.exchanges.get_mut(&id)?))
    }

    /// The next exchange was taken up again.
    pub(crate) fn on_resent(&mut self) {
        self.resend.pop_front();
    }

    /// Whether exchanges wait to be taken up again.
    pub(crate) fn is_resending(&self) -> bool {
        !self.resend.is_empty()
    }

    /// How many take a place in the send quota.
    pub(crate) fn counted(&self) -> usize {
        self.exchanges.values().filter(|exchange| exchange.is_counted).count()
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> {
        self.exchanges.values().map(|exchange| exchange.position)
    }

    /// All exchanges by identifier.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PacketId, &Exchange)> {
        self.exchanges.iter().map(|(id, exchange)| (*id, exchange))
    }

    /// Panics if the order of the resend names an exchange that is not there or is out of order.
    pub(crate) fn check(&self) {
        let resend: Vec<_> =
            self.resend.iter().map(|id| self.exchanges.get(id).map(|it| it.position)).collect();
        assert!(resend.iter().all(Option::is_some), "an exchange that is over is not resent");
        assert!(resend.is_sorted(), "the original order is kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn resent(inflight: &mut Inflight) -> Vec<u16> {
        let mut order = Vec::new();
        while let Some((id, _)) = inflight.next_resend() {
            order.push(id.get());
            inflight.on_resent();
        }
        order
    }

    /// [MQTT-4.6.0-1].
    #[test]
    fn exchanges_are_taken_up_again_in_their_original_order_and_not_that_of_identifiers() {
        let mut inflight = Inflight::default();
        for (number, position) in [(1, 30), (2, 10), (65_535, 20)] {
            inflight.restore(id(number), Position(position), Stage::Released);
        }
        inflight.begin_resend();
        inflight.check();
        assert_eq!(resent(&mut inflight), [2, 65_535, 1]);
    }

    #[test]
    fn an_exchange_that_ended_meanwhile_is_not_taken_up_again() {
        let mut inflight = Inflight::default();
        inflight.restore(id(1), Position(1), Stage::Released);
        inflight.restore(id(2), Position(2), Stage::Released);
        inflight.begin_resend();
        inflight.remove(id(1));
        inflight.check();
        assert_eq!(resent(&mut inflight), [2]);
    }
}
