//! Who is let in: the answer to the core's question about a client.

use std::sync::Arc;

use rivulet_core::access::{AllowAll, Credentials};
use rivulet_core::{ListenerKey, Verdict};
use rivulet_protocol::ReasonCode;

use crate::config::ListenerConfig;

/// What each listener asks of its clients.
#[derive(Debug)]
pub(crate) struct Access {
    allow_anonymous: Vec<bool>,
}

impl Access {
    /// The rules of these listeners; a listener's key is its place among them.
    pub(crate) fn new(listeners: &[ListenerConfig]) -> Self {
        Self { allow_anonymous: listeners.iter().map(|listener| listener.allow_anonymous).collect() }
    }

    /// Lets in whoever has proven an identity by certificate, and others where the listener allows it.
    ///
    /// A user name and a password alone prove nothing here: there is nothing to compare them with.
    pub(crate) fn judge(&self, credentials: &Credentials) -> Verdict {
        let ListenerKey(listener) = credentials.listener;
        let allows = self.allow_anonymous.get(usize::from(listener)).copied().unwrap_or(false);
        if credentials.identity.is_some() || allows {
            Verdict::Accepted { permissions: Arc::new(AllowAll), expires: None }
        } else {
            Verdict::Refused(ReasonCode::NotAuthorized)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rivulet_core::input::Identity;
    use rivulet_protocol::Version;

    use super::*;
    use crate::config::Config;

    fn credentials(listener: u16, identity: Option<Identity>) -> Credentials {
        Credentials {
            listener: ListenerKey(listener),
            version: Version::V5,
            client_id: None,
            username: Some("user".to_owned()),
            password: Some(Bytes::from_static(b"password")),
            identity,
        }
    }

    fn is_let_in(listener: u16, identity: Option<Identity>) -> bool {
        let access = Access::new(&Config::default().listeners);
        matches!(access.judge(&credentials(listener, identity)), Verdict::Accepted { .. })
    }

    #[test]
    fn a_client_without_a_certificate_is_let_in_where_the_listener_allows_it() {
        assert!(!is_let_in(0, None), "QUIC asks for certificates");
        assert!(is_let_in(1, None), "TCP on loopback does not");
    }

    #[test]
    fn a_certificate_lets_in_everywhere() {
        assert!(is_let_in(0, Some(Identity::default())));
    }

    #[test]
    fn an_unknown_listener_lets_nobody_in() {
        assert!(!is_let_in(9, None));
    }
}
