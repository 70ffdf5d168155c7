//! Access control from end to end: files, listeners, real clients of both versions; and the commands that edit and explain.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_certs::Authority;
use rivulet_client::{
    Client, ConnectError, Messages, Options, QoS, ReasonCode, Reconnect, RequestError, State, Version,
    message, subscription,
};
use serde_json::json;
use tempfile::TempDir;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

const ACL: &str = "\
allow subscribe topic public/#
deny  all       topic user/jane/secret/#
allow all       topic user/${username}/#
allow publish   topic dev/${client_id}/#
";

/// Runs `rivulet`, with `input` on its standard input.
fn rivulet(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rivulet"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn set_password(file: &Path, options: &[&str], user: &str, password: &str) -> Output {
    let file = file.to_str().unwrap();
    rivulet(&[&["passwd", "--password-stdin"], options, &[file, user]].concat(), password)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A broker whose clients need a password or a token, and what it reads.
struct World {
    folder: TempDir,
    issuer: Ed25519KeyPair,
}

impl World {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(),
        };
        let x = URL_SAFE_NO_PAD.encode(world.issuer.public_key());
        world.write("jwks.json", &json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string());
        world.write("acl", ACL);
        let made = set_password(&world.path("passwords"), &["-c"], "jane", "correct horse\n");
        assert!(made.status.success(), "{}", text(&made.stderr));
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    async fn start(&self) -> RunningBroker {
        start(&self.configuration()).await
    }

    fn configuration(&self) -> String {
        format!(
            "data_dir = {:?}
             [access]
             password_file = {:?}
             acl_file = {:?}
             [access.jwt]
             jwks_file = {:?}
             leeway = \"0s\"
             [[listener]]
             transport = \"tcp\"
             address = \"127.0.0.1:0\"
             authentication = [\"password\", \"jwt\"]",
            self.path("data"),
            self.path("passwords"),
            self.path("acl"),
            self.path("jwks.json"),
        )
    }

    fn token(&self, claims: &serde_json::Value) -> String {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "EdDSA"})), part(claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.issuer.sign(signed.as_bytes())))
    }
}

async fn start(configuration: &str) -> RunningBroker {
    let config = Config::parse("test", configuration, std::iter::empty());
    rivulet_broker::start(config.unwrap_or_else(|faults| panic!("{faults}"))).await.unwrap()
}

fn options(broker: &RunningBroker, username: &str, password: &str) -> Options {
    let address = broker.address(TransportKind::Tcp).unwrap();
    let options = Options::new(&format!("mqtt://{address}")).unwrap().client_id("tablet").unwrap();
    options.username(username).password(password.to_owned()).reconnect(Reconnect::Never)
}

async fn connect(broker: &RunningBroker, username: &str, password: &str) -> (Client, Messages) {
    Client::connect(options(broker, username, password)).await.unwrap()
}

async fn refusal(options: Options) -> ReasonCode {
    match Client::connect(options).await {
        Err(ConnectError::Refused { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("was let in"),
    }
}

#[tokio::test]
async fn a_client_with_the_right_password_is_let_in_and_others_are_told_why_not() {
    let world = World::new();
    let broker = world.start().await;
    for version in [Version::V3_1_1, Version::V5] {
        let options = |password| options(&broker, "jane", password).version(version);
        assert!(Client::connect(options("correct horse")).await.is_ok());
        assert_eq!(refusal(options("battery staple")).await, ReasonCode::BadUserNameOrPassword, "{version}");
    }
    let address = broker.address(TransportKind::Tcp).unwrap();
    let anonymous = Options::new(&format!("mqtt://{address}")).unwrap();
    assert_eq!(refusal(anonymous).await, ReasonCode::NotAuthorized);
    broker.shutdown().await;
}

#[tokio::test]
async fn what_the_rules_do_not_allow_is_refused_and_not_delivered() {
    let world = World::new();
    let broker = world.start().await;
    let (jane, mut messages) = connect(&broker, "jane", "correct horse").await;
    let filters = ["user/jane/#", "user/#", "#", "public/+", "$SYS/#", "$share/g/user/jane/+"];
    let wanted = filters.map(|filter| subscription(filter, QoS::AtLeastOnce).unwrap());
    let denied = ReasonCode::NotAuthorized;
    let granted = ReasonCode::GrantedQoS1;
    assert_eq!(jane.subscribe(wanted).await.unwrap(), [granted, denied, denied, granted, denied, granted]);
    let publish = async |topic: &str| match jane.publish(message(topic, "x", QoS::AtLeastOnce).unwrap()).await
    {
        Ok(_) => true,
        Err(RequestError::Closed(cause)) => panic!("{cause}"),
        Err(_) => false,
    };
    assert!(!publish("user/jane/secret/x").await);
    assert!(!publish("user/joe/x").await);
    assert!(!publish("public/x").await);
    assert!(publish("dev/tablet/x").await);
    assert!(publish("user/jane/last").await);
    let received = tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
    assert_eq!(received.message.topic.as_str(), "user/jane/last", "the first that is delivered at all");
    broker.shutdown().await;
}

#[expect(clippy::disallowed_methods, reason = "tokens and certificates expire in the world's time")]
fn world_time() -> SystemTime {
    SystemTime::now()
}

fn seconds_since_1970() -> u64 {
    world_time().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_token_names_the_user_and_narrows_the_rules() {
    let world = World::new();
    let broker = world.start().await;
    let claims = json!({"sub": "joe", "exp": seconds_since_1970() + 3_600, "publish": ["user/joe/state"]});
    let (joe, _messages) = connect(&broker, "", &world.token(&claims)).await;
    let publish = async |topic: &str| joe.publish(message(topic, "x", QoS::AtLeastOnce).unwrap()).await;
    assert!(publish("user/joe/state").await.is_ok());
    assert!(publish("user/joe/other").await.is_err(), "the rules allow it, the token does not");
    assert!(publish("user/jane/state").await.is_err());
    broker.shutdown().await;
}

#[tokio::test]
async fn the_connection_of_a_token_ends_when_the_token_expires() {
    let world = World::new();
    let broker = world.start().await;
    // On a slow machine a token may have expired before it was shown: the next one lives longer.
    let lifetimes = [2, 8, 32];
    let mut connected = None;
    let mut token = String::new();
    for lifetime in lifetimes {
        token = world.token(&json!({"sub": "joe", "exp": seconds_since_1970() + lifetime}));
        connected = Client::connect(options(&broker, "", &token)).await.ok();
        if connected.is_some() {
            break;
        }
    }
    let (joe, _messages) = connected.unwrap();
    let mut state = joe.watch();
    let ended = state.wait_for(|state| !matches!(state, State::Connected(_)));
    let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().clone();
    assert!(matches!(ended, State::Ended(_)), "{ended:?}");
    assert_eq!(refusal(options(&broker, "", &token)).await, ReasonCode::BadUserNameOrPassword);
    broker.shutdown().await;
}

/// A hook behind TLS, on a thread of its own, that lets everybody in. Gives its port.
fn hook_behind_tls(authority: &Authority) -> u16 {
    let credentials = authority.issue_server(&["localhost"], world_time()).unwrap().credentials();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(credentials.chain, credentials.key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut question = [0; 4_096];
            // Whoever does not trust the certificate goes away in the handshake.
            let Ok(1..) = stream.read(&mut question) else { continue };
            let body = r#"{"result":"allow"}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    port
}

#[tokio::test]
async fn the_hook_gets_passwords_only_if_its_certificate_is_trusted() {
    let world = World::new();
    let authority = |name: &str| Authority::open_or_create(&world.path(name), world_time()).unwrap();
    let (trusted, stranger) = (authority("trusted"), authority("stranger"));
    let port = hook_behind_tls(&trusted);
    world.write("trusted.pem", trusted.certificate_pem());
    world.write("stranger.pem", stranger.certificate_pem());
    for (ca_file, expected) in [("trusted.pem", None), ("stranger.pem", Some(ReasonCode::ServerUnavailable))]
    {
        let hook = format!(
            "[access.http]\nurl = \"https://localhost:{port}/\"\nca_file = {:?}\n",
            world.path(ca_file)
        );
        let configuration = world
            .configuration()
            .replace("[[listener]]", &format!("{hook}[[listener]]"))
            .replace("\"jwt\"", "\"http\"");
        let broker = start(&configuration).await;
        match expected {
            None => assert!(Client::connect(options(&broker, "joe", "secret")).await.is_ok()),
            Some(reason) => assert_eq!(refusal(options(&broker, "joe", "secret")).await, reason),
        }
        broker.shutdown().await;
    }
}

#[test]
fn check_tells_the_faults_of_all_files_of_the_access_control() {
    let world = World::new();
    world.write("acl", "allow all topic a/#/b\nallow all listener nowhere topic a\n");
    world.write("jwks.json", "{\"keys\":[]}");
    world.write("rivulet.toml", &world.configuration());
    let output = rivulet(&["check", "--config", world.path("rivulet.toml").to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stderr);
    assert!(told.contains("access.acl_file = ") && told.contains(": line 1: filter `a/#/b` "), "{told}");
    assert!(told.contains("access.jwt.jwks_file = ") && told.contains("holds no key"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn passwd_creates_changes_and_deletes_and_never_prints_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let name = file.to_str().unwrap();
    let missing = set_password(&file, &[], "jane", "planted-secret");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("not found; -c makes it"));
    let steps = [
        set_password(&file, &["-c"], "jane", "planted-secret\n"),
        set_password(&file, &[], "joe", "planted-secret\r\n"),
        set_password(&file, &[], "jane", "planted-secret-2"),
    ];
    for step in &steps {
        assert!(step.status.success(), "{}", text(&step.stderr));
        assert!(!(text(&step.stdout) + &text(&step.stderr)).contains("planted"));
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = fs::read_to_string(&file).unwrap();
    assert!(!lines.contains("planted"));
    let users: Vec<_> = lines.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(users, ["jane", "joe"]);
    assert!(lines.lines().all(|line| line.contains(":$argon2id$v=19$m=19456,t=2,p=1$")));

    assert_eq!(set_password(&file, &["-c"], "jane", "x").status.code(), Some(1), "there is one already");
    assert_eq!(set_password(&file, &[], "jane", "").status.code(), Some(1), "an empty password");
    assert_eq!(set_password(&file, &[], "a:b", "x").status.code(), Some(2));
    assert!(rivulet(&["passwd", "-D", name, "jane"], "").status.success());
    assert_eq!(rivulet(&["passwd", "-D", name, "jane"], "").status.code(), Some(1), "there is none any more");
    assert!(fs::read_to_string(&file).unwrap().starts_with("joe:"));
}

#[test]
fn passwd_leaves_a_file_alone_that_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    fs::write(&file, "# hand-made\njane\n").unwrap();
    let refused = set_password(&file, &[], "joe", "x");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("line 2: expected a user name"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(&file).unwrap(), "# hand-made\njane\n");
}

#[test]
fn acl_explain_names_the_deciding_line_by_its_exit_code_too() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/acl.example");
    let explain = |arguments: &[&str]| {
        let output = rivulet(&[&["acl", "explain", "--acl", example], arguments].concat(), "");
        (output.status.code().unwrap(), text(&output.stdout).lines().next().unwrap_or_default().to_owned())
    };
    let (code, first) = explain(&["--client", "m", "--cn", "meter-7", "--publish", "dev/meter-7/state"]);
    assert_eq!(code, 0);
    assert!(
        first.starts_with("allowed by line ") && first.ends_with(": publish to `dev/meter-7/state`"),
        "{first}"
    );
    let (code, first) = explain(&["--client", "m", "--cn", "meter-7", "--publish", "dev/meter-8/state"]);
    assert_eq!(
        (code, first.as_str()),
        (1, "denied, because no line matches: publish to `dev/meter-8/state`")
    );
    let (code, _) = explain(&["--client", "m", "--username", "operator", "--subscribe", "$SYS/#"]);
    assert_eq!(code, 0);
    let (code, first) = explain(&["--client", "m", "--username", "operator", "--receive", "locked/x"]);
    assert!(code == 1 && first.starts_with("denied by line "), "{first}");
    assert_eq!(explain(&["--client", "m", "--publish", "a/#"]).0, 2);
    assert_eq!(explain(&["--client", "m"]).0, 2);
}

#[test]
fn acl_explain_tells_every_fault_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl");
    fs::write(&file, "permit all topic a\nallow all topic #\nallow all topic a/#/b\n").unwrap();
    let output = rivulet(&["acl", "explain", "--acl", file.to_str().unwrap(), "--publish", "a"], "");
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stderr);
    assert!(
        told.contains(": line 1: ") && told.contains(": line 3: ") && told.lines().count() == 2,
        "{told}"
    );
}
