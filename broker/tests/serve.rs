//! `rivulet serve` and `rivulet check` as a person or a service manager meets them: output, log, signals, exit codes.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

const CONNECT: &[u8] = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06device";

fn rivulet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rivulet"));
    command.args(arguments).env_remove("RIVULET_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    rivulet(arguments).output().unwrap()
}

/// A broker that runs without a configuration, on free ports.
struct Served {
    child: Child,
    folder: TempDir,
    tcp: SocketAddr,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let out = fs::File::create(folder.path().join("out")).unwrap();
        let child = rivulet(&["serve", "--data-dir", folder.path().join("data").to_str().unwrap()])
            .env("RIVULET__LISTENER__0__ADDRESS", "127.0.0.1:0")
            .env("RIVULET__LISTENER__1__ADDRESS", "127.0.0.1:0")
            .stdout(out)
            .stderr(log)
            .spawn()
            .unwrap();
        let mut served = Self { child, folder, tcp: ([127, 0, 0, 1], 0).into() };
        let line = served.log_line("transport=tcp address=");
        served.tcp = line.rsplit('=').next().unwrap().trim().parse().unwrap();
        served
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a line of the log.
    fn log_line(&self, part: &str) -> String {
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if let Some(line) = self.log().lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
            thread::sleep(PAUSE);
        }
        panic!("no line with {part:?} in:\n{}", self.log());
    }

    /// Sends a signal and waits for the exit code.
    fn stop(&mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Ended already in a test that succeeds.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn without_a_configuration_it_makes_what_it_needs_and_prints_the_commands_that_work_next() {
    let served = Served::start();
    served.log_line("transport=tcp address=");
    let out = (0..100).find_map(|_| {
        let out = fs::read_to_string(served.path("out")).unwrap();
        if out.contains("Ctrl-C") {
            return Some(out);
        }
        thread::sleep(PAUSE);
        None
    });
    let out = out.expect("the commands");
    for part in [
        "pub --url quic://127.0.0.1:",
        "sub --url quic://127.0.0.1:",
        "mosquitto_pub -h 127.0.0.1 -p ",
        "mosquitto_sub",
    ] {
        assert!(out.contains(part), "{part:?} in:\n{out}");
    }
    let line = out.lines().find(|line| line.contains(" pub --url")).unwrap();
    for option in ["--cafile", "--cert", "--key"] {
        let path = line.split(' ').skip_while(|word| *word != option).nth(1).unwrap();
        assert!(Path::new(path).is_file(), "{option} {path}");
    }
}

#[test]
fn every_connection_leaves_one_line_whatever_became_of_it() {
    let served = Served::start();
    let mut ports = Vec::new();
    let silent = TcpStream::connect(served.tcp).unwrap();
    ports.push((silent.local_addr().unwrap(), "client=\"-\"", "closed by the peer"));
    drop(silent);
    let mut garbage = TcpStream::connect(served.tcp).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    garbage.read_to_end(&mut Vec::new()).unwrap();
    ports.push((garbage.local_addr().unwrap(), "client=\"-\"", "malformed"));
    let mut polite = TcpStream::connect(served.tcp).unwrap();
    polite.write_all(CONNECT).unwrap();
    polite.read_exact(&mut [0; 4]).unwrap();
    polite.write_all(b"\xe0\x00").unwrap();
    polite.read_to_end(&mut Vec::new()).unwrap();
    ports.push((polite.local_addr().unwrap(), "client=\"device\"", "client disconnected"));
    for (peer, client, cause) in ports {
        let peer = format!("peer={peer}");
        let line = served.log_line(&peer);
        assert!(line.contains("connection closed") && line.contains("transport=tcp"), "{line}");
        assert!(line.contains(client) && line.contains(cause), "{client} and {cause} in: {line}");
        let lines = served.log().lines().filter(|line| line.contains(&peer)).count();
        assert_eq!(lines, 1, "{}", served.log());
    }
}

#[test]
fn terminate_and_interrupt_end_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let mut served = Served::start();
        let mut client = TcpStream::connect(served.tcp).unwrap();
        client.write_all(CONNECT).unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(served.stop(signal), Some(0), "{}", served.log());
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "closed in order, not reset");
    }
}

#[test]
fn hangup_leaves_clients_connected() {
    let served = Served::start();
    let mut client = TcpStream::connect(served.tcp).unwrap();
    client.write_all(CONNECT).unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    Command::new("kill").args(["-HUP", &served.child.id().to_string()]).status().unwrap();
    served.log_line("reloaded");
    client.write_all(b"\xc0\x00").unwrap();
    let mut pingresp = [0; 2];
    client.read_exact(&mut pingresp).unwrap();
    assert_eq!(pingresp, [0xd0, 0]);
}

#[test]
fn a_port_in_use_is_named_and_ends_it_with_1() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = rivulet(&["serve", "--data-dir", folder.path().to_str().unwrap()])
        .env("RIVULET__LISTENER__0__ADDRESS", "127.0.0.1:0")
        .env("RIVULET__LISTENER__1__ADDRESS", &address)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("cannot listen on {address} (tcp): the port is in use")), "{text}");
}

#[test]
fn two_brokers_do_not_share_a_data_directory() {
    let served = Served::start();
    let output = rivulet(&["serve", "--data-dir", served.path("data").to_str().unwrap()])
        .env("RIVULET__LISTENER__0__ADDRESS", "127.0.0.1:0")
        .env("RIVULET__LISTENER__1__ADDRESS", "127.0.0.1:0")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another broker runs in it"), "{text}");
}

#[test]
fn a_bad_configuration_is_told_whole_and_ends_both_commands_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    fs::write(&file, "data_dri = 'x'\n[limits]\nconnections = 0\n").unwrap();
    let path = file.to_str().unwrap();
    for command in ["serve", "check"] {
        let output = run(&[command, "--config", path]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {text}");
        assert!(text.contains("data_dri: unknown key; did you mean data_dir?"), "{command}: {text}");
        assert!(
            text.contains("limits.connections = 0: must be a whole number from 1 to"),
            "{command}: {text}"
        );
    }
    let missing = run(&["check", "--config", "/nowhere/rivulet.toml"]);
    assert_eq!(missing.status.code(), Some(78));
}

#[test]
fn a_good_configuration_is_ok() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rivulet.toml");
    let output = run(&["check", "--config", example]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"ok\n");
}

#[test]
fn a_wrong_option_ends_it_with_2() {
    assert_eq!(run(&["serve", "--no-such-option"]).status.code(), Some(2));
}
