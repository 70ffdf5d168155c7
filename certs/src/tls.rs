//! rustls configurations for both ends, with ring named at each place and no process-wide default.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::{CertsError, Credentials};

/// One for the whole process: a fleet has a configuration per device.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// Which versions of TLS a configuration speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersions {
    /// TLS 1.3 alone: what QUIC needs.
    Only13,
    /// TLS 1.2 and 1.3: for devices that are out there already.
    From12,
}

/// Whether a server asks its clients for certificates.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// It does not ask.
    None,
    /// A client may show one; if it does, one of these roots must vouch for it.
    Optional(Arc<RootCertStore>),
    /// A client must show one that one of these roots vouches for.
    Required(Arc<RootCertStore>),
}

/// A server's configuration. `alpn` is in the server's order of preference; empty means that ALPN is not used.
///
/// # Errors
///
/// A key that is unusable or of another certificate; roots without which clients cannot be verified.
pub fn server_config(
    versions: TlsVersions,
    credentials: Credentials,
    client_auth: ClientAuth,
    alpn: &[&[u8]],
) -> Result<ServerConfig, CertsError> {
    certified(&credentials)?;
    let builder =
        ServerConfig::builder_with_provider(PROVIDER.clone()).with_protocol_versions(versions.supported())?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, PROVIDER.clone());
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
        ClientAuth::Required(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, PROVIDER.clone());
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_single_cert(credentials.chain, credentials.key)?;
    config.alpn_protocols = owned(alpn);
    Ok(config)
}

/// A client's configuration. `credentials` is what it shows to a server that asks.
///
/// # Errors
///
/// A key that is unusable or of another certificate.
pub fn client_config(
    versions: TlsVersions,
    roots: Arc<RootCertStore>,
    credentials: Option<Credentials>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, CertsError> {
    let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(versions.supported())?
        .with_root_certificates(roots);
    let mut config = match credentials {
        Some(credentials) => {
            certified(&credentials)?;
            builder.with_client_auth_cert(credentials.chain, credentials.key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = owned(alpn);
    Ok(config)
}

/// The credentials as rustls uses them, if key and certificate belong together.
pub(crate) fn certified(credentials: &Credentials) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(credentials.chain.clone(), credentials.key.clone_key(), &PROVIDER)
}

/// Fills with random bytes of the operating system.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), CertsError> {
    PROVIDER.secure_random.fill(bytes).map_err(|_| CertsError::Randomness)
}

impl TlsVersions {
    fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Only13 => ONLY_13,
            Self::From12 => FROM_12,
        }
    }
}

static ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static FROM_12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.to_vec()).collect()
}

#[cfg(test)]
mod tests;
