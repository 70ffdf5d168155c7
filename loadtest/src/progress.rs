//! How far a run is, and how that is shown: one line that is drawn anew on a terminal, plain lines elsewhere.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::ledger::Tally;
use crate::percentiles::Percentiles;
use crate::report::grouped;

/// How often progress is told.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How many cells the bar has: the line fits into 80 columns.
const BAR_CELLS: u64 = 12;

/// Carriage return, and erase the line: the next text stands where the last one stood.
const REDRAW: &str = "\r\x1b[2K";

/// Cut a line that is too long, or it would leave its first part behind.
const WRAP_OFF: &str = "\x1b[?7l";

/// As it was.
const WRAP_ON: &str = "\x1b[?7h";

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Devices connect.
    Connecting {
        /// How many have, or cannot.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// Devices send.
    Replaying {
        /// Since the first could.
        elapsed: Duration,
        /// How long they will.
        of: Duration,
        /// So far.
        messages: Tally,
        /// So far.
        latency: Option<Percentiles>,
    },
    /// Nothing more is sent; what is under way is awaited.
    Settling {
        /// How many messages are not yet both acknowledged and received.
        open: usize,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Connecting { done, of } => {
                let bar = bar(done as u64, of as u64);
                write!(f, "connecting {bar} {} of {} devices", grouped(done as u64), grouped(of as u64))
            }
            Self::Replaying { elapsed, of, messages, latency } => {
                let bar = bar(elapsed.as_millis() as u64, of.as_millis() as u64);
                write!(f, "replaying  {bar} {} of {} s", elapsed.as_secs(), of.as_secs_f64())?;
                write!(f, ", received {} of {}", grouped(messages.received), grouped(messages.sent))?;
                match latency {
                    Some(Percentiles { p50, .. }) => write!(f, ", p50 {p50}"),
                    None => Ok(()),
                }
            }
            Self::Settling { open } => write!(f, "settling: {} messages under way", grouped(open as u64)),
        }
    }
}

fn bar(done: u64, of: u64) -> String {
    let cells = (BAR_CELLS * done.min(of)).checked_div(of).unwrap_or(BAR_CELLS) as usize;
    format!("[{}{}]", "#".repeat(cells), ".".repeat(BAR_CELLS as usize - cells))
}

/// Shows progress.
#[derive(Debug)]
pub struct ProgressLine<W: Write> {
    out: W,
    style: ProgressStyle,
}

/// Where progress is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProgressStyle {
    /// On a terminal: one line, drawn anew.
    Terminal,
    /// In a file or pipe: a line each time.
    Plain,
}

impl<W: Write> ProgressLine<W> {
    /// Shows progress on `out`.
    pub fn new(out: W, style: ProgressStyle) -> Self {
        Self { out, style }
    }

    /// Shows how far the run is.
    pub fn show(&mut self, progress: &Progress) -> io::Result<()> {
        match self.style {
            ProgressStyle::Terminal => write!(self.out, "{REDRAW}{WRAP_OFF}{progress}{WRAP_ON}")?,
            ProgressStyle::Plain => writeln!(self.out, "{progress}")?,
        }
        self.out.flush()
    }

    /// Leaves the place to what comes next.
    pub fn clear(&mut self) -> io::Result<()> {
        match self.style {
            ProgressStyle::Terminal => write!(self.out, "{REDRAW}")?,
            ProgressStyle::Plain => {}
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percentiles::Micros;

    #[test]
    fn each_phase_tells_how_far_it_is() {
        let progress = Progress::Connecting { done: 75, of: 300 };
        assert_eq!(progress.to_string(), "connecting [###.........] 75 of 300 devices");
        let ms = |ms: u64| Micros(1_000 * ms);
        let progress = Progress::Replaying {
            elapsed: Duration::from_millis(5_040),
            of: Duration::from_secs(10),
            messages: Tally { sent: 15_000, received: 14_998, ..Tally::default() },
            latency: Some(Percentiles { p50: ms(1), p90: ms(2), p99: ms(3), max: ms(4) }),
        };
        assert_eq!(
            progress.to_string(),
            "replaying  [######......] 5 of 10 s, received 14,998 of 15,000, p50 1.00 ms"
        );
        assert_eq!(Progress::Settling { open: 1_500 }.to_string(), "settling: 1,500 messages under way");
    }

    #[test]
    fn a_bar_is_never_longer_than_full_and_full_if_there_is_nothing_to_do() {
        assert_eq!(bar(12, 10), bar(10, 10));
        assert_eq!(bar(0, 0), bar(10, 10));
    }

    #[test]
    fn a_terminal_sees_one_line_and_a_file_many() {
        let shown = |style| {
            let mut out = Vec::new();
            let mut line = ProgressLine::new(&mut out, style);
            for open in [2, 1] {
                line.show(&Progress::Settling { open }).unwrap();
            }
            line.clear().unwrap();
            String::from_utf8(out).unwrap()
        };
        let (two, one) = ("settling: 2 messages under way", "settling: 1 messages under way");
        assert_eq!(
            shown(ProgressStyle::Terminal),
            format!("{REDRAW}{WRAP_OFF}{two}{WRAP_ON}{REDRAW}{WRAP_OFF}{one}{WRAP_ON}{REDRAW}")
        );
        assert_eq!(shown(ProgressStyle::Plain), format!("{two}\n{one}\n"));
    }
}
