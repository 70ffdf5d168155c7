//! Clients that mean no good, or do not know better: each gets its answer, others are not harmed, memory stays flat.
//!
//! One test at a time: what one does to the process would count as another's memory.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_broker::TransportKind;
use rivulet_tests::bytes::{
    CONNACK_V4, PINGREQ, PINGRESP, V4, V5, connect, packet, publish, subscribe, text,
};
use rivulet_tests::in_process::{TRANSPORTS, TestBroker};
use rivulet_tests::wire::{PATIENCE, Wire};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

/// Bounds that a test can wait for.
const LIMITS: &str = "[limits]\nconnect_timeout = '1s'\nhandshake_timeout = '1s'\nwrite_timeout = '1s'\n\
    maximum_packet = '64KiB'\nhandshakes = 64\n";

/// Handshakes at one time, as in [`LIMITS`].
const HANDSHAKES: u64 = 64;

const PACKET_TOO_LARGE: u8 = 0x95;

/// What a connection leaves that is closed without a word.
const NOTHING: [u8; 0] = [];

async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Two clients that only want their messages, one on each transport.
struct Bystanders {
    publisher: Wire,
    subscriber: Wire,
    sent: u8,
}

impl Bystanders {
    async fn arrive(broker: &TestBroker) -> Self {
        let mut subscriber = broker.wire(TransportKind::Quic).await;
        subscriber.send(&connect(V4, "bystander-subscriber", 0)).await;
        subscriber.expect(&CONNACK_V4).await;
        subscriber.send(&subscribe(1, "bystander", 0)).await;
        subscriber.expect(&[0x90, 3, 0, 1, 0]).await;
        let mut publisher = broker.wire(TransportKind::Tcp).await;
        publisher.send(&connect(V4, "bystander-publisher", 0)).await;
        publisher.expect(&CONNACK_V4).await;
        Self { publisher, subscriber, sent: 0 }
    }

    /// Sends a message and receives it.
    async fn go_on(&mut self) {
        self.sent = self.sent.wrapping_add(1);
        let message = publish(0, 0, "bystander", &[self.sent]);
        self.publisher.send(&message).await;
        self.subscriber.expect(&message).await;
    }
}

/// Bytes that look like nothing, the same in each run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut chance = oorandom::Rand64::new(seed.into());
    (0..length).map(|_| chance.rand_u64().to_le_bytes()[0]).collect()
}

async fn connected(broker: &TestBroker, transport: TransportKind, version: u8, id: &str) -> Wire {
    let mut wire = broker.wire(transport).await;
    wire.send(&connect(version, id, 0)).await;
    assert_eq!(wire.packet().await[0], 0x20);
    wire
}

#[tokio::test]
async fn bytes_that_are_no_connect_are_not_answered() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    for transport in TRANSPORTS {
        for seed in 0..20 {
            let mut wire = broker.wire(transport).await;
            wire.send(&noise(seed, 500)).await;
            assert_eq!(wire.rest().await, NOTHING, "{transport}, seed {seed}");
        }
        bystanders.go_on().await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn half_a_packet_waits_for_its_other_half_no_longer_than_for_connect() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    for transport in TRANSPORTS {
        let mut wire = broker.wire(transport).await;
        wire.send(&connect(V5, "half", 0)[..9]).await;
        assert_eq!(wire.rest().await, NOTHING, "{transport}");
    }
    bystanders.go_on().await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_dribbles_its_connect_has_no_more_time_than_others() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    for transport in TRANSPORTS {
        let mut wire = broker.wire(transport).await;
        let dribble = async {
            let connect = connect(V5, &"x".repeat(60_000), 0);
            for byte in connect {
                if !wire.send(&[byte]).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, dribble).await.expect("the broker closes long before the last byte");
    }
    bystanders.go_on().await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_packet_larger_than_allowed_is_refused_by_its_header() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    // 200,000,000 bytes to come.
    let headers: [&[u8]; 2] = [b"\x30\x80\x84\xaf\x5f", b"\x10\x80\x84\xaf\x5f"];
    for transport in TRANSPORTS {
        let mut wire = broker.wire(transport).await;
        wire.send(headers[1]).await;
        assert_eq!(wire.rest().await, NOTHING, "{transport}: before CONNECT there is nobody to tell");

        let mut wire = connected(&broker, transport, V4, "large").await;
        wire.send(headers[0]).await;
        assert_eq!(wire.rest().await, NOTHING, "{transport}: 3.1.1 has no way to tell");

        let mut wire = connected(&broker, transport, V5, "large").await;
        wire.send(headers[0]).await;
        let rest = wire.rest().await;
        assert_eq!(
            (rest.first(), rest.get(2)),
            (Some(&0xe0), Some(&PACKET_TOO_LARGE)),
            "{transport}: {rest:02x?}"
        );
    }
    bystanders.go_on().await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_subscriber_that_never_reads_is_closed_and_others_go_on() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    for transport in TRANSPORTS {
        let closed = broker.running().counters().closed_by_network.load(Ordering::Relaxed);
        let mut deaf = connected(&broker, transport, V4, "deaf").await;
        deaf.send(&subscribe(1, "flood", 0)).await;
        deaf.expect(&[0x90, 3, 0, 1, 0]).await;
        let mut publisher = connected(&broker, TransportKind::Tcp, V4, "flooder").await;
        let message = publish(0, 0, "flood", &[7; 60_000]);
        let flood = async {
            // More than all buffers between the two take; the broker drops what the queue does not hold.
            while broker.running().counters().closed_by_network.load(Ordering::Relaxed) == closed {
                publisher.send(&message).await;
                bystanders.go_on().await;
            }
        };
        tokio::time::timeout(PATIENCE, flood).await.expect("the deaf one is closed in time");
        publisher.send(&PINGREQ).await;
        publisher.expect(&PINGRESP).await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_the_answers_is_not_read_any_more() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    for transport in TRANSPORTS {
        let before = resident_bytes();
        let mut deaf = broker.wire_with_little_room(transport).await;
        deaf.send(&connect(V4, "deaf", 0)).await;
        deaf.expect(&CONNACK_V4).await;
        let pings = PINGREQ.repeat(50_000);
        let flood = async { while deaf.send(&pings).await {} };
        // The broker stops reading, and closes when its answers have not been taken for the time that a write may take.
        tokio::time::timeout(PATIENCE, flood).await.expect("it is closed in time");
        bystanders.go_on().await;
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < GROWTH_BYTES_MAX, "{transport}: grown by {grown} bytes");
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn handshakes_that_are_begun_and_left_give_their_places_back() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    let address = broker.running().address(TransportKind::Quic).expect("a QUIC listener");
    // Twice as many as there are places for. From half of the places on they are sent a Retry, and never heard of again.
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a free UDP port");
    for initial in first_datagrams(&broker, 2 * HANDSHAKES).await {
        socket.send_to(&initial, address).expect("a datagram leaves");
    }
    bystanders.go_on().await;
    let given_up = async {
        while broker.running().counters().handshakes_failed.load(Ordering::Relaxed) < HANDSHAKES / 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_up).await.expect("each is given up after its time");
    let comes_in = async {
        while broker.quic_with(broker.with_alpn(b"mqtt")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, comes_in).await.expect("a place is free again");
    bystanders.go_on().await;
    broker.shutdown().await;
}

/// What so many clients send first: their Initials, each under a connection identifier of its own.
async fn first_datagrams(broker: &TestBroker, count: u64) -> Vec<Vec<u8>> {
    /// Flags, version and the length of the destination connection identifier come before it (RFC 9000, 17.2).
    const IDENTIFIER_AT: usize = 6;
    const IDENTIFIER_BYTES: usize = 8;
    let socket = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.expect("a free UDP port");
    let address = socket.local_addr().expect("a bound socket");
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a free UDP port");
    let mut initials = std::collections::BTreeMap::new();
    for _ in 0..count {
        let config = broker.with_alpn(b"mqtt");
        let _connecting = endpoint.connect_with(config, address, "localhost").expect("a valid name");
        let mut datagram = [0; 2048];
        let received = tokio::time::timeout(PATIENCE, socket.recv(&mut datagram)).await;
        let length = received.expect("sent at once").expect("a bound socket");
        let identifier = datagram[IDENTIFIER_AT..IDENTIFIER_AT + IDENTIFIER_BYTES].to_vec();
        initials.entry(identifier).or_insert_with(|| datagram[..length].to_vec());
    }
    initials.into_values().collect()
}

/// By how much the process may have grown after thousands of bad clients, once it has warmed up.
const GROWTH_BYTES_MAX: usize = 8 << 20;

/// How many bad clients come, how many before the first look at the memory, and how many at one time.
const BAD_CLIENTS: u64 = 3_000;
const WARM_UP_CLIENTS: u64 = 600;
const BAD_CLIENTS_AT_ONCE: usize = 40;

#[tokio::test]
async fn memory_stays_flat_through_thousands_of_bad_clients() {
    let _alone = alone().await;
    let broker = TestBroker::start_with(LIMITS).await;
    let mut bystanders = Bystanders::arrive(&broker).await;
    bad_clients(&broker, WARM_UP_CLIENTS, &mut bystanders).await;
    let before = resident_bytes();
    bad_clients(&broker, BAD_CLIENTS, &mut bystanders).await;
    let after = resident_bytes();
    assert!(
        after.saturating_sub(before) < GROWTH_BYTES_MAX,
        "{before} bytes resident before {BAD_CLIENTS} bad clients, {after} after"
    );
    broker.shutdown().await;
}

/// So many clients over TCP, each bad in one of several ways. They close first.
async fn bad_clients(broker: &TestBroker, count: u64, bystanders: &mut Bystanders) {
    let counters = broker.running().counters();
    let expected = counters.closed.load(Ordering::Relaxed) + count;
    let address = broker.running().address(TransportKind::Tcp).expect("a TCP listener");
    let mut clients = JoinSet::new();
    for seed in 0..count {
        if clients.len() >= BAD_CLIENTS_AT_ONCE {
            clients.join_next().await.expect("one of them").expect("it ends in order");
        }
        clients.spawn(bad_client(address, seed));
        if seed % 100 == 0 {
            bystanders.go_on().await;
        }
    }
    clients.join_all().await;
    let all_closed = async {
        while counters.closed.load(Ordering::Relaxed) < expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_closed).await.expect("the broker has closed them all");
    bystanders.go_on().await;
}

async fn bad_client(address: SocketAddr, seed: u64) {
    let mut wire = Wire::tcp(address).await;
    let id = format!("bad-{}", seed % 50);
    let bytes = match seed % 6 {
        0 => noise(seed, 2_000),
        1 => connect(V5, &id, 0)[..7].to_vec(),
        2 => [connect(V5, &id, 0), b"\x30\x80\x84\xaf\x5f".to_vec()].concat(),
        3 => [connect(V4, &id, 0), subscribe(1, "a/+/b/#", 1), noise(seed, 500)].concat(),
        4 => [connect(V4, &id, 0), publish(1, 1, "a/b", &[0; 30_000])[..20_000].to_vec()].concat(),
        _ => [connect(V5, &id, 0), packet(0x30, &[&text("t/\u{0}"), b"x"])].concat(),
    };
    wire.send(&bytes).await;
    wire.abort().await;
}

/// Memory of this process that is in RAM.
fn resident_bytes() -> usize {
    const PAGE_BYTES: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number is the resident set") * PAGE_BYTES
}
