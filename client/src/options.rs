//! Everything that can be asked of a connection and its session, with what holds where nothing is asked.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use bytes::Bytes;
use rivulet_protocol::packet::{Connect, ConnectProperties, Will};
use rivulet_protocol::{ClientId, UserProperties, Version};

use crate::error::OptionsError;
use crate::{Endpoint, Transport, Url};

/// Keep alive where none is asked for, in seconds.
pub const KEEP_ALIVE_SECS: u16 = 60;

/// How long address lookup, transport, TLS and CONNACK may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a PINGRESP may take before the connection counts as lost.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Publications of QoS 1 and 2 on their way at once, where the server allows as many.
pub const INFLIGHT_MAX: u16 = 256;

/// The largest packet that we take, in bytes.
pub const PACKET_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Messages that may wait to be taken by the application.
pub const MESSAGES_WAITING_MAX: u16 = 256;

/// Requests that may wait to be taken by the connection.
pub const REQUESTS_WAITING_MAX: u16 = 1_024;

/// How a lost connection is made again.
///
/// The n-th pause in a row is drawn from the upper half of `first * 2^n`, and that is at most `max`: a fleet that lost
/// its server does not come back all at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reconnect {
    /// Not at all: the client ends with its connection.
    Never,
    /// After growing pauses, for ever.
    Backoff {
        /// The first pause.
        first: Duration,
        /// The longest pause.
        max: Duration,
    },
}

impl Reconnect {
    /// The first pause where none is asked for.
    pub const FIRST: Duration = Duration::from_millis(250);
    /// The longest pause where none is asked for.
    pub const MAX: Duration = Duration::from_secs(30);
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::Backoff { first: Self::FIRST, max: Self::MAX }
    }
}

/// What is asked of a connection and its session.
///
/// | | where nothing is asked |
/// |---|---|
/// | client identifier | chosen by the server |
/// | version | 5.0 |
/// | clean start | yes |
/// | session expiry | 0 s: ends with the connection |
/// | keep alive | 60 s |
/// | reconnect | 250 ms to 30 s |
/// | inflight | 256, or the server's receive maximum if that is less |
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) url: Url,
    pub(crate) tls: Option<rustls::ClientConfig>,
    pub(crate) server_name: Option<String>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) connect: Connect,
    pub(crate) reconnect: Reconnect,
    pub(crate) connect_timeout: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) inflight_max: NonZeroU16,
    pub(crate) packet_bytes_max: NonZeroU32,
    pub(crate) messages_waiting_max: NonZeroU16,
}

impl Options {
    /// For a server by its URL.
    ///
    /// # Errors
    ///
    /// See [`crate::UrlError`].
    pub fn new(url: &str) -> Result<Self, OptionsError> {
        Ok(Self::with_url(url.parse()?))
    }

    /// For a server by its URL that is known to be one.
    pub fn with_url(url: Url) -> Self {
        Self {
            url,
            tls: None,
            server_name: None,
            endpoint: None,
            connect: Connect {
                version: Version::V5,
                is_bridge: false,
                clean_start: true,
                keep_alive_secs: KEEP_ALIVE_SECS,
                client_id: None,
                will: None,
                username: None,
                password: None,
                properties: ConnectProperties::default(),
            },
            reconnect: Reconnect::default(),
            connect_timeout: CONNECT_TIMEOUT,
            ping_timeout: PING_TIMEOUT,
            inflight_max: non_zero(INFLIGHT_MAX),
            packet_bytes_max: NonZeroU32::new(PACKET_BYTES_MAX).unwrap_or(NonZeroU32::MIN),
            messages_waiting_max: non_zero(MESSAGES_WAITING_MAX),
        }
    }

    /// Names the client and its session (3.1.3.1).
    ///
    /// # Errors
    ///
    /// Text that is empty, longer than 65,535 bytes, or holds U+0000.
    pub fn client_id(mut self, id: &str) -> Result<Self, OptionsError> {
        let parsed = ClientId::parse(id).ok_or_else(|| OptionsError::ClientId(id.to_owned()))?;
        self.connect.client_id = Some(parsed);
        Ok(self)
    }

    /// The version of MQTT.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.connect.version = version;
        self
    }

    /// Whether the first connection begins a new session (3.1.2.4). In 3.1.1 it says too that the session ends with
    /// its connection. Reconnects of this client ask for the session that it has.
    #[must_use]
    pub fn clean_start(mut self, clean: bool) -> Self {
        self.connect.clean_start = clean;
        self
    }

    /// How many seconds the server keeps the session after the connection ends (3.1.2.11.2); `u32::MAX` is for ever.
    /// 5.0 only.
    #[must_use]
    pub fn session_expiry(mut self, secs: u32) -> Self {
        self.connect.properties.session_expiry_secs = Some(secs);
        self
    }

    /// The longest silence in seconds (3.1.2.10); 0 turns keep alive off.
    #[must_use]
    pub fn keep_alive(mut self, secs: u16) -> Self {
        self.connect.keep_alive_secs = secs;
        self
    }

    /// 3.1.3.5.
    #[must_use]
    pub fn username(mut self, username: &str) -> Self {
        self.connect.username = Some(username.into());
        self
    }

    /// 3.1.3.6.
    #[must_use]
    pub fn password(mut self, password: impl Into<Bytes>) -> Self {
        self.connect.password = Some(password.into());
        self
    }

    /// What the server publishes if the connection ends without a goodbye (3.1.2.5).
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.connect.will = Some(will);
        self
    }

    /// User properties of CONNECT (3.1.2.11.8). 5.0 only.
    #[must_use]
    pub fn user_properties(mut self, properties: UserProperties) -> Self {
        self.connect.properties.user_properties = properties;
        self
    }

    /// How many messages of QoS 1 and 2 the server may send unacknowledged (3.1.2.11.3). 5.0 only.
    #[must_use]
    pub fn receive_maximum(mut self, messages: NonZeroU16) -> Self {
        self.connect.properties.receive_maximum = Some(messages.get());
        self
    }

    /// How many topic aliases the server may use (3.1.2.11.5). 5.0 only.
    #[must_use]
    pub fn topic_alias_maximum(mut self, aliases: u16) -> Self {
        self.connect.properties.topic_alias_maximum = Some(aliases);
        self
    }

    /// The largest packet in bytes that we take (3.1.2.11.4). A larger one ends the connection.
    #[must_use]
    pub fn maximum_packet_bytes(mut self, bytes: NonZeroU32) -> Self {
        self.packet_bytes_max = bytes;
        self
    }

    /// Which roots to trust and which certificate to show. Needed for QUIC, which has no unencrypted form. If its ALPN
    /// is empty, `mqtt` is offered.
    #[must_use]
    pub fn tls(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// The name that the server's certificate must carry, where it is not the host of the URL.
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// The UDP sockets to use for QUIC, so that many clients share them. Where nothing is asked, a client has its own.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// How a lost connection is made again.
    #[must_use]
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// How long address lookup, transport, TLS and CONNACK may take together.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a PINGRESP may take before the connection counts as lost.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// How many publications of QoS 1 and 2 may be on their way at once. The server's receive maximum holds too.
    #[must_use]
    pub fn inflight_max(mut self, publications: NonZeroU16) -> Self {
        self.inflight_max = publications;
        self
    }

    /// How many messages may wait to be taken by the application before nothing more is read.
    #[must_use]
    pub fn messages_waiting_max(mut self, messages: NonZeroU16) -> Self {
        self.messages_waiting_max = messages;
        self
    }

    /// Finds what does not go together, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        match (self.url.transport(), &self.tls) {
            (Transport::Quic, None) => return Err(OptionsError::TlsMissing(self.url.clone())),
            (Transport::Tcp, Some(_)) => return Err(OptionsError::TlsNotUsed(self.url.clone())),
            (Transport::Quic, Some(_)) | (Transport::Tcp, None) => {}
        }
        if self.connect.version.has_properties() {
            return Ok(());
        }
        if self.connect.client_id.is_none() && !self.connect.clean_start {
            return Err(OptionsError::AnonymousSession);
        }
        if self.connect.password.is_some() && self.connect.username.is_none() {
            return Err(OptionsError::PasswordAlone);
        }
        Ok(())
    }
}

fn non_zero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quic_without_certificates_to_trust_is_refused_before_anything_is_sent() {
        let error = Options::new("quic://localhost").unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with("quic://localhost:14567 is encrypted"), "{error}");
    }

    #[test]
    fn version_3_1_1_needs_a_client_identifier_to_resume_a_session() {
        let options = Options::new("mqtt://localhost").unwrap().version(Version::V3_1_1).clean_start(false);
        assert_eq!(options.check(), Err(OptionsError::AnonymousSession));
        options.client_id("me").unwrap().check().unwrap();
    }

    #[test]
    fn version_3_1_1_has_no_password_without_a_user_name() {
        let options = Options::new("mqtt://localhost").unwrap().version(Version::V3_1_1).password("secret");
        assert_eq!(options.check(), Err(OptionsError::PasswordAlone));
    }

    #[test]
    fn what_is_shown_for_debugging_holds_no_password() {
        let options = Options::new("mqtt://localhost").unwrap().username("me").password("planted-secret");
        assert!(!format!("{options:?}").contains("planted"));
    }
}
