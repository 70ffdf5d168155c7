//! Simulated devices: which there are, and which reading each of them publishes next.
//!
//! A station's own device replays the month from its first hour. A shifted device is the same station some hours
//! behind: `EWR-017h` publishes what `EWR` published 17 hours of the replay before. The month is a ring, so that a
//! shifted device begins in its last hours. (`EWR+017h` would not do: a topic name holds no `+` [MQTT-4.7.1-1].)

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::readings::{Quantity, ReadingId, Readings};

/// The first level of all topics of a fleet.
pub const TOPIC_ROOT: &str = "weather";

/// The filter that matches what a whole fleet publishes.
pub const FLEET_FILTER: &str = "weather/#";

/// One simulated device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    name: DeviceName,
    station: Arc<str>,
    lag_hours: u16,
}

/// Names a device: its client identifier, the common name of its certificate, and a level of its topics.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceName(Arc<str>);

/// The place of a device in its fleet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DeviceIndex(pub usize);

impl DeviceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the device publishes one quantity: `weather/{device}/{quantity}`.
    pub fn topic(&self, quantity: Quantity) -> String {
        format!("{TOPIC_ROOT}/{self}/{}", quantity.as_str())
    }
}

/// So that a payload's text finds the device in a map.
impl Borrow<str> for DeviceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Device {
    /// The device of a station that lags `lag_hours` behind; 0 is the station's own.
    pub fn new(station: &Arc<str>, lag_hours: u16) -> Self {
        let name = match lag_hours {
            0 => station.clone(),
            lag => format!("{station}-{lag:03}h").into(),
        };
        Self { name: DeviceName(name), station: station.clone(), lag_hours }
    }

    /// A fleet of `count`: first a device per station, then all of them an hour behind, then two hours, and so on.
    /// Ends early with [`largest_fleet`], when each station lags by every hour of the month.
    pub fn fleet(readings: &Readings, count: usize) -> Vec<Self> {
        (0..readings.hours())
            .flat_map(|lag| readings.stations().map(move |station| Self::new(station, lag)))
            .take(count)
            .collect()
    }

    /// What it is called.
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// All that it publishes, one reading after the other, without end.
    pub fn replay(&self, readings: Arc<Readings>) -> Replay {
        let first_hour = (readings.hours() - self.lag_hours.min(readings.hours())) % readings.hours().max(1);
        Replay { readings, station: self.station.clone(), next_hour: first_hour, of_hour: Vec::new() }
    }
}

/// How many different devices the readings can feed.
pub fn largest_fleet(readings: &Readings) -> usize {
    readings.stations().len() * usize::from(readings.hours())
}

/// The readings of one device, in the order in which it publishes them. Hours in which the station was silent are
/// passed over.
#[derive(Debug)]
pub struct Replay {
    readings: Arc<Readings>,
    station: Arc<str>,
    next_hour: u16,
    /// What is left of the hour, last first.
    of_hour: Vec<ReadingId>,
}

impl Iterator for Replay {
    type Item = ReadingId;

    fn next(&mut self) -> Option<ReadingId> {
        for _ in 0..self.readings.hours() {
            if let Some(id) = self.of_hour.pop() {
                return Some(id);
            }
            self.of_hour.extend(self.readings.in_hour(&self.station, self.next_hour));
            self.of_hour.reverse();
            self.next_hour = (self.next_hour + 1) % self.readings.hours();
        }
        self.of_hour.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn january() -> Arc<Readings> {
        Arc::new(Readings::january_2013().unwrap())
    }

    fn names(count: usize) -> Vec<String> {
        Device::fleet(&january(), count).iter().map(|device| device.name().to_string()).collect()
    }

    #[test]
    fn a_fleet_begins_with_the_stations_and_goes_on_with_the_same_some_hours_behind() {
        assert_eq!(
            names(8),
            ["EWR", "JFK", "LGA", "EWR-001h", "JFK-001h", "LGA-001h", "EWR-002h", "JFK-002h"]
        );
    }

    #[test]
    fn the_largest_fleet_has_no_name_twice() {
        let largest = largest_fleet(&january());
        assert_eq!(largest, 3 * 744);
        assert_eq!(names(usize::MAX).len(), largest);
        assert_eq!(names(largest).into_iter().collect::<BTreeSet<_>>().len(), largest);
    }

    #[test]
    fn a_topic_has_the_device_and_the_quantity_as_its_levels() {
        let device = Device::new(&Arc::from("EWR"), 17);
        assert_eq!(device.name().topic(Quantity::WindDir), "weather/EWR-017h/wind_dir");
    }

    #[test]
    fn a_station_replays_its_month_from_the_first_hour_and_begins_anew() {
        let readings = january();
        let device = Device::new(&Arc::from("JFK"), 0);
        let of_month: Vec<ReadingId> = (0..744).flat_map(|hour| readings.in_hour("JFK", hour)).collect();
        assert!(of_month.len() > 742 * 7);
        let replay: Vec<_> = device.replay(readings.clone()).take(2 * of_month.len()).collect();
        assert_eq!(replay, [of_month.clone(), of_month].concat());
    }

    #[test]
    fn a_shifted_device_publishes_what_its_station_published_so_many_hours_before() {
        let readings = january();
        let station = Arc::from("LGA");
        let lag = 17;
        let mut behind = Device::new(&station, lag).replay(readings.clone());
        let before: Vec<ReadingId> =
            (744 - lag..744).flat_map(|hour| readings.in_hour("LGA", hour)).collect();
        assert_eq!(
            behind.by_ref().take(before.len()).collect::<Vec<_>>(),
            before,
            "it begins in the last hours"
        );
        let own = Device::new(&station, 0).replay(readings);
        assert!(
            behind.zip(own).take(10_000).all(|(behind, own)| behind == own),
            "and then follows its station"
        );
    }
}
