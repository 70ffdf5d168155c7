//! The handle of the application: requests in, messages out.

use std::sync::Arc;

use rivulet_protocol::packet::{Disconnect, DisconnectProperties};
use rivulet_protocol::{Message, ReasonCode, SubscriptionId, TopicFilter, UserProperties};
use tokio::sync::{mpsc, oneshot, watch};

use crate::connect::Connector;
use crate::driver::{Driver, Goodbye};
use crate::error::{ConnectError, RequestError};
use crate::options::REQUESTS_WAITING_MAX;
use crate::request::{Acknowledgement, Published, Received, Request, SubscribeTerms, ended};
use crate::{Options, State, Subscription};

/// A client and its session. Clones are handles of the same one; it says goodbye when all of them and its
/// [`Messages`] are dropped, or when [`Client::disconnect`] is called.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: mpsc::Sender<Request>,
    goodbye: mpsc::Sender<Goodbye>,
    state: watch::Receiver<State>,
}

/// The messages that came, in their order.
#[derive(Debug)]
pub struct Messages {
    waiting: mpsc::Receiver<Received>,
}

impl Client {
    /// Connects, once, and keeps the connection from then on in a task of its own.
    ///
    /// # Errors
    ///
    /// No address, no transport, a certificate that is not trusted, a refusal, or no answer in time.
    pub async fn connect(options: Options) -> Result<(Self, Messages), ConnectError> {
        options.check()?;
        // Full: `publish` and `subscribe` wait.
        let (requests, inbox) = mpsc::channel(usize::from(REQUESTS_WAITING_MAX));
        // Full: nothing more is read from the connection.
        let (messages, waiting) = mpsc::channel(usize::from(options.messages_waiting_max.get()));
        // Full: somebody else says goodbye already.
        let (goodbye, goodbyes) = mpsc::channel(1);
        let connector = Connector::new(options)?;
        let (driver, state) = Driver::connect(connector, inbox, messages, goodbyes).await?;
        tokio::spawn(driver.run());
        Ok((Self { shared: Arc::new(Shared { requests, goodbye, state }) }, Messages { waiting }))
    }

    /// Publishes a message and waits until it is done: the table of the crate says when that is.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub async fn publish(&self, message: Message) -> Result<Published, RequestError> {
        self.enqueue(message).await?.done().await
    }

    /// Hands a message to the connection and does not wait for its end, so that many can be on their way. Messages go
    /// out in the order of these calls. Waits while the connection is away or its inflight window is full.
    ///
    /// # Errors
    ///
    /// [`RequestError::Closed`].
    pub async fn enqueue(&self, message: Message) -> Result<Acknowledgement, RequestError> {
        let (waiter, answer) = oneshot::channel();
        self.request(Request::Publish { message, waiter }).await?;
        Ok(Acknowledgement { answer, state: self.shared.state.clone() })
    }

    /// Subscribes. Gives the server's reason codes, one for each subscription in their order: each may be a refusal.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub async fn subscribe(
        &self,
        subscriptions: impl IntoIterator<Item = Subscription>,
    ) -> Result<Vec<ReasonCode>, RequestError> {
        self.subscribe_with(subscriptions, None, UserProperties::new()).await
    }

    /// Subscribes with what 5.0 adds: an identifier that comes back with each message, and user properties.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub async fn subscribe_with(
        &self,
        subscriptions: impl IntoIterator<Item = Subscription>,
        id: Option<SubscriptionId>,
        user_properties: UserProperties,
    ) -> Result<Vec<ReasonCode>, RequestError> {
        let (waiter, answer) = oneshot::channel();
        let subscriptions = Vec::from_iter(subscriptions);
        let terms = SubscribeTerms { id, user_properties };
        self.request(Request::Subscribe { subscriptions, terms, waiter }).await?;
        answer.await.unwrap_or_else(|_| Err(ended(&self.shared.state)))
    }

    /// Ends subscriptions. Gives the server's reason codes in their order; 3.1.1 has none, and this gives Success.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub async fn unsubscribe(
        &self,
        filters: impl IntoIterator<Item = TopicFilter>,
    ) -> Result<Vec<ReasonCode>, RequestError> {
        let (waiter, answer) = oneshot::channel();
        self.request(Request::Unsubscribe { filters: Vec::from_iter(filters), waiter }).await?;
        answer.await.unwrap_or_else(|_| Err(ended(&self.shared.state)))
    }

    /// Says goodbye and waits, a second at most, until the server has heard it. Requests without an answer end with
    /// [`RequestError::Closed`]: wait for those that matter before.
    pub async fn disconnect(&self) {
        let properties = DisconnectProperties::default();
        self.disconnect_with(Disconnect { reason: ReasonCode::Success, properties }).await;
    }

    /// Says goodbye in words of one's own: with the will, or with another session expiry. 3.1.1 has no such words.
    pub async fn disconnect_with(&self, packet: Disconnect) {
        let (done, heard) = oneshot::channel();
        if self.shared.goodbye.send(Goodbye { packet, done }).await.is_ok() {
            // An error means that the client has ended another way: gone it is.
            drop(heard.await);
        }
    }

    /// How it stands with the connection.
    pub fn state(&self) -> State {
        self.shared.state.borrow().clone()
    }

    /// Tells of each change of the state. A slow reader sees only the latest one.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    async fn request(&self, request: Request) -> Result<(), RequestError> {
        self.shared.requests.send(request).await.map_err(|_| ended(&self.shared.state))
    }
}

impl Messages {
    /// The next message; `None` when the client has ended.
    pub async fn recv(&mut self) -> Option<Received> {
        self.waiting.recv().await
    }

    /// Messages that are there: at least one, at most `max`, appended to `buffer`; 0 when the client has ended.
    pub async fn recv_many(&mut self, buffer: &mut Vec<Received>, max: usize) -> usize {
        self.waiting.recv_many(buffer, max).await
    }

    /// A message that is there already.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.waiting.try_recv().ok()
    }
}
