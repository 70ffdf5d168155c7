//! Section 3.1: what a CONNECT must look like, and what becomes of one that does not.

use crate::bytes::{Bytes, Connect, Publish, code, connect_flag, first_byte, hex, property};
use crate::packet::Packet;
use crate::scene::{Scene, Version};

conformance_tests! { both:
    nothing_but_connect_opens_a_connection,
    a_second_connect_closes_the_connection,
    another_protocol_name_is_not_served,
    the_reserved_connect_flag_is_zero,
    the_flags_of_connect_are_zero,
    a_will_needs_its_fields,
    will_flags_need_a_will,
    will_qos_3_is_refused,
    user_name_and_password_are_there_as_the_flags_say,
    a_connect_with_bytes_behind_its_fields_is_refused,
    the_fields_of_the_payload_have_one_order,
    text_in_connect_is_well_formed,
    client_identifiers_of_letters_and_digits_are_allowed,
    nothing_after_a_refused_connect_is_looked_at,
    a_client_with_credentials_that_nobody_knows_is_refused,
    a_connect_that_is_sound_is_accepted,
}

conformance_tests! { v5:
    properties_of_connect_that_contradict_themselves_are_refused,
    a_password_needs_no_user_name,
    no_client_identifier_is_refused,
}

conformance_tests! { v311:
    an_unknown_level_is_refused_as_such,
    a_password_needs_a_user_name,
    an_empty_client_identifier_needs_a_clean_session,
}

/// Return codes of CONNACK in 3.1.1.
const UNACCEPTABLE_PROTOCOL_LEVEL: u8 = 0x01;
const IDENTIFIER_REJECTED: u8 = 0x02;

/// Neither a ping nor a publish nor anything else. Before CONNACK the broker has no DISCONNECT to send.
///
/// 5.0: MQTT-3.1.0-1, MQTT-3.14.0-1.
/// 3.1.1: MQTT-3.1.0-1.
async fn nothing_but_connect_opens_a_connection(scene: Scene) {
    let publish = Publish::new(scene.version, scene.topic("a"), "").bytes();
    for first in [publish, hex("C0 00"), hex("E0 00"), hex("20 02 00 00"), b"GET / HTTP/1.1\r\n\r\n".to_vec()]
    {
        let mut client = scene.open().await;
        client.send(first).await;
        client.closed().await;
    }
}

/// One CONNECT a connection.
///
/// 5.0: MQTT-3.1.0-2.
/// 3.1.1: MQTT-3.1.0-2.
async fn a_second_connect_closes_the_connection(scene: Scene) {
    let mut client = scene.connect("client").await;
    client.send(scene.hello("client").bytes()).await;
    client.closed_with(code::PROTOCOL_ERROR).await;
}

/// The broker closes; if it says anything, then in the words of 3.1.1 that this is no protocol of its own.
///
/// 5.0: MQTT-3.1.2-1.
/// 3.1.1: MQTT-3.1.2-1.
async fn another_protocol_name_is_not_served(scene: Scene) {
    for name in ["mqtt", "MQTTS", "MQT", "", "HTTP"] {
        let mut client = scene.open().await;
        client.version = Version::V311;
        let connect = Connect { protocol_name: name.into(), ..scene.hello("client") };
        client.send(connect.bytes()).await;
        match client.next_or_close().await {
            None => {}
            Some(Packet::ConnAck(connack)) => assert_eq!(connack.code, UNACCEPTABLE_PROTOCOL_LEVEL),
            Some(other) => panic!("the close was due, not {other:?}"),
        }
        assert!(client.until_closed().await.is_empty());
    }
}

/// Return code 0x01, then the close. Both versions leave open in which form a version that neither knows is answered;
/// the older one is what more clients can read.
///
/// 5.0: MQTT-3.1.2-2.
/// 3.1.1: MQTT-3.1.2-2, MQTT-3.2.2-4, MQTT-3.2.2-5.
async fn an_unknown_level_is_refused_as_such(scene: Scene) {
    for level in [0, 2, 6, 255] {
        let mut client = scene.open().await;
        let connect = Connect { protocol_version: level, ..scene.hello("client") };
        client.send(connect.bytes()).await;
        client.refused(0, Some(UNACCEPTABLE_PROTOCOL_LEVEL)).await;
    }
}

/// Bit 0 of the connect flags. 3.1.1 has no return code for it, and so no CONNACK.
///
/// 5.0: MQTT-3.1.2-3, MQTT-3.1.4-1.
/// 3.1.1: MQTT-3.1.2-3, MQTT-3.1.4-1, MQTT-3.2.2-6.
async fn the_reserved_connect_flag_is_zero(scene: Scene) {
    let mut client = scene.open().await;
    client.send(scene.hello("client").flag(connect_flag::RESERVED).bytes()).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// The four bits beside the packet type.
///
/// 5.0: MQTT-2.1.3-1, MQTT-3.1.4-1.
/// 3.1.1: MQTT-2.2.2-1, MQTT-2.2.2-2, MQTT-3.1.4-1.
async fn the_flags_of_connect_are_zero(scene: Scene) {
    let mut client = scene.open().await;
    client.send(scene.hello("client").body().packet(first_byte::CONNECT | 0x01)).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// The will flag without will topic and payload: the packet ends too early.
///
/// 5.0: MQTT-3.1.2-9, MQTT-3.1.4-1.
/// 3.1.1: MQTT-3.1.2-9, MQTT-3.1.4-1.
async fn a_will_needs_its_fields(scene: Scene) {
    let mut client = scene.open().await;
    client.send(scene.hello("client").flag(connect_flag::WILL).bytes()).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// Will QoS and will retain are zero without the will flag; so is what belongs to them in the payload.
///
/// 5.0: MQTT-3.1.2-11, MQTT-3.1.2-13.
/// 3.1.1: MQTT-3.1.2-11, MQTT-3.1.2-13, MQTT-3.1.2-15.
async fn will_flags_need_a_will(scene: Scene) {
    for flag in [connect_flag::WILL_QOS_1, connect_flag::WILL_QOS_2, connect_flag::WILL_RETAIN] {
        let mut client = scene.open().await;
        client.send(scene.hello("client").flag(flag).bytes()).await;
        client.refused_or_closed(code::MALFORMED_PACKET).await;
    }
    let mut client = scene.open().await;
    let mut fields_without_flag = scene.hello("client").will("topic", "payload");
    fields_without_flag.flags &= !connect_flag::WILL;
    client.send(fields_without_flag.bytes()).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// Both will QoS bits.
///
/// 5.0: MQTT-3.1.2-12.
/// 3.1.1: MQTT-3.1.2-14.
async fn will_qos_3_is_refused(scene: Scene) {
    let mut client = scene.open().await;
    let qos_3 = connect_flag::WILL_QOS_1 | connect_flag::WILL_QOS_2;
    client.send(scene.hello("client").will("topic", "").flag(qos_3).bytes()).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// A flag without its field ends too early; a field without its flag is left over.
///
/// 5.0: MQTT-3.1.2-16, MQTT-3.1.2-17, MQTT-3.1.2-18, MQTT-3.1.2-19, MQTT-3.1.4-1.
/// 3.1.1: MQTT-3.1.2-18, MQTT-3.1.2-19, MQTT-3.1.2-20, MQTT-3.1.2-21, MQTT-3.1.4-1.
async fn user_name_and_password_are_there_as_the_flags_say(scene: Scene) {
    let with_user_name = scene.hello("client").user_name("user");
    let mut user_name_without_flag = with_user_name.clone();
    user_name_without_flag.flags &= !connect_flag::USER_NAME;
    let mut password_without_flag = with_user_name.clone().password("password");
    password_without_flag.flags &= !connect_flag::PASSWORD;
    let wrong = [
        scene.hello("client").flag(connect_flag::USER_NAME),
        with_user_name.flag(connect_flag::PASSWORD),
        user_name_without_flag,
        password_without_flag,
    ];
    for connect in wrong {
        let mut client = scene.open().await;
        client.send(connect.bytes()).await;
        client.refused_or_closed(code::MALFORMED_PACKET).await;
    }
}

/// In 3.1.1 there is no password without a user name.
///
/// 3.1.1: MQTT-3.1.2-22, MQTT-3.1.4-1.
async fn a_password_needs_a_user_name(scene: Scene) {
    let mut client = scene.open().await;
    client.send(scene.hello("client").password("password").bytes()).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// In 5.0 the password may stand alone: the CONNECT is well-formed, whatever comes of the credentials.
///
/// 5.0: MQTT-3.1.2-16, MQTT-3.1.2-19.
async fn a_password_needs_no_user_name(scene: Scene) {
    let (_, connack) = scene.try_connect(&scene.hello("client").password("password")).await;
    let judged = [code::SUCCESS, code::BAD_USER_NAME_OR_PASSWORD, code::NOT_AUTHORIZED];
    assert!(judged.contains(&connack.code), "code of CONNACK: {:#04x}", connack.code);
}

/// A byte too many is a CONNECT that does not match its format.
///
/// 5.0: MQTT-3.1.4-1.
/// 3.1.1: MQTT-3.1.4-1.
async fn a_connect_with_bytes_behind_its_fields_is_refused(scene: Scene) {
    let mut client = scene.open().await;
    client.send(scene.hello("client").body().u8(0).packet(first_byte::CONNECT)).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// Client identifier, will, user name, password: the will's topic arrives where the will's topic was.
///
/// 5.0: MQTT-3.1.3-1, MQTT-3.1.3-3, MQTT-3.1.2-9.
/// 3.1.1: MQTT-3.1.3-1, MQTT-3.1.3-3, MQTT-3.1.2-9.
async fn the_fields_of_the_payload_have_one_order(scene: Scene) {
    let topic = scene.topic("will");
    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 0).await;
    let (client, _) = scene.connect_as(&scene.hello("client").will(&topic, "payload")).await;
    client.vanish();
    let publish = subscriber.publish().await;
    assert_eq!((publish.topic, publish.payload), (topic, b"payload".to_vec()));

    let mut client = scene.open().await;
    let without_any_field = Connect { client_id: Vec::new(), ..scene.hello("client") }.body().into_vec();
    let cut = without_any_field.len() - 2;
    client.send(Bytes::new().raw(&without_any_field[..cut]).packet(first_byte::CONNECT)).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;
}

/// Client identifier, will topic and user name are text.
///
/// 5.0: MQTT-3.1.3-4, MQTT-3.1.3-11, MQTT-3.1.3-12.
/// 3.1.1: MQTT-3.1.3-4, MQTT-3.1.3-10, MQTT-3.1.3-11.
async fn text_in_connect_is_well_formed(scene: Scene) {
    let wrong = hex("61 ED A0 80");
    let connects = [
        Connect::new(scene.version, &wrong),
        scene.hello("client").will(&wrong, ""),
        scene.hello("client").user_name(&wrong),
    ];
    for connect in connects {
        let mut client = scene.open().await;
        client.send(connect.bytes()).await;
        client.refused_or_closed(code::MALFORMED_PACKET).await;
    }
}

/// The shortest, the longest that must be allowed, and every letter and digit.
///
/// 5.0: MQTT-3.1.3-5.
/// 3.1.1: MQTT-3.1.3-5.
async fn client_identifiers_of_letters_and_digits_are_allowed(scene: Scene) {
    let transport = format!("{:?}", scene.transport);
    let one = &transport[..1]; // other tests use longer names
    for client_id in [one, "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ0123456"] {
        scene.connect_as(&Connect::new(scene.version, client_id)).await;
    }
}

/// Whatever text it is, of whatever length, also none without a clean start.
///
/// 5.0: MQTT-3.1.3-8.
async fn no_client_identifier_is_refused(scene: Scene) {
    let longest = scene.client_id("") + &"a".repeat(65_000);
    for client_id in [scene.client_id("+/# \u{FEFF}\u{1F980}"), longest, String::new()] {
        scene.connect_as(&Connect::new(scene.version, client_id).resume()).await;
    }
}

/// Identifier rejected, with return code 0x02.
///
/// 3.1.1: MQTT-3.1.3-7, MQTT-3.1.3-8, MQTT-3.1.3-9, MQTT-3.2.2-4, MQTT-3.2.2-5.
async fn an_empty_client_identifier_needs_a_clean_session(scene: Scene) {
    let mut client = scene.open().await;
    client.send(Connect::new(Version::V311, "").resume().bytes()).await;
    client.refused(0, Some(IDENTIFIER_REJECTED)).await;
}

/// A retained PUBLISH right behind a CONNECT that is refused leaves nothing.
///
/// 5.0: MQTT-3.1.4-6.
/// 3.1.1: MQTT-3.1.4-5.
async fn nothing_after_a_refused_connect_is_looked_at(scene: Scene) {
    let topic = scene.topic("a");
    let mut bytes = scene.hello("client").flag(connect_flag::RESERVED).bytes();
    bytes.extend(Publish::new(scene.version, &topic, "late").retain().bytes());
    let mut client = scene.open().await;
    client.send(bytes).await;
    client.refused_or_closed(code::MALFORMED_PACKET).await;

    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 0).await;
    subscriber.hears_nothing().await;
}

/// This broker knows no users. What it says, it says once; and what the client sent behind is lost.
///
/// 5.0: MQTT-3.1.4-2, MQTT-3.1.4-6, MQTT-3.2.2-6, MQTT-3.2.2-7, MQTT-3.2.2-8, MQTT-4.13.2-1, MQTT-3.14.0-1.
/// 3.1.1: MQTT-3.1.4-5, MQTT-3.2.2-4, MQTT-3.2.2-5.
async fn a_client_with_credentials_that_nobody_knows_is_refused(scene: Scene) {
    let topic = scene.topic("a");
    let mut bytes = scene.hello("client").user_name("nobody").password("secret").bytes();
    bytes.extend(Publish::new(scene.version, &topic, "late").retain().bytes());
    let mut client = scene.open().await;
    client.send(bytes).await;
    let connack = client.connack().await;
    let refusals = match scene.version {
        Version::V311 => [0x04, 0x05],
        Version::V5 => [code::BAD_USER_NAME_OR_PASSWORD, code::NOT_AUTHORIZED],
    };
    assert!(refusals.contains(&connack.code) && !connack.session_present, "{connack:?}");
    client.closed().await;

    let mut subscriber = scene.connect("subscriber").await;
    subscriber.subscribe(&topic, 0).await;
    subscriber.hears_nothing().await;
}

/// CONNACK with 0x00, once, before anything else; no more than the specification asks for was said.
///
/// 5.0: MQTT-3.1.4-5, MQTT-3.2.0-1, MQTT-3.2.0-2, MQTT-3.2.2-1, MQTT-3.2.2-8.
/// 3.1.1: MQTT-3.1.4-4, MQTT-3.2.0-1, MQTT-7.0.0-2.
async fn a_connect_that_is_sound_is_accepted(scene: Scene) {
    let topic = scene.topic("a");
    let mut client = scene.open().await;
    client.send(scene.hello("client").keep_alive(60).bytes()).await;
    client.send(crate::bytes::subscribe(scene.version, 1, &[(&topic, 0)])).await;
    let connack = client.connack().await;
    assert_eq!((connack.code, connack.session_present), (code::SUCCESS, false));
    client.suback(1).await;
    client.hears_nothing().await;
}

/// Values that the section of their property rules out (3.1.2.11).
///
/// 5.0: MQTT-3.1.4-1, MQTT-4.13.1-1.
async fn properties_of_connect_that_contradict_themselves_are_refused(scene: Scene) {
    let expiry = Bytes::new().u8(property::SESSION_EXPIRY_INTERVAL).u32(1);
    let wrong = [
        Bytes::new().u8(property::RECEIVE_MAXIMUM).u16(0),
        Bytes::new().u8(property::MAXIMUM_PACKET_SIZE).u32(0),
        Bytes::new().u8(property::REQUEST_RESPONSE_INFORMATION).u8(2),
        Bytes::new().u8(property::REQUEST_PROBLEM_INFORMATION).u8(2),
        Bytes::new().u8(property::AUTHENTICATION_DATA).string("data"),
        expiry.clone().raw(expiry.into_vec()),
    ];
    for properties in wrong {
        let mut client = scene.open().await;
        client.send(scene.hello("client").property(properties).bytes()).await;
        client.refused_or_closed(code::PROTOCOL_ERROR).await;
    }
}
