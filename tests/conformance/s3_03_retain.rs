//! Section 3.3.1.3: retained messages, and the subscription options about them (3.8.3.1).

use crate::bytes::{Publish, option};
use crate::client::Client;
use crate::scene::Scene;

conformance_tests! { both:
    a_retained_message_waits_for_its_subscribers,
    a_retained_message_replaces_the_one_before_it,
    an_empty_message_removes_what_was_retained,
    a_message_without_retain_leaves_what_was_retained,
    retain_is_set_for_a_new_subscription_and_clear_for_an_established_one,
    a_retained_message_has_the_lower_of_both_qos,
    every_retained_message_that_matches_is_sent,
    the_same_subscription_again_is_sent_what_is_retained,
}

conformance_tests! { v5:
    retain_handling_1_sends_to_new_subscriptions_only,
    retain_handling_2_sends_nothing,
    retain_as_published_keeps_the_flag,
}

async fn retain(scene: &Scene, topic: &str, payload: &str) {
    let mut publisher = scene.connect("publisher").await;
    publisher.deliver(&Publish::new(scene.version, topic, payload).qos(1, 1).retain()).await;
}

async fn subscriber(scene: &Scene, filter: &str, options: u8) -> Client {
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(filter, options).await;
    subscriber
}

/// The publisher has gone, the message is there.
///
/// 5.0: MQTT-3.3.1-5, MQTT-3.3.1-9.
/// 3.1.1: MQTT-3.3.1-5, MQTT-3.3.1-6.
async fn a_retained_message_waits_for_its_subscribers(scene: Scene) {
    let topic = scene.topic("a");
    retain(&scene, &topic, "kept").await;
    for _ in 0..2 {
        let mut subscriber = subscriber(&scene, &topic, 1).await;
        let publish = subscriber.accept().await;
        assert_eq!((publish.topic, publish.payload), (topic.clone(), b"kept".to_vec()));
        subscriber.hears_nothing().await;
    }
}

/// The last one counts, at whatever QoS it came.
///
/// 5.0: MQTT-3.3.1-5.
/// 3.1.1: MQTT-3.3.1-5, MQTT-3.3.1-7.
async fn a_retained_message_replaces_the_one_before_it(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("publisher").await;
    for (qos, payload) in [(1, "first"), (2, "second"), (0, "third")] {
        publisher.deliver(&Publish::new(scene.version, &topic, payload).qos(qos, 1).retain()).await;
    }
    publisher.hears_nothing().await;
    let mut subscriber = subscriber(&scene, &topic, 2).await;
    assert_eq!(subscriber.accept().await.payload, b"third");
    subscriber.hears_nothing().await;
}

/// It is delivered like any other message, and then nothing is retained.
///
/// 5.0: MQTT-3.3.1-6, MQTT-3.3.1-7.
/// 3.1.1: MQTT-3.3.1-10, MQTT-3.3.1-11.
async fn an_empty_message_removes_what_was_retained(scene: Scene) {
    let topic = scene.topic("a");
    retain(&scene, &topic, "kept").await;
    let mut established = scene.connect("established").await;
    established.subscribe(&topic, 0).await;
    assert_eq!(established.publish().await.payload, b"kept");

    retain(&scene, &topic, "").await;
    let publish = established.publish().await;
    assert_eq!((publish.payload, publish.retain), (Vec::new(), false));
    subscriber(&scene, &topic, 0).await.hears_nothing().await;
}

/// It is delivered, and the retained one stays as it is, be there one or not.
///
/// 5.0: MQTT-3.3.1-8.
/// 3.1.1: MQTT-3.3.1-12.
async fn a_message_without_retain_leaves_what_was_retained(scene: Scene) {
    let (with, without) = (scene.topic("with"), scene.topic("without"));
    retain(&scene, &with, "kept").await;
    let mut publisher = scene.connect("publisher").await;
    publisher.tell(&with, "passing").await;
    publisher.tell(&with, "").await;
    publisher.tell(&without, "passing").await;
    let mut subscriber = subscriber(&scene, &scene.topic("+"), 0).await;
    assert_eq!(subscriber.publish().await.payload, b"kept");
    subscriber.hears_nothing().await;
}

/// So a client can tell news from what was there before.
///
/// 5.0: MQTT-3.3.1-12, MQTT-3.3.1-9.
/// 3.1.1: MQTT-3.3.1-8, MQTT-3.3.1-9.
async fn retain_is_set_for_a_new_subscription_and_clear_for_an_established_one(scene: Scene) {
    let topic = scene.topic("a");
    retain(&scene, &topic, "old").await;
    let mut subscriber = subscriber(&scene, &topic, 0).await;
    let publish = subscriber.publish().await;
    assert_eq!((publish.payload, publish.retain), (b"old".to_vec(), true));
    retain(&scene, &topic, "new").await;
    let publish = subscriber.publish().await;
    assert_eq!((publish.payload, publish.retain), (b"new".to_vec(), false));
}

/// The QoS is kept with the message.
///
/// 5.0: MQTT-3.8.4-8, MQTT-3.3.1-5.
/// 3.1.1: MQTT-3.3.1-5, MQTT-3.8.4-6.
async fn a_retained_message_has_the_lower_of_both_qos(scene: Scene) {
    let mut publisher = scene.connect("publisher").await;
    for qos in [0, 1, 2] {
        let topic = scene.topic(&qos.to_string());
        publisher.deliver(&Publish::new(scene.version, &topic, "kept").qos(qos, 1).retain()).await;
        publisher.hears_nothing().await;
        for granted in [0, 1, 2] {
            let mut subscriber = subscriber(&scene, &topic, granted).await;
            assert_eq!(subscriber.accept().await.qos, qos.min(granted));
        }
    }
}

/// One for each topic under the filter.
///
/// 5.0: MQTT-3.3.1-9.
/// 3.1.1: MQTT-3.3.1-6.
async fn every_retained_message_that_matches_is_sent(scene: Scene) {
    let topics = ["a", "a/b", "a/b/c", "a/c"].map(|end| scene.topic(end));
    for topic in &topics {
        retain(&scene, topic, topic).await;
    }
    retain(&scene, &scene.topic("b"), "another").await;
    let mut subscriber = subscriber(&scene, &scene.topic("a/#"), 0).await;
    let mut heard = Vec::new();
    for _ in &topics {
        let publish = subscriber.publish().await;
        assert_eq!(publish.payload, publish.topic.as_bytes());
        heard.push(publish.topic);
    }
    heard.sort_unstable();
    assert_eq!(heard, topics);
    subscriber.hears_nothing().await;
}

/// Replacing the subscription is subscribing.
///
/// 5.0: MQTT-3.8.4-4, MQTT-3.3.1-9.
/// 3.1.1: MQTT-3.8.4-3, MQTT-3.3.1-6.
async fn the_same_subscription_again_is_sent_what_is_retained(scene: Scene) {
    let topic = scene.topic("a");
    retain(&scene, &topic, "kept").await;
    let mut subscriber = scene.connect("subscriber").await;
    for _ in 0..2 {
        subscriber.subscribe(&topic, 0).await;
        let publish = subscriber.publish().await;
        assert_eq!((publish.payload, publish.retain), (b"kept".to_vec(), true));
    }
}

/// The same filter again is not new; after UNSUBSCRIBE it is.
///
/// 5.0: MQTT-3.3.1-10.
async fn retain_handling_1_sends_to_new_subscriptions_only(scene: Scene) {
    let topic = scene.topic("a");
    retain(&scene, &topic, "kept").await;
    let mut subscriber = subscriber(&scene, &topic, option::RETAIN_IF_NEW).await;
    assert_eq!(subscriber.publish().await.payload, b"kept");
    subscriber.subscribe(&topic, option::RETAIN_IF_NEW).await;
    subscriber.hears_nothing().await;
    subscriber.unsubscribe(&topic).await;
    subscriber.subscribe(&topic, option::RETAIN_IF_NEW).await;
    assert_eq!(subscriber.publish().await.payload, b"kept");
}

/// Neither at first nor later.
///
/// 5.0: MQTT-3.3.1-11.
async fn retain_handling_2_sends_nothing(scene: Scene) {
    let topic = scene.topic("a");
    retain(&scene, &topic, "kept").await;
    let mut subscriber = subscriber(&scene, &topic, option::RETAIN_NEVER).await;
    subscriber.subscribe(&topic, option::RETAIN_NEVER).await;
    subscriber.hears_nothing().await;
}

/// With the option the flag arrives as it was sent, without it it is cleared; both on established subscriptions.
///
/// 5.0: MQTT-3.3.1-12, MQTT-3.3.1-13.
async fn retain_as_published_keeps_the_flag(scene: Scene) {
    let topic = scene.topic("a");
    let mut keeps = scene.connect("keeps").await;
    keeps.subscribe(&topic, option::RETAIN_AS_PUBLISHED).await;
    let mut clears = scene.connect("clears").await;
    clears.subscribe(&topic, 0).await;
    let mut publisher = scene.connect("publisher").await;
    publisher.deliver(&Publish::new(scene.version, &topic, "1").qos(1, 1).retain()).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "2").qos(1, 2)).await;
    for (subscriber, flags) in [(&mut keeps, [true, false]), (&mut clears, [false, false])] {
        for flag in flags {
            assert_eq!(subscriber.publish().await.retain, flag);
        }
    }
}
