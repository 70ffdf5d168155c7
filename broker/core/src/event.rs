//! What an operator may want to see or count. Never payloads, passwords or keys.

use rivulet_protocol::{ClientId, QoS, ReasonCode, Topic, TopicFilter, Version};

use crate::durable::{Commit, StoreFault};
use crate::{CloseCause, ConnectionKey};

/// One thing worth a log line or a counter.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A client was let in.
    Connected {
        /// On this connection.
        connection: ConnectionKey,
        /// Who.
        client_id: ClientId,
        /// Its protocol version.
        version: Version,
        /// Whether it found a session of its own.
        session_present: bool,
    },
    /// A connection ended. One for each connection that was opened.
    Closed {
        /// Which.
        connection: ConnectionKey,
        /// Whose it was, if it came so far.
        client_id: Option<ClientId>,
        /// Why.
        cause: CloseCause,
    },
    /// A client came back on another connection while the old one was open [MQTT-3.1.4-3].
    SessionTakenOver {
        /// Whose session.
        client_id: ClientId,
        /// The connection that was closed.
        from: ConnectionKey,
        /// The connection that has the session.
        to: ConnectionKey,
    },
    /// A session ended because its client stayed away for its expiry interval (3.1.2.11.2).
    SessionExpired {
        /// Whose.
        client_id: ClientId,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// By whom.
        client_id: ClientId,
        /// To what.
        filter: TopicFilter,
        /// The level that was granted.
        qos: QoS,
    },
    /// A subscription was ended by its client.
    Unsubscribed {
        /// By whom.
        client_id: ClientId,
        /// From what.
        filter: TopicFilter,
    },
    /// A subscription was refused.
    SubscriptionRefused {
        /// To whom.
        client_id: ClientId,
        /// To what.
        filter: TopicFilter,
        /// Why.
        reason: ReasonCode,
    },
    /// A message of a client was taken and given to the sessions that want it.
    Published {
        /// How many copies were taken by sessions.
        recipients: usize,
    },
    /// A message of a client was not taken.
    PublishRefused {
        /// Whose.
        client_id: ClientId,
        /// Where it was to go.
        topic: Topic,
        /// Why.
        reason: ReasonCode,
    },
    /// A message was not delivered to one of its recipients.
    MessageDropped {
        /// Who does not get it.
        client_id: ClientId,
        /// Why.
        reason: DropReason,
    },
    /// A will was published (3.1.2.5).
    WillPublished {
        /// Whose.
        client_id: ClientId,
        /// How many copies were taken by sessions.
        recipients: usize,
    },
    /// The store did not take a commit. What depended on it was refused.
    StoreFailed {
        /// The lowest commit that is not safe.
        from: Commit,
        /// Why.
        fault: StoreFault,
    },
}

/// Why a message did not reach a recipient.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DropReason {
    /// Its queue is full ([`crate::Limits::queue_messages_max`], [`crate::Limits::queue_bytes_max`]).
    QueueFull,
    /// The message's lifetime was over before it could be sent [MQTT-3.3.2-5].
    Expired,
    /// The message is larger than the client takes [MQTT-3.1.2-25].
    TooLarge,
    /// The client may not receive from this topic.
    NotPermitted,
    /// The message was QoS 0 and the client was away.
    Away,
}
