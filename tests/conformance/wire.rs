//! The bytes of one connection over each transport. Knows no MQTT.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::{self, Quic};
use crate::scene::Transport;

/// Longest wait for a connection, and for its end after the last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes asked for in one read.
const READ_BYTES: usize = 4096;

/// One connection to the broker under test.
pub(crate) enum Wire {
    Tcp(TcpStream),
    /// The first bidirectional stream carries MQTT.
    Quic {
        endpoint: quinn::Endpoint,
        connection: quinn::Connection,
        send: quinn::SendStream,
        receive: quinn::RecvStream,
    },
}

impl Wire {
    pub(crate) async fn open(transport: Transport) -> Self {
        let opening = async {
            match transport {
                Transport::Tcp => Self::tcp(broker::under_test().tcp).await,
                Transport::Quic => {
                    Self::quic(broker::under_test().quic.as_ref().expect("QUIC is under test")).await
                }
            }
        };
        tokio::time::timeout(PATIENCE, opening).await.expect("the broker takes a connection in time")
    }

    async fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the broker listens on TCP");
        stream.set_nodelay(true).expect("a connected socket takes options");
        Self::Tcp(stream)
    }

    async fn quic(quic: &Quic) -> Self {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a free UDP port");
        let connecting = endpoint
            .connect_with(quic.client.clone(), quic.address, "localhost")
            .expect("an address and a name that are valid");
        let connection = connecting.await.expect("the broker completes the handshake");
        let (send, receive) = connection.open_bi().await.expect("the broker grants a stream");
        Self::Quic { endpoint, connection, send, receive }
    }

    /// Writes all of it. An error means that the broker has closed, which the next read will show.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let written = match self {
            Self::Tcp(stream) => stream.write_all(bytes).await.is_ok(),
            Self::Quic { send, .. } => send.write_all(bytes).await.is_ok(),
        };
        if !written {
            tokio::task::yield_now().await; // nothing to do here: the test looks at what it reads
        }
    }

    /// Reads some bytes to the end of `buffer`. 0: the broker has closed.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> usize {
        let mut bytes = [0; READ_BYTES];
        let count = match self {
            Self::Tcp(stream) => stream.read(&mut bytes).await.unwrap_or(0),
            Self::Quic { receive, .. } => receive.read(&mut bytes).await.ok().flatten().unwrap_or(0),
        };
        buffer.extend(&bytes[..count]);
        count
    }

    /// Waits until not only the last byte was read, but the network connection is gone.
    pub(crate) async fn closed(&self) {
        match self {
            Self::Tcp(_) => {} // a read of 0 bytes was the end
            Self::Quic { connection, .. } => {
                tokio::time::timeout(PATIENCE, connection.closed())
                    .await
                    .expect("the broker closes the connection");
            }
        }
    }

    /// Ends the connection as if the network had failed: no goodbye of MQTT.
    pub(crate) async fn abort(self) {
        match self {
            Self::Tcp(stream) => drop(stream),
            Self::Quic { endpoint, connection, .. } => {
                connection.close(0u8.into(), b"");
                endpoint.wait_idle().await;
            }
        }
    }
}
