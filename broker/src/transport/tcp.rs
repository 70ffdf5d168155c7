//! TCP: one socket, one flow, with what may lie between the two: a PROXY header, TLS, WebSocket.
//!
//! ```text
//!  socket -> [ PROXY header ] -> [ TLS ] -> [ WebSocket ] -> flow
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rivulet_core::ListenerKey;
use rivulet_core::cause::NetworkLoss;
use rivulet_core::input::Identity;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::socket::{self, Socket};
use super::{Peer, TransportKind, proxy, websocket};
use crate::link::{Entrance, Place};
use crate::telemetry::Telemetry;
use crate::tls;

/// How long an accept loop waits after an error such as too many open files, before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many bytes a WebSocket frame may hold beyond the largest packet: clients put several packets into one.
const FRAME_BYTES_BEYOND_PACKET: usize = 64 * 1024;

/// What lies between a listener's sockets and their flows.
pub(crate) struct Layers {
    /// Which transport that makes.
    pub(crate) transport: TransportKind,
    /// Whether a balancer says first on whose behalf it connects.
    pub(crate) has_proxy_header: bool,
    /// Certificates, for transports that have them.
    pub(crate) tls: Option<TlsAcceptor>,
    /// The path that WebSocket clients ask for, for transports that have one.
    pub(crate) websocket_path: Option<String>,
    /// The largest packet that is taken.
    pub(crate) maximum_packet_bytes: usize,
    /// How long all of this may take.
    pub(crate) handshake_timeout: Duration,
    /// How many connections may be at it at one time, over all listeners.
    pub(crate) handshakes: Arc<Semaphore>,
}

/// Opens a listening socket.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Accepts connections for as long as the task lives. An error never ends it.
pub(crate) async fn accept(
    listener: TcpListener,
    key: ListenerKey,
    layers: Layers,
    entrance: Entrance,
    telemetry: Arc<Telemetry>,
) {
    let layers = Arc::new(layers);
    let mut failures: u64 = 0;
    loop {
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                failures += 1;
                // Once per pause at most: the pause bounds how often this is logged.
                warn!(%error, failures, "cannot accept TCP connections, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failures = 0;
        let peer = Peer { transport: layers.transport, listener: key, address };
        // Behind a balancer all have its address, until they have said whose they are.
        if !layers.has_proxy_header {
            if !entrance.has_room_for(&peer) {
                entrance.refused_for_rate(&peer);
                continue;
            }
            entrance.count_arrival_from(&peer);
            entrance.count_arrival();
        }
        let Some(place) = entrance.place() else {
            telemetry.refused(&peer, entrance.places_max());
            continue;
        };
        let (layers, entrance, telemetry) = (Arc::clone(&layers), entrance.clone(), Arc::clone(&telemetry));
        tokio::spawn(serve(socket, peer, place, layers, entrance, telemetry));
    }
}

async fn serve(
    mut socket: TcpStream,
    mut peer: Peer,
    _place: Place,
    layers: Arc<Layers>,
    entrance: Entrance,
    telemetry: Arc<Telemetry>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        debug!(peer = %peer.address, %error, "cannot turn off Nagle's algorithm"); // gone already, as reading will show
    }
    if layers.are_none() {
        let Some(context) = entrance.open(peer, None).await else {
            return;
        };
        let (read_half, write_half) = socket.split();
        return socket::serve_halves(read_half, write_half, &context).await;
    }
    let Ok(handshake) = Arc::clone(&layers.handshakes).try_acquire_owned() else {
        return telemetry.refused(&peer, entrance.places_max());
    };
    let put_on =
        tokio::time::timeout(layers.handshake_timeout, layers.put_on(socket, &mut peer, &entrance)).await;
    drop(handshake);
    match put_on.unwrap_or(Err(NetworkLoss::TimedOut)) {
        Ok((socket, identity)) => {
            if let Some(context) = entrance.open(peer, identity).await {
                socket::serve(socket, &context).await;
            }
        }
        Err(loss) => telemetry.handshake_failed(&peer, &loss),
    }
}

impl Layers {
    /// Whether the socket is the flow.
    fn are_none(&self) -> bool {
        !self.has_proxy_header && self.tls.is_none() && self.websocket_path.is_none()
    }

    /// Goes through the layers from the socket on. The peer's address becomes that of the PROXY header.
    async fn put_on(
        &self,
        mut socket: TcpStream,
        peer: &mut Peer,
        entrance: &Entrance,
    ) -> Result<(Box<dyn Socket>, Option<Identity>), NetworkLoss> {
        if self.has_proxy_header {
            let named = proxy::read_header(&mut socket).await.map_err(reset)?;
            // Without a name it is the balancer itself, which asks whether the broker is there.
            if let Some(named) = named {
                peer.address = named;
                if !entrance.has_room_for(peer) {
                    entrance.refused_for_rate(peer);
                    return Err(NetworkLoss::Reset("connections come faster than their rate".to_owned()));
                }
                entrance.count_arrival_from(peer);
                entrance.count_arrival();
            }
        }
        let Some(acceptor) = &self.tls else {
            return Ok((self.upgrade(socket).await?, None));
        };
        let encrypted = acceptor.accept(socket).await.map_err(|error| socket::loss(&error))?;
        let identity = tls::identity(encrypted.get_ref().1.peer_certificates()).map_err(reset)?;
        Ok((self.upgrade(encrypted).await?, identity))
    }

    async fn upgrade(&self, socket: impl Socket + 'static) -> Result<Box<dyn Socket>, NetworkLoss> {
        let Some(path) = &self.websocket_path else {
            return Ok(Box::new(socket));
        };
        let frame_bytes_max = self.maximum_packet_bytes.saturating_add(FRAME_BYTES_BEYOND_PACKET);
        Ok(Box::new(websocket::accept(socket, path, frame_bytes_max).await.map_err(reset)?))
    }
}

fn reset(error: impl std::error::Error) -> NetworkLoss {
    NetworkLoss::Reset(error.to_string())
}
