//! A broker in this process, on free ports, with a data directory of its own.

use std::fmt::Write;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use rivulet_broker::{Config, OwnCertificates, RunningBroker, TransportKind};
use rivulet_certs::{Authority, Credentials, TlsVersions};
use tempfile::TempDir;

use crate::wire::{self, Wire};

/// Both transports: every test of what they share runs over each.
pub const TRANSPORTS: [TransportKind; 2] = [TransportKind::Tcp, TransportKind::Quic];

/// A broker that runs, and what a client needs for it.
#[derive(Debug)]
pub struct TestBroker {
    running: RunningBroker,
    device: quinn::ClientConfig,
    folder: TempDir,
}

impl TestBroker {
    /// With the default limits. TCP lets everybody in, QUIC whoever shows a certificate.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// With sections of a configuration beside the two listeners.
    pub async fn start_with(sections: &str) -> Self {
        let listeners = "[[listener]]\ntransport = 'tcp'\naddress = '127.0.0.1:0'\nauthentication = ['anonymous']\n\
            acl = 'open'\n\
            [[listener]]\ntransport = 'quic'\naddress = '127.0.0.1:0'\nacl = 'open'\n";
        Self::start_from(&format!("{listeners}{sections}")).await
    }

    /// With a whole configuration but for its data directory.
    pub async fn start_from(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut whole = String::new();
        writeln!(whole, "data_dir = '{}'", folder.path().display()).expect("a String takes text");
        whole.push_str(text);
        let config =
            Config::parse("test", &whole, std::iter::empty()).expect("a configuration without faults");
        let running = rivulet_broker::start(config).await.expect("the broker starts");
        let own = running.own_certificates().expect("QUIC needs certificates");
        let device = client_config(own, device(own), b"mqtt");
        Self { running, device, folder }
    }

    /// The broker itself.
    pub const fn running(&self) -> &RunningBroker {
        &self.running
    }

    /// Connects as the demo device.
    pub async fn wire(&self, transport: TransportKind) -> Wire {
        let address = self.running.address(transport).expect("a listener for each transport");
        if transport == TransportKind::Quic {
            Wire::quic(address, self.device.clone()).await
        } else {
            Wire::tcp(address).await
        }
    }

    /// Connects as the demo device, with little room for what the broker sends.
    pub async fn wire_with_little_room(&self, transport: TransportKind) -> Wire {
        let address = self.running.address(transport).expect("a listener for each transport");
        if transport == TransportKind::Quic {
            Wire::quic(address, wire::with_little_room(self.device.clone())).await
        } else {
            Wire::tcp_with_little_room(address).await
        }
    }

    /// A QUIC connection without a stream.
    pub async fn quic(&self) -> (quinn::Endpoint, quinn::Connection) {
        self.quic_with(self.device.clone()).await.expect("the broker completes the handshake")
    }

    /// A QUIC connection with a configuration of the test's own.
    pub async fn quic_with(
        &self,
        config: quinn::ClientConfig,
    ) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
        let address = self.running.address(TransportKind::Quic).expect("a QUIC listener");
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a free UDP port");
        let connecting = endpoint.connect_with(config, address, "localhost").expect("a valid name");
        Ok((endpoint, connecting.await?))
    }

    /// A client without a certificate.
    pub fn anonymous(&self) -> quinn::ClientConfig {
        client_config(self.own(), None, b"mqtt")
    }

    /// The demo device, asking for another application protocol.
    pub fn with_alpn(&self, alpn: &[u8]) -> quinn::ClientConfig {
        client_config(self.own(), device(self.own()), alpn)
    }

    /// A device with a certificate of an authority that the broker does not know.
    pub fn stranger(&self) -> quinn::ClientConfig {
        let elsewhere = self.folder.path().join("elsewhere");
        let authority = Authority::open_or_create(&elsewhere, now()).expect("another authority");
        let device = authority.issue_device("stranger", now()).expect("a certificate");
        client_config(self.own(), Some(device.credentials()), b"mqtt")
    }

    /// Ends the broker.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
    }

    fn own(&self) -> &OwnCertificates {
        self.running.own_certificates().expect("QUIC needs certificates")
    }
}

fn device(own: &OwnCertificates) -> Option<Credentials> {
    Some(Credentials::load(&own.demo_device.chain, &own.demo_device.key).expect("the demo device"))
}

fn client_config(
    own: &OwnCertificates,
    credentials: Option<Credentials>,
    alpn: &[u8],
) -> quinn::ClientConfig {
    let roots = rivulet_certs::load_roots(&own.ca).expect("the authority's certificate");
    let tls = rivulet_certs::client_config(TlsVersions::Only13, roots, credentials, &[alpn])
        .expect("certificates that fit");
    quinn::ClientConfig::new(Arc::new(
        QuicClientConfig::try_from(tls).expect("TLS 1.3 has QUIC's cipher suite"),
    ))
}

#[expect(clippy::disallowed_methods, reason = "a certificate of a test is valid at the time of the test")]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
