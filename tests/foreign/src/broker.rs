//! The `rivulet` binary as a child process: free ports, a folder of its own, gone with the test.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::certificates::Authority;

/// Names the binary.
const BINARY_VARIABLE: &str = "RIVULET_BIN";

/// How long is waited until it is looked again whether the broker listens.
const START_POLL: Duration = Duration::from_millis(20);

/// How often that is done: for 20 s.
const START_POLLS_MAX: usize = 1_000;

/// A port that was free a moment ago may not be any more.
const START_ATTEMPTS_MAX: usize = 3;

/// A broker that runs.
pub struct Broker {
    process: Child,
    folder: TempDir,
    authority: Authority,
    quic: SocketAddr,
    tcp: SocketAddr,
}

impl Broker {
    /// Starts one that takes certificates of its own authority on QUIC, and anybody on TCP.
    pub fn start() -> Outcome<Self> {
        let binary = binary()?;
        let mut attempt = 1;
        loop {
            match Self::start_on_free_ports(&binary) {
                Ok(broker) => return Ok(broker),
                Err(error) if attempt == START_ATTEMPTS_MAX => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Where it takes QUIC.
    pub fn quic(&self) -> SocketAddr {
        self.quic
    }

    /// Where it takes TCP.
    pub fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// Who vouches for the broker and for devices.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What the broker has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(log_path(self.folder.path())).unwrap_or_default()
    }

    fn start_on_free_ports(binary: &Path) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new()?;
        let quic = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = write_files(folder.path(), &authority, quic, tcp)?;
        let log = File::create(log_path(folder.path()))?;
        let process = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut broker = Self { process, folder, authority, quic, tcp };
        broker.wait_until_it_listens()?;
        Ok(broker)
    }

    fn wait_until_it_listens(&mut self) -> Outcome<()> {
        for _ in 0..START_POLLS_MAX {
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("the broker ended with {status}:\n{}", self.log()).into());
            }
            // A UDP port that is taken on this address is the broker's: nobody else was told of it.
            let quic_is_taken = UdpSocket::bind(self.quic).is_err();
            if quic_is_taken && TcpStream::connect(self.tcp).is_ok() {
                return Ok(());
            }
            thread::sleep(START_POLL);
        }
        Err(format!("the broker does not listen:\n{}", self.log()).into())
    }
}

/// Ends the broker. If the test has failed, says what the broker said.
impl Drop for Broker {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the broker said:\n{}", self.log());
        }
        // It may have ended by itself, which is then not what the test is about.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn binary() -> Outcome<PathBuf> {
    let path = std::env::var_os(BINARY_VARIABLE).map(PathBuf::from).ok_or_else(|| {
        format!("{BINARY_VARIABLE} does not name the rivulet binary; ./run builds it and does")
    })?;
    Ok(path.canonicalize().map_err(|error| format!("{BINARY_VARIABLE}={}: {error}", path.display()))?)
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("broker.log")
}

/// Certificates and configuration.
fn write_files(folder: &Path, authority: &Authority, quic: SocketAddr, tcp: SocketAddr) -> Outcome<PathBuf> {
    let server = authority.server()?;
    let write = |name: &str, text: &str| -> Outcome<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    };
    let client_ca = write("ca.pem", &authority.certificate())?;
    let certificate = write("server.pem", &server.certificate)?;
    let key = write("server.key", &server.key)?;
    let config = format!(
        r#"
data_dir = {data:?}

[[listener]]
transport = "quic"
address = "{quic}"
certificate = {certificate:?}
key = {key:?}
client_ca = {client_ca:?}
client_certificate = "required"
acl = "open"

[[listener]]
transport = "tcp"
address = "{tcp}"
authentication = ["anonymous"]
acl = "open"
"#,
        data = folder.join("data"),
    );
    write("rivulet.toml", &config)
}
