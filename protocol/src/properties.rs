//! Properties (2.2.2): one table says identifier, type, whether it may repeat, and which packets may carry it.

use bytes::Bytes;

/// User Properties (2.2.2.2): pairs of strings in their order, which the server forwards unaltered [MQTT-3.3.2-17, -18].
///
/// Kept as the bytes of the wire, checked once: a packet with user properties costs no allocation, and forwarding
/// them is one copy of their bytes.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct UserProperties(Bytes);

impl UserProperties {
    /// None of them.
    pub const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }

    /// Adds a pair; `false`, and nothing added, if either does not fit the wire.
    #[must_use]
    pub fn push(&mut self, _name: &str, _value: &str) -> bool {
        unimplemented!()
    }

    /// A copy that shares no memory with the receive buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}
