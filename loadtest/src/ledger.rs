//! What was sent against what came back, message by message.
//!
//! ```text
//!   device ---- sent ----> [ ledger ] <---- received ---- subscriber
//!      '--- acknowledged -----^
//! ```
//!
//! A message is settled when it is both acknowledged and received; what is settled is forgotten but for its count, so
//! that memory is bounded by what is under way. Each device sends on one flow, so the messages of one topic come in
//! the order of their sequence numbers [MQTT-4.6.0-6]; QoS 1 may bring one twice (4.3.2), which is counted and no fault.
//!
//! Not here: clocks, sockets, tasks. Times are durations since the start of the run.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::device::{Device, DeviceIndex, DeviceName};
use crate::fault::{Fault, Faults, Subject};
use crate::payload::{Payload, Sequence};
use crate::percentiles::{Durations, Percentiles};
use crate::readings::{Quantity, Reading, ReadingId, Readings};

/// Accounts for all messages of one fleet.
#[derive(Debug)]
pub struct Ledger {
    /// Decides which values are right.
    truth: Arc<Readings>,
    accounts: Vec<Account>,
    by_name: HashMap<DeviceName, DeviceIndex>,
    tally: Tally,
    faults: Faults,
    latency: Durations,
}

/// One device's messages.
#[derive(Debug)]
struct Account {
    name: DeviceName,
    /// Sequence number of the first of `open`. All before it are settled.
    first_open: Sequence,
    open: VecDeque<Entry>,
    /// The highest sequence number that came in on each topic.
    highest_received: [Option<Sequence>; Quantity::ALL.len()],
}

/// One message.
#[derive(Clone, Copy, Debug)]
struct Entry {
    reading: ReadingId,
    sent_at: Duration,
    acknowledged: bool,
    received: bool,
}

impl Entry {
    const fn is_settled(&self) -> bool {
        self.acknowledged && self.received
    }
}

/// How many messages had which fate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Handed to a device's connection.
    pub sent: u64,
    /// Answered by PUBACK.
    pub acknowledged: u64,
    /// Came in at the subscriber, each counted once.
    pub received: u64,
    /// Sent and not received. Known at the end.
    pub lost: u64,
    /// Sent and not answered. Known at the end.
    pub unacknowledged: u64,
    /// Answered by a PUBACK that refuses, or not sent for a reason of our own.
    pub refused: u64,
    /// Came in more often than once; QoS 1 allows it.
    pub duplicated: u64,
    /// Came in after a later one of the same topic.
    pub reordered: u64,
    /// Came in with another content than was sent or than the file has.
    pub wrong: u64,
    /// Came in and was never sent.
    pub unexpected: u64,
}

/// What a ledger tells at the end.
#[derive(Debug)]
pub struct Balance {
    /// The counts, complete.
    pub tally: Tally,
    /// The first faults, in words, and how many there were.
    pub faults: Faults,
    /// From sent to first received.
    pub latency: Option<Percentiles>,
}

impl Ledger {
    /// An empty ledger for these devices. `truth` decides which values are right.
    pub fn new(truth: Arc<Readings>, devices: &[Device]) -> Self {
        let accounts: Vec<_> = devices.iter().map(|device| Account::new(device.name().clone())).collect();
        let by_name =
            accounts.iter().enumerate().map(|(index, account)| (account.name.clone(), DeviceIndex(index)));
        Self {
            by_name: by_name.collect(),
            truth,
            accounts,
            tally: Tally::default(),
            faults: Faults::default(),
            latency: Durations::default(),
        }
    }

    /// A device is about to send this reading; the answer is the message's number. To be called before the message
    /// leaves, so that it cannot come in unknown.
    pub fn sent(&mut self, device: DeviceIndex, reading: ReadingId, at: Duration) -> Sequence {
        self.tally.sent += 1;
        let account = &mut self.accounts[device.0];
        account.open.push_back(Entry { reading, sent_at: at, acknowledged: false, received: false });
        account.last_sent()
    }

    /// The broker has taken over a message. Harmless for one that is settled.
    pub fn acknowledged(&mut self, device: DeviceIndex, sequence: Sequence) {
        let account = &mut self.accounts[device.0];
        if let Some(entry) = account.open_entry(sequence)
            && !entry.acknowledged
        {
            entry.acknowledged = true;
            self.tally.acknowledged += 1;
            account.forget_settled();
        }
    }

    /// The broker has not taken over a message, and says why.
    pub fn refused(&mut self, device: DeviceIndex, sequence: Sequence, why: String) {
        let account = &mut self.accounts[device.0];
        let name = account.name.clone();
        if let Some(entry) = account.open_entry(sequence)
            && !entry.is_settled()
        {
            // Nobody promised to deliver it, so it is neither awaited nor lost.
            entry.acknowledged = true;
            entry.received = true;
            let reading = entry.reading;
            account.forget_settled();
            self.tally.refused += 1;
            self.faults.add(Fault::Refused { subject: subject(&self.truth, name, sequence, reading), why });
        }
    }

    /// The subscriber has a message.
    pub fn received(&mut self, topic: &str, payload: &[u8], at: Duration) {
        let payload = match Payload::parse(payload) {
            Ok(payload) => payload,
            Err(error) => return self.unexpected(topic, format!("its payload is no reading: {error}")),
        };
        let Some((name, &device)) = self.by_name.get_key_value(payload.device) else {
            return self.unexpected(topic, format!("there is no device {:?}", payload.device));
        };
        let name = name.clone();
        if topic != name.topic(payload.quantity) {
            return self.wrong(&name, &payload, format!("came in on {topic}"));
        }
        let account = &mut self.accounts[device.0];
        if payload.sequence >= account.next_sequence() {
            let why = format!("{name} has not sent its message {} yet", payload.sequence);
            return self.unexpected(topic, why);
        }
        let entry = account.open_entry(payload.sequence).filter(|entry| !entry.received).copied();
        if let Some(why) = difference(&self.truth, &payload, entry) {
            self.wrong(&name, &payload, why);
        }
        match entry {
            None => self.tally.duplicated += 1,
            Some(entry) => self.first_received(device, &payload, entry, at),
        }
    }

    /// How many messages are not settled.
    pub fn open(&self) -> usize {
        self.accounts
            .iter()
            .map(|account| account.open.iter().filter(|entry| !entry.is_settled()).count())
            .sum()
    }

    /// The counts so far: without those that only the end can tell.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The latency so far.
    pub fn latency(&self) -> Option<Percentiles> {
        self.latency.percentiles()
    }

    /// The account of a run whose last message has come: what is not received is lost, what is not acknowledged stays so.
    pub fn balance(&self) -> Balance {
        let mut tally = self.tally;
        let mut faults = self.faults.clone();
        for account in &self.accounts {
            for (offset, entry) in account.open.iter().enumerate().filter(|(_, entry)| !entry.is_settled()) {
                let sequence = Sequence(account.first_open.0 + offset as u64);
                let subject = subject(&self.truth, account.name.clone(), sequence, entry.reading);
                tally.unacknowledged += u64::from(!entry.acknowledged);
                tally.lost += u64::from(!entry.received);
                faults.add(match entry.received {
                    true => Fault::Unacknowledged { subject },
                    false => {
                        Fault::Lost { subject, sent_at: entry.sent_at, acknowledged: entry.acknowledged }
                    }
                });
            }
        }
        Balance { tally, faults, latency: self.latency.percentiles() }
    }

    fn first_received(&mut self, device: DeviceIndex, payload: &Payload<'_>, entry: Entry, at: Duration) {
        self.tally.received += 1;
        self.latency.record(at.saturating_sub(entry.sent_at));
        let account = &mut self.accounts[device.0];
        if let Some(entry) = account.open_entry(payload.sequence) {
            entry.received = true;
        }
        account.forget_settled();
        let highest = &mut account.highest_received[payload.quantity as usize];
        if let Some(after) = highest.filter(|highest| *highest > payload.sequence) {
            let subject = subject(&self.truth, account.name.clone(), payload.sequence, entry.reading);
            self.tally.reordered += 1;
            self.faults.add(Fault::Reordered { subject, after });
        }
        *highest = (*highest).max(Some(payload.sequence));
    }

    fn wrong(&mut self, device: &DeviceName, payload: &Payload<'_>, why: String) {
        self.tally.wrong += 1;
        self.faults.add(Fault::Wrong { subject: Subject::of_payload(device, payload), why });
    }

    fn unexpected(&mut self, topic: &str, why: String) {
        self.tally.unexpected += 1;
        self.faults.add(Fault::Unexpected { topic: topic.to_owned(), why });
    }
}

impl Account {
    fn new(name: DeviceName) -> Self {
        Self { name, first_open: Sequence(0), open: VecDeque::new(), highest_received: Default::default() }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.first_open.0 + self.open.len() as u64)
    }

    /// Of a device that has sent at least one message since all were settled.
    fn last_sent(&self) -> Sequence {
        Sequence(self.next_sequence().0 - 1)
    }

    /// `None`: settled and forgotten, or never sent.
    fn open_entry(&mut self, sequence: Sequence) -> Option<&mut Entry> {
        let offset = sequence.0.checked_sub(self.first_open.0)?;
        self.open.get_mut(usize::try_from(offset).ok()?)
    }

    fn forget_settled(&mut self) {
        while self.open.front().is_some_and(Entry::is_settled) {
            self.open.pop_front();
            self.first_open.0 += 1;
        }
    }
}

/// What a payload says otherwise than the file, or than what was sent under its number, if that is still known.
fn difference(truth: &Readings, payload: &Payload<'_>, entry: Option<Entry>) -> Option<String> {
    let Some((id, reading)) = truth.find(payload.station, payload.hour, payload.quantity) else {
        return Some("the file has no such reading".to_owned());
    };
    if reading.value.get() != payload.value.get() {
        return Some(format!("it says {}, the file says {}", payload.value, reading.value));
    }
    let sent = entry.filter(|entry| entry.reading != id)?;
    Some(match truth.reading(sent.reading) {
        Some(Reading { station, hour, quantity, .. }) => {
            format!("sent under this number was {} of {station} at {hour}", quantity.as_str())
        }
        None => "another reading was sent under this number".to_owned(),
    })
}

fn subject(truth: &Readings, device: DeviceName, sequence: Sequence, reading: ReadingId) -> Subject {
    Subject { device, sequence, reading: truth.reading(reading).map(Reading::to_string).unwrap_or_default() }
}

#[cfg(test)]
mod tests;
