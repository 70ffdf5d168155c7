//! DISCONNECT (3.14).

use bytestring::ByteString;

use crate::{ReasonCode, UserProperties};

/// The last packet of a connection (3.14). In 3.1.1 only a client sends it, without a reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnect {
    /// 3.14.2.1.
    pub reason: ReasonCode,
    /// 3.14.2.2. 5.0 only.
    pub properties: DisconnectProperties,
}

/// Properties of DISCONNECT (3.14.2.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DisconnectProperties {
    /// 3.14.2.2.2: absent means that the one of CONNECT holds. Only from the client.
    pub session_expiry_secs: Option<u32>,
    /// 3.14.2.2.3.
    pub reason_string: Option<ByteString>,
    /// 3.14.2.2.4.
    pub user_properties: UserProperties,
    /// 3.14.2.2.5: another server to use. Only from the server.
    pub server_reference: Option<ByteString>,
}
