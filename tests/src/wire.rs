//! The bytes of one connection, over each transport. Knows of MQTT where a packet ends, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Longest wait for anything that must come. A test that needs it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

const READ_BYTES: usize = 16 * 1024;

/// Room for what comes where there is to be little.
const READ_BYTES_MIN: u32 = 4 * 1024;

/// Little room for what comes on a QUIC connection.
pub fn with_little_room(mut config: quinn::ClientConfig) -> quinn::ClientConfig {
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(READ_BYTES_MIN.into());
    config.transport_config(std::sync::Arc::new(transport));
    config
}

/// One connection, and the bytes that have come and nobody has asked for.
#[derive(Debug)]
pub struct Wire {
    line: Line,
    received: Vec<u8>,
}

#[derive(Debug)]
enum Line {
    Tcp(TcpStream),
    Quic {
        endpoint: quinn::Endpoint,
        connection: quinn::Connection,
        send: quinn::SendStream,
        receive: quinn::RecvStream,
    },
}

impl Wire {
    /// Over TCP.
    pub async fn tcp(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("the broker listens on TCP");
        socket.set_nodelay(true).expect("a connected socket takes options");
        Self { line: Line::Tcp(socket), received: Vec::new() }
    }

    /// Over TCP, with as little room for what comes as the kernel grants.
    pub async fn tcp_with_little_room(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(READ_BYTES_MIN).expect("a socket takes options");
        let socket = socket.connect(address).await.expect("the broker listens on TCP");
        Self { line: Line::Tcp(socket), received: Vec::new() }
    }

    /// Over QUIC: the first bidirectional stream carries MQTT.
    pub async fn quic(address: SocketAddr, config: quinn::ClientConfig) -> Self {
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a free UDP port");
        let connecting = endpoint.connect_with(config, address, "localhost").expect("a valid name");
        let connection = connecting.await.expect("the broker completes the handshake");
        let (send, receive) = connection.open_bi().await.expect("the broker grants a stream");
        Self { line: Line::Quic { endpoint, connection, send, receive }, received: Vec::new() }
    }

    /// The QUIC side of it.
    pub fn quic_parts(&self) -> Option<(&quinn::Endpoint, &quinn::Connection)> {
        match &self.line {
            Line::Tcp(_) => None,
            Line::Quic { endpoint, connection, .. } => Some((endpoint, connection)),
        }
    }

    /// Writes all of it. `false`: the broker has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let writing = async {
            match &mut self.line {
                Line::Tcp(socket) => socket.write_all(bytes).await.is_ok(),
                Line::Quic { send, .. } => send.write_all(bytes).await.is_ok(),
            }
        };
        tokio::time::timeout(PATIENCE, writing).await.expect("the broker reads in time")
    }

    /// The next packet, whole.
    pub async fn packet(&mut self) -> Vec<u8> {
        loop {
            if let Some(bytes) = packet_bytes(&self.received)
                && self.received.len() >= bytes
            {
                return self.received.drain(..bytes).collect();
            }
            assert!(self.read().await, "the broker closed after {:02x?}", self.received);
        }
    }

    /// Asserts that the next packet is this one.
    pub async fn expect(&mut self, packet: &[u8]) {
        let received = self.packet().await;
        assert_eq!(received, packet, "\nreceived {received:02x?}\nexpected {packet:02x?}");
    }

    /// Whether anything comes before the broker's end of the connection.
    pub async fn is_answered(&mut self) -> bool {
        !self.received.is_empty() || self.read().await
    }

    /// Everything up to the broker's end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.received)
    }

    /// Ends the connection without a word of MQTT.
    pub async fn abort(self) {
        match self.line {
            Line::Tcp(socket) => drop(socket),
            Line::Quic { endpoint, connection, .. } => {
                connection.close(0u8.into(), b"");
                endpoint.wait_idle().await;
            }
        }
    }

    /// Reads some bytes. `false`: the broker has closed.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; READ_BYTES];
        let reading = async {
            match &mut self.line {
                Line::Tcp(socket) => socket.read(&mut bytes).await.unwrap_or(0),
                Line::Quic { receive, .. } => receive.read(&mut bytes).await.ok().flatten().unwrap_or(0),
            }
        };
        let count =
            tokio::time::timeout(PATIENCE, reading).await.expect("the broker answers or closes in time");
        self.received.extend(&bytes[..count]);
        count > 0
    }
}

/// How long the packet at the front is (2.1.4), once that can be told.
fn packet_bytes(bytes: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (index, byte) in bytes.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(2 + index + remaining);
        }
    }
    None
}
