//! A run: devices connect, replay and are accounted for.
//!
//! ```text
//!   devices ---publish---> broker ---deliver---> subscriber
//!      |                                             |
//!      +--- sent, acknowledged --> ledger <-- received
//! ```
//!
//! Not here: where the broker is, and what is done with the report.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rivulet_certs::{Authority, CertsError, TlsVersions, client_config};
use rivulet_client::{ConnectError, Options, OptionsError, ReasonCode, RequestError, State, TopicError, Url};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::clock::Clock;
use crate::device::{Device, FLEET_FILTER};
use crate::fault::{Fault, Faults};
use crate::ledger::Ledger;
use crate::percentiles::Durations;
use crate::progress::{PROGRESS_INTERVAL, Progress};
use crate::readings::Readings;
use crate::report::{Handshakes, Report};
use crate::schedule::Schedule;

mod publisher;
mod subscriber;

use publisher::{Connected, Connecting, Publisher};
use subscriber::Subscriber;

/// How long the last messages may take to be acknowledged and received.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How often is looked whether all are.
const SETTLE_POLL: Duration = Duration::from_millis(20);

/// How long the broker keeps the session of a client that is away, in seconds: a lost connection loses no message.
const SESSION_EXPIRY_SECS: u32 = 60;

/// What a fleet is asked to do.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    /// Where the broker takes devices.
    pub url: Url,
    /// Vouches for the broker, and for each device.
    pub authority: &'a Authority,
    /// The time, for certificates.
    pub now: SystemTime,
    /// How many devices: at most [`crate::device::largest_fleet`].
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

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A certificate cannot be made.
    #[error("certificate of {name}: {source}")]
    Certificate {
        /// Whose.
        name: String,
        /// Why not.
        source: CertsError,
    },
    /// A client that cannot be asked for.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A filter that is none.
    #[error(transparent)]
    Filter(#[from] TopicError),
    /// Nobody would see what arrives.
    #[error("subscriber: {0}")]
    Connect(#[from] ConnectError),
    /// Nobody would see what arrives.
    #[error("subscriber: {0}")]
    Subscribe(#[from] RequestError),
    /// The broker does not let the subscriber see what arrives.
    #[error("subscriber asked for {FLEET_FILTER} at QoS 1, and the broker answered {granted:?}")]
    NotGranted {
        /// The reason codes of SUBACK.
        granted: Vec<ReasonCode>,
    },
}

impl Fleet<'_> {
    /// Runs to the end, and tells how far it is about once a second.
    ///
    /// # Errors
    ///
    /// See [`FleetError`]. A device that cannot connect is no error but a fault in the report.
    pub async fn run(&self, mut tell: impl FnMut(&Progress)) -> Result<Report, FleetError> {
        let devices = Device::fleet(&self.readings, self.devices);
        let ledger = Arc::new(Mutex::new(Ledger::new(self.truth.clone(), &devices)));
        let ledger = SharedLedger { ledger, clock: Clock::start() };
        let subscriber = Subscriber::connect(self, ledger.clone()).await?;
        let mut crew = self.connect(&devices, ledger.clock, &mut tell).await?;
        crew.handshake_times.record(subscriber.handshake());
        let failed = crew.faults.count();

        let behind_schedule = self.replay(&devices, &crew, &ledger, &mut tell).await;

        crew.note_ends(&devices);
        crew.faults.extend(subscriber.end().map(|why| Fault::Subscriber { why }));
        let reconnects = crew.reconnects() + subscriber.reconnects();
        crew.disconnect().await;
        subscriber.disconnect().await;
        let balance = ledger.with(|ledger| ledger.balance());
        let mut faults = crew.faults;
        faults.append(balance.faults);
        Ok(Report {
            devices: devices.len(),
            replay: self.replay,
            handshakes: Handshakes {
                count: devices.len() as u64 + 1,
                failed,
                time: crew.handshake_times.percentiles(),
            },
            reconnects,
            messages: balance.tally,
            latency: balance.latency,
            behind_schedule: behind_schedule.percentiles(),
            faults,
        })
    }

    async fn connect(
        &self,
        devices: &[Device],
        clock: Clock,
        tell: &mut impl FnMut(&Progress),
    ) -> Result<Crew, FleetError> {
        let mut connecting = Connecting::new(self, devices, clock);
        let mut crew = Crew::default();
        let mut ticks = interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                connected = connecting.next() => match connected? {
                    Connected::Yes { publisher, took } => {
                        crew.handshake_times.record(took);
                        crew.publishers.push(publisher);
                    }
                    Connected::No { device, why } => crew.faults.add(Fault::Device { device, why }),
                    Connected::All => return Ok(crew),
                },
                _ = ticks.tick() => {
                    let done = crew.publishers.len() + crew.faults.count() as usize;
                    tell(&Progress::Connecting { done, of: devices.len() });
                }
            }
        }
    }

    /// Sends for the length of the replay, and waits until all is settled or nothing more can be expected. The answer is
    /// by how much messages were handed over too late.
    async fn replay(
        &self,
        devices: &[Device],
        crew: &Crew,
        ledger: &SharedLedger,
        tell: &mut impl FnMut(&Progress),
    ) -> Durations {
        let schedule = Schedule {
            devices: devices.len(),
            messages_per_second: self.messages_per_second,
            replay: self.replay,
        };
        let began = ledger.clock.elapsed();
        let mut sending = JoinSet::new();
        for publisher in &crew.publishers {
            let readings = devices[publisher.device().0].replay(self.readings.clone());
            let plan = schedule.due(publisher.device()).map(move |due| began + due).zip(readings);
            sending.spawn(publisher.clone().replay(plan, self.readings.clone(), ledger.clone()));
        }
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut behind_schedule = Durations::default();
        let settled = async {
            loop {
                tokio::select! {
                    sent = sending.join_next(), if !sending.is_empty() => match sent {
                        Some(Ok(behind)) => behind_schedule.append(&behind),
                        Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                        None => {}
                    },
                    () = sleep(SETTLE_POLL), if sending.is_empty() => {
                        if ledger.with(|ledger| ledger.open()) == 0 {
                            return;
                        }
                    }
                    _ = ticks.tick() => tell(&self.progress(ledger, began)),
                }
            }
        };
        // Too late: what is not settled by now is a fault in the ledger.
        timeout(self.replay + SETTLE_TIMEOUT, settled).await.unwrap_or(());
        behind_schedule
    }

    fn progress(&self, ledger: &SharedLedger, began: Duration) -> Progress {
        let elapsed = ledger.clock.elapsed().saturating_sub(began);
        ledger.with(|ledger| {
            if elapsed >= self.replay {
                return Progress::Settling { open: ledger.open() };
            }
            Progress::Replaying {
                elapsed,
                of: self.replay,
                messages: ledger.tally(),
                latency: ledger.latency(),
            }
        })
    }

    /// How a client of this name connects: with a certificate of its own.
    fn options(&self, name: &str) -> Result<Options, FleetError> {
        let certificate = |source| FleetError::Certificate { name: name.to_owned(), source };
        let issued = self.authority.issue_device(name, self.now).map_err(certificate)?;
        let roots = self.authority.roots().map_err(certificate)?;
        let tls = client_config(TlsVersions::Only13, roots, Some(issued.credentials()), &[])
            .map_err(certificate)?;
        Ok(Options::with_url(self.url.clone()).tls(tls).client_id(name)?.session_expiry(SESSION_EXPIRY_SECS))
    }
}

/// All devices that are connected.
#[derive(Debug, Default)]
struct Crew {
    publishers: Vec<Publisher>,
    handshake_times: Durations,
    /// What the connections met.
    faults: Faults,
}

impl Crew {
    /// A device whose client has ended before its time is a fault.
    fn note_ends(&mut self, devices: &[Device]) {
        for publisher in &self.publishers {
            let device = devices[publisher.device().0].name().clone();
            self.faults.extend(publisher.end().map(|why| Fault::Device { device, why }));
        }
    }

    fn reconnects(&self) -> u64 {
        self.publishers.iter().map(Publisher::reconnects).sum()
    }

    async fn disconnect(&mut self) {
        let mut leaving = JoinSet::new();
        for publisher in self.publishers.drain(..) {
            leaving.spawn(async move { publisher.disconnect().await });
        }
        leaving.join_all().await;
    }
}

/// The ledger as devices and subscriber share it, with the clock of the run. Held for a few entries at a time, never
/// across an await.
#[derive(Clone, Debug)]
struct SharedLedger {
    ledger: Arc<Mutex<Ledger>>,
    clock: Clock,
}

impl SharedLedger {
    fn with<T>(&self, entry: impl FnOnce(&mut Ledger) -> T) -> T {
        // Poisoned: another writer has panicked, and its task tells. The counts are still counts.
        entry(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How often a client had to connect again, by its state.
fn reconnects(state: &State) -> u64 {
    match state {
        State::Connected(connected) => connected.count.saturating_sub(1),
        State::Reconnecting { .. } | State::Ended(_) => 0,
    }
}

/// Why a client has ended, if it has.
fn end(state: &State) -> Option<String> {
    match state {
        State::Connected(_) => None,
        State::Reconnecting { cause, .. } => Some(format!("reconnecting: {cause}")),
        State::Ended(cause) => Some(cause.to_string()),
    }
}
