//! A client that keeps to the specification: it resends, acknowledges in order, and knows repetitions.
//!
//! It is written without a look at the broker, so that a mistake of one is not a mistake of both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rivulet_core::{ConnectionKey, Instant};
use rivulet_protocol::packet::{Ack, ConnAck, Connect, Publish, PublishTopic};
use rivulet_protocol::{ClientId, Packet, PacketId, PacketQos, ReasonCode, Version};

/// What a client has on its network connection, and what it keeps between connections.
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) version: Version,
    /// The connection that it uses, and whether CONNACK has come on it.
    pub(crate) link: Option<ConnectionKey>,
    pub(crate) is_accepted: bool,
    /// Acknowledgements that it has not sent yet, in order [MQTT-4.6.0-2].
    pub(crate) acks: VecDeque<Packet>,
    /// SUBSCRIBE and UNSUBSCRIBE without an answer.
    pub(crate) requests: BTreeSet<PacketId>,
    pub(crate) pings: usize,
    /// QoS 2 messages of others that it has taken, by message, in this session: never more than once.
    pub(crate) taken_once: BTreeMap<u64, usize>,
    /// Retained messages that it was sent, by topic, in their order.
    pub(crate) retained: Vec<(String, u64)>,
    /// Its messages that are not acknowledged in full, in order.
    outgoing: Vec<Exchange>,
    /// QoS 2 identifiers that it has answered with PUBREC and that were not released.
    incoming: BTreeSet<PacketId>,
    last_id: PacketId,
    /// What the broker takes unacknowledged.
    send_maximum: usize,
    /// How long its session outlives the connection, in seconds, and when the last connection ended.
    expiry_secs: u32,
    left: Instant,
    /// Whether it has lost its part of the session, so that the broker must not go on with the other part.
    must_start_clean: bool,
}

struct Exchange {
    id: PacketId,
    publish: Publish,
    is_released: bool,
}

impl Client {
    pub(crate) fn new(number: usize, version: Version) -> Self {
        Self {
            id: ClientId::parse(format!("c{number}")).unwrap(),
            version,
            link: None,
            is_accepted: false,
            acks: VecDeque::new(),
            requests: BTreeSet::new(),
            pings: 0,
            taken_once: BTreeMap::new(),
            retained: Vec::new(),
            outgoing: Vec::new(),
            incoming: BTreeSet::new(),
            last_id: PacketId::MIN,
            send_maximum: usize::MAX,
            expiry_secs: 0,
            left: Instant(0),
            must_start_clean: true,
        }
    }

    /// What it has to say before anything else on a new connection.
    pub(crate) fn connect(&mut self, now: Instant, link: ConnectionKey, mut connect: Connect) -> Packet {
        self.lose_link(now);
        if now - self.left >= Duration::from_secs(self.expiry_secs.into()) {
            self.forget();
        }
        self.link = Some(link);
        connect.clean_start |= self.must_start_clean;
        self.expiry_secs = match (connect.version.has_properties(), connect.clean_start) {
            (true, _) => connect.properties.session_expiry_secs.unwrap_or(0),
            (false, true) => 0,
            (false, false) => crate::SESSION_EXPIRY_V3_SECS,
        };
        if connect.clean_start {
            self.forget();
        }
        Packet::Connect(Box::new(connect))
    }

    /// Its connection is gone.
    pub(crate) fn lose_link(&mut self, now: Instant) {
        if self.link.take().is_some() {
            self.left = now;
        }
        self.is_accepted = false;
        self.leave();
    }

    /// A PUBLISH of its own, if it may have one more on its way.
    pub(crate) fn publish(&mut self, mut publish: Publish) -> Option<Packet> {
        if publish.qos.packet_id().is_none() {
            return Some(Packet::Publish(publish));
        }
        if self.outgoing.len() >= self.send_maximum {
            return None;
        }
        let id = self.next_id();
        publish.qos = match publish.qos {
            PacketQos::ExactlyOnce(_) => PacketQos::ExactlyOnce(id),
            PacketQos::AtLeastOnce(_) | PacketQos::AtMostOnce => PacketQos::AtLeastOnce(id),
        };
        self.outgoing.push(Exchange { id, publish: publish.clone(), is_released: false });
        Some(Packet::Publish(publish))
    }

    /// An identifier for SUBSCRIBE or UNSUBSCRIBE.
    pub(crate) fn begin_request(&mut self) -> PacketId {
        let id = self.next_id();
        self.requests.insert(id);
        id
    }

    /// Whether it waits for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.acks.is_empty() && self.requests.is_empty() && self.outgoing.is_empty() && self.pings == 0
    }

    /// Takes a packet. Returns what it sends at once; acknowledgements wait in `acks`.
    pub(crate) fn on_packet(&mut self, packet: Packet) -> Vec<Packet> {
        match packet {
            Packet::ConnAck(connack) => return self.on_connack(&connack),
            Packet::Publish(publish) => self.on_publish(&publish),
            Packet::PubAck(ack) => self.finish(ack.packet_id),
            Packet::PubRec(ack) if ack.reason.is_error() => self.finish(ack.packet_id),
            Packet::PubRec(ack) => {
                let known = self.outgoing.iter_mut().find(|exchange| exchange.id == ack.packet_id);
                let exchange = known.unwrap_or_else(|| panic!("{} got PUBREC for nothing", self.id));
                exchange.is_released = true;
                self.acks.push_back(Packet::PubRel(Ack::success(ack.packet_id)));
            }
            Packet::PubRel(ack) => {
                self.incoming.remove(&ack.packet_id);
                self.acks.push_back(Packet::PubComp(Ack::success(ack.packet_id)));
            }
            Packet::PubComp(ack) => self.finish(ack.packet_id),
            Packet::SubAck(ack) => assert!(self.requests.remove(&ack.packet_id), "SUBACK for nothing"),
            Packet::UnsubAck(ack) => assert!(self.requests.remove(&ack.packet_id), "UNSUBACK for nothing"),
            Packet::PingResp => {
                self.pings = self.pings.checked_sub(1).expect("PINGRESP answers a PINGREQ");
            }
            Packet::Disconnect(disconnect) => {
                let reason = disconnect.reason;
                let is_fair = matches!(
                    reason,
                    ReasonCode::SessionTakenOver
                        | ReasonCode::KeepAliveTimeout
                        | ReasonCode::ImplementationSpecificError
                );
                assert!(is_fair, "{} did nothing wrong and was told {reason:?}", self.id);
            }
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => panic!("{} got a packet that servers do not send", self.id),
        }
        Vec::new()
    }

    fn on_connack(&mut self, connack: &ConnAck) -> Vec<Packet> {
        assert_eq!(connack.reason, ReasonCode::Success, "{} is let in", self.id);
        assert!(!self.is_accepted, "{} gets one CONNACK", self.id);
        assert!(!(connack.session_present && self.must_start_clean), "[MQTT-3.2.2-2]");
        self.is_accepted = true;
        self.must_start_clean = false;
        self.send_maximum = connack.properties.receive_maximum.map_or(usize::MAX, usize::from);
        if !connack.session_present {
            self.forget();
        }
        let resent = self.outgoing.iter().map(|exchange| {
            if exchange.is_released {
                Packet::PubRel(Ack::success(exchange.id))
            } else {
                Packet::Publish(Publish { dup: true, ..exchange.publish.clone() })
            }
        });
        resent.collect()
    }

    fn on_publish(&mut self, publish: &Publish) {
        if let PublishTopic::Name(topic) = &publish.topic
            && publish.retain
        {
            self.retained
                .push((topic.as_str().to_owned(), crate::number_of(&publish.payload, &publish.properties)));
        }
        match publish.qos {
            PacketQos::AtMostOnce => {}
            PacketQos::AtLeastOnce(id) => self.acks.push_back(Packet::PubAck(Ack::success(id))),
            PacketQos::ExactlyOnce(id) => {
                if self.incoming.insert(id) && !publish.retain {
                    *self
                        .taken_once
                        .entry(crate::number_of(&publish.payload, &publish.properties))
                        .or_default() += 1;
                }
                self.acks.push_back(Packet::PubRec(Ack::success(id)));
            }
        }
    }

    fn finish(&mut self, id: PacketId) {
        let before = self.outgoing.len();
        self.outgoing.retain(|exchange| exchange.id != id);
        assert_eq!(self.outgoing.len() + 1, before, "{} got an acknowledgement of {id} for nothing", self.id);
    }

    /// What it sends last says that its session ends with the connection.
    pub(crate) fn give_up_session(&mut self) {
        self.expiry_secs = 0;
    }

    /// What does not outlive a connection.
    fn leave(&mut self) {
        self.acks.clear();
        self.requests.clear();
        self.pings = 0;
    }

    /// Gives up its part of the session.
    fn forget(&mut self) {
        self.outgoing.clear();
        self.incoming.clear();
        self.taken_once.clear();
        self.must_start_clean = !self.is_accepted;
    }

    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.next();
            let id = self.last_id;
            if !self.requests.contains(&id) && !self.outgoing.iter().any(|exchange| exchange.id == id) {
                return id;
            }
        }
    }
}
