//! One change of durable state: what a batch is made of.

use std::sync::Arc;

use rivulet_protocol::packet::Will;
use rivulet_protocol::{ClientId, Message, PacketId, QoS, SubscriptionId, Topic, TopicFilter};

use crate::router::{Share, Subscribed};
use crate::{FlowKey, MessageKey, Position, SessionKey, WallTime};

/// One change of durable state. Only sessions that outlive their connection have any, and retained messages.
///
/// A record that names a session, a message or a delivery that is not there changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A session began. In place of one with the same key, if the store has one.
    SessionStarted {
        /// Its key, never used before.
        session: SessionKey,
        /// Whose.
        client_id: ClientId,
        /// Its expiry interval in seconds; `u32::MAX` for ever.
        expiry_secs: u32,
    },
    /// The client of a session came or left, or changed its expiry interval.
    SessionChanged {
        /// Which.
        session: SessionKey,
        /// Its expiry interval in seconds; `u32::MAX` for ever.
        expiry_secs: u32,
        /// Since when its client is away. `None`: it is connected.
        away_since: Option<WallTime>,
    },
    /// A session ended, and with it all that belongs to it.
    SessionEnded {
        /// Which.
        session: SessionKey,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// By this session.
        session: SessionKey,
        /// To what.
        filter: TopicFilter,
        /// On which terms.
        terms: Subscribed,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Of this session.
        session: SessionKey,
        /// From what.
        filter: TopicFilter,
        /// On which flow it was made.
        flow: FlowKey,
    },
    /// A message that sessions or the retained messages of the same batch refer to.
    MessageStored {
        /// Its key, never used before.
        key: MessageKey,
        /// The message. It shares no memory with a receive buffer.
        message: Arc<Message>,
        /// When its lifetime is over.
        expires: Option<WallTime>,
    },
    /// A message waits for a session's client.
    MessageQueued {
        /// Which session.
        session: SessionKey,
        /// Its place in the session's order.
        position: Position,
        /// Which message.
        message: MessageKey,
        /// How it is to be delivered.
        terms: DeliveryTerms,
    },
    /// A delivery was sent under a packet identifier.
    MessageSent {
        /// Of this session.
        session: SessionKey,
        /// Which.
        position: Position,
        /// Its identifier until the last acknowledgement.
        packet_id: PacketId,
    },
    /// The client has a QoS 2 message; PUBCOMP alone is missing. The message itself is not needed any more.
    MessageReleased {
        /// Of this session.
        session: SessionKey,
        /// Which.
        position: Position,
        /// Its identifier until PUBCOMP.
        packet_id: PacketId,
    },
    /// A delivery was acknowledged in full, or dropped.
    MessageDone {
        /// Of this session.
        session: SessionKey,
        /// Which.
        position: Position,
    },
    /// A QoS 2 PUBLISH of the client was taken (4.3.3).
    PacketIdReceived {
        /// Of this session.
        session: SessionKey,
        /// On this flow.
        flow: FlowKey,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// The client released the identifier of a QoS 2 PUBLISH, or left its data flow.
    PacketIdReleased {
        /// Of this session.
        session: SessionKey,
        /// On this flow.
        flow: FlowKey,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// The client left a will.
    WillSet {
        /// Of this session.
        session: SessionKey,
        /// Its will.
        will: Box<Will>,
    },
    /// The will was published or withdrawn.
    WillCleared {
        /// Of this session.
        session: SessionKey,
    },
    /// A message became the last word of its topic.
    RetainedSet {
        /// Which.
        message: MessageKey,
    },
    /// A topic has no last word any more.
    RetainedCleared {
        /// Which.
        topic: Topic,
    },
}

impl Record {
    /// The session that it changes.
    pub fn session(&self) -> Option<SessionKey> {
        match self {
            Self::SessionStarted { session, .. }
            | Self::SessionChanged { session, .. }
            | Self::SessionEnded { session }
            | Self::Subscribed { session, .. }
            | Self::Unsubscribed { session, .. }
            | Self::MessageQueued { session, .. }
            | Self::MessageSent { session, .. }
            | Self::MessageReleased { session, .. }
            | Self::MessageDone { session, .. }
            | Self::PacketIdReceived { session, .. }
            | Self::PacketIdReleased { session, .. }
            | Self::WillSet { session, .. }
            | Self::WillCleared { session } => Some(*session),
            Self::MessageStored { .. } | Self::RetainedSet { .. } | Self::RetainedCleared { .. } => None,
        }
    }
}

/// How one message is to be delivered to one session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryTerms {
    /// At which level: the lower of publisher's and subscriber's.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// Which of the subscriber's subscriptions matched.
    pub subscription_ids: Vec<SubscriptionId>,
    /// The shared subscription whose only copy this is.
    pub share: Option<Share>,
}
