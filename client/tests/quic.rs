//! A client against a server of raw bytes over QUIC, with certificates of an authority made for the test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fake::{CONNACK, DISCONNECT, Peer, ack, patiently, publish};
use rivulet_certs::{Authority, ClientAuth, TlsVersions, client_config, identity, server_config};
use rivulet_client::{Client, Endpoint, Messages, Options, QoS, Reconnect, message};

#[expect(
    clippy::disallowed_methods,
    reason = "the certificates must be valid when the handshake checks them"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

struct World {
    authority: Authority,
    server: quinn::Endpoint,
    _folder: tempfile::TempDir,
}

type QuicPeer = Peer<quinn::RecvStream, quinn::SendStream>;

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), now()).unwrap();
        let issued = authority.issue_server(&["localhost", "127.0.0.1"], now()).unwrap();
        let auth = ClientAuth::Required(authority.roots().unwrap());
        let tls = server_config(TlsVersions::Only13, issued.credentials(), auth, &[b"mqtt"]).unwrap();
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let server = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { authority, server, _folder: folder }
    }

    fn url(&self, host: &str) -> String {
        format!("quic://{host}:{}", self.server.local_addr().unwrap().port())
    }

    fn tls(&self, device: Option<&str>) -> rustls::ClientConfig {
        let credentials = device.map(|name| self.authority.issue_device(name, now()).unwrap().credentials());
        client_config(TlsVersions::Only13, self.authority.roots().unwrap(), credentials, &[]).unwrap()
    }

    fn options(&self, device: &str) -> Options {
        let options = Options::new(&self.url("127.0.0.1")).unwrap().client_id(device).unwrap();
        options.tls(self.tls(Some(device))).reconnect(Reconnect::Never)
    }

    /// Accepts a connection and its first stream, reads CONNECT, answers. Gives the device's name too.
    async fn welcome(&self) -> (QuicPeer, quinn::Connection, String) {
        let connection = patiently(self.server.accept()).await.unwrap().await.unwrap();
        let shown = connection.peer_identity().unwrap();
        let shown = shown.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
        let name = identity(&shown[0]).unwrap().common_name.unwrap();
        let (writer, reader) = patiently(connection.accept_bi()).await.unwrap();
        let mut peer = Peer::new(reader, writer);
        peer.packet().await;
        peer.send(CONNACK).await;
        (peer, connection, name)
    }

    async fn connected(&self, options: Options) -> (Client, Messages, QuicPeer, quinn::Connection) {
        let (client, (peer, connection, _)) = tokio::join!(Client::connect(options), self.welcome());
        let (client, messages) = client.unwrap();
        (client, messages, peer, connection)
    }
}

#[tokio::test]
async fn a_device_publishes_and_receives_over_quic() {
    let world = World::new();
    let (client, mut messages, mut peer, _connection) = world.connected(world.options("pump")).await;
    let done = client.enqueue(message("t", "x", QoS::AtLeastOnce).unwrap()).await.unwrap();
    peer.expect(&publish(2, "t", 1, b"x")).await;
    peer.send(&ack(4, 1)).await;
    patiently(done.done()).await.unwrap();
    peer.send(&publish(0, "a", 0, b"y")).await;
    assert_eq!(patiently(messages.recv()).await.unwrap().message.payload, "y");
}

#[tokio::test]
async fn goodbye_arrives_before_the_connection_closes() {
    let world = World::new();
    let (client, _messages, mut peer, connection) = world.connected(world.options("pump")).await;
    let goodbye = tokio::spawn(async move { client.disconnect().await });
    peer.expect(DISCONNECT).await;
    peer.expect_end().await;
    drop(peer);
    patiently(goodbye).await.unwrap();
    let closed = patiently(connection.closed()).await;
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed}");
}

#[tokio::test]
async fn many_devices_with_their_own_certificates_share_one_socket() {
    let world = World::new();
    let endpoint = Endpoint::new();
    let names: Vec<_> = (0..20).map(|number| format!("device-{number}")).collect();
    let mut open = Vec::new();
    let mut ports = std::collections::BTreeSet::new();
    for name in &names {
        let options = world.options(name).endpoint(endpoint.clone());
        let (client, (peer, connection, shown)) = tokio::join!(Client::connect(options), world.welcome());
        assert_eq!(&shown, name);
        ports.insert(connection.remote_address().port());
        open.push((client.unwrap(), peer, connection));
    }
    assert_eq!(ports.len(), 1, "{ports:?}");
}

#[tokio::test]
async fn a_device_without_a_certificate_is_told_that_it_needs_one() {
    let world = World::new();
    let options = Options::new(&world.url("127.0.0.1")).unwrap().tls(world.tls(None));
    let refuse = async {
        let incoming = patiently(world.server.accept()).await.unwrap();
        incoming.await.unwrap_err()
    };
    let (client, _) = tokio::join!(Client::connect(options), refuse);
    let error = client.unwrap_err().to_string();
    assert!(error.contains("it requires a client certificate, and we showed none"), "{error}");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_trusted() {
    let (world, other) = (World::new(), World::new());
    let options = Options::new(&world.url("127.0.0.1")).unwrap().tls(other.tls(Some("pump")));
    let refuse = async { drop(patiently(world.server.accept()).await.unwrap().await) };
    let (client, ()) = tokio::join!(Client::connect(options), refuse);
    let error = client.unwrap_err().to_string();
    assert!(error.contains("TLS failed here: invalid peer certificate: UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_name_whose_first_address_does_not_answer_is_reached_by_its_next_one() {
    let world = World::new();
    // The server listens on 127.0.0.1 alone; `localhost` may be ::1 first.
    let options = Options::new(&world.url("localhost")).unwrap().tls(world.tls(Some("pump")));
    let (client, _server) = tokio::join!(Client::connect(options), world.welcome());
    client.unwrap();
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_what_was_waited_for() {
    let world = World::new();
    let options = world.options("pump").connect_timeout(Duration::from_millis(300));
    world.server.set_server_config(None);
    let error = Client::connect(options).await.unwrap_err().to_string();
    assert!(error.starts_with(&world.url("127.0.0.1")), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_with_a_code_is_quoted() {
    let world = World::new();
    let (client, _messages, _peer, connection) = world.connected(world.options("pump")).await;
    connection.close(quinn::VarInt::from_u32(0x97), b"quota exceeded");
    let mut watch = client.watch();
    let ended = |state: &rivulet_client::State| matches!(state, rivulet_client::State::Ended(_));
    let state = patiently(watch.wait_for(ended)).await.unwrap().clone();
    let text = format!("{state:?}");
    assert!(text.contains("closed the connection with code 151, it says"), "{text}");
}
