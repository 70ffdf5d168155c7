//! What a certificate says about its holder.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, AttributeTypeAndValue, FromDer, GeneralName, X509Certificate};

use crate::CertsError;

/// What a certificate says about its holder. Nothing here is verified: that is the handshake's work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The first common name of the subject.
    pub common_name: Option<String>,
    /// The first organizational unit of the subject.
    pub organizational_unit: Option<String>,
    /// The serial number: hexadecimal, lower case, two digits a byte, no separators.
    pub serial: String,
    /// DNS names among the subject's alternative names, in their order.
    pub san_dns: Vec<String>,
    /// URIs among the subject's alternative names, in their order.
    pub san_uri: Vec<String>,
    /// The first moment at which the certificate is valid.
    pub not_before: SystemTime,
    /// The last moment at which the certificate is valid.
    pub not_after: SystemTime,
}

/// Reads a certificate.
///
/// # Errors
///
/// Bytes that are no X.509 certificate, or more than one.
pub fn identity(certificate: &CertificateDer<'_>) -> Result<Identity, CertsError> {
    let (rest, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| CertsError::Certificate { problem: error.to_string() })?;
    if !rest.is_empty() {
        let problem = format!("{} bytes follow the certificate", rest.len());
        return Err(CertsError::Certificate { problem });
    }
    let mut san_dns = Vec::new();
    let mut san_uri = Vec::new();
    let alternative = parsed
        .subject_alternative_name()
        .map_err(|error| CertsError::Certificate { problem: error.to_string() })?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            san_dns.push((*name).to_owned());
        } else if let GeneralName::URI(uri) = name {
            san_uri.push((*uri).to_owned());
        }
    }
    Ok(Identity {
        common_name: first_text(parsed.subject().iter_common_name()),
        organizational_unit: first_text(parsed.subject().iter_organizational_unit()),
        serial: hexadecimal(parsed.raw_serial()),
        san_dns,
        san_uri,
        not_before: system_time(parsed.validity().not_before),
        not_after: system_time(parsed.validity().not_after),
    })
}

fn first_text<'a>(mut attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<String> {
    attributes.next().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
}

/// DER puts a zero byte before a number whose top bit is set; it is no part of the number.
fn hexadecimal(serial: &[u8]) -> String {
    let digits = match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Moments before 1970 are as good as 1970: both are long past.
fn system_time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_certificate_are_an_error_that_says_so() {
        for bytes in [&b""[..], b"\x30", b"no certificate at all", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            let error = identity(&CertificateDer::from(bytes)).unwrap_err();
            assert!(error.to_string().starts_with("certificate cannot be parsed: "), "{error}");
        }
    }

    #[test]
    fn the_sign_byte_of_a_serial_number_is_not_shown() {
        assert_eq!(hexadecimal(&[0, 0x8a, 0x01]), "8a01");
        assert_eq!(hexadecimal(&[0]), "00");
    }
}
