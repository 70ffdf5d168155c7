//! Why a client is kept out, and what it is told.

use rivulet_protocol::ReasonCode;

use super::hook::HookFault;
use super::scram::ScramError;
use super::subject::Attribute;
use super::token::TokenFault;

/// Why a client is kept out. The text is for the operator and shows no secret; the reason goes on the wire.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The listener is not in the configuration.
    #[error("listener has no settings")]
    UnknownListener,
    /// It asks for enhanced authentication (4.12), with a method that is not offered here.
    #[error("authentication method is not offered by the listener [MQTT-4.12.0-1]")]
    UnknownMethod,
    /// The exchange of its authentication method.
    #[error("{0}")]
    Scram(ScramError),
    /// Neither certificate nor name nor password, and the listener asks for one.
    #[error("client shows nothing that the listener asks for")]
    NothingShown,
    /// A name or a password that none of the listener's authenticators knows.
    #[error("nobody vouches for the user name and password")]
    NobodyKnows,
    /// The password file knows the user, with another password.
    #[error("password is wrong")]
    WrongPassword,
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked")]
    Busy,
    /// The token.
    #[error("{0}")]
    Token(TokenFault),
    /// The hook says no.
    #[error("hook denies")]
    HookDenies,
    /// The hook says nothing.
    #[error("{0}")]
    HookFails(HookFault),
    /// The client identifier must equal something that the client has proven, and does not.
    #[error("client identifier is not the client's {0}, as the listener asks for")]
    ClientId(Attribute),
}

impl Refusal {
    /// What the client is told (3.2.2.2).
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::UnknownListener | Self::NothingShown | Self::HookDenies => ReasonCode::NotAuthorized,
            Self::UnknownMethod => ReasonCode::BadAuthenticationMethod,
            Self::Scram(error) => error.reason(),
            Self::NobodyKnows | Self::WrongPassword => ReasonCode::BadUserNameOrPassword,
            Self::Busy => ReasonCode::ServerBusy,
            Self::Token(fault) => fault.reason(),
            Self::HookFails(_) => ReasonCode::ServerUnavailable,
            Self::ClientId(_) => ReasonCode::ClientIdentifierNotValid,
        }
    }
}
