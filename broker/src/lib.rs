//! The Rivulet broker: sockets, TLS, clock, configuration; and the command line that starts it.
//!
//! A broker runs in this process, on a thread of its own:
//!
//! ```no_run
//! # async fn example() -> Result<(), rivulet_broker::StartError> {
//! let broker = rivulet_broker::start(rivulet_broker::Config::default()).await?;
//! for listener in broker.listeners() {
//!     println!("{} on {}", listener.transport, listener.address);
//! }
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A message's way: `transport` (bytes) -> `link` (packets) -> `engine` (the core) -> `link` -> `transport`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rivulet_certs::CertsError;
use rivulet_core::input::OperatorCommand;
use rivulet_core::{Limits, ListenerKey};
use rivulet_storage::LoadFailed;
use tokio::sync::{mpsc, oneshot};

pub mod access;
pub mod cli;
mod clock;
pub mod config;
mod data_directory;
pub mod demo;
mod durability;
mod engine;
mod flapping;
mod link;
pub mod rate;
mod shard;
mod shutdown;
mod sys;
pub mod telemetry;
pub mod tls;
mod transport;

pub use config::Config;
pub use tls::OwnCertificates;
pub use transport::TransportKind;

use access::{AccessControl, AccessCounters, LoadFault};
use data_directory::DataDirectory;
use telemetry::{Counters, Telemetry};

/// Commands of an operator that wait for the engine. Full: whoever commands waits.
const OPERATOR_COMMANDS_MAX: usize = 16;

/// A broker that runs. Dropped, it is told to stop, and nobody waits for it.
#[derive(Debug)]
pub struct RunningBroker {
    listeners: Vec<BoundListener>,
    own: Option<Arc<OwnCertificates>>,
    access: Arc<AccessControl>,
    telemetry: Arc<Telemetry>,
    operator: mpsc::Sender<OperatorCommand>,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

/// A listener with the address that it has come to.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// Its place in the configuration.
    pub key: ListenerKey,
    /// Its transport.
    pub transport: TransportKind,
    /// Where it listens: the configured address with its port, also where that was 0.
    pub address: SocketAddr,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket.
    #[error("cannot listen on {address} ({transport}): {}", listen_advice(source))]
    Listen {
        /// By which transport.
        transport: TransportKind,
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Certificates and keys.
    #[error(transparent)]
    Certificates(#[from] CertsError),
    /// A listener with TLS and nothing to show.
    #[error("listener on {address} has no certificate")]
    NoCertificates {
        /// Where.
        address: SocketAddr,
    },
    /// QUIC begins with AES-128-GCM (RFC 9001, 5.2).
    #[error("TLS configuration lacks the cipher suite that QUIC begins with")]
    Ciphers,
    /// Files of the access control.
    #[error("{}", lines(.0))]
    Access(Vec<LoadFault>),
    /// The data directory.
    #[error("data directory {}: {problem}", path.display())]
    DataDirectory {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The store.
    #[error("store: {0}")]
    Store(#[from] LoadFailed),
    /// A thread, or what it runs on.
    #[error("cannot start a thread: {0}")]
    Runtime(io::Error),
}

/// Starts a broker and returns when it listens.
///
/// # Errors
///
/// An address that cannot be bound, certificates that cannot be used, a data directory that cannot be, or one in which
/// another broker runs; faults in the files of the access control.
pub async fn start(config: Config) -> Result<RunningBroker, StartError> {
    let (started, starting) = oneshot::channel();
    let (stop, stopping) = oneshot::channel();
    let (ended, stopped) = oneshot::channel();
    let (operator, commands) = mpsc::channel(OPERATOR_COMMANDS_MAX);
    let telemetry = Arc::new(Telemetry::default());
    let access =
        Arc::new(AccessControl::load(&config.access, config.listener_access()).map_err(StartError::Access)?);
    let (own, directory) = match OwnCertificates::are_needed(&config) {
        true => {
            let directory = DataDirectory::open(&config.data_dir)?;
            (Some(Arc::new(OwnCertificates::open_or_create(&config.data_dir)?)), Some(directory))
        }
        false => (None, None),
    };
    let start = shard::Start {
        config,
        own: own.clone(),
        access: Arc::clone(&access),
        telemetry: Arc::clone(&telemetry),
        operator: operator.clone(),
        commands,
        started,
        stop: stopping,
    };
    let thread = thread::Builder::new().name("shard-0".to_owned());
    let run = move || {
        shard::run(start);
        drop(directory); // only here may the next broker have it
        drop(ended);
    };
    thread.spawn(run).map_err(StartError::Runtime)?;
    let lost = |_| StartError::Runtime(io::Error::other("the shard's thread ended before it listened"));
    let listeners = starting.await.map_err(lost)??;
    Ok(RunningBroker { listeners, own, access, telemetry, operator, stop, stopped })
}

impl RunningBroker {
    /// Where it listens, in the order of the configuration.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// The address of the first listener of a transport.
    pub fn address(&self, transport: TransportKind) -> Option<SocketAddr> {
        self.listeners
            .iter()
            .find(|listener| listener.transport == transport)
            .map(|listener| listener.address)
    }

    /// The certificates that it has made, if a listener uses them.
    pub fn own_certificates(&self) -> Option<&OwnCertificates> {
        self.own.as_deref()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        self.telemetry.counters()
    }

    /// Who was let in and who was not, so far.
    pub fn access_counters(&self) -> &AccessCounters {
        self.access.counters()
    }

    /// Reads the files of the access control again, as `config` names them. Clients that come in from here on are measured
    /// by them.
    ///
    /// # Errors
    ///
    /// Every fault of every file; nothing changes then.
    pub fn reload_access(&self, config: &Config) -> Result<(), Vec<LoadFault>> {
        self.access.reload(&config.access, config.listener_access())
    }

    /// Has other limits from here on, where that is possible while it runs. What is over them already is left to end by
    /// itself. The number of connections and the largest packet stay what they were at the start.
    pub async fn set_limits(&self, limits: Limits) {
        // A broker that has ended has no limits.
        drop(self.operator.send(OperatorCommand::Limits(Box::new(limits))).await);
    }

    /// Takes no new connections, says goodbye to all clients, and returns when they are gone: after ten seconds and
    /// little more at the latest.
    pub async fn shutdown(self) {
        // Errors mean that it has ended by itself.
        let _told = self.stop.send(());
        let _ended = self.stopped.await;
    }
}

fn lines(faults: &[LoadFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What a person can do about a socket that cannot be had.
fn listen_advice(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        "the port is in use: stop what uses it (`ss -lntup` shows what does), or set another address in the configuration"
            .to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one".to_owned()
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "this machine does not have that address".to_owned()
    } else {
        error.to_string()
    }
}
