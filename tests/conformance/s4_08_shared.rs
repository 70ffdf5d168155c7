//! Section 4.8.2: shared subscriptions.

use crate::bytes::{Publish, ack_with, code, first_byte, subscribe};
use crate::client::Client;
use crate::packet::{Packet, publishes};
use crate::scene::Scene;

conformance_tests! { v5:
    each_message_goes_to_one_member,
    a_malformed_shared_filter_is_refused,
    share_names_and_filters_make_the_group,
    a_member_gets_the_qos_that_it_was_granted,
    a_qos_2_delivery_that_broke_off_is_finished_with_the_same_member,
    a_qos_2_delivery_whose_member_s_session_ends_goes_to_nobody_else,
    a_message_that_its_member_refuses_goes_to_nobody_else,
    a_shared_subscription_is_sent_nothing_retained,
}

async fn member(scene: &Scene, who: &str, filter: &str, qos: u8) -> Client {
    let mut member = scene.connect(who).await;
    member.subscribe(filter, qos).await;
    member
}

/// Together the members get every message once; a subscriber beside the group gets each, too.
///
/// 5.0: MQTT-4.8.2-1, MQTT-4.5.0-1.
async fn each_message_goes_to_one_member(scene: Scene) {
    const MESSAGES: usize = 30;
    let topic = scene.topic("a");
    let filter = format!("$share/group/{}", scene.topic("+"));
    let mut members = [member(&scene, "1", &filter, 1).await, member(&scene, "2", &filter, 1).await];
    let mut beside = member(&scene, "3", &topic, 0).await;
    let mut publisher = scene.connect("publisher").await;
    for number in 0..MESSAGES {
        publisher.tell(&topic, &number.to_string()).await;
    }
    let mut heard = Vec::new();
    for member in &mut members {
        let packets = member.fence().await;
        heard.extend(publishes(&packets).iter().map(|publish| publish.payload.clone()));
    }
    heard.sort_by_key(|payload| (payload.len(), payload.clone()));
    let sent: Vec<Vec<u8>> = (0..MESSAGES).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(heard, sent);
    assert_eq!(beside.fence().await.len(), MESSAGES);
}

/// No share name, one with a wildcard, no filter.
///
/// 5.0: MQTT-4.8.2-1, MQTT-4.8.2-2.
async fn a_malformed_shared_filter_is_refused(scene: Scene) {
    for wrong in [
        "$share//a",
        "$share/group",
        "$share/group/",
        "$share/gr+up/a",
        "$share/#/a",
        "$share/+/a",
        "$share/",
    ] {
        let mut client = scene.connect("client").await;
        client.send(subscribe(scene.version, 1, &[(wrong, 0)])).await;
        match client.next_or_close().await {
            Some(Packet::Disconnect(reason)) => {
                let fits = [code::MALFORMED_PACKET, code::PROTOCOL_ERROR, code::TOPIC_FILTER_INVALID];
                assert!(fits.contains(&reason.code), "{wrong}: {reason:?}");
            }
            Some(Packet::SubAck(suback)) => assert_eq!(suback.codes, [code::TOPIC_FILTER_INVALID], "{wrong}"),
            other => panic!("{wrong}: a refusal was due, not {other:?}"),
        }
    }
}

/// Two names, two groups; and one name with two filters is two groups as well.
///
/// 5.0: MQTT-4.8.2-2.
async fn share_names_and_filters_make_the_group(scene: Scene) {
    let (topic, wildcard) = (scene.topic("a"), scene.topic("+"));
    let filters = [format!("$share/1/{topic}"), format!("$share/2/{topic}"), format!("$share/1/{wildcard}")];
    let mut members = Vec::new();
    for (number, filter) in filters.iter().enumerate() {
        members.push(member(&scene, &number.to_string(), filter, 0).await);
    }
    scene.connect("publisher").await.tell(&topic, "a").await;
    for member in &mut members {
        assert_eq!(member.fence().await.len(), 1);
    }
}

/// As any subscriber does.
///
/// 5.0: MQTT-4.8.2-3.
async fn a_member_gets_the_qos_that_it_was_granted(scene: Scene) {
    let mut publisher = scene.connect("publisher").await;
    for granted in [0, 1, 2] {
        let topic = scene.topic(&granted.to_string());
        let filter = format!("$share/group/{topic}");
        let mut member = member(&scene, &granted.to_string(), &filter, granted).await;
        for qos in [0, 1, 2] {
            publisher.deliver(&Publish::new(scene.version, &topic, "").qos(qos, 1)).await;
            assert_eq!(member.accept().await.qos, qos.min(granted));
        }
    }
}

/// The PUBLISH was sent; the other member is there all the time and is not bothered.
///
/// 5.0: MQTT-4.8.2-4.
async fn a_qos_2_delivery_that_broke_off_is_finished_with_the_same_member(scene: Scene) {
    let topic = scene.topic("a");
    let filter = format!("$share/group/{topic}");
    let (mut first, _) = scene.connect_as(&scene.hello("first").kept()).await;
    first.subscribe(&filter, 2).await;
    scene.connect("publisher").await.deliver(&Publish::new(scene.version, &topic, "a").qos(2, 1)).await;
    let id = first.publish().await.id.expect("QoS 2 has an identifier");
    let mut second = member(&scene, "second", &filter, 2).await;
    first.vanish();
    second.hears_nothing().await;

    let (mut first, _) = scene.connect_as(&scene.hello("first").kept().resume()).await;
    let again = first.accept().await;
    assert_eq!((again.id, again.dup, again.payload), (Some(id), true, b"a".to_vec()));
    second.hears_nothing().await;
}

/// Nobody can know whether it had arrived.
///
/// 5.0: MQTT-4.8.2-5.
async fn a_qos_2_delivery_whose_member_s_session_ends_goes_to_nobody_else(scene: Scene) {
    let topic = scene.topic("a");
    let filter = format!("$share/group/{topic}");
    let mut first = member(&scene, "first", &filter, 2).await;
    scene.connect("publisher").await.deliver(&Publish::new(scene.version, &topic, "a").qos(2, 1)).await;
    first.publish().await;
    let mut second = member(&scene, "second", &filter, 2).await;
    first.vanish();
    scene.connect("first").await.hears_nothing().await; // the end of the session was noticed
    second.hears_nothing().await;
}

/// With 0x80 or more in PUBACK and in PUBREC.
///
/// 5.0: MQTT-4.8.2-6.
async fn a_message_that_its_member_refuses_goes_to_nobody_else(scene: Scene) {
    let topic = scene.topic("a");
    let filter = format!("$share/group/{topic}");
    let mut publisher = scene.connect("publisher").await;
    let mut first = member(&scene, "first", &filter, 2).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "").qos(1, 1)).await;
    publisher.deliver(&Publish::new(scene.version, &topic, "").qos(2, 2)).await;
    let mut second = member(&scene, "second", &filter, 2).await;
    for answer in [first_byte::PUBACK, first_byte::PUBREC] {
        let id = first.publish().await.id.expect("QoS 1 and 2 have identifiers");
        first.send(ack_with(answer, id, code::UNSPECIFIED_ERROR)).await;
    }
    first.hears_nothing().await;
    first.leave().await;
    second.hears_nothing().await;
}

/// Retained messages are not for groups (4.8.2), whatever the retain handling.
///
/// 5.0: MQTT-3.3.1-9.
async fn a_shared_subscription_is_sent_nothing_retained(scene: Scene) {
    let topic = scene.topic("a");
    let mut publisher = scene.connect("publisher").await;
    publisher.deliver(&Publish::new(scene.version, &topic, "kept").qos(1, 1).retain()).await;
    member(&scene, "member", &format!("$share/group/{topic}"), 1).await.hears_nothing().await;
}
