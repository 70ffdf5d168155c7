//! One shard: a thread with a runtime of its own that holds sockets, links and engine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rivulet_core::ListenerKey;
use rivulet_core::input::OperatorCommand;
use rivulet_storage::{MemoryStore, Store};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::info;

use crate::access::AccessControl;
use crate::config::{Config, ListenerConfig};
use crate::durability::Durability;
use crate::engine::{Engine, INBOX_ARRIVALS_MAX};
use crate::flapping::Flapping;
use crate::link::{Entrance, LinkSettings};
use crate::shutdown::{self, Draining};
use crate::sys::SysTopics;
use crate::telemetry::Telemetry;
use crate::tls::OwnCertificates;
use crate::transport::TransportKind;
use crate::transport::quic::{HandshakeLimits, ListenError, QuicListener};
use crate::transport::tcp::{self, Layers};
use crate::{BoundListener, StartError, tls};

/// A listener that has its socket.
enum Listening {
    Quic(QuicListener),
    Tcp(TcpListener, Layers),
}

/// What a shard is started with.
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) own: Option<Arc<OwnCertificates>>,
    pub(crate) access: Arc<AccessControl>,
    pub(crate) telemetry: Arc<Telemetry>,
    /// The engine's ear: who speaks, and who listens.
    pub(crate) operator: mpsc::Sender<OperatorCommand>,
    pub(crate) commands: mpsc::Receiver<OperatorCommand>,
    /// Told the bound listeners, or why there is no broker.
    pub(crate) started: oneshot::Sender<Result<Vec<BoundListener>, StartError>>,
    /// Ends the shard when it is used or dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// Runs a shard on this thread until it is told to stop.
pub(crate) fn run(start: Start) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(start)),
        // Whoever started it and has gone away does not want to know.
        Err(error) => drop(start.started.send(Err(StartError::Runtime(error)))),
    }
}

async fn serve(start: Start) {
    let Start { config, own, access, telemetry, operator, commands, started, stop } = start;
    let (inbox, arrivals) = mpsc::channel(INBOX_ARRIVALS_MAX);
    let opened = match listen(&config, own.as_deref()).await {
        Ok(bound) => engine(&config, &access, &telemetry).map(|engine| (bound, engine)),
        Err(error) => Err(error),
    };
    let (bound, engine) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            // Whoever started it and has gone away does not want to know.
            drop(started.send(Err(error)));
            return;
        }
    };
    let running = tokio::spawn(engine.run(arrivals, commands));
    let entrance =
        Entrance::new(inbox, config.limits.connections_max, link_settings(&config), Arc::clone(&telemetry));
    let handshakes = HandshakeLimits { max: config.link.handshakes, timeout: config.link.handshake_timeout };
    let addresses = bound.iter().map(|(listener, _)| listener.clone()).collect();
    let mut endpoints = Vec::new();
    let mut listeners = JoinSet::new();
    for (bound, listening) in bound {
        info!(transport = %bound.transport, address = %bound.address, "listening");
        let (entrance, telemetry) = (entrance.clone(), Arc::clone(&telemetry));
        match listening {
            Listening::Quic(listener) => {
                endpoints.push(listener.endpoint());
                listeners.spawn(listener.accept(bound.key, handshakes, entrance, telemetry));
            }
            Listening::Tcp(listener, layers) => {
                listeners.spawn(tcp::accept(listener, bound.key, layers, entrance, telemetry));
            }
        }
    }
    if started.send(Ok(addresses)).is_ok() {
        // Used or dropped, both mean stop.
        drop(stop.await);
    }
    shutdown::drain(Draining { listeners, endpoints, entrance, operator }).await;
    running.abort();
}

fn engine(
    config: &Config,
    access: &Arc<AccessControl>,
    telemetry: &Arc<Telemetry>,
) -> Result<Engine, StartError> {
    let mut store = MemoryStore::new();
    let snapshot = store.load()?;
    Ok(Engine::new(
        config.limits.clone(),
        snapshot,
        Arc::clone(access),
        Durability::new(Box::new(store)),
        Arc::clone(telemetry),
        SysTopics::every(config.sys_interval),
        Flapping::new(config.link.flapping),
    ))
}

fn link_settings(config: &Config) -> LinkSettings {
    LinkSettings {
        maximum_packet_bytes: usize::try_from(config.limits.maximum_packet_bytes).unwrap_or(usize::MAX),
        flow_credit: config.link.flow_credit,
        write_timeout: config.link.write_timeout,
        publish_rates: config.link.publish_rates,
        connection_rates: config.link.connection_rates,
    }
}

/// Binds all listeners, or none: the first that cannot be bound ends it.
async fn listen(
    config: &Config,
    own: Option<&OwnCertificates>,
) -> Result<Vec<(BoundListener, Listening)>, StartError> {
    let mut bound = Vec::with_capacity(config.listeners.len());
    let handshakes = usize::try_from(config.link.handshakes).unwrap_or(Semaphore::MAX_PERMITS);
    let handshakes = Arc::new(Semaphore::new(handshakes));
    for (index, listener) in config.listeners.iter().enumerate() {
        let key = ListenerKey(u16::try_from(index).unwrap_or(u16::MAX));
        let (address, listening) = bind(listener, config, own, &handshakes).await?;
        bound.push((BoundListener { key, transport: listener.transport, address }, listening));
    }
    Ok(bound)
}

async fn bind(
    listener: &ListenerConfig,
    config: &Config,
    own: Option<&OwnCertificates>,
    handshakes: &Arc<Semaphore>,
) -> Result<(SocketAddr, Listening), StartError> {
    let (transport, address) = (listener.transport, listener.address);
    let socket = |source: io::Error| StartError::Listen { transport, address, source };
    let tls = match &listener.tls {
        Some(tls) => Some(tls::server_config(tls, own)?),
        None => None,
    };
    match (transport, tls) {
        (TransportKind::Quic, Some(tls)) => {
            let listener = QuicListener::listen(address, tls, &config.quic, config.link.handshakes);
            let listener = listener.map_err(|error| match error {
                ListenError::Socket(source) => socket(source),
                ListenError::Ciphers => StartError::Ciphers,
            })?;
            Ok((listener.address().map_err(socket)?, Listening::Quic(listener)))
        }
        (TransportKind::Quic, None) => Err(StartError::NoCertificates { address }),
        (
            TransportKind::Tcp
            | TransportKind::Tls
            | TransportKind::WebSocket
            | TransportKind::SecureWebSocket,
            tls,
        ) => {
            let layers = Layers {
                transport,
                has_proxy_header: listener.proxy_protocol,
                tls: tls.map(|tls| TlsAcceptor::from(Arc::new(tls))),
                websocket_path: listener.path.clone(),
                maximum_packet_bytes: link_settings(config).maximum_packet_bytes,
                handshake_timeout: config.link.handshake_timeout,
                handshakes: Arc::clone(handshakes),
            };
            let listener = tcp::listen(address).await.map_err(socket)?;
            Ok((listener.local_addr().map_err(socket)?, Listening::Tcp(listener, layers)))
        }
    }
}
