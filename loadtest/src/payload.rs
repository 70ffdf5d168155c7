//! What a device says: one reading as JSON.
//!
//! ```json
//! {"device":"EWR-017h","sequence":4,"station":"EWR","hour":"2013-01-01T06:00:00Z","quantity":"wind_speed","value":10.357019999999999,"unit":"mph"}
//! ```
//!
//! The value is the text of the file, on the way out and on the way back: neither side reads it as a floating point
//! number.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::device::DeviceName;
use crate::readings::{Quantity, Reading};

/// Counts what one device sends, from 0.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of one message.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Payload<'a> {
    /// Who sends it.
    pub device: &'a str,
    /// How many it has sent before.
    pub sequence: Sequence,
    /// Where it was measured.
    pub station: &'a str,
    /// When, in UTC.
    pub hour: &'a str,
    /// What was measured.
    pub quantity: Quantity,
    /// A number, in the digits of the file.
    #[serde(borrow)]
    pub value: &'a RawValue,
    /// The unit of the value.
    pub unit: &'a str,
}

impl<'a> Payload<'a> {
    /// What a device says about a reading.
    pub fn new(device: &'a DeviceName, sequence: Sequence, reading: &'a Reading) -> Self {
        Self {
            device: device.as_str(),
            sequence,
            station: &reading.station,
            hour: &reading.hour,
            quantity: reading.quantity,
            value: &reading.value,
            unit: reading.quantity.unit(),
        }
    }

    /// As bytes.
    pub fn to_json(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    /// From bytes.
    pub fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::device::Device;
    use crate::readings::Readings;

    #[test]
    fn the_value_travels_in_the_digits_of_the_file() {
        let readings = Readings::january_2013().unwrap();
        let (_, reading) = readings.find("EWR", "2013-01-01T06:00:00Z", Quantity::WindSpeed).unwrap();
        let device = Device::new(&Arc::from("EWR"), 17);
        let json = Payload::new(device.name(), Sequence(4), reading).to_json().unwrap();
        assert_eq!(
            str::from_utf8(&json).unwrap(),
            r#"{"device":"EWR-017h","sequence":4,"station":"EWR","hour":"2013-01-01T06:00:00Z","quantity":"wind_speed","value":10.357019999999999,"unit":"mph"}"#
        );
        assert_eq!(Payload::parse(&json).unwrap().value.get(), "10.357019999999999");
    }

    #[test]
    fn bytes_that_are_no_payload_are_refused() {
        for json in [&b""[..], b"{}", b"\xff", br#"{"device":"EWR"}"#, br#""EWR""#] {
            assert!(Payload::parse(json).is_err(), "{json:?} was taken");
        }
    }
}
