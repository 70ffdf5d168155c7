//! Section 4.13 (4.8 of 3.1.1): what an error costs, and whom.

use crate::bytes::{Publish, code, hex};
use crate::scene::Scene;

conformance_tests! { both:
    an_error_of_one_client_harms_no_other,
    random_bytes_are_answered_by_the_close,
}

/// Others stay connected, with their sessions, and are served.
///
/// 5.0: MQTT-4.13.1-1, MQTT-4.13.2-1.
/// 3.1.1: MQTT-4.8.0-1.
async fn an_error_of_one_client_harms_no_other(scene: Scene) {
    let topic = scene.topic("a");
    let mut other = scene.connect("other").await;
    other.subscribe(&topic, 1).await;
    for wrong in ["00 00", "36 00", "80 00", "F0 01 00", "C0 05", "E0 01 FF"] {
        let mut client = scene.connect("client").await;
        client.send(Publish::new(scene.version, &topic, "before").bytes()).await;
        client.send(hex(wrong)).await;
        if wrong != "C0 05" {
            client.until_closed().await;
        }
        assert_eq!(other.publish().await.payload, b"before");
        assert!(other.ping().await.is_empty());
    }
}

/// Before CONNECT and after CONNACK; the same bytes in each run.
///
/// 5.0: MQTT-4.13.1-1, MQTT-3.1.4-1.
/// 3.1.1: MQTT-4.8.0-1, MQTT-3.1.4-1.
async fn random_bytes_are_answered_by_the_close(scene: Scene) {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for _ in 0..20 {
        let bytes: Vec<u8> = (0..600).map(|_| random()).collect();
        let mut stranger = scene.open().await;
        // A remaining length that is not reached would be a wait; random bytes may have one, so it is made short.
        stranger.send([bytes[0] | 0x01, 0x08].iter().chain(&bytes).copied().collect::<Vec<u8>>()).await;
        stranger.until_closed().await;

        let mut client = scene.connect("client").await;
        client.send([bytes[1] | 0x09, 0x08].iter().chain(&bytes).copied().collect::<Vec<u8>>()).await;
        client.send(hex("00 00")).await;
        let last = client.until_closed().await;
        assert!(last.len() <= 2, "{last:?}");
    }
    let mut client = scene.connect("client").await;
    client.send(hex("F1 00")).await;
    client.closed_with(code::MALFORMED_PACKET).await;
}
