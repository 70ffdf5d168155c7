//! Section 4.7: topic names and filters, and which matches which.

use crate::bytes::{Publish, code, subscribe, unsubscribe};
use crate::client::Client;
use crate::packet::{Packet, publishes};
use crate::scene::{Scene, Version};

conformance_tests! { both:
    wildcards_match_whole_levels,
    a_misplaced_wildcard_closes_the_connection,
    an_empty_topic_or_filter_closes_the_connection,
    wildcards_do_not_reach_topics_that_begin_with_a_dollar,
    the_longest_topic_is_served,
    nothing_is_normalised,
}

/// Topics that reach a subscriber of this filter, of those that are published.
async fn matched(scene: &Scene, filter: &str, topics: &[&str]) -> Vec<String> {
    let mut client = scene.connect("client").await;
    client.subscribe(&scene.topic(filter), 0).await;
    for topic in topics {
        client.send(Publish::new(scene.version, scene.topic(topic), "").bytes()).await;
    }
    let prefix = scene.topic("");
    let heard = client.fence().await;
    publishes(&heard).iter().map(|publish| publish.topic[prefix.len()..].to_owned()).collect()
}

/// `#` takes the parent and all below, `+` exactly one level, an empty one included.
///
/// 5.0: MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-3.3.2-3.
/// 3.1.1: MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-3.3.2-3.
async fn wildcards_match_whole_levels(scene: Scene) {
    let topics =
        ["sport", "sport/", "sport/a", "sport/a/b", "sport/a/b/c", "sports", "/sport", "other/a", "//"];
    let cases: [(&str, &[&str]); 12] = [
        ("sport/#", &["sport", "sport/", "sport/a", "sport/a/b", "sport/a/b/c"]),
        ("sport/+", &["sport/", "sport/a"]),
        ("sport/+/+", &["sport/a/b"]),
        ("+/a", &["sport/a", "other/a"]),
        ("+/+", &["sport/", "sport/a", "/sport", "other/a"]),
        ("+", &["sport", "sports"]),
        ("sport/+/#", &["sport/", "sport/a", "sport/a/b", "sport/a/b/c"]),
        ("+/a/#", &["sport/a", "sport/a/b", "sport/a/b/c", "other/a"]),
        ("/+", &["/sport"]),
        ("+/+/+", &["sport/a/b", "//"]),
        ("sport", &["sport"]),
        ("#", &topics),
    ];
    for (filter, expected) in cases {
        assert_eq!(matched(&scene, filter, &topics).await, expected, "{filter}");
    }
}

/// In SUBSCRIBE the connection ends, or 5.0 says Topic Filter invalid; nothing is granted.
///
/// 5.0: MQTT-4.7.1-1, MQTT-4.7.1-2.
/// 3.1.1: MQTT-4.7.1-2, MQTT-4.7.1-3.
async fn a_misplaced_wildcard_closes_the_connection(scene: Scene) {
    for wrong in ["a#", "a/#/b", "#/a", "a/b#", "##", "a+", "+a", "a/+b", "a/b+/c", "++", "#+"] {
        let mut client = scene.connect("client").await;
        client.send(subscribe(scene.version, 1, &[(&scene.topic(wrong), 0)])).await;
        refused(&mut client).await;
    }
}

/// Return code of SUBACK in 3.1.1.
const SUBACK_FAILURE: u8 = 0x80;

/// The answer to a filter that is none: DISCONNECT with a fitting code and the close, or a SUBACK that refuses.
async fn refused(client: &mut Client) {
    match client.next_or_close().await {
        None => assert_eq!(client.version, Version::V311, "5.0 says why"),
        Some(Packet::Disconnect(reason)) => {
            assert!(
                [code::MALFORMED_PACKET, code::PROTOCOL_ERROR, code::TOPIC_FILTER_INVALID]
                    .contains(&reason.code),
                "{reason:?}"
            );
            client.closed().await;
        }
        Some(Packet::SubAck(suback)) => {
            let failure =
                if client.version == Version::V5 { code::TOPIC_FILTER_INVALID } else { SUBACK_FAILURE };
            assert_eq!(suback.codes, [failure]);
        }
        Some(other) => panic!("a refusal was due, not {other:?}"),
    }
}

/// To publish, to subscribe, to unsubscribe, and for a will.
///
/// 5.0: MQTT-4.7.3-1.
/// 3.1.1: MQTT-4.7.3-1.
async fn an_empty_topic_or_filter_closes_the_connection(scene: Scene) {
    let empty = [
        Publish::new(scene.version, "", "").bytes(),
        subscribe(scene.version, 1, &[("", 0)]),
        unsubscribe(scene.version, 1, &[""]),
    ];
    for packet in empty {
        let mut client = scene.connect("client").await;
        client.send(packet).await;
        client.closed_as_wrong_or(code::TOPIC_FILTER_INVALID).await;
    }
    let mut client = scene.open().await;
    client.send(scene.hello("client").will("", "").bytes()).await;
    match client.next_or_close().await {
        None => {}
        Some(Packet::ConnAck(connack)) => {
            assert!(
                [code::MALFORMED_PACKET, code::PROTOCOL_ERROR, code::TOPIC_NAME_INVALID]
                    .contains(&connack.code)
                    && scene.version == Version::V5,
                "{connack:?}"
            );
        }
        Some(other) => panic!("a refusal was due, not {other:?}"),
    }
}

/// Neither `#` nor `+` in the first level; a filter that names the level does.
///
/// 5.0: MQTT-4.7.2-1.
/// 3.1.1: MQTT-4.7.2-1.
async fn wildcards_do_not_reach_topics_that_begin_with_a_dollar(scene: Scene) {
    let (plain, dollar) =
        (format!("plain/{}", scene.topic("a")), format!("$conformance/{}", scene.topic("a")));
    let mut publisher = scene.connect("publisher").await;
    for filter in ["#".to_owned(), format!("+/{}", scene.topic("a")), "+/#".to_owned()] {
        let mut client = scene.connect("client").await;
        client.subscribe(&filter, 0).await;
        publisher.tell(&dollar, "").await;
        publisher.tell(&plain, "").await;
        // Other tests publish below `#`, too.
        let heard = client.fence().await;
        let ours = publishes(&heard).into_iter().filter(|publish| publish.topic.ends_with(&scene.topic("a")));
        let topics: Vec<&str> = ours.map(|publish| publish.topic.as_str()).collect();
        assert_eq!(topics, [plain.as_str()], "{filter}");
    }
    let mut client = scene.connect("client").await;
    client.subscribe(&format!("$conformance/{}", scene.topic("+")), 0).await;
    publisher.tell(&dollar, "").await;
    assert_eq!(client.publish().await.topic, dollar);
}

/// 65,535 bytes, which is all that the length of a string can say.
///
/// 5.0: MQTT-4.7.3-3.
/// 3.1.1: MQTT-4.7.3-3.
async fn the_longest_topic_is_served(scene: Scene) {
    const BYTES_MAX: usize = 65_535;
    let prefix = scene.topic("");
    let topic = prefix.clone() + &"a".repeat(BYTES_MAX - prefix.len());
    let mut client = scene.connect("client").await;
    client.subscribe(&topic, 0).await;
    client.send(Publish::new(scene.version, &topic, "long").bytes()).await;
    let publish = client.publish().await;
    assert!(publish.topic == topic, "{} bytes came", publish.topic.len());
}

/// Case, leading, trailing and doubled separators, spaces, composed and decomposed letters: all are different topics.
///
/// 5.0: MQTT-4.7.3-4.
/// 3.1.1: MQTT-4.7.3-4.
async fn nothing_is_normalised(scene: Scene) {
    let topics =
        ["a", "A", "/a", "a/", "a//", "//a", "a ", " a", "\u{E4}", "a\u{308}", "\u{FEFF}a", "a\u{200B}"];
    for topic in topics {
        assert_eq!(matched(&scene, topic, &topics).await, [topic], "{topic:?}");
    }
}
