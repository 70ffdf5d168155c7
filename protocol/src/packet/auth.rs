//! AUTH (3.15). 5.0 only.

use bytes::Bytes;
use bytestring::ByteString;

use crate::UserProperties;

/// A step of enhanced authentication (3.15, 4.12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth {
    /// 3.15.2.1.
    pub reason: AuthReason,
    /// 3.15.2.2.
    pub properties: AuthProperties,
}

/// The three reasons that AUTH may carry (3.15.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum AuthReason {
    /// 0x00: authentication is done. From the server.
    Success = 0x00,
    /// 0x18: the exchange goes on.
    ContinueAuthentication = 0x18,
    /// 0x19: begin again, on the open connection. From the client.
    ReAuthenticate = 0x19,
}

/// Properties of AUTH (3.15.2.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuthProperties {
    /// 3.15.2.2.2.
    pub authentication_method: Option<ByteString>,
    /// 3.15.2.2.3. Never printed.
    pub authentication_data: Option<Bytes>,
    /// 3.15.2.2.4.
    pub reason_string: Option<ByteString>,
    /// 3.15.2.2.5.
    pub user_properties: UserProperties,
}
