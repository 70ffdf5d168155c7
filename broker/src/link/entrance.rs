//! Where accepted connections come in: a place within the limits, a key, and a word to the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rivulet_core::input::Identity;
use rivulet_core::{ConnectionKey, FlowKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::rates::ArrivalRates;
use super::{Arrival, FlowContext, FlowDesk, LinkSettings, Pace};
use crate::clock;
use crate::telemetry::Telemetry;
use crate::transport::Peer;

/// What accept loops share.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    inbox: mpsc::Sender<Arrival>,
    next: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    places_max: u32,
    settings: Arc<LinkSettings>,
    rates: Arc<ArrivalRates>,
    telemetry: Arc<Telemetry>,
}

/// A connection's place within the limit; free again when it is dropped, after the last byte.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Entrance {
    /// An entrance with so many places.
    pub(crate) fn new(
        inbox: mpsc::Sender<Arrival>,
        places_max: u32,
        settings: LinkSettings,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(usize::try_from(places_max).unwrap_or(Semaphore::MAX_PERMITS)));
        Self {
            inbox,
            next: Arc::new(AtomicU64::new(1)),
            places,
            places_max,
            rates: Arc::new(ArrivalRates::new(settings.connection_rates, clock::runtime_now())),
            settings: Arc::new(settings),
            telemetry,
        }
    }

    /// A place for one more connection, if there is one.
    pub(crate) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// Whether the rates let one more come from there.
    pub(crate) fn has_room_for(&self, peer: &Peer) -> bool {
        self.rates.has_room(peer.address.ip(), clock::runtime_now())
    }

    /// Counts one that comes. Its address may not be proven, or not be its own.
    pub(crate) fn count_arrival(&self) {
        self.rates.take(clock::runtime_now());
    }

    /// Counts one that has come from there, for certain.
    pub(crate) fn count_arrival_from(&self, peer: &Peer) {
        self.rates.take_from(peer.address.ip(), clock::runtime_now());
    }

    /// Notes that one was refused because of the rates.
    pub(crate) fn refused_for_rate(&self, peer: &Peer) {
        self.telemetry.refused_for_rate(peer, self.rates.is_to_be_told(clock::runtime_now()));
    }

    /// How many places there are.
    pub(crate) const fn places_max(&self) -> u32 {
        self.places_max
    }

    /// Waits until all places are free, which is when every connection has ended.
    pub(crate) async fn all_left(&self) {
        // An error would mean that the semaphore is closed, which nobody does.
        drop(self.places.acquire_many(self.places_max).await);
    }

    /// Tells the engine of a new connection. `None`: the engine is gone.
    pub(crate) async fn open(&self, peer: Peer, identity: Option<Identity>) -> Option<FlowContext> {
        let connection = ConnectionKey(self.next.fetch_add(1, Ordering::Relaxed));
        let desk = Arc::new(FlowDesk::default());
        let credit = self.settings.flow_credit;
        let opened = Arrival::Opened { connection, peer, identity, desk: Arc::clone(&desk), credit };
        self.inbox.send(opened).await.ok()?;
        Some(FlowContext {
            connection,
            flow: FlowKey::CONTROL,
            desk,
            inbox: self.inbox.clone(),
            settings: Arc::clone(&self.settings),
            pace: Arc::new(Pace::new(self.settings.publish_rates)),
            telemetry: Arc::clone(&self.telemetry),
        })
    }
}
