//! What can be wrong with a message, in words.

use std::fmt;
use std::time::Duration;

use crate::device::DeviceName;
use crate::payload::{Payload, Sequence};

/// How many faults are kept in words. All are counted; the first ones tell the most.
pub const FAULTS_KEPT_MAX: usize = 10;

/// Which message a fault is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// Whose message.
    pub device: DeviceName,
    /// Which one.
    pub sequence: Sequence,
    /// What it tells: quantity, station and hour.
    pub reading: String,
}

impl Subject {
    /// The message that a payload says it is.
    pub fn of_payload(device: &DeviceName, payload: &Payload<'_>) -> Self {
        let reading = format!("{} of {} at {}", payload.quantity.as_str(), payload.station, payload.hour);
        Self { device: device.clone(), sequence: payload.sequence, reading }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} message {} ({})", self.device, self.sequence, self.reading)
    }
}

/// One thing that went wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Sent, perhaps acknowledged, and never received.
    #[error(
        "lost: {subject}, sent {:.3} s into the run, {}, never received",
        sent_at.as_secs_f64(),
        if *acknowledged { "acknowledged" } else { "not acknowledged" }
    )]
    Lost {
        /// Which message.
        subject: Subject,
        /// When it was sent, since the start of the run.
        sent_at: Duration,
        /// Whether the broker has taken it over. If so, the loss is the broker's.
        acknowledged: bool,
    },
    /// Received by the subscriber and never answered by PUBACK.
    #[error("unacknowledged: {subject}")]
    Unacknowledged {
        /// Which message.
        subject: Subject,
    },
    /// Not taken by the broker.
    #[error("refused: {subject}: {why}")]
    Refused {
        /// Which message.
        subject: Subject,
        /// What the answer was.
        why: String,
    },
    /// The content is not what it should be.
    #[error("wrong value: {subject}: {why}")]
    Wrong {
        /// Which message.
        subject: Subject,
        /// What differs.
        why: String,
    },
    /// A later message of the same topic came first.
    #[error("reordered: {subject} came in after message {after} of the same topic")]
    Reordered {
        /// Which message.
        subject: Subject,
        /// Which one came before it.
        after: Sequence,
    },
    /// No device sent it.
    #[error("unexpected message on {topic}: {why}")]
    Unexpected {
        /// Where it came in.
        topic: String,
        /// Why it cannot be one of ours.
        why: String,
    },
    /// A device could not connect, or not stay connected.
    #[error("device {device}: {why}")]
    Device {
        /// Which.
        device: DeviceName,
        /// What it met.
        why: String,
    },
    /// The subscriber could not stay connected.
    #[error("subscriber: {why}")]
    Subscriber {
        /// What it met.
        why: String,
    },
}

/// The first faults in words, and the count of all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    kept: Vec<Fault>,
    count: u64,
}

impl Faults {
    /// One more.
    pub fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.kept.len() < FAULTS_KEPT_MAX {
            self.kept.push(fault);
        }
    }

    /// All of these, after what is here.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.add(fault));
    }

    /// All of `later`, after what is here.
    pub fn append(&mut self, later: Self) {
        self.count += later.count;
        let room = FAULTS_KEPT_MAX - self.kept.len();
        self.kept.extend(later.kept.into_iter().take(room));
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first ones, [`FAULTS_KEPT_MAX`] at most.
    pub fn kept(&self) -> &[Fault] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_counted_and_the_first_ones_kept() {
        let fault = |n: usize| Fault::Subscriber { why: n.to_string() };
        let mut faults = Faults::default();
        let mut later = Faults::default();
        (0..FAULTS_KEPT_MAX - 1).for_each(|n| faults.add(fault(n)));
        (100..200).for_each(|n| later.add(fault(n)));
        faults.append(later);
        assert_eq!(faults.count(), FAULTS_KEPT_MAX as u64 - 1 + 100);
        assert_eq!(faults.kept().len(), FAULTS_KEPT_MAX);
        assert_eq!(faults.kept().last(), Some(&fault(100)));
    }
}
