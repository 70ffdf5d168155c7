//! Bytes and packets side by side: the vectors in `golden/`, one file per packet, written from the specification.
//!
//! A vector is a block of lines: its name; the version in which it is read (`first` is a server that awaits CONNECT);
//! the bytes; and one of
//!
//! - `= packet`: the bytes are this packet, and this packet is written as these bytes
//! - `~ packet`: the bytes are this packet; there is a shorter or otherwise ordered form, which is what we write
//! - `! statement, reason`: the bytes are refused, the error names the statement, and this is the reason code

#![allow(clippy::unwrap_used, reason = "in a test file every function belongs to a test")]

mod hex;
mod text;
mod theirs;

use bytes::BytesMut;
use hex::parse_bytes;
use rivulet_protocol::{DecodeError, Decoder, Encoder, OutBuffer, Packet, Version};
use text::describe;

/// More than any vector needs.
const MAXIMUM_PACKET_BYTES: usize = 1_000;

const FILES: [(&str, &str); 12] = [
    ("ack.txt", include_str!("golden/ack.txt")),
    ("auth.txt", include_str!("golden/auth.txt")),
    ("connack.txt", include_str!("golden/connack.txt")),
    ("connect.txt", include_str!("golden/connect.txt")),
    ("disconnect.txt", include_str!("golden/disconnect.txt")),
    ("fixed_header.txt", include_str!("golden/fixed_header.txt")),
    ("ping.txt", include_str!("golden/ping.txt")),
    ("publish.txt", include_str!("golden/publish.txt")),
    ("suback.txt", include_str!("golden/suback.txt")),
    ("subscribe.txt", include_str!("golden/subscribe.txt")),
    ("unsuback.txt", include_str!("golden/unsuback.txt")),
    ("unsubscribe.txt", include_str!("golden/unsubscribe.txt")),
];

/// How `mqttbytes` reads the vectors where it differs from us. `UPDATE=1 cargo test -p rivulet-protocol --test golden`
/// writes it anew.
const DIFFERENCES: &str = include_str!("golden/mqttbytes.txt");

struct Vector {
    name: String,
    /// `None`: a server that awaits CONNECT.
    version: Option<Version>,
    bytes: Vec<u8>,
    expected: Expected,
}

enum Expected {
    Packet { text: String, is_our_form: bool },
    Refused { statement: String, reason: String },
}

#[test]
fn a_valid_vector_is_the_packet_that_it_says() {
    let mut faults = Vec::new();
    for vector in vectors() {
        if let Expected::Packet { text, .. } = &vector.expected {
            match decode(&vector, &vector.bytes) {
                Ok(Some(packet)) if describe(&packet) == *text => {}
                Ok(Some(packet)) => {
                    faults.push(format!("{}: {}\n expected {text}", vector.name, describe(&packet)))
                }
                other => faults.push(format!("{}: {other:?}", vector.name)),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_packet_in_our_form_is_written_as_its_vector() {
    let mut faults = Vec::new();
    for vector in vectors() {
        let Expected::Packet { is_our_form, .. } = vector.expected else { continue };
        let Ok(Some(packet)) = decode(&vector, &vector.bytes) else { continue };
        let version = vector.version.or(version_of(&packet)).unwrap();
        let mut out = OutBuffer::new();
        Encoder::new(version, MAXIMUM_PACKET_BYTES).encode(&packet, &mut out).unwrap();
        let written = out.take().concat();
        if is_our_form && written != vector.bytes {
            faults.push(format!("{}: {:02X?}\n expected {:02X?}", vector.name, written, vector.bytes));
        }
        if !is_our_form && (written == vector.bytes || decode(&vector, &written) != Ok(Some(packet))) {
            faults.push(format!("{}: {:02X?} is our form, or another packet", vector.name, written));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_invalid_vector_is_refused_with_its_statement_and_reason_code() {
    let mut faults = Vec::new();
    for vector in vectors() {
        if let Expected::Refused { statement, reason } = &vector.expected {
            match decode(&vector, &vector.bytes) {
                Err(error) if error.to_string().contains(statement) && error.reason().name() == reason => {}
                other => {
                    faults.push(format!("{}: expected {statement} {reason}, got {other:?}", vector.name))
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_packet_that_is_not_yet_complete_is_waited_for() {
    for vector in vectors() {
        if let Expected::Packet { .. } = vector.expected {
            for cut in 0..vector.bytes.len() {
                assert_eq!(decode(&vector, &vector.bytes[..cut]), Ok(None), "{} cut at {cut}", vector.name);
            }
        }
    }
}

#[test]
fn there_are_at_least_ninety_invalid_vectors_and_no_name_twice() {
    let vectors = vectors();
    let refused = vectors.iter().filter(|vector| matches!(vector.expected, Expected::Refused { .. })).count();
    assert!(refused >= 90, "{refused}");
    let mut names: Vec<_> = vectors.iter().map(|vector| &vector.name).collect();
    names.sort_unstable();
    names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
}

#[test]
fn a_fault_in_connect_says_which_version_to_answer_in() {
    for vector in vectors() {
        // A fault in the first byte is found before there is a version.
        if vector.version.is_some()
            || vector.bytes[0] != 0x10
            || matches!(vector.expected, Expected::Packet { .. })
        {
            continue;
        }
        let error = decode(&vector, &vector.bytes).unwrap_err();
        let levels = [
            ("00 04 \"MQTT\" 05", Version::V5),
            ("00 04 \"MQTT\" 04", Version::V3_1_1),
            ("00 06 \"MQIsdp\" 03", Version::V3_1),
        ];
        let is_there = |text| vector.bytes.windows(9).any(|window| window.starts_with(&parse_bytes(text)));
        let has_level = levels.into_iter().find(|(text, _)| is_there(text));
        assert_eq!(error.version, has_level.map(|(_, version)| version), "{}", vector.name);
    }
}

#[test]
fn mqttbytes_differs_where_the_list_says_and_nowhere_else() {
    let differences: Vec<_> = vectors().iter().filter_map(difference).collect();
    let list = DIFFERENCES.lines().filter(|line| line.starts_with('#'));
    let list = list.map(str::to_owned).chain(differences).collect::<Vec<_>>().join("\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mqttbytes.txt");
        std::fs::write(path, &list).unwrap();
    } else {
        assert_eq!(list, DIFFERENCES);
    }
}

/// What `mqttbytes` makes of a vector, and what says that it should not.
fn difference(vector: &Vector) -> Option<String> {
    let version = match (vector.version, decode(vector, &vector.bytes)) {
        (Some(version), _) => version,
        (None, Ok(packet)) => version_of(&packet?)?,
        (None, Err(error)) => error.version?,
    };
    let read = theirs::read(version, &vector.bytes);
    let waits = matches!(read, Err(mqttbytes::Error::InsufficientBytes(_)));
    match (&vector.expected, read) {
        (Expected::Packet { text, .. }, Ok(Some(packet))) if describe(&packet) == *text => None,
        (Expected::Packet { .. }, Ok(_)) => Some(format!("{}: reads another packet", vector.name)),
        (Expected::Packet { .. }, Err(_)) if waits => Some(format!("{}: waits for more bytes", vector.name)),
        (Expected::Packet { .. }, Err(error)) => Some(format!("{}: refuses it as {error:?}", vector.name)),
        (Expected::Refused { statement, .. }, Ok(_)) => {
            Some(format!("{}: takes it, against {statement}", vector.name))
        }
        (Expected::Refused { statement, .. }, Err(_)) if waits => {
            Some(format!("{}: waits for more bytes, against {statement}", vector.name))
        }
        (Expected::Refused { .. }, Err(_)) => None,
    }
}

fn decode(vector: &Vector, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    let mut decoder = match vector.version {
        Some(version) => Decoder::with_version(version, MAXIMUM_PACKET_BYTES),
        None => Decoder::new(MAXIMUM_PACKET_BYTES),
    };
    let mut buffer = BytesMut::from(bytes);
    let decoded = decoder.decode(&mut buffer);
    if let Ok(Some(_)) = decoded {
        assert!(buffer.is_empty(), "{} leaves bytes behind", vector.name);
    }
    decoded
}

fn version_of(packet: &Packet) -> Option<Version> {
    if let Packet::Connect(connect) = packet { Some(connect.version) } else { None }
}

fn vectors() -> Vec<Vector> {
    FILES.iter().flat_map(|(file, content)| file_vectors(file, content)).collect()
}

fn file_vectors(file: &str, content: &str) -> Vec<Vector> {
    let lines: Vec<_> = content.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.is_empty())
        .filter(|block| !block.is_empty())
        .flat_map(|block| block_vectors(file, block))
        .collect()
}

/// One vector for each of the versions that the block names.
fn block_vectors(file: &str, block: &[&str]) -> Vec<Vector> {
    let (&[name, versions], rest) =
        block.split_first_chunk::<2>().unwrap_or_else(|| panic!("{file}: {block:?}"));
    let (last, bytes) = rest.split_last().unwrap_or_else(|| panic!("{file}: {name}"));
    let (kind, text) = last.split_at(2);
    let versions = versions.split(", ");
    versions
        .map(|version| Vector {
            name: format!("{file}: {name} ({version})"),
            version: match version {
                "first" => None,
                "3.1" => Some(Version::V3_1),
                "3.1.1" => Some(Version::V3_1_1),
                "5.0" => Some(Version::V5),
                other => panic!("{file}: {name}: version {other}"),
            },
            bytes: parse_bytes(&bytes.join(" ")),
            expected: match kind {
                "= " | "~ " => Expected::Packet { text: text.to_owned(), is_our_form: kind == "= " },
                "! " => {
                    let (statement, reason) =
                        text.split_once(", ").unwrap_or_else(|| panic!("{file}: {name}"));
                    Expected::Refused { statement: statement.to_owned(), reason: reason.to_owned() }
                }
                other => panic!("{file}: {name}: {other}"),
            },
        })
        .collect()
}
