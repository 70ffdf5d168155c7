//! Events to log lines and counters: the only place that words them.
//!
//! Levels: error = a person must act; warn = unusual, still working; info = a connection, a session or a listener
//! changed; debug = why a decision was made. Never payloads, passwords or keys. What a peer has chosen (client
//! identifiers, topics, filters) is escaped and cut, so that it cannot forge lines.

use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use rivulet_core::cause::NetworkLoss;
use rivulet_core::output::Outgoing;
use rivulet_core::{CloseCause, ConnectionKey, Event};
use rivulet_protocol::{ClientId, Packet};
use tracing::{debug, error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::transport::Peer;

/// Characters of a peer's text that are logged.
const PEER_TEXT_CHARACTERS_MAX: usize = 256;

/// What a line says where a connection has not come to its client identifier.
const NO_CLIENT: &str = "-";

/// Starts the log on standard error. `filter` is a level or a list of directives; what it names wrongly is the
/// caller's business to check before. A second call changes nothing.
pub fn start_log(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // An error means that there is a log already, as in a process with several brokers.
    drop(log.try_init());
}

/// What has happened since the start. Counters only go up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that came to CONNACK with success.
    pub connected: AtomicU64,
    /// Connections that ended, for whatever reason, after they were accepted.
    pub closed: AtomicU64,
    /// Of those, ended by a DISCONNECT of the client.
    pub closed_by_client: AtomicU64,
    /// Of those, ended because the client broke a rule.
    pub closed_for_violation: AtomicU64,
    /// Of those, lost below MQTT.
    pub closed_by_network: AtomicU64,
    /// Connections refused before anything was read, for want of room.
    pub refused: AtomicU64,
    /// Connections refused before anything was read, because they came faster than their rate.
    pub refused_for_rate: AtomicU64,
    /// Bans that have begun because of too many connections.
    pub bans: AtomicU64,
    /// Clients that were refused because they, or their address, were banned.
    pub refused_banned: AtomicU64,
    /// Handshakes that failed.
    pub handshakes_failed: AtomicU64,
    /// Sessions taken over by a newer connection.
    pub sessions_taken_over: AtomicU64,
    /// Sessions that expired.
    pub sessions_expired: AtomicU64,
    /// Subscriptions made.
    pub subscribed: AtomicU64,
    /// Subscriptions refused.
    pub subscriptions_refused: AtomicU64,
    /// Messages taken from clients.
    pub published: AtomicU64,
    /// Messages of clients that were refused.
    pub publishes_refused: AtomicU64,
    /// Copies of messages given to sessions.
    pub routed: AtomicU64,
    /// Copies of messages that did not reach their recipient.
    pub dropped: AtomicU64,
    /// Wills published.
    pub wills: AtomicU64,
    /// Commits that the store did not take.
    pub store_failures: AtomicU64,
    /// Times that a client was not read for a while because it published faster than its rate.
    pub held_back: AtomicU64,
    /// Bytes of flows that came.
    pub bytes_received: AtomicU64,
    /// Bytes of flows that were handed to the transport.
    pub bytes_sent: AtomicU64,
    /// Packets of all kinds that came.
    pub packets_received: AtomicU64,
    /// Packets of all kinds that were sent.
    pub packets_sent: AtomicU64,
    /// Of the packets that came, PUBLISH.
    pub publishes_received: AtomicU64,
    /// Of the packets that were sent, PUBLISH.
    pub publishes_sent: AtomicU64,
    /// Bytes of the payloads of PUBLISH packets that came.
    pub publish_bytes_received: AtomicU64,
    /// Bytes of the payloads of PUBLISH packets that were sent.
    pub publish_bytes_sent: AtomicU64,
}

/// Log and counters of one broker.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    counters: Counters,
}

impl Telemetry {
    /// What was counted.
    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A connection that was turned away before anything was read from it.
    pub(crate) fn refused(&self, peer: &Peer, connections_max: u32) {
        count(&self.counters.refused);
        warn!(client = NO_CLIENT, peer = %peer.address, transport = %peer.transport, connections_max,
            cause = "no room for another connection or handshake", "connection refused");
    }

    /// A connection that was turned away because too many come. There may be many: not each is told.
    pub(crate) fn refused_for_rate(&self, peer: &Peer, is_told: bool) {
        count(&self.counters.refused_for_rate);
        if is_told {
            let refused = self.counters.refused_for_rate.load(Ordering::Relaxed);
            warn!(client = NO_CLIENT, peer = %peer.address, transport = %peer.transport, refused,
                cause = "connections come faster than their rate", "connections refused");
        }
    }

    /// A client or an address that is banned from here on. Said once for each ban.
    pub(crate) fn banned(&self, client_id: Option<&ClientId>, address: Option<IpAddr>) {
        count(&self.counters.bans);
        let client = client_id.map_or(NO_CLIENT, ClientId::as_str);
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        warn!(client = %Quoted(client), peer = address, "banned: connects too often");
    }

    /// A client that was refused because of a ban.
    pub(crate) fn refused_banned(&self) {
        count(&self.counters.refused_banned);
    }

    /// A connection that ended before MQTT began.
    pub(crate) fn handshake_failed(&self, peer: &Peer, loss: &NetworkLoss) {
        count(&self.counters.handshakes_failed);
        let cause = loss.to_string();
        info!(client = NO_CLIENT, peer = %peer.address, transport = %peer.transport, cause = %Quoted(&cause),
            "handshake failed");
    }

    /// A client that published too fast, and was not read for a while.
    pub(crate) fn held_back(&self, connection: ConnectionKey) {
        count(&self.counters.held_back);
        debug!(connection = connection.0, "held back: published faster than its rate");
    }

    /// Bytes that came on a flow.
    pub(crate) fn bytes_received(&self, bytes: usize) {
        add(&self.counters.bytes_received, bytes);
    }

    /// Bytes that left on a flow.
    pub(crate) fn bytes_sent(&self, bytes: usize) {
        add(&self.counters.bytes_sent, bytes);
    }

    /// Packets that came on a flow.
    pub(crate) fn packets_received(&self, packets: &[Packet]) {
        add(&self.counters.packets_received, packets.len());
        let payloads = packets.iter().filter_map(|packet| match packet {
            Packet::Publish(publish) => Some(publish.payload.len()),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Subscribe(_)
            | Packet::SubAck(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect(_)
            | Packet::Auth(_) => None,
        });
        let (publishes, bytes) = payloads.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        add(&self.counters.publishes_received, publishes);
        add(&self.counters.publish_bytes_received, bytes);
    }

    /// A packet that leaves on a flow.
    pub(crate) fn packet_sent(&self, packet: &Outgoing) {
        count(&self.counters.packets_sent);
        match packet {
            Outgoing::Packet(_) => {}
            Outgoing::Delivery(delivery) => {
                count(&self.counters.publishes_sent);
                add(&self.counters.publish_bytes_sent, delivery.message.payload.len());
            }
        }
    }

    /// The one line that each accepted connection leaves when it ends.
    pub(crate) fn closed(
        &self,
        connection: ConnectionKey,
        peer: Option<Peer>,
        client_id: Option<&ClientId>,
        cause: &CloseCause,
    ) {
        count(&self.counters.closed);
        let level = Blame::of(cause);
        if let Some(counter) = level.counter(&self.counters) {
            count(counter);
        }
        let Some(Peer { transport, address, listener: _ }) = peer else {
            return; // an engine that has ended has told of its connections
        };
        let connection = connection.0;
        let client = client_id.map_or(NO_CLIENT, ClientId::as_str);
        let (client, text) = (Quoted(client), cause.to_string());
        let cause = Quoted(&text);
        match level {
            Blame::Client | Blame::Network | Blame::Operator => {
                info!(%client, peer = %address, %transport, connection, %cause, "connection closed");
            }
            Blame::Violation | Blame::Us => {
                warn!(%client, peer = %address, %transport, connection, %cause, "connection closed");
            }
            Blame::Store => {
                error!(%client, peer = %address, %transport, connection, %cause, "connection closed");
            }
        }
    }

    /// Everything else that the core tells.
    pub(crate) fn event(&self, event: &Event) {
        let counters = &self.counters;
        match event {
            Event::Connected { connection, client_id, version, session_present } => {
                count(&counters.connected);
                let (connection, client) = (connection.0, Quoted(client_id.as_str()));
                info!(%client, connection, %version, session_present, "connected");
            }
            Event::Closed { connection, client_id, cause } => {
                self.closed(*connection, None, client_id.as_ref(), cause);
            }
            Event::SessionTakenOver { client_id, from, to } => {
                count(&counters.sessions_taken_over);
                info!(client = %Quoted(client_id.as_str()), from = from.0, to = to.0, "session taken over");
            }
            Event::SessionExpired { client_id } => {
                count(&counters.sessions_expired);
                info!(client = %Quoted(client_id.as_str()), "session expired");
            }
            Event::Subscribed { client_id, filter, qos } => {
                count(&counters.subscribed);
                debug!(client = %Quoted(client_id.as_str()), filter = %Quoted(filter.as_str()), ?qos, "subscribed");
            }
            Event::Unsubscribed { client_id, filter } => {
                debug!(client = %Quoted(client_id.as_str()), filter = %Quoted(filter.as_str()), "unsubscribed");
            }
            Event::SubscriptionRefused { client_id, filter, reason } => {
                count(&counters.subscriptions_refused);
                let (client, filter) = (Quoted(client_id.as_str()), Quoted(filter.as_str()));
                warn!(%client, %filter, reason = ?reason, "subscription refused");
            }
            Event::Published { recipients } => {
                count(&counters.published);
                add(&counters.routed, *recipients);
            }
            Event::PublishRefused { client_id, topic, reason } => {
                count(&counters.publishes_refused);
                let (client, topic) = (Quoted(client_id.as_str()), Quoted(topic.as_str()));
                warn!(%client, %topic, reason = ?reason, "message refused");
            }
            Event::MessageDropped { client_id, reason } => {
                count(&counters.dropped);
                debug!(client = %Quoted(client_id.as_str()), reason = ?reason, "message dropped");
            }
            Event::WillPublished { client_id, recipients } => {
                count(&counters.wills);
                add(&counters.routed, *recipients);
                info!(client = %Quoted(client_id.as_str()), recipients, "will published");
            }
            Event::StoreFailed { from, fault } => {
                count(&counters.store_failures);
                error!(from = from.0, %fault, "the store did not take a commit");
            }
        }
    }
}

/// Whose doing the end of a connection was: decides the level of its line and its counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blame {
    Client,
    Violation,
    Network,
    Operator,
    Us,
    Store,
}

impl Blame {
    const fn of(cause: &CloseCause) -> Self {
        match cause {
            CloseCause::Client(_) | CloseCause::TakenOver => Self::Client,
            CloseCause::Malformed(_)
            | CloseCause::Violation(_)
            | CloseCause::Refused(_)
            | CloseCause::CredentialsExpired
            | CloseCause::ConnectTimeout { .. } => Self::Violation,
            CloseCause::KeepAlive { .. } | CloseCause::Network(_) => Self::Network,
            CloseCause::Operator(_) | CloseCause::Drain => Self::Operator,
            CloseCause::Overload(_) => Self::Us,
            CloseCause::Store(_) => Self::Store,
        }
    }

    const fn counter(self, counters: &Counters) -> Option<&AtomicU64> {
        match self {
            Self::Client => Some(&counters.closed_by_client),
            Self::Violation => Some(&counters.closed_for_violation),
            Self::Network => Some(&counters.closed_by_network),
            Self::Operator | Self::Us | Self::Store => None,
        }
    }
}

/// Text that somebody else has chosen: control characters, quotes and line ends are escaped, and it is cut.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars().take(PEER_TEXT_CHARACTERS_MAX) {
            write!(f, "{}", character.escape_debug())?;
        }
        if self.0.chars().nth(PEER_TEXT_CHARACTERS_MAX).is_some() {
            f.write_char('…')?;
        }
        f.write_char('"')
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(u64::try_from(number).unwrap_or(u64::MAX), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use rivulet_protocol::ReasonCode;

    use super::*;

    #[test]
    fn a_client_identifier_cannot_forge_a_line() {
        assert_eq!(Quoted("a\nINFO b\"\u{1b}[31m").to_string(), r#""a\nINFO b\"\u{1b}[31m""#);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = "x".repeat(PEER_TEXT_CHARACTERS_MAX + 1);
        assert_eq!(Quoted(&text).to_string().chars().count(), PEER_TEXT_CHARACTERS_MAX + 3);
    }

    #[test]
    fn every_end_of_a_connection_is_counted() {
        let telemetry = Telemetry::default();
        telemetry.closed(ConnectionKey(1), None, None, &CloseCause::Client(ReasonCode::Success));
        telemetry.closed(ConnectionKey(2), None, None, &CloseCause::Network(NetworkLoss::TimedOut));
        telemetry.closed(ConnectionKey(3), None, None, &CloseCause::Drain);
        let counters = telemetry.counters();
        assert_eq!(counters.closed.load(Ordering::Relaxed), 3);
        assert_eq!(counters.closed_by_client.load(Ordering::Relaxed), 1);
        assert_eq!(counters.closed_by_network.load(Ordering::Relaxed), 1);
    }
}
