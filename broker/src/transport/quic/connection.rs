//! One QUIC connection: handshake, control flow, further streams, end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Incoming, RecvStream, SendStream};
use rivulet_core::CloseCause;
use rivulet_core::cause::NetworkLoss;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::close;
use super::stream::{StreamReader, StreamWriter, loss};
use crate::link::{self, Entrance, FlowContext, LinkEnd, Place};
use crate::telemetry::Telemetry;
use crate::tls;
use crate::transport::Peer;

/// What a connection is served with.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) peer: Peer,
    /// Whether its address was proven before the handshake, and so is counted.
    pub(super) is_proven: bool,
    pub(super) place: Place,
    /// Given back when the handshake is over.
    pub(super) handshake: OwnedSemaphorePermit,
    pub(super) handshake_timeout: Duration,
    pub(super) entrance: Entrance,
    pub(super) telemetry: Arc<Telemetry>,
}

/// Serves one connection from its first datagram to its end.
pub(super) async fn serve(incoming: Incoming, admission: Admission) {
    let Admission { peer, is_proven, place, handshake, handshake_timeout, entrance, telemetry } = admission;
    let connection = match shake_hands(incoming, handshake_timeout).await {
        Ok(connection) => connection,
        Err(loss) => {
            telemetry.handshake_failed(&peer, &loss);
            return;
        }
    };
    drop(handshake);
    if !is_proven {
        entrance.count_arrival_from(&peer);
    }
    let identity = match tls::peer_identity(&connection) {
        Ok(identity) => identity,
        Err(error) => {
            telemetry.handshake_failed(&peer, &NetworkLoss::Reset(error.to_string()));
            close::close_now(&connection, &CloseCause::Network(NetworkLoss::ClosedByPeer));
            return;
        }
    };
    let Some(context) = entrance.open(peer, identity).await else {
        close::close_now(&connection, &CloseCause::Drain);
        return;
    };
    serve_open(&connection, &context).await;
    drop(place);
}

async fn shake_hands(incoming: Incoming, bound: Duration) -> Result<Connection, NetworkLoss> {
    let connecting = incoming.accept().map_err(|error| loss(&error))?;
    match tokio::time::timeout(bound, connecting).await {
        Ok(done) => done.map_err(|error| loss(&error)),
        Err(_elapsed) => Err(NetworkLoss::TimedOut),
    }
}

/// Serves a connection that the engine knows. The core bounds the time until its first packet.
async fn serve_open(connection: &Connection, context: &FlowContext) {
    let opened = tokio::select! {
        // Streams come in the order of their identifiers: the first is the client's first.
        opened = connection.accept_bi() => opened,
        cause = context.closed() => {
            close::close_now(connection, &cause);
            return;
        }
    };
    let (mut send, mut receive): (SendStream, RecvStream) = match opened {
        Ok(control) => control,
        Err(error) => {
            context.lost(loss(&error)).await;
            return;
        }
    };
    let (mut reader, mut writer) = (StreamReader(&mut receive), StreamWriter(&mut send));
    let end = tokio::select! {
        biased;
        end = link::run(&mut reader, &mut writer, context) => end,
        never = refuse_streams(connection, context) => match never {},
    };
    match end {
        LinkEnd::Close(cause) => close::close_after_last_bytes(connection, &mut send, &cause).await,
        LinkEnd::Lost => close::close_now(connection, &CloseCause::Network(NetworkLoss::ClosedByPeer)),
    }
}

/// Turns away all streams but the control flow. The control flow notices when the connection ends.
async fn refuse_streams(connection: &Connection, context: &FlowContext) -> Infallible {
    loop {
        let (send, receive) = tokio::select! {
            both = connection.accept_bi() => match both {
                Ok((send, receive)) => (Some(send), receive),
                Err(_ended) => std::future::pending().await,
            },
            receive = connection.accept_uni() => match receive {
                Ok(receive) => (None, receive),
                Err(_ended) => std::future::pending().await,
            },
        };
        debug!(connection = context.connection.0, stream = %receive.id(), "data stream refused");
        refuse(send, receive);
    }
}

fn refuse(send: Option<SendStream>, mut receive: RecvStream) {
    // Errors mean that the stream has ended by itself.
    drop(receive.stop(close::flow_refused()));
    if let Some(mut send) = send {
        drop(send.reset(close::flow_refused()));
    }
}
