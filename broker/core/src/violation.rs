//! Rules that are broken across packets; each knows its statement and its reason code.

use rivulet_protocol::packet::AuthReason;
use rivulet_protocol::{PacketId, PacketType, ReasonCode};

/// A rule that a client broke. The text goes to the log; the reason goes on the wire.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// 3.1.
    #[error("client sent {packet} before CONNECT [MQTT-3.1.0-1]")]
    ConnectNotFirst {
        /// What it sent.
        packet: PacketType,
    },
    /// 3.1.
    #[error("client sent a second CONNECT [MQTT-3.1.0-2]")]
    SecondConnect,
    /// 3.1.2.11.10.
    #[error("client sent authentication data without a method (3.1.2.11.10)")]
    AuthenticationDataWithoutMethod,
    /// 2.1.2: a packet that only servers send.
    #[error("client sent {packet}, which only a server sends (2.1.2)")]
    ServerPacket {
        /// What it sent.
        packet: PacketType,
    },
    /// 3.15: AUTH where no authentication method was agreed on.
    #[error("client sent AUTH without an authentication method in its CONNECT [MQTT-4.12.0-7]")]
    UnexpectedAuth,
    /// 3.1.2.11.9.
    #[error("client sent {packet} before its authentication was over [MQTT-3.1.2-30]")]
    NotAuthenticatedYet {
        /// What it sent.
        packet: PacketType,
    },
    /// 4.12: AUTH where the exchange is at another point.
    #[error("client sent AUTH with {reason:?} while it was not its turn to (4.12)")]
    AuthOutOfTurn {
        /// What it sent.
        reason: AuthReason,
    },
    /// 4.12.
    #[error("client changed its authentication method [MQTT-4.12.0-5] [MQTT-4.12.1-1]")]
    AuthenticationMethodChanged,
    /// 4.12.1: what was shown on the open connection does not let the client stay.
    #[error("client failed to authenticate again: {reason:?} [MQTT-4.12.1-2]")]
    ReAuthenticationFailed {
        /// Why.
        reason: ReasonCode,
    },
    /// Data flows carry PUBLISH, SUBSCRIBE, UNSUBSCRIBE, their acknowledgements and PINGREQ alone.
    #[error("client sent {packet} on a data flow")]
    NotOnDataFlow {
        /// What it sent.
        packet: PacketType,
    },
    /// 3.3.2.3.4.
    #[error("client sent topic alias {alias}, we allow 1 to {max} [MQTT-3.3.2-9]")]
    TopicAlias {
        /// What it sent.
        alias: u16,
        /// What CONNACK told.
        max: u16,
    },
    /// 3.3.2.3.4.
    #[error("client sent topic alias {alias}, which stands for no topic (3.3.2.3.4)")]
    UnknownTopicAlias {
        /// What it sent.
        alias: u16,
    },
    /// 3.3.4.
    #[error("client has {unacknowledged} publishes unacknowledged, we allow {max} [MQTT-3.3.4-7]")]
    ReceiveMaximum {
        /// How many, with the one that is too many.
        unacknowledged: usize,
        /// What CONNACK told.
        max: u16,
    },
    /// 3.3.4.
    #[error("client sent a subscription identifier with a PUBLISH [MQTT-3.3.4-6]")]
    SubscriptionIdInPublish,
    /// 3.8.3.1.
    #[error("client asked for No Local on a shared subscription [MQTT-3.8.3-4]")]
    NoLocalShared,
    /// 4.3: an acknowledgement that does not belong to the level of its message.
    #[error(
        "client answered packet identifier {packet_id} with {packet}, which does not fit its state (4.3)"
    )]
    WrongAcknowledgement {
        /// What it sent.
        packet: PacketType,
        /// For which exchange.
        packet_id: PacketId,
    },
    /// 3.14.2.2.2.
    #[error("client set a session expiry at DISCONNECT, its CONNECT had none (3.14.2.2.2)")]
    ExpirySetAtDisconnect,
}

impl Violation {
    /// What the client is told.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::ConnectNotFirst { .. }
            | Self::SecondConnect
            | Self::AuthenticationDataWithoutMethod
            | Self::ServerPacket { .. }
            | Self::UnexpectedAuth
            | Self::NotAuthenticatedYet { .. }
            | Self::AuthOutOfTurn { .. }
            | Self::AuthenticationMethodChanged
            | Self::NotOnDataFlow { .. }
            | Self::UnknownTopicAlias { .. }
            | Self::SubscriptionIdInPublish
            | Self::NoLocalShared
            | Self::WrongAcknowledgement { .. }
            | Self::ExpirySetAtDisconnect => ReasonCode::ProtocolError,
            // What only a CONNACK could name becomes what a DISCONNECT can.
            Self::ReAuthenticationFailed { reason } if reason.is_allowed_in(PacketType::Disconnect) => {
                *reason
            }
            Self::ReAuthenticationFailed { .. } => ReasonCode::NotAuthorized,
            Self::TopicAlias { .. } => ReasonCode::TopicAliasInvalid,
            Self::ReceiveMaximum { .. } => ReasonCode::ReceiveMaximumExceeded,
        }
    }
}
