//! Names of things that come and go: counters, never addresses, never used twice.

/// One network connection of one client, from accept to close. The transport counts them up.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionKey(pub u64);

/// One flow of one connection. The control flow is [`FlowKey::CONTROL`]; data flows count up from there, even
/// numbers for those that the client opened, odd ones for the broker's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlowKey(pub u64);

impl FlowKey {
    /// The flow that carries CONNECT.
    pub const CONTROL: Self = Self(0);
}

/// One configured listener; its settings apply to the connections that it accepted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenerKey(pub u16);

/// One session in the broker's memory. Counted up; a session that is discarded and made again has a new one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionKey(pub u64);

/// One message in the store: counted up, so that a message is written once however many sessions wait for it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageKey(pub u64);

/// The place of one delivery in the order of its session, from queue to last acknowledgement. Counted up per session.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(pub u64);

/// Where a packet came from or goes to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Via {
    pub(crate) connection: ConnectionKey,
    pub(crate) flow: FlowKey,
}

impl Via {
    /// The control flow of a connection.
    pub(crate) const fn control(connection: ConnectionKey) -> Self {
        Self { connection, flow: FlowKey::CONTROL }
    }
}
