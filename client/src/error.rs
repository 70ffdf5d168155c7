//! What can go wrong, and whose fault it is.

use std::sync::Arc;
use std::time::Duration;

use rivulet_protocol::{DecodeError, PacketType, QoS, ReasonCode};

use crate::{Url, UrlError};

/// Options that cannot be, or do not go together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// See [`UrlError`].
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A client identifier that cannot be sent.
    #[error("client identifier {0:?} is empty, longer than 65535 bytes, or holds U+0000 [MQTT-1.5.4-2]")]
    ClientId(String),
    /// An encrypted transport without anybody to trust.
    #[error("{0} is encrypted, and no certificate authority to trust is given")]
    TlsMissing(Url),
    /// Certificates for a transport that does not use them.
    #[error("{0} is not encrypted, so certificates are of no use there")]
    TlsNotUsed(Url),
    /// A session to resume, and nobody whose session it is.
    #[error(
        "a session of 3.1.1 that outlives its connection needs a client identifier [MQTT-3.1.3-7] of 3.1.1"
    )]
    AnonymousSession,
    /// A field of CONNECT that cannot be sent.
    #[error("CONNECT cannot be sent: {0}")]
    Connect(String),
    /// 3.1.1 knows no password alone.
    #[error("a password of 3.1.1 needs a user name [MQTT-3.1.2-22] of 3.1.1")]
    PasswordAlone,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// See [`OptionsError`].
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The host's name has no address.
    #[error("{url}: host cannot be found: {source}")]
    Resolve {
        /// Where to.
        url: Url,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The transport cannot be made.
    #[error("{url}: {problem}")]
    Transport {
        /// Where to.
        url: Url,
        /// What went wrong.
        problem: String,
    },
    /// Nothing came of it in time.
    #[error("{url}: no connection after {} s, while waiting for {awaited}", timeout.as_secs_f32())]
    Timeout {
        /// Where to.
        url: Url,
        /// How long we waited.
        timeout: Duration,
        /// What was missing.
        awaited: &'static str,
    },
    /// The server refused in CONNACK.
    #[error("{url}: server refused the connection: {}{}", describe(*reason), said(said_why))]
    Refused {
        /// Where to.
        url: Url,
        /// Its reason.
        reason: ReasonCode,
        /// Its words, if it gave any.
        said_why: Option<String>,
        /// Another server that it names, if any.
        server_reference: Option<String>,
    },
    /// The connection ended before CONNACK.
    #[error("{url}: {cause}")]
    Lost {
        /// Where to.
        url: Url,
        /// How it ended.
        cause: Cause,
    },
}

impl ConnectError {
    /// Whether trying again later is of no use, because the answer would be the same.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Options(_) => true,
            Self::Refused { reason, .. } => is_final(*reason),
            Self::Lost { cause, .. } => cause.is_final(),
            Self::Resolve { .. } | Self::Transport { .. } | Self::Timeout { .. } => false,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Cause {
    /// The application said goodbye.
    #[error("we disconnected")]
    Goodbye,
    /// The server said goodbye.
    #[error("server disconnected: {}{}", describe(*reason), said(said_why))]
    Server {
        /// Its reason.
        reason: ReasonCode,
        /// Its words, if it gave any.
        said_why: Option<String>,
    },
    /// The server ended the connection without a word.
    #[error("server closed the connection")]
    Closed,
    /// The transport failed.
    #[error("connection lost: {0}")]
    Network(String),
    /// The server does not answer any more.
    #[error("server did not answer PINGREQ within {} s", .0.as_secs_f32())]
    PingTimeout(Duration),
    /// The server sent what is no packet.
    #[error("server sent {0}")]
    Malformed(#[from] DecodeError),
    /// The server broke a rule.
    #[error(transparent)]
    Fault(#[from] ServerFault),
    /// It could not be made again.
    #[error("{0}")]
    Reconnect(Arc<ConnectError>),
}

impl Cause {
    /// What the server is told.
    pub(crate) fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Malformed(error) => Some(error.reason()),
            Self::Fault(fault) => Some(fault.reason()),
            Self::Goodbye
            | Self::Server { .. }
            | Self::Closed
            | Self::Network(_)
            | Self::PingTimeout(_)
            | Self::Reconnect(_) => None,
        }
    }

    /// Whether trying again later is of no use.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Goodbye => true,
            Self::Server { reason, .. } => is_final(*reason),
            Self::Reconnect(error) => error.is_final(),
            Self::Closed | Self::Network(_) | Self::PingTimeout(_) | Self::Malformed(_) | Self::Fault(_) => {
                false
            }
        }
    }
}

/// A rule that the server broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ServerFault {
    /// A packet that a server does not send, or not at this time.
    #[error("server sent {0}, which does not belong here")]
    UnexpectedPacket(PacketType),
    /// An answer of the wrong kind for its packet identifier.
    #[error("server sent {packet} for packet identifier {id}, which awaits another answer")]
    WrongAnswer {
        /// What it sent.
        packet: PacketType,
        /// For which exchange.
        id: u16,
    },
    /// An answer with the wrong number of reason codes.
    #[error(
        "server answered {sent} topic filters with {answered} reason codes [MQTT-3.8.4-6, MQTT-3.11.3-1]"
    )]
    ReasonCount {
        /// How many filters we sent.
        sent: usize,
        /// How many reason codes came back.
        answered: usize,
    },
    /// More unacknowledged messages than we allow.
    #[error("server has more than {max} messages unacknowledged [MQTT-3.3.4-9]")]
    ReceiveMaximum {
        /// What we allow.
        max: u16,
    },
    /// A topic alias that stands for nothing.
    #[error("server sent topic alias {alias}, we know 1 to {max} once they are defined [MQTT-3.1.2-26]")]
    TopicAlias {
        /// What it sent.
        alias: u16,
        /// What we allow.
        max: u16,
    },
    /// A session where none was asked for.
    #[error("server says session present, and we asked for a clean start [MQTT-3.2.2-2]")]
    SessionPresent,
}

impl ServerFault {
    /// What the server is told.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::UnexpectedPacket(_)
            | Self::WrongAnswer { .. }
            | Self::ReasonCount { .. }
            | Self::SessionPresent => ReasonCode::ProtocolError,
            Self::ReceiveMaximum { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAlias { .. } => ReasonCode::TopicAliasInvalid,
        }
    }
}

/// Why a publication or a subscription came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// The server refused it.
    #[error("server refused it: {}{}", describe(*reason), said(said_why))]
    Refused {
        /// Its reason.
        reason: ReasonCode,
        /// Its words, if it gave any.
        said_why: Option<String>,
    },
    /// The server takes no message of this level.
    #[error("QoS {} is more than the server's maximum, {} [MQTT-3.2.2-11]", asked.bits(), allowed.bits())]
    QosNotSupported {
        /// What was asked for.
        asked: QoS,
        /// What the server takes.
        allowed: QoS,
    },
    /// The server retains nothing.
    #[error("server does not support retained messages [MQTT-3.2.2-14]")]
    RetainNotSupported,
    /// The packet cannot be sent.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
    /// The connection ended before it was sent. QoS 0 only.
    #[error("the connection ended before it was sent")]
    ConnectionLost,
    /// The server lost the session, and nobody can tell whether it has the message. QoS 2 only.
    #[error("the server lost the session, so it is not known whether it has the message")]
    SessionLost,
    /// The client has ended.
    #[error("the client has ended: {0}")]
    Closed(Cause),
}

/// Whether a server that says this will say it again.
fn is_final(reason: ReasonCode) -> bool {
    use ReasonCode as R;
    match reason {
        R::UnsupportedProtocolVersion
        | R::ClientIdentifierNotValid
        | R::BadUserNameOrPassword
        | R::NotAuthorized
        | R::Banned
        | R::BadAuthenticationMethod
        | R::SessionTakenOver
        | R::TopicNameInvalid
        | R::PayloadFormatInvalid
        | R::RetainNotSupported
        | R::QoSNotSupported
        | R::UseAnotherServer
        | R::ServerMoved => true,
        R::Success
        | R::GrantedQoS1
        | R::GrantedQoS2
        | R::DisconnectWithWillMessage
        | R::NoMatchingSubscribers
        | R::NoSubscriptionExisted
        | R::ContinueAuthentication
        | R::ReAuthenticate
        | R::UnspecifiedError
        | R::MalformedPacket
        | R::ProtocolError
        | R::ImplementationSpecificError
        | R::ServerUnavailable
        | R::ServerBusy
        | R::ServerShuttingDown
        | R::KeepAliveTimeout
        | R::TopicFilterInvalid
        | R::PacketIdentifierInUse
        | R::PacketIdentifierNotFound
        | R::ReceiveMaximumExceeded
        | R::TopicAliasInvalid
        | R::PacketTooLarge
        | R::MessageRateTooHigh
        | R::QuotaExceeded
        | R::AdministrativeAction
        | R::SharedSubscriptionsNotSupported
        | R::ConnectionRateExceeded
        | R::MaximumConnectTime
        | R::SubscriptionIdentifiersNotSupported
        | R::WildcardSubscriptionsNotSupported => false,
    }
}

fn describe(reason: ReasonCode) -> String {
    format!("{reason} (0x{:02X})", reason.byte())
}

fn said(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(", it says {why:?}")).unwrap_or_default()
}
