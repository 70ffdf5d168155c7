//! Everything that can happen to a broker.

use rivulet_protocol::flow::FlowKind;
use rivulet_protocol::{ClientId, DecodeError, Message, Packet, ReasonCode};

use crate::access::Verdict;
use crate::cause::NetworkLoss;
use crate::durable::{Commit, StoreFault};
use crate::limits::Limits;
use crate::{ConnectionKey, FlowKey, ListenerKey};

/// One thing that happened. The caller hands inputs in one after the other, in the order in which it learned of them.
#[derive(Debug)]
pub enum Input {
    /// A transport accepted a connection. Its control flow is open from here on.
    ConnectionOpened {
        /// Never used before.
        connection: ConnectionKey,
        /// Who accepted it.
        listener: ListenerKey,
        /// Who the peer has proven to be, by its certificate.
        identity: Option<Identity>,
        /// How many packets its control flow takes before the first [`Input::Credit`].
        credit: u32,
    },
    /// A data flow began. The broker says [`crate::Output::Resume`] when it may be read.
    FlowOpened {
        /// On this connection.
        connection: ConnectionKey,
        /// Never used before on it.
        flow: FlowKey,
        /// Whose it is.
        kind: FlowKind,
        /// How many packets it takes before the first [`Input::Credit`].
        credit: u32,
    },
    /// The peer ended a flow in order. For the control flow: the connection is over.
    FlowFinished {
        /// On this connection.
        connection: ConnectionKey,
        /// Which.
        flow: FlowKey,
    },
    /// The peer broke a flow off.
    FlowReset {
        /// On this connection.
        connection: ConnectionKey,
        /// Which.
        flow: FlowKey,
        /// The peer's code.
        code: u64,
    },
    /// A packet arrived.
    PacketReceived {
        /// On this connection.
        connection: ConnectionKey,
        /// On this flow.
        flow: FlowKey,
        /// Well-formed by itself.
        packet: Packet,
    },
    /// Bytes arrived that are no packet. The flow is not read any further.
    PacketRejected {
        /// On this connection.
        connection: ConnectionKey,
        /// On this flow.
        flow: FlowKey,
        /// What was wrong.
        error: DecodeError,
    },
    /// A writer has written: so many more packets fit on this flow.
    Credit {
        /// On this connection.
        connection: ConnectionKey,
        /// Which flow.
        flow: FlowKey,
        /// How many more.
        packets: u32,
    },
    /// The connection is gone without a word of MQTT.
    ConnectionLost {
        /// Which.
        connection: ConnectionKey,
        /// How.
        loss: NetworkLoss,
    },
    /// The answer to [`crate::Output::Authenticate`].
    Authenticated {
        /// Who asked.
        connection: ConnectionKey,
        /// Yes or no.
        verdict: Verdict,
    },
    /// All writes up to this commit are safe.
    Persisted {
        /// The highest commit that is safe.
        through: Commit,
    },
    /// A write failed, and with it all that came after it.
    PersistFailed {
        /// The lowest commit that is not safe.
        from: Commit,
        /// Why.
        fault: StoreFault,
    },
    /// The instant of [`crate::Broker::poll_timeout`] has come. Harmless if it has not.
    TimerDue,
    /// The operator wants something.
    Operator(OperatorCommand),
}

/// What a transport has proven about a peer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Common name of the certificate's subject.
    pub common_name: Option<String>,
    /// Serial number of the certificate, lower-case hexadecimal.
    pub serial: Option<String>,
    /// Organizational unit of the certificate's subject.
    pub organizational_unit: Option<String>,
    /// DNS names among the certificate's alternative names.
    pub san_dns: Vec<String>,
    /// URIs among the certificate's alternative names.
    pub san_uri: Vec<String>,
}

/// What an operator can ask for.
#[derive(Debug)]
pub enum OperatorCommand {
    /// Take no new connection, say goodbye to all (Server shutting down), keep their sessions.
    Drain,
    /// End the connection of one client.
    Disconnect {
        /// Whose.
        client_id: ClientId,
        /// What it is told.
        reason: ReasonCode,
    },
    /// Publish a message of the broker's own, past the limits; retained or not, it is not written down.
    Publish(Box<Message>),
    /// From here on these limits hold; what is over them already is left to end by itself.
    Limits(Box<Limits>),
}
