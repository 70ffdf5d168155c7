//! Who is let in, and what they may do: the answer to the core's question about a client.
//!
//! ```text
//! credentials -> certificate -> password file -> token -> hook -> anonymous     whoever knows the client decides
//!                                   |
//!                     subject, expiry, grants -> access rules -> permissions
//! ```
//!
//! Each listener names its authenticators and their order. One that does not know the client leaves it to the next; one
//! that knows it lets it in or keeps it out. A client that has sent a name or a password is never anonymous: who gets it
//! wrong is told so. Only a name that was proven counts in the access rules.
//!
//! A client that names an authentication method (4.12) is asked by that method alone: SCRAM-SHA-256, against the password
//! file, where the listener has `password`.
//!
//! Nothing here is on the way of a message: what a client may do is compiled once, when it is let in.
//!
//! Not here: how handshakes verify certificates (`tls`), and what becomes of a verdict (the core).

pub mod acl;
pub mod grants;
pub mod hook;
mod load;
pub mod password;
pub mod permissions;
pub mod refusal;
pub mod scram;
pub mod subject;
pub mod token;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rivulet_core::access::{AuthenticationStep, Credentials};
use rivulet_core::{ListenerKey, Now, Verdict, WallTime};
use rivulet_protocol::ReasonCode;
use tracing::{debug, warn};

use crate::config::{
    AccessConfig, AclChoice, Authenticator, ClientIdRule, FailurePolicy, ListenerAccess, TokenPlace,
};
use acl::Acl;
use grants::Grants;
use hook::{Hook, HookAnswer};
use password::{PasswordCheck, Passwords};
use permissions::ClientPermissions;
use refusal::Refusal;
use scram::AwaitProof;
use subject::{Attribute, Subject};
use token::{TokenFault, TokenVerifier};

pub use load::LoadFault;
pub(crate) use load::read;

/// Judges clients by what was loaded last.
#[derive(Debug)]
pub struct AccessControl {
    loaded: RwLock<Arc<Loaded>>,
    counters: Arc<AccessCounters>,
}

/// Everything that clients are measured by, loaded and checked. Does not change: a reload makes another.
#[derive(Debug)]
struct Loaded {
    /// By the number of their [`ListenerKey`].
    listeners: Vec<ListenerAccess>,
    acl: Acl,
    open: Acl,
    passwords: Option<Passwords>,
    tokens: Option<(TokenPlace, TokenVerifier)>,
    hook: Option<Hook>,
    counters: Arc<AccessCounters>,
}

/// What has been decided since the start. Counters only go up.
#[derive(Debug, Default)]
pub struct AccessCounters {
    /// Clients let in by their certificate.
    pub accepted_by_certificate: AtomicU64,
    /// Clients let in by the password file.
    pub accepted_by_password: AtomicU64,
    /// Clients let in by a token.
    pub accepted_by_jwt: AtomicU64,
    /// Clients let in by the hook.
    pub accepted_by_http: AtomicU64,
    /// Clients let in without having shown anything.
    pub accepted_anonymous: AtomicU64,
    /// Clients kept out for a name, a password or a token that is wrong.
    pub refused_bad_credentials: AtomicU64,
    /// Clients kept out because nothing lets them in.
    pub refused_not_authorized: AtomicU64,
    /// Clients kept out for their client identifier.
    pub refused_client_id: AtomicU64,
    /// Clients kept out because nobody could tell in time.
    pub refused_unavailable: AtomicU64,
    /// Questions that the hook did not answer.
    pub hook_failures: AtomicU64,
}

/// What a step of enhanced authentication leads to.
enum Step {
    /// The client is to answer this.
    More(AwaitProof, String),
    /// It is let in, and told this.
    Proven(ClientPermissions, String),
}

/// What an authenticator that knows the client has found.
#[derive(Default)]
struct Proof {
    username: Option<String>,
    expires: Option<WallTime>,
    grants: Grants,
}

impl AccessControl {
    /// Loads all that the configuration names. `listeners` are in the order of their keys.
    ///
    /// # Errors
    ///
    /// Every fault of every file.
    pub fn load(config: &AccessConfig, listeners: Vec<ListenerAccess>) -> Result<Self, Vec<LoadFault>> {
        let counters = Arc::new(AccessCounters::default());
        let loaded = Loaded::load(config, listeners, Arc::clone(&counters))?;
        Ok(Self { loaded: RwLock::new(Arc::new(loaded)), counters })
    }

    /// Loads everything again. Clients that come in from here on are measured by it; those that are in keep what they
    /// were allowed until they come back. With a fault, nothing changes.
    ///
    /// # Errors
    ///
    /// Every fault of every file.
    pub fn reload(
        &self,
        config: &AccessConfig,
        listeners: Vec<ListenerAccess>,
    ) -> Result<(), Vec<LoadFault>> {
        let loaded = Arc::new(Loaded::load(config, listeners, Arc::clone(&self.counters))?);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Judges a client. May take as long as a password, the hook and their queues take, and does not block meanwhile.
    pub async fn authenticate(&self, now: Now, peer: Option<IpAddr>, credentials: Credentials) -> Verdict {
        let loaded = Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner));
        let judged = loaded.judge(now, peer, &credentials).await;
        judged.map_or_else(
            |refusal| self.refused(&credentials, &refusal),
            |(by, permissions, expires)| self.accepted(&credentials, by, permissions, expires, None),
        )
    }

    /// Takes one step of enhanced authentication (4.12). `exchange` is what the last step left to be gone on with.
    pub fn take_step(
        &self,
        credentials: &Credentials,
        step: &AuthenticationStep,
        exchange: &mut Option<AwaitProof>,
    ) -> Verdict {
        let loaded = Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner));
        let former = exchange.take().filter(|_| !step.begins);
        match loaded.judge_step(credentials, step, former) {
            Ok(Step::More(next, data)) => {
                *exchange = Some(next);
                Verdict::Continue { data: data.into() }
            }
            Ok(Step::Proven(permissions, data)) => {
                self.accepted(credentials, Authenticator::Password, permissions, None, Some(data.into()))
            }
            Err(refusal) => self.refused(credentials, &refusal),
        }
    }

    fn accepted(
        &self,
        credentials: &Credentials,
        by: Authenticator,
        permissions: ClientPermissions,
        expires: Option<WallTime>,
        data: Option<Bytes>,
    ) -> Verdict {
        count(self.counters.of_acceptance(by));
        debug!(client = name_of(credentials), by = by.name(), "client accepted");
        Verdict::Accepted { permissions: Arc::new(permissions), expires, data }
    }

    fn refused(&self, credentials: &Credentials, refusal: &Refusal) -> Verdict {
        count(self.counters.of_refusal(refusal.reason()));
        debug!(client = name_of(credentials), reason = ?refusal.reason(), cause = %refusal, "client refused");
        Verdict::Refused(refusal.reason())
    }

    /// What was decided so far.
    pub fn counters(&self) -> &AccessCounters {
        &self.counters
    }
}

impl Loaded {
    async fn judge(
        &self,
        now: Now,
        peer: Option<IpAddr>,
        credentials: &Credentials,
    ) -> Result<(Authenticator, ClientPermissions, Option<WallTime>), Refusal> {
        let listener = self.listener_of(credentials)?;
        let (by, proof) = self.first_that_knows(now, peer, listener, credentials).await?;
        let expires = proof.expires;
        Ok((by, self.permissions(listener, credentials, proof)?, expires))
    }

    /// The next step of a client's exchange: the password file knows SCRAM-SHA-256, and nobody knows another method.
    fn judge_step(
        &self,
        credentials: &Credentials,
        step: &AuthenticationStep,
        exchange: Option<AwaitProof>,
    ) -> Result<Step, Refusal> {
        let listener = self.listener_of(credentials)?;
        let is_offered =
            step.method == scram::METHOD && listener.authentication.contains(&Authenticator::Password);
        let passwords = self.passwords.as_ref().filter(|_| is_offered).ok_or(Refusal::UnknownMethod)?;
        let data = step.data.as_deref().unwrap_or_default();
        let Some(exchange) = exchange else {
            let lookup = |user: &str| passwords.scram_keys(user);
            let begun = AwaitProof::begin(data, &scram::nonce(), scram::secret(), lookup);
            return begun.map(|(exchange, answer)| Step::More(exchange, answer)).map_err(Refusal::Scram);
        };
        let proven = exchange.prove(data).map_err(Refusal::Scram)?;
        let proof = Proof { username: Some(proven.username), ..Proof::default() };
        Ok(Step::Proven(self.permissions(listener, credentials, proof)?, proven.server_final))
    }

    fn listener_of(&self, credentials: &Credentials) -> Result<&ListenerAccess, Refusal> {
        let ListenerKey(key) = credentials.listener;
        self.listeners.get(usize::from(key)).ok_or(Refusal::UnknownListener)
    }

    fn permissions(
        &self,
        listener: &ListenerAccess,
        credentials: &Credentials,
        proof: Proof,
    ) -> Result<ClientPermissions, Refusal> {
        let subject = Subject {
            listener: listener.name.clone(),
            client_id: credentials.client_id.as_ref().map(|id| id.as_str().to_owned()),
            username: proof.username,
            identity: credentials.identity.clone(),
        };
        check_client_id(listener.client_id, &subject)?;
        let rules = match listener.acl {
            AclChoice::File => &self.acl,
            AclChoice::Open => &self.open,
        };
        Ok(ClientPermissions { acl: rules.compile(&subject), grants: proof.grants })
    }

    async fn first_that_knows(
        &self,
        now: Now,
        peer: Option<IpAddr>,
        listener: &ListenerAccess,
        credentials: &Credentials,
    ) -> Result<(Authenticator, Proof), Refusal> {
        for &authenticator in &listener.authentication {
            let proof = match authenticator {
                Authenticator::Certificate => credentials.identity.is_some().then(Proof::default),
                Authenticator::Password => self.by_password(credentials).await?,
                Authenticator::Jwt => self.by_token(now, credentials)?,
                Authenticator::Http => self.by_hook(now, peer, &listener.name, credentials).await?,
                Authenticator::Anonymous => (!shows_secret(credentials)).then(Proof::default),
            };
            if let Some(proof) = proof {
                return Ok((authenticator, proof));
            }
        }
        Err(if shows_secret(credentials) { Refusal::NobodyKnows } else { Refusal::NothingShown })
    }

    async fn by_password(&self, credentials: &Credentials) -> Result<Option<Proof>, Refusal> {
        let (Some(passwords), Some(username), Some(password)) =
            (&self.passwords, &credentials.username, &credentials.password)
        else {
            return Ok(None);
        };
        match passwords.check(username.clone(), password.clone()).await {
            PasswordCheck::Right => Ok(Some(Proof { username: Some(username.clone()), ..Proof::default() })),
            PasswordCheck::Wrong => Err(Refusal::WrongPassword),
            PasswordCheck::UnknownUser => Ok(None),
            PasswordCheck::Busy => Err(Refusal::Busy),
        }
    }

    fn by_token(&self, now: Now, credentials: &Credentials) -> Result<Option<Proof>, Refusal> {
        let Some((place, verifier)) = &self.tokens else { return Ok(None) };
        let token = match place {
            TokenPlace::Password => credentials.password.as_deref(),
            TokenPlace::Username => credentials.username.as_ref().map(String::as_bytes),
        };
        let Some(token) = token else { return Ok(None) };
        let client_id = credentials.client_id.as_ref().map(|id| id.as_str());
        match verifier.verify(now.wall, token, client_id) {
            Ok(proof) => Ok(Some(Proof {
                username: proof.username,
                expires: Some(proof.expires),
                grants: proof.grants,
            })),
            Err(TokenFault::NoToken) => Ok(None),
            Err(fault) => Err(Refusal::Token(fault)),
        }
    }

    async fn by_hook(
        &self,
        now: Now,
        peer: Option<IpAddr>,
        listener: &str,
        credentials: &Credentials,
    ) -> Result<Option<Proof>, Refusal> {
        let Some(hook) = &self.hook else { return Ok(None) };
        match hook.ask(now, listener, peer, credentials).await {
            Ok(HookAnswer::Allow(proof)) => {
                Ok(Some(Proof { username: proof.username, expires: proof.expires, grants: proof.grants }))
            }
            Ok(HookAnswer::Deny) => Err(Refusal::HookDenies),
            Ok(HookAnswer::Ignore) => Ok(None),
            Err(fault) => {
                count(&self.counters.hook_failures);
                warn!(cause = %fault, "hook gives no answer");
                match hook.on_failure() {
                    FailurePolicy::Deny => Err(Refusal::HookFails(fault)),
                    FailurePolicy::Ignore => Ok(None),
                }
            }
        }
    }
}

impl AccessCounters {
    fn of_acceptance(&self, by: Authenticator) -> &AtomicU64 {
        match by {
            Authenticator::Certificate => &self.accepted_by_certificate,
            Authenticator::Password => &self.accepted_by_password,
            Authenticator::Jwt => &self.accepted_by_jwt,
            Authenticator::Http => &self.accepted_by_http,
            Authenticator::Anonymous => &self.accepted_anonymous,
        }
    }

    fn of_refusal(&self, reason: ReasonCode) -> &AtomicU64 {
        if reason == ReasonCode::BadUserNameOrPassword {
            &self.refused_bad_credentials
        } else if reason == ReasonCode::ClientIdentifierNotValid {
            &self.refused_client_id
        } else if matches!(reason, ReasonCode::ServerBusy | ReasonCode::ServerUnavailable) {
            &self.refused_unavailable
        } else {
            &self.refused_not_authorized
        }
    }
}

fn shows_secret(credentials: &Credentials) -> bool {
    credentials.username.is_some() || credentials.password.is_some()
}

fn check_client_id(rule: ClientIdRule, subject: &Subject) -> Result<(), Refusal> {
    let attribute = match rule {
        ClientIdRule::Any => return Ok(()),
        ClientIdRule::CommonName => Attribute::CommonName,
        ClientIdRule::Username => Attribute::Username,
    };
    let is_own = subject.client_id.as_deref().is_some_and(|id| subject.values(attribute).contains(&id));
    if is_own { Ok(()) } else { Err(Refusal::ClientId(attribute)) }
}

fn name_of(credentials: &Credentials) -> String {
    credentials.client_id.as_ref().map_or_else(|| "-".to_owned(), |id| shown(id.as_str()))
}

/// Characters of a client's text that are shown.
const SHOWN_CHARACTERS_MAX: usize = 64;

/// A text of a client's, made fit for a log: control characters escaped, and cut off where it becomes long.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
