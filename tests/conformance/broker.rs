//! The broker under test: ours, started once for all tests; or another one that `RIVULET_CONFORMANCE_TARGET` names.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::QuicClientConfig;
use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_certs::{Credentials, TlsVersions};

use crate::scene::Transport;

/// Where the tests connect to.
pub(crate) enum UnderTest {
    Ours(Box<Ours>),
    /// Another broker, of which the TCP half is tested.
    Other(SocketAddr),
}

/// Ours, and what clients of it need: a certificate that it trusts, and its authority's.
pub(crate) struct Ours {
    broker: RunningBroker,
    tls: Arc<rustls::ClientConfig>,
    quic: quinn::ClientConfig,
}

impl UnderTest {
    pub(crate) fn speaks(&self, transport: Transport) -> bool {
        match self {
            Self::Ours(_) => true,
            Self::Other(_) => transport == Transport::Tcp,
        }
    }

    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        match self {
            Self::Ours(ours) => ours.broker.address(transport.kind()).expect("a listener for each transport"),
            Self::Other(address) => *address,
        }
    }

    fn ours(&self) -> &Ours {
        match self {
            Self::Ours(ours) => ours,
            Self::Other(_) => panic!("another broker is tested over TCP alone"),
        }
    }

    pub(crate) fn tls_client(&self) -> &Arc<rustls::ClientConfig> {
        &self.ours().tls
    }

    pub(crate) fn quic_client(&self) -> quinn::ClientConfig {
        self.ours().quic.clone()
    }
}

impl Transport {
    fn kind(self) -> TransportKind {
        match self {
            Self::Tcp => TransportKind::Tcp,
            Self::Tls => TransportKind::Tls,
            Self::WebSocket => TransportKind::WebSocket,
            Self::SecureWebSocket => TransportKind::SecureWebSocket,
            Self::Quic => TransportKind::Quic,
        }
    }
}

/// The broker under test. The first call starts it, which cannot be done within a runtime.
pub(crate) fn under_test() -> &'static UnderTest {
    static UNDER_TEST: OnceLock<UnderTest> = OnceLock::new();
    UNDER_TEST.get_or_init(|| match std::env::var("RIVULET_CONFORMANCE_TARGET") {
        Ok(target) => {
            UnderTest::Other(target.parse().expect("RIVULET_CONFORMANCE_TARGET is an address and a port"))
        }
        Err(_) => UnderTest::Ours(Box::new(start())),
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
fn start() -> Ours {
    let directory = directory();
    fs::write(directory.join("rules"), RULES).expect("a file in a directory of ours");
    let mut text = format!(
        "data_dir = '{0}/data'\n\
         [access]\nacl_file = '{0}/rules'\n\
         [limits]\nreceive_maximum = 200\nresponse_topic_prefix = 'answers'\n",
        directory.display()
    );
    for transport in Transport::ALL {
        text += &format!(
            "[[listener]]\ntransport = '{}'\naddress = '127.0.0.1:0'\nauthentication = ['anonymous']\n",
            transport.kind()
        );
    }
    let config =
        Config::parse("conformance", &text, std::iter::empty()).unwrap_or_else(|faults| panic!("{faults}"));
    let broker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread")
        .block_on(rivulet_broker::start(config))
        .expect("the broker starts");
    let quic = client_config(&broker, &[b"mqtt"]);
    let quic = QuicClientConfig::try_from(quic).expect("TLS 1.3 has QUIC's cipher suite");
    Ours {
        tls: Arc::new(client_config(&broker, &[])),
        quic: quinn::ClientConfig::new(Arc::new(quic)),
        broker,
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
fn client_config(broker: &RunningBroker, alpn: &[&[u8]]) -> rustls::ClientConfig {
    let own = broker.own_certificates().expect("the broker has made certificates");
    let device =
        Credentials::load(&own.demo_device.chain, &own.demo_device.key).expect("a device's certificate");
    let roots = rivulet_certs::load_roots(&own.ca).expect("the authority's certificate");
    rivulet_certs::client_config(TlsVersions::Only13, roots, Some(device), alpn)
        .expect("certificates that fit")
}
