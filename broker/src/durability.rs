//! Batches of one round to the store, and its answer to the core.

use std::mem;

use rivulet_core::{Commit, Input, Record};
use rivulet_storage::{Batch, Store};

/// Collects what one round wants written, and writes it as one: many commits cost one wait.
#[derive(Debug)]
pub(crate) struct Durability {
    store: Box<dyn Store>,
    batches: Vec<Batch>,
}

impl Durability {
    /// In front of this store, which answers without blocking.
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self { store, batches: Vec::new() }
    }

    /// Takes one batch.
    pub(crate) fn persist(&mut self, commit: Commit, records: Vec<Record>) {
        self.batches.push(Batch { commit, records });
    }

    /// Writes what was taken. `None`: nothing was.
    pub(crate) fn commit(&mut self) -> Option<Input> {
        let through = self.batches.last()?.commit;
        let batches = mem::take(&mut self.batches);
        Some(match self.store.write(&batches) {
            Ok(()) => Input::Persisted { through },
            Err(failed) => Input::PersistFailed { from: failed.from, fault: failed.fault },
        })
    }
}

#[cfg(test)]
mod tests {
    use rivulet_storage::MemoryStore;

    use super::*;

    #[test]
    fn the_batches_of_a_round_are_answered_once_by_the_highest() {
        let mut durability = Durability::new(Box::new(MemoryStore::new()));
        assert!(durability.commit().is_none());
        durability.persist(Commit(1), Vec::new());
        durability.persist(Commit(2), Vec::new());
        assert!(matches!(durability.commit(), Some(Input::Persisted { through: Commit(2) })));
        assert!(durability.commit().is_none());
    }

    #[test]
    fn a_batch_that_the_store_refuses_is_told_to_the_core() {
        let mut durability = Durability::new(Box::new(MemoryStore::new()));
        durability.persist(Commit(2), Vec::new());
        durability.persist(Commit(2), Vec::new());
        assert!(matches!(durability.commit(), Some(Input::PersistFailed { from: Commit(2), .. })));
    }
}
