//! A client against a server of raw bytes over TCP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::num::NonZeroU16;
use std::time::Duration;

use fake::{CONNACK, CONNACK_3, CONNACK_PRESENT, DISCONNECT, Server, ack, patiently, publish};
use rivulet_client::{
    Cause, Client, ConnectError, Messages, Options, QoS, ReasonCode, Reconnect, RequestError, State, Version,
    message, subscription,
};

const QUICK: Reconnect =
    Reconnect::Backoff { first: Duration::from_millis(1), max: Duration::from_millis(10) };

fn options(server: &Server) -> Options {
    Options::new(&server.url()).unwrap().client_id("me").unwrap().reconnect(QUICK).keep_alive(0)
}

async fn connected(server: &Server, options: Options) -> (Client, Messages, fake::TcpPeer) {
    let (client, (peer, _)) = tokio::join!(Client::connect(options), server.welcome(CONNACK));
    let (client, messages) = client.unwrap();
    (client, messages, peer)
}

async fn ended(client: &Client) -> Cause {
    let mut watch = client.watch();
    let state = patiently(watch.wait_for(|state| matches!(state, State::Ended(_)))).await.unwrap();
    let State::Ended(cause) = &*state else { unreachable!("waited for it") };
    cause.clone()
}

#[tokio::test]
async fn connect_carries_what_was_asked_for() {
    let server = Server::start().await;
    let options = options(&server).username("u").password("p").session_expiry(7).keep_alive(10);
    let (client, (_peer, connect)) = tokio::join!(Client::connect(options), server.welcome(CONNACK));
    let (client, _messages) = client.unwrap();
    let packet_bytes_max = rivulet_client::options::PACKET_BYTES_MAX.to_be_bytes();
    let mut expected = vec![0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', 5, 0b1100_0010, 0, 10];
    expected.extend_from_slice(&[10, 0x11, 0, 0, 0, 7, 0x27]);
    expected.extend_from_slice(&packet_bytes_max);
    expected.extend_from_slice(&[0, 2, b'm', b'e', 0, 1, b'u', 0, 1, b'p']);
    expected[1] = expected.len() as u8 - 2;
    assert_eq!(connect, expected);
    let State::Connected(connected) = client.state() else { panic!("not connected") };
    assert_eq!((connected.count, connected.session_present, connected.keep_alive_secs), (1, false, 10));
}

#[tokio::test]
async fn version_3_1_1_says_what_it_can() {
    let server = Server::start().await;
    let options = options(&server).version(Version::V3_1_1).session_expiry(7).clean_start(false);
    let (client, (mut peer, connect)) = tokio::join!(Client::connect(options), server.welcome(CONNACK_3));
    let (client, _messages) = client.unwrap();
    assert_eq!(connect, [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 0, 0, 2, b'm', b'e']);
    let done = client.enqueue(message("t", "x", QoS::AtLeastOnce).unwrap()).await.unwrap();
    peer.expect(&[0x32, 6, 0, 1, b't', 0, 1, b'x']).await;
    peer.send(&ack(4, 1)).await;
    assert_eq!(done.done().await.unwrap().reason, ReasonCode::Success);
    let goodbye = tokio::spawn(async move { client.disconnect().await });
    peer.expect(DISCONNECT).await;
    peer.expect_end().await;
    drop(peer);
    goodbye.await.unwrap();
}

#[tokio::test]
async fn a_refusal_gives_the_servers_reason_and_words() {
    let server = Server::start().await;
    // Not authorized, reason string "no".
    let connack = [0x20, 8, 0, 0x87, 5, 0x1f, 0, 2, b'n', b'o'];
    let (client, _) = tokio::join!(Client::connect(options(&server)), server.welcome(&connack));
    let error = client.unwrap_err();
    assert!(matches!(&error, ConnectError::Refused { reason: ReasonCode::NotAuthorized, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("(0x87), it says \"no\""), "{text}");
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_where_and_why() {
    let server = Server::start().await;
    let options = options(&server);
    let url = server.url();
    drop(server);
    let error = Client::connect(options).await.unwrap_err().to_string();
    assert!(error.starts_with(&url) && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_not_waited_for_for_ever() {
    let server = Server::start().await;
    let options = options(&server).connect_timeout(Duration::from_millis(200));
    let (client, _silent) = tokio::join!(Client::connect(options), server.accept());
    let error = client.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { awaited: "CONNACK", .. }), "{error}");
}

#[tokio::test]
async fn qos_0_is_done_when_it_is_written() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server)).await;
    client.publish(message("t", "x", QoS::AtMostOnce).unwrap()).await.unwrap();
    peer.expect(&publish(0, "t", 0, b"x")).await;
}

#[tokio::test]
async fn qos_2_is_done_when_its_four_packets_are() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server)).await;
    let done = client.enqueue(message("t", "x", QoS::ExactlyOnce).unwrap()).await.unwrap();
    peer.expect(&publish(4, "t", 1, b"x")).await;
    peer.send(&ack(5, 1)).await;
    peer.expect(&ack(6, 1)).await;
    peer.send(&ack(7, 1)).await;
    assert_eq!(done.done().await.unwrap().reason, ReasonCode::Success);
}

#[tokio::test]
async fn messages_of_every_level_arrive_once_and_are_acknowledged() {
    let server = Server::start().await;
    let (_client, mut messages, mut peer) = connected(&server, options(&server)).await;
    peer.send(&publish(0, "t", 0, b"0")).await;
    peer.send(&publish(2, "t", 9, b"1")).await;
    peer.send(&publish(4, "t", 8, b"2")).await;
    peer.send(&publish(4 | 8, "t", 8, b"2")).await;
    peer.expect(&ack(4, 9)).await;
    peer.expect(&ack(5, 8)).await;
    peer.expect(&ack(5, 8)).await;
    peer.send(&ack(6, 8)).await;
    peer.expect(&ack(7, 8)).await;
    peer.send(&publish(0, "t", 0, b"end")).await;
    for payload in ["0", "1", "2", "end"] {
        assert_eq!(patiently(messages.recv()).await.unwrap().message.payload, payload);
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_on_the_next_connection() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server).session_expiry(60)).await;
    let first = client.enqueue(message("t", "1", QoS::AtLeastOnce).unwrap()).await.unwrap();
    let second = client.enqueue(message("t", "2", QoS::ExactlyOnce).unwrap()).await.unwrap();
    peer.expect(&publish(2, "t", 1, b"1")).await;
    peer.expect(&publish(4, "t", 2, b"2")).await;
    drop(peer);
    let (mut peer, connect) = server.welcome(CONNACK_PRESENT).await;
    assert_eq!(connect[9] & 2, 0, "a reconnect asks for the session that there is");
    peer.expect(&publish(2 | 8, "t", 1, b"1")).await;
    peer.expect(&publish(4 | 8, "t", 2, b"2")).await;
    peer.send(&ack(4, 1)).await;
    peer.send(&ack(5, 2)).await;
    peer.expect(&ack(6, 2)).await;
    drop(peer);
    let (mut peer, _) = server.welcome(CONNACK_PRESENT).await;
    peer.expect(&ack(6, 2)).await;
    peer.send(&ack(7, 2)).await;
    patiently(first.done()).await.unwrap();
    patiently(second.done()).await.unwrap();
    let State::Connected(connected) = client.state() else { panic!("not connected") };
    assert_eq!((connected.count, connected.session_present), (3, true));
}

#[tokio::test]
async fn where_the_session_is_gone_subscriptions_are_made_again() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server)).await;
    let subscribed = tokio::spawn(async move {
        let subscriptions = ["a", "refused"].map(|filter| subscription(filter, QoS::AtLeastOnce).unwrap());
        let reasons = client.subscribe(subscriptions).await.unwrap();
        (client, reasons)
    });
    let subscribe = peer.packet().await;
    assert_eq!(subscribe[..4], [0x82, 17, 0, 1]);
    peer.send(&[0x90, 5, 0, 1, 0, 1, 0x87]).await;
    let (client, reasons) = patiently(subscribed).await.unwrap();
    assert_eq!(reasons, [ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized]);
    drop(peer);
    let (mut peer, _) = server.welcome(CONNACK).await;
    peer.expect(&[0x82, 7, 0, 2, 0, 0, 1, b'a', 1]).await;
    peer.send(&[0x90, 4, 0, 2, 0, 1]).await;
    let filter = subscription("a", QoS::AtMostOnce).unwrap().filter;
    let ended = tokio::spawn(async move { (client.unsubscribe([filter]).await.unwrap(), client) });
    peer.expect(&[0xa2, 6, 0, 3, 0, 0, 1, b'a']).await;
    peer.send(&[0xb0, 4, 0, 3, 0, 0]).await;
    let (reasons, _client) = patiently(ended).await.unwrap();
    assert_eq!(reasons, [ReasonCode::Success]);
    drop(peer);
    let (mut peer, _) = server.welcome(CONNACK).await;
    peer.send(&publish(2, "t", 5, b"x")).await;
    peer.expect(&ack(4, 5)).await; // the first packet: no SUBSCRIBE came before it
}

#[tokio::test]
async fn a_client_that_is_not_to_reconnect_ends_and_says_why() {
    let server = Server::start().await;
    let (client, mut messages, mut peer) =
        connected(&server, options(&server).reconnect(Reconnect::Never)).await;
    let done = client.enqueue(message("t", "x", QoS::AtLeastOnce).unwrap()).await.unwrap();
    peer.expect(&publish(2, "t", 1, b"x")).await;
    drop(peer);
    assert!(matches!(patiently(done.done()).await, Err(RequestError::Closed(Cause::Closed))));
    assert!(patiently(messages.recv()).await.is_none());
    let late = client.publish(message("t", "x", QoS::AtMostOnce).unwrap()).await;
    assert!(matches!(late, Err(RequestError::Closed(Cause::Closed))));
}

#[tokio::test]
async fn a_client_whose_session_was_taken_over_stays_away() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server)).await;
    peer.send(&[0xe0, 2, 0x8e, 0]).await;
    let cause = ended(&client).await;
    assert!(matches!(cause, Cause::Server { reason: ReasonCode::SessionTakenOver, .. }), "{cause}");
}

#[tokio::test]
async fn a_client_whose_server_shuts_down_comes_back() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server)).await;
    peer.send(&[0xe0, 2, 0x8b, 0]).await;
    let (_peer, _) = server.welcome(CONNACK).await;
    let mut watch = client.watch();
    patiently(watch.wait_for(|state| matches!(state, State::Connected(it) if it.count == 2))).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_packet_are_answered_with_the_reason_and_a_new_connection() {
    let server = Server::start().await;
    let (_client, _messages, mut peer) = connected(&server, options(&server)).await;
    peer.send(&[0x00, 0x00]).await;
    peer.expect(&[0xe0, 1, 0x81]).await;
    peer.expect_end().await;
    drop(peer);
    server.welcome(CONNACK).await;
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_is_a_protocol_error() {
    let server = Server::start().await;
    let (client, _messages, mut peer) = connected(&server, options(&server)).await;
    let _done = client.enqueue(message("t", "x", QoS::AtLeastOnce).unwrap()).await.unwrap();
    peer.expect(&publish(2, "t", 1, b"x")).await;
    peer.send(&ack(7, 1)).await;
    peer.expect(&[0xe0, 1, 0x82]).await;
}

#[tokio::test]
async fn silence_is_broken_by_a_ping_and_a_ping_without_answer_ends_the_connection() {
    let server = Server::start().await;
    let asked = options(&server).keep_alive(1).ping_timeout(Duration::from_millis(200));
    let (_client, _messages, mut peer) = connected(&server, asked).await;
    peer.expect(&[0xc0, 0]).await;
    peer.send(&[0xd0, 0]).await;
    peer.expect(&[0xc0, 0]).await;
    server.welcome(CONNACK).await; // no answer: the client comes back
}

#[tokio::test]
async fn the_servers_keep_alive_holds() {
    let server = Server::start().await;
    let connack = [0x20, 6, 0, 0, 3, 0x13, 0, 1];
    let asked = options(&server).keep_alive(60_000);
    let (client, (mut peer, _)) = tokio::join!(Client::connect(asked), server.welcome(&connack));
    let _client = client.unwrap();
    peer.expect(&[0xc0, 0]).await;
}

#[tokio::test]
async fn while_the_application_takes_nothing_pings_go_on_and_nothing_is_lost() {
    let server = Server::start().await;
    let asked = options(&server)
        .keep_alive(1)
        .ping_timeout(Duration::from_millis(100))
        .messages_waiting_max(NonZeroU16::MIN);
    let (_client, mut messages, mut peer) = connected(&server, asked).await;
    for number in 0..100_u8 {
        peer.send(&publish(0, "t", 0, &[number])).await;
    }
    // Two rounds of pings: the missing answer to the first was not held against us.
    peer.expect(&[0xc0, 0]).await;
    peer.expect(&[0xc0, 0]).await;
    for number in 0..100_u8 {
        assert_eq!(patiently(messages.recv()).await.unwrap().message.payload[..], [number]);
    }
}

#[tokio::test]
async fn the_servers_receive_maximum_is_never_exceeded() {
    let server = Server::start().await;
    let connack = [0x20, 6, 0, 0, 3, 0x21, 0, 2];
    let asked = options(&server).keep_alive(1);
    let (client, (mut peer, _)) = tokio::join!(Client::connect(asked), server.welcome(&connack));
    let (client, _messages) = client.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(client.enqueue(message("t", "x", QoS::AtLeastOnce).unwrap()).await.unwrap());
    }
    peer.expect(&publish(2, "t", 1, b"x")).await;
    peer.expect(&publish(2, "t", 2, b"x")).await;
    // Nothing but a ping follows until there is an answer; every answer makes room for one more.
    peer.expect(&[0xc0, 0]).await;
    peer.send(&[0xd0, 0]).await;
    for id in 1..=5_u16 {
        peer.send(&ack(4, id)).await;
        if id <= 3 {
            peer.expect(&publish(2, "t", id + 2, b"x")).await;
        }
    }
    for done in waiting {
        patiently(done.done()).await.unwrap();
    }
}

#[tokio::test]
async fn a_packet_that_is_too_large_for_the_server_is_an_error_of_that_packet_alone() {
    let server = Server::start().await;
    let connack = [0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 40];
    let (client, (mut peer, _)) = tokio::join!(Client::connect(options(&server)), server.welcome(&connack));
    let (client, _messages) = client.unwrap();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let refused = client.publish(message("t", vec![0; 100], qos).unwrap()).await;
        assert!(matches!(refused, Err(RequestError::Unsendable(_))));
    }
    client.publish(message("t", "x", QoS::AtMostOnce).unwrap()).await.unwrap();
    peer.expect(&publish(0, "t", 0, b"x")).await;
}

#[tokio::test]
async fn a_client_says_goodbye_and_waits_for_the_servers_end() {
    let server = Server::start().await;
    let (client, mut messages, mut peer) = connected(&server, options(&server)).await;
    let goodbye = tokio::spawn(async move { client.disconnect().await });
    peer.expect(DISCONNECT).await;
    peer.expect_end().await;
    drop(peer);
    patiently(goodbye).await.unwrap();
    assert!(patiently(messages.recv()).await.is_none());
}

#[tokio::test]
async fn a_client_that_nobody_holds_any_more_says_goodbye() {
    let server = Server::start().await;
    let (client, messages, mut peer) = connected(&server, options(&server)).await;
    drop((client, messages));
    peer.expect(DISCONNECT).await;
}

#[tokio::test]
async fn who_drops_messages_still_publishes() {
    let server = Server::start().await;
    let (client, messages, mut peer) = connected(&server, options(&server)).await;
    drop(messages);
    peer.send(&publish(2, "t", 3, b"x")).await;
    peer.expect(&ack(4, 3)).await;
    client.publish(message("t", "x", QoS::AtMostOnce).unwrap()).await.unwrap();
    peer.expect(&publish(0, "t", 0, b"x")).await;
}

#[tokio::test]
async fn goodbye_can_be_said_while_there_is_no_connection() {
    let server = Server::start().await;
    let slow = Reconnect::Backoff { first: Duration::from_secs(3_600), max: Duration::from_secs(3_600) };
    let (client, _messages, peer) = connected(&server, options(&server).reconnect(slow)).await;
    drop(peer);
    let mut watch = client.watch();
    patiently(watch.wait_for(|state| matches!(state, State::Reconnecting { attempt: 1, .. }))).await.unwrap();
    patiently(client.disconnect()).await;
    assert!(matches!(client.state(), State::Ended(Cause::Goodbye)));
}
