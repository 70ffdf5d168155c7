//! The folder in which a broker keeps what it makes. One broker at a time.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::StartError;

const LOCK: &str = "lock";

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    _lock: File,
}

impl DataDirectory {
    /// Makes the folder if it is not there, and keeps other brokers out.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let fault = |problem: String| StartError::DataDirectory { path: path.to_owned(), problem };
        fs::create_dir_all(path).map_err(|error| fault(format!("cannot be made: {error}")))?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(|error| fault(format!("cannot be written: {error}")))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(fault(
                "another broker runs in it; stop that one, or choose another with --data-dir".to_owned(),
            )),
            Err(TryLockError::Error(error)) => Err(fault(format!("cannot be locked: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_broker_is_kept_out_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/the/way");
        let first = DataDirectory::open(&path).unwrap();
        let refused = DataDirectory::open(&path).unwrap_err().to_string();
        assert!(refused.contains("another broker runs in it"), "{refused}");
        drop(first);
        assert!(DataDirectory::open(&path).is_ok());
    }
}
