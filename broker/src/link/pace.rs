//! How fast one client may publish. Above it, the client is not read: nothing is lost, and the transport holds it back.

use std::sync::{Mutex, PoisonError};

use rivulet_protocol::packet::Publish;
use tokio::time::Instant;

use crate::clock;
use crate::rate::{Bucket, PublishRates, Rate};

/// What is left of its rates to one connection, on all of its flows together.
#[derive(Debug)]
pub(crate) struct Pace {
    messages: Option<(Rate, Mutex<Bucket>)>,
    bytes: Option<(Rate, Mutex<Bucket>)>,
}

impl Pace {
    /// With all that can be saved up.
    pub(crate) fn new(rates: PublishRates) -> Self {
        let full = |rate: Rate| (rate, Mutex::new(Bucket::full(clock::runtime_now())));
        Self { messages: rates.messages.map(full), bytes: rates.bytes.map(full) }
    }

    /// Counts a message. `false`: the next one has to wait.
    pub(crate) fn take(&self, publish: &Publish) -> bool {
        if self.messages.is_none() && self.bytes.is_none() {
            return true;
        }
        let now = clock::runtime_now();
        let take = |limit: &Option<(Rate, Mutex<Bucket>)>, amount: usize| {
            if let Some((rate, bucket)) = limit {
                bucket.lock().unwrap_or_else(PoisonError::into_inner).take(*rate, amount, now);
            }
        };
        take(&self.messages, 1);
        take(&self.bytes, publish.payload.len());
        self.ready_at(now).is_none()
    }

    /// Waits until the next message may come. `true`: it had to wait.
    pub(crate) async fn ready(&self) -> bool {
        let mut has_waited = false;
        while (self.messages.is_some() || self.bytes.is_some())
            && let Some(at) = self.ready_at(clock::runtime_now())
        {
            tokio::time::sleep_until(at).await;
            has_waited = true;
        }
        has_waited
    }

    /// When the next message may come. `None`: it may already.
    fn ready_at(&self, now: Instant) -> Option<Instant> {
        let wait = |limit: &Option<(Rate, Mutex<Bucket>)>| {
            let (rate, bucket) = limit.as_ref()?;
            Some(bucket.lock().unwrap_or_else(PoisonError::into_inner).wait(*rate, now))
        };
        let wait = wait(&self.messages).max(wait(&self.bytes))?;
        (!wait.is_zero()).then(|| now + wait)
    }
}
