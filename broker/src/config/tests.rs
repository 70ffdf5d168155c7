use super::*;
use crate::transport::TransportKind;

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse("rivulet.toml", text, std::iter::empty())
}

fn faults(text: &str) -> Vec<String> {
    parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn without_a_file_quic_asks_for_certificates_and_tcp_listens_on_loopback() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    let [quic, tcp] = &config.listeners[..] else { panic!("two listeners, not {:?}", config.listeners) };
    assert_eq!((quic.transport, quic.address.port()), (TransportKind::Quic, 14567));
    assert_eq!(quic.tls.as_ref().unwrap().client_certificate, ClientCertificate::Required);
    assert_eq!(quic.access.authentication, [Authenticator::Certificate]);
    assert_eq!((tcp.transport, tcp.address.port()), (TransportKind::Tcp, 1883));
    assert_eq!(tcp.access.authentication, [Authenticator::Anonymous]);
    assert!(config.listeners.iter().all(|listener| listener.address.ip().is_loopback()));
}

#[test]
fn all_faults_are_told_at_once_with_key_value_and_bounds() {
    let text = r#"
        data_dir = 7
        [limits]
        connections = 0
        handshake_timeout = "2 weeks"
        maximum_packet = "1GB"
        [[listener]]
        transport = "tpc"
        address = "localhost"
        acl = "yes"
        certificate = "/nowhere/cert.pem"
    "#;
    let expected = [
        "rivulet.toml: data_dir = 7: must be a text in quotes",
        "rivulet.toml: limits.connections = 0: must be a whole number from 1 to 1000000",
        "rivulet.toml: limits.maximum_packet = \"1GB\": must be a size such as \"1MiB\" from 1KiB to 268435460B",
        "rivulet.toml: limits.handshake_timeout = \"2 weeks\": must be a duration such as \"30s\" (units: ms, s, m, h, d)",
        "rivulet.toml: listener[0].transport = \"tpc\": must be one of \"quic\", \"tcp\", \"tls\", \"ws\", \"wss\"",
        "rivulet.toml: listener[0].address = \"localhost\": must be an IP address and a port, such as \"127.0.0.1:1883\" \
         or \"[::]:1883\"",
        "rivulet.toml: listener[0].acl = \"yes\": must be one of \"file\", \"open\"",
        "rivulet.toml: listener[0].certificate = \"/nowhere/cert.pem\": not found, or not a file",
    ];
    let found = faults(text);
    for line in expected {
        assert!(found.iter().any(|fault| fault == line), "missing: {line}\nin: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_eq!(
        faults("[limits]\nconections = 5"),
        ["rivulet.toml: limits.conections: unknown key; did you mean connections?"]
    );
    assert_eq!(faults("[log]\nzzz = 5"), ["rivulet.toml: log.zzz: unknown key; known are level"]);
}

#[test]
fn each_place_that_is_no_toml_is_named_with_its_line() {
    let found = faults("data_dir = \n[limits\nconnections = = 1\n");
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("rivulet.toml:1: "), "{found:?}");
}

#[test]
fn the_environment_stands_above_the_file_and_is_named_in_its_faults() {
    let variables = |value: &str| {
        vec![
            ("RIVULET__LIMITS__CONNECTIONS".to_owned(), value.to_owned()),
            ("RIVULET__LISTENER__1__AUTHENTICATION".to_owned(), "certificate, anonymous".to_owned()),
            ("RIVULET__LISTENER__1__ADDRESS".to_owned(), "127.0.0.1:2883".to_owned()),
        ]
    };
    let config = Config::parse("f", "[limits]\nconnections = 5", variables("6").into_iter()).unwrap();
    assert_eq!(config.limits.connections_max, 6);
    assert_eq!(config.listeners[1].address.port(), 2883);
    let both = [Authenticator::Certificate, Authenticator::Anonymous];
    assert_eq!(config.listeners[1].access.authentication, both);
    let faults = Config::parse("f", "", variables("many").into_iter()).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "RIVULET__LIMITS__CONNECTIONS: limits.connections = \"many\": must be a whole number from 1 to 1000000"
    );
}

#[test]
fn the_interval_of_sys_is_a_second_at_least_or_never() {
    let interval =
        |text: &str| parse(&format!("[sys]\ninterval = {text:?}")).map(|config| config.sys_interval);
    assert_eq!(interval("1s"), Ok(Some(Duration::from_secs(1))));
    assert_eq!(interval("0s"), Ok(None));
    assert_eq!(
        faults("[sys]\ninterval = '999ms'"),
        ["rivulet.toml: sys.interval = \"999ms\": must be 0s for never, or at least 1s"]
    );
}

#[test]
fn a_rate_of_nothing_is_no_rate_and_the_highest_is_one_each_nanosecond() {
    let link = |text: &str| parse(&format!("[limits]\n{text}")).unwrap().link;
    assert_eq!(link("publish_rate = 0\nconnections_rate = 0\nflapping_connects = 0"), LinkLimits::default());
    let link = link("publish_bytes_rate = '1GB'\npublish_burst = '2s'\nconnections_rate_per_address = 5");
    let bytes = link.publish_rates.bytes.unwrap();
    assert_eq!((bytes.per_second.get(), bytes.burst), (1_000_000_000, Duration::from_secs(2)));
    assert_eq!(link.publish_rates.messages, None);
    assert_eq!(link.connection_rates.per_address.unwrap().per_second.get(), 5);
    let found = faults("[limits]\npublish_rate = 1000000001\npublish_burst = '999ms'\nflapping_ban = '25h'");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn certificates_are_not_for_plain_tcp() {
    let found = faults(
        "[[listener]]\ntransport = 'tcp'\naddress = '[::1]:1'\nacl = 'open'\nclient_certificate = 'required'",
    );
    assert_eq!(
        found,
        ["rivulet.toml: listener[0].client_certificate = \"required\": is not for transport = \"tcp\""]
    );
}

#[test]
fn a_listener_without_transport_or_address_is_a_fault() {
    assert_eq!(
        faults("[[listener]]\nacl = 'open'"),
        ["rivulet.toml: listener[0].transport: is missing", "rivulet.toml: listener[0].address: is missing"]
    );
    assert_eq!(faults("listener = []"), ["rivulet.toml: listener = []: must have from 1 to 64 elements"]);
}

#[test]
fn the_example_says_the_defaults_and_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rivulet.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let (config, document) = read("deploy/rivulet.toml", &text, std::iter::empty());
    assert_eq!(document.faults.borrow().as_slice(), []);
    assert_eq!(config, Config::default());
    for key in document.asked.borrow().iter() {
        let name = key.rsplit('.').next().unwrap();
        let stands = [format!("{name} = "), format!("[{key}]"), format!("[[{name}]]")];
        assert!(stands.iter().any(|form| text.contains(form.as_str())), "{key} is not in {path}");
    }
}

#[test]
fn keys_of_one_transport_are_refused_on_another() {
    let faults = |listener: &str| {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nauthentication = [\"anonymous\"]\nacl = \"open\"\n{listener}"
        );
        match Config::parse("f", &text, std::iter::empty()) {
            Ok(_) => String::new(),
            Err(faults) => faults.to_string(),
        }
    };
    for (listener, told) in [
        ("transport = \"quic\"\nproxy_protocol = true", "is not for transport = \"quic\""),
        ("transport = \"quic\"\ntls_minimum = \"1.2\"", "is not for transport = \"quic\""),
        ("transport = \"tls\"\nalpn = \"mqtt\"", "is for transport = \"quic\" alone"),
        ("transport = \"tls\"\npath = \"/mqtt\"", "is not for transport = \"tls\""),
        ("transport = \"ws\"\ntls_minimum = \"1.3\"", "is not for transport = \"ws\""),
        ("transport = \"ws\"\npath = \"mqtt\"", "a path such as \"/mqtt\""),
        ("transport = \"wss\"\ntls_minimum = \"1.1\"", "\"1.2\""),
    ] {
        let faults = faults(listener);
        assert!(faults.contains(told), "{listener}: {faults}");
    }
    for listener in [
        "transport = \"wss\"\npath = \"/\"",
        "transport = \"tls\"\ntls_minimum = \"1.3\"",
        "transport = \"ws\"",
    ] {
        assert_eq!(faults(listener), "");
    }
}
