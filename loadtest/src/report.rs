//! What a run comes to: figures, faults, and a verdict. As a table for people, as JSON for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::fault::{FAULTS_KEPT_MAX, Faults};
use crate::ledger::Tally;
use crate::percentiles::Percentiles;

/// The whole of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many devices there were.
    pub devices: usize,
    /// How long they sent.
    pub replay: Duration,
    /// How connecting went, the subscriber's included.
    pub handshakes: Handshakes,
    /// How often a lost connection was made again. No fault by itself: sessions outlive connections.
    pub reconnects: u64,
    /// What became of the messages.
    pub messages: Tally,
    /// From a message's hand-over to the device's connection until the subscriber had it.
    pub latency: Option<Percentiles>,
    /// How much later than planned messages were handed over: large if this machine is too slow for the fleet.
    pub behind_schedule: Option<Percentiles>,
    /// What went wrong.
    pub faults: Faults,
}

/// How connecting went: the QUIC handshake with both certificates, CONNECT and CONNACK.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Handshakes {
    /// How many were begun.
    pub count: u64,
    /// How many of them did not end with an accepted session.
    pub failed: u64,
    /// How long those took that did. In JSON: microseconds.
    pub time: Option<Percentiles>,
}

impl Report {
    /// Whether nothing was wrong. Nothing sent is wrong too: such a run has shown nothing.
    pub fn passed(&self) -> bool {
        self.faults.count() == 0 && self.messages.sent > 0
    }

    /// Messages sent in a second.
    pub fn sent_per_second(&self) -> f64 {
        let seconds = self.replay.as_secs_f64();
        if seconds > 0.0 { self.messages.sent as f64 / seconds } else { 0.0 }
    }
}

/// Figures, verdict and faults, without a title.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, handshakes, messages, .. } = self;
        let per_second = format!("{} per second", grouped(self.sent_per_second().round() as u64));
        figure(f, "devices", *devices as u64, "each with its own certificate and QUIC connection")?;
        figure(f, "handshakes", handshakes.count, &format!("{} failed", grouped(handshakes.failed)))?;
        figure(f, "messages sent", messages.sent, &per_second)?;
        figure(f, "acknowledged", messages.acknowledged, "")?;
        figure(f, "received", messages.received, "")?;
        figure(f, "lost", messages.lost, "")?;
        figure(f, "wrong values", messages.wrong, "")?;
        figure(f, "reordered", messages.reordered, "")?;
        figure(f, "duplicated", messages.duplicated, "")?;
        for (name, count) in [
            ("reconnects", self.reconnects),
            ("unacknowledged", messages.unacknowledged),
            ("refused", messages.refused),
            ("unexpected", messages.unexpected),
        ] {
            if count > 0 {
                figure(f, name, count, "")?;
            }
        }
        writeln!(f, "\n  {:<16}{:>9}{:>9}{:>9}{:>9}", "", "p50", "p90", "p99", "max")?;
        percentiles(f, "handshake", handshakes.time, "QUIC, TLS, CONNECT")?;
        percentiles(f, "latency", self.latency, "publish to receipt")?;
        percentiles(f, "behind schedule", self.behind_schedule, "how late we sent")?;
        writeln!(f)?;
        self.verdict(f)
    }
}

impl Report {
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed() {
            return writeln!(f, "PASSED: every reading arrived, in order, with the value that the file has.");
        }
        if self.messages.sent == 0 {
            writeln!(f, "FAILED: no message was sent.")?;
        } else {
            let faults = if self.faults.count() == 1 { "fault" } else { "faults" };
            writeln!(f, "FAILED: {} {faults}.", grouped(self.faults.count()))?;
        }
        for fault in self.faults.kept() {
            writeln!(f, "  - {fault}")?;
        }
        if self.faults.count() > FAULTS_KEPT_MAX as u64 {
            writeln!(f, "  - and {} more", grouped(self.faults.count() - FAULTS_KEPT_MAX as u64))?;
        }
        Ok(())
    }
}

/// Times in microseconds, the length of the replay in seconds, faults in words.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let faults: Vec<String> = self.faults.kept().iter().map(ToString::to_string).collect();
        let mut report = serializer.serialize_struct("Report", 11)?;
        report.serialize_field("passed", &self.passed())?;
        report.serialize_field("devices", &self.devices)?;
        report.serialize_field("replay_seconds", &self.replay.as_secs_f64())?;
        report.serialize_field("sent_per_second", &self.sent_per_second())?;
        report.serialize_field("handshakes", &self.handshakes)?;
        report.serialize_field("reconnects", &self.reconnects)?;
        report.serialize_field("messages", &self.messages)?;
        report.serialize_field("latency_micros", &self.latency)?;
        report.serialize_field("behind_schedule_micros", &self.behind_schedule)?;
        report.serialize_field("fault_count", &self.faults.count())?;
        report.serialize_field("first_faults", &faults)?;
        report.end()
    }
}

fn figure(f: &mut fmt::Formatter<'_>, name: &str, count: u64, remark: &str) -> fmt::Result {
    let line = format!("  {name:<16}{:>9}   {remark}", grouped(count));
    writeln!(f, "{}", line.trim_end())
}

fn percentiles(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    measured: Option<Percentiles>,
    remark: &str,
) -> fmt::Result {
    write!(f, "  {name:<16}")?;
    match measured {
        Some(Percentiles { p50, p90, p99, max }) => write!(f, "{p50:>9}{p90:>9}{p99:>9}{max:>9}")?,
        None => write!(f, "{:>9}{:>9}{:>9}{:>9}", "-", "-", "-", "-")?,
    }
    writeln!(f, "   {remark}")
}

/// A count with a comma after each group of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::percentiles::Micros;

    fn report() -> Report {
        let percentiles = |p50| {
            Some(Percentiles {
                p50: Micros(p50),
                p90: Micros(2 * p50),
                p99: Micros(3 * p50),
                max: Micros(9 * p50),
            })
        };
        Report {
            devices: 300,
            replay: Duration::from_secs(10),
            handshakes: Handshakes { count: 301, failed: 0, time: percentiles(4_560) },
            reconnects: 0,
            messages: Tally { sent: 30_000, acknowledged: 30_000, received: 30_000, ..Tally::default() },
            latency: percentiles(412),
            behind_schedule: percentiles(1_030),
            faults: Faults::default(),
        }
    }

    fn failed(faults: usize) -> Report {
        let mut report = report();
        (0..faults).for_each(|n| report.faults.add(Fault::Subscriber { why: format!("fault {n}") }));
        report
    }

    #[test]
    fn a_report_reads_as_a_table() {
        let expected = "  devices               300   each with its own certificate and QUIC connection
  handshakes            301   0 failed
  messages sent      30,000   3,000 per second
  acknowledged       30,000
  received           30,000
  lost                    0
  wrong values            0
  reordered               0
  duplicated              0

                        p50      p90      p99      max
  handshake         4.56 ms  9.12 ms  13.7 ms  41.0 ms   QUIC, TLS, CONNECT
  latency            412 µs   824 µs  1.24 ms  3.71 ms   publish to receipt
  behind schedule   1.03 ms  2.06 ms  3.09 ms  9.27 ms   how late we sent

PASSED: every reading arrived, in order, with the value that the file has.
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn one_fault_fails_a_run_and_is_named() {
        let report = failed(1);
        assert!(!report.passed());
        assert!(report.to_string().ends_with("FAILED: 1 fault.\n  - subscriber: fault 0\n"), "{report}");
    }

    #[test]
    fn many_faults_are_counted_and_the_first_ones_named() {
        let text = failed(1_234).to_string();
        assert!(text.contains("FAILED: 1,234 faults.\n  - subscriber: fault 0\n"), "{text}");
        assert!(text.ends_with("  - subscriber: fault 9\n  - and 1,224 more\n"), "{text}");
    }

    #[test]
    fn a_run_that_has_sent_nothing_fails() {
        let report = Report { messages: Tally::default(), latency: None, ..report() };
        assert!(!report.passed());
        assert!(report.to_string().ends_with("FAILED: no message was sent.\n"), "{report}");
    }

    #[test]
    fn as_json_a_report_has_its_verdict_counts_and_microseconds() {
        let json = serde_json::to_value(failed(12)).unwrap();
        assert_eq!(json["passed"], false);
        assert_eq!(json["messages"]["received"], 30_000);
        assert_eq!(json["latency_micros"]["p99"], 1_236);
        assert_eq!(json["handshakes"]["time"]["p50"], 4_560);
        assert_eq!(json["fault_count"], 12);
        assert_eq!(json["first_faults"].as_array().unwrap().len(), FAULTS_KEPT_MAX);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
