//! What has happened last, for whoever has to find out why a run failed.

use std::collections::VecDeque;

/// Lines that are kept.
const LINES_MAX: usize = 80;

/// Prints its lines when a run panics.
pub(crate) struct Trace {
    seed: u64,
    step: usize,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, step: 0, lines: VecDeque::new() }
    }

    pub(crate) fn begin_step(&mut self, step: usize) {
        self.step = step;
    }

    pub(crate) fn note(&mut self, line: String) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>7}  {line}", self.step));
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.lines {
                eprintln!("{line}");
            }
            let Self { seed, step, .. } = self;
            eprintln!("seed {seed} failed in step {step}; replay it with");
            eprintln!(
                "RIVULET_SIM_SEED={seed} RIVULET_SIM_STEPS={step} cargo test -p rivulet-tests --test sim"
            );
        }
    }
}
