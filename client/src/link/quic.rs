//! MQTT on the first bidirectional stream of a QUIC connection; what its errors mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionError, TransportConfig, VarInt};
use rustls::AlertDescription;

use super::{Closer, Link};
use crate::Endpoint;

/// The shortest idle time-out of a connection. MQTT's keep alive is what watches over it; this only ends what nobody
/// watches.
pub(crate) const IDLE_TIMEOUT_MIN: Duration = Duration::from_secs(60);

/// How often QUIC itself shows that it is there, where MQTT's keep alive is off.
const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What one stream may hold unread. Larger windows let latency grow to seconds behind a slow reader.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// What a connection may hold unread, and unacknowledged towards the server.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// TLS alerts are the transport errors from 0x100 to 0x1ff (RFC 9001, 4.8).
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;

/// Everything that a QUIC connection needs but the address.
#[derive(Clone, Debug)]
pub(crate) struct QuicTarget {
    pub(crate) endpoint: Endpoint,
    pub(crate) config: quinn::ClientConfig,
    pub(crate) server_name: String,
}

/// How long a connection may be idle, given its keep alive, and who shows that it is there.
fn transport_config(keep_alive_secs: u16) -> TransportConfig {
    let mut config = TransportConfig::default();
    let keep_alive = Duration::from_secs(u64::from(keep_alive_secs));
    // Twice 65,535 s is far below the largest idle time-out, 2^62 - 1 ms.
    let idle = (keep_alive * 2).max(IDLE_TIMEOUT_MIN);
    config.max_idle_timeout(idle.try_into().ok());
    if keep_alive_secs == 0 {
        config.keep_alive_interval(Some(QUIC_KEEP_ALIVE));
    }
    config.stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES));
    config.receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES));
    config.send_window(u64::from(CONNECTION_WINDOW_BYTES));
    config
}

impl Link {
    /// MQTT over QUIC.
    pub(crate) async fn quic(target: QuicTarget, address: SocketAddr) -> Result<Self, String> {
        let endpoint =
            target.endpoint.towards(address).map_err(|error| format!("{address}: no UDP socket: {error}"))?;
        let connecting = endpoint
            .connect_with(target.config, address, &target.server_name)
            .map_err(|error| format!("{address}: {error}"))?;
        let connection = connecting.await.map_err(|error| format!("{address}: {}", problem(&error)))?;
        let (writer, reader) =
            connection.open_bi().await.map_err(|error| format!("{address}: {}", problem(&error)))?;
        Ok(Self { reader: Box::new(reader), writer: Box::new(writer), closer: Closer::Quic(connection) })
    }

    /// A configuration that the TLS library cannot use for QUIC is an error in words.
    pub(crate) fn quic_config(
        mut tls: rustls::ClientConfig,
        keep_alive_secs: u16,
    ) -> Result<quinn::ClientConfig, String> {
        if tls.alpn_protocols.is_empty() {
            tls.alpn_protocols = vec![b"mqtt".to_vec()];
        }
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls)
            .map_err(|_| "QUIC needs a TLS configuration with TLS 1.3 and AES-128-GCM".to_owned())?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config(keep_alive_secs)));
        Ok(config)
    }
}

/// What a QUIC error means to somebody who knows MQTT and certificates.
pub(super) fn problem(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TransportError(ours) => match alert(u64::from(ours.code)) {
            Some(_) => format!("TLS failed here: {}", ours.reason),
            None => format!("QUIC failed here: {ours}"),
        },
        ConnectionError::ConnectionClosed(theirs) => match alert(u64::from(theirs.error_code)) {
            Some(alert) => format!("server refused the handshake: {}", meaning(alert)),
            None => format!("server ended the QUIC connection: {theirs}"),
        },
        ConnectionError::ApplicationClosed(theirs) => {
            let reason = String::from_utf8_lossy(&theirs.reason);
            let reason = if reason.is_empty() { String::new() } else { format!(", it says {reason:?}") };
            format!("server closed the connection with code {}{reason}", theirs.error_code)
        }
        ConnectionError::TimedOut => "no answer (is anybody listening on this UDP port?)".to_owned(),
        ConnectionError::Reset => "server does not know the connection any more: it has restarted".to_owned(),
        ConnectionError::VersionMismatch => "server speaks no QUIC version of ours".to_owned(),
        ConnectionError::LocallyClosed => "closed here".to_owned(),
        ConnectionError::CidsExhausted => "no QUIC connection identifier is free".to_owned(),
    }
}

fn alert(code: u64) -> Option<AlertDescription> {
    let number = CRYPTO_ERRORS.contains(&code).then(|| code - CRYPTO_ERRORS.start())?;
    u8::try_from(number).ok().map(AlertDescription::from)
}

/// What the server means by a TLS alert, and where to look.
fn meaning(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let words = if alert == A::CertificateRequired {
        "it requires a client certificate, and we showed none"
    } else if alert == A::NoApplicationProtocol {
        "it does not speak MQTT here (ALPN)"
    } else if alert == A::UnknownCA {
        "it does not trust the authority of our certificate"
    } else if alert == A::CertificateExpired {
        "our certificate has expired, or is not valid yet"
    } else if alert == A::CertificateRevoked {
        "our certificate is revoked"
    } else if [A::BadCertificate, A::UnsupportedCertificate, A::CertificateUnknown, A::DecryptError]
        .contains(&alert)
    {
        "it does not accept our certificate"
    } else if alert == A::AccessDenied {
        "our certificate is good, but it does not let us in"
    } else {
        return format!("TLS alert {alert:?}");
    };
    format!("{words} (TLS alert {})", u8::from(alert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tls_alert_about_certificates_has_its_own_words() {
        for (number, says) in [
            (116, "it requires a client certificate, and we showed none (TLS alert 116)"),
            (48, "it does not trust the authority of our certificate (TLS alert 48)"),
            (44, "our certificate is revoked (TLS alert 44)"),
            (45, "our certificate has expired, or is not valid yet (TLS alert 45)"),
            (120, "it does not speak MQTT here (ALPN) (TLS alert 120)"),
            (80, "TLS alert InternalError"),
        ] {
            assert_eq!(meaning(alert(0x100 + number).unwrap()), says);
        }
        assert_eq!(alert(0x0a), None);
        assert_eq!(alert(0x200), None);
    }
}
