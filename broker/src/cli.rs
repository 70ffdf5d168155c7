//! The command line: one file per command, each with its options, their manual, and what runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod acl;
mod check;
mod demo;
mod passwd;
mod property;
mod publish;
mod serve;
mod subscribe;
mod target;

/// An MQTT-over-QUIC edge broker.
#[derive(Debug, Parser)]
#[command(name = "rivulet", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArguments),
    Check(check::CheckArguments),
    #[command(name = "pub")]
    Publish(publish::PublishArguments),
    #[command(name = "sub")]
    Subscribe(subscribe::SubscribeArguments),
    Demo(demo::DemoArguments),
    Passwd(passwd::PasswdArguments),
    Acl(acl::AclArguments),
}

/// Exit code for a run-time failure.
pub(crate) const EXIT_FAILURE: u8 = 1;

/// Exit code for a bad configuration (EX_CONFIG of sysexits.h).
pub(crate) const EXIT_CONFIGURATION: u8 = 78;

/// Runs what the arguments ask for. Exits with 0 for success, 1 for a failure, 2 for wrong usage, 78 for a bad
/// configuration.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Publish(arguments) => publish::run(&arguments),
        Command::Subscribe(arguments) => subscribe::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Passwd(arguments) => passwd::run(&arguments),
        Command::Acl(arguments) => acl::run(&arguments),
    }
}
