//! QoS 2 identifiers that the client has used and not yet released (4.3.3).
//!
//! Keyed by flow and identifier, because clients of the multi-stream modes may count per flow. When a data flow is gone,
//! its entries lose their flow and wait for whichever flow asks for them: a client resends where it likes.

use std::collections::{BTreeMap, BTreeSet};

use rivulet_protocol::PacketId;

use crate::FlowKey;

/// The identifiers of one session.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    received: BTreeMap<(FlowKey, PacketId), Received>,
    /// Entries whose flow is gone.
    unbound: BTreeSet<(PacketId, FlowKey)>,
    /// How many of them count against the client's send quota.
    counted: usize,
}

/// Whether an identifier counts against the send quota of the connection: after a reconnect the quota is full again
/// (4.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Received {
    Counted,
    Before,
}

/// What an identifier turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// Not known: its message is to be routed.
    New,
    /// Known, and its message was routed then [MQTT-4.3.3-10].
    Repeated,
    /// As [`Self::Repeated`], from a flow that is gone.
    Adopted {
        /// The flow that it was noted on.
        from: FlowKey,
    },
}

impl Incoming {
    /// Notes an identifier.
    pub(crate) fn receive(&mut self, flow: FlowKey, id: PacketId) -> Arrival {
        let adopted = self.adopt(flow, id);
        let former = self.received.insert((flow, id), Received::Counted);
        if former != Some(Received::Counted) {
            self.counted += 1;
        }
        match (adopted, former) {
            (Some(from), _) => Arrival::Adopted { from },
            (None, Some(_)) => Arrival::Repeated,
            (None, None) => Arrival::New,
        }
    }

    /// Whether an identifier is known.
    pub(crate) fn contains(&self, flow: FlowKey, id: PacketId) -> bool {
        self.received.contains_key(&(flow, id)) || self.first_unbound(id).is_some()
    }

    /// Forgets an identifier, and says on which flow it was noted. `None`: it is not known.
    pub(crate) fn release(&mut self, flow: FlowKey, id: PacketId) -> Option<FlowKey> {
        match self.received.remove(&(flow, id)) {
            Some(Received::Counted) => {
                self.counted -= 1;
                Some(flow)
            }
            Some(Received::Before) => Some(flow),
            None => self.adopt(flow, id),
        }
    }

    /// How many count against the client's send quota.
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    /// A data flow is gone.
    pub(crate) fn unbind(&mut self, flow: FlowKey) {
        let ids = self.received.range((flow, PacketId::MIN)..).take_while(|((of, _), _)| *of == flow);
        let gone: Vec<PacketId> = ids.map(|((_, id), _)| *id).collect();
        for id in gone {
            if self.received.remove(&(flow, id)) == Some(Received::Counted) {
                self.counted -= 1;
            }
            self.unbound.insert((id, flow));
        }
    }

    /// The connection is gone: all data flows are, and the quota of the next connection begins anew.
    pub(crate) fn on_disconnect(&mut self) {
        for (flow, id) in std::mem::take(&mut self.received).into_keys() {
            self.restore(flow, id);
        }
        self.counted = 0;
    }

    /// Notes an identifier of a former connection.
    pub(crate) fn restore(&mut self, flow: FlowKey, id: PacketId) {
        if flow == FlowKey::CONTROL {
            self.received.insert((flow, id), Received::Before);
        } else {
            self.unbound.insert((id, flow));
        }
    }

    /// All identifiers, by the flow that they were noted on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlowKey, PacketId)> {
        self.received.keys().copied().chain(self.unbound.iter().map(|(id, flow)| (*flow, *id)))
    }

    /// Panics if the count is wrong.
    pub(crate) fn check(&self) {
        let counted = self.received.values().filter(|received| **received == Received::Counted).count();
        assert_eq!(self.counted, counted, "identifiers that count against the send quota");
    }

    /// Takes an entry without a flow for the flow that asks for it; says on which flow it was noted.
    fn adopt(&mut self, flow: FlowKey, id: PacketId) -> Option<FlowKey> {
        if self.received.contains_key(&(flow, id)) {
            return None;
        }
        let (id, noted_on) = self.first_unbound(id)?;
        self.unbound.remove(&(id, noted_on));
        Some(noted_on)
    }

    fn first_unbound(&self, id: PacketId) -> Option<(PacketId, FlowKey)> {
        self.unbound.range((id, FlowKey(0))..=(id, FlowKey(u64::MAX))).next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: FlowKey = FlowKey(2);
    const ID: PacketId = PacketId::MIN;

    /// [MQTT-4.3.3-10].
    #[test]
    fn a_repeated_identifier_is_not_new_until_it_is_released() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.receive(FlowKey::CONTROL, ID), Arrival::New);
        assert_eq!(incoming.receive(FlowKey::CONTROL, ID), Arrival::Repeated);
        assert_eq!(incoming.counted(), 1);
        assert_eq!(incoming.release(FlowKey::CONTROL, ID), Some(FlowKey::CONTROL));
        assert_eq!(incoming.counted(), 0);
        assert_eq!(incoming.receive(FlowKey::CONTROL, ID), Arrival::New);
        incoming.check();
    }

    #[test]
    fn each_flow_has_identifiers_of_its_own() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.receive(FlowKey::CONTROL, ID), Arrival::New);
        assert_eq!(incoming.receive(DATA, ID), Arrival::New);
        assert_eq!(incoming.release(DATA, ID), Some(DATA));
        assert!(incoming.contains(FlowKey::CONTROL, ID));
        incoming.check();
    }

    #[test]
    fn an_identifier_of_a_lost_flow_is_adopted_by_the_flow_that_repeats_it() {
        let mut incoming = Incoming::default();
        incoming.receive(DATA, ID);
        incoming.unbind(DATA);
        assert_eq!(incoming.receive(FlowKey::CONTROL, ID), Arrival::Adopted { from: DATA });
        assert_eq!(incoming.release(FlowKey::CONTROL, ID), Some(FlowKey::CONTROL));
        assert_eq!(incoming.release(FlowKey::CONTROL, ID), None);
        incoming.check();
    }

    /// 4.9.
    #[test]
    fn identifiers_of_a_former_connection_do_not_count_against_the_quota() {
        let mut incoming = Incoming::default();
        incoming.receive(FlowKey::CONTROL, ID);
        incoming.on_disconnect();
        assert_eq!(incoming.counted(), 0);
        assert_eq!(incoming.receive(FlowKey::CONTROL, ID), Arrival::Repeated);
        assert_eq!(incoming.counted(), 1);
        incoming.check();
    }
}
