//! The one task that owns the broker: waits for inputs, hands them in, does what comes out.
//!
//! It works in rounds. A round takes what is waiting, reads the clock once, applies each input and drains the outputs,
//! writes what is to be written down, and wakes each writer once for all that it has to send.
//!
//! Doing an output never waits: packets have room by the credit that their writer gave.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rivulet_core::access::Credentials;
use rivulet_core::input::OperatorCommand;
use rivulet_core::{
    Broker, CloseCause, ConnectionKey, Event, FlowKey, Input, Limits, Now, Output, Snapshot, Verdict,
};
use rivulet_protocol::{ClientId, ReasonCode};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Sleep;

use crate::access::AccessControl;
use crate::access::scram::AwaitProof;
use crate::clock::{self, Clock};
use crate::durability::Durability;
use crate::flapping::Flapping;
use crate::link::{Arrival, Batch, BatchEnd, Command, FlowDesk};
use crate::sys::SysTopics;
use crate::telemetry::Telemetry;
use crate::transport::{FlowEnd, Peer};

/// Readers and writers to engine. Full: a reader stops reading, and its transport holds the peer back.
pub(crate) const INBOX_ARRIVALS_MAX: usize = 256;

/// Arrivals of one round. What one round sends leaves at its end, so a longer round is a longer wait for the first.
const ROUND_ARRIVALS_MAX: usize = 64;

/// The engine of one shard.
pub(crate) struct Engine {
    broker: Broker,
    links: HashMap<ConnectionKey, Link>,
    /// Links with commands to leave at the end of the round.
    to_flush: Vec<ConnectionKey>,
    /// Connections that are over for the broker, whether or not there was still somebody to close them with.
    closed: Vec<(ConnectionKey, CloseCause)>,
    /// Links that end with the round.
    ended: Vec<ConnectionKey>,
    /// Links that go on with batches that were held.
    resumed: Vec<ConnectionKey>,
    /// How often a link was paused, resumed or closed. A change in the middle of a batch is seen by it.
    changes: u64,
    /// Inputs that answer outputs at once.
    answers: VecDeque<Input>,
    access: Arc<AccessControl>,
    /// Clients that are being judged: one at most for each connection.
    judged: JoinSet<(ConnectionKey, Verdict)>,
    durability: Durability,
    telemetry: Arc<Telemetry>,
    sys: SysTopics,
    flapping: Flapping,
    clock: Clock,
}

/// What the engine knows of one connection and its control flow.
struct Link {
    peer: Peer,
    desk: Arc<FlowDesk>,
    commands: Vec<Command>,
    /// Batches of a paused flow, in order.
    held: VecDeque<Batch>,
    is_paused: bool,
    is_closing: bool,
    /// An enhanced authentication that its client is to go on with: one at most, as small as its method's messages.
    exchange: Option<AwaitProof>,
    /// Whether its CONNECT was asked about.
    has_asked: bool,
}

impl Engine {
    /// An engine around a broker with these limits and this state.
    pub(crate) fn new(
        limits: Limits,
        snapshot: Snapshot,
        access: Arc<AccessControl>,
        durability: Durability,
        telemetry: Arc<Telemetry>,
        sys: SysTopics,
        flapping: Flapping,
    ) -> Self {
        Self {
            broker: Broker::new(limits, clock::seed(), snapshot),
            links: HashMap::new(),
            to_flush: Vec::new(),
            closed: Vec::new(),
            ended: Vec::new(),
            resumed: Vec::new(),
            changes: 0,
            answers: VecDeque::new(),
            access,
            judged: JoinSet::new(),
            durability,
            telemetry,
            sys,
            flapping,
            clock: Clock::start(),
        }
    }

    /// Runs until nobody can send anything any more, or until the broker was drained and the last connection is closed.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Arrival>,
        mut operator: mpsc::Receiver<OperatorCommand>,
    ) {
        let mut arrivals = Vec::with_capacity(ROUND_ARRIVALS_MAX);
        let mut timer = Timer::new();
        let mut is_draining = false;
        let mut now = self.clock.now();
        while !(is_draining && self.links.is_empty()) {
            let is_due = self.arm(&mut timer, now);
            let mut command = None;
            let mut verdict = None;
            let mut is_sys_due = false;
            tokio::select! {
                biased;
                received = operator.recv(), if !operator.is_closed() => command = received,
                () = timer.wait(), if !is_due => {}
                () = self.sys.due() => is_sys_due = true,
                Some(judged) = self.judged.join_next() => verdict = Some(judged),
                received = inbox.recv_many(&mut arrivals, ROUND_ARRIVALS_MAX) => if received == 0 { return },
                // Work is left over: the others on this thread get their turn, and then it goes on.
                () = tokio::task::yield_now(), if is_due => {}
            }
            now = self.clock.now();
            if let Some(command) = command {
                is_draining |= matches!(command, OperatorCommand::Drain);
                self.apply(now, Input::Operator(command));
            }
            if is_sys_due {
                self.publish_sys(now);
            }
            self.take_verdicts(now, verdict);
            if self.broker.poll_timeout().is_some_and(|(at, _)| at <= now.instant) {
                self.apply(now, Input::TimerDue);
            }
            for arrival in arrivals.drain(..) {
                self.take(now, arrival);
            }
            self.finish_round(now);
        }
        turn_away(inbox);
    }

    /// Sets the timer for the broker's next instant. `true`: it has come already.
    fn arm(&self, timer: &mut Timer, now: Now) -> bool {
        match self.broker.poll_timeout() {
            Some((at, _)) if at <= now.instant => true,
            Some((at, _)) => {
                timer.arm(self.clock.deadline(at));
                false
            }
            None => false,
        }
    }

    /// Tells what is to be known of the broker itself.
    fn publish_sys(&mut self, now: Now) {
        let uptime = now.instant - rivulet_core::Instant::default();
        let totals = self.broker.totals();
        for message in self.sys.changed(uptime, &totals, self.telemetry.counters()) {
            self.apply(now, Input::Operator(OperatorCommand::Publish(Box::new(message))));
        }
    }

    /// Hands in who has been judged. A task that ended without a verdict leaves its client to the time-out of CONNECT.
    fn take_verdicts(&mut self, now: Now, first: Option<Result<(ConnectionKey, Verdict), JoinError>>) {
        let mut first = first;
        for _ in 0..ROUND_ARRIVALS_MAX {
            let Some(judged) = first.take().or_else(|| self.judged.try_join_next()) else {
                return;
            };
            if let Ok((connection, verdict)) = judged {
                self.apply(now, Input::Authenticated { connection, verdict });
            }
        }
    }

    fn take(&mut self, now: Now, arrival: Arrival) {
        match arrival {
            Arrival::Opened { connection, peer, identity, desk, credit } => {
                self.links.insert(connection, Link::new(peer, desk));
                self.apply(
                    now,
                    Input::ConnectionOpened { connection, listener: peer.listener, identity, credit },
                );
            }
            Arrival::Batch { connection, flow, batch } => match self.links.get_mut(&connection) {
                Some(link) if link.is_paused || !link.held.is_empty() => link.held.push_back(batch),
                Some(_) => self.work(now, connection, flow, batch),
                None => {} // it was closed while this was on its way
            },
            Arrival::Credit { connection, flow, packets } => {
                if self.links.contains_key(&connection) {
                    self.apply(now, Input::Credit { connection, flow, packets });
                }
            }
            Arrival::Lost { connection, loss } => {
                if self.links.contains_key(&connection) {
                    self.apply(now, Input::ConnectionLost { connection, loss });
                }
            }
        }
        while let Some(connection) = self.resumed.pop() {
            self.go_on(now, connection);
        }
    }

    /// Hands in a batch, as far as its flow is not paused by it.
    fn work(&mut self, now: Now, connection: ConnectionKey, flow: FlowKey, mut batch: Batch) {
        let mut seen = self.changes;
        while let Some(packet) = batch.packets.next() {
            self.apply(now, Input::PacketReceived { connection, flow, packet });
            if seen == self.changes {
                continue;
            }
            seen = self.changes;
            match self.links.get_mut(&connection) {
                Some(link) if link.is_closing => return,
                Some(link) if link.is_paused => {
                    link.held.push_front(batch);
                    return;
                }
                Some(_) => {}
                None => return,
            }
        }
        match batch.end {
            None => {}
            Some(BatchEnd::Rejected(error)) => {
                self.apply(now, Input::PacketRejected { connection, flow, error })
            }
            Some(BatchEnd::Flow(FlowEnd::Finished)) => {
                self.apply(now, Input::FlowFinished { connection, flow })
            }
            Some(BatchEnd::Flow(FlowEnd::Reset(code))) => {
                self.apply(now, Input::FlowReset { connection, flow, code });
            }
            Some(BatchEnd::Flow(FlowEnd::Lost(loss))) => {
                self.apply(now, Input::ConnectionLost { connection, loss });
            }
        }
        if let Some(link) = self.links.get(&connection) {
            link.desk.batch_done();
        }
    }

    /// Hands in what was held while a flow was paused.
    fn go_on(&mut self, now: Now, connection: ConnectionKey) {
        while let Some(link) = self.links.get_mut(&connection)
            && !link.is_paused
            && !link.is_closing
            && let Some(batch) = link.held.pop_front()
        {
            self.work(now, connection, FlowKey::CONTROL, batch);
        }
    }

    /// Applies one input and does all that comes out, answers that are there at once included.
    fn apply(&mut self, now: Now, input: Input) {
        self.broker.handle(now, input);
        loop {
            while let Some(output) = self.broker.poll_output(now) {
                self.perform(output);
            }
            let Some(answer) = self.answers.pop_front() else {
                return;
            };
            self.broker.handle(now, answer);
        }
    }

    /// Does one output. Never waits.
    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, flow: _, packet } => self.command(connection, Command::Send(packet)),
            Output::Negotiated { connection, encoder } => {
                self.command(connection, Command::Negotiated(encoder));
            }
            Output::FinishFlow { connection, flow: _ } => self.command(connection, Command::Finish),
            Output::ResetFlow { connection, flow: _, cause } | Output::Close { connection, cause } => {
                self.close(connection, cause);
            }
            Output::Authenticate { connection, credentials } => self.authenticate(connection, *credentials),
            Output::Persist { commit, batch } => self.durability.persist(commit, batch),
            Output::Pause { connection, flow: _ } => self.pause(connection, true),
            Output::Resume { connection, flow: _ } => self.pause(connection, false),
            Output::Event(event) => self.tell(&event),
        }
    }

    fn command(&mut self, connection: ConnectionKey, command: Command) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        if link.is_closing {
            return;
        }
        if link.commands.is_empty() {
            self.to_flush.push(connection);
        }
        link.commands.push(command);
    }

    fn close(&mut self, connection: ConnectionKey, cause: CloseCause) {
        self.command(connection, Command::Close(cause));
        if let Some(link) = self.links.get_mut(&connection)
            && !link.is_closing
        {
            link.is_closing = true;
            self.changes += 1;
            self.ended.push(connection);
        }
    }

    fn pause(&mut self, connection: ConnectionKey, is_paused: bool) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        if link.is_paused == is_paused {
            return;
        }
        link.is_paused = is_paused;
        link.desk.pause(is_paused);
        self.changes += 1;
        if !is_paused && !link.held.is_empty() {
            self.resumed.push(connection);
        }
    }

    /// Lets a task of its own judge the client: passwords and the hook take their time. A step of enhanced authentication
    /// takes microseconds.
    fn authenticate(&mut self, connection: ConnectionKey, credentials: Credentials) {
        let (access, now) = (Arc::clone(&self.access), self.clock.now());
        let peer = self.links.get(&connection).map(|link| link.peer.address.ip());
        let client_id = credentials.client_id.as_ref();
        if self.is_first_question(connection) && self.is_banned(now, client_id, peer) {
            let verdict = Verdict::Refused(ReasonCode::Banned);
            return self.answers.push_back(Input::Authenticated { connection, verdict });
        }
        if let Some(step) = &credentials.step {
            let Some(link) = self.links.get_mut(&connection) else { return };
            let verdict = self.access.take_step(&credentials, step, &mut link.exchange);
            return self.answers.push_back(Input::Authenticated { connection, verdict });
        }
        self.judged.spawn(async move { (connection, access.authenticate(now, peer, credentials).await) });
    }

    /// Whether it is a CONNECT that is asked about, and not a later step of an authentication.
    fn is_first_question(&mut self, connection: ConnectionKey) -> bool {
        self.links.get_mut(&connection).is_some_and(|link| !mem::replace(&mut link.has_asked, true))
    }

    /// Whether a client connects too often, or somebody at its address does. Counts its CONNECT.
    fn is_banned(&mut self, now: Now, client_id: Option<&ClientId>, address: Option<IpAddr>) -> bool {
        if self.flapping.is_banned(now.instant, client_id, address) {
            self.telemetry.refused_banned();
            return true;
        }
        if address.is_some_and(|address| self.flapping.on_connect(now.instant, address)) {
            self.telemetry.banned(None, address);
        }
        false
    }

    fn tell(&mut self, event: &Event) {
        if let Event::Closed { connection, client_id, cause } = event {
            let peer = self.links.get(connection).map(|link| link.peer);
            self.telemetry.closed(*connection, peer, client_id.as_ref(), cause);
            self.closed.push((*connection, cause.clone()));
        } else {
            self.telemetry.event(event);
        }
        if let Event::Connected { client_id, .. } = event
            && self.flapping.on_connected(self.clock.now().instant, client_id)
        {
            self.telemetry.banned(Some(client_id), None);
        }
    }

    /// Writes down what the round wants written, and lets the writers go.
    fn finish_round(&mut self, now: Now) {
        while let Some(answer) = self.durability.commit() {
            self.apply(now, answer);
        }
        while let Some(connection) = self.resumed.pop() {
            self.go_on(now, connection);
        }
        while let Some((connection, cause)) = self.closed.pop() {
            self.close(connection, cause);
        }
        for connection in self.to_flush.drain(..) {
            if let Some(link) = self.links.get_mut(&connection) {
                link.desk.leave(&mut link.commands);
            }
        }
        for connection in self.ended.drain(..) {
            self.links.remove(&connection);
        }
    }
}

impl Link {
    fn new(peer: Peer, desk: Arc<FlowDesk>) -> Self {
        Self {
            peer,
            desk,
            commands: Vec::new(),
            held: VecDeque::new(),
            is_paused: false,
            is_closing: false,
            exchange: None,
            has_asked: false,
        }
    }
}

/// Closes connections that were accepted while the last one of a drained broker ended.
fn turn_away(mut inbox: mpsc::Receiver<Arrival>) {
    inbox.close();
    while let Ok(arrival) = inbox.try_recv() {
        match arrival {
            Arrival::Opened { desk, .. } => desk.leave(&mut vec![Command::Close(CloseCause::Drain)]),
            Arrival::Batch { .. } | Arrival::Credit { .. } | Arrival::Lost { .. } => {}
        }
    }
}

/// One timer of the runtime, set again only when the next instant is earlier or the last one has passed.
struct Timer {
    sleep: std::pin::Pin<Box<Sleep>>,
}

impl Timer {
    /// How long a timer that was not set sleeps. Waking up is harmless.
    const IDLE: Duration = Duration::from_secs(60);

    fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(Self::IDLE)) }
    }

    fn arm(&mut self, deadline: tokio::time::Instant) {
        if deadline < self.sleep.deadline() || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    async fn wait(&mut self) {
        self.sleep.as_mut().await;
        let again = self.sleep.deadline() + Self::IDLE;
        self.sleep.as_mut().reset(again);
    }
}
