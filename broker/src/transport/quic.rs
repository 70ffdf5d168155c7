//! QUIC: UDP socket, endpoint, accept loop, and the limits that hold before a handshake.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use rivulet_core::ListenerKey;
use tokio::sync::Semaphore;

use super::{Peer, TransportKind};
use crate::config::QuicConfig;
use crate::link::Entrance;
use crate::telemetry::Telemetry;
use connection::Admission;

mod close;
mod connection;
mod stream;

/// Bytes that one stream may be ahead of its reader. Quinn's default lets latency grow to seconds behind a slow reader.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes that all streams of a connection together may be ahead of their readers.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one connection that are written and not acknowledged.
const SEND_WINDOW_BYTES: u64 = 1024 * 1024;

/// Bidirectional streams that a client may have open. NanoMQ's client opens five at once and hangs with fewer.
const BIDIRECTIONAL_STREAMS_MAX: u32 = 16;

/// Unidirectional streams that a client may have open.
const UNIDIRECTIONAL_STREAMS_MAX: u32 = 16;

/// Bytes kept for a handshake that nobody has looked at yet, and for all of them. An Initial fits a datagram or two.
const INCOMING_BYTES_MAX: u64 = 16 * 1024;
const ALL_INCOMING_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Bytes asked of the kernel for the socket's queues. It may grant less, which costs datagrams under load.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A bound listener.
#[derive(Debug)]
pub(crate) struct QuicListener {
    endpoint: Endpoint,
}

/// What can go wrong with a socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The certificates.
    #[error("TLS configuration without the ciphers that QUIC begins with")]
    Ciphers,
}

impl QuicListener {
    /// Binds a socket. Needs the runtime that will drive it.
    pub(crate) fn listen(
        address: SocketAddr,
        tls: rustls::ServerConfig,
        settings: &QuicConfig,
        handshakes_max: u32,
    ) -> Result<Self, ListenError> {
        let crypto = QuicServerConfig::try_from(tls).map_err(|_| ListenError::Ciphers)?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(Arc::new(transport_config(settings)))
            .max_incoming(usize::try_from(handshakes_max).unwrap_or(usize::MAX))
            .incoming_buffer_size(INCOMING_BYTES_MAX)
            .incoming_buffer_size_total(ALL_INCOMING_BYTES_MAX);
        let socket = bind(address)?;
        let endpoint =
            Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))?;
        Ok(Self { endpoint })
    }

    /// The address that it is bound to.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The endpoint, for its end.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Accepts connections, one task for each, until the endpoint is closed.
    pub(crate) async fn accept(
        self,
        key: ListenerKey,
        limits: HandshakeLimits,
        entrance: Entrance,
        telemetry: Arc<Telemetry>,
    ) {
        let handshakes =
            Arc::new(Semaphore::new(usize::try_from(limits.max).unwrap_or(Semaphore::MAX_PERMITS)));
        while let Some(incoming) = self.endpoint.accept().await {
            let peer =
                Peer { transport: TransportKind::Quic, listener: key, address: incoming.remote_address() };
            let under_way =
                usize::try_from(limits.max).unwrap_or(usize::MAX) - handshakes.available_permits();
            let is_proven = incoming.remote_address_validated();
            let has_room = entrance.has_room_for(&peer);
            if !is_proven && (is_loaded(under_way, limits.max) || !has_room) {
                prove_address(incoming);
                continue;
            }
            if !has_room {
                entrance.refused_for_rate(&peer);
                incoming.refuse();
                continue;
            }
            entrance.count_arrival();
            if is_proven {
                entrance.count_arrival_from(&peer);
            }
            let handshake = Arc::clone(&handshakes).try_acquire_owned();
            let (Ok(handshake), Some(place)) = (handshake, entrance.place()) else {
                telemetry.refused(&peer, entrance.places_max());
                incoming.refuse();
                continue;
            };
            let admission = Admission {
                peer,
                is_proven,
                place,
                handshake,
                handshake_timeout: limits.timeout,
                entrance: entrance.clone(),
                telemetry: Arc::clone(&telemetry),
            };
            tokio::spawn(connection::serve(incoming, admission));
        }
    }
}

/// Bounds of what has not proven who it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandshakeLimits {
    /// In progress at one time.
    pub(crate) max: u32,
    /// For each.
    pub(crate) timeout: std::time::Duration,
}

/// Whether so many handshakes are under way that an address must be proven first.
fn is_loaded(under_way: usize, max: u32) -> bool {
    under_way >= usize::try_from(max / 2).unwrap_or(usize::MAX)
}

/// Sends the client back with a token, which costs us nothing to remember.
fn prove_address(incoming: Incoming) {
    if let Err(error) = incoming.retry() {
        error.into_incoming().refuse();
    }
}

fn transport_config(settings: &QuicConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    // A duration that QUIC cannot write on the wire is beyond any that the configuration allows.
    let idle = quinn::IdleTimeout::try_from(settings.idle_timeout).ok();
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDIRECTIONAL_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(UNIDIRECTIONAL_STREAMS_MAX))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(idle)
        .keep_alive_interval(Some(settings.keep_alive));
    transport
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let buffers = socket2::SockRef::from(&socket);
    let asked = buffers
        .set_recv_buffer_size(SOCKET_BUFFER_BYTES)
        .and_then(|()| buffers.set_send_buffer_size(SOCKET_BUFFER_BYTES));
    if let Err(error) = asked {
        tracing::debug!(%address, %error, "the kernel grants no larger UDP buffers");
    }
    Ok(socket)
}
