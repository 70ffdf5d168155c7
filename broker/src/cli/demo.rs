//! `rivulet demo`.

use std::process::ExitCode;

/// A broker, a fleet of devices that replay weather readings over QUIC, and a report.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArguments {}

pub(crate) fn run(_arguments: &DemoArguments) -> ExitCode {
    ExitCode::from(super::EXIT_FAILURE)
}
