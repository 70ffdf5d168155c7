//! Sections 3.1.2.4, 3.1.2.11.2, 3.1.3.1, 3.1.4 and 4.1: whose session it is, whether it goes on, and for how long.

use std::time::Duration;

use crate::bytes::{Bytes, Connect, Publish, code, first_byte, property};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    clean_start_discards_the_session_there_was,
    a_session_goes_on_where_it_was_left,
    without_a_session_a_new_one_is_made,
    a_kept_session_collects_messages_while_its_client_is_away,
    a_session_that_is_not_kept_ends_with_its_connection,
    the_same_identifier_takes_the_connection_over,
    a_takeover_can_keep_the_session,
    an_empty_client_identifier_is_replaced_by_a_new_one,
    retained_messages_outlive_sessions,
    sessions_belong_to_client_identifiers,
}

conformance_tests! { v5:
    disconnect_can_shorten_the_session,
}

conformance_tests! { both together:
    a_session_lasts_at_least_as_long_as_its_connection,
}

conformance_tests! { v5 together:
    a_session_ends_when_its_expiry_interval_is_over,
}

/// The subscription of the old session is gone, and CONNACK says so.
///
/// 5.0: MQTT-3.1.2-4, MQTT-3.1.4-4, MQTT-3.2.2-2.
/// 3.1.1: MQTT-3.1.2-6, MQTT-3.1.4-3, MQTT-3.2.2-1.
async fn clean_start_discards_the_session_there_was(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 1).await;
    client.leave().await;

    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    assert!(!connack.session_present);
    client.tell(&topic, "a").await;
    client.hears_nothing().await;
    client.leave().await;

    let (_, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(!connack.session_present, "the discarded session does not come back");
}

/// The subscription is still there, and CONNACK says so.
///
/// 5.0: MQTT-3.1.2-5, MQTT-3.1.2-23, MQTT-3.2.2-3, MQTT-4.1.0-1.
/// 3.1.1: MQTT-3.1.2-4, MQTT-3.2.2-2, MQTT-4.1.0-1.
async fn a_session_goes_on_where_it_was_left(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 1).await;
    client.leave().await;

    let (mut client, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present);
    client.send(Publish::new(scene.version, &topic, "a").bytes()).await;
    assert_eq!(client.publish().await.payload, b"a");
}

/// Nothing to go on with: session present is 0, and the client is served.
///
/// 5.0: MQTT-3.1.2-6, MQTT-3.2.2-3.
/// 3.1.1: MQTT-3.1.2-4, MQTT-3.2.2-3.
async fn without_a_session_a_new_one_is_made(scene: Scene) {
    let (client, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(!connack.session_present);
    client.leave().await;
    let (_, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present, "the new session was stored");
}

/// QoS 1 and 2 wait, in their order.
///
/// 5.0: MQTT-3.1.2-23, MQTT-4.5.0-1.
/// 3.1.1: MQTT-3.1.2-5, MQTT-4.5.0-1.
async fn a_kept_session_collects_messages_while_its_client_is_away(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 2).await;
    client.leave().await;

    let mut publisher = scene.connect("publisher").await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1)).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(2, 2)).await;

    let (mut client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    let (first, second) = (client.accept().await, client.accept().await);
    assert_eq!((first.qos, first.payload), (1, b"1".to_vec()));
    assert_eq!((second.qos, second.payload), (2, b"2".to_vec()));
}

/// Clean Session 1, or no session expiry interval: nothing of it is left.
///
/// 5.0: MQTT-4.1.0-2, MQTT-3.2.2-3.
/// 3.1.1: MQTT-3.1.2-6, MQTT-3.2.2-3.
async fn a_session_that_is_not_kept_ends_with_its_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.subscribe(&scene.topic("a"), 1).await;
    client.leave().await;
    let (_, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(!connack.session_present);
}

/// The first connection is told why, and closed.
///
/// 5.0: MQTT-3.1.4-3, MQTT-3.1.3-2.
/// 3.1.1: MQTT-3.1.4-2, MQTT-3.1.3-2.
async fn the_same_identifier_takes_the_connection_over(scene: Scene) {
    let mut first = scene.connect("client").await;
    let mut second = scene.connect("client").await;
    first.closed_with(code::SESSION_TAKEN_OVER).await;
    second.hears_nothing().await;
}

/// The session moves to the new connection with its subscriptions.
///
/// 5.0: MQTT-3.1.4-3, MQTT-3.1.2-5, MQTT-4.1.0-1.
/// 3.1.1: MQTT-3.1.4-2, MQTT-3.1.2-4, MQTT-4.1.0-1.
async fn a_takeover_can_keep_the_session(scene: Scene) {
    let topic = scene.topic("a");
    let (mut first, _) = scene.connect_as(&scene.hello("client").kept()).await;
    first.subscribe(&topic, 1).await;
    let (mut second, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present);
    first.closed_with(code::SESSION_TAKEN_OVER).await;
    second.send(Publish::new(scene.version, &topic, "a").bytes()).await;
    assert_eq!(second.publish().await.payload, b"a");
}

/// Two clients without a name are two clients; 5.0 tells each the name that it was given, and the name works.
///
/// 5.0: MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16.
/// 3.1.1: MQTT-3.1.3-6.
async fn an_empty_client_identifier_is_replaced_by_a_new_one(scene: Scene) {
    let nameless = Connect::new(scene.version, "");
    let (mut first, first_connack) = scene.connect_as(&nameless).await;
    let (mut second, second_connack) = scene.connect_as(&nameless).await;
    first.hears_nothing().await;
    second.hears_nothing().await;
    if scene.version == Version::V311 {
        return;
    }
    let assigned = |connack: &crate::packet::ConnAck| {
        let text = connack.properties.text(property::ASSIGNED_CLIENT_IDENTIFIER);
        text.expect("a client without a name is given one").to_owned()
    };
    let (first_id, second_id) = (assigned(&first_connack), assigned(&second_connack));
    assert!(!first_id.is_empty() && first_id != second_id, "{first_id:?}, {second_id:?}");
    let (_, connack) = scene.connect_as(&Connect::new(scene.version, &first_id)).await;
    assert!(!connack.properties.has(property::ASSIGNED_CLIENT_IDENTIFIER), "this client has a name");
    first.closed_with(code::SESSION_TAKEN_OVER).await;
}

/// What is retained belongs to the topic.
///
/// 5.0: MQTT-3.3.1-5.
/// 3.1.1: MQTT-3.1.2-7, MQTT-3.3.1-5.
async fn retained_messages_outlive_sessions(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("client").await;
    publisher.deliver(&Publish::new(scene.version, &topic, "kept").qos(1, 1).retain()).await;
    publisher.leave().await;
    let mut subscriber = scene.connect("client").await;
    subscriber.subscribe(&topic, 0).await;
    assert_eq!(subscriber.publish().await.payload, b"kept");
}

/// Identifiers are compared byte by byte: case, a space and a byte order mark make another client.
///
/// 5.0: MQTT-3.1.3-2.
/// 3.1.1: MQTT-3.1.3-2.
async fn sessions_belong_to_client_identifiers(scene: Scene) {
    let name = scene.client_id("client");
    let others = [name.to_uppercase(), format!("{name} "), format!("\u{FEFF}{name}")];
    let (mut client, _) = scene.connect_as(&Connect::new(scene.version, &name).kept()).await;
    for other in others {
        let (other, connack) = scene.connect_as(&Connect::new(scene.version, other).kept().resume()).await;
        assert!(!connack.session_present);
        other.leave().await;
    }
    client.hears_nothing().await;
}

/// One second of absence is too long for this session.
///
/// 5.0: MQTT-4.1.0-2.
async fn a_session_ends_when_its_expiry_interval_is_over(scene: Scene) {
    let (client, _) = scene.connect_as(&scene.hello("client").session_expiry(1)).await;
    client.leave().await;
    tokio::time::sleep(Duration::from_millis(1500)).await; // a rule about time: the interval itself, and a margin
    let (_, connack) = scene.connect_as(&scene.hello("client").resume()).await;
    assert!(!connack.session_present);
}

/// Session expiry interval 0 in DISCONNECT.
///
/// 5.0: MQTT-4.1.0-2.
async fn disconnect_can_shorten_the_session(scene: Scene) {
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    let expiry = Bytes::new().u8(property::SESSION_EXPIRY_INTERVAL).u32(0);
    client.send(Bytes::new().u8(0).properties(Version::V5, &expiry).packet(first_byte::DISCONNECT)).await;
    client.closed().await;
    let (_, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(!connack.session_present);

    // It cannot lengthen what was zero (3.14.2.2.2).
    let mut client = scene.connect("other").await;
    let expiry = Bytes::new().u8(property::SESSION_EXPIRY_INTERVAL).u32(1);
    client.send(Bytes::new().u8(0).properties(Version::V5, &expiry).packet(first_byte::DISCONNECT)).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// Even one that ends with it; the expiry interval of 5.0 begins when the connection ends.
///
/// 5.0: MQTT-4.1.0-1.
/// 3.1.1: MQTT-4.1.0-2.
async fn a_session_lasts_at_least_as_long_as_its_connection(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").session_expiry(1)).await;
    client.subscribe(&topic, 0).await;
    tokio::time::sleep(Duration::from_millis(1500)).await; // longer than the interval
    client.tell(&topic, "a").await;
    let heard = client.fence().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
}
