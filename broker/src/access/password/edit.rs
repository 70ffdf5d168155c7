//! Changes of a password file: one user at a time, everything else in it as it was, the file replaced as a whole.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use argon2::password_hash::{self, PasswordHasher};
use argon2::{Algorithm, Argon2, Params, Version};

use super::{COMMENT, SEPARATOR};
use crate::access::scram::{SCHEME, StoredKeys};

/// Longest password that a CONNECT can carry (3.1.3.6), in bytes.
pub const PASSWORD_BYTES_MAX: usize = u16::MAX as usize;

/// What a file that is made here lets others do: nothing.
const PRIVATE_MODE: u32 = 0o600;

/// What an existing file may keep of its mode: its group may read it, if it could before.
const KEPT_MODE: u32 = 0o640;

/// Why a name or a password cannot stand in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EntryFault {
    /// No name.
    #[error("user name is empty")]
    NoName,
    /// The name would be read as something else.
    #[error("user name must not begin with `{COMMENT}` or contain `{SEPARATOR}` or control characters")]
    Name,
    /// The name cannot be sent.
    #[error("user name has more than {PASSWORD_BYTES_MAX} bytes, which no CONNECT can carry")]
    NameTooLong,
    /// No password.
    #[error("password is empty")]
    NoPassword,
    /// The password cannot be sent.
    #[error("password has more than {PASSWORD_BYTES_MAX} bytes, which no CONNECT can carry")]
    PasswordTooLong,
}

/// Whether a name can stand in the file.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_name(user: &str) -> Result<(), EntryFault> {
    match user {
        "" => Err(EntryFault::NoName),
        user if user.len() > PASSWORD_BYTES_MAX => Err(EntryFault::NameTooLong),
        user if user.starts_with(COMMENT) || user.contains(SEPARATOR) || user.contains(char::is_control) => {
            Err(EntryFault::Name)
        }
        _ => Ok(()),
    }
}

/// Whether a password can be sent by a client.
///
/// # Errors
///
/// What is wrong with it. Never shows it.
pub fn check_password(password: &[u8]) -> Result<(), EntryFault> {
    match password.len() {
        0 => Err(EntryFault::NoPassword),
        1..=PASSWORD_BYTES_MAX => Ok(()),
        _ => Err(EntryFault::PasswordTooLong),
    }
}

/// The argon2id hash of a password with a salt of its own, as it stands in the file.
///
/// # Errors
///
/// The machine has no randomness to give.
pub fn hash(password: &[u8], cost: &Params) -> Result<String, password_hash::Error> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.clone());
    Ok(argon2.hash_password(password)?.to_string())
}

/// What SCRAM-SHA-256 needs to know of a password, as it stands in the file.
pub fn scram_keys(password: &str) -> String {
    StoredKeys::derive(password).to_string()
}

/// The text with this user's line of this kind set, in its place or at the end.
pub fn with_user(text: &str, user: &str, hash: &str) -> String {
    let entry = format!("{user}{SEPARATOR}{hash}\n");
    let mut edited = String::with_capacity(text.len() + entry.len());
    let mut is_set = false;
    for line in text.lines() {
        if !(is_of(user, line) && is_scram(line) == is_scram(&entry)) {
            edited.push_str(line);
            edited.push('\n');
        } else if !is_set {
            edited.push_str(&entry);
            is_set = true;
        }
    }
    if !is_set {
        edited.push_str(&entry);
    }
    edited
}

/// The text without this user's lines; `None` if there is none.
pub fn without_user(text: &str, user: &str) -> Option<String> {
    text.lines().any(|line| is_of(user, line)).then(|| {
        let kept = text.lines().filter(|line| !is_of(user, line));
        kept.flat_map(|line| [line, "\n"]).collect()
    })
}

fn is_of(user: &str, line: &str) -> bool {
    !line.starts_with(COMMENT) && line.split_once(SEPARATOR).is_some_and(|(name, _)| name == user)
}

fn is_scram(line: &str) -> bool {
    line.split_once(SEPARATOR).is_some_and(|(_, secret)| secret.starts_with(SCHEME))
}

/// Puts `text` in the place of a file at once: a reader sees all of the old text or all of the new one, and so does the
/// disk after a power cut. A new file is for its owner alone; an existing one keeps its owner and group.
///
/// # Errors
///
/// What the file system says.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link is followed, so that it is the file behind it that changes.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mode = match fs::metadata(&path) {
        Ok(old) => {
            let made = file.as_file().metadata()?;
            if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
                fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
            }
            PRIVATE_MODE | old.mode() & KEPT_MODE
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => PRIVATE_MODE,
        Err(error) => return Err(error),
    };
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_changes_and_the_rest_stays() {
        let text = "# staff\njane:old\n\njoe:other\n";
        assert_eq!(with_user(text, "jane", "new"), "# staff\njane:new\n\njoe:other\n");
        assert_eq!(with_user(text, "jan", "new"), "# staff\njane:old\n\njoe:other\njan:new\n");
        assert_eq!(with_user("", "jan", "new"), "jan:new\n");
        assert_eq!(with_user("joe:other", "jan", "new"), "joe:other\njan:new\n");
        assert_eq!(without_user(text, "jane").as_deref(), Some("# staff\n\njoe:other\n"));
        assert_eq!(without_user(text, "# staff"), None);
        assert_eq!(without_user(text, "jan"), None);
    }

    #[test]
    fn the_two_kinds_of_one_user_change_apart_and_go_together() {
        let text = "jane:$argon2id$a\n";
        let both = with_user(text, "jane", "SCRAM-SHA-256$b");
        assert_eq!(both, "jane:$argon2id$a\njane:SCRAM-SHA-256$b\n");
        assert_eq!(with_user(&both, "jane", "$argon2id$c"), "jane:$argon2id$c\njane:SCRAM-SHA-256$b\n");
        assert_eq!(without_user(&both, "jane").as_deref(), Some(""));
    }

    #[test]
    fn a_name_that_would_be_read_as_something_else_is_refused() {
        assert_eq!(check_name("jane doe"), Ok(()));
        assert_eq!(check_name(""), Err(EntryFault::NoName));
        for name in ["a:b", "#a", "a\nb", "a\0"] {
            assert_eq!(check_name(name), Err(EntryFault::Name), "{name:?}");
        }
        assert_eq!(check_name(&"n".repeat(70_000)), Err(EntryFault::NameTooLong));
    }

    #[test]
    fn a_password_must_fit_into_a_connect() {
        assert_eq!(check_password(b""), Err(EntryFault::NoPassword));
        assert_eq!(check_password(&[0; PASSWORD_BYTES_MAX]), Ok(()));
        assert_eq!(check_password(&[0; PASSWORD_BYTES_MAX + 1]), Err(EntryFault::PasswordTooLong));
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        let cost = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        assert_ne!(hash(b"x", &cost).unwrap(), hash(b"x", &cost).unwrap());
    }

    #[test]
    fn a_new_file_is_for_its_owner_alone_and_an_old_one_is_never_opened_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
        replace(&path, "a").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("a", 0o600));
        for (before, after) in [(0o666, 0o640), (0o440, 0o640), (0o604, 0o600)] {
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            replace(&path, "b").unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("b", after));
        }
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["passwords"]);
    }

    #[test]
    fn a_link_leads_to_the_file_that_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(&folder.path().join("no/passwords"), "a").is_err());
    }
}
