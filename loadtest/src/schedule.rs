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
    /// How many devices share the time between two messages.
    pub devices: usize,
    /// How many messages each device sends in a second.
    pub messages_per_second: NonZeroU32,
    /// How long they send.
    pub replay: Duration,
}

impl Schedule {
    /// When the messages of one device are due, since the start of the replay. Ends with the replay.
    pub fn due(&self, device: DeviceIndex) -> impl Iterator<Item = Duration> + use<> {
        let Self { devices, messages_per_second, replay } = *self;
        let interval = Duration::from_secs(1) / messages_per_second.get();
        let offset = interval.mul_f64(device.0 as f64 / devices.max(1) as f64);
        let due = move |number: u64| {
            let micros = u128::from(number) * 1_000_000 / u128::from(messages_per_second.get());
            offset + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
        };
        (0..).map(due).take_while(move |due| *due < replay)
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
    fn devices_take_turns_within_one_interval() {
        let schedule = schedule(4, 2, 2);
        assert_eq!(millis(&schedule, 0), [0, 500, 1_000, 1_500]);
        assert_eq!(millis(&schedule, 1), [125, 625, 1_125, 1_625]);
        assert_eq!(millis(&schedule, 3), [375, 875, 1_375, 1_875]);
    }

    #[test]
    fn each_device_sends_its_rate_times_the_length_of_the_replay() {
        for (devices, rate, secs) in [(1, 1, 1), (3, 10, 5), (300, 7, 11), (7, 1_000, 2)] {
            let schedule = schedule(devices, rate, secs);
            for device in 0..devices {
                assert_eq!(schedule.due(DeviceIndex(device)).count() as u64, u64::from(rate) * secs);
            }
        }
    }

    #[test]
    fn rounding_does_not_add_up() {
        let schedule = schedule(1, 3, 3_600);
        assert_eq!(schedule.due(DeviceIndex(0)).last(), Some(Duration::from_micros(3_599_666_666)));
    }
}
