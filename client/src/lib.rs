//! An MQTT client for QUIC and TCP: a library for devices, and what our own tools are made of.
//!
//! ```no_run
//! use rivulet_client::{Client, Options, QoS, message, subscription};
//!
//! # async fn example(tls: rustls::ClientConfig) -> Result<(), Box<dyn std::error::Error>> {
//! // `tls` names the roots to trust and the device's own certificate; its ALPN is filled in.
//! let options = Options::new("quic://localhost:14567")?.client_id("pump-7")?.tls(tls);
//! let (client, mut messages) = Client::connect(options).await?;
//!
//! client.subscribe([subscription("pumps/+/command", QoS::AtLeastOnce)?]).await?;
//! // Ends when the broker has answered: with QoS 1 and 2 the message is then the broker's.
//! client.publish(message("pumps/7/state", "running", QoS::AtLeastOnce)?).await?;
//!
//! while let Some(received) = messages.recv().await {
//!     println!("{}: {:?}", received.message.topic, received.message.payload);
//! }
//! client.disconnect().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens to a publication
//!
//! | QoS | [`Client::publish`] ends when | a connection is lost in between |
//! |---|---|---|
//! | 0 | the packet is handed to the transport | [`RequestError::ConnectionLost`] if it was still here |
//! | 1 | PUBACK came | sent again on the next connection, with or without the old session |
//! | 2 | PUBCOMP came | goes on with the session; without it [`RequestError::SessionLost`], because nobody can tell whether the server has the message |
//!
//! To have many on their way at once, [`Client::enqueue`] them and await the returned [`Acknowledgement`]s later.
//!
//! # Reconnecting
//!
//! The first connection is tried once, so that a wrong address or certificate is an error at once. A connection that is
//! lost later is made again after growing, jittered pauses ([`Reconnect`]), unless the server said that it is of no use.
//! With [`Options::session_expiry`] (5.0) or without clean start (3.1.1) the server keeps the session: what was not
//! acknowledged is sent again in its order. If the server has no session any more, the client makes its subscriptions
//! again by itself.
//!
//! # Taking messages
//!
//! Messages wait in a bounded channel. When it is full, nothing more is read from the connection until there is room,
//! and so no acknowledgement is either: take messages in another task than the one that waits for its publications. A
//! client that only publishes drops [`Messages`]; what arrives is then acknowledged and discarded.
//!
//! Not here: storage (a session lives as long as its [`Client`]), anything of the broker's core.

mod backoff;
mod client;
mod connect;
mod driver;
mod endpoint;
mod error;
mod keep_alive;
mod link;
pub mod options;
mod request;
mod session;
mod state;
mod unsent;
mod url;

pub use client::{Client, Messages};
pub use endpoint::Endpoint;
pub use error::{Cause, ConnectError, OptionsError, RequestError, ServerFault};
pub use options::{Options, Reconnect};
pub use request::{Acknowledgement, Published, Received, message, subscription};
pub use state::{Connected, State};
pub use url::{Transport, Url, UrlError};

pub use rivulet_protocol::message::PayloadFormat;
pub use rivulet_protocol::packet::{
    Disconnect, DisconnectProperties, RetainHandling, Subscription, SubscriptionOptions, Will, WillProperties,
};
pub use rivulet_protocol::topic::TopicError;
pub use rivulet_protocol::{
    ClientId, Message, MessageProperties, QoS, ReasonCode, SubscriptionId, Topic, TopicFilter,
    UserProperties, Version,
};
