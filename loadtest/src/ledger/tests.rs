//! Fates of messages, one by one.

use super::*;
use crate::readings::JANUARY_2013;

/// A ledger of two devices, `EWR` and `JFK`, and the readings that they replay.
struct Scene {
    ledger: Ledger,
    replayed: Arc<Readings>,
    devices: Vec<Device>,
    of_first_device: Vec<ReadingId>,
}

const FIRST: DeviceIndex = DeviceIndex(0);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Scene {
    fn new() -> Self {
        Self::with_truth(JANUARY_2013)
    }

    fn with_truth(truth: &str) -> Self {
        let replayed = Arc::new(Readings::january_2013().unwrap());
        let devices = Device::fleet(&replayed, 2);
        let truth = Arc::new(Readings::parse(truth).unwrap());
        let of_first_device = devices[0].replay(replayed.clone()).take(100).collect();
        Self { ledger: Ledger::new(truth, &devices), replayed, devices, of_first_device }
    }

    fn send(&mut self, count: usize) -> Vec<Sequence> {
        let start = self.ledger.accounts[0].next_sequence().0 as usize;
        let readings: Vec<_> = self.of_first_device[start..start + count].to_vec();
        readings.into_iter().map(|reading| self.ledger.sent(FIRST, reading, millis(0))).collect()
    }

    /// What the first device sends as its message `number`.
    fn message(&self, number: u64) -> (String, Vec<u8>) {
        self.message_with(number, self.of_first_device[number as usize])
    }

    fn message_with(&self, number: u64, reading: ReadingId) -> (String, Vec<u8>) {
        let reading = self.replayed.reading(reading).unwrap();
        let name = self.devices[0].name();
        let json = Payload::new(name, Sequence(number), reading).to_json().unwrap();
        (name.topic(reading.quantity), json.to_vec())
    }

    fn receive(&mut self, number: u64, at: Duration) {
        let (topic, json) = self.message(number);
        self.ledger.received(&topic, &json, at);
    }

    /// Acknowledges and receives these, in this order.
    fn settle(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.ledger.acknowledged(FIRST, Sequence(number));
            self.receive(number, millis(1));
        }
    }

    fn close(self) -> (Tally, Vec<String>) {
        let balance = self.ledger.balance();
        let faults = balance.faults.kept().iter().map(Fault::to_string).collect();
        (balance.tally, faults)
    }
}

#[test]
fn a_message_that_is_acknowledged_and_received_is_settled_and_forgotten() {
    let mut scene = Scene::new();
    assert_eq!(scene.send(3), [Sequence(0), Sequence(1), Sequence(2)]);
    scene.settle(0..3);
    assert_eq!(scene.ledger.open(), 0);
    assert!(scene.ledger.accounts[0].open.is_empty());
    let (tally, faults) = scene.close();
    assert_eq!(tally, Tally { sent: 3, acknowledged: 3, received: 3, ..Tally::default() });
    assert_eq!(faults, [""; 0]);
}

#[test]
fn a_message_may_come_in_before_it_is_acknowledged() {
    let mut scene = Scene::new();
    scene.send(2);
    scene.receive(0, millis(1));
    scene.receive(1, millis(1));
    assert_eq!(scene.ledger.open(), 2);
    scene.ledger.acknowledged(FIRST, Sequence(1));
    scene.ledger.acknowledged(FIRST, Sequence(0));
    assert_eq!(scene.ledger.open(), 0);
    assert_eq!(scene.close().1, [""; 0]);
}

#[test]
fn a_message_that_never_comes_in_is_lost_and_named() {
    let mut scene = Scene::new();
    scene.send(4);
    scene.settle([0, 2]);
    scene.ledger.acknowledged(FIRST, Sequence(1));
    let (tally, faults) = scene.close();
    let expected =
        Tally { sent: 4, acknowledged: 3, received: 2, lost: 2, unacknowledged: 1, ..Tally::default() };
    assert_eq!(tally, expected);
    assert_eq!(
        faults,
        [
            "lost: EWR message 1 (dewp of EWR at 2013-01-01T06:00:00Z), sent 0.000 s into the run, acknowledged, never received",
            "lost: EWR message 3 (wind_dir of EWR at 2013-01-01T06:00:00Z), sent 0.000 s into the run, not acknowledged, never received",
        ]
    );
}

#[test]
fn a_message_that_comes_in_and_is_never_acknowledged_is_a_fault() {
    let mut scene = Scene::new();
    scene.send(1);
    scene.receive(0, millis(1));
    let (tally, faults) = scene.close();
    assert_eq!((tally.lost, tally.unacknowledged), (0, 1));
    assert_eq!(faults, ["unacknowledged: EWR message 0 (temp of EWR at 2013-01-01T06:00:00Z)"]);
}

#[test]
fn a_message_that_comes_twice_is_counted_and_no_fault() {
    let mut scene = Scene::new();
    scene.send(3);
    scene.receive(1, millis(1));
    scene.receive(1, millis(2));
    scene.settle([0, 1, 2]);
    scene.receive(0, millis(9));
    let (tally, faults) = scene.close();
    let expected = Tally { sent: 3, acknowledged: 3, received: 3, duplicated: 3, ..Tally::default() };
    assert_eq!(tally, expected, "once while it was open, once by settling, once when it was forgotten");
    assert_eq!(faults, [""; 0]);
}

#[test]
fn a_message_that_is_acknowledged_twice_counts_once() {
    let mut scene = Scene::new();
    scene.send(1);
    scene.ledger.acknowledged(FIRST, Sequence(0));
    scene.ledger.acknowledged(FIRST, Sequence(0));
    assert_eq!(scene.ledger.tally().acknowledged, 1);
}

#[test]
fn order_is_judged_within_one_topic() {
    let mut scene = Scene::new();
    // The first hour of EWR has eight readings, so that 0, 8 and 16 are its temperatures, and 1 its first dew point.
    scene.send(17);
    scene.settle([0, 8, 1]);
    assert_eq!(scene.ledger.tally().reordered, 0, "dew point after a later temperature is in order");
    scene.settle([16, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(scene.close().1, [""; 0]);

    let mut scene = Scene::new();
    scene.send(17);
    scene.settle((1..17).chain([0]));
    let (tally, faults) = scene.close();
    assert_eq!((tally.received, tally.lost, tally.reordered), (17, 0, 1));
    assert_eq!(
        faults,
        [
            "reordered: EWR message 0 (temp of EWR at 2013-01-01T06:00:00Z) came in after message 16 of the same topic"
        ]
    );
}

#[test]
fn a_duplicate_that_comes_late_is_not_out_of_order() {
    let mut scene = Scene::new();
    scene.send(17);
    scene.settle(0..17);
    scene.receive(0, millis(9));
    let (tally, _) = scene.close();
    assert_eq!((tally.duplicated, tally.reordered), (1, 0));
}

#[test]
fn a_value_that_differs_from_the_file_is_wrong() {
    let mut scene =
        Scene::with_truth(&JANUARY_2013.replacen("EWR,2013,1,1,1,39.02", "EWR,2013,1,1,1,39.0200", 1));
    scene.send(2);
    scene.settle(0..2);
    let (tally, faults) = scene.close();
    assert_eq!((tally.received, tally.wrong), (2, 1), "it came in all the same");
    assert_eq!(
        faults,
        [
            "wrong value: EWR message 0 (temp of EWR at 2013-01-01T06:00:00Z): it says 39.02, the file says 39.0200"
        ]
    );
}

#[test]
fn a_reading_that_the_file_does_not_have_is_wrong() {
    let first_temperature = JANUARY_2013.replacen("EWR,2013,1,1,1,39.02", "EWR,2013,1,1,1,NA", 1);
    let mut scene = Scene::with_truth(&first_temperature);
    scene.send(1);
    scene.settle([0]);
    let (tally, faults) = scene.close();
    assert_eq!(tally.wrong, 1);
    assert!(faults[0].ends_with("the file has no such reading"), "{faults:?}");
}

#[test]
fn a_true_reading_under_the_number_of_another_is_wrong() {
    let mut scene = Scene::new();
    scene.send(9);
    let (topic, json) = scene.message_with(0, scene.of_first_device[8]);
    scene.ledger.received(&topic, &json, millis(1));
    let (tally, faults) = scene.close();
    assert_eq!(tally.wrong, 1);
    assert!(
        faults[0].ends_with("sent under this number was temp of EWR at 2013-01-01T06:00:00Z"),
        "{faults:?}"
    );
}

#[test]
fn a_message_on_the_topic_of_another_is_wrong_and_does_not_count_as_received() {
    let mut scene = Scene::new();
    scene.send(1);
    let (_, json) = scene.message(0);
    scene.ledger.received("weather/JFK/temp", &json, millis(1));
    let (tally, faults) = scene.close();
    assert_eq!((tally.wrong, tally.received, tally.lost), (1, 0, 1));
    assert!(faults[0].ends_with("came in on weather/JFK/temp"), "{faults:?}");
}

#[test]
fn what_nobody_sent_is_unexpected() {
    let mut scene = Scene::new();
    let (topic, json) = scene.message(0);
    scene.ledger.received(&topic, &json, millis(1));
    scene.ledger.received("weather/EWR/temp", b"hello", millis(1));
    let stranger = str::from_utf8(&json).unwrap().replacen("EWR", "SFO", 1);
    scene.ledger.received("weather/SFO/temp", stranger.as_bytes(), millis(1));
    let (tally, faults) = scene.close();
    assert_eq!(tally, Tally { unexpected: 3, ..Tally::default() });
    assert_eq!(faults[0], "unexpected message on weather/EWR/temp: EWR has not sent its message 0 yet");
    assert!(faults[1].starts_with("unexpected message on weather/EWR/temp: its payload is no reading"));
    assert_eq!(faults[2], "unexpected message on weather/SFO/temp: there is no device \"SFO\"");
}

#[test]
fn a_message_that_the_broker_refuses_is_neither_awaited_nor_lost() {
    let mut scene = Scene::new();
    scene.send(2);
    scene.ledger.refused(FIRST, Sequence(0), "quota exceeded".to_owned());
    scene.settle([1]);
    assert_eq!(scene.ledger.open(), 0);
    let (tally, faults) = scene.close();
    let expected = Tally { sent: 2, acknowledged: 1, received: 1, refused: 1, ..Tally::default() };
    assert_eq!(tally, expected);
    assert_eq!(faults, ["refused: EWR message 0 (temp of EWR at 2013-01-01T06:00:00Z): quota exceeded"]);
}

#[test]
fn latency_runs_from_sent_to_first_received() {
    let mut scene = Scene::new();
    let reading = scene.of_first_device[0];
    scene.ledger.sent(FIRST, reading, millis(100));
    scene.receive(0, millis(107));
    scene.receive(0, millis(900));
    let latency = scene.ledger.balance().latency.unwrap();
    assert!(latency.max.0.abs_diff(7_000) < 10, "{latency:?}");
}
