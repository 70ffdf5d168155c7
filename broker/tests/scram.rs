//! Enhanced authentication with SCRAM-SHA-256 from end to end: the password file, a listener, raw packets (4.12; RFC 7677).

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::Write;
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use ring::{digest, hmac, pbkdf2};
use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_protocol::packet::{Auth, AuthProperties, AuthReason, Connect, ConnectProperties};
use rivulet_protocol::{ClientId, Decoder, Encoder, OutBuffer, Packet, ReasonCode, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
const PACKET_BYTES_MAX: usize = 65_536;
const METHOD: &str = "SCRAM-SHA-256";
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

/// A broker whose password file `rivulet passwd --scram` has made, with `jane` and her password in it.
async fn start(authentication: &str) -> (TempDir, RunningBroker) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let mut passwd = Command::new(env!("CARGO_BIN_EXE_rivulet"))
        .args(["passwd", "--password-stdin", "--scram", "-c", file.to_str().unwrap(), "jane"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    passwd.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    assert!(passwd.wait().unwrap().success());
    let configuration = format!(
        "data_dir = {:?}
         [access]
         password_file = {file:?}
         [[listener]]
         transport = \"tcp\"
         address = \"127.0.0.1:0\"
         authentication = [{authentication}]
         acl = \"open\"",
        folder.path().join("data"),
    );
    let config = Config::parse("test", &configuration, std::iter::empty());
    let broker = rivulet_broker::start(config.unwrap_or_else(|faults| panic!("{faults}"))).await.unwrap();
    (folder, broker)
}

/// A client that speaks packets.
struct Client {
    socket: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
}

impl Client {
    async fn open(broker: &RunningBroker) -> Self {
        let socket = TcpStream::connect(broker.address(TransportKind::Tcp).unwrap()).await.unwrap();
        let decoder = Decoder::with_version(Version::V5, PACKET_BYTES_MAX);
        Self { socket, decoder, buffer: BytesMut::new() }
    }

    async fn send(&mut self, packet: Packet) {
        let mut out = OutBuffer::new();
        Encoder::new(Version::V5, PACKET_BYTES_MAX).encode(&packet, &mut out).unwrap();
        self.socket.write_all(&out.take().concat()).await.unwrap();
    }

    /// The next packet; `None` at the end of the connection.
    async fn packet(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some(packet);
            }
            let read = self.socket.read_buf(&mut self.buffer);
            if tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap() == 0 {
                return None;
            }
        }
    }

    async fn connect(&mut self, method: &str, data: String) {
        let properties = ConnectProperties {
            authentication_method: Some(method.into()),
            authentication_data: Some(data.into()),
            ..ConnectProperties::default()
        };
        self.send(Packet::Connect(Box::new(Connect {
            version: Version::V5,
            is_bridge: false,
            clean_start: true,
            keep_alive_secs: 0,
            client_id: ClientId::parse("meter-7"),
            will: None,
            username: None,
            password: None,
            properties,
        })))
        .await;
    }

    async fn auth(&mut self, reason: AuthReason, data: String) {
        let properties = AuthProperties {
            authentication_method: Some(METHOD.into()),
            authentication_data: Some(data.into()),
            ..AuthProperties::default()
        };
        self.send(Packet::Auth(Box::new(Auth { reason, properties }))).await;
    }

    /// What the broker says in an AUTH.
    async fn challenge(&mut self, reason: AuthReason) -> String {
        match self.packet().await {
            Some(Packet::Auth(auth)) => {
                assert_eq!(auth.reason, reason);
                assert_eq!(auth.properties.authentication_method.as_deref(), Some(METHOD));
                text(auth.properties.authentication_data)
            }
            other => panic!("waits for AUTH and got {other:?}"),
        }
    }

    /// The reason of CONNACK and what the method says in it.
    async fn connack(&mut self) -> (ReasonCode, Option<Bytes>) {
        match self.packet().await {
            Some(Packet::ConnAck(connack)) => (connack.reason, connack.properties.authentication_data),
            other => panic!("waits for CONNACK and got {other:?}"),
        }
    }
}

fn text(data: Option<Bytes>) -> String {
    String::from_utf8(data.unwrap().to_vec()).unwrap()
}

fn client_first(user: &str) -> String {
    format!("n,,n={user},r={NONCE}")
}

/// The client's last message, and the broker's that must follow.
fn client_final(user: &str, password: &str, server_first: &str) -> (String, String) {
    let mut attributes = server_first.split(',').map(|attribute| attribute.split_at(2));
    let [(_, nonce), (_, salt), (_, iterations)] = std::array::from_fn(|_| attributes.next().unwrap());
    assert!(nonce.starts_with(NONCE) && nonce.len() > NONCE.len(), "{nonce}");
    let iterations: NonZeroU32 = iterations.parse().unwrap();
    let mut salted = [0; 32];
    let salt = BASE64.decode(salt).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);
    let keyed = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let client_key = keyed(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let without_proof = format!("c=biws,r={nonce}");
    let signed = format!("n={user},r={NONCE},{server_first},{without_proof}");
    let signature = keyed(stored_key.as_ref(), signed.as_bytes());
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    let server = keyed(keyed(&salted, b"Server Key").as_ref(), signed.as_bytes());
    (format!("{without_proof},p={}", BASE64.encode(proof)), format!("v={}", BASE64.encode(server)))
}

/// [MQTT-4.12.0-2], [MQTT-4.12.0-5].
#[tokio::test]
async fn a_client_and_the_broker_prove_to_each_other_that_they_know_the_password() {
    let (_folder, broker) = start("\"password\"").await;
    let mut client = Client::open(&broker).await;
    client.connect(METHOD, client_first("jane")).await;
    let server_first = client.challenge(AuthReason::ContinueAuthentication).await;
    let (proof, server_final) = client_final("jane", "correct horse", &server_first);
    client.auth(AuthReason::ContinueAuthentication, proof).await;
    assert_eq!(client.connack().await, (ReasonCode::Success, Some(server_final.into())));

    // And again, on the open connection.
    client.auth(AuthReason::ReAuthenticate, client_first("jane")).await;
    client.send(Packet::PingReq).await;
    let server_first = client.challenge(AuthReason::ContinueAuthentication).await;
    assert_eq!(client.packet().await, Some(Packet::PingResp));
    let (proof, server_final) = client_final("jane", "correct horse", &server_first);
    client.auth(AuthReason::ContinueAuthentication, proof).await;
    assert_eq!(client.challenge(AuthReason::Success).await, server_final);
    broker.shutdown().await;
}

/// [MQTT-4.12.0-4].
#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answers() {
    let (_folder, broker) = start("\"password\"").await;
    for (user, password) in [("jane", "battery staple"), ("joe", "correct horse")] {
        let mut client = Client::open(&broker).await;
        client.connect(METHOD, client_first(user)).await;
        let server_first = client.challenge(AuthReason::ContinueAuthentication).await;
        let (proof, _) = client_final(user, password, &server_first);
        client.auth(AuthReason::ContinueAuthentication, proof).await;
        assert_eq!(client.connack().await, (ReasonCode::BadUserNameOrPassword, None), "{user}");
        assert_eq!(client.packet().await, None);
    }
    broker.shutdown().await;
}

/// [MQTT-4.12.1-2].
#[tokio::test]
async fn who_cannot_prove_it_again_is_disconnected() {
    let (_folder, broker) = start("\"password\"").await;
    let mut client = Client::open(&broker).await;
    client.connect(METHOD, client_first("jane")).await;
    let server_first = client.challenge(AuthReason::ContinueAuthentication).await;
    let (proof, _) = client_final("jane", "correct horse", &server_first);
    client.auth(AuthReason::ContinueAuthentication, proof.clone()).await;
    assert_eq!(client.connack().await.0, ReasonCode::Success);
    client.auth(AuthReason::ReAuthenticate, client_first("jane")).await;
    client.challenge(AuthReason::ContinueAuthentication).await;
    // A proof is good for its own exchange alone.
    client.auth(AuthReason::ContinueAuthentication, proof).await;
    match client.packet().await {
        Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.reason, ReasonCode::NotAuthorized),
        other => panic!("waits for DISCONNECT and got {other:?}"),
    }
    assert_eq!(client.packet().await, None);
    broker.shutdown().await;
}

/// [MQTT-4.12.0-1].
#[tokio::test]
async fn a_method_is_offered_by_its_name_and_where_passwords_are() {
    for (authentication, method) in [("\"password\"", "SCRAM-SHA-1"), ("\"anonymous\"", METHOD)] {
        let (_folder, broker) = start(authentication).await;
        let mut client = Client::open(&broker).await;
        client.connect(method, client_first("jane")).await;
        assert_eq!(client.connack().await, (ReasonCode::BadAuthenticationMethod, None), "{method}");
        assert_eq!(client.packet().await, None);
        broker.shutdown().await;
    }
}
