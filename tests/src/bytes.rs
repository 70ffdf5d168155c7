//! Packets as bytes, written by hand so that the broker's own codec cannot vouch for itself.

/// MQTT 5.0 in a CONNECT.
pub const V5: u8 = 5;
/// MQTT 3.1.1 in a CONNECT.
pub const V4: u8 = 4;

/// CONNACK of 3.1.1: accepted, no session.
pub const CONNACK_V4: [u8; 4] = [0x20, 2, 0, 0];
/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xc0, 0];
/// PINGRESP.
pub const PINGRESP: [u8; 2] = [0xd0, 0];
/// DISCONNECT without a reason.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A packet of these parts, with its remaining length (2.1.4).
pub fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut packet = vec![first];
    let mut remaining = body.len();
    loop {
        let low = u8::try_from(remaining % 128).expect("less than 128");
        remaining /= 128;
        packet.push(if remaining > 0 { low | 0x80 } else { low });
        if remaining == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Text or bytes with their length in two bytes (1.5.4).
pub fn text(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("at most 65,535 bytes");
    [&length.to_be_bytes(), bytes].concat()
}

/// CONNECT with Clean Start and this keep alive in seconds.
pub fn connect(version: u8, client_id: &str, keep_alive: u16) -> Vec<u8> {
    connect_with(version, client_id, keep_alive, None)
}

/// CONNECT with a will of QoS 0, as topic and payload.
pub fn connect_with(version: u8, client_id: &str, keep_alive: u16, will: Option<(&str, &str)>) -> Vec<u8> {
    let flags = if will.is_some() { 0x06 } else { 0x02 };
    let properties: &[u8] = if version == V5 { &[0] } else { &[] };
    let will =
        will.map(|(topic, payload)| [properties, &text(topic), &text(payload)].concat()).unwrap_or_default();
    let keep_alive = keep_alive.to_be_bytes();
    packet(0x10, &[&text("MQTT"), &[version, flags], &keep_alive, properties, &text(client_id), &will])
}

/// SUBSCRIBE of 3.1.1 to one filter.
pub fn subscribe(id: u8, filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, id], &text(filter), &[qos]])
}

/// PUBLISH of 3.1.1; `id` counts for QoS 1 and 2 alone.
pub fn publish(qos: u8, id: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    let id: &[u8] = if qos == 0 { &[] } else { &[0, id] };
    packet(0x30 | qos << 1, &[&text(topic), id, payload])
}
