//! What every store promises, asked of every store.

use rivulet_core::durable::StoreFault;
use rivulet_core::{Commit, Snapshot};
use rivulet_storage::{Batch, MemoryStore, Store, WriteFailed};

/// One of each kind, empty.
fn stores() -> Vec<Box<dyn Store>> {
    vec![Box::new(MemoryStore::new())]
}

fn batch(commit: u64) -> Batch {
    Batch { commit: Commit(commit), records: Vec::new() }
}

#[test]
fn an_empty_store_loads_an_empty_state() {
    for mut store in stores() {
        assert_eq!(store.load(), Ok(Snapshot::default()), "{store:?}");
    }
}

#[test]
fn batches_are_safe_when_write_returns() {
    for mut store in stores() {
        assert_eq!(store.write(&[batch(1), batch(2)]), Ok(()), "{store:?}");
        assert_eq!(store.write(&[batch(3)]), Ok(()), "{store:?}");
    }
}

#[test]
fn commit_numbers_may_leave_gaps() {
    for mut store in stores() {
        assert_eq!(store.write(&[batch(1), batch(7)]), Ok(()), "{store:?}");
    }
}

#[test]
fn a_commit_that_does_not_count_up_is_refused_and_those_before_it_stand() {
    for mut store in stores() {
        let refused = WriteFailed { from: Commit(4), fault: StoreFault::Failing };
        assert_eq!(store.write(&[batch(4), batch(5), batch(4), batch(6)]), Err(refused), "{store:?}");
        assert_eq!(store.write(&[batch(6)]), Ok(()), "{store:?}");
    }
}

#[test]
fn writing_nothing_is_safe() {
    for mut store in stores() {
        assert_eq!(store.write(&[]), Ok(()), "{store:?}");
    }
}
