//! What the application asks of its connection, and what it hears of it.

use bytes::Bytes;
use rivulet_protocol::packet::{Subscription, SubscriptionOptions};
use rivulet_protocol::topic::TopicError;
use rivulet_protocol::{
    Message, MessageProperties, QoS, ReasonCode, SubscriptionId, Topic, TopicFilter, UserProperties,
};
use tokio::sync::{oneshot, watch};

use crate::State;
use crate::error::{Cause, RequestError};

/// A message without properties, not to be retained.
///
/// # Errors
///
/// Text that is no topic name.
pub fn message(topic: &str, payload: impl Into<Bytes>, qos: QoS) -> Result<Message, TopicError> {
    Ok(Message {
        topic: Topic::parse(topic)?,
        qos,
        retain: false,
        payload: payload.into(),
        properties: MessageProperties::default(),
    })
}

/// A subscription at a level, with the other options at their defaults.
///
/// # Errors
///
/// Text that is no topic filter.
pub fn subscription(filter: &str, maximum_qos: QoS) -> Result<Subscription, TopicError> {
    let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
    Ok(Subscription { filter: TopicFilter::parse(filter)?, options })
}

/// A message that came from the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// The message at the level of this delivery. RETAIN is that of the packet: whether the server kept it (3.3.1.3).
    pub message: Message,
    /// Whether it may have come before (3.3.1.1).
    pub dup: bool,
    /// Which subscriptions matched, where they have identifiers (3.3.2.3.8).
    pub subscription_ids: Vec<SubscriptionId>,
}

/// What the server said to a publication that it took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// Success, or that nobody subscribes to it, where the server tells (5.0). QoS 0: always Success.
    pub reason: ReasonCode,
}

/// Resolves when a publication is done; see the table of the crate. Dropping it does not take the message back.
#[derive(Debug)]
pub struct Acknowledgement {
    pub(crate) answer: oneshot::Receiver<Result<Published, RequestError>>,
    pub(crate) state: watch::Receiver<State>,
}

impl Acknowledgement {
    /// Waits until the publication is done.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub async fn done(self) -> Result<Published, RequestError> {
        match self.answer.await {
            Ok(answer) => answer,
            Err(_) => Err(ended(&self.state)),
        }
    }
}

/// Who waits for the end of an exchange.
pub(crate) type Waiter<T> = oneshot::Sender<Result<T, RequestError>>;

/// What the connection is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Publish { message: Message, waiter: Waiter<Published> },
    Subscribe { subscriptions: Vec<Subscription>, terms: SubscribeTerms, waiter: Waiter<Vec<ReasonCode>> },
    Unsubscribe { filters: Vec<TopicFilter>, waiter: Waiter<Vec<ReasonCode>> },
}

/// What belongs to a SUBSCRIBE as a whole. 5.0 only.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SubscribeTerms {
    pub(crate) id: Option<SubscriptionId>,
    pub(crate) user_properties: UserProperties,
}

/// Why a request is not answered: the client has ended.
pub(crate) fn ended(state: &watch::Receiver<State>) -> RequestError {
    match &*state.borrow() {
        State::Ended(cause) => RequestError::Closed(cause.clone()),
        State::Connected(_) | State::Reconnecting { .. } => RequestError::Closed(Cause::Goodbye),
    }
}
