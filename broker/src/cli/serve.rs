//! `rivulet serve`.

use std::process::ExitCode;

/// Runs the broker.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArguments {}

pub(crate) fn run(_arguments: &ServeArguments) -> ExitCode {
    ExitCode::from(super::EXIT_FAILURE)
}
