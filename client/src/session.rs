//! The client's side of a session (4.1): what is on its way in both directions, without a connection of its own.
//!
//!   requests -> [ to_send ] -> packets        answers -> who waits
//!                    [ exchanges: sent, not answered; their order is that of sending again (4.4) ]
//!
//! Not here: bytes, sockets, time.

mod exchanges;
mod incoming;

use std::collections::{BTreeMap, VecDeque};

use rivulet_protocol::encoder::EncodeError;
use rivulet_protocol::packet::{
    Ack, ConnAck, Publish, PublishTopic, Subscribe, Subscription, SubscriptionOptions, Unsubscribe,
};
use rivulet_protocol::{
    ClientId, Message, Packet, PacketId, PacketQos, QoS, ReasonCode, TopicFilter, Version,
};

use self::exchanges::{Exchange, Exchanges, Publication, Step};
use self::incoming::Incoming;
use crate::error::{RequestError, ServerFault};
use crate::options::Options;
use crate::request::{Published, Request, SubscribeTerms, Waiter};
use crate::state::Connected;

/// Requests that are taken at once, at most, so that answers and pings get their turn.
const REQUESTS_AT_ONCE_MAX: usize = 256;

/// A session and the terms of its current connection.
#[derive(Debug)]
pub(crate) struct Session {
    version: Version,
    /// What the next CONNECT asks for.
    clean_start: bool,
    inflight_wanted: usize,
    connections: u64,
    terms: Terms,
    exchanges: Exchanges,
    to_send: VecDeque<Next>,
    /// Acknowledgements of what came. They go first: the server waits for them.
    replies: VecDeque<Packet>,
    incoming: Incoming,
    subscriptions: BTreeMap<TopicFilter, Held>,
}

/// What the server of this connection takes.
#[derive(Debug)]
struct Terms {
    inflight_max: usize,
    maximum_qos: QoS,
    retain_available: bool,
}

/// A subscription that the server granted.
#[derive(Clone, Debug)]
struct Held {
    options: SubscriptionOptions,
    terms: SubscribeTerms,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once; a box would be an allocation per message")]
enum Next {
    /// The next packet of this exchange.
    Exchange(u64),
    /// A publication of QoS 0, which leaves no trace.
    Once(Message, Waiter<Published>),
}

/// A packet to send, and who waits until it is sent.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) packet: Packet,
    pub(crate) waiter: Option<Waiter<Published>>,
}

pub(crate) use self::incoming::Heard;

impl Session {
    pub(crate) fn new(options: &Options) -> Self {
        let properties = &options.connect.properties;
        let inflight_wanted = usize::from(options.inflight_max.get());
        Self {
            version: options.connect.version,
            clean_start: options.connect.clean_start,
            inflight_wanted,
            connections: 0,
            terms: Terms {
                inflight_max: inflight_wanted,
                maximum_qos: QoS::ExactlyOnce,
                retain_available: true,
            },
            exchanges: Exchanges::default(),
            to_send: VecDeque::new(),
            replies: VecDeque::new(),
            incoming: Incoming::new(
                properties.receive_maximum.unwrap_or(u16::MAX),
                properties.topic_alias_maximum.unwrap_or(0),
            ),
            subscriptions: BTreeMap::new(),
        }
    }

    /// Whether the next CONNECT asks for a new session.
    pub(crate) fn clean_start(&self) -> bool {
        self.clean_start
    }

    /// A connection is there: what must be sent again is sent first, in its order (4.4).
    pub(crate) fn connected(
        &mut self,
        connack: &ConnAck,
        options: &Options,
    ) -> Result<Connected, ServerFault> {
        if connack.session_present && self.clean_start {
            return Err(ServerFault::SessionPresent);
        }
        // The session that a reconnect asks for is the one that this connection begins or goes on with. In 3.1.1 the
        // same bit would make a session outlive its connection that was not meant to.
        if self.version.has_properties() {
            self.clean_start = false;
        }
        self.connections += 1;
        let properties = &connack.properties;
        let receive_maximum = usize::from(properties.receive_maximum.unwrap_or(u16::MAX));
        self.terms = Terms {
            inflight_max: self.inflight_wanted.min(receive_maximum),
            maximum_qos: properties.maximum_qos.unwrap_or(QoS::ExactlyOnce),
            retain_available: properties.retain_available.unwrap_or(true),
        };
        self.incoming.connected(connack.session_present);
        self.exchanges.connected(connack.session_present);
        if !connack.session_present {
            self.subscribe_again();
        }
        self.to_send.extend(self.exchanges.sequences().map(Next::Exchange));
        Ok(self.summary(connack, options))
    }

    fn summary(&self, connack: &ConnAck, options: &Options) -> Connected {
        let properties = &connack.properties;
        let asked_expiry = options.connect.properties.session_expiry_secs.unwrap_or(0);
        Connected {
            count: self.connections,
            session_present: connack.session_present,
            client_id: self.client_id(connack, options),
            keep_alive_secs: properties.server_keep_alive_secs.unwrap_or(options.connect.keep_alive_secs),
            session_expiry_secs: properties.session_expiry_secs.unwrap_or(asked_expiry),
            inflight_max: u16::try_from(self.terms.inflight_max).unwrap_or(u16::MAX),
            maximum_qos: self.terms.maximum_qos,
            retain_available: self.terms.retain_available,
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            user_properties: properties.user_properties.clone(),
        }
    }

    fn client_id(&self, connack: &ConnAck, options: &Options) -> Option<ClientId> {
        options.connect.client_id.clone().or_else(|| connack.properties.assigned_client_id.clone())
    }

    /// The connection is gone. QoS 0 is not tried again; everything else waits for the next connection.
    pub(crate) fn lost(&mut self) {
        self.replies.clear();
        for next in self.to_send.drain(..) {
            match next {
                Next::Once(_, waiter) => answer(waiter, Err(RequestError::ConnectionLost)),
                Next::Exchange(_) => {}
            }
        }
    }

    /// How many requests can be taken.
    pub(crate) fn room(&self) -> usize {
        let window = self.terms.inflight_max.saturating_sub(self.exchanges.len());
        window.min(REQUESTS_AT_ONCE_MAX.saturating_sub(self.to_send.len()))
    }

    pub(crate) fn request(&mut self, request: Request) {
        match request {
            Request::Publish { message, waiter } => self.publish(message, waiter),
            Request::Subscribe { subscriptions, terms, waiter } => {
                if subscriptions.is_empty() {
                    return answer(waiter, Err(no_filter("SUBSCRIBE", "MQTT-3.8.3-2")));
                }
                self.begin(Exchange::Subscribe { subscriptions, terms, waiter: Some(waiter) });
            }
            Request::Unsubscribe { filters, waiter } => {
                if filters.is_empty() {
                    return answer(waiter, Err(no_filter("UNSUBSCRIBE", "MQTT-3.10.3-2")));
                }
                self.begin(Exchange::Unsubscribe { filters, waiter });
            }
        }
    }

    fn publish(&mut self, message: Message, waiter: Waiter<Published>) {
        if message.qos > self.terms.maximum_qos {
            let allowed = self.terms.maximum_qos;
            return answer(waiter, Err(RequestError::QosNotSupported { asked: message.qos, allowed }));
        }
        if message.retain && !self.terms.retain_available {
            return answer(waiter, Err(RequestError::RetainNotSupported));
        }
        match message.qos {
            QoS::AtMostOnce => self.to_send.push_back(Next::Once(message, waiter)),
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                self.begin(Exchange::Publish(Publication::new(message, waiter)));
            }
        }
    }

    fn begin(&mut self, exchange: Exchange) {
        self.to_send.extend(self.exchanges.begin(exchange).map(Next::Exchange));
    }

    /// The server has no session: what it granted before is asked for again. Nobody waits for these answers.
    fn subscribe_again(&mut self) {
        let held = std::mem::take(&mut self.subscriptions);
        for (filter, Held { options, terms }) in held {
            self.subscriptions.insert(filter.clone(), Held { options, terms: terms.clone() });
            let subscriptions = vec![Subscription { filter, options }];
            // `connected` sends it with everything else that is not finished.
            self.exchanges.begin(Exchange::Subscribe { subscriptions, terms, waiter: None });
        }
    }

    /// The next packet to send. `None`: there is none, or the server takes no more before it has answered.
    pub(crate) fn poll_send(&mut self) -> Option<Sending> {
        if let Some(packet) = self.replies.pop_front() {
            return Some(Sending { packet, waiter: None });
        }
        loop {
            match self.to_send.pop_front()? {
                Next::Once(message, waiter) => {
                    let packet = publish(&message, PacketQos::AtMostOnce, false);
                    return Some(Sending { packet, waiter: Some(waiter) });
                }
                Next::Exchange(sequence)
                    if self.exchanges.is_held_back(sequence, self.terms.inflight_max) =>
                {
                    self.to_send.push_front(Next::Exchange(sequence));
                    return None;
                }
                Next::Exchange(sequence) => {
                    // It may have been answered since: by an acknowledgement of what an earlier connection sent.
                    if let Some(packet) = self.exchanges.packet(sequence) {
                        return Some(Sending { packet, waiter: None });
                    }
                }
            }
        }
    }

    /// A packet that the server does not take ends its exchange.
    pub(crate) fn unsendable(&mut self, sending: Sending, error: EncodeError) {
        let error = RequestError::Unsendable(error.to_string());
        if let Some(waiter) = sending.waiter {
            return answer(waiter, Err(error));
        }
        if let Some(exchange) = sending_id(&sending.packet).and_then(|id| self.exchanges.finish(id)) {
            exchange.fail(error);
        }
    }

    /// Reacts to a packet.
    pub(crate) fn handle(&mut self, packet: Packet) -> Result<Heard, ServerFault> {
        let packet_type = packet.packet_type();
        match packet {
            Packet::Publish(publish) => {
                let (heard, reply) = self.incoming.on_publish(publish)?;
                self.replies.extend(reply);
                return Ok(heard);
            }
            Packet::PubRel(ack) => {
                let reason = self.incoming.on_pubrel(ack.packet_id);
                self.replies.push_back(Packet::PubComp(self.ack(ack.packet_id, reason)));
            }
            Packet::PubAck(ack) => self.exchanges.on_puback(&ack)?,
            Packet::PubRec(ack) => match self.exchanges.on_pubrec(&ack)? {
                Step::Release(reason) => {
                    self.replies.push_back(Packet::PubRel(self.ack(ack.packet_id, reason)));
                }
                Step::Over => {}
            },
            Packet::PubComp(ack) => self.exchanges.on_pubcomp(&ack)?,
            Packet::SubAck(suback) => {
                for (subscription, terms) in self.exchanges.on_suback(suback)? {
                    let held = Held { options: subscription.options, terms };
                    self.subscriptions.insert(subscription.filter, held);
                }
            }
            Packet::UnsubAck(unsuback) => {
                for filter in self.exchanges.on_unsuback(unsuback)? {
                    self.subscriptions.remove(&filter);
                }
            }
            Packet::PingResp => {}
            Packet::Disconnect(disconnect) => return Ok(Heard::Goodbye(disconnect)),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => return Err(ServerFault::UnexpectedPacket(packet_type)),
        }
        Ok(Heard::Nothing)
    }

    /// 3.1.1 knows no reasons.
    fn ack(&self, id: PacketId, reason: ReasonCode) -> Ack {
        if self.version.has_properties() { Ack::new(id, reason) } else { Ack::success(id) }
    }
}

/// Nobody need wait for an answer.
fn answer<T>(waiter: Waiter<T>, answer: Result<T, RequestError>) {
    drop(waiter.send(answer));
}

fn no_filter(packet: &str, statement: &str) -> RequestError {
    RequestError::Unsendable(format!("{packet} without a topic filter [{statement}]"))
}

fn publish(message: &Message, qos: PacketQos, dup: bool) -> Packet {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: message.retain,
        topic: PublishTopic::Name(message.topic.clone()),
        subscription_ids: Vec::new(),
        properties: message.properties.clone(),
        payload: message.payload.clone(),
    })
}

/// The exchange that a packet of ours belongs to.
fn sending_id(packet: &Packet) -> Option<PacketId> {
    match packet {
        Packet::Publish(publish) => publish.qos.packet_id(),
        Packet::PubRel(ack) => Some(ack.packet_id),
        Packet::Subscribe(Subscribe { packet_id, .. })
        | Packet::Unsubscribe(Unsubscribe { packet_id, .. }) => Some(*packet_id),
        Packet::Connect(_)
        | Packet::ConnAck(_)
        | Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubComp(_)
        | Packet::SubAck(_)
        | Packet::UnsubAck(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => None,
    }
}

fn refused(reason: ReasonCode, said_why: Option<&str>) -> RequestError {
    RequestError::Refused { reason, said_why: said_why.map(str::to_owned) }
}

#[cfg(test)]
mod tests;
