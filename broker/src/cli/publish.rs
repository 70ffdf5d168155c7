//! `rivulet publish`.

use std::process::ExitCode;

/// Publishes messages.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishArguments {}

pub(crate) fn run(_arguments: &PublishArguments) -> ExitCode {
    ExitCode::from(super::EXIT_FAILURE)
}
