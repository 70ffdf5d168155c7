//! What must survive a restart: the store behind a trait.
//!
//! A store writes what it is told and says when it is safe. It has no opinion on sessions, and no policy: what is
//! written, and what waits for it, is the core's business.
//!
//! The calls of a store may block. Whoever calls them decides on which thread.

mod memory;

use std::fmt::Debug;

use rivulet_core::durable::StoreFault;
use rivulet_core::{Commit, Record, Snapshot};

pub use memory::MemoryStore;

/// One write: all of its records or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its number. A store is given numbers that count up, with gaps perhaps.
    pub commit: Commit,
    /// What to write.
    pub records: Vec<Record>,
}

/// A write that did not succeed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("commit {} is not written: {fault}", from.0)]
pub struct WriteFailed {
    /// The lowest commit that is not safe; all from there on are not.
    pub from: Commit,
    /// Why.
    pub fault: StoreFault,
}

/// A store that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LoadFailed {
    /// What is there is not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The device or the file system refuses.
    #[error("{0}")]
    Unreadable(String),
}

/// Where batches go, and what they have built when the broker starts again.
///
/// The contract, which `tests/contract.rs` holds every store to:
///
/// 1. [`Store::load`] gives the state that all safe batches have built, and of no other batch; of a batch that was
///    cut short it gives nothing.
/// 2. When [`Store::write`] returns `Ok`, every batch handed in is safe: it is in the next [`Store::load`], whatever
///    happens to the process or to the power supply. (A store in memory promises this for as long as it lives.)
/// 3. When it returns [`WriteFailed`], the batches below `from` are safe and the rest are not. The store takes no more
///    batches after a fault that leaves its state in doubt; it repeats the fault.
/// 4. Commits count up. A batch whose number is not above the last one is a fault of the caller and is refused.
pub trait Store: Debug + Send {
    /// The state so far. Called once, before the first write.
    fn load(&mut self) -> Result<Snapshot, LoadFailed>;

    /// Writes batches, in their order, and returns when they are safe. Many at once cost little more than one.
    fn write(&mut self, batches: &[Batch]) -> Result<(), WriteFailed>;
}
