//! Commits: what must be written before it is acknowledged.

/// The number of one write. They count up from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Commit(pub u64);

/// One change of durable state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Record {}

/// What a store gives back at the start: the state that the records have built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {}

/// Why a write failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreFault {
    /// No space is left.
    #[error("the store is full")]
    Full,
    /// The device reports an error.
    #[error("the store fails")]
    Failing,
}
