//! The broker under test: ours, started once for all tests; or another one that `RIVULET_CONFORMANCE_TARGET` names.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::QuicClientConfig;
use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_certs::Credentials;

use crate::scene::Transport;

/// Where the tests connect to.
pub(crate) struct UnderTest {
    pub(crate) tcp: SocketAddr,
    /// Absent if the broker is not ours.
    pub(crate) quic: Option<Quic>,
    /// Kept, so that it runs for as long as the tests do.
    _ours: Option<RunningBroker>,
}

impl UnderTest {
    /// Another broker is tested over TCP alone.
    pub(crate) fn speaks(&self, transport: Transport) -> bool {
        match transport {
            Transport::Tcp => true,
            Transport::Quic => self.quic.is_some(),
        }
    }
}

/// What a QUIC client needs: an address, and a configuration with a certificate that the broker trusts.
pub(crate) struct Quic {
    pub(crate) address: SocketAddr,
    pub(crate) client: quinn::ClientConfig,
}

/// The broker under test. The first call starts it, which cannot be done within a runtime.
pub(crate) fn under_test() -> &'static UnderTest {
    static UNDER_TEST: OnceLock<UnderTest> = OnceLock::new();
    UNDER_TEST.get_or_init(|| match std::env::var("RIVULET_CONFORMANCE_TARGET") {
        Ok(target) => UnderTest {
            tcp: target.parse().expect("RIVULET_CONFORMANCE_TARGET is an address and a port"),
            quic: None,
            _ours: None,
        },
        Err(_) => ours(),
    })
}

/// Who may do what: everybody everything, but for a branch where nobody may publish and one that nobody may read. Topics
/// that begin with `$` are open as well where a test needs them.
const RULES: &str = "\
    deny publish topic unwritable/#\n\
    deny subscribe topic unreadable/#\n\
    allow all topic #\n\
    allow all topic $conformance/#\n";

/// Starts ours, with everything that it has and on free ports. It knows no users, so a client that names itself is
/// refused. The receive maximum is low enough to be exceeded quickly.
fn ours() -> UnderTest {
    let directory = directory();
    fs::write(directory.join("rules"), RULES).expect("a file in a directory of ours");
    let text = format!(
        "data_dir = '{0}/data'\n\
         [access]\nacl_file = '{0}/rules'\n\
         [limits]\nreceive_maximum = 200\nresponse_topic_prefix = 'answers'\n\
         [[listener]]\ntransport = 'tcp'\naddress = '127.0.0.1:0'\nauthentication = ['anonymous']\n\
         [[listener]]\ntransport = 'quic'\naddress = '127.0.0.1:0'\nauthentication = ['anonymous']\n\
         client_certificate = 'required'\n",
        directory.display()
    );
    let config =
        Config::parse("conformance", &text, std::iter::empty()).expect("a configuration without faults");
    let broker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread")
        .block_on(rivulet_broker::start(config))
        .expect("the broker starts");
    UnderTest {
        tcp: broker.address(TransportKind::Tcp).expect("a TCP listener"),
        quic: Some(Quic {
            address: broker.address(TransportKind::Quic).expect("a QUIC listener"),
            client: client(&broker),
        }),
        _ours: Some(broker),
    }
}

/// An empty directory for each run.
fn directory() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    match fs::remove_dir_all(&path) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{}: {error}", path.display()),
    }
    fs::create_dir_all(&path).expect("a directory in cargo's own");
    path
}

/// Shows the certificate of the demo device, and trusts the broker's own authority.
fn client(broker: &RunningBroker) -> quinn::ClientConfig {
    let own = broker.own_certificates().expect("the broker has made certificates");
    let device =
        Credentials::load(&own.demo_device.chain, &own.demo_device.key).expect("a device's certificate");
    let roots = rivulet_certs::load_roots(&own.ca).expect("the authority's certificate");
    let tls =
        rivulet_certs::client_config(rivulet_certs::TlsVersions::Only13, roots, Some(device), &[b"mqtt"])
            .expect("certificates that fit");
    quinn::ClientConfig::new(Arc::new(
        QuicClientConfig::try_from(tls).expect("TLS 1.3 has QUIC's cipher suite"),
    ))
}
