//! What every client can do, in the words of MQTT; one file per client says how.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::Outcome;
use crate::broker::Broker;

mod flowsdk;
mod mqtt5;
mod rumqttc_v311;
mod rumqttc_v5;

pub use flowsdk::Flowsdk;
pub use mqtt5::Mqtt5;
pub use rumqttc_v5::RumqttcV5;
pub use rumqttc_v311::RumqttcV311;

/// How long anything may take that the broker answers.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages that may wait to be looked at.
const MESSAGES_MAX: usize = 1_024;

/// QoS as the number on the wire.
pub type QosBits = u8;

/// What is asked of a connection.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The client identifier, and on QUIC the common name of the certificate.
    pub client_id: String,
    /// Whether the session begins anew, and ends with the connection.
    pub clean: bool,
    /// In seconds.
    pub keep_alive: u16,
    /// What the broker publishes if the client vanishes.
    pub will: Option<Message>,
}

impl Connect {
    /// A clean session with a keep alive that does not matter.
    pub fn clean(client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), clean: true, keep_alive: 30, will: None }
    }

    /// A session that outlives its connection.
    pub fn persistent(client_id: &str) -> Self {
        Self { clean: false, ..Self::clean(client_id) }
    }

    /// In seconds, where the version has it: long enough for a test.
    fn session_expiry(&self) -> u32 {
        if self.clean { 0 } else { 600 }
    }
}

/// A message, as far as the tests look at it.
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// How.
    pub qos: QosBits,
    /// Whether it was retained.
    pub retain: bool,
}

impl Message {
    /// One that is not retained.
    pub fn new(topic: &str, payload: impl Into<Vec<u8>>, qos: QosBits) -> Self {
        Self { topic: topic.to_owned(), payload: payload.into(), qos, retain: false }
    }

    /// The same, retained.
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

/// Payloads are long; their beginning tells enough.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, payload, qos, retain } = self;
        let beginning = String::from_utf8_lossy(&payload[..payload.len().min(32)]);
        write!(f, "{topic} QoS {qos} retain {retain}, {} bytes: {beginning:?}", payload.len())
    }
}

/// A client of somebody else.
#[expect(async_fn_in_trait, reason = "implemented and used in this package alone")]
pub trait Client: Sized + 'static {
    /// Ends when CONNACK has come and said yes.
    async fn connect(broker: &Broker, connect: Connect) -> Outcome<Self>;

    /// Ends when SUBACK has come and said yes.
    async fn subscribe(&mut self, filter: &str, qos: QosBits) -> Outcome<()>;

    /// Ends when UNSUBACK has come.
    async fn unsubscribe(&mut self, filter: &str) -> Outcome<()>;

    /// Ends when the broker has the message: PUBACK or PUBCOMP has come. QoS 0: when it is handed over.
    async fn publish(&mut self, message: &Message) -> Outcome<()>;

    /// The next message.
    async fn receive(&mut self) -> Outcome<Message>;

    /// Says DISCONNECT.
    async fn disconnect(&mut self) -> Outcome<()>;

    /// Connects again as it did before, with what it remembers of its session.
    async fn come_back(&mut self) -> Outcome<()>;
}

/// From the client's callback to the test.
fn inbox() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
    mpsc::channel(MESSAGES_MAX)
}

async fn next(inbox: &mut mpsc::Receiver<Message>) -> Outcome<Message> {
    match tokio::time::timeout(ANSWER_TIMEOUT, inbox.recv()).await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err("the client has ended".into()),
        Err(_) => Err(format!("no message came within {ANSWER_TIMEOUT:?}").into()),
    }
}
