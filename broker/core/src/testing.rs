//! A driver for tests: clients that speak packets, a clock that jumps, a store that can stall.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rivulet_protocol::packet::{
    Ack, ConnAck, Connect, ConnectProperties, Disconnect, DisconnectProperties, Publish, PublishTopic,
    SubAck, Subscribe, Subscription, SubscriptionOptions, Will, WillProperties,
};
use rivulet_protocol::{
    ClientId, Delivery, MessageProperties, Packet, PacketId, PacketQos, QoS, ReasonCode, Topic, TopicFilter,
    Version,
};

use crate::access::{AllowAll, Credentials, Verdict};
use crate::durable::{Commit, Snapshot, StoreFault};
use crate::output::Outgoing;
use crate::{
    Broker, CloseCause, ConnectionKey, Event, FlowKey, Input, ListenerKey, Now, Output, Seed, Timer,
};
pub(crate) use crate::{Instant, Limits, WallTime};

/// Packets that fit on a flow before a test takes care of credit.
const PLENTY: u32 = 1_000_000;
/// The world's time when a test begins, in milliseconds.
const BEGINNING: WallTime = WallTime(1_700_000_000_000);

/// What a client got on a flow.
#[derive(Debug)]
pub(crate) enum Got {
    Packet(Packet),
    Delivery(Delivery),
}

/// A broker with its surroundings.
pub(crate) struct Driver {
    pub(crate) broker: Broker,
    pub(crate) now: Now,
    /// What clients got and have not looked at, in order.
    pub(crate) got: BTreeMap<ConnectionKey, Vec<(FlowKey, Got)>>,
    /// How connections were closed.
    pub(crate) closed: BTreeMap<ConnectionKey, CloseCause>,
    pub(crate) events: Vec<Event>,
    /// Everything that was said about flows: pause, resume, finish, reset.
    pub(crate) flow_outputs: Vec<Output>,
    /// The state that the written records have built.
    pub(crate) stored: Snapshot,
    pub(crate) commits: Vec<Commit>,
    /// Whether writes are confirmed at once.
    pub(crate) disk_works: bool,
    pub(crate) verdict: fn() -> Option<Verdict>,
    /// What clients have shown, in order.
    pub(crate) shown: Vec<Credentials>,
    last_connection: u64,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::restored(limits, Snapshot::default(), Now { instant: Instant(0), wall: BEGINNING })
    }

    /// A broker that starts with what another has stored.
    pub(crate) fn restored(limits: Limits, stored: Snapshot, now: Now) -> Self {
        Self {
            broker: Broker::new(limits, Seed(7), stored.clone()),
            now,
            got: BTreeMap::new(),
            closed: BTreeMap::new(),
            events: Vec::new(),
            flow_outputs: Vec::new(),
            stored,
            commits: Vec::new(),
            disk_works: true,
            verdict: || {
                Some(Verdict::Accepted { permissions: Arc::new(AllowAll), expires: None, data: None })
            },
            shown: Vec::new(),
            last_connection: 0,
        }
    }

    /// The broker stops without a word and starts again; only what was stored is left.
    pub(crate) fn restart(self, limits: Limits) -> Self {
        let mut next = Self::restored(limits, self.stored, self.now);
        next.last_connection = self.last_connection;
        next.handle(Input::TimerDue);
        next
    }

    pub(crate) fn handle(&mut self, input: Input) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.broker.handle(self.now, input);
            self.broker.check();
            while let Some(output) = self.broker.poll_output(self.now) {
                inputs.extend(self.perform(output));
            }
            if let Some((at, Timer::Deliveries)) = self.broker.poll_timeout()
                && at <= self.now.instant
                && inputs.is_empty()
            {
                inputs.push_back(Input::TimerDue);
            }
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send { connection, flow, packet } => {
                assert!(!self.closed.contains_key(&connection), "nothing is sent after a close");
                let got = match packet {
                    Outgoing::Packet(packet) => Got::Packet(packet),
                    Outgoing::Delivery(delivery) => Got::Delivery(delivery),
                };
                self.got.entry(connection).or_default().push((flow, got));
                None
            }
            Output::Close { connection, cause } => {
                self.closed.insert(connection, cause);
                None
            }
            Output::Authenticate { connection, credentials } => {
                self.shown.push(*credentials);
                (self.verdict)().map(|verdict| Input::Authenticated { connection, verdict })
            }
            Output::Persist { commit, batch } => {
                assert!(!batch.is_empty(), "a batch has records");
                self.commits.push(commit);
                if self.disk_works {
                    for record in batch {
                        self.stored.apply(record);
                    }
                    self.stored.check();
                }
                self.disk_works.then_some(Input::Persisted { through: commit })
            }
            Output::Event(event) => {
                self.events.push(event);
                None
            }
            Output::Pause { .. }
            | Output::Resume { .. }
            | Output::FinishFlow { .. }
            | Output::ResetFlow { .. } => {
                self.flow_outputs.push(output);
                None
            }
            Output::Negotiated { .. } => None,
        }
    }

    /// Lets time pass; timers that come due in between are handled when they are due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        while let Some((at, _)) = self.broker.poll_timeout()
            && at <= end
        {
            self.jump(at);
            self.handle(Input::TimerDue);
        }
        self.jump(end);
    }

    fn jump(&mut self, at: Instant) {
        let passed = at - self.now.instant;
        self.now = Now { instant: self.now.instant + passed, wall: self.now.wall + passed };
    }

    /// The disk stalls: nothing is confirmed.
    pub(crate) fn stall_disk(&mut self) {
        self.disk_works = false;
    }

    /// The disk works again, and confirms all that it was given.
    pub(crate) fn resume_disk(&mut self) {
        self.disk_works = true;
        if let Some(through) = self.commits.last().copied() {
            self.handle(Input::Persisted { through });
        }
    }

    /// The disk refuses all that was given since this commit.
    pub(crate) fn fail_disk(&mut self, from: Commit, fault: StoreFault) {
        self.disk_works = true;
        self.handle(Input::PersistFailed { from, fault });
    }

    pub(crate) fn open(&mut self) -> ConnectionKey {
        self.open_with_credit(PLENTY)
    }

    pub(crate) fn open_with_credit(&mut self, credit: u32) -> ConnectionKey {
        self.last_connection += 1;
        let connection = ConnectionKey(self.last_connection);
        self.handle(Input::ConnectionOpened { connection, listener: ListenerKey(0), identity: None, credit });
        connection
    }

    pub(crate) fn send(&mut self, connection: ConnectionKey, packet: Packet) {
        self.send_on(connection, FlowKey::CONTROL, packet);
    }

    pub(crate) fn send_on(&mut self, connection: ConnectionKey, flow: FlowKey, packet: Packet) {
        self.handle(Input::PacketReceived { connection, flow, packet });
    }

    /// Connects a 5.0 client with a clean start, and takes its CONNACK.
    pub(crate) fn join(&mut self, name: &str) -> ConnectionKey {
        self.join_as(connect(name)).0
    }

    /// Connects a 5.0 client whose session stays for an hour, and takes its CONNACK.
    pub(crate) fn join_for_long(&mut self, name: &str) -> (ConnectionKey, ConnAck) {
        self.join_as(connect_for_long(name))
    }

    pub(crate) fn join_as(&mut self, connect: Connect) -> (ConnectionKey, ConnAck) {
        let connection = self.open();
        self.send(connection, Packet::Connect(Box::new(connect)));
        let connack = self.connack(connection);
        (connection, connack)
    }

    pub(crate) fn connack(&mut self, connection: ConnectionKey) -> ConnAck {
        match self.take(connection) {
            Some(Got::Packet(Packet::ConnAck(connack))) => *connack,
            other => panic!("{connection:?} waits for CONNACK and got {other:?}"),
        }
    }

    /// The next thing that a client got.
    pub(crate) fn take(&mut self, connection: ConnectionKey) -> Option<Got> {
        let got = self.got.get_mut(&connection)?;
        (!got.is_empty()).then(|| got.remove(0).1)
    }

    pub(crate) fn packet(&mut self, connection: ConnectionKey) -> Packet {
        match self.take(connection) {
            Some(Got::Packet(packet)) => packet,
            other => panic!("{connection:?} waits for a packet and got {other:?}"),
        }
    }

    pub(crate) fn delivery(&mut self, connection: ConnectionKey) -> Delivery {
        match self.take(connection) {
            Some(Got::Delivery(delivery)) => delivery,
            other => panic!("{connection:?} waits for a message and got {other:?}"),
        }
    }

    /// The payloads of all messages that a client got, if it got nothing else.
    pub(crate) fn payloads(&mut self, connection: ConnectionKey) -> Vec<String> {
        let mut payloads = Vec::new();
        while let Some(got) = self.take(connection) {
            match got {
                Got::Delivery(delivery) => payloads.push(text(&delivery)),
                Got::Packet(packet) => panic!("{connection:?} waits for messages and got {packet:?}"),
            }
        }
        payloads
    }

    pub(crate) fn assert_silent(&mut self, connection: ConnectionKey) {
        let got = self.take(connection);
        assert!(got.is_none(), "{connection:?} got {got:?}");
    }

    pub(crate) fn subscribe(&mut self, connection: ConnectionKey, filter: &str, qos: QoS) {
        let options = SubscriptionOptions { maximum_qos: qos, ..SubscriptionOptions::default() };
        let suback = self.subscribe_as(connection, filter, options);
        assert!(!suback.reasons[0].is_error(), "{filter} is granted");
    }

    pub(crate) fn subscribe_as(
        &mut self,
        connection: ConnectionKey,
        filter: &str,
        options: SubscriptionOptions,
    ) -> SubAck {
        self.send(connection, subscribe(filter, options));
        match self.packet(connection) {
            Packet::SubAck(suback) => suback,
            other => panic!("{connection:?} waits for SUBACK and got {other:?}"),
        }
    }

    /// The reason in the DISCONNECT that a client got last.
    pub(crate) fn farewell(&mut self, connection: ConnectionKey) -> ReasonCode {
        match self.packet(connection) {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("{connection:?} waits for DISCONNECT and got {other:?}"),
        }
    }
}

pub(crate) fn connect(name: &str) -> Connect {
    Connect {
        version: Version::V5,
        is_bridge: false,
        clean_start: true,
        keep_alive_secs: 0,
        client_id: ClientId::parse(name.to_owned()),
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

pub(crate) fn connect_v3(name: &str) -> Connect {
    Connect { version: Version::V3_1_1, ..connect(name) }
}

pub(crate) fn connect_for_long(name: &str) -> Connect {
    let properties = ConnectProperties { session_expiry_secs: Some(3600), ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..connect(name) }
}

pub(crate) fn will(topic: &str, delay_secs: u32) -> Option<Will> {
    Some(Will {
        topic: Topic::parse(topic.to_owned()).unwrap(),
        payload: Bytes::from_static(b"will"),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: WillProperties { delay_secs: Some(delay_secs), message: MessageProperties::default() },
    })
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn publish_packet(topic: &str, payload: &str, qos: PacketQos) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: PublishTopic::Name(Topic::parse(topic.to_owned()).unwrap()),
        subscription_ids: Vec::new(),
        properties: MessageProperties::default(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

pub(crate) fn publish0(topic: &str, payload: &str) -> Packet {
    Packet::Publish(publish_packet(topic, payload, PacketQos::AtMostOnce))
}

pub(crate) fn publish1(number: u16, topic: &str, payload: &str) -> Packet {
    Packet::Publish(publish_packet(topic, payload, PacketQos::AtLeastOnce(id(number))))
}

pub(crate) fn publish2(number: u16, topic: &str, payload: &str) -> Packet {
    Packet::Publish(publish_packet(topic, payload, PacketQos::ExactlyOnce(id(number))))
}

pub(crate) fn retained(topic: &str, payload: &str) -> Packet {
    Packet::Publish(Publish { retain: true, ..publish_packet(topic, payload, PacketQos::AtMostOnce) })
}

pub(crate) fn subscribe(filter: &str, options: SubscriptionOptions) -> Packet {
    let filter = TopicFilter::parse(filter.to_owned()).unwrap();
    let subscriptions = vec![Subscription { filter, options }];
    Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscription_id: None,
        user_properties: Default::default(),
        subscriptions,
    })
}

pub(crate) fn disconnect(reason: ReasonCode) -> Packet {
    Packet::Disconnect(Box::new(Disconnect { reason, properties: DisconnectProperties::default() }))
}

pub(crate) fn ack_of(packet: &Packet) -> (PacketId, ReasonCode) {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            (ack.packet_id, ack.reason)
        }
        other => panic!("{other:?} is no acknowledgement"),
    }
}

pub(crate) fn success(number: u16) -> Ack {
    Ack::success(id(number))
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.payload.to_vec()).unwrap()
}
