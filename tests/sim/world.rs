//! Clients, their network, a disk and a clock around one broker; chance decides what happens next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rivulet_core::access::{AllowAll, Verdict};
use rivulet_core::cause::NetworkLoss;
use rivulet_core::durable::StoreFault;
use rivulet_core::output::Outgoing;
use rivulet_core::{
    Broker, ConnectionKey, Event, FlowKey, Input, Instant, Limits, ListenerKey, Now, Output, Seed, WallTime,
};
use rivulet_protocol::{ClientId, Packet, Version};
use rivulet_tests::disk::Disk;
use rivulet_tests::notation;

use crate::chance::Chance;
use crate::client::Client;
use crate::model::Model;
use crate::trace::Trace;

/// Packets that the control flow of a connection takes before its client reads.
const CREDIT: u32 = 24;
/// Rounds in which everything must have come to rest.
const ROUNDS_MAX: usize = 200_000;

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) clients: Vec<Client>,
    pub(crate) now: Now,
    pub(crate) disk: Disk,
    pub(crate) links: BTreeMap<ConnectionKey, Link>,
    pub(crate) model: Model,
    pub(crate) last_number: u64,
    pub(crate) trace: Trace,
    limits: Limits,
    broker: Broker,
    last_connection: ConnectionKey,
    /// Connections whose client waits for a verdict.
    undecided: VecDeque<ConnectionKey>,
    /// When the batches that are on their way to the disk were.
    submitted: VecDeque<Instant>,
    /// How many times the end of each connection was reported.
    closed_events: BTreeMap<ConnectionKey, usize>,
}

/// One network connection.
pub(crate) struct Link {
    pub(crate) version: Version,
    pub(crate) client_id: ClientId,
    /// On their way to the broker, and to the client.
    pub(crate) up: VecDeque<Packet>,
    pub(crate) down: VecDeque<Packet>,
    credit: u32,
    is_paused: bool,
    /// The broker has closed it: what is on its way down still arrives.
    is_closed: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let limits = Limits {
            receive_maximum: 1 + chance.below(12) as u16,
            inflight_max: 1 + chance.below(20) as u16,
            answer_reserve_packets: 1 + chance.below(8) as u32,
            deliveries_per_step: 1 + chance.below(20) as u32,
            deliveries_per_turn: 1 + chance.below(5) as u32,
            timers_per_step: 1 + chance.below(5) as u32,
            session_expiry_v3_secs: crate::SESSION_EXPIRY_V3_SECS,
            queue_messages_max: 1_000_000,
            early_packets_max: 1_000,
            ..Limits::default()
        };
        let count = 2 + chance.below(7);
        let version = |number| if number % 3 == 2 { Version::V3_1_1 } else { Version::V5 };
        let disk = Disk::default();
        Self {
            clients: (0..count).map(|number| Client::new(number, version(number))).collect(),
            now: Now { instant: Instant(0), wall: WallTime(1_767_225_600_000) },
            broker: Broker::new(limits.clone(), Seed(seed), disk.written()),
            disk,
            links: BTreeMap::new(),
            model: Model::default(),
            last_number: 0,
            trace: Trace::new(seed),
            limits,
            last_connection: ConnectionKey(0),
            undecided: VecDeque::new(),
            submitted: VecDeque::new(),
            closed_events: BTreeMap::new(),
            chance,
        }
    }

    /// A client opens a network connection.
    pub(crate) fn open(&mut self, client: usize) -> ConnectionKey {
        self.last_connection.0 += 1;
        let connection = self.last_connection;
        let Client { id, version, .. } = &self.clients[client];
        self.links.insert(
            connection,
            Link {
                version: *version,
                client_id: id.clone(),
                up: VecDeque::new(),
                down: VecDeque::new(),
                credit: CREDIT,
                is_paused: false,
                is_closed: false,
            },
        );
        self.closed_events.insert(connection, 0);
        self.handle(Input::ConnectionOpened {
            connection,
            listener: ListenerKey(0),
            identity: None,
            credit: CREDIT,
        });
        connection
    }

    /// The broker learns that a connection is gone.
    pub(crate) fn lose(&mut self, connection: ConnectionKey) {
        let Some(link) = self.links.remove(&connection) else { return };
        self.unlink(connection);
        if !link.is_closed {
            self.model.on_lost(self.now, connection);
            self.undecided.retain(|undecided| *undecided != connection);
            self.handle(Input::ConnectionLost { connection, loss: NetworkLoss::ClosedByPeer });
        }
        assert_eq!(self.closed_events.remove(&connection), Some(1), "{connection:?} ends with one event");
    }

    /// The next packet reaches the broker.
    pub(crate) fn deliver_up(&mut self, connection: ConnectionKey) -> bool {
        let Some(link) = self.links.get_mut(&connection).filter(|link| !link.is_paused && !link.is_closed)
        else {
            return false;
        };
        let Some(packet) = link.up.pop_front() else { return false };
        let text = notation::text_of(&packet, link.version);
        self.trace.note(format!("{} {connection:?} > {text}", link.client_id));
        if let Packet::Connect(connect) = &packet {
            self.model.on_connect(self.now, connection, connect);
        } else {
            self.model.on_packet(self.now, connection, &packet);
        }
        self.handle(Input::PacketReceived { connection, flow: FlowKey::CONTROL, packet });
        true
    }

    /// The next packet reaches the client, which makes room for another.
    pub(crate) fn deliver_down(&mut self, connection: ConnectionKey) -> bool {
        let Some(link) = self.links.get_mut(&connection) else { return false };
        let Some(packet) = link.down.pop_front() else {
            if !link.is_closed {
                return false;
            }
            self.lose(connection);
            return true;
        };
        let is_closed = link.is_closed;
        let text = notation::text_of(&packet, link.version);
        self.trace.note(format!("{} {connection:?} takes {text}", link.client_id));
        if let Some(client) = self.clients.iter_mut().find(|client| client.link == Some(connection)) {
            let answers = client.on_packet(packet);
            link.up.extend(answers);
        }
        if !is_closed {
            link.credit += 1;
            self.handle(Input::Credit { connection, flow: FlowKey::CONTROL, packets: 1 });
        }
        true
    }

    /// Who waits longest for a verdict is let in.
    pub(crate) fn decide(&mut self) -> bool {
        let Some(connection) = self.undecided.pop_front() else { return false };
        self.trace.note(format!("{connection:?} is let in"));
        self.model.on_accepted(self.now, connection);
        let verdict = Verdict::Accepted { permissions: Arc::new(AllowAll), expires: None, data: None };
        self.handle(Input::Authenticated { connection, verdict });
        true
    }

    /// The disk writes what came first, and says so or not yet.
    pub(crate) fn write(&mut self, batches: usize) -> bool {
        let Some(through) = self.disk.write(batches) else { return false };
        self.trace.note(format!("written through {through:?}"));
        let since = self.submitted.front().copied();
        self.submitted.drain(..self.submitted.len() - self.disk.waiting());
        self.model.ready_since = since.unwrap_or(self.now.instant);
        self.handle(Input::Persisted { through });
        self.model.ready_since = self.now.instant;
        true
    }

    /// The disk loses what is on its way to it, and says so.
    pub(crate) fn fail_disk(&mut self) {
        let Some(from) = self.disk.fail() else { return };
        self.trace.note(format!("the disk fails from {from:?}"));
        let since = self.submitted.front().copied().unwrap_or(self.now.instant);
        self.submitted.clear();
        self.model.ready_since = since;
        self.model.on_store_failed();
        self.handle(Input::PersistFailed { from, fault: StoreFault::Failing });
        self.model.ready_since = self.now.instant;
        // What waited for the disk may wait for the next batch.
        if let Some(first) = self.submitted.front_mut() {
            *first = since;
        }
    }

    /// Time passes; what is due happens when it is due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let until = self.now.instant + duration;
        while let Some((due, _)) = self.broker.poll_timeout().filter(|(due, _)| *due <= until) {
            self.pass_until(due.max(self.now.instant));
            self.model.on_time(self.now);
            self.fire();
        }
        self.pass_until(until);
    }

    /// The broker stops without warning, and another starts from the disk. Some of what was on its way to it is there.
    pub(crate) fn restart(&mut self) {
        let lucky = self.chance.below(self.disk.waiting() + 1);
        self.disk.write(lucky);
        self.disk.fail();
        for client in &mut self.clients {
            client.lose_link(self.now.instant);
        }
        self.links.clear();
        self.undecided.clear();
        self.submitted.clear();
        self.closed_events.clear();
        self.trace.note(format!("restart; {lucky} more batches are on the disk"));
        let disk = self.disk.written();
        self.model.on_restart(self.now, &disk);
        let seed = self.chance.below(usize::MAX) as u64;
        self.broker = Broker::new(self.limits.clone(), Seed(seed), disk);
        self.model.on_time(self.now);
        self.fire();
    }

    /// Lets everything that is under way arrive.
    pub(crate) fn come_to_rest(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut is_moving = self.write(self.disk.waiting()) | self.decide();
            is_moving |= self.broker.poll_timeout().is_some_and(|(due, _)| due <= self.now.instant);
            self.pass(Duration::ZERO);
            for connection in self.links.keys().copied().collect::<Vec<_>>() {
                is_moving |= self.deliver_up(connection) | self.deliver_down(connection);
            }
            for client in 0..self.clients.len() {
                is_moving |= self.send_acks(client, usize::MAX);
            }
            if !is_moving {
                return;
            }
        }
        panic!("does not come to rest");
    }

    /// A client sends acknowledgements that it owes.
    pub(crate) fn send_acks(&mut self, client: usize, count: usize) -> bool {
        let client = &mut self.clients[client];
        let link = client.link.filter(|_| client.is_accepted).and_then(|link| self.links.get_mut(&link));
        let Some(link) = link else { return false };
        let count = count.min(client.acks.len());
        link.up.extend(client.acks.drain(..count));
        count > 0
    }

    fn unlink(&mut self, connection: ConnectionKey) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.link == Some(connection)) {
            client.lose_link(self.now.instant);
        }
    }

    /// Timers are due, again and again while a step's budget is spent.
    fn fire(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.handle_unsettled(Input::TimerDue);
            let due = self.broker.poll_timeout();
            if due.is_none_or(|(due, _)| due > self.now.instant) {
                return self.model.settle();
            }
        }
        panic!("{:?} is due again and again", self.broker.poll_timeout());
    }

    fn handle(&mut self, input: Input) {
        self.handle_unsettled(input);
        self.model.settle();
    }

    fn handle_unsettled(&mut self, input: Input) {
        self.broker.handle(self.now, input);
        self.broker.check();
        while let Some(output) = self.broker.poll_output(self.now) {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, flow, packet } => self.send(connection, flow, packet),
            Output::Negotiated { .. } => {}
            Output::FinishFlow { .. } | Output::ResetFlow { .. } => {
                panic!("there are no data flows: {output:?}")
            }
            Output::Close { connection, cause } => {
                self.trace.note(format!("{connection:?} is closed: {cause}"));
                self.undecided.retain(|undecided| *undecided != connection);
                let link = self.links.get_mut(&connection).expect("the core closes what is open");
                assert!(!link.is_closed, "{connection:?} is closed once");
                link.is_closed = true;
                link.up.clear();
            }
            Output::Authenticate { connection, .. } => self.undecided.push_back(connection),
            Output::Persist { commit, batch } => {
                self.submitted.push_back(self.now.instant);
                self.disk.submit(commit, batch);
            }
            Output::Pause { connection, .. } => self.link(connection).is_paused = true,
            Output::Resume { connection, .. } => self.link(connection).is_paused = false,
            Output::Event(event) => {
                if let Event::Closed { connection, .. } = &event {
                    *self.closed_events.entry(*connection).or_default() += 1;
                }
                self.model.on_event(self.now, &event);
            }
        }
    }

    fn send(&mut self, connection: ConnectionKey, flow: FlowKey, packet: Outgoing) {
        assert_eq!(flow, FlowKey::CONTROL, "there are no data flows");
        let link = self.links.get_mut(&connection).expect("the core sends to who is there");
        assert!(!link.is_closed, "{connection:?} is sent nothing after its end");
        let text = notation::text_of_outgoing(&packet, link.version);
        self.trace.note(format!("{} {connection:?} < {text}", link.client_id));
        // The last word of a connection needs no room.
        if !matches!(packet, Outgoing::Packet(Packet::Disconnect(_))) {
            link.credit = link.credit.checked_sub(1).expect("the core sends no more than fits");
        }
        let packet = match packet {
            Outgoing::Packet(packet) => {
                self.model.on_sent(connection, &packet);
                packet
            }
            Outgoing::Delivery(delivery) => {
                let publish = notation::publish_of(&delivery);
                self.model.on_delivery(self.now, connection, &publish);
                Packet::Publish(publish)
            }
        };
        self.link(connection).down.push_back(packet);
    }

    fn link(&mut self, connection: ConnectionKey) -> &mut Link {
        self.links.get_mut(&connection).expect("the core names connections that are open")
    }

    fn pass_until(&mut self, instant: Instant) {
        let passed = instant - self.now.instant;
        self.now = Now { instant, wall: self.now.wall + passed };
        self.model.ready_since = instant;
    }
}
