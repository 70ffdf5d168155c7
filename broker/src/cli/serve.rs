//! `rivulet serve`: configuration, log, broker, signals.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use rivulet_core::Limits;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::config::{AccessConfig, ListenerAccess};
use crate::{Config, RunningBroker, StartError, telemetry};

mod welcome;

/// The variable that sets the log level, under `--log` and above the configuration.
const LOG_VARIABLE: &str = "RIVULET_LOG";

/// Runs the broker.
///
/// Without a configuration it listens on loopback alone: QUIC on 14567, where clients show a certificate, and TCP on
/// 1883. It makes a certificate authority, a server certificate and a demo device in its data directory, and prints the
/// commands to publish and subscribe with.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArguments {
    /// The configuration; see deploy/rivulet.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the broker keeps what it makes. Stands above the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or directives such as info,quinn=debug. Stands above the
    /// variable RIVULET_LOG and the configuration.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

pub(crate) fn run(arguments: &ServeArguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(faults) => {
            // Nobody reads: the exit code still tells.
            drop(writeln!(io::stderr(), "{faults}"));
            return ExitCode::from(super::EXIT_CONFIGURATION);
        }
    };
    telemetry::start_log(&config.log);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start");
            return ExitCode::from(super::EXIT_FAILURE);
        }
    };
    runtime.block_on(serve(config, arguments))
}

/// The configuration, with the command line over it.
fn load(arguments: &ServeArguments) -> Result<Config, crate::config::Faults> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(data_dir) = &arguments.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    let variable = std::env::var(LOG_VARIABLE).ok();
    for (origin, filter) in [(LOG_VARIABLE, variable.as_ref()), ("--log", arguments.log.as_ref())] {
        if let Some(filter) = filter {
            config.log = crate::config::log_filter(origin, filter)?;
        }
    }
    Ok(config)
}

async fn serve(config: Config, arguments: &ServeArguments) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "cannot listen for signals");
            return ExitCode::from(super::EXIT_FAILURE);
        }
    };
    let broker = match crate::start(config.clone()).await {
        Ok(broker) => broker,
        Err(error) => {
            error!("{error}");
            let is_configuration = matches!(error, StartError::Access(_));
            return ExitCode::from(if is_configuration {
                super::EXIT_CONFIGURATION
            } else {
                super::EXIT_FAILURE
            });
        }
    };
    if arguments.config.is_none() {
        // Nobody reads: the broker runs all the same.
        drop(io::stdout().write_all(welcome::text(&broker).as_bytes()));
    }
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reload(&broker, &config, arguments).await,
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    tokio::select! {
        () = broker.shutdown() => ExitCode::SUCCESS,
        _ = signals.interrupt.recv() => {
            warn!("interrupted again, clients are left without a goodbye");
            ExitCode::from(super::EXIT_FAILURE)
        }
    }
}

/// Reads the configuration again. What is wrong with it, or cannot change in a running broker, is told and left.
async fn reload(broker: &RunningBroker, running: &Config, arguments: &ServeArguments) {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(faults) => {
            for fault in faults.0 {
                error!("configuration not reloaded: {fault}");
            }
            return;
        }
    };
    // What is asked of clients goes by the places of the listeners: where those differ, only the files are read again.
    let places = |config: &Config| -> Vec<_> {
        config.listeners.iter().map(|listener| (listener.transport, listener.address)).collect()
    };
    let has_same_places = places(&config) == places(running);
    let access = if has_same_places { &config } else { running };
    if let Err(faults) = broker.reload_access(access) {
        for fault in faults {
            error!("configuration not reloaded: {fault}");
        }
        return;
    }
    let mut limits = config.limits.clone();
    limits.connections_max = running.limits.connections_max;
    limits.maximum_packet_bytes = running.limits.maximum_packet_bytes;
    let is_all_reloaded = without_reloaded(&config) == without_reloaded(running) && config.limits == limits;
    broker.set_limits(limits).await;
    info!("limits and access control reloaded");
    if !is_all_reloaded {
        warn!(
            "of the configuration, [access], what listeners ask of clients, and [limits] are reloaded, without connections, maximum_packet, handshakes, \
             timeouts and flow_credit: restart for the rest"
        );
    }
}

/// A configuration without what a reload takes.
fn without_reloaded(config: &Config) -> Config {
    let mut rest = Config { limits: Limits::default(), access: AccessConfig::default(), ..config.clone() };
    rest.listeners.iter_mut().for_each(|listener| listener.access = ListenerAccess::default());
    rest
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}
