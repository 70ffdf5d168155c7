//! Certificates: who a server or a device is, and who vouches for it.
//!
//! | module | subject |
//! |---|---|
//! | [`authority`] | a certificate authority in a folder, which issues to servers and devices |
//! | [`credentials`] | a certificate chain with its private key, and trusted roots, from PEM files |
//! | [`mod@identity`] | what a certificate says about its holder |
//! | [`tls`] | rustls configurations for both ends |
//! | [`error`] | what can be wrong with a file or a certificate |
//!
//! All keys are ECDSA on P-256 with ring. Nothing here reads a clock: the time is an argument.
//!
//! Not here: sockets, QUIC settings, any opinion on what a device may do.

pub mod authority;
pub mod credentials;
pub mod error;
mod file;
pub mod identity;
pub mod tls;

pub use authority::{Authority, Issued, PairPaths};
pub use credentials::{Credentials, load_chain, load_key, load_roots};
pub use error::CertsError;
pub use identity::{Identity, identity};
pub use tls::{ClientAuth, TlsVersions, client_config, server_config};
