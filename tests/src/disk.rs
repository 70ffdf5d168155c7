//! A disk that writes when it is told to: what is on it, and what is still on its way.

use std::collections::VecDeque;

use rivulet_core::{Commit, Record, Snapshot};

/// A store in memory. What is not written yet is lost by a crash or a failure.
#[derive(Debug, Default)]
pub struct Disk {
    written: Snapshot,
    waiting: VecDeque<(Commit, Vec<Record>)>,
}

impl Disk {
    /// Takes a batch; it is on its way from here on.
    pub fn submit(&mut self, commit: Commit, batch: Vec<Record>) {
        self.waiting.push_back((commit, batch));
    }

    /// How many batches are on their way.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes the oldest `batches`. Returns the last commit among them.
    pub fn write(&mut self, batches: usize) -> Option<Commit> {
        let mut through = None;
        for (commit, batch) in self.waiting.drain(..batches.min(self.waiting.len())) {
            batch.into_iter().for_each(|record| self.written.apply(record));
            through = Some(commit);
        }
        self.written.check();
        through
    }

    /// Loses all that is on its way. Returns the first commit of it.
    pub fn fail(&mut self) -> Option<Commit> {
        let first = self.waiting.front().map(|(commit, _)| *commit);
        self.waiting.clear();
        first
    }

    /// What a broker finds that starts from this disk.
    pub fn written(&self) -> Snapshot {
        self.written.clone()
    }
}
