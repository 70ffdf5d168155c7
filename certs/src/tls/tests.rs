//! Handshakes in memory, at a time of our choosing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::authority::{CLOCK_TOLERANCE, DEVICE_VALIDITY};
use crate::{Authority, identity};

const ALPN: &[&[u8]] = &[b"mqtt"];

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[derive(Debug)]
struct At(SystemTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

struct World {
    authority: Authority,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { authority: Authority::open_or_create(folder.path(), now()).unwrap(), _folder: folder }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        self.authority.roots().unwrap()
    }

    fn server(&self, client_auth: ClientAuth) -> ServerConfig {
        let issued = self.authority.issue_server(&["localhost", "127.0.0.1"], now()).unwrap();
        server_config(TlsVersions::From12, issued.credentials(), client_auth, ALPN).unwrap()
    }

    fn client(&self, device: Option<&str>) -> ClientConfig {
        let credentials = device.map(|name| self.authority.issue_device(name, now()).unwrap().credentials());
        client_config(TlsVersions::Only13, self.roots(), credentials, ALPN).unwrap()
    }
}

/// Shakes hands at a moment; gives the server's end, or what went wrong first.
fn handshake(
    at: SystemTime,
    mut client: ClientConfig,
    mut server: ServerConfig,
    name: &'static str,
) -> Result<ServerConnection, rustls::Error> {
    client.time_provider = Arc::new(At(at));
    server.time_provider = Arc::new(At(at));
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(server)
}

#[test]
fn a_client_trusts_the_server_by_name_and_by_address() {
    let world = World::new();
    for name in ["localhost", "127.0.0.1"] {
        let server = handshake(now(), world.client(None), world.server(ClientAuth::None), name).unwrap();
        assert_eq!(server.alpn_protocol(), Some(&b"mqtt"[..]));
        assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
}

#[test]
fn a_server_of_another_name_is_refused() {
    let world = World::new();
    let refused = handshake(now(), world.client(None), world.server(ClientAuth::None), "elsewhere.example");
    assert!(matches!(refused, Err(rustls::Error::InvalidCertificate(_))));
}

#[test]
fn a_server_of_another_authority_is_refused() {
    let (ours, theirs) = (World::new(), World::new());
    let refused = handshake(now(), ours.client(None), theirs.server(ClientAuth::None), "localhost");
    assert!(matches!(refused, Err(rustls::Error::InvalidCertificate(_))));
}

#[test]
fn a_device_proves_who_it_is() {
    let world = World::new();
    let server = world.server(ClientAuth::Required(world.roots()));
    let server = handshake(now(), world.client(Some("pump-7")), server, "localhost").unwrap();
    let shown = &server.peer_certificates().unwrap()[0];
    assert_eq!(identity(shown).unwrap().common_name.as_deref(), Some("pump-7"));
}

#[test]
fn a_device_without_a_certificate_gets_in_only_where_it_is_optional() {
    let world = World::new();
    let required = world.server(ClientAuth::Required(world.roots()));
    let refused = handshake(now(), world.client(None), required, "localhost");
    assert!(matches!(refused, Err(rustls::Error::NoCertificatesPresented)));
    let optional = world.server(ClientAuth::Optional(world.roots()));
    let server = handshake(now(), world.client(None), optional, "localhost").unwrap();
    assert!(server.peer_certificates().is_none());
}

#[test]
fn a_device_of_another_authority_is_refused() {
    let (ours, theirs) = (World::new(), World::new());
    let stranger = theirs.authority.issue_device("stranger", now()).unwrap().credentials();
    let client = client_config(TlsVersions::Only13, ours.roots(), Some(stranger), ALPN).unwrap();
    let refused = handshake(now(), client, ours.server(ClientAuth::Required(ours.roots())), "localhost");
    assert!(matches!(refused, Err(rustls::Error::InvalidCertificate(_))));
}

#[test]
fn a_server_certificate_does_not_pass_as_a_device() {
    let world = World::new();
    let posing = world.authority.issue_server(&["localhost"], now()).unwrap().credentials();
    let client = client_config(TlsVersions::Only13, world.roots(), Some(posing), ALPN).unwrap();
    let refused = handshake(now(), client, world.server(ClientAuth::Required(world.roots())), "localhost");
    assert!(matches!(refused, Err(rustls::Error::InvalidCertificate(_))));
}

#[test]
fn a_device_certificate_is_good_from_a_little_before_it_was_made_until_its_end() {
    let world = World::new();
    let at = |moment| {
        let server = world.server(ClientAuth::Required(world.roots()));
        handshake(moment, world.client(Some("pump")), server, "localhost").is_ok()
    };
    assert!(!at(now() - CLOCK_TOLERANCE - Duration::from_secs(1)));
    assert!(at(now() - CLOCK_TOLERANCE));
    assert!(at(now() + DEVICE_VALIDITY));
    assert!(!at(now() + DEVICE_VALIDITY + Duration::from_secs(1)));
}

#[test]
fn a_configuration_with_the_key_of_another_certificate_is_not_made() {
    let world = World::new();
    let mut mixed = world.authority.issue_server(&["localhost"], now()).unwrap().credentials();
    mixed.key = world.authority.issue_server(&["localhost"], now()).unwrap().credentials().key;
    let server = server_config(TlsVersions::Only13, mixed.clone(), ClientAuth::None, ALPN);
    assert!(matches!(server, Err(CertsError::Tls(rustls::Error::InconsistentKeys(_)))));
    let client = client_config(TlsVersions::Only13, world.roots(), Some(mixed), ALPN);
    assert!(matches!(client, Err(CertsError::Tls(rustls::Error::InconsistentKeys(_)))));
}
