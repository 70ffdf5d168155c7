//! The broker over real sockets: what TCP and QUIC must do alike, and what each does alone.

use std::time::Duration;

use rivulet_broker::TransportKind;
use rivulet_tests::bytes::{
    CONNACK_V4, DISCONNECT, PINGREQ, PINGRESP, V4, V5, connect, connect_with, packet, publish, subscribe,
    text,
};
use rivulet_tests::in_process::{TRANSPORTS, TestBroker};
use rivulet_tests::wire::{PATIENCE, Wire};

const NOT_AUTHORIZED: u8 = 0x87;
const MALFORMED_PACKET: u8 = 0x81;
const SERVER_SHUTTING_DOWN: u8 = 0x8b;
const KEEP_ALIVE_TIMEOUT: u8 = 0x8d;
const SESSION_TAKEN_OVER: u8 = 0x8e;

/// What a connection leaves that is closed without a word.
const NOTHING: [u8; 0] = [];

/// The code of a stream that is not served.
const FLOW_REFUSED: u32 = 0xbe;

/// A 3.1.1 client whose CONNECT was accepted.
async fn client(broker: &TestBroker, transport: TransportKind, id: &str) -> Wire {
    let mut wire = broker.wire(transport).await;
    wire.send(&connect(V4, id, 0)).await;
    wire.expect(&CONNACK_V4).await;
    wire
}

/// A 5.0 client whose CONNECT was accepted.
async fn client_v5(broker: &TestBroker, transport: TransportKind, id: &str, keep_alive: u16) -> Wire {
    let mut wire = broker.wire(transport).await;
    wire.send(&connect(V5, id, keep_alive)).await;
    let connack = wire.packet().await;
    assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:02x?}");
    wire
}

async fn subscriber(broker: &TestBroker, transport: TransportKind, filter: &str, qos: u8) -> Wire {
    let mut wire = client(broker, transport, "subscriber").await;
    wire.send(&subscribe(1, filter, qos)).await;
    wire.expect(&[0x90, 3, 0, 1, qos]).await;
    wire
}

/// Asserts that the last thing that came was a DISCONNECT with this reason, and the end after it.
fn assert_goodbye(rest: &[u8], reason: u8) {
    assert_eq!((rest.first(), rest.get(2)), (Some(&0xe0), Some(&reason)), "{rest:02x?}");
    assert_eq!(rest.len(), usize::from(rest[1]) + 2, "nothing after it: {rest:02x?}");
}

#[tokio::test]
async fn a_message_of_each_qos_goes_from_each_transport_to_each() {
    let broker = TestBroker::start().await;
    for from in TRANSPORTS {
        for to in TRANSPORTS {
            let mut subscriber = subscriber(&broker, to, "t", 2).await;
            let mut publisher = client(&broker, from, "publisher").await;

            publisher.send(&publish(0, 0, "t", b"none")).await;
            subscriber.expect(&publish(0, 0, "t", b"none")).await;

            publisher.send(&publish(1, 7, "t", b"one")).await;
            publisher.expect(&[0x40, 2, 0, 7]).await;
            subscriber.expect(&publish(1, 1, "t", b"one")).await;
            subscriber.send(&[0x40, 2, 0, 1]).await;

            publisher.send(&publish(2, 8, "t", b"two")).await;
            publisher.expect(&[0x50, 2, 0, 8]).await;
            publisher.send(&[0x62, 2, 0, 8]).await;
            publisher.expect(&[0x70, 2, 0, 8]).await;
            let received = subscriber.packet().await;
            assert_eq!(received[0], 0x34, "{from} to {to}: {received:02x?}");
            assert!(received.ends_with(b"two"), "{from} to {to}: {received:02x?}");
            let id = [received[5], received[6]];
            subscriber.send(&[&[0x50, 2], &id[..]].concat()).await;
            subscriber.expect(&[&[0x62, 2], &id[..]].concat()).await;
            subscriber.send(&[&[0x70, 2], &id[..]].concat()).await;
            subscriber.send(&PINGREQ).await;
            subscriber.expect(&PINGRESP).await;
        }
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_retained_message_waits_for_a_subscriber_on_the_other_transport() {
    let broker = TestBroker::start().await;
    let mut publisher = client(&broker, TransportKind::Tcp, "publisher").await;
    publisher.send(&packet(0x33, &[&text("kept"), &[0, 1], b"value"])).await;
    publisher.expect(&[0x40, 2, 0, 1]).await;
    let mut subscriber = subscriber(&broker, TransportKind::Quic, "kept", 0).await;
    subscriber.expect(&packet(0x31, &[&text("kept"), b"value"])).await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_breaks_off_leaves_its_will() {
    let broker = TestBroker::start().await;
    for transport in TRANSPORTS {
        let mut subscriber = subscriber(&broker, TransportKind::Tcp, "will", 0).await;
        let mut dying = broker.wire(transport).await;
        dying.send(&connect_with(V4, "dying", 0, Some(("will", "gone")))).await;
        dying.expect(&CONNACK_V4).await;
        dying.abort().await;
        subscriber.expect(&publish(0, 0, "will", b"gone")).await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_goodbye_that_arrives_with_the_end_of_the_connection_suppresses_the_will() {
    let broker = TestBroker::start().await;
    for transport in TRANSPORTS {
        let mut subscriber = subscriber(&broker, TransportKind::Tcp, "#", 0).await;
        let mut leaving = broker.wire(transport).await;
        leaving.send(&connect_with(V4, "leaving", 0, Some(("will", "gone")))).await;
        leaving.expect(&CONNACK_V4).await;
        let last_words = [publish(0, 0, "last", b"word"), DISCONNECT.to_vec()].concat();
        leaving.send(&last_words).await;
        assert_eq!(leaving.rest().await, NOTHING, "{transport}: the broker closes in answer");
        subscriber.expect(&publish(0, 0, "last", b"word")).await;
        subscriber.send(&PINGREQ).await;
        subscriber.expect(&PINGRESP).await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_comes_back_on_any_transport_takes_its_session_over() {
    let broker = TestBroker::start().await;
    for from in TRANSPORTS {
        for to in TRANSPORTS {
            let mut old = client_v5(&broker, from, "same", 0).await;
            let mut new = client_v5(&broker, to, "same", 0).await;
            assert_goodbye(&old.rest().await, SESSION_TAKEN_OVER);
            new.send(&PINGREQ).await;
            new.expect(&PINGRESP).await;
        }
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_misses_its_keep_alive_is_told_and_closed() {
    let broker = TestBroker::start().await;
    for transport in TRANSPORTS {
        let mut silent = client_v5(&broker, transport, "silent", 1).await;
        assert_goodbye(&silent.rest().await, KEEP_ALIVE_TIMEOUT);
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_packet_may_come_byte_by_byte() {
    let broker = TestBroker::start().await;
    for transport in TRANSPORTS {
        let mut slow = broker.wire(transport).await;
        for byte in connect(V4, "slow", 0) {
            slow.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
        slow.expect(&CONNACK_V4).await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let broker = TestBroker::start().await;
    let payload: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    for (from, to) in [(TransportKind::Tcp, TransportKind::Quic), (TransportKind::Quic, TransportKind::Tcp)] {
        let mut subscriber = subscriber(&broker, to, "large", 0).await;
        let mut publisher = client(&broker, from, "publisher").await;
        publisher.send(&publish(0, 0, "large", &payload)).await;
        assert!(subscriber.packet().await == publish(0, 0, "large", &payload), "{from} to {to}");
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_is_refused_reads_why_although_it_has_sent_more() {
    let listeners = "[[listener]]\ntransport = 'tcp'\naddress = '127.0.0.1:0'\nacl = 'open'\n\
        [[listener]]\ntransport = 'quic'\naddress = '127.0.0.1:0'\nclient_certificate = 'none'\nacl = 'open'\n";
    let broker = TestBroker::start_from(listeners).await;
    for transport in TRANSPORTS {
        let mut refused = broker.wire(transport).await;
        // The broker closes with bytes unread, which over TCP would be a reset that takes the CONNACK with it.
        let flood = [connect(V5, "refused", 0), PINGREQ.repeat(50_000)].concat();
        refused.send(&flood).await;
        let rest = refused.rest().await;
        assert_eq!(
            (rest.first(), rest.get(3)),
            (Some(&0x20), Some(&NOT_AUTHORIZED)),
            "{transport}: {rest:02x?}"
        );
        assert_eq!(rest.len(), usize::from(rest[1]) + 2, "{transport}: CONNACK is the last");
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_reads_why_although_it_goes_on() {
    let broker = TestBroker::start().await;
    for transport in TRANSPORTS {
        let mut broken = client_v5(&broker, transport, "broken", 0).await;
        let flood = [b"\xf5\x00".to_vec(), PINGREQ.repeat(50_000)].concat();
        broken.send(&flood).await;
        assert_goodbye(&broken.rest().await, MALFORMED_PACKET);
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_stops_says_goodbye_to_everyone_and_takes_nobody_else() {
    let broker = TestBroker::start().await;
    let addresses: Vec<_> = broker.running().listeners().iter().map(|listener| listener.address).collect();
    let mut clients = Vec::new();
    for (index, transport) in TRANSPORTS.iter().cycle().take(10).enumerate() {
        clients.push(client_v5(&broker, *transport, &format!("client-{index}"), 0).await);
    }
    let silent = broker.wire(TransportKind::Tcp).await;
    let stopping = tokio::spawn(broker.shutdown());
    for client in &mut clients {
        assert_goodbye(&client.rest().await, SERVER_SHUTTING_DOWN);
    }
    drop((clients, silent));
    tokio::time::timeout(PATIENCE, stopping).await.expect("it stops in time").expect("it stops in order");
    assert!(
        tokio::net::TcpStream::connect(addresses[0]).await.is_err(),
        "nobody listens on {}",
        addresses[0]
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_after_the_time_for_connect() {
    let broker = TestBroker::start_with("[limits]\nconnect_timeout = '1s'\n").await;
    let mut silent = broker.wire(TransportKind::Tcp).await;
    assert_eq!(silent.rest().await, NOTHING);
    let (_endpoint, connection) = broker.quic().await;
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.expect("closed in time");
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed}");
    broker.shutdown().await;
}

#[tokio::test]
async fn further_streams_are_refused_and_the_control_flow_goes_on() {
    let broker = TestBroker::start().await;
    let mut control = client(&broker, TransportKind::Quic, "many").await;
    let (_, connection) = control.quic_parts().expect("it is QUIC");
    for _ in 0..40 {
        let opening = tokio::time::timeout(PATIENCE, connection.open_bi()).await.expect("places come free");
        let (mut send, mut receive) = opening.expect("the connection lives");
        send.write_all(&PINGREQ).await.ok();
        let stopped = tokio::time::timeout(PATIENCE, send.stopped()).await.expect("refused in time");
        assert_eq!(stopped.ok().flatten(), Some(FLOW_REFUSED.into()));
        let read = tokio::time::timeout(PATIENCE, receive.read_to_end(1)).await.expect("refused in time");
        let is_reset = matches!(read, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) if code == FLOW_REFUSED.into());
        assert!(is_reset, "{read:?}");
        let mut send = connection.open_uni().await.expect("the connection lives");
        send.write_all(&PINGREQ).await.ok();
        let stopped = tokio::time::timeout(PATIENCE, send.stopped()).await.expect("refused in time");
        assert_eq!(stopped.ok().flatten(), Some(FLOW_REFUSED.into()));
    }
    control.send(&PINGREQ).await;
    control.expect(&PINGRESP).await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_session_survives_a_change_of_address() {
    let broker = TestBroker::start().await;
    let mut moving = subscriber(&broker, TransportKind::Quic, "t", 0).await;
    let mut publisher = client(&broker, TransportKind::Tcp, "publisher").await;
    for round in 0..3u8 {
        let (endpoint, _) = moving.quic_parts().expect("it is QUIC");
        let elsewhere = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a free UDP port");
        endpoint.rebind(elsewhere).expect("the endpoint takes another socket");
        moving.send(&PINGREQ).await;
        moving.expect(&PINGRESP).await;
        publisher.send(&publish(0, 0, "t", &[round])).await;
        moving.expect(&publish(0, 0, "t", &[round])).await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn whoever_shows_no_certificate_of_ours_does_not_get_past_the_handshake() {
    let broker = TestBroker::start().await;
    for config in [broker.anonymous(), broker.stranger()] {
        // A TLS 1.3 client is done before the server has judged it, so its connection may live for a moment.
        let refused = match broker.quic_with(config).await {
            Ok((_endpoint, connection)) => {
                tokio::time::timeout(PATIENCE, connection.closed()).await.expect("closed in time")
            }
            Err(refused) => refused,
        };
        assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_speaks_another_protocol_is_refused_in_the_handshake() {
    let broker = TestBroker::start().await;
    let refused = broker.quic_with(broker.with_alpn(b"h3")).await;
    assert!(matches!(refused, Err(quinn::ConnectionError::ConnectionClosed(_))), "{refused:?}");
    broker.shutdown().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_and_those_within_go_on() {
    let broker = TestBroker::start_with("[limits]\nconnections = 2\n").await;
    let mut first = client(&broker, TransportKind::Tcp, "first").await;
    let mut second = client(&broker, TransportKind::Quic, "second").await;
    let mut third = broker.wire(TransportKind::Tcp).await;
    assert_eq!(third.rest().await, NOTHING);
    let config = broker.with_alpn(b"mqtt");
    let refused = broker.quic_with(config).await;
    assert!(matches!(refused, Err(quinn::ConnectionError::ConnectionClosed(_))), "{refused:?}");
    for wire in [&mut first, &mut second] {
        wire.send(&PINGREQ).await;
        wire.expect(&PINGRESP).await;
    }
    second.abort().await;
    let comes_in = async {
        loop {
            let mut next = broker.wire(TransportKind::Tcp).await;
            if next.send(&connect(V4, "next", 0)).await && next.is_answered().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, comes_in).await.expect("a place is free again");
    broker.shutdown().await;
}
