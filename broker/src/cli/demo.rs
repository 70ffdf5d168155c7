//! `rivulet demo`.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use rivulet_loadtest::progress::{ProgressLine, ProgressStyle};
use rivulet_loadtest::report::Report;

use crate::demo::{Demo, DemoError};
use crate::telemetry;

/// Three stations, each at every lag of the 744 hours of the month.
const DEVICES_MAX: u16 = 3 * 744;

/// A day.
const SECONDS_MAX: u32 = 24 * 60 * 60;

/// Readings of the whole fleet in a second.
const RATE_MAX: u32 = 1_000_000;

/// What is logged: what is unusual. The rest is in the report.
const LOG_LEVEL: &str = "warn";

/// Shows the broker at work: a fleet of devices that replay weather readings over QUIC, a subscriber, and a report.
///
/// Starts a broker in this process on a free port, with a certificate authority in a temporary folder, and devices with a
/// certificate each. They replay what the stations EWR, JFK and LGA measured in January 2013 as JSON on
/// weather/{device}/{quantity} with QoS 1. The first three devices are the stations themselves; the others are the same
/// stations some hours behind, such as EWR-017h. A subscriber on weather/# compares each reading that arrives with the
/// file.
///
/// Exits with 0 if every reading arrived, in order, with the value of the file, and with 1 otherwise. The report goes to
/// standard output, progress to standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArguments {
    /// How long the devices send, in seconds.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(SECONDS_MAX)))]
    seconds: u32,
    /// How many devices there are, from 1 to 2232.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=i64::from(DEVICES_MAX)))]
    devices: u16,
    /// How many readings all devices together send in a second. A subscriber has to take them all.
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: u32,
    /// Print the report as JSON, with times in microseconds.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &DemoArguments) -> ExitCode {
    telemetry::start_log(LOG_LEVEL);
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))
        .and_then(|runtime| runtime.block_on(run_until_interrupted(arguments)));
    match outcome {
        Ok(report) => {
            // Nobody reads: the exit code still tells.
            drop(print(&report, arguments));
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_FAILURE) }
        }
        Err(problem) => {
            drop(writeln!(io::stderr(), "demo: {problem}"));
            ExitCode::from(super::EXIT_FAILURE)
        }
    }
}

/// Interrupted, it still removes its temporary folder.
async fn run_until_interrupted(arguments: &DemoArguments) -> Result<Report, String> {
    tokio::select! {
        report = run_demo(arguments) => report.map_err(|error| error.to_string()),
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
    }
}

async fn run_demo(arguments: &DemoArguments) -> Result<Report, DemoError> {
    let rate = NonZeroU32::new(arguments.rate).unwrap_or(NonZeroU32::MIN);
    let demo = Demo::new(arguments.devices.into(), rate, Duration::from_secs(arguments.seconds.into()))?;
    let style = if io::stderr().is_terminal() { ProgressStyle::Terminal } else { ProgressStyle::Plain };
    let mut line = ProgressLine::new(io::stderr(), style);
    // Progress that nobody sees is no reason to stop.
    let report = demo.run(|progress| drop(line.show(progress))).await;
    drop(line.clear());
    report
}

fn print(report: &Report, arguments: &DemoArguments) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, report)?;
        return writeln!(out);
    }
    writeln!(out, "A fleet replayed recorded weather over QUIC for {} s.\n", arguments.seconds)?;
    write!(out, "{report}")
}

#[cfg(test)]
mod tests {
    use rivulet_loadtest::device::largest_fleet;
    use rivulet_loadtest::readings::Readings;

    use super::*;

    #[test]
    fn there_are_readings_for_as_many_devices_as_can_be_asked_for() {
        assert_eq!(largest_fleet(&Readings::january_2013().unwrap()), usize::from(DEVICES_MAX));
    }
}
