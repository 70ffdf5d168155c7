//! Files that appear whole or not at all, and private keys that nobody else can ever read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::CertsError;

/// Who may read a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Secrecy {
    /// Everybody: certificates.
    Public,
    /// The owner alone: private keys.
    Private,
}

impl Secrecy {
    #[cfg(unix)]
    const fn mode(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Private => 0o600,
        }
    }
}

/// Permission bits that let others than the owner touch a file.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Replaces a file in one step, on disk when this returns. A private file has its mode from its first byte on.
pub(crate) fn write(path: &Path, content: &[u8], secrecy: Secrecy) -> Result<(), CertsError> {
    let temporary = temporary_name(path);
    // Left by a start that was cut short under the same process number, as in a container. If it is not there, or
    // cannot be removed, creating the file says what matters.
    drop(fs::remove_file(&temporary));
    let written = write_new(&temporary, content, secrecy).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // What is left of a failed attempt is of no use to anybody; the error that counts is the first one.
        drop(fs::remove_file(&temporary));
        return Err(CertsError::Write { path: path.to_owned(), source });
    }
    sync_folder(path)
}

/// Makes a folder and its parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), CertsError> {
    fs::create_dir_all(path).map_err(|source| CertsError::Write { path: path.to_owned(), source })
}

/// Refuses a private key that others can read.
#[cfg(unix)]
pub(crate) fn check_private(path: &Path) -> Result<(), CertsError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = fs::metadata(path).map_err(|source| CertsError::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 { Ok(()) } else { Err(CertsError::KeyExposed { path: path.to_owned(), mode }) }
}

/// Refuses a private key that others can read. Here the folder decides that.
#[cfg(not(unix))]
pub(crate) fn check_private(_path: &Path) -> Result<(), CertsError> {
    Ok(())
}

fn write_new(path: &Path, content: &[u8], secrecy: Secrecy) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // A file that is there already may be a link of somebody else's, or open for reading: never write into it.
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(secrecy.mode());
    }
    #[cfg(not(unix))]
    let _ = secrecy;
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A name beside the file, so that the rename stays within one file system.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

/// Makes a rename survive a power cut.
fn sync_folder(path: &Path) -> Result<(), CertsError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| CertsError::Write { path: folder.to_owned(), source })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write(&path, b"secret", Secrecy::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        check_private(&path).unwrap();
    }

    #[test]
    fn replacing_a_readable_file_by_a_private_one_takes_the_readers_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write(&path, b"old", Secrecy::Public).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"new", Secrecy::Private).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        check_private(&path).unwrap();
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("occupied");
        fs::create_dir_all(path.join("inside")).unwrap();
        let error = write(&path, b"content", Secrecy::Public).unwrap_err();
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_cut_off_write_left_behind_does_not_stop_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        fs::write(temporary_name(&path), b"half").unwrap();
        write(&path, b"whole", Secrecy::Private).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        check_private(&path).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write(&path, b"secret", Secrecy::Private).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(check_private(&path), Err(CertsError::KeyExposed { mode: 0o640, .. })));
    }
}
