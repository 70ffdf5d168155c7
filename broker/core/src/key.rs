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
