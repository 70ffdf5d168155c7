//! What a newcomer is told: the commands that work next.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::{OwnCertificates, RunningBroker, TransportKind};

/// What the program is called if nobody says.
const PROGRAM: &str = "rivulet";

/// The commands for a broker that runs, for a shell in the same directory.
pub(super) fn text(broker: &RunningBroker) -> String {
    let program = std::env::args().next().unwrap_or_else(|| PROGRAM.to_owned());
    let mut text = String::from("\nRivulet is running. In another terminal, in this directory:\n");
    if let (Some(address), Some(own)) = (broker.address(TransportKind::Quic), broker.own_certificates()) {
        text.push_str(&quic(&program, address, own));
    }
    if let Some(address) = broker.address(TransportKind::Tcp) {
        text.push_str(&tcp(address));
    }
    text.push_str("\nStop with Ctrl-C.\n\n");
    text
}

fn quic(program: &str, address: SocketAddr, own: &OwnCertificates) -> String {
    let program = quoted(program);
    let device = format!(
        "--url quic://{address} --cafile {} --cert {} --key {}",
        path(&own.ca),
        path(&own.demo_device.chain),
        path(&own.demo_device.key)
    );
    format!(
        "\n  over QUIC, as the demo device:\n    {program} sub {device} -t 'demo/#'\n    {program} pub {device} -t \
         demo/hello -m 'hello over QUIC' -q 1\n"
    )
}

fn tcp(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "\n  over TCP, with mosquitto's clients:\n    mosquitto_sub -h {host} -p {port} -t 'demo/#'\n    mosquitto_pub -h \
         {host} -p {port} -t demo/hello -m 'hello over TCP' -q 1\n"
    )
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for character in word.chars() {
        match character {
            '\'' => quoted.push_str(r"'\''"),
            other => quoted.write_char(other).expect("writing to a String cannot fail"),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_and_quotes_survives_a_shell() {
        assert_eq!(quoted("./rivulet-data/ca.pem"), "./rivulet-data/ca.pem");
        assert_eq!(quoted("my data/it's.pem"), r"'my data/it'\''s.pem'");
        assert_eq!(quoted(""), "''");
    }
}
