//! Names that are valid when they exist: client, packet, alias, subscription.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use bytestring::ByteString;

/// Names a client and its session (3.1.3.1). Never empty; the server assigns one to a client that sends none.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(ByteString);

impl ClientId {
    /// The identifier in `text`; `None` if it is empty, too long for the wire, or holds U+0000 [MQTT-1.5.4-2].
    pub fn parse(text: impl Into<ByteString>) -> Option<Self> {
        let text = text.into();
        let fits = !text.is_empty() && text.len() <= usize::from(u16::MAX) && !text.contains('\0');
        fits.then_some(Self(text))
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identifier as a shared string.
    pub fn as_bytestring(&self) -> &ByteString {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names an exchange that is not finished (2.2.1). Zero cannot be written [MQTT-2.2.1-3].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The lowest identifier.
    pub const MIN: Self = Self(NonZeroU16::MIN);

    /// `None` for zero.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire, 1 to 65,535.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; 1 follows 65,535.
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(id) => Self(id),
            None => Self::MIN,
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Stands for a topic name on one connection (3.3.2.3.4). Zero cannot be written [MQTT-3.3.2-8].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicAlias(NonZeroU16);

impl TopicAlias {
    /// `None` for zero.
    pub const fn new(alias: u16) -> Option<Self> {
        match NonZeroU16::new(alias) {
            Some(alias) => Some(Self(alias)),
            None => None,
        }
    }

    /// The number on the wire, 1 to 65,535.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

/// Names a subscription towards its own client (3.8.2.1.2): 1 to 268,435,455.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// The largest identifier: what a variable byte integer can hold (1.5.5).
    pub const MAX: u32 = 268_435_455;

    /// `None` for zero and for more than [`Self::MAX`].
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) if id.get() <= Self::MAX => Some(Self(id)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}
