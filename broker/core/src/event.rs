//! What an operator may want to see or count. Never payloads, passwords or keys.

use rivulet_protocol::{ClientId, Version};

use crate::{CloseCause, ConnectionKey};

/// One thing worth a log line or a counter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A client was let in.
    Connected {
        /// On this connection.
        connection: ConnectionKey,
        /// Who.
        client_id: ClientId,
        /// Its protocol version.
        version: Version,
        /// Whether it found a session of its own.
        session_present: bool,
    },
    /// A connection ended. One for each connection that was opened.
    Closed {
        /// Which.
        connection: ConnectionKey,
        /// Whose it was, if it came so far.
        client_id: Option<ClientId>,
        /// Why.
        cause: CloseCause,
    },
}
