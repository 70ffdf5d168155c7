//! Certificates of the listeners: the operator's, or those that the broker makes in its data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quinn::Connection;
use rivulet_certs::authority::{AUTHORITY_CERTIFICATE, server_names};
use rivulet_certs::{Authority, CertsError, ClientAuth, Credentials, PairPaths, TlsVersions};
use rivulet_core::input::Identity;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use crate::clock;
use crate::config::{Alpn, ClientCertificate, Config, TlsConfig, TlsMinimum};

const CERTIFICATES: &str = "certs";
const DEVICES: &str = "devices";
const SERVER: &str = "server";
const DEMO_DEVICE: &str = "demo";

/// A server certificate with less left than this is made anew at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The broker's own authority in the data directory, and what it has issued.
#[derive(Debug)]
pub struct OwnCertificates {
    authority: Authority,
    /// The authority's certificate: what clients trust.
    pub ca: PathBuf,
    /// The server's certificate and key.
    pub server: PairPaths,
    /// The certificate and key of a device to try things out with.
    pub demo_device: PairPaths,
}

impl OwnCertificates {
    /// Whether a listener of this configuration uses them.
    pub fn are_needed(config: &Config) -> bool {
        config.listeners.iter().filter_map(|listener| listener.tls.as_ref()).any(|tls| {
            let asks = tls.client_certificate != ClientCertificate::None;
            tls.server.is_none() || (asks && tls.client_ca.is_none())
        })
    }

    /// Opens what is there and makes what is not. A certificate of another authority, one for other names and one
    /// that ends within 30 days are made anew.
    pub fn open_or_create(data_dir: &Path) -> Result<Self, CertsError> {
        let now = clock::wall();
        let folder = data_dir.join(CERTIFICATES);
        let devices = folder.join(DEVICES);
        let authority = Authority::open_or_create(&folder, now)?;
        let judge = Judge::new(&authority)?;
        let server = pair(&folder, SERVER);
        let names = server_names();
        if !judge.is_server_usable(&server, &names) {
            authority.issue_server(&names, now)?.write_pair(&folder, SERVER)?;
        }
        let demo_device = pair(&devices, DEMO_DEVICE);
        if !judge.is_device_usable(&demo_device) {
            authority.issue_device(DEMO_DEVICE, now)?.write_pair(&devices, DEMO_DEVICE)?;
        }
        let ca = folder.join(AUTHORITY_CERTIFICATE);
        Ok(Self { authority, ca, server, demo_device })
    }

    /// The authority, to make further devices with.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// The TLS configuration of one listener.
pub(crate) fn server_config(
    config: &TlsConfig,
    own: Option<&OwnCertificates>,
) -> Result<rustls::ServerConfig, CertsError> {
    let credentials = match (&config.server, own) {
        (Some(files), _) => Credentials::load(&files.certificate, &files.key)?,
        (None, Some(own)) => Credentials::load(&own.server.chain, &own.server.key)?,
        (None, None) => return Err(no_certificate("server certificate")),
    };
    let roots = || match (&config.client_ca, own) {
        (Some(path), _) => rivulet_certs::load_roots(path),
        (None, Some(own)) => own.authority.roots(),
        (None, None) => Err(no_certificate("authority for client certificates")),
    };
    let client_auth = match config.client_certificate {
        ClientCertificate::Required => ClientAuth::Required(roots()?),
        ClientCertificate::Optional => ClientAuth::Optional(roots()?),
        ClientCertificate::None => ClientAuth::None,
    };
    let versions = match config.tls_minimum {
        TlsMinimum::V1_2 => TlsVersions::From12,
        TlsMinimum::V1_3 => TlsVersions::Only13,
    };
    let alpn: Vec<&[u8]> = config.alpn.iter().copied().map(Alpn::name).collect();
    let mut tls = rivulet_certs::server_config(versions, credentials, client_auth, &alpn)?;
    // A resumed session would skip the check of the client's certificate.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

/// What is wrong with the files of a listener, without the certificates that a start would make.
pub(crate) fn problems(config: &TlsConfig) -> Vec<CertsError> {
    let server =
        config.server.as_ref().map(|files| Credentials::load(&files.certificate, &files.key).map(drop));
    let ca = config.client_ca.as_ref().map(|path| rivulet_certs::load_roots(path).map(drop));
    [server, ca].into_iter().flatten().filter_map(Result::err).collect()
}

/// Whom the peer has proven to be. `None`: it showed no certificate.
pub(crate) fn peer_identity(connection: &Connection) -> Result<Option<Identity>, CertsError> {
    let chain =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    identity(chain.as_ref().map(|chain| chain.as_slice()))
}

/// Whom a chain of certificates, the peer's own first, says that the peer is.
pub(crate) fn identity(chain: Option<&[CertificateDer<'static>]>) -> Result<Option<Identity>, CertsError> {
    let Some(certificate) = chain.and_then(|chain| chain.first()) else {
        return Ok(None);
    };
    let identity = rivulet_certs::identity(certificate)?;
    Ok(Some(Identity {
        common_name: identity.common_name,
        serial: Some(identity.serial),
        organizational_unit: identity.organizational_unit,
        san_dns: identity.san_dns,
        san_uri: identity.san_uri,
    }))
}

fn pair(folder: &Path, stem: &str) -> PairPaths {
    PairPaths { chain: folder.join(format!("{stem}.pem")), key: folder.join(format!("{stem}.key")) }
}

/// Finds out whether what was made before still serves: as a client or a server would, some time from here.
struct Judge {
    servers: Arc<WebPkiServerVerifier>,
    devices: Arc<dyn ClientCertVerifier>,
    then: UnixTime,
}

impl Judge {
    fn new(authority: &Authority) -> Result<Self, CertsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let then = clock::wall() + RENEW_BEFORE;
        let then = then.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Ok(Self {
            servers: WebPkiServerVerifier::builder_with_provider(authority.roots()?, Arc::clone(&provider))
                .build()?,
            devices: WebPkiClientVerifier::builder_with_provider(authority.roots()?, provider).build()?,
            then: UnixTime::since_unix_epoch(then),
        })
    }

    fn is_server_usable(&self, pair: &PairPaths, names: &[String]) -> bool {
        let Some(certificate) = load(pair) else {
            return false;
        };
        let is_valid_for = |name: &String| {
            let name = ServerName::try_from(name.as_str());
            name.is_ok_and(|name| {
                self.servers.verify_server_cert(&certificate, &[], &name, &[], self.then).is_ok()
            })
        };
        names.iter().all(is_valid_for)
    }

    fn is_device_usable(&self, pair: &PairPaths) -> bool {
        load(pair).is_some_and(|it| self.devices.verify_client_cert(&it, &[], self.then).is_ok())
    }
}

/// The certificate of a pair, if both files are there and belong together.
fn load(pair: &PairPaths) -> Option<CertificateDer<'static>> {
    Credentials::load(&pair.chain, &pair.key).ok()?.chain.into_iter().next()
}

fn no_certificate(what: &str) -> CertsError {
    CertsError::Name { name: what.to_owned(), problem: "there is none" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let made = OwnCertificates::open_or_create(folder.path()).unwrap();
        let server = std::fs::read(&made.server.chain).unwrap();
        let device = std::fs::read(&made.demo_device.chain).unwrap();
        let found = OwnCertificates::open_or_create(folder.path()).unwrap();
        assert_eq!(std::fs::read(found.server.chain).unwrap(), server);
        assert_eq!(std::fs::read(found.demo_device.chain).unwrap(), device);
    }

    #[test]
    fn certificates_of_an_authority_that_is_gone_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let made = OwnCertificates::open_or_create(folder.path()).unwrap();
        let server = std::fs::read(&made.server.chain).unwrap();
        std::fs::remove_file(&made.ca).unwrap();
        std::fs::remove_file(made.ca.with_extension("key")).unwrap();
        let anew = OwnCertificates::open_or_create(folder.path()).unwrap();
        assert_ne!(std::fs::read(anew.server.chain).unwrap(), server);
    }

    #[test]
    fn a_listener_with_files_of_its_own_needs_no_authority() {
        let mut config = Config::default();
        assert!(OwnCertificates::are_needed(&config));
        config.listeners.retain(|listener| listener.tls.is_none());
        assert!(!OwnCertificates::are_needed(&config));
    }
}
