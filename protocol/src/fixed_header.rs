//! The fixed header (2.1): packet type, flags, remaining length.

use crate::data::VariableByteInteger;
use crate::error::Fault;
use crate::{PacketType, QoS, Version};

/// DUP in the flags of PUBLISH (3.3.1.1).
const DUP: u8 = 0b1000;

/// RETAIN in the flags of PUBLISH (3.3.1.3).
const RETAIN: u8 = 0b0001;

/// What PUBREL, SUBSCRIBE and UNSUBSCRIBE have for flags (2.1.3).
const FLAGS_0010: u8 = 0b0010;

/// The first bytes of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FixedHeader {
    pub(crate) packet_type: PacketType,
    pub(crate) flags: u8,
    /// How many bytes follow the fixed header.
    pub(crate) remaining_length: usize,
    /// How many bytes the fixed header has.
    pub(crate) bytes: usize,
    is_minimal: bool,
}

impl FixedHeader {
    /// Reads what is there so far. `None`: more bytes are needed. Type and flags are judged as soon as the first
    /// byte is there.
    #[inline]
    pub(crate) fn read(bytes: &[u8], version: Option<Version>) -> Result<Option<Self>, Fault> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (packet_type, flags) = (packet_type(first, version)?, first & 0x0F);
        check_flags(packet_type, flags, version)?;
        match VariableByteInteger::read(rest) {
            VariableByteInteger::Incomplete => Ok(None),
            VariableByteInteger::TooLong => Err(Fault::VariableByteIntegerTooLong),
            VariableByteInteger::Value { value, bytes, is_minimal } => Ok(Some(Self {
                packet_type,
                flags,
                remaining_length: value as usize,
                bytes: 1 + bytes,
                is_minimal,
            })),
        }
    }

    /// Whether the remaining length took no more bytes than it needs. 3.1.1 has no such rule.
    #[inline]
    pub(crate) fn check_length(&self, version: Version) -> Result<(), Fault> {
        if version.has_properties() && !self.is_minimal {
            return Err(Fault::VariableByteIntegerNotMinimal);
        }
        Ok(())
    }

    /// Size of the whole packet.
    #[inline]
    pub(crate) const fn packet_bytes(&self) -> usize {
        self.bytes + self.remaining_length
    }
}

/// The flags of PUBLISH (3.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PublishFlags {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl PublishFlags {
    #[inline]
    pub(crate) fn read(flags: u8) -> Result<Self, Fault> {
        let qos = QoS::from_bits((flags >> 1) & 0b11).ok_or(Fault::Qos3)?;
        let dup = flags & DUP != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(Fault::DupWithQos0);
        }
        Ok(Self { dup, qos, retain: flags & RETAIN != 0 })
    }

    /// DUP is left out at QoS 0 [MQTT-3.3.1-2].
    #[inline]
    pub(crate) const fn bits(self) -> u8 {
        let dup = if self.dup && !matches!(self.qos, QoS::AtMostOnce) { DUP } else { 0 };
        let retain = if self.retain { RETAIN } else { 0 };
        dup | (self.qos.bits() << 1) | retain
    }
}

/// The first byte of every packet but PUBLISH (2.1.3).
pub(crate) const fn first_byte(packet_type: PacketType) -> u8 {
    ((packet_type as u8) << 4) | required_flags(packet_type)
}

#[inline]
fn packet_type(first: u8, version: Option<Version>) -> Result<PacketType, Fault> {
    let number = first >> 4;
    let reserved = Fault::PacketType { number };
    let packet_type = PacketType::from_number(number).ok_or(reserved)?;
    match (packet_type, version) {
        (PacketType::Connect, _) | (_, Some(Version::V5)) => Ok(packet_type),
        (_, None) => Err(Fault::ConnectExpected),
        (PacketType::Auth, Some(Version::V3_1 | Version::V3_1_1)) => Err(reserved),
        (_, Some(Version::V3_1 | Version::V3_1_1)) => Ok(packet_type),
    }
}

#[inline]
fn check_flags(packet_type: PacketType, flags: u8, version: Option<Version>) -> Result<(), Fault> {
    if packet_type == PacketType::Publish {
        return PublishFlags::read(flags).map(|_| ());
    }
    let required = required_flags(packet_type);
    // In 3.1 these three travel with QoS 1, and are sent again with DUP.
    let allowed = if version == Some(Version::V3_1) && required == FLAGS_0010 { flags & !DUP } else { flags };
    if allowed == required { Ok(()) } else { Err(Fault::HeaderFlags { flags }) }
}

const fn required_flags(packet_type: PacketType) -> u8 {
    match packet_type {
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => FLAGS_0010,
        PacketType::Connect
        | PacketType::ConnAck
        | PacketType::Publish
        | PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubComp
        | PacketType::SubAck
        | PacketType::UnsubAck
        | PacketType::PingReq
        | PacketType::PingResp
        | PacketType::Disconnect
        | PacketType::Auth => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_256_first_bytes_only_those_of_table_2_2_are_taken() {
        let taken: Vec<u8> =
            (0..=255).filter(|&first| FixedHeader::read(&[first, 0], Some(Version::V5)).is_ok()).collect();
        let publishes = [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D];
        let mut expected =
            vec![0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0];
        expected.extend(publishes);
        expected.sort_unstable();
        assert_eq!(taken, expected);
    }

    #[test]
    fn flags_are_judged_before_the_remaining_length_is_there() {
        let read = |first| FixedHeader::read(&[first], Some(Version::V5));
        assert_eq!(read(0x36).unwrap_err(), Fault::Qos3);
        assert_eq!(read(0x38).unwrap_err(), Fault::DupWithQos0);
        assert_eq!(read(0x80).unwrap_err(), Fault::HeaderFlags { flags: 0 });
        assert_eq!(read(0x00).unwrap_err(), Fault::PacketType { number: 0 });
        assert!(read(0x82).unwrap().is_none());
    }

    #[test]
    fn anything_but_connect_is_refused_at_its_first_byte_while_the_version_is_unknown() {
        assert_eq!(FixedHeader::read(&[0x30], None).unwrap_err(), Fault::ConnectExpected);
        assert!(FixedHeader::read(&[0x10], None).unwrap().is_none());
    }

    #[test]
    fn version_3_1_repeats_pubrel_subscribe_and_unsubscribe_with_dup() {
        for first in [0x6A, 0x8A, 0xAA] {
            assert!(FixedHeader::read(&[first], Some(Version::V3_1)).is_ok());
            assert!(FixedHeader::read(&[first], Some(Version::V3_1_1)).is_err());
        }
    }
}
