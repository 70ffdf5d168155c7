//! Data representation (1.5): reads the fields of one packet, and writes them.
//!
//! Strings are checked here: well-formed UTF-8 without surrogates [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2].
//! Control characters (U+0001 to U+001F, U+007F to U+009F) and non-characters such as U+FFFF are accepted: 1.5.4
//! leaves that open, and fleets in the field send them. A byte order mark stays where it is [MQTT-1.5.4-3].

use std::ops::{Deref, Range};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::PacketId;
use crate::error::Fault;

/// The largest value of a variable byte integer (1.5.5).
pub(crate) const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// How many bytes a variable byte integer may have (1.5.5).
const VARIABLE_BYTE_INTEGER_BYTES_MAX: usize = 4;

/// What stands at the front of some bytes, read as a variable byte integer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VariableByteInteger {
    /// The bytes end before it does.
    Incomplete,
    /// A fifth byte would follow.
    TooLong,
    /// The value.
    Value {
        value: u32,
        /// How many bytes it took.
        bytes: usize,
        /// Whether it took no more than needed [MQTT-1.5.5-1].
        is_minimal: bool,
    },
}

impl VariableByteInteger {
    /// Reads one from the front of `bytes`.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        if let Some(&byte) = bytes.first()
            && byte & 0x80 == 0
        {
            return Self::Value { value: byte.into(), bytes: 1, is_minimal: true };
        }
        let mut value = 0;
        for (index, &byte) in bytes.iter().take(VARIABLE_BYTE_INTEGER_BYTES_MAX).enumerate() {
            value |= u32::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                return Self::Value { value, bytes: index + 1, is_minimal: byte != 0 || index == 0 };
            }
        }
        if bytes.len() < VARIABLE_BYTE_INTEGER_BYTES_MAX { Self::Incomplete } else { Self::TooLong }
    }

    /// How many bytes `value` takes.
    #[inline]
    pub(crate) const fn size(value: usize) -> usize {
        match value {
            0..=0x7F => 1,
            0x80..=0x3FFF => 2,
            0x4000..=0x1F_FFFF => 3,
            _ => 4,
        }
    }
}

/// Reads the fields of one packet in order: numbers, and where other fields stand. From [`Bytes`] it slices them too.
#[derive(Debug)]
pub(crate) struct Reader<'a, B = Bytes> {
    source: &'a B,
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// Whether `end` is that of the properties, not that of the packet.
    in_properties: bool,
}

impl<'a, B: Deref<Target = [u8]>> Reader<'a, B> {
    /// Reads `source` from `at` on.
    #[inline(always)]
    pub(crate) fn new(source: &'a B, at: usize) -> Self {
        let (bytes, end) = (&**source, source.len());
        Self { source, bytes, at: at.min(end), end, in_properties: false }
    }

    /// How many bytes are left.
    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        self.end - self.at
    }

    /// Where the next field begins.
    #[inline(always)]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// All bytes of the packet, in which positions count.
    #[inline(always)]
    pub(crate) fn all(&self) -> &'a [u8] {
        self.bytes
    }

    /// Confines reading to properties of so many bytes. [`Reader::leave_properties`] undoes it.
    #[inline(always)]
    pub(crate) fn enter_properties(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.left();
        if bytes > left {
            return Err(Fault::PropertyLength { bytes, left });
        }
        self.end = self.at + bytes;
        self.in_properties = true;
        Ok(())
    }

    /// Passes over a property length of 0, if there is one.
    #[inline(always)]
    pub(crate) fn skip_empty_properties(&mut self) -> bool {
        let is_empty = self.bytes.get(self.at) == Some(&0);
        self.at += usize::from(is_empty);
        is_empty
    }

    /// Reads to the end of the packet again.
    #[inline(always)]
    pub(crate) fn leave_properties(&mut self) {
        self.end = self.bytes.len();
        self.in_properties = false;
    }

    /// Passes over the next `count` bytes and says where they begin.
    #[inline(always)]
    fn skip(&mut self, count: usize) -> Result<usize, Fault> {
        if self.left() < count {
            return Err(short(self.in_properties));
        }
        let from = self.at;
        self.at += count;
        Ok(from)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let array = self.bytes.get(self.at..self.end).and_then(<[u8]>::first_chunk::<N>).copied();
        let Some(array) = array else { return Err(short(self.in_properties)) };
        self.at += N;
        Ok(array)
    }

    /// One byte.
    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two Byte Integer (1.5.2).
    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four Byte Integer (1.5.3).
    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// Variable Byte Integer (1.5.5).
    #[inline(always)]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, Fault> {
        match VariableByteInteger::read(&self.bytes[self.at..self.end]) {
            VariableByteInteger::Incomplete => Err(short(self.in_properties)),
            VariableByteInteger::TooLong => Err(Fault::VariableByteIntegerTooLong),
            VariableByteInteger::Value { is_minimal: false, .. } => Err(Fault::VariableByteIntegerNotMinimal),
            VariableByteInteger::Value { value, bytes, is_minimal: true } => {
                self.at += bytes;
                Ok(value)
            }
        }
    }

    /// Where the next field stands that begins with its length.
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<Range<usize>, Fault> {
        let length = usize::from(self.u16()?);
        let from = self.skip(length)?;
        Ok(from..from + length)
    }

    /// Where the next UTF-8 Encoded String (1.5.4) stands.
    #[inline(always)]
    pub(crate) fn string_field(&mut self) -> Result<Range<usize>, Fault> {
        let field = self.field()?;
        check_string(&self.bytes[field.clone()])?;
        Ok(field)
    }

    /// UTF-8 String Pair (1.5.7), checked and passed over.
    #[inline(always)]
    pub(crate) fn skip_string_pair(&mut self) -> Result<(), Fault> {
        self.string_field()?;
        self.string_field()?;
        Ok(())
    }

    /// Packet Identifier (2.2.1).
    #[inline(always)]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Fault> {
        PacketId::new(self.u16()?).ok_or(Fault::PacketIdZero)
    }

    /// Nothing may be left.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        match self.left() {
            0 => Ok(()),
            bytes => Err(Fault::TrailingBytes { bytes }),
        }
    }
}

impl<'a> Reader<'a, Bytes> {
    /// All bytes of the packet, to be sliced.
    pub(crate) fn bytes(&self) -> &'a Bytes {
        self.source
    }

    /// Binary Data (1.5.6).
    #[inline(always)]
    pub(crate) fn binary(&mut self) -> Result<Bytes, Fault> {
        self.field().map(|field| self.source.slice(field))
    }

    /// UTF-8 Encoded String (1.5.4) in which U+0000 is not yet ruled out: what a topic is parsed from.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<ByteString, Fault> {
        ByteString::try_from(self.binary()?).map_err(|_| Fault::NotUtf8)
    }

    /// UTF-8 Encoded String (1.5.4).
    #[inline]
    pub(crate) fn string(&mut self) -> Result<ByteString, Fault> {
        self.string_field().map(|field| checked_string(self.source.slice(field)))
    }
}

/// What a field means that runs past the end. It takes no reader, so that a reader can stay in registers.
#[cold]
fn short(in_properties: bool) -> Fault {
    if in_properties { Fault::PropertyOverrun } else { Fault::Truncated }
}

/// Whether bytes are a UTF-8 Encoded String (1.5.4).
#[inline(always)]
pub(crate) fn check_string(text: &[u8]) -> Result<(), Fault> {
    if is_plain(text) { Ok(()) } else { check_odd_string(text) }
}

#[cold]
fn check_odd_string(text: &[u8]) -> Result<(), Fault> {
    check_utf8(text)?;
    if text.contains(&0) { Err(Fault::Nul) } else { Ok(()) }
}

/// Whether bytes are well-formed UTF-8.
#[inline(always)]
pub(crate) fn check_utf8(text: &[u8]) -> Result<(), Fault> {
    if text.is_ascii() || std::str::from_utf8(text).is_ok() { Ok(()) } else { Err(Fault::NotUtf8) }
}

/// Bytes that were found to be a string, as a string.
///
/// The only way that does without `unsafe` looks at them once more: a few nanoseconds for ASCII.
#[inline(always)]
pub(crate) fn checked_string(text: Bytes) -> ByteString {
    ByteString::try_from(text).unwrap_or_default()
}

/// The same byte eight times.
pub(crate) const fn eight_times(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Whether `odd` sets the highest bit of no byte, looking at eight at a time. What it says about `a` must be nothing.
#[inline(always)]
pub(crate) fn has_nothing_odd(text: &[u8], odd: impl Fn(u64) -> u64) -> bool {
    let odd = |word: u64| odd(word) & eight_times(0x80);
    let Some(last) = text.last_chunk() else {
        let padded = text.iter().fold(eight_times(b'a'), |word, byte| (word << 8) | u64::from(*byte));
        return odd(padded) == 0;
    };
    // The last eight may overlap those before: nothing odd stays nothing odd.
    let (words, _) = text.as_chunks();
    words.iter().fold(odd(u64::from_ne_bytes(*last)), |found, word| found | odd(u64::from_ne_bytes(*word)))
        == 0
}

/// Whether all bytes are ASCII and none is 0: what most strings are.
#[inline(always)]
fn is_plain(text: &[u8]) -> bool {
    // Taking 1 off sets the highest bit of a 0; all but ASCII has it set before.
    has_nothing_odd(text, |word| word | word.wrapping_sub(eight_times(1)))
}

/// Where fields are written: into a buffer, or nowhere, to learn how long they are.
pub(crate) trait Sink {
    /// Bytes as they are.
    fn bytes(&mut self, bytes: &[u8]);

    /// One byte.
    #[inline]
    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    /// Two Byte Integer (1.5.2).
    #[inline]
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Four Byte Integer (1.5.3).
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Variable Byte Integer (1.5.5), in as few bytes as it needs.
    #[inline]
    fn variable_byte_integer(&mut self, value: usize) {
        let mut rest = value;
        loop {
            let low = (rest & 0x7F) as u8;
            rest >>= 7;
            if rest == 0 {
                return self.u8(low);
            }
            self.u8(low | 0x80);
        }
    }

    /// Binary Data or UTF-8 Encoded String (1.5.4, 1.5.6). [`Measure`] has found before that it is not too long.
    fn field(&mut self, bytes: &[u8]);
}

impl Sink for BytesMut {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }

    #[inline]
    fn field(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= usize::from(u16::MAX), "measured before it is written");
        self.put_u16(bytes.len() as u16);
        self.put_slice(bytes);
    }
}

/// Counts instead of writing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measure {
    /// How many bytes would be written.
    pub(crate) bytes: usize,
    /// The longest field among them.
    pub(crate) longest_field: usize,
}

impl Sink for Measure {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    #[inline]
    fn field(&mut self, bytes: &[u8]) {
        self.bytes += 2 + bytes.len();
        self.longest_field = self.longest_field.max(bytes.len());
    }
}

/// Stands for content that is never printed: only its length is.
pub(crate) struct Redacted<'a>(pub(crate) &'a [u8]);

impl std::fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_byte_integer_has_the_sizes_of_table_1_1() {
        for (value, bytes) in [
            (0_usize, 1_usize),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (2_097_151, 3),
            (2_097_152, 4),
            (VARIABLE_BYTE_INTEGER_MAX as usize, 4),
        ] {
            let mut buffer = BytesMut::new();
            buffer.variable_byte_integer(value);
            assert_eq!(buffer.len(), bytes, "{value}");
            assert_eq!(VariableByteInteger::size(value), bytes, "{value}");
            let read = VariableByteInteger::Value { value: value as u32, bytes, is_minimal: true };
            assert_eq!(VariableByteInteger::read(&buffer), read);
            for cut in 0..bytes {
                assert_eq!(VariableByteInteger::read(&buffer[..cut]), VariableByteInteger::Incomplete);
            }
        }
    }

    #[test]
    fn a_string_is_plain_wherever_its_bytes_stand() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), (1..0x80).contains(&byte), "{text:?}");
                }
            }
        }
        assert!(is_plain(b""));
    }

    #[test]
    fn a_variable_byte_integer_has_no_fifth_byte() {
        assert_eq!(VariableByteInteger::read(&[0x80; 4]), VariableByteInteger::TooLong);
        assert_eq!(VariableByteInteger::read(&[0xFF; 9]), VariableByteInteger::TooLong);
    }

    #[test]
    fn a_longer_form_of_a_small_value_is_known_as_such() {
        for bytes in [&[0x80, 0x00][..], &[0xFF, 0x00], &[0xFF, 0x80, 0x00]] {
            let VariableByteInteger::Value { is_minimal, .. } = VariableByteInteger::read(bytes) else {
                panic!("{bytes:?} is complete");
            };
            assert!(!is_minimal, "{bytes:?}");
        }
    }
}
