use std::fs;
use std::time::UNIX_EPOCH;

use super::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn authority() -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), now()).unwrap();
    (folder, authority)
}

#[test]
fn a_second_start_finds_the_same_authority() {
    let (folder, first) = authority();
    let second = Authority::open_or_create(folder.path(), now() + days(1)).unwrap();
    assert_eq!(first.certificate(), second.certificate());
    assert_eq!(first.certificate_pem(), second.certificate_pem());
    let device = second.issue_device("late", now()).unwrap();
    let issued_by_first = first.issue_device("early", now()).unwrap();
    let issuer = |issued: &Issued| {
        let (_, parsed) = x509_parser::parse_x509_certificate(issued.certificate()).unwrap();
        parsed.issuer().to_string()
    };
    assert_eq!(issuer(&device), issuer(&issued_by_first));
}

#[cfg(unix)]
#[test]
fn every_key_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, authority) = authority();
    let pair = authority.issue_device("pump", now()).unwrap().write_pair(folder.path(), "pump").unwrap();
    for key in [folder.path().join(AUTHORITY_KEY), pair.key] {
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "{}", key.display());
    }
}

#[cfg(unix)]
#[test]
fn an_authority_whose_key_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, _) = authority();
    let key = folder.path().join(AUTHORITY_KEY);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Authority::open_or_create(folder.path(), now()).unwrap_err();
    assert!(matches!(error, CertsError::KeyExposed { .. }), "{error}");
    assert!(error.to_string().contains("mode 0644"), "{error}");
}

#[test]
fn a_start_that_was_cut_off_between_key_and_certificate_is_finished() {
    let (folder, _) = authority();
    let key = fs::read(folder.path().join(AUTHORITY_KEY)).unwrap();
    fs::remove_file(folder.path().join(AUTHORITY_CERTIFICATE)).unwrap();
    Authority::open_or_create(folder.path(), now()).unwrap();
    assert_eq!(fs::read(folder.path().join(AUTHORITY_KEY)).unwrap(), key);
    Authority::open_or_create(folder.path(), now()).unwrap();
}

#[test]
fn a_certificate_without_its_key_is_an_error_that_names_the_key() {
    let (folder, _) = authority();
    fs::remove_file(folder.path().join(AUTHORITY_KEY)).unwrap();
    let error = Authority::open_or_create(folder.path(), now()).unwrap_err().to_string();
    assert!(error.contains("ca.key: cannot be read: "), "{error}");
}

#[test]
fn files_of_two_authorities_are_not_mixed() {
    let (folder, _) = authority();
    let (other, _) = authority();
    fs::copy(other.path().join(AUTHORITY_KEY), folder.path().join(AUTHORITY_KEY)).unwrap();
    let error = Authority::open_or_create(folder.path(), now()).unwrap_err();
    assert!(matches!(error, CertsError::KeyMismatch { .. }), "{error}");
}

#[test]
fn a_device_certificate_does_not_serve_as_an_authority() {
    let (folder, authority) = authority();
    let elsewhere = tempfile::tempdir().unwrap();
    let pair = authority.issue_device("pump", now()).unwrap().write_pair(folder.path(), "pump").unwrap();
    fs::copy(pair.chain, elsewhere.path().join(AUTHORITY_CERTIFICATE)).unwrap();
    fs::copy(pair.key, elsewhere.path().join(AUTHORITY_KEY)).unwrap();
    let error = Authority::open_or_create(elsewhere.path(), now()).unwrap_err().to_string();
    assert!(error.ends_with("is not the certificate of an authority"), "{error}");
}

#[test]
fn an_expired_authority_issues_nothing() {
    let (folder, _) = authority();
    let later = now() + AUTHORITY_VALIDITY + days(1);
    let error = Authority::open_or_create(folder.path(), later).unwrap_err().to_string();
    assert!(error.ends_with("the authority's certificate has expired"), "{error}");
}

#[test]
fn a_device_certificate_says_who_it_is_for() {
    let (_folder, authority) = authority();
    let issued = authority.issue_device("Pumpe 7/Süd", now()).unwrap();
    let identity = identity(issued.certificate()).unwrap();
    assert_eq!(identity.common_name.as_deref(), Some("Pumpe 7/Süd"));
    assert_eq!(identity.san_uri, ["urn:rivulet:device:Pumpe%207%2FS%C3%BCd"]);
    assert!(identity.san_dns.is_empty());
    assert_eq!(identity.organizational_unit, None);
    assert_eq!(identity.not_before, now() - CLOCK_TOLERANCE);
    assert_eq!(identity.not_after, now() + DEVICE_VALIDITY);
}

#[test]
fn no_certificate_outlives_its_authority() {
    let (folder, _) = authority();
    let late = now() + AUTHORITY_VALIDITY - days(30);
    let authority = Authority::open_or_create(folder.path(), late).unwrap();
    let issued = authority.issue_device("last", late).unwrap();
    assert_eq!(identity(issued.certificate()).unwrap().not_after, now() + AUTHORITY_VALIDITY);
}

#[test]
fn serial_numbers_are_positive_of_full_length_and_all_different() {
    let serials: std::collections::BTreeSet<_> =
        (0..100).map(|_| serial_number().unwrap().to_bytes()).collect();
    assert_eq!(serials.len(), 100);
    assert!(serials.iter().all(|bytes| bytes.len() == SERIAL_BYTES && bytes[0] & 0xc0 == 0x40));
}

#[test]
fn names_that_no_certificate_can_carry_are_refused() {
    let (folder, authority) = authority();
    for name in ["", "line\nbreak", &"x".repeat(65)] {
        assert!(matches!(authority.issue_device(name, now()), Err(CertsError::Name { .. })), "{name:?}");
    }
    authority.issue_device(&"ü".repeat(64), now()).unwrap();
    for names in [&[][..], &["not a name"], &["localhost", ""], &["host..example"]] {
        assert!(matches!(authority.issue_server(names, now()), Err(CertsError::Name { .. })), "{names:?}");
    }
    let long = format!("{}.{}.example", "a".repeat(60), "b".repeat(60));
    authority.issue_server(&[long], now()).unwrap();
    let device = authority.issue_device("pump", now()).unwrap();
    for stem in ["", ".hidden", "../escape", "a/b"] {
        let written = device.write_pair(folder.path(), stem);
        assert!(matches!(written, Err(CertsError::Name { .. })), "{stem:?}");
    }
}

#[test]
fn what_is_shown_for_debugging_holds_no_private_key() {
    let (_folder, authority) = authority();
    let issued = authority.issue_device("pump", now()).unwrap();
    let secret = issued.key_pem().lines().nth(1).unwrap().to_owned();
    let shown = format!("{issued:?} {:?} {authority:?}", issued.credentials());
    assert!(!shown.contains(&secret));
    assert!(!shown.contains("PRIVATE"));
}

#[test]
fn a_server_is_reachable_by_its_loopback_names() {
    let names = server_names();
    assert!(["localhost", "127.0.0.1", "::1"].iter().all(|name| names.iter().any(|known| known == name)));
    let (_folder, authority) = authority();
    authority.issue_server(&names, now()).unwrap();
}
