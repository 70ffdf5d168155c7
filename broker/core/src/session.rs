//! What MQTT keeps for a client identifier, with or without a connection (3.1.2.11.2, 4.1).
//!
//! ```text
//!  messages -> [ queue: not yet sent ] -> [ inflight: sent, not acknowledged ] -> done
//!                 one lane per flow            resent in order after a reconnect
//!  PUBLISH of QoS 2 -> [ incoming: identifiers not yet released ] -> PUBREL
//! ```
//!
//! Not here: subscriptions (`router`), what the connection has agreed on (`connection`), timers (`broker`).

pub(crate) mod expiry;
pub(crate) mod incoming;
pub(crate) mod inflight;
pub(crate) mod packet_ids;
pub(crate) mod queue;
pub(crate) mod replay;
pub(crate) mod will;

use std::collections::VecDeque;

use rivulet_protocol::packet::Will;
use rivulet_protocol::{ClientId, PacketId};

use self::expiry::Expiry;
use self::incoming::Incoming;
use self::inflight::Inflight;
use self::packet_ids::PacketIds;
use self::queue::Queue;
use self::replay::Replay;
use crate::{ConnectionKey, Position};

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: ClientId,
    /// Where its client is connected.
    pub(crate) connection: Option<ConnectionKey>,
    pub(crate) expiry: Expiry,
    /// What is published if the connection ends without a goodbye.
    pub(crate) will: Option<Box<Will>>,
    pub(crate) queue: Queue,
    pub(crate) inflight: Inflight,
    pub(crate) incoming: Incoming,
    pub(crate) replays: VecDeque<Replay>,
    /// Whether the store knows it. Only a session that outlives its connection is worth a record.
    pub(crate) is_stored: bool,
    /// Whether it waits for its turn to send.
    pub(crate) is_ready: bool,
    packet_ids: PacketIds,
    last_position: Position,
}

impl Session {
    pub(crate) fn new(client_id: ClientId, expiry: Expiry) -> Self {
        Self {
            client_id,
            connection: None,
            expiry,
            will: None,
            queue: Queue::default(),
            inflight: Inflight::default(),
            incoming: Incoming::default(),
            replays: VecDeque::new(),
            is_stored: expiry.outlives_connection(),
            is_ready: false,
            packet_ids: PacketIds::default(),
            last_position: Position::default(),
        }
    }

    /// The place of the next delivery.
    pub(crate) fn next_position(&mut self) -> Position {
        self.last_position.0 += 1;
        self.last_position
    }

    /// Goes on counting after a position of a snapshot.
    pub(crate) fn resume_positions(&mut self, last: Position) {
        self.last_position = self.last_position.max(last);
    }

    /// An identifier that no delivery in flight has. `None`: all are in use.
    pub(crate) fn next_packet_id(&mut self) -> Option<PacketId> {
        self.packet_ids.next_free(|id| self.inflight.contains(id))
    }

    /// Panics if two parts disagree.
    pub(crate) fn check(&self) {
        self.queue.check();
        self.inflight.check();
        self.incoming.check();
        assert!(
            self.expiry.outlives_connection() || self.connection.is_some(),
            "{} is kept for nobody",
            self.client_id
        );
        let newest = self.queue.positions().chain(self.inflight.positions()).max();
        assert!(newest <= Some(self.last_position), "{} counts positions up", self.client_id);
    }
}
