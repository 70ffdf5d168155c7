//! PROXY protocol, version 2: a load balancer says on whose behalf it connects.
//!
//! Believed only on listeners that ask for it: whoever can reach such a listener can claim any address.

use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header, ParseError};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Prefix, version, family and length: what every header begins with.
const FIXED_BYTES: usize = 16;

/// Where the length of the rest stands in those.
const LENGTH_AT: usize = 14;

/// The longest rest taken: addresses and some extensions. Balancers send a few hundred bytes at most.
const REST_BYTES_MAX: usize = 2048;

/// Why a connection's PROXY header was not taken. The connection is closed without an answer: what follows cannot be
/// attributed to anybody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The connection ended or failed within the header.
    #[error("PROXY header was cut off: {0}")]
    Cut(#[from] std::io::Error),
    /// It says that it is longer than any that we know of.
    #[error("PROXY header announces {bytes} bytes after the fixed part, we take {REST_BYTES_MAX}")]
    TooLong {
        /// What it announces.
        bytes: usize,
    },
    /// These bytes are no header of version 2.
    #[error("not a PROXY header of version 2: {0}")]
    Malformed(ParseError),
    /// It names a peer that has no IP address.
    #[error("PROXY header names a peer without an IP address")]
    NoAddress,
}

/// Reads the header that precedes everything else on `socket`. Returns the address that it names, or `None` where the
/// balancer speaks for itself (its health checks), so that the socket's own peer holds.
///
/// # Errors
///
/// The bytes are no such header; nothing is read beyond it otherwise.
pub(crate) async fn read_header<S>(socket: &mut S) -> Result<Option<SocketAddr>, ProxyError>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = vec![0; FIXED_BYTES];
    socket.read_exact(&mut bytes).await?;
    // Judged before the rest is awaited: a peer that speaks MQTT at once is told off at once.
    match Header::try_from(&bytes[..]) {
        Ok(_) | Err(ParseError::Partial(..)) => {}
        Err(error) => return Err(ProxyError::Malformed(error)),
    }
    let rest = usize::from(u16::from_be_bytes([bytes[LENGTH_AT], bytes[LENGTH_AT + 1]]));
    if rest > REST_BYTES_MAX {
        return Err(ProxyError::TooLong { bytes: rest });
    }
    bytes.resize(FIXED_BYTES + rest, 0);
    socket.read_exact(&mut bytes[FIXED_BYTES..]).await?;
    let header = Header::try_from(&bytes[..]).map_err(ProxyError::Malformed)?;
    match (header.command, header.addresses) {
        (Command::Local, _) => Ok(None),
        (Command::Proxy, Addresses::IPv4(peer)) => {
            Ok(Some(SocketAddr::from((peer.source_address, peer.source_port))))
        }
        (Command::Proxy, Addresses::IPv6(peer)) => {
            Ok(Some(SocketAddr::from((peer.source_address, peer.source_port))))
        }
        (Command::Proxy, Addresses::Unix(_) | Addresses::Unspecified) => Err(ProxyError::NoAddress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn header(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [PREFIX, &[version_command, family], &length, rest].concat()
    }

    async fn read(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxyError>, &[u8]) {
        let peer = read_header(&mut bytes).await;
        (peer, bytes)
    }

    #[tokio::test]
    async fn the_named_peer_is_taken_and_nothing_after_the_header_is_read() {
        let mut bytes = header(0x21, 0x11, &[192, 0, 2, 7, 192, 0, 2, 1, 0xC0, 0x01, 0x07, 0x5B]);
        bytes.extend_from_slice(b"\x10\x0c");
        let (peer, left) = read(&bytes).await;
        assert_eq!(peer.unwrap(), Some("192.0.2.7:49153".parse().unwrap()));
        assert_eq!(left, b"\x10\x0c");
    }

    #[tokio::test]
    async fn an_ipv6_peer_with_extensions_behind_the_addresses_is_taken() {
        let mut rest = vec![0; 36];
        rest[15] = 1;
        rest[33] = 80;
        rest.extend_from_slice(&[0x04, 0, 1, 0]);
        let bytes = header(0x21, 0x21, &rest);
        let (peer, left) = read(&bytes).await;
        assert_eq!(peer.unwrap(), Some("[::1]:80".parse().unwrap()));
        assert!(left.is_empty());
    }

    #[tokio::test]
    async fn a_balancer_that_speaks_for_itself_keeps_its_own_address() {
        assert_eq!(read(&header(0x20, 0x00, &[])).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn plain_mqtt_is_refused_without_waiting_for_more() {
        let (peer, _) = read(b"\x10\x1a\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00\x00\x00").await;
        assert!(matches!(peer, Err(ProxyError::Malformed(ParseError::Prefix))), "{peer:?}");
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_it_is_buffered() {
        let mut bytes = header(0x21, 0x11, &[]);
        bytes[LENGTH_AT] = 0xFF;
        let (peer, _) = read(&bytes).await;
        assert!(matches!(peer, Err(ProxyError::TooLong { bytes: 65_280 })), "{peer:?}");
    }

    #[tokio::test]
    async fn a_header_cut_anywhere_is_an_error() {
        let bytes = header(0x21, 0x11, &[192, 0, 2, 7, 192, 0, 2, 1, 0xC0, 0x01, 0x07, 0x5B]);
        for end in 0..bytes.len() {
            assert!(matches!(read(&bytes[..end]).await.0, Err(ProxyError::Cut(_))), "cut at {end}");
        }
    }

    #[tokio::test]
    async fn version_command_family_and_addresses_are_checked() {
        for bytes in [
            header(0x11, 0x11, &[0; 12]),
            header(0x22, 0x11, &[0; 12]),
            header(0x21, 0x41, &[0; 12]),
            header(0x21, 0x11, &[0; 4]),
        ] {
            assert!(matches!(read(&bytes).await.0, Err(ProxyError::Malformed(_))));
        }
        assert!(matches!(read(&header(0x21, 0x00, &[])).await.0, Err(ProxyError::NoAddress)));
    }
}
