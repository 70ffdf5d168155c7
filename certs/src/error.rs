//! What can be wrong with a file or a certificate. Every text names the file, if there is one.

use std::path::PathBuf;

/// Why certificates cannot be made, loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// A file or folder cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A private key that others than its owner can read.
    #[error(
        "{}: private key has mode {mode:04o}, others can read it; make it 0600, and replace it if they may have",
        path.display()
    )]
    KeyExposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key does not belong to the certificate.
    #[error("{}: private key does not belong to the certificate in {}", key.display(), chain.display())]
    KeyMismatch {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// A name that no certificate can carry.
    #[error("name {name:?} cannot stand in a certificate: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A certificate could not be made.
    #[error("certificate for {subject:?} cannot be made: {source}")]
    Issue {
        /// For whom.
        subject: String,
        /// What the certificate library says.
        source: rcgen::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    Randomness,
    /// Bytes that are no X.509 certificate.
    #[error("certificate cannot be parsed: {problem}")]
    Certificate {
        /// Where the parser stopped.
        problem: String,
    },
    /// Certificates that TLS cannot use.
    #[error("TLS cannot use these certificates: {0}")]
    Tls(#[from] rustls::Error),
    /// Roots that cannot verify client certificates.
    #[error("client certificates cannot be verified: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}
