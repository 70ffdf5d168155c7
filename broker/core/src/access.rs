//! May this client do this? Asked outside, applied here.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use rivulet_protocol::{ClientId, QoS, ReasonCode, Topic, TopicFilter, Version};

use crate::input::Identity;
use crate::{ListenerKey, WallTime};

/// What a client shows in its CONNECT, and what its transport has proven.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// Through which listener it came.
    pub listener: ListenerKey,
    /// Its protocol version.
    pub version: Version,
    /// The name that it goes by; `None` where the broker is to assign one.
    pub client_id: Option<ClientId>,
    /// 3.1.3.5.
    pub username: Option<String>,
    /// 3.1.3.6. Never printed.
    pub password: Option<Bytes>,
    /// Its certificate.
    pub identity: Option<Identity>,
    /// A step of enhanced authentication, if it asks for that.
    pub step: Option<AuthenticationStep>,
}

/// What a client sends in one step of enhanced authentication (4.12).
#[derive(Clone, Eq, PartialEq)]
pub struct AuthenticationStep {
    /// The method that it chose in its CONNECT, the same in all steps.
    pub method: String,
    /// What the method has to say. Never printed.
    pub data: Option<Bytes>,
    /// Whether an exchange begins: with CONNECT, or with AUTH on the open connection. Else one goes on.
    pub begins: bool,
}

impl Debug for AuthenticationStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticationStep")
            .field("method", &self.method)
            .field("begins", &self.begins)
            .finish_non_exhaustive()
    }
}

impl Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("listener", &self.listener)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// The answer to an authentication.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Let in, with these permissions.
    Accepted {
        /// What it may do from here on.
        permissions: Arc<dyn Permissions>,
        /// When what it has shown runs out (a token's expiry): the connection ends then. `None`: never.
        expires: Option<WallTime>,
        /// The last word of an enhanced authentication to its client.
        data: Option<Bytes>,
    },
    /// An enhanced authentication goes on: the client is sent this, and answers.
    Continue {
        /// What the method has to say.
        data: Bytes,
    },
    /// Kept out, with this reason (3.2.2.2).
    Refused(ReasonCode),
}

/// What one client may do: a pure function, asked for each PUBLISH and SUBSCRIBE.
pub trait Permissions: Debug + Send + Sync {
    /// Whether it may publish there.
    fn may_publish(&self, topic: &Topic, qos: QoS, retain: bool) -> bool;
    /// Whether it may subscribe to this.
    fn may_subscribe(&self, filter: &TopicFilter) -> bool;
    /// Whether it may receive what was published there. Covers wildcards that reach further than the permission.
    fn may_receive(&self, topic: &Topic) -> bool;
}

/// Everything but `$`-topics to publish; everything to read.
#[derive(Clone, Copy, Debug)]
pub struct AllowAll;

impl Permissions for AllowAll {
    fn may_publish(&self, topic: &Topic, _qos: QoS, _retain: bool) -> bool {
        !topic.as_str().starts_with('$')
    }

    fn may_subscribe(&self, _filter: &TopicFilter) -> bool {
        true
    }

    fn may_receive(&self, _topic: &Topic) -> bool {
        true
    }
}
