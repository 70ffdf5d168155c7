//! Names and numbers of MQTT over QUIC: ALPN protocols, ports, application error codes.
//!
//! There is no standard yet. ALPN `mqtt` is plain MQTT on the first stream, with further client streams where the
//! client opens them; `MQTT-next` is the draft of March 2024 with flow headers. Not here: streams and their headers.

/// ALPN protocol of plain MQTT over QUIC: every implementation speaks it.
pub const ALPN_MQTT: &[u8] = b"mqtt";

/// ALPN protocol of the MQTT-next draft.
pub const ALPN_MQTT_NEXT: &[u8] = b"MQTT-next";

/// UDP port of MQTT over QUIC.
pub const PORT: u16 = 14_567;

/// TCP port of MQTT (IANA `mqtt`).
pub const PORT_TCP: u16 = 1_883;

/// TCP port of MQTT over TLS (IANA `secure-mqtt`).
pub const PORT_TLS: u16 = 8_883;

/// Why a connection was closed: the application error code of CONNECTION_CLOSE in the MQTT-next draft.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum ConnectionCode {
    /// Nothing was wrong.
    NoError = 0x00,
    /// The handshake was done, and yet the peer is not taken: its certificate was refused afterwards.
    TlsError = 0xB1,
    /// None of the others.
    Unspecified = 0xB2,
    /// Flows were recovered too often.
    TooManyRecoverAttempts = 0xB3,
    /// A rule was broken that no flow outlives.
    ProtocolError = 0xB4,
}

/// Why a stream was broken off: the application error code of RESET_STREAM and STOP_SENDING in the MQTT-next draft.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum StreamCode {
    /// Nothing was wrong.
    NoError = 0x00,
    /// The flow that was to be recovered is not known.
    NoFlowState = 0xB3,
    /// The flow belongs to the other side, or to another client.
    NotFlowOwner = 0xB4,
    /// A stream of this type may not carry this flow.
    StreamType = 0xB5,
    /// The flow identifier has the wrong parity, or is in use.
    BadFlowId = 0xB6,
    /// Flows bound to a topic are not supported.
    PersistentTopic = 0xB7,
    /// Flows bound to a subscription are not supported.
    PersistentSubscription = 0xB8,
    /// Optional headers are not supported.
    OptionalHeader = 0xB9,
    /// The stream ended within a packet.
    IncompletePacket = 0xBA,
    /// The flow was opened and then nothing came.
    FlowOpenIdle = 0xBB,
    /// The flow is not wanted any longer.
    FlowCancelled = 0xBC,
    /// One packet of the flow is not wanted any longer.
    FlowPacketCancelled = 0xBD,
    /// Flows of this kind are not taken.
    FlowRefused = 0xBE,
    /// The state of the flow was given up.
    DiscardState = 0xBF,
    /// The server may not open flows.
    ServerPushNotWelcome = 0xC0,
    /// The flow is known and cannot be recovered.
    RecoveryFailed = 0xC1,
}

impl ConnectionCode {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl StreamCode {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether both sides forget the flow.
    pub const fn discards_state(self) -> bool {
        match self {
            Self::BadFlowId
            | Self::PersistentSubscription
            | Self::OptionalHeader
            | Self::FlowCancelled
            | Self::DiscardState
            | Self::ServerPushNotWelcome
            | Self::RecoveryFailed => true,
            Self::NoError
            | Self::NoFlowState
            | Self::NotFlowOwner
            | Self::StreamType
            | Self::PersistentTopic
            | Self::IncompletePacket
            | Self::FlowOpenIdle
            | Self::FlowPacketCancelled
            | Self::FlowRefused => false,
        }
    }
}
