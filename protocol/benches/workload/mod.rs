//! What is decoded and encoded, by us and by `mqttbytes`.

use bytes::{Bytes, BytesMut};
use rivulet_protocol::message::PayloadFormat;
use rivulet_protocol::packet::{Publish, PublishTopic};
use rivulet_protocol::{
    Decoder, Encoder, MessageProperties, OutBuffer, Packet, PacketId, PacketQos, Topic, UserProperties,
    Version,
};

/// How many packets one buffer holds.
pub(crate) const PACKETS: usize = 100;

const MAXIMUM_PACKET_BYTES: usize = 65_536;
const TOPIC: &str = "weather/KJFK/pressure/sea";
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// A kind of packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    version: Version,
    has_properties: bool,
}

pub(crate) const V3_1_1: Workload =
    Workload { name: "3.1.1", version: Version::V3_1_1, has_properties: false };
pub(crate) const V5: Workload = Workload { name: "5.0", version: Version::V5, has_properties: false };
pub(crate) const V5_PROPERTIES: Workload =
    Workload { name: "5.0, 3 properties", version: Version::V5, has_properties: true };

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Our codec.
pub(crate) struct Ours {
    version: Version,
    packet: Packet,
    bytes: Vec<u8>,
}

impl Ours {
    pub(crate) fn new(workload: Workload) -> Self {
        let mut properties = MessageProperties::default();
        if workload.has_properties {
            let mut user_properties = UserProperties::new();
            assert!(user_properties.push("station", "KJFK"));
            properties.payload_format = Some(PayloadFormat::Utf8);
            properties.content_type = Some("application/json".into());
            properties.user_properties = user_properties;
        }
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: PacketQos::AtLeastOnce(PacketId::MIN),
            retain: false,
            topic: PublishTopic::Name(Topic::parse(TOPIC).expect("it has no wildcard")),
            subscription_ids: Vec::new(),
            properties,
            payload: Bytes::from_static(&PAYLOAD),
        });
        let mut ours = Self { version: workload.version, packet, bytes: Vec::new() };
        ours.bytes = ours.encode().concat();
        ours
    }

    /// What was received: all packets one after the other.
    pub(crate) fn buffer(&self) -> BytesMut {
        BytesMut::from(&self.bytes[..])
    }

    /// Decodes all packets and drops each.
    pub(crate) fn decode(&self, mut buffer: BytesMut) {
        let mut decoder = Decoder::with_version(self.version, MAXIMUM_PACKET_BYTES);
        while !buffer.is_empty() {
            divan::black_box(&decoder.decode(&mut buffer));
        }
    }

    /// Encodes as many packets into a fresh buffer.
    pub(crate) fn encode(&self) -> Vec<Bytes> {
        let encoder = Encoder::new(self.version, MAXIMUM_PACKET_BYTES);
        let mut out = OutBuffer::new();
        for _ in 0..PACKETS {
            encoder.encode(divan::black_box(&self.packet), &mut out).expect("it fits");
        }
        out.take()
    }
}

/// `mqttbytes` in the version of the workload.
pub(crate) enum Theirs {
    V4(mqttbytes::v4::Publish),
    V5(mqttbytes::v5::Publish),
}

impl Theirs {
    pub(crate) fn new(workload: Workload) -> Self {
        let mut buffer = Ours::new(workload).buffer();
        if workload.version == Version::V5 {
            let packet = mqttbytes::v5::read(&mut buffer, MAXIMUM_PACKET_BYTES).expect("it is well-formed");
            let mqttbytes::v5::Packet::Publish(publish) = packet else { panic!("{packet:?} is no PUBLISH") };
            Self::V5(publish)
        } else {
            let packet = mqttbytes::v4::read(&mut buffer, MAXIMUM_PACKET_BYTES).expect("it is well-formed");
            let mqttbytes::v4::Packet::Publish(publish) = packet else { panic!("{packet:?} is no PUBLISH") };
            Self::V4(publish)
        }
    }

    /// Decodes all packets and drops each.
    pub(crate) fn decode(&self, mut buffer: BytesMut) {
        while !buffer.is_empty() {
            match self {
                Self::V4(_) => {
                    divan::black_box(&mqttbytes::v4::read(&mut buffer, MAXIMUM_PACKET_BYTES));
                }
                Self::V5(_) => {
                    divan::black_box(&mqttbytes::v5::read(&mut buffer, MAXIMUM_PACKET_BYTES));
                }
            }
        }
    }

    /// Encodes as many packets into a fresh buffer.
    pub(crate) fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::new();
        for _ in 0..PACKETS {
            let written = match self {
                Self::V4(publish) => divan::black_box(publish).write(&mut buffer),
                Self::V5(publish) => divan::black_box(publish).write(&mut buffer),
            };
            written.expect("it fits");
        }
        buffer.freeze()
    }
}
