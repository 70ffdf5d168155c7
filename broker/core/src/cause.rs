//! Why a connection ended, and whose doing it was. The same value picks the wire code, the log level, the counter.

use rivulet_protocol::{DecodeError, ReasonCode};

use crate::Violation;
use crate::durable::StoreFault;

/// Who ended a connection or a flow, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CloseCause {
    /// It said goodbye, or gave a reason (3.14).
    #[error("client disconnected with {0:?}")]
    Client(ReasonCode),
    /// It sent bytes that are no packet.
    #[error("malformed: {0}")]
    Malformed(DecodeError),
    /// It broke a rule.
    #[error("{0}")]
    Violation(Violation),
    /// It was not let in.
    #[error("refused with {0:?}")]
    Refused(ReasonCode),
    /// The same client identifier came back on another connection [MQTT-3.1.4-3].
    #[error("session taken over by a newer connection [MQTT-3.1.4-3]")]
    TakenOver,
    /// Nothing was heard for one and a half keep-alive periods [MQTT-3.1.2-22].
    #[error("keep alive of {keep_alive_secs} s was missed [MQTT-3.1.2-22]")]
    KeepAlive {
        /// The period in force, in seconds.
        keep_alive_secs: u16,
    },
    /// What the client has shown to be let in ran out: a token, or a certificate.
    #[error("credentials expired")]
    CredentialsExpired,
    /// CONNECT did not come in time.
    #[error("no CONNECT within {seconds} s")]
    ConnectTimeout {
        /// How long it had.
        seconds: u64,
    },
    /// An operator ended it.
    #[error("operator ended it with {0:?}")]
    Operator(ReasonCode),
    /// The broker shuts down.
    #[error("broker is shutting down")]
    Drain,
    /// The network ended it.
    #[error("network: {0}")]
    Network(NetworkLoss),
    /// The store could not take what was to be acknowledged.
    #[error("store: {0}")]
    Store(StoreFault),
    /// A limit of ours.
    #[error("{0}")]
    Overload(Overload),
}

impl CloseCause {
    /// What a DISCONNECT to a 5.0 client says (3.14.2.1). `None`: it is not sent one.
    pub const fn disconnect_reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Client(_) | Self::Refused(_) | Self::ConnectTimeout { .. } | Self::Network(_) => None,
            Self::Malformed(error) => Some(error.reason()),
            Self::Violation(violation) => Some(violation.reason()),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::KeepAlive { .. } => Some(ReasonCode::KeepAliveTimeout),
            Self::CredentialsExpired => Some(ReasonCode::NotAuthorized),
            Self::Operator(reason) => Some(*reason),
            Self::Drain => Some(ReasonCode::ServerShuttingDown),
            Self::Store(StoreFault::Full) => Some(ReasonCode::QuotaExceeded),
            Self::Store(StoreFault::Failing) => Some(ReasonCode::ImplementationSpecificError),
            Self::Overload(overload) => Some(overload.reason()),
        }
    }
}

/// A limit of ours that a connection ran into. Each is a field of [`crate::Limits`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Overload {
    /// `connections_max`.
    #[error("more than {max} connections")]
    Connections {
        /// The limit.
        max: u32,
    },
    /// `early_packets_max`.
    #[error("more than {max} packets before the authentication was over")]
    EarlyPackets {
        /// The limit.
        max: u32,
    },
    /// `queue_messages_max` or `queue_bytes_max`, with [`crate::limits::OnFullQueue::Disconnect`].
    #[error("queue of {messages} messages is full")]
    Queue {
        /// How many were waiting.
        messages: usize,
    },
}

impl Overload {
    /// What the client is told.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Connections { .. } => ReasonCode::ServerBusy,
            Self::EarlyPackets { .. } | Self::Queue { .. } => ReasonCode::QuotaExceeded,
        }
    }
}

/// How a connection was lost below MQTT. The transport words it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkLoss {
    /// The peer closed, without DISCONNECT.
    #[error("closed by the peer without DISCONNECT")]
    ClosedByPeer,
    /// The peer was silent for longer than the transport allows.
    #[error("timed out")]
    TimedOut,
    /// The peer broke the transport's rules, or broke the connection off.
    #[error("reset: {0}")]
    Reset(String),
}
