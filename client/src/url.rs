//! Where a server is: `quic://host:port` or `mqtt://host:port`.

use std::fmt;
use std::str::FromStr;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// MQTT on the first bidirectional stream of a QUIC connection.
    Quic,
    /// MQTT on a TCP connection, not encrypted.
    Tcp,
}

impl Transport {
    /// The scheme in a URL.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "mqtt",
        }
    }

    /// The port where a URL names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Quic => 14_567,
            Self::Tcp => 1_883,
        }
    }
}

/// Where a server is. Written as `quic://host:port` or `mqtt://host:port`; the port may be left out, an IPv6 address
/// stands in brackets.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Url {
    transport: Transport,
    host: String,
    port: u16,
}

/// Why a text is no URL of a server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// No `scheme://` at its beginning.
    #[error("{0:?} does not begin with quic:// or mqtt://")]
    NoScheme(String),
    /// A scheme that we do not speak.
    #[error("{url:?}: scheme {scheme:?} is not known, we speak quic and mqtt")]
    Scheme {
        /// The whole text.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// Something where nothing belongs.
    #[error("{url:?}: {part:?} cannot stand here, only host and port can")]
    Superfluous {
        /// The whole text.
        url: String,
        /// What is too much.
        part: String,
    },
    /// No host, or one that is not closed by its bracket.
    #[error("{0:?} names no host; an IPv6 address stands in brackets")]
    Host(String),
    /// A port that is no number from 1 to 65,535.
    #[error("{url:?}: port {port:?} is no number from 1 to 65535")]
    Port {
        /// The whole text.
        url: String,
        /// Its port.
        port: String,
    },
}

impl Url {
    /// The server at this host (a name or an address, without brackets) and port.
    ///
    /// # Errors
    ///
    /// An empty host, or port 0.
    pub fn new(transport: Transport, host: &str, port: u16) -> Result<Self, UrlError> {
        let url = || format!("{}://{host}:{port}", transport.scheme());
        if host.is_empty() || host.contains(['/', '[', ']', '@', ' ']) {
            return Err(UrlError::Host(url()));
        }
        if port == 0 {
            return Err(UrlError::Port { url: url(), port: port.to_string() });
        }
        Ok(Self { transport, host: host.to_owned(), port })
    }

    /// What carries the bytes.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::NoScheme(text.to_owned()));
        };
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "quic" => Transport::Quic,
            "mqtt" | "tcp" => Transport::Tcp,
            _ => return Err(UrlError::Scheme { url: text.to_owned(), scheme: scheme.to_owned() }),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#', '@']) {
            let part = if rest[at..].starts_with('@') { &rest[..=at] } else { &rest[at..] };
            return Err(UrlError::Superfluous { url: text.to_owned(), part: part.to_owned() });
        }
        let (host, port) = split_host(rest).ok_or_else(|| UrlError::Host(text.to_owned()))?;
        let port = match port {
            None => transport.default_port(),
            Some(port) => match port.parse() {
                Ok(number) if number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                Ok(_) | Err(_) => return Err(UrlError::Port { url: text.to_owned(), port: port.to_owned() }),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(UrlError::Host(text.to_owned()));
        }
        Ok(Self { transport, host: host.to_owned(), port })
    }
}

/// Host without brackets, and the port's text if there is one.
fn split_host(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        // A second colon: an IPv6 address without brackets.
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.transport.scheme();
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_transport_host_and_port() {
        for (text, transport, host, port) in [
            ("quic://localhost:14567", Transport::Quic, "localhost", 14_567),
            ("quic://localhost", Transport::Quic, "localhost", 14_567),
            ("mqtt://10.0.0.1:1884/", Transport::Tcp, "10.0.0.1", 1_884),
            ("tcp://broker.example", Transport::Tcp, "broker.example", 1_883),
            ("MQTT://[::1]:1883", Transport::Tcp, "::1", 1_883),
            ("quic://[fe80::1]", Transport::Quic, "fe80::1", 14_567),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.transport(), url.host(), url.port()), (transport, host, port), "{text}");
        }
    }

    #[test]
    fn a_url_that_is_shown_can_be_read_again() {
        for text in ["quic://localhost:14567", "mqtt://[::1]:1883"] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_fault_of_a_url_has_its_own_words() {
        for (text, says) in [
            ("localhost:1883", "does not begin with quic:// or mqtt://"),
            ("http://localhost", "scheme \"http\" is not known"),
            ("mqtt://", "names no host"),
            ("mqtt://:1883", "names no host"),
            ("mqtt://::1", "names no host"),
            ("mqtt://[::1", "names no host"),
            ("mqtt://[::1]x", "names no host"),
            ("mqtt://a b", "names no host"),
            ("mqtt://a:", "port \"\" is no number"),
            ("mqtt://a:0", "port \"0\" is no number"),
            ("mqtt://a:+80", "port \"+80\" is no number"),
            ("mqtt://a:70000", "port \"70000\" is no number"),
            ("mqtt://a/topic", "\"/topic\" cannot stand here"),
            ("mqtt://user@a", "\"user@\" cannot stand here"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
