//! Everything that a broker can ask for.

use rivulet_protocol::{Delivery, Packet};

use crate::access::Credentials;
use crate::cause::CloseCause;
use crate::durable::{Commit, Record};
use crate::{ConnectionKey, Event, FlowKey};

/// One thing to do. The caller does them in the order in which they come, and never waits.
#[derive(Debug)]
pub enum Output {
    /// Send a packet. There is room for it: the writer gave credit.
    Send {
        /// On this connection.
        connection: ConnectionKey,
        /// On this flow.
        flow: FlowKey,
        /// What to send.
        packet: Outgoing,
    },
    /// The peer's CONNECT was taken: its version and the largest packet that it takes. Comes before the CONNACK.
    Negotiated {
        /// Which connection.
        connection: ConnectionKey,
        /// How to encode for it.
        encoder: rivulet_protocol::Encoder,
    },
    /// End a flow in order, after what was sent on it.
    FinishFlow {
        /// On this connection.
        connection: ConnectionKey,
        /// Which.
        flow: FlowKey,
    },
    /// Break a flow off.
    ResetFlow {
        /// On this connection.
        connection: ConnectionKey,
        /// Which.
        flow: FlowKey,
        /// Why.
        cause: CloseCause,
    },
    /// Close a connection, after what was sent on it has left. The last output that names it.
    Close {
        /// Which.
        connection: ConnectionKey,
        /// Why.
        cause: CloseCause,
    },
    /// Find out whether this client is who it says; answered by [`crate::Input::Authenticated`].
    Authenticate {
        /// Who asks.
        connection: ConnectionKey,
        /// What it shows.
        credentials: Box<Credentials>,
    },
    /// Write this down; answered by [`crate::Input::Persisted`] or [`crate::Input::PersistFailed`].
    Persist {
        /// Its number. They count up.
        commit: Commit,
        /// What to write, as one: all or nothing.
        batch: Vec<Record>,
    },
    /// Stop reading a flow.
    Pause {
        /// On this connection.
        connection: ConnectionKey,
        /// Which.
        flow: FlowKey,
    },
    /// Read a flow, again or for the first time.
    Resume {
        /// On this connection.
        connection: ConnectionKey,
        /// Which.
        flow: FlowKey,
    },
    /// For log and counters.
    Event(Event),
}

/// A packet on its way out.
#[derive(Debug)]
pub enum Outgoing {
    /// Anything but a PUBLISH.
    Packet(Packet),
    /// A message for a subscriber.
    Delivery(Delivery),
}
