//! The bytes of one connection over each transport. Knows no MQTT.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::broker::{self, UnderTest};
use crate::scene::Transport;
use crate::websocket::{FINAL, WebSocket, opcode};

/// Longest wait for a connection, and for its end after the last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes asked for in one read.
pub(crate) const READ_BYTES: usize = 4096;

/// TCP, or TLS over it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// One connection to the broker under test.
pub(crate) enum Wire {
    Socket(Box<dyn Socket>),
    WebSocket(WebSocket),
    /// The first bidirectional stream carries MQTT.
    Quic {
        connection: quinn::Connection,
        send: quinn::SendStream,
        receive: quinn::RecvStream,
    },
}

impl Wire {
    pub(crate) async fn open(transport: Transport) -> Self {
        let opening = async {
            match transport {
                Transport::Tcp | Transport::Tls => Self::Socket(socket(transport).await),
                Transport::WebSocket | Transport::SecureWebSocket => {
                    Self::WebSocket(WebSocket::open(socket(transport).await).await)
                }
                Transport::Quic => Self::quic(broker::under_test()).await,
            }
        };
        tokio::time::timeout(PATIENCE, opening).await.expect("the broker takes a connection in time")
    }

    async fn quic(under_test: &UnderTest) -> Self {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a free UDP port");
        let (address, config) = (under_test.address(Transport::Quic), under_test.quic_client());
        let connecting = endpoint
            .connect_with(config, address, "localhost")
            .expect("an address and a name that are valid");
        let connection = connecting.await.expect("the broker completes the handshake");
        let (send, receive) = connection.open_bi().await.expect("the broker grants a stream");
        Self::Quic { connection, send, receive }
    }

    /// Writes all of it, over WebSocket in one frame. An error means that the broker has closed, which the next read
    /// will show.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let written = match self {
            Self::Socket(socket) => socket.write_all(bytes).await.is_ok() && socket.flush().await.is_ok(),
            Self::WebSocket(socket) => socket.send(FINAL | opcode::BINARY, bytes).await,
            Self::Quic { send, .. } => send.write_all(bytes).await.is_ok(),
        };
        if !written {
            tokio::task::yield_now().await; // nothing to do here: the test looks at what it reads
        }
    }

    /// Reads some bytes to the end of `buffer`. False: the broker has closed.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> bool {
        let mut bytes = [0; READ_BYTES];
        let count = match self {
            Self::Socket(socket) => socket.read(&mut bytes).await.unwrap_or(0),
            Self::WebSocket(socket) => return socket.read(buffer).await,
            Self::Quic { receive, .. } => receive.read(&mut bytes).await.ok().flatten().unwrap_or(0),
        };
        buffer.extend(&bytes[..count]);
        count > 0
    }

    /// Waits until not only the last byte was read, but the network connection is gone.
    pub(crate) async fn closed(&self) {
        match self {
            Self::Socket(_) | Self::WebSocket(_) => {} // the read that brought nothing was the end
            Self::Quic { connection, .. } => {
                let closing = tokio::time::timeout(PATIENCE, connection.closed());
                closing.await.expect("the broker closes the connection");
            }
        }
    }

    /// Ends the connection as if the network had failed: no goodbye of MQTT.
    pub(crate) fn abort(self) {
        match self {
            Self::Socket(_) | Self::WebSocket(_) => {}
            Self::Quic { connection, .. } => connection.close(0u8.into(), b""),
        }
    }

    /// The WebSocket, for tests of its frames.
    pub(crate) fn websocket(&mut self) -> &mut WebSocket {
        match self {
            Self::WebSocket(socket) => socket,
            Self::Socket(_) | Self::Quic { .. } => panic!("this test is about WebSocket"),
        }
    }
}

/// A connection up to TCP, or TLS if the transport has it.
pub(crate) async fn socket(transport: Transport) -> Box<dyn Socket> {
    let under_test = broker::under_test();
    let stream = tcp(under_test.address(transport)).await;
    match transport {
        Transport::Tcp | Transport::WebSocket => Box::new(stream),
        Transport::Tls | Transport::SecureWebSocket => {
            let name = ServerName::try_from("localhost").expect("a name");
            let connecting = TlsConnector::from(Arc::clone(under_test.tls_client())).connect(name, stream);
            Box::new(connecting.await.expect("the broker completes the handshake"))
        }
        Transport::Quic => panic!("QUIC has no socket of its own"),
    }
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the broker listens");
    stream.set_nodelay(true).expect("a connected socket takes options");
    stream
}
