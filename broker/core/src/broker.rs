//! The broker: connections, sessions, router, timers. Which input goes where, and what a step is.
//!
//! ```text
//!  input -> [ its part ] -> deliveries -> writes sealed, outputs that wait for them held back -> outputs
//! ```

use std::collections::{BTreeMap, VecDeque};

use oorandom::Rand64;
use rivulet_protocol::ClientId;

use crate::cause::CloseCause;
use crate::connection::Connection;
use crate::durable::Durable;
use crate::input::OperatorCommand;
use crate::key::Via;
use crate::lookup::LookupMap;
use crate::outbox::Outbox;
use crate::router::{Recipient, Retained, Router};
use crate::session::Session;
use crate::timer::TimerQueue;
use crate::{ConnectionKey, Input, Instant, Limits, Now, Output, Seed, SessionKey, Snapshot, Timer};

/// A broker as a value.
#[derive(Debug)]
pub struct Broker {
    pub(crate) limits: Limits,
    pub(crate) chance: Rand64,
    pub(crate) connections: LookupMap<ConnectionKey, Connection>,
    pub(crate) sessions: LookupMap<SessionKey, Session>,
    pub(crate) clients: BTreeMap<ClientId, SessionKey>,
    pub(crate) last_session: SessionKey,
    pub(crate) router: Router,
    pub(crate) retained: Retained,
    pub(crate) timers: TimerQueue,
    pub(crate) durable: Durable,
    pub(crate) outbox: Outbox,
    /// Sessions that wait for their turn to send.
    pub(crate) ready: VecDeque<SessionKey>,
    pub(crate) is_draining: bool,
    /// What one step keeps for its own end, and for the next step.
    pub(crate) step: Step,
}

/// What belongs to one step alone.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Recipients of the message under way; kept between messages for its memory.
    pub(crate) recipients: Vec<Recipient>,
    /// Connections that are closed at the end of the step, not in the middle of a publication.
    pub(crate) overloaded: Vec<(ConnectionKey, CloseCause)>,
    /// Where the outputs begin that may have to wait for a write.
    first_output: usize,
    /// When the last step was: deliveries that it left over are due since.
    instant: Instant,
    /// What a store has kept, until the first step takes it over.
    snapshot: Option<Box<Snapshot>>,
}

impl Broker {
    /// A broker with what a store has kept.
    pub fn new(limits: Limits, seed: Seed, snapshot: Snapshot) -> Self {
        Self {
            router: Router::new(limits.share_strategy),
            limits,
            chance: Rand64::new(u128::from(seed.0)),
            connections: LookupMap::default(),
            sessions: LookupMap::default(),
            clients: BTreeMap::new(),
            last_session: SessionKey(0),
            retained: Retained::new(),
            timers: TimerQueue::default(),
            durable: Durable::new(&snapshot),
            outbox: Outbox::default(),
            ready: VecDeque::new(),
            is_draining: false,
            step: Step { snapshot: Some(Box::new(snapshot)), ..Step::default() },
        }
    }

    /// Applies one input. Never fails: a peer's mistake becomes outputs, ours is a bug.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.step.first_output = self.outbox.0.len();
        self.step.instant = now.instant;
        if let Some(snapshot) = self.step.snapshot.take() {
            self.restore(now, *snapshot);
        }
        self.apply(now, input);
        self.deliver(now);
        while let Some((connection, cause)) = self.step.overloaded.pop() {
            self.close(now, connection, cause);
        }
        self.write_missed(now);
        self.durable.settle(&mut self.outbox.0, self.step.first_output);
    }

    /// The next thing to do; drained before the next `handle`, within a fairness budget.
    pub fn poll_output(&mut self, _now: Now) -> Option<Output> {
        self.outbox.0.pop_front()
    }

    /// When to call again with [`Input::TimerDue`], and what is waiting. Due at once after [`Self::new`]: what a
    /// store has kept begins to count down then.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.ready.is_empty() && self.step.snapshot.is_none() {
            self.timers.next()
        } else {
            Some((self.step.instant, Timer::Deliveries))
        }
    }

    fn apply(&mut self, now: Now, input: Input) {
        match input {
            Input::ConnectionOpened { connection, listener, identity, credit } => {
                self.on_connection_opened(now, connection, listener, identity, credit);
            }
            Input::FlowOpened { connection, flow, kind, credit } => {
                self.on_flow_opened(Via { connection, flow }, kind, credit);
            }
            Input::FlowFinished { connection, flow } => self.on_flow_finished(now, Via { connection, flow }),
            Input::FlowReset { connection, flow, code } => {
                self.on_flow_reset(now, Via { connection, flow }, code)
            }
            Input::PacketReceived { connection, flow, packet } => {
                self.on_packet(now, Via { connection, flow }, packet);
            }
            Input::PacketRejected { connection, flow, error } => {
                self.on_packet_rejected(now, Via { connection, flow }, error);
            }
            Input::Credit { connection, flow, packets } => self.on_credit(Via { connection, flow }, packets),
            Input::ConnectionLost { connection, loss } => self.on_connection_lost(now, connection, loss),
            Input::Authenticated { connection, verdict } => self.on_authenticated(now, connection, verdict),
            Input::Persisted { through } => {
                self.durable.confirm(through, &mut self.outbox.0);
                // What has waited does not wait again.
                self.step.first_output = self.outbox.0.len();
            }
            Input::PersistFailed { from, fault } => self.on_persist_failed(now, from, fault),
            Input::TimerDue => self.on_timer_due(now),
            Input::Operator(command) => self.on_operator(now, command),
        }
    }

    fn on_timer_due(&mut self, now: Now) {
        for _ in 0..self.limits.timers_per_step {
            match self.timers.take_due(now.instant) {
                None => return,
                Some(Timer::Connect(connection)) => self.on_connect_timer(now, connection),
                Some(Timer::KeepAlive(connection)) => self.on_keep_alive_timer(now, connection),
                Some(Timer::Credentials(connection)) => {
                    self.close(now, connection, CloseCause::CredentialsExpired)
                }
                Some(Timer::SessionExpiry(session)) => self.on_session_expiry(now, session),
                Some(Timer::Will(session)) => self.publish_will(now, session),
                // Never armed: every step delivers.
                Some(Timer::Deliveries) => {}
            }
        }
    }

    fn on_operator(&mut self, now: Now, command: OperatorCommand) {
        match command {
            OperatorCommand::Drain => {
                self.is_draining = true;
                for connection in self.connections.keys() {
                    self.close(now, connection, CloseCause::Drain);
                }
            }
            OperatorCommand::Disconnect { client_id, reason } => {
                if let Some(connection) = self.connection_of(&client_id) {
                    self.close(now, connection, CloseCause::Operator(reason));
                }
            }
            OperatorCommand::Publish(message) => self.publish_own(now, *message),
            OperatorCommand::Limits(limits) => {
                self.router.set_strategy(limits.share_strategy);
                self.limits = *limits;
            }
        }
    }

    /// The session of an open connection.
    pub(crate) fn session_of(&self, connection: ConnectionKey) -> Option<SessionKey> {
        self.connections.get(connection).and_then(Connection::session)
    }

    /// Where a client is connected.
    pub(crate) fn connection_of(&self, client_id: &ClientId) -> Option<ConnectionKey> {
        let session = self.clients.get(client_id)?;
        self.sessions.get(*session)?.connection
    }

    /// Panics if two parts of the state disagree. After each step in tests and simulation.
    pub fn check(&self) {
        self.router.check();
        self.retained.check();
        self.timers.check();
        self.durable.check();
        assert_eq!(self.clients.len(), self.sessions.len(), "each session has one client");
        for (client_id, key) in &self.clients {
            let session = self.sessions.get(*key).expect("a client's session is there");
            assert_eq!(session.client_id, *client_id, "{key:?} belongs to its client");
            self.check_session(*key, session);
        }
        for key in self.connections.keys() {
            self.check_connection(key);
        }
        for timer in self.timers.timers() {
            let has_owner = match timer {
                Timer::Connect(key) | Timer::KeepAlive(key) | Timer::Credentials(key) => {
                    self.connections.contains(key)
                }
                Timer::SessionExpiry(key) | Timer::Will(key) => {
                    self.sessions.get(key).is_some_and(|session| session.connection.is_none())
                }
                Timer::Deliveries => false,
            };
            assert!(has_owner, "{timer:?} has an owner that waits for it");
        }
    }

    fn check_session(&self, key: SessionKey, session: &Session) {
        session.check();
        assert!(key <= self.last_session, "{key:?} was counted");
        assert_eq!(session.is_ready, self.ready.contains(&key), "{key:?} is ready as it says");
        if let Some(connection) = session.connection {
            assert_eq!(self.session_of(connection), Some(key), "{key:?} and {connection:?} know each other");
        }
    }

    fn check_connection(&self, key: ConnectionKey) {
        let Some(session) = self.session_of(key) else { return };
        let found = self.sessions.get(session).expect("an open connection has a session");
        assert_eq!(found.connection, Some(key), "{key:?} and {session:?} know each other");
        let open =
            self.connections.get(key).and_then(Connection::open).expect("it has a session, so it is open");
        let quota = &open.send_quota;
        assert_eq!(usize::from(quota.used()), found.inflight.counted(), "send quota of {key:?}");
        assert!(quota.used() <= quota.maximum(), "{key:?} is within the receive maximum of its client");
    }
}
