//! TLS, WebSocket, secure WebSocket and the PROXY header from end to end: bytes in, bytes out.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_certs::{Credentials, TlsVersions};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// CONNECT of 3.1.1, clean session, keep alive off, client identifier `t`.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01t";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const SUBSCRIBE: &[u8] = b"\x82\x06\x00\x01\x00\x01a\x00";
const SUBACK: &[u8] = b"\x90\x03\x00\x01\x00";
const PUBLISH: &[u8] = b"\x30\x05\x00\x01axy";

/// A PROXY header of version 2 on behalf of 192.0.2.7:49153.
const PROXY_HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\xc0\x01\x07\x5b";

struct World {
    broker: RunningBroker,
    _folder: TempDir,
}

impl World {
    async fn start(listener: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "data_dir = {:?}\n[[listener]]\naddress = \"127.0.0.1:0\"\nacl = \"open\"\n{listener}",
            folder.path()
        );
        let config =
            Config::parse("test", &text, std::iter::empty()).unwrap_or_else(|faults| panic!("{faults}"));
        Self { broker: rivulet_broker::start(config).await.unwrap(), _folder: folder }
    }

    async fn tcp(&self, transport: TransportKind) -> TcpStream {
        TcpStream::connect(self.broker.address(transport).unwrap()).await.unwrap()
    }

    /// A handshake of TLS, with the demo device's certificate or none.
    async fn tls(
        &self,
        transport: TransportKind,
        versions: TlsVersions,
        is_device: bool,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let own = self.broker.own_certificates().unwrap();
        let roots = rivulet_certs::load_roots(&own.ca).unwrap();
        let device = &own.demo_device;
        let credentials = is_device.then(|| Credentials::load(&device.chain, &device.key).unwrap());
        let config = rivulet_certs::client_config(versions, roots, credentials, &[]).unwrap();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.tcp(transport).await).await
    }
}

async fn expect(socket: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes, expected);
}

/// Connects, subscribes and gets its own message.
async fn converse(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    socket.write_all(CONNECT).await.unwrap();
    expect(socket, CONNACK).await;
    socket.write_all(SUBSCRIBE).await.unwrap();
    expect(socket, SUBACK).await;
    socket.write_all(PUBLISH).await.unwrap();
    expect(socket, PUBLISH).await;
}

/// The same over WebSocket, with packets cut across frames and joined in one [MQTT-6.0.0-2].
async fn converse_in_frames(socket: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let (mut frames, response) = client_async(request, socket).await.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    let (first, second) = CONNECT.split_at(5);
    for frame in [first.to_vec(), [second, SUBSCRIBE, PUBLISH].concat()] {
        frames.send(Message::Binary(frame.into())).await.unwrap();
    }
    let expected = [CONNACK, SUBACK, PUBLISH].concat();
    let mut received = Vec::new();
    while received.len() < expected.len() {
        let frame = tokio::time::timeout(PATIENCE, frames.next()).await.unwrap().unwrap().unwrap();
        let Message::Binary(bytes) = frame else { panic!("{frame:?}") };
        received.extend_from_slice(&bytes);
    }
    assert_eq!(received, expected);
    // DISCONNECT: the broker ends the WebSocket.
    frames.send(Message::Binary(Bytes::from_static(b"\xe0\x00"))).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, frames.next()).await.unwrap();
    assert!(matches!(end, None | Some(Ok(Message::Close(_)))), "{end:?}");
}

#[tokio::test]
async fn tls_serves_devices_with_a_certificate_in_both_versions() {
    let world = World::start("transport = \"tls\"").await;
    for versions in [TlsVersions::Only13, TlsVersions::From12] {
        let mut socket = world.tls(TransportKind::Tls, versions, true).await.unwrap();
        converse(&mut socket).await;
    }
}

#[tokio::test]
async fn a_device_without_the_required_certificate_gets_no_connack() {
    let world = World::start("transport = \"tls\"").await;
    // In TLS 1.3 a client learns of the refusal when it reads.
    if let Ok(mut socket) = world.tls(TransportKind::Tls, TlsVersions::Only13, false).await {
        drop(socket.write_all(CONNECT).await);
        let read = tokio::time::timeout(PATIENCE, socket.read_u8()).await.unwrap();
        assert!(read.is_err(), "{read:?}");
    }
}

#[tokio::test]
async fn where_no_certificate_is_asked_for_anonymous_clients_are_let_in() {
    let listener = "transport = \"tls\"\nclient_certificate = \"none\"\nauthentication = [\"anonymous\"]";
    let world = World::start(listener).await;
    converse(&mut world.tls(TransportKind::Tls, TlsVersions::Only13, false).await.unwrap()).await;
}

#[tokio::test]
async fn an_old_tls_is_refused_where_the_minimum_says_so() {
    let world = World::start("transport = \"tls\"\ntls_minimum = \"1.3\"").await;
    let own = world.broker.own_certificates().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rivulet_certs::load_chain(&own.ca).unwrap().remove(0)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().unwrap();
    assert!(connector.connect(name, world.tcp(TransportKind::Tls).await).await.is_err());
}

/// [MQTT-6.0.0-1], [MQTT-6.0.0-2]
#[tokio::test]
async fn websocket_carries_packets_whatever_the_frames() {
    let world = World::start("transport = \"ws\"\nauthentication = [\"anonymous\"]").await;
    converse_in_frames(world.tcp(TransportKind::WebSocket).await).await;
}

#[tokio::test]
async fn secure_websocket_carries_the_identity_of_the_device() {
    let world = World::start("transport = \"wss\"").await;
    let socket = world.tls(TransportKind::SecureWebSocket, TlsVersions::Only13, true).await.unwrap();
    converse_in_frames(socket).await;
}

#[tokio::test]
async fn behind_a_proxy_header_comes_mqtt() {
    let world =
        World::start("transport = \"tcp\"\nproxy_protocol = true\nauthentication = [\"anonymous\"]").await;
    let mut socket = world.tcp(TransportKind::Tcp).await;
    socket.write_all(PROXY_HEADER).await.unwrap();
    converse(&mut socket).await;
}

#[tokio::test]
async fn without_the_proxy_header_that_the_listener_wants_nothing_is_served() {
    let world =
        World::start("transport = \"tcp\"\nproxy_protocol = true\nauthentication = [\"anonymous\"]").await;
    let mut socket = world.tcp(TransportKind::Tcp).await;
    // More than the fixed part of a header, so that it is judged at once.
    socket.write_all(&[CONNECT, PUBLISH].concat()).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, socket.read_u8()).await.unwrap();
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn who_says_nothing_during_the_handshake_is_closed() {
    for transport in ["tls", "ws"] {
        let limits = "[limits]\nhandshake_timeout = \"1s\"";
        let authentication = if transport == "ws" { "authentication = [\"anonymous\"]\n" } else { "" };
        let world = World::start(&format!("transport = \"{transport}\"\n{authentication}{limits}")).await;
        let kind = if transport == "ws" { TransportKind::WebSocket } else { TransportKind::Tls };
        let mut silent = world.tcp(kind).await;
        let end = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await.unwrap();
        drop(end); // closed, in order or not
        // It is counted after the socket is gone.
        let counted = async {
            while world.broker.counters().handshakes_failed.load(Ordering::Relaxed) != 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.unwrap();
    }
}
