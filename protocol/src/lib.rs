//! MQTT 3.1.1 and 5.0 as bytes: one packet model, a strict and zero-copy codec for both versions.
//!
//! | chapter of the specification | module |
//! |---|---|
//! | 1.5 data representation | `data` |
//! | 2.1 fixed header | `fixed_header` |
//! | 2.2.1 identifiers | [`id`] |
//! | 2.2.2 properties | [`properties`] |
//! | 2.4 reason codes | [`reason`] |
//! | 3 control packets | [`packet`], one file per packet |
//! | 4.3 quality of service | [`qos`] |
//! | 4.7, 4.8.2 topics, filters, shared filters | [`topic`] |
//! | 4.13 errors | [`error`] |
//! | MQTT over QUIC: names and numbers | [`quic`], [`flow`] |
//!
//! Not here: any state beyond a half-read packet, any opinion on sessions, any I/O.

mod data;
pub mod decoder;
pub mod encoder;
pub mod error;
mod fixed_header;
pub mod flow;
pub mod id;
pub mod message;
pub mod packet;
pub mod properties;
pub mod qos;
pub mod quic;
pub mod reason;
pub mod topic;
pub mod version;

pub use decoder::Decoder;
pub use encoder::{EncodeError, Encoder, OutBuffer};
pub use error::{DecodeError, Fault};
pub use id::{ClientId, PacketId, SubscriptionId, TopicAlias};
pub use message::{Delivery, Message, MessageProperties, PacketQos};
pub use packet::{Packet, PacketType};
pub use properties::UserProperties;
pub use qos::QoS;
pub use reason::ReasonCode;
pub use topic::{Topic, TopicFilter};
pub use version::Version;
