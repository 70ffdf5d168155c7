//! A broker and all that surrounds it in a script: clients, disk, access, clock. What its commands do is in `commands`.

mod commands;
mod limits;
mod permissions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rivulet_core::access::{AuthenticationStep, Verdict};
use rivulet_core::cause::CloseCause;
use rivulet_core::output::Outgoing;
use rivulet_core::{
    Broker, ConnectionKey, Event, FlowKey, Input, Instant, Limits, Now, Output, Seed, Snapshot, WallTime,
};
use rivulet_protocol::packet::ConnAckProperties;
use rivulet_protocol::{Packet, ReasonCode, Version};

use self::permissions::Denials;
use crate::disk::Disk;
use crate::notation;

/// Packets that a flow takes before its writer gives credit back.
const CREDIT: u32 = 64;
/// Steps in which everything that is due must have come to rest.
const ROUNDS_MAX: usize = 100_000;
/// 2026-01-01 00:00 UTC.
const FIRST_WALL_TIME: WallTime = WallTime(1_767_225_600_000);

pub(super) struct World {
    broker: Broker,
    limits: Limits,
    now: Now,
    clients: BTreeMap<String, Client>,
    connections: BTreeMap<ConnectionKey, Connection>,
    last_connection: ConnectionKey,
    disk: Disk,
    disk_stalls: bool,
    access_waits: bool,
    denials: Denials,
    shows_capabilities: bool,
    outcome: Vec<String>,
}

/// One name in a script, with its latest connection.
#[derive(Default)]
struct Client {
    connection: Option<ConnectionKey>,
}

struct Connection {
    name: String,
    version: Version,
    /// Whether credit comes back by itself.
    reads: bool,
    /// By flow: what the core may still send, and what it has sent since credit was given back.
    credit: BTreeMap<FlowKey, (u32, u32)>,
    /// Flows that are not read, and which of them the script was told about.
    paused: BTreeSet<FlowKey>,
    paused_told: BTreeSet<FlowKey>,
    is_open: bool,
    closed_events: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let limits = Limits::default();
        Self {
            broker: Broker::new(limits.clone(), Seed(1), Snapshot::default()),
            limits,
            now: Now { instant: Instant(0), wall: FIRST_WALL_TIME },
            clients: BTreeMap::new(),
            connections: BTreeMap::new(),
            last_connection: ConnectionKey(0),
            disk: Disk::default(),
            disk_stalls: false,
            access_waits: false,
            denials: Denials::default(),
            shows_capabilities: false,
            outcome: Vec::new(),
        }
    }

    /// What came of the commands since the last call.
    pub(super) fn take_outcome(&mut self) -> Vec<String> {
        std::mem::take(&mut self.outcome)
    }

    /// Ends the script: each connection that ended has exactly one event that says so, each open one none.
    pub(super) fn end(&self) {
        for connection in self.connections.values() {
            let expected = usize::from(!connection.is_open);
            assert_eq!(connection.closed_events, expected, "events that say that {} closed", connection.name);
        }
    }

    /// Another broker takes over what is on the disk. What is on its way there is lost.
    fn restart(&mut self) {
        self.disk.fail();
        for connection in self.connections.values_mut().filter(|connection| connection.is_open) {
            connection.is_open = false;
            connection.closed_events = 1;
        }
        self.broker = Broker::new(self.limits.clone(), Seed(2), self.disk.written());
    }

    fn authenticate(&mut self, connection: ConnectionKey, step: Option<&AuthenticationStep>) {
        match step {
            None if self.access_waits => self.happened(connection, FlowKey::CONTROL, "authenticating"),
            None => self.accept(connection, None),
            Some(step) if self.access_waits => {
                let begins = if step.begins { " begins" } else { "" };
                let data = String::from_utf8_lossy(step.data.as_deref().unwrap_or_default());
                let what = format!("authenticating{begins} {:?} {data:?}", step.method);
                self.happened(connection, FlowKey::CONTROL, &what);
            }
            Some(_) => {
                let verdict = Verdict::Refused(ReasonCode::BadAuthenticationMethod);
                self.handle(Input::Authenticated { connection, verdict });
            }
        }
    }

    fn accept(&mut self, connection: ConnectionKey, data: Option<Bytes>) {
        let permissions = Arc::new(self.denials.clone());
        self.handle(Input::Authenticated {
            connection,
            verdict: Verdict::Accepted { permissions, expires: None, data },
        });
    }

    fn write(&mut self, batches: usize) {
        if let Some(through) = self.disk.write(batches) {
            self.handle(Input::Persisted { through });
        }
    }

    /// Gives back what a peer that reads has read.
    fn give_credit(&mut self, connection: ConnectionKey, flow: FlowKey, packets: u32) {
        if let Some((credit, owed)) = self.connection(connection).credit.get_mut(&flow) {
            *credit += packets;
            *owed = owed.saturating_sub(packets);
            self.handle(Input::Credit { connection, flow, packets });
        }
    }

    fn handle(&mut self, input: Input) {
        self.broker.handle(self.now, input);
        self.broker.check();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output(self.now) {
            self.perform(output);
        }
    }

    /// Answers what answers itself, until nothing is due.
    fn come_to_rest(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let is_due = self.broker.poll_timeout().is_some_and(|(due, _)| due <= self.now.instant);
            if is_due {
                self.handle(Input::TimerDue);
            } else if !self.disk_stalls && self.disk.waiting() > 0 {
                self.write(self.disk.waiting());
            } else if let Some((connection, flow, owed)) = self.credit_owed() {
                self.give_credit(connection, flow, owed);
            } else {
                return self.tell_pauses();
            }
        }
        panic!("does not come to rest: {:?} is due again and again", self.broker.poll_timeout());
    }

    /// Says which flows are read no more or again: what changed back within a command is nobody's business.
    fn tell_pauses(&mut self) {
        for connection in self.connections.values_mut().filter(|connection| connection.is_open) {
            for flow in connection.paused.symmetric_difference(&connection.paused_told) {
                let what = if connection.paused.contains(flow) { "paused" } else { "resumed" };
                self.outcome.push(format!("{} = {what}", speaker(&connection.name, *flow)));
            }
            connection.paused_told = connection.paused.clone();
        }
    }

    fn credit_owed(&self) -> Option<(ConnectionKey, FlowKey, u32)> {
        let reading =
            self.connections.iter().filter(|(_, connection)| connection.is_open && connection.reads);
        let mut flows = reading.flat_map(|(key, connection)| {
            connection.credit.iter().map(|(flow, (_, owed))| (*key, *flow, *owed))
        });
        flows.find(|(.., owed)| *owed > 0)
    }

    fn pass_until(&mut self, instant: Instant) {
        let passed = instant - self.now.instant;
        self.now = Now { instant, wall: self.now.wall + passed };
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, flow, packet } => self.sent(connection, flow, packet),
            Output::Negotiated { .. } => {}
            Output::FinishFlow { connection, flow } => self.happened(connection, flow, "finished"),
            Output::ResetFlow { connection, flow, cause } => {
                self.happened(connection, flow, &format!("reset ({})", kind(&cause)));
            }
            Output::Close { connection, cause } => {
                self.happened(connection, FlowKey::CONTROL, &format!("closed ({})", kind(&cause)));
                self.connection(connection).is_open = false;
            }
            Output::Authenticate { connection, credentials } => {
                self.authenticate(connection, credentials.step.as_ref());
            }
            Output::Persist { commit, batch } => self.disk.submit(commit, batch),
            Output::Pause { connection, flow } => drop(self.connection(connection).paused.insert(flow)),
            Output::Resume { connection, flow } => drop(self.connection(connection).paused.remove(&flow)),
            Output::Event(event) => self.event(&event),
        }
    }

    fn sent(&mut self, connection: ConnectionKey, flow: FlowKey, mut packet: Outgoing) {
        let shows_capabilities = self.shows_capabilities;
        let Connection { name, version, credit, is_open, .. } = self.connection(connection);
        assert!(*is_open, "{name} was sent a packet after its connection had ended");
        let (left, owed) = credit.get_mut(&flow).expect("the core sends on flows that were opened");
        *left = left.checked_sub(1).expect("the core sends no more than a flow takes");
        *owed += 1;
        if let Outgoing::Packet(Packet::ConnAck(connack)) = &mut packet
            && !shows_capabilities
        {
            // What concerns this client alone.
            connack.properties = ConnAckProperties {
                session_expiry_secs: connack.properties.session_expiry_secs,
                assigned_client_id: connack.properties.assigned_client_id.clone(),
                server_keep_alive_secs: connack.properties.server_keep_alive_secs,
                response_information: connack.properties.response_information.clone(),
                authentication_method: connack.properties.authentication_method.clone(),
                authentication_data: connack.properties.authentication_data.clone(),
                ..ConnAckProperties::default()
            };
        }
        let speaker = speaker(name, flow);
        let text = notation::text_of_outgoing(&packet, *version);
        self.outcome.push(format!("{speaker} < {text}"));
    }

    fn happened(&mut self, connection: ConnectionKey, flow: FlowKey, what: &str) {
        let speaker = speaker(&self.connection(connection).name, flow);
        self.outcome.push(format!("{speaker} = {what}"));
    }

    /// Shows the events that clients do not see.
    fn event(&mut self, event: &Event) {
        let text = match event {
            Event::Closed { connection, .. } => {
                self.connection(*connection).closed_events += 1;
                return;
            }
            Event::SessionExpired { client_id } => format!("session of {client_id} expired"),
            Event::PublishRefused { client_id, topic, reason } => {
                format!("refused {topic} of {client_id} ({})", notation::reason_name(*reason))
            }
            Event::MessageDropped { client_id, reason } => {
                format!("dropped a message for {client_id} ({reason:?})")
            }
            Event::Connected { .. }
            | Event::SessionTakenOver { .. }
            | Event::Subscribed { .. }
            | Event::Unsubscribed { .. }
            | Event::SubscriptionRefused { .. }
            | Event::Published { .. }
            | Event::WillPublished { .. }
            | Event::StoreFailed { .. } => return,
        };
        self.outcome.push(format!("broker = {text}"));
    }

    fn open_connection(&self, name: &str) -> Result<ConnectionKey, String> {
        let connection = self.clients.get(name).and_then(|client| client.connection);
        connection
            .filter(|key| self.connections.get(key).is_some_and(|connection| connection.is_open))
            .ok_or_else(|| format!("{name} has no connection"))
    }

    fn connection(&mut self, key: ConnectionKey) -> &mut Connection {
        self.connections.get_mut(&key).expect("the core names connections that were opened")
    }
}

fn speaker(name: &str, flow: FlowKey) -> String {
    if flow == FlowKey::CONTROL { name.to_owned() } else { format!("{name}/{}", flow.0) }
}

/// Whose doing the end of a connection was. Details are in the DISCONNECT, if the client is sent one.
fn kind(cause: &CloseCause) -> &'static str {
    match cause {
        CloseCause::Client(ReasonCode::Success) => "client",
        CloseCause::Client(_) => "client with a reason",
        CloseCause::Malformed(_) => "malformed",
        CloseCause::Violation(_) => "violation",
        CloseCause::Refused(_) => "refused",
        CloseCause::TakenOver => "taken over",
        CloseCause::KeepAlive { .. } => "keep alive",
        CloseCause::ConnectTimeout { .. } => "connect timeout",
        CloseCause::Operator(_) => "operator",
        CloseCause::Drain => "drain",
        CloseCause::Network(_) => "network",
        CloseCause::Store(_) => "store",
        CloseCause::Overload(_) => "overload",
        CloseCause::CredentialsExpired => "credentials expired",
    }
}
