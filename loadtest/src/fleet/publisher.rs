//! Devices: how they connect, and how one of them replays.

use std::iter::Enumerate;
use std::slice::Iter;
use std::sync::Arc;
use std::time::Duration;

use rivulet_client::{Acknowledgement, Client, Endpoint, Options, QoS, message};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::{Fleet, FleetError, SharedLedger, end, reconnects};
use crate::clock::Clock;
use crate::device::{Device, DeviceIndex, DeviceName};
use crate::payload::{Payload, Sequence};
use crate::percentiles::Durations;
use crate::readings::{ReadingId, Readings};

/// How many devices connect at once: fewer than a broker takes before it asks for proof of address.
const HANDSHAKES_AT_ONCE: usize = 64;

/// How many devices share a UDP socket, so that a large fleet fits into the usual limit of open files.
const DEVICES_PER_SOCKET: usize = 32;

/// How many messages of one device may wait for their acknowledgement beyond those that its client has under way.
const ACKNOWLEDGEMENTS_WAITING_MAX: usize = 64;

/// A device that is connected.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    client: Client,
    device: DeviceIndex,
    name: DeviceName,
}

/// How it went with one device.
#[derive(Debug)]
pub(super) enum Connected {
    /// It is connected.
    Yes {
        /// The device.
        publisher: Publisher,
        /// How long QUIC, TLS, CONNECT and CONNACK took together.
        took: Duration,
    },
    /// It is not.
    No {
        /// Which.
        device: DeviceName,
        /// Why not.
        why: String,
    },
    /// There is no further device.
    All,
}

/// Devices that connect, some of them at once.
#[derive(Debug)]
pub(super) struct Connecting<'a> {
    fleet: &'a Fleet<'a>,
    waiting: Enumerate<Iter<'a, Device>>,
    clock: Clock,
    endpoint: Endpoint,
    under_way: JoinSet<Connected>,
}

impl<'a> Connecting<'a> {
    /// Nothing is done before [`Connecting::next`].
    pub(super) fn new(fleet: &'a Fleet<'a>, devices: &'a [Device], clock: Clock) -> Self {
        Self {
            fleet,
            waiting: devices.iter().enumerate(),
            clock,
            endpoint: Endpoint::new(),
            under_way: JoinSet::new(),
        }
    }

    /// The next device that is connected, or cannot be. Loses nothing if it is dropped half-way.
    pub(super) async fn next(&mut self) -> Result<Connected, FleetError> {
        while self.under_way.len() < HANDSHAKES_AT_ONCE
            && let Some((index, device)) = self.waiting.next()
        {
            if index % DEVICES_PER_SOCKET == 0 {
                self.endpoint = Endpoint::new();
            }
            let options = self.fleet.options(device.name().as_str())?.endpoint(self.endpoint.clone());
            self.under_way.spawn(connect(options, DeviceIndex(index), device.name().clone(), self.clock));
        }
        match self.under_way.join_next().await {
            None => Ok(Connected::All),
            Some(Ok(connected)) => Ok(connected),
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

async fn connect(options: Options, device: DeviceIndex, name: DeviceName, clock: Clock) -> Connected {
    let began = clock.elapsed();
    match Client::connect(options).await {
        // What comes to a device is of no interest, so its messages are dropped.
        Ok((client, _)) => {
            Connected::Yes { publisher: Publisher { client, device, name }, took: clock.elapsed() - began }
        }
        Err(error) => Connected::No { device: name, why: error.to_string() },
    }
}

impl Publisher {
    /// Which device of the fleet it is.
    pub(super) fn device(&self) -> DeviceIndex {
        self.device
    }

    /// How often its connection was lost and made again.
    pub(super) fn reconnects(&self) -> u64 {
        reconnects(&self.client.state())
    }

    /// Why it is not connected, if it is not.
    pub(super) fn end(&self) -> Option<String> {
        end(&self.client.state())
    }

    /// Says goodbye.
    pub(super) async fn disconnect(self) {
        self.client.disconnect().await;
    }

    /// Sends each reading when it is due, since the start of the run, and waits for the acknowledgements. The answer is by
    /// how much the readings were handed over too late.
    pub(super) async fn replay(
        self,
        plan: impl Iterator<Item = (Duration, ReadingId)>,
        readings: Arc<Readings>,
        ledger: SharedLedger,
    ) -> Durations {
        // Full: the device waits with its next message, and falls behind its schedule.
        let (waiting, acknowledgements) = mpsc::channel(ACKNOWLEDGEMENTS_WAITING_MAX);
        let sending = self.send(plan, &readings, &ledger, waiting);
        let (behind_schedule, ()) = tokio::join!(sending, self.acknowledge(acknowledgements, &ledger));
        behind_schedule
    }

    async fn send(
        &self,
        plan: impl Iterator<Item = (Duration, ReadingId)>,
        readings: &Readings,
        ledger: &SharedLedger,
        waiting: mpsc::Sender<(Sequence, Acknowledgement)>,
    ) -> Durations {
        let mut behind_schedule = Durations::default();
        for (due, id) in plan {
            sleep_until(ledger.clock.at(due)).await;
            let sent_at = ledger.clock.elapsed();
            behind_schedule.record(sent_at.saturating_sub(due));
            let sequence = ledger.with(|ledger| ledger.sent(self.device, id, sent_at));
            match self.publish(sequence, id, readings).await {
                Ok(acknowledgement) => {
                    if waiting.send((sequence, acknowledgement)).await.is_err() {
                        break;
                    }
                }
                Err(why) => {
                    ledger.with(|ledger| ledger.refused(self.device, sequence, why));
                    break;
                }
            }
        }
        behind_schedule
    }

    /// Hands one message over. An error means that nothing more can be sent.
    async fn publish(
        &self,
        sequence: Sequence,
        id: ReadingId,
        readings: &Readings,
    ) -> Result<Acknowledgement, String> {
        let reading = readings.reading(id).ok_or("the reading is of another table")?;
        let json =
            Payload::new(&self.name, sequence, reading).to_json().map_err(|error| error.to_string())?;
        let message = message(&self.name.topic(reading.quantity), json, QoS::AtLeastOnce);
        let message = message.map_err(|error| error.to_string())?;
        self.client.enqueue(message).await.map_err(|error| error.to_string())
    }

    /// Notes acknowledgements in the order of the messages, which is the order of PUBACK too [MQTT-4.6.0-2].
    async fn acknowledge(
        &self,
        mut acknowledgements: mpsc::Receiver<(Sequence, Acknowledgement)>,
        ledger: &SharedLedger,
    ) {
        while let Some((sequence, acknowledgement)) = acknowledgements.recv().await {
            let answer = acknowledgement.done().await;
            ledger.with(|ledger| match answer {
                Ok(_) => ledger.acknowledged(self.device, sequence),
                Err(error) => ledger.refused(self.device, sequence, error.to_string()),
            });
        }
    }
}
