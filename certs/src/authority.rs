//! A certificate authority in a folder, which issues to servers and devices.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use crate::file::{self, Secrecy};
use crate::{CertsError, Credentials, credentials, identity, tls};

/// The file of the authority's certificate in its folder.
pub const AUTHORITY_CERTIFICATE: &str = "ca.pem";

/// The file of the authority's private key in its folder.
pub const AUTHORITY_KEY: &str = "ca.key";

/// How long an authority's certificate is valid.
pub const AUTHORITY_VALIDITY: Duration = days(3_650);

/// How long a server certificate is valid.
pub const SERVER_VALIDITY: Duration = days(397);

/// How long a device certificate is valid.
pub const DEVICE_VALIDITY: Duration = days(365);

/// How far back validity begins: a device whose clock is this late still accepts a certificate made just before.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60 * 60);

/// Bytes of a serial number. Random ones need no register of what was issued.
const SERIAL_BYTES: usize = 16;

/// The longest common name that X.520 allows.
const COMMON_NAME_CHARACTERS_MAX: usize = 64;

/// The common name of a server all of whose names are too long for one.
const UNNAMED_SERVER: &str = "Rivulet server";

/// What the URI in a device certificate begins with; the device's name follows, percent-encoded.
const DEVICE_URI_PREFIX: &str = "urn:rivulet:device:";

/// A certificate authority: its certificate, and the key that signs.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    not_after: SystemTime,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was just made, with its private key.
#[derive(Clone)]
pub struct Issued {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

/// Where a certificate chain and its private key are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PairPaths {
    /// The PEM file of the chain.
    pub chain: PathBuf,
    /// The PEM file of the key.
    pub key: PathBuf,
}

impl Authority {
    /// Opens the authority of a folder, or makes one where there is none.
    ///
    /// Two processes must not make one in the same folder at the same time: whoever owns the folder locks it.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or written; a certificate without its key; a certificate that is no authority's or
    /// whose time is over; a key of another certificate, or one that others can read.
    pub fn open_or_create(folder: &Path, now: SystemTime) -> Result<Self, CertsError> {
        let (certificate, key) = (folder.join(AUTHORITY_CERTIFICATE), folder.join(AUTHORITY_KEY));
        if certificate.exists() {
            return Self::open(&certificate, &key, now);
        }
        file::create_folder(folder)?;
        let key_pair = if key.exists() {
            // The key is written first. Without a certificate it has signed nothing: a start was cut short.
            open_key(&key)?
        } else {
            let key_pair = KeyPair::generate().map_err(|source| not_issued("authority", source))?;
            file::write(&key, key_pair.serialize_pem().as_bytes(), Secrecy::Private)?;
            key_pair
        };
        let params = authority_params(now)?;
        let made = params.self_signed(&key_pair).map_err(|source| not_issued("authority", source))?;
        file::write(&certificate, made.pem().as_bytes(), Secrecy::Public)?;
        Ok(Self {
            certificate: made.der().clone(),
            certificate_pem: made.pem(),
            not_after: now + AUTHORITY_VALIDITY,
            issuer: Issuer::new(params, key_pair),
        })
    }

    fn open(certificate_path: &Path, key_path: &Path, now: SystemTime) -> Result<Self, CertsError> {
        Credentials::load(certificate_path, key_path)?;
        let key_pair = open_key(key_path)?;
        let certificate = credentials::load_chain(certificate_path)?.swap_remove(0);
        let unfit = |problem: String| CertsError::File { path: certificate_path.to_owned(), problem };
        let not_after = identity(&certificate)?.not_after;
        if not_after < now {
            return Err(unfit("the authority's certificate has expired".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key_pair)
            .map_err(|error| unfit(format!("cannot issue certificates: {error}")))?;
        if !issuer.key_usages().contains(&KeyUsagePurpose::KeyCertSign) {
            return Err(unfit("is not the certificate of an authority".to_owned()));
        }
        let certificate_pem = std::fs::read_to_string(certificate_path)
            .map_err(|source| CertsError::Read { path: certificate_path.to_owned(), source })?;
        Ok(Self { certificate, certificate_pem, not_after, issuer })
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's own certificate as PEM: what others need in order to trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// This authority as the one root to trust.
    ///
    /// # Errors
    ///
    /// A certificate that cannot be a root.
    pub fn roots(&self) -> Result<Arc<RootCertStore>, CertsError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(Arc::new(roots))
    }

    /// Makes a key and a certificate for a server that is reached by these names: DNS names and IP addresses.
    /// See [`server_names`].
    ///
    /// # Errors
    ///
    /// No name, or one that is neither a DNS name nor an IP address.
    pub fn issue_server(&self, names: &[impl AsRef<str>], now: SystemTime) -> Result<Issued, CertsError> {
        if names.is_empty() {
            return Err(CertsError::Name { name: String::new(), problem: "a server needs at least one" });
        }
        // Clients compare the alternative names alone, so a name too long for the common name is no loss there.
        let fits = |name: &&str| (1..=COMMON_NAME_CHARACTERS_MAX).contains(&name.len());
        let subject = names.iter().map(AsRef::as_ref).find(fits).unwrap_or(UNNAMED_SERVER);
        let mut params = params(subject, now, self.end(now, SERVER_VALIDITY))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names =
            names.iter().map(|name| alternative_name(name.as_ref())).collect::<Result<_, _>>()?;
        self.sign(subject, &params)
    }

    /// Makes a key and a certificate for a device. Its name is the common name, and the end of a URI among the
    /// alternative names.
    ///
    /// # Errors
    ///
    /// A name that is empty, longer than 64 characters, or holds control characters.
    pub fn issue_device(&self, name: &str, now: SystemTime) -> Result<Issued, CertsError> {
        let mut params = params(name, now, self.end(now, DEVICE_VALIDITY))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let uri = format!("{DEVICE_URI_PREFIX}{}", percent_encoded(name));
        params.subject_alt_names =
            vec![SanType::URI(uri.try_into().map_err(|source| not_issued(name, source))?)];
        self.sign(name, &params)
    }

    /// Nothing outlives the authority that vouches for it.
    fn end(&self, now: SystemTime, validity: Duration) -> SystemTime {
        self.not_after.min(now + validity)
    }

    fn sign(&self, subject: &str, params: &CertificateParams) -> Result<Issued, CertsError> {
        let key_pair = KeyPair::generate().map_err(|source| not_issued(subject, source))?;
        let made = params.signed_by(&key_pair, &self.issuer).map_err(|source| not_issued(subject, source))?;
        Ok(Issued {
            certificate: made.der().clone(),
            certificate_pem: made.pem(),
            key_pem: key_pair.serialize_pem(),
        })
    }
}

impl Issued {
    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as PEM: a secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The certificate and its key, for a configuration in this process.
    pub fn credentials(&self) -> Credentials {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .expect("the key pair wrote this PEM text itself");
        Credentials { chain: vec![self.certificate.clone()], key }
    }

    /// Writes `{stem}.pem` and `{stem}.key` into a folder, which is made if it is not there. The key is written
    /// first and readable by its owner alone.
    ///
    /// # Errors
    ///
    /// A stem that is no plain file name; files that cannot be written.
    pub fn write_pair(&self, folder: &Path, stem: &str) -> Result<PairPaths, CertsError> {
        if stem.is_empty() || stem.starts_with('.') || stem.contains(['/', '\\', '\0']) {
            return Err(CertsError::Name { name: stem.to_owned(), problem: "it is no plain file name" });
        }
        file::create_folder(folder)?;
        let paths =
            PairPaths { chain: folder.join(format!("{stem}.pem")), key: folder.join(format!("{stem}.key")) };
        file::write(&paths.key, self.key_pem.as_bytes(), Secrecy::Private)?;
        file::write(&paths.chain, self.certificate_pem.as_bytes(), Secrecy::Public)?;
        Ok(paths)
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// By which names a client on this machine or in its network may reach a server here: the loopback names, and the
/// host's own name where it is one that a certificate can carry.
pub fn server_names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if let Ok(host) = gethostname::gethostname().into_string()
        && alternative_name(&host).is_ok()
        && !names.contains(&host)
    {
        names.push(host);
    }
    names
}

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

fn authority_params(now: SystemTime) -> Result<CertificateParams, CertsError> {
    // Names tell two authorities apart for people; keys do so for programs.
    let serial = serial_number()?;
    let name = format!("Rivulet CA {}", &serial.to_string().replace(':', "")[..8]);
    let mut params = params(&name, now, now + AUTHORITY_VALIDITY)?;
    params.serial_number = Some(serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// What all our certificates have in common.
fn params(common_name: &str, now: SystemTime, end: SystemTime) -> Result<CertificateParams, CertsError> {
    let refused = |problem| CertsError::Name { name: common_name.to_owned(), problem };
    if common_name.is_empty() {
        return Err(refused("it is empty"));
    }
    if common_name.chars().count() > COMMON_NAME_CHARACTERS_MAX {
        return Err(refused("it is longer than 64 characters"));
    }
    if common_name.contains(char::is_control) {
        return Err(refused("it holds a control character"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::from(now - CLOCK_TOLERANCE);
    params.not_after = OffsetDateTime::from(end);
    params.serial_number = Some(serial_number()?);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Random, positive and of full length.
fn serial_number() -> Result<SerialNumber, CertsError> {
    let mut bytes = [0; SERIAL_BYTES];
    tls::random(&mut bytes)?;
    // The top bit would be a sign; a set bit below it keeps the length the same for all.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn alternative_name(name: &str) -> Result<SanType, CertsError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    match rustls::pki_types::DnsName::try_from(name) {
        Ok(_) => Ok(SanType::DnsName(name.try_into().map_err(|source| not_issued(name, source))?)),
        Err(_) => Err(CertsError::Name {
            name: name.to_owned(),
            problem: "it is neither a DNS name nor an IP address",
        }),
    }
}

/// All but the unreserved characters of RFC 3986 as `%XX`.
fn percent_encoded(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

fn open_key(path: &Path) -> Result<KeyPair, CertsError> {
    file::check_private(path)?;
    let key = credentials::load_key(path)?;
    KeyPair::try_from(&key).map_err(|error| CertsError::File {
        path: path.to_owned(),
        problem: format!("holds a key that cannot sign certificates: {error}"),
    })
}

fn not_issued(subject: &str, source: rcgen::Error) -> CertsError {
    CertsError::Issue { subject: subject.to_owned(), source }
}

#[cfg(test)]
mod tests;
