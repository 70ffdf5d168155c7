//! The subscriber: sees all that the fleet publishes, and enters it into the ledger.

use std::time::Duration;

use rivulet_client::{Client, Messages, QoS, ReasonCode, subscription};
use tokio::task::JoinHandle;

use super::{Fleet, FleetError, SharedLedger, end, reconnects};
use crate::device::FLEET_FILTER;

/// Its client identifier, and the common name of its certificate.
const SUBSCRIBER: &str = "subscriber";

/// How many messages are entered at once.
const ENTRIES_MAX: usize = 256;

/// The subscriber, connected and subscribed.
#[derive(Debug)]
pub(super) struct Subscriber {
    client: Client,
    collecting: JoinHandle<()>,
    handshake: Duration,
}

impl Subscriber {
    /// Connects and subscribes to all that the fleet publishes, at QoS 1.
    pub(super) async fn connect(fleet: &Fleet<'_>, ledger: SharedLedger) -> Result<Self, FleetError> {
        let options = fleet.options(SUBSCRIBER)?;
        let began = ledger.clock.elapsed();
        let (client, messages) = Client::connect(options).await?;
        let handshake = ledger.clock.elapsed() - began;
        let collecting = tokio::spawn(collect(messages, ledger));
        let granted = client.subscribe([subscription(FLEET_FILTER, QoS::AtLeastOnce)?]).await?;
        if granted != [ReasonCode::GrantedQoS1] {
            return Err(FleetError::NotGranted { granted });
        }
        Ok(Self { client, collecting, handshake })
    }

    /// How long QUIC, TLS, CONNECT and CONNACK took together.
    pub(super) fn handshake(&self) -> Duration {
        self.handshake
    }

    /// How often its connection was lost and made again.
    pub(super) fn reconnects(&self) -> u64 {
        reconnects(&self.client.state())
    }

    /// Why it is not connected, if it is not.
    pub(super) fn end(&self) -> Option<String> {
        end(&self.client.state())
    }

    /// Says goodbye, and enters what has come before.
    pub(super) async fn disconnect(self) {
        self.client.disconnect().await;
        if let Err(panicked) = self.collecting.await {
            std::panic::resume_unwind(panicked.into_panic());
        }
    }
}

async fn collect(mut messages: Messages, ledger: SharedLedger) {
    let mut received = Vec::with_capacity(ENTRIES_MAX);
    while messages.recv_many(&mut received, ENTRIES_MAX).await > 0 {
        let at = ledger.clock.elapsed();
        ledger.with(|ledger| {
            for received in received.drain(..) {
                ledger.received(received.message.topic.as_str(), &received.message.payload, at);
            }
        });
    }
}
