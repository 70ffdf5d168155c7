//! A certificate chain with its private key, and trusted roots, from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{CertsError, tls};

/// What one end shows and proves in a handshake: its chain, holder first, and the holder's private key.
#[derive(Debug)]
pub struct Credentials {
    /// The holder's certificate, then those of its issuers; never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The holder's private key.
    pub key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Loads a chain and its key.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds something else; a key of an unknown kind; a key of another certificate.
    pub fn load(chain_path: &Path, key_path: &Path) -> Result<Self, CertsError> {
        let credentials = Self { chain: load_chain(chain_path)?, key: load_key(key_path)? };
        match tls::certified(&credentials) {
            Ok(_) => Ok(credentials),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(CertsError::KeyMismatch { chain: chain_path.to_owned(), key: key_path.to_owned() })
            }
            Err(error) => {
                Err(CertsError::File { path: key_path.to_owned(), problem: format!("unusable key: {error}") })
            }
        }
    }
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Loads all certificates of a PEM file, in their order; at least one.
///
/// # Errors
///
/// A file that cannot be read, that holds no certificate, or something that claims to be one and is not.
pub fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertsError> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| not_pem(path, "certificate", &error))?;
    if chain.is_empty() {
        return Err(not_pem(path, "certificate", &pem::Error::NoItemsFound));
    }
    for (position, certificate) in chain.iter().enumerate() {
        crate::identity(certificate).map_err(|error| CertsError::File {
            path: path.to_owned(),
            problem: format!("certificate {}: {error}", position + 1),
        })?;
    }
    Ok(chain)
}

/// Loads the first private key of a PEM file: PKCS #8, SEC1 or PKCS #1.
///
/// # Errors
///
/// A file that cannot be read or holds no private key.
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| not_pem(path, "private key", &error))
}

/// Loads the certificates of a PEM file as roots to trust.
///
/// # Errors
///
/// As [`load_chain`]; and a certificate that cannot be a root.
pub fn load_roots(path: &Path) -> Result<Arc<RootCertStore>, CertsError> {
    let mut roots = RootCertStore::empty();
    for (position, certificate) in load_chain(path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| CertsError::File {
            path: path.to_owned(),
            problem: format!("certificate {} cannot be a root: {error}", position + 1),
        })?;
    }
    Ok(Arc::new(roots))
}

fn read(path: &Path) -> Result<Vec<u8>, CertsError> {
    std::fs::read(path).map_err(|source| CertsError::Read { path: path.to_owned(), source })
}

/// Says what was looked for, and never repeats the content: it may be a private key.
fn not_pem(path: &Path, wanted: &str, error: &pem::Error) -> CertsError {
    let problem = if matches!(error, pem::Error::NoItemsFound) {
        format!("holds no {wanted} in PEM format")
    } else if matches!(error, pem::Error::MissingSectionEnd { .. }) {
        format!("a {wanted} has a BEGIN line and no END line")
    } else if matches!(error, pem::Error::Base64Decode(_)) {
        format!("a {wanted} is not valid base64")
    } else {
        format!("holds no readable {wanted}: its PEM format is broken")
    };
    CertsError::File { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::Authority;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_missing_file_is_named() {
        let path = Path::new("nowhere/server.pem");
        let error = load_chain(path).unwrap_err().to_string();
        assert!(error.starts_with("nowhere/server.pem: cannot be read: "), "{error}");
        assert!(load_key(path).unwrap_err().to_string().starts_with("nowhere/server.pem: "));
        assert!(load_roots(path).unwrap_err().to_string().starts_with("nowhere/server.pem: "));
    }

    #[test]
    fn a_file_of_something_else_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "notes.txt", "buy milk\n");
        let name = path.display();
        let lacks = |what: &str| format!("{name}: holds no {what} in PEM format");
        assert_eq!(load_chain(&path).unwrap_err().to_string(), lacks("certificate"));
        assert_eq!(load_key(&path).unwrap_err().to_string(), lacks("private key"));
    }

    #[test]
    fn a_damaged_certificate_says_how_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "-----END CERTIFICATE-----\n";
        for (name, content, says) in [
            ("cut.pem", format!("{begin}MIIB\n"), "a certificate has a BEGIN line and no END line"),
            ("odd.pem", format!("{begin}M!!B\n{end}"), "a certificate is not valid base64"),
            ("der.pem", format!("{begin}MIIB\n{end}"), "certificate 1: certificate cannot be parsed"),
        ] {
            let error = load_chain(&file(&folder, name, &content)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), now()).unwrap();
        let a = authority.issue_device("a", now()).unwrap().write_pair(folder.path(), "a").unwrap();
        let b = authority.issue_device("b", now()).unwrap().write_pair(folder.path(), "b").unwrap();
        Credentials::load(&a.chain, &a.key).unwrap();
        let error = Credentials::load(&a.chain, &b.key).unwrap_err();
        assert!(matches!(error, CertsError::KeyMismatch { .. }), "{error}");
        assert!(error.to_string().contains("b.key: private key does not belong to the certificate in"));
    }
}
