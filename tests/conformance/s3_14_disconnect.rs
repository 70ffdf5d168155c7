//! Sections 3.12 to 3.15: PINGREQ, DISCONNECT, and AUTH where nothing was agreed on.

use crate::bytes::{Bytes, DISCONNECT, Publish, code, disconnect_with, first_byte, hex, property};
use crate::packet::Packet;
use crate::scene::{Scene, Version};

conformance_tests! { both:
    a_ping_is_answered,
    the_broker_closes_after_a_goodbye,
    nothing_after_a_goodbye_is_looked_at,
    a_ping_with_a_body_closes_the_connection,
}

conformance_tests! { v5:
    a_goodbye_may_carry_a_reason_and_properties,
    reason_codes_that_disconnect_does_not_have_are_wrong,
    disconnect_of_the_broker_is_its_last_packet,
    auth_flags_are_zero,
    auth_reason_codes_are_of_their_table,
    auth_without_a_method_closes_the_connection,
    an_unknown_authentication_method_is_refused,
    without_a_method_there_is_no_authentication,
}

/// Each with one PINGRESP.
///
/// 5.0: MQTT-3.12.4-1.
/// 3.1.1: MQTT-3.12.4-1.
async fn a_ping_is_answered(scene: Scene) {
    let mut client = scene.connect("client").await;
    for _ in 0..3 {
        assert!(client.ping().await.is_empty());
    }
    client.send(hex("C0 00 C0 00 C0 00")).await;
    for _ in 0..3 {
        assert_eq!(client.next().await, Packet::PingResp);
    }
    client.hears_nothing().await;
}

/// It has no body.
///
/// 5.0: MQTT-4.13.1-1.
/// 3.1.1: MQTT-4.8.0-1.
async fn a_ping_with_a_body_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(hex("C0 01 00")).await;
    client.closed_with(code::MALFORMED_PACKET).await;
}

/// And says nothing more.
///
/// 5.0: MQTT-3.14.4-2.
/// 3.1.1: MQTT-3.14.4-1.
async fn the_broker_closes_after_a_goodbye(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(DISCONNECT).await;
    client.closed().await;
}

/// A client that goes on is not heard.
///
/// 5.0: MQTT-3.14.4-1.
/// 3.1.1: MQTT-3.14.4-2.
async fn nothing_after_a_goodbye_is_looked_at(scene: Scene) {
    let topic = scene.topic("a");
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 0).await;
    let mut client = scene.connect("client").await;
    let mut bytes = DISCONNECT.to_vec();
    bytes.extend(Publish::new(scene.version, &topic, "late").bytes());
    client.send(bytes).await;
    client.closed().await;
    subscriber.hears_nothing().await;
}

/// The code alone, and with properties.
///
/// 5.0: MQTT-3.14.2-1, MQTT-3.14.4-3.
async fn a_goodbye_may_carry_a_reason_and_properties(scene: Scene) {
    let properties = Bytes::new()
        .u8(property::REASON_STRING)
        .string("enough")
        .u8(property::USER_PROPERTY)
        .pair("name", "value")
        .u8(property::SESSION_EXPIRY_INTERVAL)
        .u32(0);
    let with_properties =
        Bytes::new().u8(code::SUCCESS).properties(Version::V5, &properties).packet(first_byte::DISCONNECT);
    for goodbye in
        [disconnect_with(code::SUCCESS), disconnect_with(code::DISCONNECT_WITH_WILL_MESSAGE), with_properties]
    {
        let mut client = scene.connect("client").await;
        client.send(goodbye).await;
        client.closed().await;
    }
}

/// One of another packet, one of nothing, and one that only a server sends.
///
/// 5.0: MQTT-3.14.2-1.
async fn reason_codes_that_disconnect_does_not_have_are_wrong(scene: Scene) {
    for wrong in [0x01, 0x10, 0x7F] {
        let mut client = scene.connect("client").await;
        client.send(disconnect_with(wrong)).await;
        client.closed_as_wrong().await;
    }
}

/// Then it closes. It has no session expiry interval: the parser of these tests does not let one pass.
///
/// 5.0: MQTT-3.14.4-1, MQTT-3.14.4-2, MQTT-3.14.2-1, MQTT-3.14.2-2, MQTT-3.14.0-1, MQTT-4.13.2-1.
async fn disconnect_of_the_broker_is_its_last_packet(scene: Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_as(&scene.hello("client").kept()).await;
    client.subscribe(&topic, 0).await;
    client.send(scene.hello("client").bytes()).await;
    client.send(Publish::new(scene.version, &topic, "late").bytes()).await;
    let last = client.until_closed().await;
    assert!(
        matches!(last.as_slice(), [Packet::Disconnect(reason)] if reason.code == code::PROTOCOL_ERROR),
        "{last:?}"
    );
}

/// Malformed.
///
/// 5.0: MQTT-3.15.1-1.
async fn auth_flags_are_zero(scene: Scene) {
    for flags in [0x01, 0x02, 0x08] {
        let mut client = scene.connect("client").await;
        client.send(Bytes::new().packet(first_byte::AUTH | flags)).await;
        client.closed_with(code::MALFORMED_PACKET).await;
    }
}

/// Success, Continue authentication, Re-authenticate, and no other.
///
/// 5.0: MQTT-3.15.2-1.
async fn auth_reason_codes_are_of_their_table(scene: Scene) {
    let mut client = scene.connect("client").await;
    let method = Bytes::new().u8(property::AUTHENTICATION_METHOD).string("METHOD");
    client.send(Bytes::new().u8(0x1A).properties(Version::V5, &method).packet(first_byte::AUTH)).await;
    client.closed_as_wrong().await;
}

/// CONNECT named none, so there is nothing to go on with.
///
/// 5.0: MQTT-4.12.0-7, MQTT-4.13.1-1.
async fn auth_without_a_method_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    let method = Bytes::new().u8(property::AUTHENTICATION_METHOD).string("METHOD");
    let auth = Bytes::new().u8(code::CONTINUE_AUTHENTICATION).properties(Version::V5, &method);
    client.send(auth.packet(first_byte::AUTH)).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// Bad authentication method, or Not authorized; then the close.
///
/// 5.0: MQTT-4.12.0-1, MQTT-3.1.4-2, MQTT-3.2.2-6, MQTT-3.2.2-7, MQTT-3.2.2-8, MQTT-4.13.2-1.
async fn an_unknown_authentication_method_is_refused(scene: Scene) {
    let method = Bytes::new().u8(property::AUTHENTICATION_METHOD).string("NO SUCH METHOD");
    let (mut client, connack) = scene.try_connect(&scene.hello("client").property(method)).await;
    let fits = [code::BAD_AUTHENTICATION_METHOD, code::NOT_AUTHORIZED];
    assert!(fits.contains(&connack.code) && !connack.session_present, "{connack:?}");
    client.closed().await;
}

/// Neither AUTH nor a method in CONNACK.
///
/// 5.0: MQTT-4.12.0-6.
async fn without_a_method_there_is_no_authentication(scene: Scene) {
    let (mut client, connack) = scene.connect_as(&scene.hello("client")).await;
    assert!(!connack.properties.has(property::AUTHENTICATION_METHOD), "{connack:?}");
    assert!(!connack.properties.has(property::AUTHENTICATION_DATA), "{connack:?}");
    client.hears_nothing().await;
}
