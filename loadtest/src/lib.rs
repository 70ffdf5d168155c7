//! Simulated fleets that load a broker and check what comes back.
//!
//! Not here: any knowledge of how the broker works inside. This crate sees what a device and a subscriber see.

pub mod clock;
pub mod device;
pub mod fault;
pub mod fleet;
pub mod ledger;
pub mod payload;
pub mod percentiles;
pub mod progress;
pub mod readings;
pub mod report;
pub mod schedule;
