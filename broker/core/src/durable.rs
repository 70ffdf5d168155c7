//! Durable before acknowledged: what must be written, and the outputs that wait until it is.
//!
//! ```text
//!  step -> records -> [ batch ] -> Persist --------------------> store
//!       -> outputs -> [ held, per connection ] <-- Persisted ----'
//!                            '-> out, in their order
//! ```
//!
//! A connection that a batch concerns is held: all its outputs wait in order for the commit, those that are made later
//! behind those that are made earlier. The others are not. PINGRESP promises nothing and never waits.
//!
//! Not here: what is worth a record (the sessions decide), how it is written (the store).

mod missed;
mod record;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rivulet_protocol::{ClientId, Message, Packet, Topic};

pub use self::record::{DeliveryTerms, Record};
pub use self::snapshot::{Snapshot, StoredDelivery, StoredMessage, StoredSession};
use crate::output::Outgoing;
use crate::{ConnectionKey, FlowKey, MessageKey, Output, SessionKey, WallTime};

/// The number of one write. They count up from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Commit(pub u64);

/// Why a write failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreFault {
    /// No space is left.
    #[error("the store is full")]
    Full,
    /// The device reports an error.
    #[error("the store fails")]
    Failing,
}

/// The batch of the step under way, and all outputs that wait.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    batch: Vec<Record>,
    /// The connections that the batch of this step concerns.
    concerned: Vec<ConnectionKey>,
    last: Commit,
    safe: Commit,
    held: BTreeMap<ConnectionKey, Held>,
    /// Who waits for which commit, in the order of the commits.
    waits: VecDeque<(Commit, ConnectionKey)>,
    last_message: MessageKey,
    /// What commits that are not safe are about, in their order.
    unsafe_subjects: VecDeque<(Commit, Subjects)>,
    /// Topics whose retained message the batch of this step changes.
    topics: Vec<Topic>,
    /// What the store did not take, and has to be told again.
    missed: Subjects,
    /// Clients whose session is over, which a restart would bring back while its end is not safe.
    ended: BTreeMap<ClientId, (SessionKey, Commit)>,
}

/// What records are about.
#[derive(Debug, Default)]
struct Subjects {
    sessions: BTreeSet<SessionKey>,
    topics: BTreeSet<Topic>,
}

/// The outputs of one connection that wait, in their order.
#[derive(Debug, Default)]
struct Held {
    /// What an output that is made next has to wait for.
    through: Commit,
    outputs: VecDeque<(Commit, Output)>,
    /// How many of them end an exchange that the client began.
    answers: usize,
}

impl Durable {
    /// Goes on counting after the messages of a snapshot.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let last_message = snapshot.messages.last_key_value().map_or(MessageKey(0), |(key, _)| *key);
        Self { last_message, ..Self::default() }
    }

    /// Adds a record to the batch of this step.
    pub(crate) fn write(&mut self, record: Record) {
        self.batch.push(record);
    }

    /// Adds to the batch of this step that the session of a client is over.
    pub(crate) fn write_end(&mut self, session: SessionKey, client_id: ClientId) {
        self.ended.insert(client_id, (session, Commit(self.last.0 + 1)));
        self.write(Record::SessionEnded { session });
    }

    /// Adds to the batch of this step once more that a client's former session is over, if a restart might bring
    /// it back. Says whether that is so.
    pub(crate) fn write_end_again(&mut self, client_id: &ClientId) -> bool {
        let Some((session, _)) = self.ended.get(client_id).copied() else { return false };
        self.write_end(session, client_id.clone());
        true
    }

    /// Adds to the batch of this step that a topic has another retained message, or none.
    pub(crate) fn write_retained(&mut self, topic: &Topic, message: Option<MessageKey>) {
        self.topics.push(topic.detach());
        self.write(match message {
            Some(message) => Record::RetainedSet { message },
            None => Record::RetainedCleared { topic: topic.detach() },
        });
    }

    /// Adds a message to the batch of this step, for records of the same step to refer to.
    pub(crate) fn store(&mut self, message: Arc<Message>, expires: Option<WallTime>) -> MessageKey {
        self.last_message.0 += 1;
        self.write(Record::MessageStored { key: self.last_message, message, expires });
        self.last_message
    }

    /// All outputs of this connection, from this step on, wait for the batch of this step.
    pub(crate) fn hold(&mut self, connection: ConnectionKey) {
        self.concerned.push(connection);
    }

    /// All outputs of this connection, from this step on, wait for what is not yet safe.
    pub(crate) fn catch_up(&mut self, connection: ConnectionKey) {
        if self.last > self.safe {
            self.wait(connection, self.last);
        }
        self.hold(connection);
    }

    /// Whether outputs of this connection wait.
    pub(crate) fn is_holding(&self, connection: ConnectionKey) -> bool {
        self.held.contains_key(&connection)
    }

    /// How many exchanges the client of this connection cannot know to be over, because their last answer waits.
    pub(crate) fn answers_held(&self, connection: ConnectionKey) -> usize {
        self.held.get(&connection).map_or(0, |held| held.answers)
    }

    /// Ends a step: seals its batch, and holds back what has to wait of the outputs from `first` on.
    pub(crate) fn settle(&mut self, outputs: &mut VecDeque<Output>, first: usize) {
        if self.batch.is_empty() {
            self.concerned.clear();
        }
        if self.batch.is_empty() && self.held.is_empty() {
            return;
        }
        let step = outputs.split_off(first);
        if !self.batch.is_empty() {
            self.last.0 += 1;
            let sessions = self.batch.iter().filter_map(Record::session).collect();
            let topics = self.topics.drain(..).collect();
            self.unsafe_subjects.push_back((self.last, Subjects { sessions, topics }));
            outputs.push_back(Output::Persist { commit: self.last, batch: std::mem::take(&mut self.batch) });
            let mut concerned = std::mem::take(&mut self.concerned);
            concerned.sort_unstable();
            concerned.dedup();
            for connection in concerned {
                self.wait(connection, self.last);
            }
        }
        for output in step {
            match waits_for_writes(&output).and_then(|connection| self.held.get_mut(&connection)) {
                Some(held) => held.push(output),
                None => outputs.push_back(output),
            }
        }
    }

    /// All commits up to this one are safe: hands over what waited for them.
    pub(crate) fn confirm(&mut self, through: Commit, outputs: &mut VecDeque<Output>) {
        self.safe = self.safe.max(through);
        while self.unsafe_subjects.pop_front_if(|(commit, _)| *commit <= through).is_some() {}
        self.ended.retain(|_, (_, commit)| *commit > through);
        while let Some((_, connection)) = self.waits.pop_front_if(|(commit, _)| *commit <= through) {
            let Some(held) = self.held.get_mut(&connection) else { continue };
            held.release(through, outputs);
            if held.through <= through {
                self.held.remove(&connection);
            }
        }
    }

    /// The commits from this one on failed: hands over what waited for them, for the caller to refuse, by connection.
    pub(crate) fn fail(&mut self, from: Commit) -> Vec<(ConnectionKey, Vec<Output>)> {
        let first = self.unsafe_subjects.partition_point(|(commit, _)| *commit < from);
        for (_, subjects) in self.unsafe_subjects.split_off(first) {
            self.missed.sessions.extend(subjects.sessions);
            self.missed.topics.extend(subjects.topics);
        }
        let mut failed: Vec<ConnectionKey> = Vec::new();
        self.waits.retain(|(commit, connection)| {
            let is_failed = *commit >= from;
            if is_failed {
                failed.push(*connection);
            }
            !is_failed
        });
        failed.sort_unstable();
        failed.dedup();
        let mut refused = Vec::new();
        for connection in failed {
            let Some(held) = self.held.get_mut(&connection) else { continue };
            refused.push((connection, held.take_from(from)));
            // What waits for an earlier commit goes on waiting.
            match self.waits.iter().rev().find(|(_, waiting)| *waiting == connection) {
                Some((commit, _)) => held.through = *commit,
                None => drop(self.held.remove(&connection)),
            }
        }
        refused
    }

    /// A connection is gone: nothing of it can be sent any more.
    pub(crate) fn forget(&mut self, connection: ConnectionKey) {
        self.held.remove(&connection);
        self.concerned.retain(|concerned| *concerned != connection);
    }

    /// A flow is gone: nothing can be sent on it any more.
    pub(crate) fn forget_flow(&mut self, connection: ConnectionKey, flow: FlowKey) {
        if let Some(held) = self.held.get_mut(&connection) {
            held.outputs.retain(|(_, output)| flow_of(output) != Some(flow));
            held.answers = held.outputs.iter().filter(|(_, output)| is_last_answer(output)).count();
        }
    }

    /// Panics if a connection waits for what is safe, or if answers do not add up.
    pub(crate) fn check(&self) {
        assert!(self.batch.is_empty(), "a batch is sealed at the end of its step");
        for (connection, held) in &self.held {
            assert!(held.through > self.safe || !held.outputs.is_empty(), "{connection:?} waits for nothing");
            let answers = held.outputs.iter().filter(|(_, output)| is_last_answer(output)).count();
            assert_eq!(held.answers, answers, "answers held of {connection:?}");
            assert!(
                held.outputs.iter().is_sorted_by_key(|(commit, _)| *commit),
                "{connection:?} waits in order"
            );
        }
    }

    fn wait(&mut self, connection: ConnectionKey, commit: Commit) {
        let held = self.held.entry(connection).or_default();
        if held.through < commit {
            held.through = commit;
            self.waits.push_back((commit, connection));
        }
    }
}

impl Held {
    fn push(&mut self, output: Output) {
        self.answers += usize::from(is_last_answer(&output));
        self.outputs.push_back((self.through, output));
    }

    fn release(&mut self, through: Commit, outputs: &mut VecDeque<Output>) {
        while let Some((_, output)) = self.outputs.pop_front_if(|(commit, _)| *commit <= through) {
            self.answers -= usize::from(is_last_answer(&output));
            outputs.push_back(output);
        }
    }

    /// Takes what waits for this commit or a later one.
    fn take_from(&mut self, from: Commit) -> Vec<Output> {
        let first = self.outputs.partition_point(|(commit, _)| *commit < from);
        let taken: Vec<Output> =
            self.outputs.split_off(first).into_iter().map(|(_, output)| output).collect();
        self.answers -= taken.iter().filter(|output| is_last_answer(output)).count();
        taken
    }
}

/// The connection for whose writes an output waits. `None`: it never waits.
fn waits_for_writes(output: &Output) -> Option<ConnectionKey> {
    match output {
        Output::Send { packet: Outgoing::Packet(Packet::PingResp), .. } => None,
        Output::Send { connection, .. }
        | Output::FinishFlow { connection, .. }
        | Output::Close { connection, .. } => Some(*connection),
        Output::Negotiated { .. }
        | Output::ResetFlow { .. }
        | Output::Authenticate { .. }
        | Output::Persist { .. }
        | Output::Pause { .. }
        | Output::Resume { .. }
        | Output::Event(_) => None,
    }
}

/// Whether the client can begin another exchange when it has this (4.9).
fn is_last_answer(output: &Output) -> bool {
    match output {
        Output::Send { packet: Outgoing::Packet(packet), .. } => match packet {
            Packet::PubAck(_) | Packet::PubComp(_) => true,
            Packet::PubRec(ack) => ack.reason.is_error(),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Publish(_)
            | Packet::PubRel(_)
            | Packet::Subscribe(_)
            | Packet::SubAck(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect(_)
            | Packet::Auth(_) => false,
        },
        Output::Send { packet: Outgoing::Delivery(_), .. }
        | Output::Negotiated { .. }
        | Output::FinishFlow { .. }
        | Output::ResetFlow { .. }
        | Output::Close { .. }
        | Output::Authenticate { .. }
        | Output::Persist { .. }
        | Output::Pause { .. }
        | Output::Resume { .. }
        | Output::Event(_) => false,
    }
}

/// The flow that a held output is for.
fn flow_of(output: &Output) -> Option<FlowKey> {
    match output {
        Output::Send { flow, .. } | Output::FinishFlow { flow, .. } => Some(*flow),
        Output::Negotiated { .. }
        | Output::ResetFlow { .. }
        | Output::Close { .. }
        | Output::Authenticate { .. }
        | Output::Persist { .. }
        | Output::Pause { .. }
        | Output::Resume { .. }
        | Output::Event(_) => None,
    }
}

#[cfg(test)]
mod tests;
