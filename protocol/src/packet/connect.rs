//! CONNECT (3.1).

use bytes::Bytes;
use bytestring::ByteString;

use crate::message::MessageProperties;
use crate::{ClientId, QoS, Topic, UserProperties, Version};

/// A client asks for a connection and names its session (3.1).
#[derive(Clone, Eq, PartialEq)]
pub struct Connect {
    /// 3.1.2.1, 3.1.2.2.
    pub version: Version,
    /// Whether the client is a bridge that set bit 7 of the level, as mosquitto's and NanoMQ's bridges do.
    pub is_bridge: bool,
    /// 3.1.2.4: Clean Start of 5.0, Clean Session of 3.1.1.
    pub clean_start: bool,
    /// 3.1.2.10: 0 turns the mechanism off.
    pub keep_alive_secs: u16,
    /// 3.1.3.1. `None` where the client leaves the choice to the server.
    pub client_id: Option<ClientId>,
    /// 3.1.2.5, 3.1.3.2 to 3.1.3.4.
    pub will: Option<Will>,
    /// 3.1.3.5.
    pub username: Option<ByteString>,
    /// 3.1.3.6. Never printed.
    pub password: Option<Bytes>,
    /// 3.1.2.11. 5.0 only.
    pub properties: ConnectProperties,
}

/// The message that the server publishes if the connection ends without a goodbye (3.1.2.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Will {
    /// 3.1.3.3.
    pub topic: Topic,
    /// 3.1.3.4.
    pub payload: Bytes,
    /// 3.1.2.6.
    pub qos: QoS,
    /// 3.1.2.7.
    pub retain: bool,
    /// 3.1.3.2. 5.0 only.
    pub properties: WillProperties,
}

/// Will Properties (3.1.3.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WillProperties {
    /// 3.1.3.2.2: seconds between the end of the connection and the publication. Absent means 0.
    pub delay_secs: Option<u32>,
    /// What the published message carries.
    pub message: MessageProperties,
}

/// Properties of CONNECT (3.1.2.11). Absent ones have the default that the section states.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnectProperties {
    /// 3.1.2.11.2: absent means 0; `u32::MAX` means never.
    pub session_expiry_secs: Option<u32>,
    /// 3.1.2.11.3: 1 to 65,535, absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// 3.1.2.11.4: bytes, not 0, absent means no limit.
    pub maximum_packet_bytes: Option<u32>,
    /// 3.1.2.11.5: absent means 0.
    pub topic_alias_maximum: Option<u16>,
    /// 3.1.2.11.6: absent means `false`.
    pub request_response_information: Option<bool>,
    /// 3.1.2.11.7: absent means `true`.
    pub request_problem_information: Option<bool>,
    /// 3.1.2.11.8.
    pub user_properties: UserProperties,
    /// 3.1.2.11.9.
    pub authentication_method: Option<ByteString>,
    /// 3.1.2.11.10. Never printed.
    pub authentication_data: Option<Bytes>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
