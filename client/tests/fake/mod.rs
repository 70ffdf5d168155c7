//! A server of raw bytes: it knows nothing of MQTT but where a packet ends, so that no mistake of ours hides in it.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far beyond what any step takes: reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// CONNACK of 5.0: success, no session, no properties.
pub(crate) const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];

/// CONNACK of 5.0: success, session present, no properties.
pub(crate) const CONNACK_PRESENT: &[u8] = &[0x20, 3, 1, 0, 0];

/// CONNACK of 3.1.1: success, no session.
pub(crate) const CONNACK_3: &[u8] = &[0x20, 2, 0, 0];

/// DISCONNECT of 5.0, normal.
pub(crate) const DISCONNECT: &[u8] = &[0xe0, 0];

pub(crate) struct Server {
    listener: TcpListener,
}

pub(crate) struct Peer<R, W> {
    reader: R,
    writer: W,
}

pub(crate) type TcpPeer = Peer<tokio::net::tcp::OwnedReadHalf, tokio::net::tcp::OwnedWriteHalf>;

impl Server {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.listener.local_addr().unwrap())
    }

    pub(crate) async fn accept(&self) -> TcpPeer {
        let (stream, _): (TcpStream, _) = patiently(self.listener.accept()).await.unwrap();
        let (reader, writer) = stream.into_split();
        Peer { reader, writer }
    }

    /// Accepts, reads CONNECT, answers; gives CONNECT.
    pub(crate) async fn welcome(&self, connack: &[u8]) -> (TcpPeer, Vec<u8>) {
        let mut peer = self.accept().await;
        let connect = peer.packet().await;
        peer.send(connack).await;
        (peer, connect)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Peer<R, W> {
    pub(crate) fn new(reader: R, writer: W) -> Self {
        Self { reader, writer }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        patiently(self.writer.write_all(bytes)).await.unwrap();
    }

    /// The next packet, whole.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        patiently(self.try_packet()).await.expect("the client closed where a packet was due")
    }

    /// The next packet that is no PINGREQ.
    pub(crate) async fn expect(&mut self, bytes: &[u8]) {
        assert_eq!(self.packet().await, bytes);
    }

    pub(crate) async fn expect_end(&mut self) {
        let more = patiently(self.try_packet()).await;
        assert_eq!(more, None, "the client sent a packet where its end was due");
    }

    async fn try_packet(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![self.reader.read_u8().await.ok()?];
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.reader.read_u8().await.ok()?;
            packet.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let header = packet.len();
        packet.resize(header + length, 0);
        self.reader.read_exact(&mut packet[header..]).await.ok()?;
        Some(packet)
    }
}

pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("nothing happened for half a minute")
}

/// PUBLISH of 5.0 without properties. `flags` are those of the first byte; id 0 is none.
pub(crate) fn publish(flags: u8, topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0, topic.len() as u8];
    body.extend_from_slice(topic.as_bytes());
    if id != 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.push(0);
    body.extend_from_slice(payload);
    assert!(body.len() < 128, "one length byte is enough for a test");
    let mut packet = vec![0x30 | flags, body.len() as u8];
    packet.extend_from_slice(&body);
    packet
}

/// PUBACK (4), PUBREC (5), PUBREL (6), PUBCOMP (7) without reason.
pub(crate) fn ack(packet: u8, id: u16) -> Vec<u8> {
    let flags = if packet == 6 { 2 } else { 0 };
    let [high, low] = id.to_be_bytes();
    vec![packet << 4 | flags, 2, high, low]
}
