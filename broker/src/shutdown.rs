//! The end of a broker, in order: no new connections, a goodbye to each client, what is written arrives, then silence.

use std::time::Duration;

use quinn::{Endpoint, VarInt};
use rivulet_core::input::OperatorCommand;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::link::Entrance;

/// How long clients have to take their goodbye.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last datagrams of closed connections have to leave.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is to be ended.
pub(crate) struct Draining {
    /// The accept loops.
    pub(crate) listeners: JoinSet<()>,
    /// The QUIC endpoints.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Where connections come in, and know when all have left.
    pub(crate) entrance: Entrance,
    /// The engine's ear.
    pub(crate) operator: mpsc::Sender<OperatorCommand>,
}

/// Ends everything, within [`DRAIN_TIMEOUT`].
pub(crate) async fn drain(mut draining: Draining) {
    info!("draining: no new connections, clients are told");
    draining.listeners.abort_all();
    for endpoint in &draining.endpoints {
        endpoint.set_server_config(None);
    }
    let goodbye = async {
        // An engine that is gone has no clients left to tell.
        drop(draining.operator.send(OperatorCommand::Drain).await);
        draining.entrance.all_left().await;
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, goodbye).await.is_err() {
        warn!(seconds = DRAIN_TIMEOUT.as_secs(), "clients did not take their goodbye in time, closing");
    }
    for endpoint in &draining.endpoints {
        endpoint.close(VarInt::from_u32(0), b"");
        drop(tokio::time::timeout(IDLE_TIMEOUT, endpoint.wait_idle()).await);
    }
    info!("stopped");
}
