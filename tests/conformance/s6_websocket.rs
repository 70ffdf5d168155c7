//! Chapter 6: MQTT over WebSocket.

use crate::bytes::{PINGREQ, Publish, subscribe};
use crate::packet::Packet;
use crate::scene::Scene;
use crate::websocket::{FINAL, WebSocket, opcode};
use crate::wire;

conformance_tests! { websocket:
    the_subprotocol_is_mqtt,
    a_text_frame_closes_the_connection,
    packets_and_frames_need_not_align,
    pings_between_frames_are_none_of_mqtt,
}

/// Whatever else the client offers; and without it there is no upgrade.
///
/// 5.0: MQTT-6.0.0-4.
/// 3.1.1: MQTT-6.0.0-4.
async fn the_subprotocol_is_mqtt(scene: Scene) {
    for offer in ["mqtt", "chat, mqtt", "mqtt, chat", "mqttv3.1,mqtt"] {
        let (_, answer) = WebSocket::upgrade(wire::socket(scene.transport).await, Some(offer)).await;
        assert!(answer.is_upgrade(), "{offer}");
        assert_eq!(answer.header("sec-websocket-protocol"), Some("mqtt"), "{offer}");
    }
    for offer in [None, Some("chat")] {
        let (_, answer) = WebSocket::upgrade(wire::socket(scene.transport).await, offer).await;
        assert!(!answer.is_upgrade(), "{offer:?}");
    }
}

/// Before CONNECT and after it, however sound the packet inside. What the broker sends is binary: the reader of these
/// tests does not take anything else.
///
/// 5.0: MQTT-6.0.0-1.
/// 3.1.1: MQTT-6.0.0-1.
async fn a_text_frame_closes_the_connection(scene: Scene) {
    let mut client = scene.open().await;
    client.websocket().send(FINAL | opcode::TEXT, &scene.hello("client").bytes()).await;
    client.until_closed().await;

    let mut client = scene.connect("client").await;
    client.websocket().send(FINAL | opcode::TEXT, b"text").await;
    let last = client.until_closed().await;
    assert!(last.iter().all(|packet| matches!(packet, Packet::Disconnect(_))), "{last:?}");
}

/// A byte a frame, all packets in one frame, a message of several frames, and frames without a byte.
///
/// 5.0: MQTT-6.0.0-2.
/// 3.1.1: MQTT-6.0.0-2.
async fn packets_and_frames_need_not_align(scene: Scene) {
    for way in ["byte by byte", "at once", "in fragments"] {
        let topic = scene.topic(way);
        let mut bytes = scene.hello(way).bytes();
        bytes.extend(subscribe(scene.version, 1, &[(&topic, 0)]));
        bytes.extend(Publish::new(scene.version, &topic, "a").bytes());
        bytes.extend(PINGREQ);
        let mut client = scene.open().await;
        match way {
            "byte by byte" => {
                for byte in bytes {
                    client.websocket().send(FINAL | opcode::BINARY, &[]).await;
                    client.websocket().send(FINAL | opcode::BINARY, &[byte]).await;
                }
            }
            "at once" => drop(client.websocket().send(FINAL | opcode::BINARY, &bytes).await),
            _ => {
                let (first, rest) = bytes.split_at(7);
                let (second, third) = rest.split_at(9);
                client.websocket().send(opcode::BINARY, first).await;
                client.websocket().send(opcode::CONTINUATION, second).await;
                client.websocket().send(FINAL | opcode::CONTINUATION, third).await;
            }
        }
        assert_eq!(client.connack().await.code, 0, "{way}");
        client.suback(1).await;
        let mut heard = client.until(&Packet::PingResp).await;
        heard.extend(client.fence().await);
        assert!(
            matches!(heard.as_slice(), [Packet::Publish(publish)] if publish.payload == b"a"),
            "{way}: {heard:?}"
        );
    }
}

/// Control frames may come between the frames of a message.
///
/// 5.0: MQTT-6.0.0-2.
/// 3.1.1: MQTT-6.0.0-2.
async fn pings_between_frames_are_none_of_mqtt(scene: Scene) {
    let mut client = scene.connect("client").await;
    let (first, second) = PINGREQ.split_at(1);
    client.websocket().send(opcode::BINARY, first).await;
    client.websocket().send(FINAL | opcode::PING, b"ping").await;
    client.websocket().send(FINAL | opcode::CONTINUATION, second).await;
    assert_eq!(client.next().await, Packet::PingResp);
    assert!(client.ping().await.is_empty());
}
