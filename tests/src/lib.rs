//! Shared ground of the system tests: packets as text, a disk that obeys, scripts of conversations with the core; a
//! broker in this process, and connections to it that are made of bytes.

pub mod bytes;
pub mod disk;
pub mod in_process;
pub mod notation;
pub mod script;
pub mod wire;
