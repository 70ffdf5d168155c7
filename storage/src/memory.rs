//! A store that remembers for as long as the process lives, and answers at once.

use rivulet_core::durable::StoreFault;
use rivulet_core::{Commit, Snapshot};

use crate::{Batch, LoadFailed, Store, WriteFailed};

/// Keeps nothing beyond the process: a session that is to survive a restart does not.
///
/// It holds no copy of the records either. The core that wrote them is the only reader, and it has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStore {
    through: Commit,
}

impl MemoryStore {
    /// An empty store.
    pub const fn new() -> Self {
        Self { through: Commit(0) }
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Snapshot, LoadFailed> {
        Ok(Snapshot::default())
    }

    fn write(&mut self, batches: &[Batch]) -> Result<(), WriteFailed> {
        for batch in batches {
            if batch.commit <= self.through {
                return Err(WriteFailed { from: batch.commit, fault: StoreFault::Failing });
            }
            self.through = batch.commit;
        }
        Ok(())
    }
}
