//! Sections 3.1.2.5 to 3.1.2.7, 3.1.3.2 and 3.1.3.3: the will.

use crate::bytes::{Bytes, Connect, code, connect_flag, disconnect_with, first_byte, property};
use crate::client::Client;
use crate::packet::Publish;
use crate::scene::{Scene, Version};

conformance_tests! { both:
    a_will_is_published_when_the_connection_breaks,
    a_will_is_published_when_the_client_breaks_a_rule,
    a_will_is_published_once,
    a_goodbye_discards_the_will,
    without_the_will_flag_nothing_is_published,
    a_will_has_the_qos_that_it_asks_for,
    a_will_without_will_retain_is_not_retained,
    a_will_with_will_retain_is_retained,
    a_takeover_publishes_the_will,
}

conformance_tests! { v5:
    disconnect_with_will_message_publishes_the_will,
    a_delayed_will_is_published_when_the_session_ends_first,
    properties_of_a_will_go_on_as_they_came,
}

conformance_tests! { v5 together:
    a_client_that_is_back_in_time_has_no_will_published,
    a_delayed_will_is_published_when_its_delay_is_over,
}

/// A delay that no test waits for.
const LONG_DELAY_SECONDS: u32 = 300;

async fn watcher(scene: &Scene, topic: &str) -> Client {
    let mut watcher = scene.connect("watcher").await;
    watcher.subscribe(topic, 2).await;
    watcher
}

fn delay(seconds: u32) -> Bytes {
    Bytes::new().u8(property::WILL_DELAY_INTERVAL).u32(seconds)
}

/// A connection that ends without DISCONNECT.
///
/// 5.0: MQTT-3.1.2-7, MQTT-3.1.2-8.
/// 3.1.1: MQTT-3.1.2-8.
async fn a_will_is_published_when_the_connection_breaks(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (client, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone")).await;
    client.vanish();
    let Publish { topic: on, payload, .. } = watcher.publish().await;
    assert_eq!((on, payload), (topic, b"gone".to_vec()));
}

/// The broker closes, and the will counts.
///
/// 5.0: MQTT-3.1.2-8.
/// 3.1.1: MQTT-3.1.2-8.
async fn a_will_is_published_when_the_client_breaks_a_rule(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (mut client, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone")).await;
    client.send(scene.hello("client").bytes()).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
    assert_eq!(watcher.publish().await.payload, b"gone");
}

/// The session goes on, its will does not: the second connection has none.
///
/// 5.0: MQTT-3.1.2-10.
/// 3.1.1: MQTT-3.1.2-10.
async fn a_will_is_published_once(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (client, _) = scene.connect_as(&scene.hello("client").kept().will(&topic, "gone")).await;
    client.vanish();
    assert_eq!(watcher.publish().await.payload, b"gone");

    let (client, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present);
    client.vanish();
    // A third connection proves that the end of the second one was noticed.
    let (client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    client.leave().await;
    watcher.hears_nothing().await;
}

/// DISCONNECT with reason code 0x00, and any DISCONNECT of 3.1.1.
///
/// 5.0: MQTT-3.1.2-8, MQTT-3.1.2-10, MQTT-3.14.4-3.
/// 3.1.1: MQTT-3.1.2-8, MQTT-3.1.2-10, MQTT-3.14.4-3.
async fn a_goodbye_discards_the_will(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (client, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone")).await;
    client.leave().await;
    watcher.hears_nothing().await;
}

/// A client without a will that vanishes.
///
/// 5.0: MQTT-3.1.2-8.
/// 3.1.1: MQTT-3.1.2-12.
async fn without_the_will_flag_nothing_is_published(scene: Scene) {
    let mut watcher = watcher(&scene, &scene.topic("#")).await;
    let (client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.vanish();
    let (client, _) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    client.leave().await;
    watcher.hears_nothing().await;
}

/// The will QoS of the flags is the QoS of the message.
///
/// 5.0: MQTT-3.1.2-9, MQTT-3.1.2-12.
/// 3.1.1: MQTT-3.1.2-9, MQTT-3.1.2-14.
async fn a_will_has_the_qos_that_it_asks_for(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    for (flag, qos) in [(0, 0), (connect_flag::WILL_QOS_1, 1), (connect_flag::WILL_QOS_2, 2)] {
        let (client, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone").flag(flag)).await;
        client.vanish();
        assert_eq!(watcher.accept().await.qos, qos);
    }
}

/// It reaches who is subscribed, and nobody later.
///
/// 5.0: MQTT-3.1.2-14.
/// 3.1.1: MQTT-3.1.2-16.
async fn a_will_without_will_retain_is_not_retained(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (client, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone")).await;
    client.vanish();
    assert!(!watcher.publish().await.retain);
    let mut late = scene.connect("late").await;
    late.subscribe(&topic, 0).await;
    late.hears_nothing().await;
}

/// It reaches who subscribes later, too.
///
/// 5.0: MQTT-3.1.2-15.
/// 3.1.1: MQTT-3.1.2-17.
async fn a_will_with_will_retain_is_retained(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let connect = scene.hello("client").will(&topic, "gone").flag(connect_flag::WILL_RETAIN);
    let (client, _) = scene.connect_as(&connect).await;
    client.vanish();
    assert_eq!(watcher.publish().await.payload, b"gone");
    let mut late = scene.connect("late").await;
    late.subscribe(&topic, 0).await;
    let publish = late.publish().await;
    assert_eq!((publish.payload, publish.retain), (b"gone".to_vec(), true));
}

/// The connection that is taken over did not say goodbye.
///
/// 5.0: MQTT-3.1.2-8, MQTT-3.1.4-3.
/// 3.1.1: MQTT-3.1.2-8, MQTT-3.1.4-2.
async fn a_takeover_publishes_the_will(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (_first, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone")).await;
    let _second = scene.connect("client").await;
    assert_eq!(watcher.publish().await.payload, b"gone");
}

/// Reason code 0x04 asks for it; so does any other but 0x00.
///
/// 5.0: MQTT-3.1.2-8.
async fn disconnect_with_will_message_publishes_the_will(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    for reason in [code::DISCONNECT_WITH_WILL_MESSAGE, code::UNSPECIFIED_ERROR] {
        let (mut client, _) = scene.connect_as(&scene.hello("client").will(&topic, "gone")).await;
        client.send(disconnect_with(reason)).await;
        client.closed().await;
        assert_eq!(watcher.publish().await.payload, b"gone");
    }
}

/// A new connection to the session within the will delay.
///
/// 5.0: MQTT-3.1.3-9, MQTT-3.1.2-8.
async fn a_client_that_is_back_in_time_has_no_will_published(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let delayed = |connect: Connect| connect.kept().will_with(delay(1), &topic, "gone");
    let (client, _) = scene.connect_as(&delayed(scene.hello("client"))).await;
    client.vanish();
    let (mut client, connack) = scene.connect_as(&scene.hello("client").kept().resume()).await;
    assert!(connack.session_present);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await; // longer than the delay
    client.hears_nothing().await;
    watcher.hears_nothing().await;
}

/// One second, and not before.
///
/// 5.0: MQTT-3.1.2-8.
async fn a_delayed_will_is_published_when_its_delay_is_over(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let (client, _) =
        scene.connect_as(&scene.hello("client").kept().will_with(delay(1), &topic, "gone")).await;
    let before = tokio::time::Instant::now();
    client.vanish();
    assert_eq!(watcher.publish().await.payload, b"gone");
    assert!(before.elapsed().as_millis() >= 900, "published after {:?}", before.elapsed());
}

/// Clean start ends the old session, and with it the wait.
///
/// 5.0: MQTT-3.1.2-8, MQTT-3.1.2-4.
async fn a_delayed_will_is_published_when_the_session_ends_first(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let will = delay(LONG_DELAY_SECONDS);
    let (client, _) =
        scene.connect_as(&scene.hello("client").kept().will_with(will.clone(), &topic, "1")).await;
    client.vanish();
    let _new_session = scene.connect("client").await;
    assert_eq!(watcher.publish().await.payload, b"1");

    // So does a session that was not to outlive its connection.
    let (client, _) = scene.connect_as(&scene.hello("other").will_with(will.clone(), &topic, "2")).await;
    client.vanish();
    assert_eq!(watcher.publish().await.payload, b"2");

    // And a DISCONNECT that ends it.
    let (mut client, _) = scene.connect_as(&scene.hello("third").kept().will_with(will, &topic, "3")).await;
    let expiry = Bytes::new().u8(property::SESSION_EXPIRY_INTERVAL).u32(0);
    let with_will = Bytes::new().u8(code::DISCONNECT_WITH_WILL_MESSAGE).properties(Version::V5, &expiry);
    client.send(with_will.packet(first_byte::DISCONNECT)).await;
    client.closed().await;
    assert_eq!(watcher.publish().await.payload, b"3");
}

/// All that a will may carry, user properties in their order.
///
/// 5.0: MQTT-3.1.3-10, MQTT-3.1.2-9.
async fn properties_of_a_will_go_on_as_they_came(scene: Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(&scene, &topic).await;
    let properties = Bytes::new()
        .u8(property::USER_PROPERTY)
        .pair("b", "2")
        .u8(property::PAYLOAD_FORMAT_INDICATOR)
        .u8(1)
        .u8(property::USER_PROPERTY)
        .pair("a", "1")
        .u8(property::CONTENT_TYPE)
        .string("text/plain")
        .u8(property::RESPONSE_TOPIC)
        .string("answers")
        .u8(property::CORRELATION_DATA)
        .string([0xFF, 0x00])
        .u8(property::MESSAGE_EXPIRY_INTERVAL)
        .u32(600)
        .u8(property::USER_PROPERTY)
        .pair("b", "2");
    let (client, _) = scene.connect_as(&scene.hello("client").will_with(properties, &topic, "gone")).await;
    client.vanish();
    let properties = watcher.publish().await.properties;
    assert_eq!(properties.user(), [("b", "2"), ("a", "1"), ("b", "2")]);
    assert_eq!(properties.number(property::PAYLOAD_FORMAT_INDICATOR), Some(1));
    assert_eq!(properties.text(property::CONTENT_TYPE), Some("text/plain"));
    assert_eq!(properties.text(property::RESPONSE_TOPIC), Some("answers"));
    assert_eq!(properties.binary(property::CORRELATION_DATA), Some([0xFF, 0x00].as_slice()));
    let expiry = properties.number(property::MESSAGE_EXPIRY_INTERVAL).expect("the message expires");
    assert!((590..=600).contains(&expiry), "{expiry}");
    assert!(!properties.has(property::WILL_DELAY_INTERVAL));
}
