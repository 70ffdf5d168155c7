//! CONNACK (3.2).

use bytes::Bytes;
use bytestring::ByteString;

use crate::{ClientId, QoS, ReasonCode, UserProperties};

/// The server's answer to CONNECT (3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnAck {
    /// 3.2.2.1.1: whether the server had a session for this client.
    pub session_present: bool,
    /// 3.2.2.2. A 3.1.1 return code is the reason code that means the same.
    pub reason: ReasonCode,
    /// 3.2.2.3. 5.0 only.
    pub properties: ConnAckProperties,
}

/// Properties of CONNACK (3.2.2.3). Absent ones have the default that the section states.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnAckProperties {
    /// 3.2.2.3.2: where it differs from what the client asked for.
    pub session_expiry_secs: Option<u32>,
    /// 3.2.2.3.3: 1 to 65,535.
    pub receive_maximum: Option<u16>,
    /// 3.2.2.3.4: QoS 0 or 1; absent means 2.
    pub maximum_qos: Option<QoS>,
    /// 3.2.2.3.5: absent means `true`.
    pub retain_available: Option<bool>,
    /// 3.2.2.3.6: bytes, not 0.
    pub maximum_packet_bytes: Option<u32>,
    /// 3.2.2.3.7.
    pub assigned_client_id: Option<ClientId>,
    /// 3.2.2.3.8: absent means 0.
    pub topic_alias_maximum: Option<u16>,
    /// 3.2.2.3.9.
    pub reason_string: Option<ByteString>,
    /// 3.2.2.3.10.
    pub user_properties: UserProperties,
    /// 3.2.2.3.11: absent means `true`.
    pub wildcard_subscription_available: Option<bool>,
    /// 3.2.2.3.12: absent means `true`.
    pub subscription_ids_available: Option<bool>,
    /// 3.2.2.3.13: absent means `true`.
    pub shared_subscription_available: Option<bool>,
    /// 3.2.2.3.14: seconds.
    pub server_keep_alive_secs: Option<u16>,
    /// 3.2.2.3.15.
    pub response_information: Option<ByteString>,
    /// 3.2.2.3.16.
    pub server_reference: Option<ByteString>,
    /// 3.2.2.3.17.
    pub authentication_method: Option<ByteString>,
    /// 3.2.2.3.18. Never printed.
    pub authentication_data: Option<Bytes>,
}
