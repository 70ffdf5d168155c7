//! When each device hands over each message: evenly, and not all devices at once.
//!
//! Open loop: a message is due at its time whether or not the ones before it have been answered, so that a slow broker
//! shows as latency and not as less load.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::device::DeviceIndex;

/// The pace of one fleet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Schedule {
    /// How many devices take turns.
    pub devices: usize,
    /// How many messages all of them together send in a second.
    pub messages_per_second: NonZeroU32,
    /// How long they send.
    pub replay: Duration,
}

impl Schedule {
    /// When the messages of one device are due, since the start of the replay. Ends with the replay.
    pub fn due(&self, device: DeviceIndex) -> impl Iterator<Item = Duration> + use<> {
        let Self { devices, messages_per_second, replay } = *self;
        let due = move |turn: usize| {
            let micros = turn as u128 * 1_000_000 / u128::from(messages_per_second.get());
            Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
        };
        (device.0..).step_by(devices.max(1)).map(due).take_while(move |due| *due < replay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(devices: usize, messages_per_second: u32, secs: u64) -> Schedule {
        let messages_per_second = NonZeroU32::new(messages_per_second).unwrap();
        Schedule { devices, messages_per_second, replay: Duration::from_secs(secs) }
    }

    fn millis(schedule: &Schedule, device: usize) -> Vec<u128> {
        schedule.due(DeviceIndex(device)).map(|due| due.as_millis()).collect()
    }

    #[test]
    fn devices_take_turns() {
        let schedule = schedule(4, 8, 2);
        assert_eq!(millis(&schedule, 0), [0, 500, 1_000, 1_500]);
        assert_eq!(millis(&schedule, 1), [125, 625, 1_125, 1_625]);
        assert_eq!(millis(&schedule, 3), [375, 875, 1_375, 1_875]);
    }

    #[test]
    fn a_fleet_sends_its_rate_times_the_length_of_the_replay() {
        for (devices, rate, secs) in [(1, 1, 1), (3, 10, 5), (300, 7, 11), (7, 1_000, 2)] {
            let schedule = schedule(devices, rate, secs);
            let messages: usize = (0..devices).map(|device| schedule.due(DeviceIndex(device)).count()).sum();
            assert_eq!(messages as u64, u64::from(rate) * secs, "{schedule:?}");
        }
    }

    #[test]
    fn rounding_does_not_add_up() {
        let schedule = schedule(1, 3, 3_600);
        assert_eq!(schedule.due(DeviceIndex(0)).last(), Some(Duration::from_micros(3_599_666_666)));
    }
}
