//! User Properties (2.2.2.2).

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::id;
use crate::data::{Reader, Sink};

/// User Properties (2.2.2.2): pairs of strings in their order, which the server forwards unaltered [MQTT-3.3.2-17, -18].
///
/// Kept as the bytes of the wire, checked once: a packet with user properties costs no allocation, and forwarding
/// them is one copy of their bytes.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
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
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            rest = rest.get(1..)?; // the identifier
            Some((split_string(&mut rest)?, split_string(&mut rest)?))
        })
    }

    /// Adds a pair; `false`, and nothing added, if either does not fit the wire.
    #[must_use]
    pub fn push(&mut self, name: &str, value: &str) -> bool {
        let fits = |text: &str| text.len() <= usize::from(u16::MAX) && !text.contains('\0');
        if !fits(name) || !fits(value) {
            return false;
        }
        let mut bytes = BytesMut::from(std::mem::take(&mut self.0));
        bytes.reserve(1 + 2 + name.len() + 2 + value.len());
        bytes.put_u8(id::USER_PROPERTY);
        bytes.field(name.as_bytes());
        bytes.field(value.as_bytes());
        self.0 = bytes.freeze();
        true
    }

    /// The pairs as on the wire of 5.0: each with its identifier in front, without a property length. What a store
    /// keeps.
    pub fn as_wire(&self) -> &Bytes {
        &self.0
    }

    /// What [`UserProperties::as_wire`] returned. `None` if the bytes are anything else.
    pub fn from_wire(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(&bytes, 0);
        while reader.left() > 0 {
            if reader.u8() != Ok(id::USER_PROPERTY) {
                return None;
            }
            reader.skip_string_pair().ok()?;
        }
        Some(Self(bytes))
    }

    /// A copy that shares no memory with the receive buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl std::fmt::Debug for UserProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Takes a string off bytes that were checked when they came in.
fn split_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// Where the User Properties of one carrier stand. Three words without a common address, so that they stay in registers.
#[derive(Debug, Default)]
pub(crate) struct UserFields {
    /// Those that were found side by side.
    from: usize,
    to: usize,
    /// Those that other properties came between.
    gathered: Option<Box<BytesMut>>,
}

impl UserFields {
    /// Slices what was found out of the packet's bytes.
    #[inline(always)]
    pub(crate) fn slice(self, bytes: &Bytes) -> UserProperties {
        let Self { from, to, gathered } = self;
        match gathered {
            None => UserProperties(bytes.slice(from..to)),
            Some(_) => UserProperties(gather(gathered, &bytes[from..to]).freeze()),
        }
    }

    /// Adds what stands there.
    #[inline(always)]
    pub(super) fn add(&mut self, range: Range<usize>, bytes: &[u8]) {
        if self.from == self.to {
            self.from = range.start;
        } else if range.start != self.to {
            self.gathered = Some(gather(self.gathered.take(), &bytes[self.from..self.to]));
            self.from = range.start;
        }
        self.to = range.end;
    }
}

#[cold]
fn gather(gathered: Option<Box<BytesMut>>, bytes: &[u8]) -> Box<BytesMut> {
    let mut gathered = gathered.unwrap_or_default();
    gathered.put_slice(bytes);
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_properties_keep_pairs_and_their_order() {
        let mut properties = UserProperties::new();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "1"), ("", "")] {
            assert!(properties.push(name, value));
        }
        let pairs: Vec<_> = properties.iter().collect();
        assert_eq!(pairs, [("b", "1"), ("a", "2"), ("b", "1"), ("", "")]);
        assert_eq!(properties.detach(), properties);
        assert_eq!(UserProperties::from_wire(properties.as_wire().clone()), Some(properties));
    }

    #[test]
    fn user_properties_refuse_what_does_not_fit_the_wire() {
        let mut properties = UserProperties::new();
        assert!(!properties.push(&"a".repeat(65_536), ""));
        assert!(!properties.push("", "a\0"));
        assert!(properties.is_empty());
        assert!(properties.push(&"a".repeat(65_535), ""));
    }

    #[test]
    fn bytes_that_are_no_user_properties_are_refused() {
        for bytes in
            [&b"\x26"[..], b"\x26\0\x01a\0\x02b", b"\x1F\0\0\0\0", b"\x26\0\x01\xFF\0\0", b"\x26\0\x01\0\0\0"]
        {
            assert_eq!(UserProperties::from_wire(Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
    }
}
