//! A connection's place between transport and engine: its numbers, its credit, its end.
//!
//! ```text
//!  transport --bytes--> reader --batch of packets--> inbox --> engine
//!  transport <--bytes-- writer <------ desk: commands --------- engine
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use rivulet_core::cause::NetworkLoss;
use rivulet_core::input::Identity;
use rivulet_core::{CloseCause, ConnectionKey, FlowKey};
use rivulet_protocol::{DecodeError, Packet};
use tokio::sync::mpsc;

use crate::rate::{ConnectionRates, PublishRates};
use crate::telemetry::Telemetry;
use crate::transport::{FlowEnd, FlowReader, FlowWriter, Peer};
use writer::WriterEnd;

mod desk;
mod entrance;
mod pace;
mod rates;
mod reader;
mod writer;

pub(crate) use desk::{Command, FlowDesk};
pub(crate) use entrance::{Entrance, Place};
pub(crate) use pace::Pace;

/// How long a peer that cannot be written to is still listened to: it may have said goodbye before it went.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Something for the engine.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A connection was accepted.
    Opened {
        /// Its key.
        connection: ConnectionKey,
        /// Who is at the other end.
        peer: Peer,
        /// Who that has proven to be.
        identity: Option<Identity>,
        /// The desk of its control flow.
        desk: Arc<FlowDesk>,
        /// How many packets its control flow takes.
        credit: u32,
    },
    /// Packets of one flow.
    Batch {
        /// On this connection.
        connection: ConnectionKey,
        /// On this flow.
        flow: FlowKey,
        /// What came.
        batch: Batch,
    },
    /// A writer has room again.
    Credit {
        /// On this connection.
        connection: ConnectionKey,
        /// On this flow.
        flow: FlowKey,
        /// For so many packets.
        packets: u32,
    },
    /// A connection is gone.
    Lost {
        /// Which.
        connection: ConnectionKey,
        /// How.
        loss: NetworkLoss,
    },
}

/// What one read brought, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The packets that the engine has not handled yet.
    pub(crate) packets: vec::IntoIter<Packet>,
    /// What came after them.
    pub(crate) end: Option<BatchEnd>,
}

/// The end of what a reader brings.
#[derive(Debug)]
pub(crate) enum BatchEnd {
    /// Bytes that are no packet.
    Rejected(DecodeError),
    /// The end of the flow.
    Flow(FlowEnd),
}

/// What the two halves of one flow know.
#[derive(Debug)]
pub(crate) struct FlowContext {
    /// On this connection.
    pub(crate) connection: ConnectionKey,
    /// This flow.
    pub(crate) flow: FlowKey,
    /// Where the engine leaves things.
    pub(crate) desk: Arc<FlowDesk>,
    /// Where the engine is told things. Full: the sender waits.
    pub(crate) inbox: mpsc::Sender<Arrival>,
    /// The bounds.
    pub(crate) settings: Arc<LinkSettings>,
    /// What is left to the connection of its rates.
    pub(crate) pace: Arc<Pace>,
    /// Where what passes is counted.
    pub(crate) telemetry: Arc<Telemetry>,
}

/// The bounds of all links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkSettings {
    /// The largest packet that is taken.
    pub(crate) maximum_packet_bytes: usize,
    /// Packets between core and socket, for each flow.
    pub(crate) flow_credit: u32,
    /// How long a peer may take nothing.
    pub(crate) write_timeout: Duration,
    /// How fast a client may publish.
    pub(crate) publish_rates: PublishRates,
    /// How fast connections may come.
    pub(crate) connection_rates: ConnectionRates,
}

/// How a link ended.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// Everything was written and the transport is to be closed in order, so that the last packet arrives.
    Close(CloseCause),
    /// There is nobody to close it with.
    Lost,
}

/// Runs the control flow of a connection until the connection is over, and tells the engine if it was lost.
pub(crate) async fn run(
    flow_reader: &mut impl FlowReader,
    flow_writer: &mut impl FlowWriter,
    context: &FlowContext,
) -> LinkEnd {
    let mut reading = pin!(reader::run(flow_reader, context));
    let mut writing = pin!(writer::run(flow_writer, context));
    let mut is_reading = true;
    let end = loop {
        tokio::select! {
            biased;
            end = &mut writing => break end,
            () = &mut reading, if is_reading => is_reading = false,
        }
    };
    let loss = match end {
        WriterEnd::Close(cause) => return LinkEnd::Close(cause),
        WriterEnd::Finish => return LinkEnd::Close(CloseCause::Network(NetworkLoss::ClosedByPeer)),
        WriterEnd::Stalled => NetworkLoss::TimedOut,
        WriterEnd::Lost(loss) => {
            if is_reading && tokio::time::timeout(LAST_WORDS, reading).await.is_ok() {
                return LinkEnd::Lost; // the reader has told the engine how it ended
            }
            loss
        }
    };
    context.lost(loss).await;
    LinkEnd::Lost
}

impl FlowContext {
    /// Tells the engine that the connection is gone.
    pub(crate) async fn lost(&self, loss: NetworkLoss) {
        // An engine that is gone has no connections left to lose.
        drop(self.inbox.send(Arrival::Lost { connection: self.connection, loss }).await);
    }

    /// Waits until the engine closes the connection, for one that has no flow to write to.
    pub(crate) async fn closed(&self) -> CloseCause {
        let mut commands = Vec::new();
        loop {
            self.desk.take(&mut commands).await;
            for command in commands.drain(..) {
                match command {
                    Command::Close(cause) => return cause,
                    Command::Negotiated(_) | Command::Send(_) | Command::Finish => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
