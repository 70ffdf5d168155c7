//! Any packet survives encode then decode, in any cut; and no bytes make the decoder panic.

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

mod arbitrary;

use arbitrary::{topic, topic_filter, version, version_and_packet};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use rivulet_protocol::{Decoder, Encoder, OutBuffer, Packet, PacketType, Topic, TopicFilter, Version};

/// More than any packet here has.
const MAXIMUM_PACKET_BYTES: usize = 100_000;

fn encode(version: Version, packet: &Packet) -> Vec<u8> {
    let mut out = OutBuffer::new();
    Encoder::new(version, MAXIMUM_PACKET_BYTES).encode(packet, &mut out).unwrap();
    let announced = out.len();
    let bytes = out.take().concat();
    assert_eq!(bytes.len(), announced);
    assert!(out.is_empty());
    bytes
}

proptest! {
    #[test]
    fn a_packet_survives_encode_then_decode((version, packet) in version_and_packet()) {
        let bytes = encode(version, &packet);
        let mut buffer = BytesMut::from(&bytes[..]);
        let decoded = Decoder::with_version(version, MAXIMUM_PACKET_BYTES).decode(&mut buffer);
        prop_assert_eq!(decoded, Ok(Some(packet)));
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn packets_survive_any_cut_of_their_bytes(
        (version, packets) in version().prop_flat_map(|version| (Just(version), vec(arbitrary::packet(version), 1..5))),
        cuts in vec(1..200_usize, 1..50),
    ) {
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(version, packet)).collect();
        let mut decoder = Decoder::with_version(version, MAXIMUM_PACKET_BYTES);
        let mut buffer = BytesMut::new();
        let mut rest = &bytes[..];
        let mut decoded = Vec::new();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            buffer.extend_from_slice(piece);
            while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
                decoded.push(packet);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(decoded, packets);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn a_server_takes_the_version_from_connect((version, packet) in version_and_packet()) {
        let bytes = encode(version, &packet);
        let mut decoder = Decoder::new(MAXIMUM_PACKET_BYTES);
        let decoded = decoder.decode(&mut BytesMut::from(&bytes[..]));
        if packet.packet_type() == PacketType::Connect {
            prop_assert_eq!(decoded, Ok(Some(packet)));
            prop_assert_eq!(decoder.version(), Some(version));
        } else {
            prop_assert!(decoded.is_err());
            prop_assert_eq!(decoder.version(), None);
        }
    }

    #[test]
    fn a_packet_with_a_few_bytes_changed_never_panics_and_what_is_taken_survives_again(
        (version, packet) in version_and_packet(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(version, &packet);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let mut decoder = Decoder::with_version(version, MAXIMUM_PACKET_BYTES);
        if let Ok(Some(packet)) = decoder.decode(&mut BytesMut::from(&bytes[..])) {
            let version = if let Packet::Connect(connect) = &packet { connect.version } else { version };
            let again = encode(version, &packet);
            let decoded = Decoder::with_version(version, MAXIMUM_PACKET_BYTES).decode(&mut BytesMut::from(&again[..]));
            prop_assert_eq!(decoded, Ok(Some(packet)));
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(version in version(), bytes in vec(any::<u8>(), 0..300)) {
        for mut decoder in [Decoder::new(250), Decoder::with_version(version, 250)] {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(packet)) = decoder.decode(&mut buffer) {
                drop(format!("{packet:?}"));
            }
        }
    }

    #[test]
    fn a_topic_survives_parsing_again(topic in topic()) {
        prop_assert_eq!(Topic::parse(topic.as_str()), Ok(topic.detach()));
    }

    #[test]
    fn a_filter_matches_as_a_naive_matcher_says(filter in topic_filter(), topic in topic()) {
        let levels: Vec<_> = filter.pattern().split('/').collect();
        let names: Vec<_> = topic.as_str().split('/').collect();
        let dollar = names[0].starts_with('$') && levels[0].starts_with(['#', '+']);
        prop_assert_eq!(filter.matches(&topic), !dollar && naive(&levels, &names));
    }

    #[test]
    fn a_filter_of_few_letters_matches_as_a_naive_matcher_says(filter in "[ab$/+#]{1,6}", topic in "[ab$/]{1,6}") {
        if let (Ok(filter), Ok(topic)) = (TopicFilter::parse(filter.as_str()), Topic::parse(topic.as_str())) {
            let levels: Vec<_> = filter.pattern().split('/').collect();
            let names: Vec<_> = topic.as_str().split('/').collect();
            let dollar = names[0].starts_with('$') && levels[0].starts_with(['#', '+']);
            prop_assert_eq!(filter.matches(&topic), !dollar && naive(&levels, &names));
        }
    }

    #[test]
    fn any_text_is_parsed_as_a_filter_without_a_panic(text in ".{0,30}", ascii in "[$/#+share]{0,20}") {
        for text in [text, ascii] {
            if let Ok(filter) = TopicFilter::parse(text.as_str()) {
                let whole = match filter.share_name() {
                    Some(name) => format!("$share/{name}/{}", filter.pattern()),
                    None => filter.pattern().to_owned(),
                };
                prop_assert_eq!(whole, text);
            }
        }
    }
}

/// 4.7.1, level by level.
fn naive(levels: &[&str], names: &[&str]) -> bool {
    match (levels, names) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", levels @ ..], [_, names @ ..]) => naive(levels, names),
        ([level, levels @ ..], [name, names @ ..]) => level == name && naive(levels, names),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}
