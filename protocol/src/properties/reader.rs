//! Reads properties: which ones there are, in which order, and how often is decided here, by the table.

use std::ops::{Deref, Range};

use bytes::Bytes;
use bytestring::ByteString;

use super::user::{UserFields, UserProperties};
use super::{Carrier, id, value_fault};
use crate::data::{Reader, check_utf8};
use crate::error::Fault;
use crate::{ClientId, Topic};

/// Reads the properties of one carrier: hands out identifiers, leaves the values to the caller, collects User
/// Properties itself.
#[derive(Debug)]
pub(crate) struct PropertyReader<'a, 'b, B = Bytes> {
    reader: &'a mut Reader<'b, B>,
    carrier: Carrier,
    /// One bit for each identifier that may still come.
    awaited: u64,
    user: UserFields,
}

impl<'a, 'b, B: Deref<Target = [u8]>> PropertyReader<'a, 'b, B> {
    /// Reads the property length and stays within it until [`PropertyReader::finish`].
    #[inline(always)]
    pub(crate) fn new(reader: &'a mut Reader<'b, B>, carrier: Carrier) -> Result<Self, Fault> {
        let bytes = reader.variable_byte_integer()? as usize;
        reader.enter_properties(bytes)?;
        Ok(Self { reader, carrier, awaited: carrier.properties(), user: UserFields::default() })
    }

    /// The identifier of the next property, whose value the caller must read. `None`: that was the last.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<u8>, Fault> {
        while self.reader.left() > 0 {
            let from = self.reader.position();
            let number = self.reader.variable_byte_integer()?;
            let bit = if number < u64::BITS { 1_u64 << number } else { 0 };
            if self.awaited & bit == 0 {
                return Err(self.carrier.refuse(number));
            }
            let id = number as u8; // below 64
            if id == id::USER_PROPERTY {
                self.collect(from)?;
                continue;
            }
            if !self.carrier.may_repeat(id) {
                self.awaited &= !bit;
            }
            return Ok(Some(id));
        }
        Ok(None)
    }

    /// Reads past the properties, and says where the User Properties among them stand.
    #[inline(always)]
    pub(crate) fn finish_fields(self) -> UserFields {
        self.reader.leave_properties();
        self.user
    }

    /// Reads a User Property whose identifier stood at `from`.
    #[inline(always)]
    fn collect(&mut self, from: usize) -> Result<(), Fault> {
        self.reader.skip_string_pair()?;
        self.user.add(from..self.reader.position(), self.reader.all());
        Ok(())
    }

    /// Where Binary Data stands.
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<Range<usize>, Fault> {
        self.reader.field()
    }

    /// Where a UTF-8 Encoded String stands.
    #[inline(always)]
    pub(crate) fn string_field(&mut self) -> Result<Range<usize>, Fault> {
        self.reader.string_field()
    }

    /// Where a Response Topic stands.
    #[inline(always)]
    pub(crate) fn response_topic_field(&mut self) -> Result<Range<usize>, Fault> {
        let field = self.reader.field()?;
        let text = &self.reader.all()[field.clone()];
        check_utf8(text)?;
        Topic::check(text).map_err(Fault::ResponseTopic)?;
        Ok(field)
    }

    /// Byte.
    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.reader.u8()
    }

    /// Two Byte Integer.
    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.reader.u16()
    }

    /// Two Byte Integer that may not be 0.
    pub(crate) fn positive_u16(&mut self, id: u8) -> Result<u16, Fault> {
        match self.reader.u16()? {
            0 => Err(value_fault(id, 0)),
            value => Ok(value),
        }
    }

    /// Four Byte Integer.
    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.reader.u32()
    }

    /// Four Byte Integer that may not be 0.
    pub(crate) fn positive_u32(&mut self, id: u8) -> Result<u32, Fault> {
        match self.reader.u32()? {
            0 => Err(value_fault(id, 0)),
            value => Ok(value),
        }
    }

    /// Variable Byte Integer.
    #[inline(always)]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, Fault> {
        self.reader.variable_byte_integer()
    }

    /// Byte that is 0 or 1.
    pub(crate) fn bool(&mut self, id: u8) -> Result<bool, Fault> {
        match self.reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(value_fault(id, value.into())),
        }
    }
}

impl PropertyReader<'_, '_, Bytes> {
    /// Binary Data.
    #[inline(always)]
    pub(crate) fn binary(&mut self) -> Result<Bytes, Fault> {
        self.reader.binary()
    }

    /// UTF-8 Encoded String.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<ByteString, Fault> {
        self.reader.string()
    }

    /// UTF-8 Encoded String that is a client identifier.
    pub(crate) fn client_id(&mut self, id: u8) -> Result<ClientId, Fault> {
        ClientId::parse(self.reader.string()?).ok_or(value_fault(id, 0))
    }

    /// Reads past the properties, and returns the User Properties among them.
    pub(crate) fn finish(self) -> UserProperties {
        let bytes = self.reader.bytes();
        self.finish_fields().slice(bytes)
    }
}
