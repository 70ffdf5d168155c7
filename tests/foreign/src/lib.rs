//! MQTT clients written by others against the `rivulet` binary.
//!
//! | module | subject |
//! |---|---|
//! | [`broker`] | the binary as a child process, with free ports and a folder of its own |
//! | [`certificates`] | who the broker and the devices are, made without any code of ours |
//! | [`client`] | what all clients can do, and one file per client that says how |
//! | [`scenario`] | what a client goes through; each test is one client in one scenario |

pub mod broker;
pub mod certificates;
pub mod client;
pub mod scenario;

/// Anything that can go wrong ends the test, in the words of whoever found it.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
