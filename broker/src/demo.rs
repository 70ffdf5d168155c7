//! The demo: a broker in this process, a fleet of devices that replay recorded weather over QUIC, and a report.
//!
//! Everything is made for one run: a free port, a temporary data directory with a certificate authority, and a
//! certificate for each device. Options and output are in `cli/demo.rs`; the fleet is `rivulet-loadtest`'s.

use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rivulet_client::UrlError;
use rivulet_loadtest::fleet::{Fleet, FleetError};
use rivulet_loadtest::progress::Progress;
use rivulet_loadtest::readings::{Readings, ReadingsError};
use rivulet_loadtest::report::Report;

use crate::config::Config;
use crate::{RunningBroker, StartError, TransportKind, clock};

/// Messages on their way to the subscriber: as many as hundreds of devices have on theirs.
const SUBSCRIBER_INFLIGHT_MAX: u16 = 4_096;

/// Messages that wait for the subscriber. A slow machine then shows as latency, and only a much too slow one as loss.
const SUBSCRIBER_QUEUE_MESSAGES_MAX: u32 = 100_000;

/// Bytes that wait for the subscriber: topic and payload of a reading are under 256.
const SUBSCRIBER_QUEUE_BYTES_MAX: u64 = SUBSCRIBER_QUEUE_MESSAGES_MAX as u64 * 256;

/// What a demo is asked to do.
#[derive(Clone, Debug)]
pub struct Demo {
    /// How many devices.
    pub devices: usize,
    /// How many messages all of them together send in a second.
    pub messages_per_second: NonZeroU32,
    /// How long they send.
    pub replay: Duration,
    /// What they send.
    pub readings: Arc<Readings>,
    /// What decides which values are right: the same, unless the check itself is tested.
    pub truth: Arc<Readings>,
}

/// Why there was no demo. A demo that went wrong is a [`Report`] that has not passed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// What is compiled in cannot be read.
    #[error(transparent)]
    Readings(#[from] ReadingsError),
    /// No room for the authority and its certificates.
    #[error("cannot make a temporary folder: {0}")]
    Folder(io::Error),
    /// The broker.
    #[error("broker: {0}")]
    Start(#[from] StartError),
    /// The broker does not say where it is, or who vouches for it.
    #[error("broker runs without a QUIC listener of its own certificates")]
    Listener,
    /// Where the broker is cannot be told to clients.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The fleet.
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

impl Demo {
    /// A demo with the readings that are compiled in.
    ///
    /// # Errors
    ///
    /// [`DemoError::Readings`].
    pub fn new(devices: usize, messages_per_second: NonZeroU32, replay: Duration) -> Result<Self, DemoError> {
        let readings = Arc::new(Readings::january_2013()?);
        Ok(Self { devices, messages_per_second, replay, truth: readings.clone(), readings })
    }

    /// Starts broker and fleet, runs to the end, and stops both. `tell` learns how far it is about once a second.
    ///
    /// # Errors
    ///
    /// See [`DemoError`].
    pub async fn run(&self, tell: impl FnMut(&Progress)) -> Result<Report, DemoError> {
        let folder = tempfile::tempdir().map_err(DemoError::Folder)?;
        let broker = crate::start(config(folder.path())).await?;
        let report = self.run_fleet(&broker, tell).await;
        broker.shutdown().await;
        report
    }

    async fn run_fleet(
        &self,
        broker: &RunningBroker,
        tell: impl FnMut(&Progress),
    ) -> Result<Report, DemoError> {
        let address = broker.address(TransportKind::Quic).ok_or(DemoError::Listener)?;
        let own = broker.own_certificates().ok_or(DemoError::Listener)?;
        let fleet = Fleet {
            url: format!("quic://{address}").parse()?,
            authority: own.authority(),
            now: clock::wall(),
            devices: self.devices,
            messages_per_second: self.messages_per_second,
            replay: self.replay,
            readings: self.readings.clone(),
            truth: self.truth.clone(),
        };
        Ok(fleet.run(tell).await?)
    }
}

/// A broker that was told nothing, but for its QUIC listener alone, on a free port, and for a subscriber that takes what
/// a whole fleet sends.
fn config(data_dir: &Path) -> Config {
    let mut config = Config { data_dir: data_dir.to_owned(), ..Config::default() };
    config.listeners.retain(|listener| listener.transport == TransportKind::Quic);
    config.listeners.iter_mut().for_each(|listener| listener.address.set_port(0));
    config.limits.inflight_max = SUBSCRIBER_INFLIGHT_MAX;
    config.limits.queue_messages_max = SUBSCRIBER_QUEUE_MESSAGES_MAX;
    config.limits.queue_bytes_max = SUBSCRIBER_QUEUE_BYTES_MAX;
    config
}
