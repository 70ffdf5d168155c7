//! Messages from the server: topic aliases, and QoS 2 exactly once (3.3.2.3.4, 4.3.3).

use std::collections::BTreeSet;

use rivulet_protocol::packet::{Ack, Disconnect, Publish, PublishTopic};
use rivulet_protocol::{Message, Packet, PacketId, PacketQos, ReasonCode, Topic, TopicAlias};

use crate::Received;
use crate::error::ServerFault;

/// What a packet brought.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once; a box would be an allocation per message")]
pub(crate) enum Heard {
    /// Nothing that the application must see.
    Nothing,
    /// A message.
    Message(Received),
    /// The server's last packet.
    Goodbye(Box<Disconnect>),
}

#[derive(Debug)]
pub(super) struct Incoming {
    receive_maximum: u16,
    alias_maximum: u16,
    /// Topics by their alias, on this connection.
    aliases: Vec<Option<Topic>>,
    /// QoS 2: taken, and not yet released by the server.
    unreleased: BTreeSet<PacketId>,
}

impl Incoming {
    pub(super) fn new(receive_maximum: u16, alias_maximum: u16) -> Self {
        Self { receive_maximum, alias_maximum, aliases: Vec::new(), unreleased: BTreeSet::new() }
    }

    /// Aliases end with their connection [MQTT-3.3.2-7].
    pub(super) fn connected(&mut self, session_present: bool) {
        self.aliases.clear();
        if !session_present {
            self.unreleased.clear();
        }
    }

    pub(super) fn on_publish(&mut self, publish: Publish) -> Result<(Heard, Option<Packet>), ServerFault> {
        let topic = self.topic(publish.topic)?;
        let (is_new, reply) = match publish.qos {
            PacketQos::AtMostOnce => (true, None),
            PacketQos::AtLeastOnce(id) => (true, Some(Packet::PubAck(Ack::success(id)))),
            PacketQos::ExactlyOnce(id) => {
                let is_new = self.unreleased.insert(id);
                if self.unreleased.len() > usize::from(self.receive_maximum) {
                    return Err(ServerFault::ReceiveMaximum { max: self.receive_maximum });
                }
                (is_new, Some(Packet::PubRec(Ack::success(id))))
            }
        };
        if !is_new {
            return Ok((Heard::Nothing, reply));
        }
        let message = Message {
            topic,
            qos: publish.qos.qos(),
            retain: publish.retain,
            payload: publish.payload,
            properties: publish.properties,
        };
        let received = Received { message, dup: publish.dup, subscription_ids: publish.subscription_ids };
        Ok((Heard::Message(received), reply))
    }

    /// An identifier that we do not know is one that was released before the connection was lost.
    pub(super) fn on_pubrel(&mut self, id: PacketId) -> ReasonCode {
        if self.unreleased.remove(&id) { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound }
    }

    fn topic(&mut self, named: PublishTopic) -> Result<Topic, ServerFault> {
        match named {
            PublishTopic::Name(topic) => Ok(topic),
            PublishTopic::Define(topic, alias) => {
                let index = self.index(alias)?;
                if self.aliases.len() <= index {
                    self.aliases.resize(index + 1, None);
                }
                self.aliases[index] = Some(topic.detach());
                Ok(topic)
            }
            PublishTopic::Alias(alias) => {
                let known = self.aliases.get(self.index(alias)?).cloned().flatten();
                known.ok_or_else(|| self.unknown(alias))
            }
        }
    }

    fn index(&self, alias: TopicAlias) -> Result<usize, ServerFault> {
        if alias.get() > self.alias_maximum {
            Err(self.unknown(alias))
        } else {
            Ok(usize::from(alias.get()) - 1)
        }
    }

    fn unknown(&self, alias: TopicAlias) -> ServerFault {
        ServerFault::TopicAlias { alias: alias.get(), max: self.alias_maximum }
    }
}
