//! Control and data flows of a connection: credit, reading, and how they come and go.
//!
//! A writer gives credit in packets. Deliveries leave a reserve of it for answers; answers take what is left and may go
//! below, but then the flow is not read until there is room again. So a peer that does not read is not read, and no more
//! answers are owed than packets were under way.

use std::collections::BTreeMap;

use rivulet_protocol::flow::FlowKind;

use crate::broker::Broker;
use crate::cause::{CloseCause, NetworkLoss};
use crate::durable::Record;
use crate::key::Via;
use crate::outbox::Outbox;
use crate::{ConnectionKey, FlowKey, Now, Output};

/// At this credit a flow is paused: nothing is left for answers.
const PAUSE_AT: i64 = 0;

/// The flows of one connection.
#[derive(Debug)]
pub(crate) struct Flows {
    control: Flow,
    data: BTreeMap<FlowKey, Flow>,
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) kind: FlowKind,
    /// Packets that the writer has room for; below 0 if answers were more.
    credit: i64,
    /// What deliveries leave.
    reserve: i64,
    /// Whether it may be read as far as the connection is concerned: not before CONNACK, nor while authentication is
    /// under way.
    is_admitted: bool,
    /// Whether the transport was told not to read it.
    is_paused: bool,
}

impl Flow {
    fn new(kind: FlowKind, credit: u32, reserve_packets: u32, is_admitted: bool) -> Self {
        let credit = i64::from(credit);
        // A flow with little room keeps half of it for deliveries, or none would ever go.
        let reserve = i64::from(reserve_packets).min(credit / 2);
        Self { kind, credit, reserve, is_admitted, is_paused: !is_admitted }
    }

    /// Whether a delivery may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.credit > self.reserve
    }

    /// A delivery is sent.
    pub(crate) fn spend_on_delivery(&mut self) {
        self.credit -= 1;
    }

    fn settle(&mut self, via: Via, outbox: &mut Outbox) {
        let Via { connection, flow } = via;
        let resume_at = (self.reserve / 2).max(PAUSE_AT + 1);
        if !self.is_paused && (!self.is_admitted || self.credit <= PAUSE_AT) {
            self.is_paused = true;
            outbox.push(Output::Pause { connection, flow });
        } else if self.is_paused && self.is_admitted && self.credit >= resume_at {
            self.is_paused = false;
            outbox.push(Output::Resume { connection, flow });
        }
    }
}

impl Flows {
    pub(crate) fn new(credit: u32, reserve_packets: u32) -> Self {
        Self { control: Flow::new(FlowKind::Control, credit, reserve_packets, true), data: BTreeMap::new() }
    }

    pub(crate) fn get(&self, flow: FlowKey) -> Option<&Flow> {
        if flow == FlowKey::CONTROL { Some(&self.control) } else { self.data.get(&flow) }
    }

    pub(crate) fn get_mut(&mut self, flow: FlowKey) -> Option<&mut Flow> {
        if flow == FlowKey::CONTROL { Some(&mut self.control) } else { self.data.get_mut(&flow) }
    }

    /// The flow where deliveries of a subscription go: its own if it is open, else the control flow.
    pub(crate) fn or_control(&self, flow: FlowKey) -> FlowKey {
        if self.data.contains_key(&flow) { flow } else { FlowKey::CONTROL }
    }

    /// An answer is sent.
    pub(crate) fn spend_on_answer(&mut self, via: Via, outbox: &mut Outbox) {
        if let Some(flow) = self.get_mut(via.flow) {
            flow.credit -= 1;
            flow.settle(via, outbox);
        }
    }

    /// Authentication is under way: the control flow is not read.
    pub(crate) fn close_gate(&mut self, connection: ConnectionKey, outbox: &mut Outbox) {
        self.control.is_admitted = false;
        self.control.settle(Via::control(connection), outbox);
    }

    /// The client is to go on with its authentication: the control flow is read.
    pub(crate) fn open_control_gate(&mut self, connection: ConnectionKey, outbox: &mut Outbox) {
        self.control.is_admitted = true;
        self.control.settle(Via::control(connection), outbox);
    }

    /// The client is let in: all flows may be read.
    pub(crate) fn open_gate(&mut self, connection: ConnectionKey, outbox: &mut Outbox) {
        self.open_control_gate(connection, outbox);
        for (key, flow) in &mut self.data {
            flow.is_admitted = true;
            flow.settle(Via { connection, flow: *key }, outbox);
        }
    }

    fn add_credit(&mut self, via: Via, packets: u32, outbox: &mut Outbox) {
        if let Some(flow) = self.get_mut(via.flow) {
            flow.credit += i64::from(packets);
            flow.settle(via, outbox);
        }
    }
}

impl Broker {
    pub(crate) fn on_flow_opened(&mut self, via: Via, kind: FlowKind, credit: u32) {
        let Some(connection) = self.connections.get_mut(via.connection) else { return };
        let mut flow = Flow::new(kind, credit, self.limits.answer_reserve_packets, connection.is_open());
        // Nothing is read from a data flow before the broker says so.
        flow.is_paused = true;
        flow.settle(via, &mut self.outbox);
        connection.flows.data.insert(via.flow, flow);
    }

    pub(crate) fn on_credit(&mut self, via: Via, packets: u32) {
        let Some(connection) = self.connections.get_mut(via.connection) else { return };
        connection.flows.add_credit(via, packets, &mut self.outbox);
        if let Some(session) = connection.session() {
            self.make_ready(session);
        }
    }

    /// The client ended a flow in order. The control flow ends its connection with it.
    pub(crate) fn on_flow_finished(&mut self, now: Now, via: Via) {
        if via.flow == FlowKey::CONTROL {
            return self.close(now, via.connection, CloseCause::Network(NetworkLoss::ClosedByPeer));
        }
        let Via { connection, flow } = via;
        if self.remove_flow(via) {
            self.outbox.push(Output::FinishFlow { connection, flow });
        }
    }

    /// The client broke a flow off. The control flow ends its connection with it.
    pub(crate) fn on_flow_reset(&mut self, now: Now, via: Via, code: u64) {
        if via.flow == FlowKey::CONTROL {
            let loss = NetworkLoss::Reset(format!("control flow, code {code:#x}"));
            return self.close(now, via.connection, CloseCause::Network(loss));
        }
        if self.remove_flow(via) {
            self.durable.forget_flow(via.connection, via.flow);
        }
    }

    /// Breaks a data flow off. Its connection and the other flows live on.
    pub(crate) fn reset_flow(&mut self, via: Via, cause: CloseCause) {
        let Via { connection, flow } = via;
        if self.remove_flow(via) {
            self.durable.forget_flow(connection, flow);
            self.outbox.push(Output::ResetFlow { connection, flow, cause });
        }
    }

    /// Forgets a data flow: its subscriptions end, what was promised goes to the control flow. `false`: it was not
    /// known.
    fn remove_flow(&mut self, via: Via) -> bool {
        let Via { connection, flow } = via;
        let Some(found) = self.connections.get_mut(connection) else { return false };
        if found.flows.data.remove(&flow).is_none() {
            return false;
        }
        let Some(key) = found.session() else { return true };
        let Some(session) = self.sessions.get_mut(key) else { return true };
        session.queue.merge(flow);
        session.incoming.unbind(flow);
        session.replays.retain(|replay| replay.terms.flow != flow);
        if session.is_stored {
            for (filter, terms) in self.router.subscriptions(key).filter(|(_, terms)| terms.flow == flow) {
                let filter = filter.clone();
                self.durable.write(Record::Unsubscribed { session: key, filter, flow: terms.flow });
            }
        }
        self.router.forget_flow(key, flow);
        self.make_ready(key);
        true
    }
}

#[cfg(test)]
mod tests;
