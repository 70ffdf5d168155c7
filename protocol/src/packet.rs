//! The fifteen MQTT Control Packets (chapter 3), one file per packet.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod subscribe;
mod unsubscribe;

pub(crate) use ack::TypedAck;
pub use ack::{Ack, ReasonProperties};
pub use auth::{Auth, AuthProperties, AuthReason};
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Will, WillProperties};
pub use disconnect::{Disconnect, DisconnectProperties};
pub(crate) use publish::PublishParts;
pub use publish::{Publish, PublishTopic};
pub use subscribe::{RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions};
pub use unsubscribe::{UnsubAck, Unsubscribe};

/// One control packet of either version.
///
/// A 3.1.1 packet leaves properties empty; its return codes are the reason codes that mean the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet {
    /// 3.1: client asks for a connection.
    Connect(Box<Connect>),
    /// 3.2: server answers it.
    ConnAck(Box<ConnAck>),
    /// 3.3: a message on one hop.
    Publish(Publish),
    /// 3.4: answers a PUBLISH of QoS 1.
    PubAck(Ack),
    /// 3.5: answers a PUBLISH of QoS 2.
    PubRec(Ack),
    /// 3.6: answers PUBREC.
    PubRel(Ack),
    /// 3.7: answers PUBREL.
    PubComp(Ack),
    /// 3.8: client asks for subscriptions.
    Subscribe(Subscribe),
    /// 3.9: server answers it.
    SubAck(SubAck),
    /// 3.10: client ends subscriptions.
    Unsubscribe(Unsubscribe),
    /// 3.11: server answers it.
    UnsubAck(UnsubAck),
    /// 3.12: is anybody there?
    PingReq,
    /// 3.13: yes.
    PingResp,
    /// 3.14: the last packet of a connection, with its reason.
    Disconnect(Box<Disconnect>),
    /// 3.15: a step of enhanced authentication.
    Auth(Box<Auth>),
}

/// The packet types with their numbers on the wire (2.1.2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the packet of its name")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The type of a number; `None` for 0, which is reserved, and for more than 15.
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Connect),
            2 => Some(Self::ConnAck),
            3 => Some(Self::Publish),
            4 => Some(Self::PubAck),
            5 => Some(Self::PubRec),
            6 => Some(Self::PubRel),
            7 => Some(Self::PubComp),
            8 => Some(Self::Subscribe),
            9 => Some(Self::SubAck),
            10 => Some(Self::Unsubscribe),
            11 => Some(Self::UnsubAck),
            12 => Some(Self::PingReq),
            13 => Some(Self::PingResp),
            14 => Some(Self::Disconnect),
            15 => Some(Self::Auth),
            _ => None,
        }
    }

    /// The name as the specification writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl std::fmt::Display for PacketType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Packet {
    /// Which of the fifteen it is.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}
