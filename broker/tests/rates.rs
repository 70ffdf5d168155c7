//! Connections that come faster than their rate, over each kind of transport, and clients that connect too often:
//! refused, counted, and forgotten after a while.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_certs::{Credentials, TlsVersions};
use rivulet_client::{Client, ConnectError, Options, ReasonCode, Reconnect, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Tries to connect, of which a rate of one per second refuses some on any machine.
const TRIES: usize = 30;

/// CONNECT of 3.1.1, clean session, keep alive off, client identifier `t`.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01t";

async fn start(listener: &str, limits: &str) -> (RunningBroker, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data_dir = {:?}\n[limits]\n{limits}\n[[listener]]\naddress = \"127.0.0.1:0\"\nacl = \"open\"\n{listener}",
        folder.path()
    );
    let config = Config::parse("test", &text, std::iter::empty()).unwrap_or_else(|faults| panic!("{faults}"));
    (rivulet_broker::start(config).await.unwrap(), folder)
}

fn refused(broker: &RunningBroker) -> u64 {
    broker.counters().refused_for_rate.load(Ordering::Relaxed)
}

/// Whether a client that begins like this gets a CONNACK.
async fn is_served(broker: &RunningBroker, header: &[u8]) -> bool {
    let mut socket = TcpStream::connect(broker.address(TransportKind::Tcp).unwrap()).await.unwrap();
    // A socket that was refused may be closed already.
    drop(socket.write_all(&[header, CONNECT].concat()).await);
    let mut connack = [0; 4];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut connack)).await.unwrap().is_ok()
}

/// A PROXY header of version 2 on behalf of an address of 192.0.2.0/24.
fn proxy_header(last: u8) -> Vec<u8> {
    [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02".as_slice(),
        &[last],
        b"\xc0\x00\x02\x01\xc0\x01\x07\x5b",
    ]
    .concat()
}

#[tokio::test]
async fn sockets_that_come_too_fast_are_refused_and_let_in_later() {
    for rate in ["connections_rate", "connections_rate_per_address"] {
        let (broker, _folder) =
            start("transport = \"tcp\"\nauthentication = [\"anonymous\"]", &format!("{rate} = 1")).await;
        assert!(is_served(&broker, b"").await, "the first");
        let mut is_refused = false;
        for _ in 0..TRIES {
            is_refused |= !is_served(&broker, b"").await;
        }
        assert!(is_refused && refused(&broker) > 0, "{rate}");
        tokio::time::timeout(PATIENCE, async {
            while !is_served(&broker, b"").await {
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await
        .unwrap();
        broker.shutdown().await;
    }
}

#[tokio::test]
async fn behind_a_balancer_the_address_that_it_names_is_measured() {
    let listener = "transport = \"tcp\"\nproxy_protocol = true\nauthentication = [\"anonymous\"]";
    let (broker, _folder) = start(listener, "connections_rate_per_address = 1").await;
    for last in 1..=20 {
        assert!(is_served(&broker, &proxy_header(last)).await, "each has an address of its own");
    }
    assert_eq!(refused(&broker), 0);
    let mut is_refused = false;
    for _ in 0..TRIES {
        is_refused |= !is_served(&broker, &proxy_header(99)).await;
    }
    assert!(is_refused && refused(&broker) > 0);
    broker.shutdown().await;
}

#[tokio::test]
async fn quic_connections_that_come_too_fast_are_refused() {
    for rate in ["connections_rate", "connections_rate_per_address"] {
        let (broker, _folder) = start("transport = \"quic\"", &format!("{rate} = 1")).await;
        let own = broker.own_certificates().unwrap();
        let device = Credentials::load(&own.demo_device.chain, &own.demo_device.key).unwrap();
        let roots = rivulet_certs::load_roots(&own.ca).unwrap();
        let tls = rivulet_certs::client_config(TlsVersions::Only13, roots, Some(device), &[]).unwrap();
        let address = broker.address(TransportKind::Quic).unwrap();
        let url = format!("quic://{address}");
        let options =
            Options::new(&url).unwrap().tls(tls).server_name("localhost").reconnect(Reconnect::Never);
        let mut connected = Vec::new();
        for _ in 0..TRIES {
            connected.extend(Client::connect(options.clone()).await.ok());
            if refused(&broker) > 0 {
                break;
            }
        }
        assert!(!connected.is_empty() && refused(&broker) > 0, "{rate}");
        broker.shutdown().await;
    }
}

/// Why a client is not let in; `None`: it is.
async fn refusal(broker: &RunningBroker, client_id: &str, version: Version) -> Option<ReasonCode> {
    let url = format!("mqtt://{}", broker.address(TransportKind::Tcp).unwrap());
    let options = Options::new(&url).unwrap().client_id(client_id).unwrap().version(version);
    match Client::connect(options.reconnect(Reconnect::Never)).await {
        Ok(_) => None,
        Err(ConnectError::Refused { reason, .. }) => Some(reason),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_client_that_connects_too_often_is_banned_and_told_so() {
    let listener = "transport = \"tcp\"\nauthentication = [\"anonymous\"]";
    let (broker, _folder) = start(listener, "flapping_connects = 3\nflapping_window = \"1h\"").await;
    for _ in 0..3 {
        assert_eq!(refusal(&broker, "flapping", Version::V5).await, None);
    }
    assert_eq!(refusal(&broker, "flapping", Version::V5).await, Some(ReasonCode::Banned));
    assert_eq!(refusal(&broker, "flapping", Version::V3_1_1).await, Some(ReasonCode::NotAuthorized));
    assert_eq!(refusal(&broker, "steady", Version::V5).await, None);
    let counters = broker.counters();
    assert_eq!(counters.bans.load(Ordering::Relaxed), 1);
    assert_eq!(counters.refused_banned.load(Ordering::Relaxed), 2);
    broker.shutdown().await;
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_banned_whatever_its_clients_are_called() {
    let listener = "transport = \"tcp\"\nauthentication = [\"anonymous\"]";
    let (broker, _folder) =
        start(listener, "flapping_connects_per_address = 2\nflapping_window = \"1h\"").await;
    let mut refusals = Vec::new();
    for client_id in ["a", "b", "c"] {
        refusals.push(refusal(&broker, client_id, Version::V5).await);
    }
    assert_eq!(refusals, [None, None, Some(ReasonCode::Banned)]);
    broker.shutdown().await;
}
