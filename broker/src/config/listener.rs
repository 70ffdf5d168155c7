//! `[[listener]]`: where clients come in, and what they must show.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::{Table, Value};

use super::access::{self, AccessConfig, ListenerAccess};
use super::schema::Section;
use crate::transport::TransportKind;

/// The ALPN names that may be offered.
const ALPN_KNOWN: [(&str, Alpn); 1] = [("mqtt", Alpn::Mqtt)];

/// The transports by their names.
const TRANSPORTS: [(&str, TransportKind); 5] = [
    ("quic", TransportKind::Quic),
    ("tcp", TransportKind::Tcp),
    ("tls", TransportKind::Tls),
    ("ws", TransportKind::WebSocket),
    ("wss", TransportKind::SecureWebSocket),
];

/// Where WebSocket clients look for MQTT by convention.
const WEBSOCKET_PATH: &str = "/mqtt";

const NOT_FOR_QUIC: &str = "is not for transport = \"quic\"";

/// One place where clients come in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerConfig {
    /// By which transport.
    pub transport: TransportKind,
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// What it asks of its clients, and what it allows them.
    pub access: ListenerAccess,
    /// Certificates, for transports that have them.
    pub tls: Option<TlsConfig>,
    /// Whether each connection begins with a PROXY header of version 2, which says whose it is.
    pub proxy_protocol: bool,
    /// The path that clients ask for, for WebSocket.
    pub path: Option<String>,
}

/// The certificates of one listener.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsConfig {
    /// Who the broker is; `None`: the certificate that it makes in its data directory.
    pub server: Option<ServerFiles>,
    /// Whose signature makes a client's certificate valid; `None`: the authority in the data directory.
    pub client_ca: Option<PathBuf>,
    /// Whether a client must show a certificate.
    pub client_certificate: ClientCertificate,
    /// The oldest version of TLS that is spoken.
    pub tls_minimum: TlsMinimum,
    /// The application protocols to offer, the preferred one first.
    pub alpn: Vec<Alpn>,
}

/// The oldest version of TLS that a listener speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsMinimum {
    /// For devices that are out there already.
    V1_2,
    /// What QUIC needs.
    V1_3,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientCertificate {
    /// Nobody gets past the handshake without one.
    Required,
    /// One that is shown must be valid.
    Optional,
    /// None is asked for.
    None,
}

/// An application protocol of the TLS handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// MQTT as on any ordered transport, on the first bidirectional stream of the client.
    Mqtt,
}

impl Alpn {
    /// The name on the wire.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Mqtt => b"mqtt",
        }
    }
}

/// The listeners of a broker that was told nothing: loopback only.
pub(super) fn defaults() -> Value {
    let listener = |pairs: &[(&str, Value)]| {
        Value::Table(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Table>())
    };
    Value::Array(vec![
        listener(&[
            ("transport", "quic".into()),
            ("address", "127.0.0.1:14567".into()),
            ("client_certificate", "required".into()),
            ("acl", "open".into()),
        ]),
        listener(&[
            ("transport", "tcp".into()),
            ("address", "127.0.0.1:1883".into()),
            ("authentication", vec!["anonymous"].into()),
            ("acl", "open".into()),
        ]),
    ])
}

/// Reads one element of the list; `None` if it lacks what no default can stand for.
pub(super) fn read(mut section: Section<'_>, access: &AccessConfig) -> Option<ListenerConfig> {
    for required in ["transport", "address"] {
        if !section.has(required) {
            section.fault(required, "is missing");
        }
    }
    let transport = section.choice("transport", &TRANSPORTS);
    let address = section.address("address");
    let name = transport.map(|transport| transport.to_string()).unwrap_or_default();
    let access = access::read_listener(&mut section, access, &name);
    let tls = read_tls(&mut section, transport);
    let proxy_protocol = section.boolean("proxy_protocol", false);
    if proxy_protocol && transport == Some(TransportKind::Quic) {
        section.fault("proxy_protocol", NOT_FOR_QUIC);
    }
    let path = read_path(&mut section, transport);
    section.finish();
    Some(ListenerConfig { transport: transport?, address: address?, access, tls, proxy_protocol, path })
}

fn read_path(section: &mut Section<'_>, transport: Option<TransportKind>) -> Option<String> {
    let is_path = |text: &str| text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    let path =
        section.parsed("path", "a path such as \"/mqtt\"", |text| is_path(text).then(|| text.to_owned()));
    if transport?.is_websocket() {
        return Some(path.unwrap_or_else(|| WEBSOCKET_PATH.to_owned()));
    }
    if section.has("path") {
        section.fault("path", format!("is not for transport = \"{}\"", transport?));
    }
    None
}

fn read_tls(section: &mut Section<'_>, transport: Option<TransportKind>) -> Option<TlsConfig> {
    let certificate = section.file("certificate");
    let key = section.file("key");
    let client_ca = section.file("client_ca");
    let choices = [
        ("required", ClientCertificate::Required),
        ("optional", ClientCertificate::Optional),
        ("none", ClientCertificate::None),
    ];
    let client_certificate =
        section.choice("client_certificate", &choices).unwrap_or(ClientCertificate::Required);
    let minimum = section.choice("tls_minimum", &[("1.2", TlsMinimum::V1_2), ("1.3", TlsMinimum::V1_3)]);
    let alpn = section.parsed(
        "alpn",
        "a list of application protocols with commas between them: \"mqtt\"",
        parse_alpn,
    );
    let transport = transport?;
    if !transport.has_tls() {
        for key in ["certificate", "key", "client_ca", "client_certificate", "tls_minimum"] {
            if section.has(key) {
                section.fault(key, format!("is not for transport = \"{transport}\""));
            }
        }
    }
    let is_quic = transport == TransportKind::Quic;
    if !is_quic && section.has("alpn") {
        section.fault("alpn", "is for transport = \"quic\" alone");
    }
    if is_quic && minimum == Some(TlsMinimum::V1_2) {
        section.fault("tls_minimum", NOT_FOR_QUIC);
    }
    let server = read_server_files(section, certificate, key);
    transport.has_tls().then(|| TlsConfig {
        server,
        client_ca,
        client_certificate,
        tls_minimum: minimum.unwrap_or(if is_quic { TlsMinimum::V1_3 } else { TlsMinimum::V1_2 }),
        alpn: if is_quic { alpn.unwrap_or_else(|| vec![Alpn::Mqtt]) } else { Vec::new() },
    })
}

fn read_server_files(
    section: &mut Section<'_>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<ServerFiles> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ServerFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            section.fault("key", "is missing: certificate and key come together");
            None
        }
        (None, Some(_)) => {
            section.fault("certificate", "is missing: certificate and key come together");
            None
        }
    }
}

fn parse_alpn(text: &str) -> Option<Vec<Alpn>> {
    let known =
        |name: &str| ALPN_KNOWN.iter().find(|(known, _)| *known == name.trim()).map(|(_, alpn)| *alpn);
    text.split(',').map(known).collect()
}
