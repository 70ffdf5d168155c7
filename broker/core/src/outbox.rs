//! The outputs of a step, in the order in which they are to be done.

use std::collections::VecDeque;

use rivulet_protocol::{Delivery, Packet};

use crate::key::Via;
use crate::output::Outgoing;
use crate::{Event, Output};

/// Outputs that the caller has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox(pub(crate) VecDeque<Output>);

impl Outbox {
    pub(crate) fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    pub(crate) fn send(&mut self, via: Via, packet: Packet) {
        let Via { connection, flow } = via;
        self.push(Output::Send { connection, flow, packet: Outgoing::Packet(packet) });
    }

    pub(crate) fn deliver(&mut self, via: Via, delivery: Delivery) {
        let Via { connection, flow } = via;
        self.push(Output::Send { connection, flow, packet: Outgoing::Delivery(delivery) });
    }
}
