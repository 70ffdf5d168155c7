//! How it stands with the connection.

use std::time::Duration;

use rivulet_protocol::{ClientId, QoS, UserProperties};

use crate::error::Cause;

/// How it stands with the connection. Only the latest state can be seen.
#[derive(Clone, Debug)]
pub enum State {
    /// There is one.
    Connected(Connected),
    /// It was lost, and is made again after a pause.
    Reconnecting {
        /// How the last one ended, or why there is none yet.
        cause: Cause,
        /// How often it was tried since then, this time included.
        attempt: u32,
        /// How long the pause is.
        pause: Duration,
    },
    /// There will be none any more.
    Ended(Cause),
}

/// What the server said in CONNACK (3.2), and what follows from it.
#[derive(Clone, Debug)]
pub struct Connected {
    /// How many connections this client has had, this one included.
    pub count: u64,
    /// Whether the server had the session (3.2.2.1.1).
    pub session_present: bool,
    /// The client identifier, be it ours or the server's choice. `None` only in 3.1.1, which does not tell.
    pub client_id: Option<ClientId>,
    /// The keep alive that holds, in seconds (3.2.2.3.14); 0 is none.
    pub keep_alive_secs: u16,
    /// How long the server keeps the session, in seconds (3.2.2.3.2).
    pub session_expiry_secs: u32,
    /// How many publications of QoS 1 and 2 may be on their way at once.
    pub inflight_max: u16,
    /// The highest level that the server takes (3.2.2.3.5).
    pub maximum_qos: QoS,
    /// Whether the server retains messages (3.2.2.3.5).
    pub retain_available: bool,
    /// How many topic aliases the server takes (3.2.2.3.8).
    pub topic_alias_maximum: u16,
    /// The server's own pairs (3.2.2.3.10).
    pub user_properties: UserProperties,
}
