//! The command line of Rivulet.

use std::process::ExitCode;

fn main() -> ExitCode {
    rivulet_broker::cli::main()
}
