//! Files to access control: everything is read and checked, and all faults are told at once.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tracing::warn;

use super::acl::Acl;
use super::hook::{Hook, HookSettings};
use super::password::{PasswordFile, Passwords};
use super::token::TokenVerifier;
use super::token::keys::KeySet;
use super::{AccessCounters, Loaded};
use crate::config::{AccessConfig, HttpConfig, JwtConfig, ListenerAccess};

/// Largest file that is read, in bytes. A larger one is a fault.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Others than the owner and the group may read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// What is wrong with a file that the configuration names.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{key} = {path:?}: {problem}")]
pub struct LoadFault {
    /// The key of the configuration.
    pub key: &'static str,
    /// The file that it names.
    pub path: String,
    /// What is wrong there, with its line where there is one.
    pub problem: String,
}

impl Loaded {
    /// Loads all that the configuration names, or tells every fault of every file.
    pub(super) fn load(
        config: &AccessConfig,
        listeners: Vec<ListenerAccess>,
        counters: Arc<AccessCounters>,
    ) -> Result<Self, Vec<LoadFault>> {
        let mut faults = Faults(Vec::new());
        let passwords = config.password_file.as_deref().and_then(|path| {
            faults.file("access.password_file", path, PasswordFile::parse).map(Passwords::new)
        });
        if let Some(path) = &config.password_file {
            warn_if_open(path);
        }
        let acl =
            config.acl_file.as_deref().and_then(|path| faults.acl(path, &listeners)).unwrap_or_default();
        let tokens =
            config.jwt.as_ref().and_then(|jwt| faults.verifier(jwt).map(|verifier| (jwt.token_in, verifier)));
        let hook = config.http.as_ref().and_then(|http| faults.hook(http));
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        Ok(Self { listeners, acl, open: Acl::open(), passwords, tokens, hook, counters })
    }
}

/// What was wrong so far.
struct Faults(Vec<LoadFault>);

impl Faults {
    fn push(&mut self, key: &'static str, path: &Path, problem: impl Display) {
        let path = path.display().to_string();
        self.0.push(LoadFault { key, path, problem: problem.to_string() });
    }

    fn file<T, P: Display>(
        &mut self,
        key: &'static str,
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, Vec<P>>,
    ) -> Option<T> {
        match read(path).map(|text| parse(&text)) {
            Ok(Ok(parsed)) => Some(parsed),
            Ok(Err(problems)) => {
                problems.iter().for_each(|problem| self.push(key, path, problem));
                None
            }
            Err(problem) => {
                self.push(key, path, problem);
                None
            }
        }
    }

    fn acl(&mut self, path: &Path, listeners: &[ListenerAccess]) -> Option<Acl> {
        const KEY: &str = "access.acl_file";
        let acl = self.file(KEY, path, Acl::parse)?;
        for (line, name) in acl.listeners() {
            if !listeners.iter().any(|listener| listener.name == name) {
                let names: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
                self.push(
                    KEY,
                    path,
                    format!("line {line}: there is no listener `{name}`; there are {}", names.join(", ")),
                );
            }
        }
        Some(acl)
    }

    fn verifier(&mut self, jwt: &JwtConfig) -> Option<TokenVerifier> {
        Some(TokenVerifier {
            keys: self.file("access.jwt.jwks_file", &jwt.jwks_file, KeySet::parse)?,
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
            leeway: jwt.leeway,
            username_claim: jwt.username_claim.clone(),
            client_id_claim: jwt.client_id_claim.clone(),
        })
    }

    fn hook(&mut self, http: &HttpConfig) -> Option<Hook> {
        const KEY: &str = "access.http.ca_file";
        let mut roots = RootCertStore::empty();
        if let Some(path) = &http.ca_file {
            roots = self.file(KEY, path, |text| certificates(text).map_err(|problem| vec![problem]))?;
        }
        let settings = HookSettings {
            url: http.url.clone(),
            roots,
            timeout: http.timeout,
            concurrency: usize::from(http.concurrency),
            on_failure: http.on_failure,
            cache_ttl: http.cache_ttl,
            cache_entries: usize::try_from(http.cache_entries).unwrap_or(usize::MAX),
        };
        match Hook::new(settings) {
            Ok(hook) => Some(hook),
            Err(error) => {
                self.push("access.http.url", Path::new(&http.url.to_string()), error);
                None
            }
        }
    }
}

fn certificates(text: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("is no PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(roots) }
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("has {size} bytes, we allow {FILE_BYTES_MAX}"));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: is not UTF-8")
    })
}

fn warn_if_open(path: &Path) {
    if fs::metadata(path).is_ok_and(|file| file.mode() & READABLE_BY_OTHERS != 0) {
        warn!(file = %path.display(), "password file can be read by every user of this machine; chmod o-r closes it");
    }
}
