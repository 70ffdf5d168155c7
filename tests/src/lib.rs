//! Shared ground of the system tests: packets as text, a disk that obeys, scripts of conversations with the core.

pub mod disk;
pub mod notation;
pub mod script;
