//! The password file: names with argon2id hashes, and the check of a password against them.
//!
//! ```text
//! # a comment
//! jane:$argon2id$v=19$m=19456,t=2,p=1$…salt…$…hash…
//! meter-7:SCRAM-SHA-256$15000:…salt…$…stored key…:…server key…
//! ```
//!
//! The second kind is for clients that authenticate with SCRAM-SHA-256 and never send their password; a user may have one
//! line of each kind.
//!
//! A name is everything before the first `:`. A check takes tens of milliseconds and megabytes by design, so that it runs
//! on a thread for blocking work, and only so many run at one time. A name that is not in the file costs the same as a
//! wrong password, so that the time of the answer does not tell who has an account.
//!
//! Not here: how the file is edited (`edit`).

pub mod edit;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::password_hash::{self, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Argon2, Params, Version};
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::scram::{SCHEME, StoredKeys, StoredKeysError};

/// Most memory that one hash may ask for, in KiB. More is a fault of the file: a few checks at once would need it all.
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;

/// Most passes that one hash may ask for. More is a fault of the file.
pub const PASSES_MAX: u32 = 32;

/// Checks at one time, for each of the processor's cores. At the edge: the next one waits.
const CHECKS_PER_CORE: usize = 1;

/// How long a check may wait for its turn. At the edge: the client is told that the server is busy.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

const COMMENT: char = '#';
const SEPARATOR: char = ':';

/// Names and the hashes of their passwords.
pub struct PasswordFile {
    hashes: BTreeMap<String, PasswordHash>,
    scram: BTreeMap<String, StoredKeys>,
    /// Compared with where the name is unknown. No password has this hash.
    decoy: PasswordHash,
}

/// What is wrong with one line of a password file. Never shows a hash.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct PasswordFault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: PasswordProblem,
}

/// How a line of a password file is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PasswordProblem {
    /// No name, or no `:`.
    #[error("expected a user name, `:` and a hash")]
    NoUser,
    /// The name has stood before.
    #[error("user `{user}` stands in line {first} already")]
    Repeated {
        /// Who.
        user: String,
        /// Where it stood.
        first: usize,
    },
    /// The hash cannot be read.
    #[error("user `{user}`: expected a hash that begins with `$argon2id$v=19$`; `rivulet passwd` makes one")]
    NoHash {
        /// Whose.
        user: String,
    },
    /// The keys cannot be read.
    #[error("user `{user}`: {fault}; `rivulet passwd --scram` makes them")]
    NoKeys {
        /// Whose.
        user: String,
        /// What is expected.
        fault: StoredKeysError,
    },
    /// The hash costs too much.
    #[error(
        "user `{user}`: the hash asks for m={memory_kib},t={passes}; we allow m up to {MEMORY_KIB_MAX} and t up to {PASSES_MAX}"
    )]
    TooCostly {
        /// Whose.
        user: String,
        /// Memory, in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
    },
}

/// What a check of a password finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordCheck {
    /// The password is this user's.
    Right,
    /// It is not.
    Wrong,
    /// The file does not know the user.
    UnknownUser,
    /// Too many checks wait already.
    Busy,
}

impl PasswordFile {
    /// The names and hashes of a file's text.
    ///
    /// # Errors
    ///
    /// Every fault of the file, in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, Vec<PasswordFault>> {
        let mut hashes = BTreeMap::new();
        let mut scram = BTreeMap::new();
        let mut lines: BTreeMap<(&str, bool), usize> = BTreeMap::new();
        let mut faults = Vec::new();
        let mut params = Params::DEFAULT;
        for (index, text) in text.lines().enumerate() {
            if text.trim().is_empty() || text.starts_with(COMMENT) {
                continue;
            }
            let line = index + 1;
            let entry = entry(text).and_then(|(user, secret)| {
                match lines.insert((user, matches!(secret, Secret::Scram(_))), line) {
                    Some(first) => Err(PasswordProblem::Repeated { user: user.to_owned(), first }),
                    None => Ok((user, secret)),
                }
            });
            match entry {
                Ok((user, Secret::Hash(hash, cost))) => {
                    hashes.insert(user.to_owned(), *hash);
                    params = cost;
                }
                Ok((user, Secret::Scram(keys))) => drop(scram.insert(user.to_owned(), keys)),
                Err(problem) => faults.push(PasswordFault { line, problem }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let decoy = decoy(&params).expect("the parameters were read from such a hash, or are the default");
        Ok(Self { hashes, scram, decoy })
    }

    /// How many passwords there are; a user may have one of each kind.
    pub fn len(&self) -> usize {
        self.hashes.len() + self.scram.len()
    }

    /// Whether there is no password.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Compares a password with the user's. Takes long: not for a thread that serves others.
    pub fn check(&self, username: &str, password: &[u8]) -> PasswordCheck {
        let known = self.hashes.get(username);
        let verified = Argon2::default().verify_password(password, known.unwrap_or(&self.decoy)).is_ok();
        match (known, verified) {
            (Some(_), true) => PasswordCheck::Right,
            (Some(_), false) => PasswordCheck::Wrong,
            (None, _) => PasswordCheck::UnknownUser,
        }
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordFile").field("passwords", &self.len()).finish_non_exhaustive()
    }
}

/// What stands behind a name.
enum Secret {
    Hash(Box<PasswordHash>, Params),
    Scram(StoredKeys),
}

fn entry(text: &str) -> Result<(&str, Secret), PasswordProblem> {
    let (user, hash) =
        text.split_once(SEPARATOR).filter(|(user, _)| !user.is_empty()).ok_or(PasswordProblem::NoUser)?;
    if hash.starts_with(SCHEME) {
        let keys = hash.trim_end().parse();
        return keys
            .map(|keys| (user, Secret::Scram(keys)))
            .map_err(|fault| PasswordProblem::NoKeys { user: user.to_owned(), fault });
    }
    let no_hash = || PasswordProblem::NoHash { user: user.to_owned() };
    let hash = PasswordHash::new(hash.trim_end()).map_err(|_| no_hash())?;
    let params = Params::try_from(&hash).map_err(|_| no_hash())?;
    let is_ours = hash.algorithm == ARGON2ID_IDENT
        && hash.version == Some(Version::V0x13.into())
        && hash.salt.is_some()
        && hash.hash.is_some();
    if !is_ours {
        return Err(no_hash());
    }
    let (memory_kib, passes) = (params.m_cost(), params.t_cost());
    if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
        return Err(PasswordProblem::TooCostly { user: user.to_owned(), memory_kib, passes });
    }
    Ok((user, Secret::Hash(Box::new(hash), params)))
}

/// A hash of the usual cost whose output is chance: nothing hashes to it, and to find that out costs the same.
fn decoy(params: &Params) -> Result<PasswordHash, password_hash::Error> {
    Ok(PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: params.try_into()?,
        salt: Some(Salt::new(&password_hash::generate_salt())?),
        hash: Some(Output::new(&[password_hash::generate_salt(), password_hash::generate_salt()].concat())?),
    })
}

/// A password file, and the turns that its checks take.
#[derive(Clone, Debug)]
pub struct Passwords {
    file: Arc<PasswordFile>,
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// Checks against `file`.
    pub fn new(file: PasswordFile) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { file: Arc::new(file), turns: Arc::new(Semaphore::new(cores * CHECKS_PER_CORE)) }
    }

    /// What SCRAM-SHA-256 needs to know of a user.
    pub(super) fn scram_keys(&self, user: &str) -> Option<StoredKeys> {
        self.file.scram.get(user).cloned()
    }

    /// Compares a password with the user's, on a thread for such work.
    pub async fn check(&self, username: String, password: Bytes) -> PasswordCheck {
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return PasswordCheck::Busy;
        };
        let file = Arc::clone(&self.file);
        let check = tokio::task::spawn_blocking(move || {
            let check = file.check(&username, &password);
            // Held until here: a client that goes away does not give its turn to another while the work still runs.
            drop(turn);
            check
        });
        // A runtime that shuts down lets nobody in.
        check.await.unwrap_or(PasswordCheck::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Params = match Params::new(Params::MIN_M_COST, 1, 1, None) {
        Ok(params) => params,
        Err(_) => panic!("the least cost is allowed"),
    };

    fn file(users: &[(&str, &str)]) -> PasswordFile {
        let line = |(user, password): &(&str, &str)| {
            format!("{user}:{}\n", edit::hash(password.as_bytes(), &CHEAP).unwrap())
        };
        PasswordFile::parse(&users.iter().map(line).collect::<String>()).unwrap()
    }

    #[test]
    fn a_password_is_right_for_its_own_user_alone() {
        let file = file(&[("jane", "correct horse"), ("joe", "battery staple")]);
        assert_eq!(file.check("jane", b"correct horse"), PasswordCheck::Right);
        assert_eq!(file.check("jane", b"battery staple"), PasswordCheck::Wrong);
        assert_eq!(file.check("jane", b""), PasswordCheck::Wrong);
        assert_eq!(file.check("Jane", b"correct horse"), PasswordCheck::UnknownUser);
        assert_eq!(file.check("", b"correct horse"), PasswordCheck::UnknownUser);
    }

    #[test]
    fn an_unknown_user_is_compared_with_a_hash_of_the_same_cost() {
        let known = file(&[("jane", "x")]);
        let params = |hash: &PasswordHash| {
            let params = Params::try_from(hash).unwrap();
            (params.m_cost(), params.t_cost(), params.p_cost(), params.output_len())
        };
        assert_eq!(params(&known.decoy), params(&known.hashes["jane"]));
        assert!(Argon2::default().verify_password(b"", &known.decoy).is_err());
    }

    #[test]
    fn a_hash_of_another_implementation_is_understood() {
        // Made by the reference implementation in C: password "password", salt "somesalt".
        let text = "jane:$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI";
        let file = PasswordFile::parse(text).unwrap();
        assert_eq!(file.check("jane", b"password"), PasswordCheck::Right);
        assert_eq!(file.check("jane", b"Password"), PasswordCheck::Wrong);
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line_and_without_the_hash() {
        let good = edit::hash(b"x", &CHEAP).unwrap();
        let other_kind = good.replace("argon2id", "argon2i");
        let costly = good.replace("m=8", "m=999999");
        let text = format!(
            "# comment\n\njane:{good}\njane:{good}\njoe\n:{good}\njim:plaintext-secret\njil:{other_kind}\nken:{costly}\nkim:$argon2id$v=19$m=8,t=1,p=1\n"
        );
        let faults: Vec<_> =
            PasswordFile::parse(&text).unwrap_err().iter().map(ToString::to_string).collect();
        let no_hash = "expected a hash that begins with `$argon2id$v=19$`; `rivulet passwd` makes one";
        assert_eq!(
            faults,
            [
                "line 4: user `jane` stands in line 3 already".to_owned(),
                "line 5: expected a user name, `:` and a hash".to_owned(),
                "line 6: expected a user name, `:` and a hash".to_owned(),
                format!("line 7: user `jim`: {no_hash}"),
                format!("line 8: user `jil`: {no_hash}"),
                "line 9: user `ken`: the hash asks for m=999999,t=1; we allow m up to 262144 and t up to 32"
                    .to_owned(),
                format!("line 10: user `kim`: {no_hash}"),
            ]
        );
    }

    #[test]
    fn a_password_file_is_printed_without_what_is_in_it() {
        let printed = format!("{:?}", Passwords::new(file(&[("jane", "correct horse")])));
        assert!(!printed.contains("argon2") && !printed.contains("jane"), "{printed}");
    }

    #[tokio::test]
    async fn checks_run_off_the_thread_that_asks_and_take_turns() {
        let passwords = Passwords::new(file(&[("jane", "right")]));
        let checks: Vec<_> = (0..20)
            .map(|n| {
                let passwords = passwords.clone();
                let password = if n % 2 == 0 { "right" } else { "wrong" };
                tokio::spawn(async move { passwords.check("jane".into(), password.into()).await })
            })
            .collect();
        for (n, check) in checks.into_iter().enumerate() {
            let expected = if n % 2 == 0 { PasswordCheck::Right } else { PasswordCheck::Wrong };
            assert_eq!(check.await.unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_whose_turn_does_not_come_is_busy() {
        let passwords = Passwords::new(file(&[("jane", "right")]));
        let all = passwords.turns.available_permits();
        let turns = passwords.turns.clone().acquire_many_owned(u32::try_from(all).unwrap()).await.unwrap();
        assert_eq!(passwords.check("jane".into(), "right".into()).await, PasswordCheck::Busy);
        drop(turns);
    }
}
