//! The demo as `rivulet demo` runs it: a broker, a fleet over QUIC, and a check that can fail.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rivulet_broker::demo::Demo;
use rivulet_loadtest::device::Device;
use rivulet_loadtest::progress::Progress;
use rivulet_loadtest::readings::{JANUARY_2013, Quantity, Readings};

const DEVICES: usize = 20;
const RATE: u64 = 200;
const SECONDS: u64 = 2;

fn demo() -> Demo {
    let rate = NonZeroU32::new(RATE as u32).expect("the rate is not zero");
    Demo::new(DEVICES, rate, Duration::from_secs(SECONDS)).expect("settings within the bounds")
}

#[tokio::test]
async fn every_reading_of_every_device_arrives_once_in_order_and_unchanged() {
    let mut told = Vec::new();
    let report = demo().run(|progress| told.push(*progress)).await.unwrap();
    assert!(report.passed(), "{report}");

    let sent = RATE * SECONDS;
    let messages = report.messages;
    assert_eq!((messages.sent, messages.acknowledged, messages.received), (sent, sent, sent));
    assert_eq!((messages.lost, messages.wrong, messages.reordered, messages.unexpected), (0, 0, 0, 0));
    assert_eq!((report.handshakes.count, report.handshakes.failed), (DEVICES as u64 + 1, 0));
    assert!(report.latency.is_some());
    assert!(told.iter().any(|progress| matches!(progress, Progress::Replaying { .. })), "{told:?}");
}

#[tokio::test]
async fn a_reading_that_differs_from_the_file_fails_the_demo_and_is_named() {
    // JFK says 39.02 in its first message, as do devices an hour or two behind in a later one. The file that decides says
    // something else.
    let truth = JANUARY_2013.replacen("JFK,2013,1,1,1,39.02,", "JFK,2013,1,1,1,39.03,", 1);
    let demo = Demo { truth: Arc::new(Readings::parse(&truth).unwrap()), ..demo() };
    let (changed, _) = demo.truth.find("JFK", "2013-01-01T06:00:00Z", Quantity::Temp).unwrap();
    let messages = Device::fleet(&demo.readings, DEVICES)
        .into_iter()
        .flat_map(|device| device.replay(demo.readings.clone()).take((RATE * SECONDS) as usize / DEVICES));
    let wrong = messages.filter(|reading| *reading == changed).count() as u64;
    assert!(wrong > 0);

    let report = demo.run(|_| {}).await.unwrap();
    assert!(!report.passed(), "{report}");
    assert_eq!((report.messages.wrong, report.messages.lost), (wrong, 0), "{report}");
    let text = report.to_string();
    let fault = "wrong value: JFK message 0 (temp of JFK at 2013-01-01T06:00:00Z): it says 39.02, the file says 39.03";
    assert!(text.contains(fault), "{text}");
}
