//! `rivulet subscribe`.

use std::process::ExitCode;

/// Subscribes and prints what arrives.
#[derive(Debug, clap::Args)]
pub(crate) struct SubscribeArguments {}

pub(crate) fn run(_arguments: &SubscribeArguments) -> ExitCode {
    ExitCode::from(super::EXIT_FAILURE)
}
