//! `rivulet check`.

use std::process::ExitCode;

/// Finds all faults of a configuration without starting.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {}

pub(crate) fn run(_arguments: &CheckArguments) -> ExitCode {
    ExitCode::from(super::EXIT_FAILURE)
}
