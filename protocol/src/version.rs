//! The protocol versions; the only switch between the encodings.

/// A version of MQTT that can stand in a CONNECT packet (3.1.2.2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3. On the wire after CONNECT it equals 3.1.1.
    V3_1,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V3_1_1,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// Whether packets of this version carry properties and reason codes (2.2.2, 2.4).
    pub const fn has_properties(self) -> bool {
        match self {
            Self::V3_1 | Self::V3_1_1 => false,
            Self::V5 => true,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}
