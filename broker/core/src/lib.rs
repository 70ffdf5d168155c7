//! The broker as a value: no I/O, no clock, no threads. Give it an input, then drain its outputs.
//!
//! ```text
//!  connection opened, packet received,   +--------+   send a packet, close a connection,
//!  credit, verdict, write persisted, --->| Broker |---> authenticate, persist a batch,
//!  timer due, operator command           +--------+   event for log and counters
//! ```
//!
//! The contract: apply one [`Input`] with [`Broker::handle`], drain [`Broker::poll_output`] until it is `None`, wait
//! until [`Broker::poll_timeout`] or the next input. A run is a seed and a list of (now, input), and any run can be
//! replayed.
//!
//! This crate never knows: sockets, QUIC, TLS, files, clocks, logs, randomness beyond its seed, configuration text.

#![cfg_attr(
    test,
    allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind and refuses all others")
)]

pub mod access;
pub mod broker;
pub mod cause;
mod connection;
mod delivery;
pub mod durable;
pub mod event;
mod handover;
pub mod input;
pub mod key;
pub mod limits;
mod lookup;
mod outbox;
pub mod output;
pub mod own;
mod publication;
mod refusal;
mod restore;
pub mod router;
mod session;
#[cfg(test)]
mod testing;
pub mod time;
pub mod timer;
pub mod violation;

pub use access::{Permissions, Verdict};
pub use broker::Broker;
pub use cause::CloseCause;
pub use durable::{Commit, Record, Snapshot};
pub use event::Event;
pub use input::Input;
pub use key::{ConnectionKey, FlowKey, ListenerKey, MessageKey, Position, SessionKey};
pub use limits::Limits;
pub use output::Output;
pub use own::Totals;
pub use router::{Retained, Router};
pub use time::{Instant, Now, WallTime};
pub use timer::Timer;
pub use violation::Violation;

/// Where all of the broker's chance comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seed(pub u64);
