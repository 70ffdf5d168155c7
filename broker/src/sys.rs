//! `$SYS`: what the broker tells about itself, under the names that mosquitto has made common.
//!
//! Each value is a retained message of QoS 0: the next one replaces it. A value that has not changed is not sent again.
//! Who may read them is a matter of the access rules, which keep topics that begin with `$` to those whom a rule names.
//!
//! Not here: how totals are counted (the core) and what else is (`telemetry`).

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_core::Totals;
use rivulet_protocol::{Message, MessageProperties, QoS, Topic};
use tokio::time::{Interval, MissedTickBehavior};

use crate::telemetry::Counters;

const ROOT: &str = "$SYS/broker/";

/// What is told, and when.
#[derive(Debug)]
pub(crate) struct SysTopics {
    /// `None`: nothing is told.
    interval: Option<Interval>,
    /// What each topic has, by its name below [`ROOT`].
    told: BTreeMap<&'static str, String>,
    connected_max: usize,
}

impl SysTopics {
    /// Told from the start on, each time that so much has passed. Needs the runtime that will wait for it.
    pub(crate) fn every(period: Option<Duration>) -> Self {
        let interval = period.map(|period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { interval, told: BTreeMap::new(), connected_max: 0 }
    }

    /// Waits until it is time to tell again. A call that is given up loses nothing.
    pub(crate) async fn due(&mut self) {
        match &mut self.interval {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }

    /// What is to be published: all values that are not what was told last.
    pub(crate) fn changed(&mut self, uptime: Duration, totals: &Totals, counters: &Counters) -> Vec<Message> {
        self.connected_max = self.connected_max.max(totals.connected);
        let mut messages = Vec::new();
        for (name, value) in values(uptime, totals, self.connected_max, counters) {
            if self.told.get(name) != Some(&value) {
                messages.push(message(name, &value));
                self.told.insert(name, value);
            }
        }
        messages
    }
}

fn values(
    uptime: Duration,
    totals: &Totals,
    connected_max: usize,
    counters: &Counters,
) -> [(&'static str, String); 22] {
    let total = |number: usize| number.to_string();
    let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed).to_string();
    let stored = total(totals.queued_messages + totals.retained_messages);
    [
        ("version", concat!("rivulet version ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("uptime", format!("{} seconds", uptime.as_secs())),
        ("clients/total", total(totals.sessions)),
        ("clients/connected", total(totals.connected)),
        ("clients/disconnected", total(totals.sessions - totals.connected)),
        ("clients/maximum", total(connected_max)),
        ("clients/expired", counted(&counters.sessions_expired)),
        ("messages/received", counted(&counters.packets_received)),
        ("messages/sent", counted(&counters.packets_sent)),
        ("messages/stored", stored.clone()),
        ("publish/messages/received", counted(&counters.publishes_received)),
        ("publish/messages/sent", counted(&counters.publishes_sent)),
        ("publish/messages/dropped", counted(&counters.dropped)),
        ("publish/bytes/received", counted(&counters.publish_bytes_received)),
        ("publish/bytes/sent", counted(&counters.publish_bytes_sent)),
        ("bytes/received", counted(&counters.bytes_received)),
        ("bytes/sent", counted(&counters.bytes_sent)),
        ("subscriptions/count", total(totals.subscriptions)),
        ("retained messages/count", total(totals.retained_messages)),
        ("retained messages/bytes", totals.retained_bytes.to_string()),
        ("store/messages/count", stored),
        ("store/messages/bytes", (totals.queued_bytes + totals.retained_bytes).to_string()),
    ]
}

fn message(name: &str, value: &str) -> Message {
    Message {
        topic: Topic::parse(format!("{ROOT}{name}")).expect("the names above are topic names"),
        qos: QoS::AtMostOnce,
        retain: true,
        payload: value.to_owned().into(),
        properties: MessageProperties::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(messages: &[Message]) -> BTreeMap<String, String> {
        let text = |message: &Message| String::from_utf8(message.payload.to_vec()).unwrap();
        messages.iter().map(|message| (message.topic.to_string(), text(message))).collect()
    }

    #[test]
    fn all_is_told_once_and_then_what_has_changed() {
        let counters = Counters::default();
        let mut sys = SysTopics::every(None);
        let mut totals = Totals { sessions: 3, connected: 2, ..Totals::default() };
        let first = told(&sys.changed(Duration::ZERO, &totals, &counters));
        assert_eq!(first.len(), 22);
        assert_eq!(first["$SYS/broker/clients/disconnected"], "1");
        assert_eq!(first["$SYS/broker/uptime"], "0 seconds");
        totals.connected = 1;
        counters.bytes_sent.store(7, Ordering::Relaxed);
        let second = told(&sys.changed(Duration::from_millis(10_900), &totals, &counters));
        let expected = [
            ("$SYS/broker/bytes/sent", "7"),
            ("$SYS/broker/clients/connected", "1"),
            ("$SYS/broker/clients/disconnected", "2"),
            ("$SYS/broker/uptime", "10 seconds"),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(second, expected);
    }

    #[test]
    fn what_is_kept_is_what_waits_and_what_is_retained() {
        let totals = Totals {
            queued_messages: 2,
            queued_bytes: 20,
            retained_messages: 3,
            retained_bytes: 30,
            ..Totals::default()
        };
        let told = told(&SysTopics::every(None).changed(Duration::ZERO, &totals, &Counters::default()));
        assert_eq!(told["$SYS/broker/store/messages/count"], "5");
        assert_eq!(told["$SYS/broker/store/messages/bytes"], "50");
        assert_eq!(told["$SYS/broker/retained messages/count"], "3");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_due_at_once_then_at_each_interval_and_never_without_one() {
        let mut sys = SysTopics::every(Some(Duration::from_secs(10)));
        let start = tokio::time::Instant::now();
        for seconds in [0, 10, 20] {
            sys.due().await;
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
        let mut off = SysTopics::every(None);
        assert!(tokio::time::timeout(Duration::from_secs(3_600), off.due()).await.is_err());
    }
}
