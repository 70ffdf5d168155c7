//! The chain of authenticators, loaded from files as a broker loads it; and that no secret comes out of it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use argon2::Params;
use bytes::Bytes;
use rivulet_core::Instant;
use rivulet_core::input::Identity;
use rivulet_protocol::{ClientId, QoS, Topic, TopicFilter, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::config::{HttpConfig, JwtConfig};

/// Before the tokens of the fixture expire.
const NOW: Now = Now { instant: Instant(1), wall: WallTime(1_800_000_000_000) };
const PASSWORD: &str = "planted-password-3141592653";

/// A folder with a file of each kind.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let cheap = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        files.write(
            "passwords",
            &format!("jane:{}\n", password::edit::hash(PASSWORD.as_bytes(), &cheap).unwrap()),
        );
        files.write("acl", "allow all user jane topic jane/#\nallow all topic public/#\nallow publish topic dev/${cert.cn}/#");
        files.write("jwks", &foreign()["jwks"].to_string());
        files
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> AccessConfig {
        let jwt = JwtConfig {
            jwks_file: self.path("jwks"),
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
            token_in: TokenPlace::Password,
            username_claim: Some("sub".to_owned()),
            client_id_claim: None,
        };
        AccessConfig {
            password_file: Some(self.path("passwords")),
            acl_file: Some(self.path("acl")),
            jwt: Some(jwt),
            http: None,
        }
    }

    fn access(&self, listener: ListenerAccess) -> AccessControl {
        AccessControl::load(&self.config(), vec![listener]).unwrap()
    }
}

fn foreign() -> serde_json::Value {
    serde_json::from_str(include_str!("token/foreign.json")).unwrap()
}

fn token(algorithm: &str) -> String {
    foreign()["tokens"][algorithm].as_str().unwrap().to_owned()
}

fn listener(authentication: &[Authenticator]) -> ListenerAccess {
    ListenerAccess {
        name: "field".to_owned(),
        authentication: authentication.to_vec(),
        ..ListenerAccess::default()
    }
}

const ALL: [Authenticator; 4] =
    [Authenticator::Certificate, Authenticator::Password, Authenticator::Jwt, Authenticator::Anonymous];

fn client(username: Option<&str>, password: Option<&str>) -> Credentials {
    Credentials {
        listener: ListenerKey(0),
        version: Version::V5,
        client_id: ClientId::parse("meter-7"),
        username: username.map(str::to_owned),
        password: password.map(|password| Bytes::copy_from_slice(password.as_bytes())),
        identity: None,
        step: None,
    }
}

fn with_certificate(credentials: Credentials) -> Credentials {
    let identity = Identity { common_name: Some("meter-7".to_owned()), ..Identity::default() };
    Credentials { identity: Some(identity), ..credentials }
}

async fn reason(access: &AccessControl, credentials: Credentials) -> Option<ReasonCode> {
    match access.authenticate(NOW, None, credentials).await {
        Verdict::Accepted { .. } => None,
        Verdict::Continue { .. } => panic!("a password has no second step"),
        Verdict::Refused(reason) => Some(reason),
    }
}

async fn may_publish(access: &AccessControl, credentials: Credentials, to: &str) -> bool {
    match access.authenticate(NOW, None, credentials).await {
        Verdict::Accepted { permissions, .. } => {
            permissions.may_publish(&Topic::parse(to.to_owned()).unwrap(), QoS::AtMostOnce, false)
        }
        other @ (Verdict::Continue { .. } | Verdict::Refused(_)) => panic!("not accepted: {other:?}"),
    }
}

#[tokio::test]
async fn the_first_authenticator_that_knows_the_client_decides() {
    let files = Files::new();
    let access = files.access(listener(&ALL));
    let token = token("ES256");
    assert_eq!(reason(&access, with_certificate(client(None, None))).await, None);
    assert_eq!(reason(&access, client(Some("jane"), Some(PASSWORD))).await, None);
    assert_eq!(reason(&access, client(Some("anything"), Some(&token))).await, None);
    assert_eq!(reason(&access, client(None, Some(&token))).await, None);
    assert_eq!(reason(&access, client(None, None)).await, None);
    let counters = access.counters();
    let accepted = [
        &counters.accepted_by_certificate,
        &counters.accepted_by_password,
        &counters.accepted_by_jwt,
        &counters.accepted_anonymous,
    ];
    assert_eq!(accepted.map(|counter| counter.load(Ordering::Relaxed)), [1, 1, 2, 1]);
}

#[tokio::test]
async fn a_listener_asks_only_those_that_it_names() {
    let files = Files::new();
    let not_authorized = Some(ReasonCode::NotAuthorized);
    let nobody = files.access(listener(&[]));
    assert_eq!(reason(&nobody, with_certificate(client(None, None))).await, not_authorized);
    assert_eq!(reason(&nobody, client(None, None)).await, not_authorized);
    let certificate = files.access(listener(&[Authenticator::Certificate]));
    let bad = Some(ReasonCode::BadUserNameOrPassword);
    assert_eq!(reason(&certificate, client(Some("jane"), Some(PASSWORD))).await, bad);
    let other = Credentials { listener: ListenerKey(7), ..client(None, None) };
    assert_eq!(reason(&files.access(listener(&ALL)), other).await, not_authorized);
}

#[tokio::test]
async fn a_client_that_sends_a_name_or_a_password_is_never_anonymous() {
    let files = Files::new();
    let access = files.access(listener(&ALL));
    for (username, password) in [
        (Some("jane"), Some("wrong")),
        (Some("joe"), Some(PASSWORD)),
        (Some("jane"), None),
        (None, Some(PASSWORD)),
        (Some("jane"), Some("a.b.c")),
    ] {
        let refused = reason(&access, client(username, password)).await;
        assert_eq!(refused, Some(ReasonCode::BadUserNameOrPassword), "{username:?}");
    }
    assert_eq!(access.counters().refused_bad_credentials.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn a_token_that_is_wrong_is_not_tried_elsewhere() {
    let files = Files::new();
    let access = files.access(listener(&ALL));
    for algorithm in ["none", "HS256"] {
        let refused = reason(&access, client(None, Some(&token(algorithm)))).await;
        assert_eq!(refused, Some(ReasonCode::BadUserNameOrPassword), "{algorithm}");
    }
}

#[tokio::test]
async fn a_name_counts_in_the_rules_only_if_it_was_proven() {
    let files = Files::new();
    let access = files.access(listener(&ALL));
    assert!(may_publish(&access, client(Some("jane"), Some(PASSWORD)), "jane/x").await);
    let pretender = with_certificate(client(Some("jane"), None));
    assert!(!may_publish(&access, pretender.clone(), "jane/x").await);
    assert!(may_publish(&access, pretender.clone(), "public/x").await);
    assert!(may_publish(&access, pretender, "dev/meter-7/x").await);
}

#[tokio::test]
async fn a_token_proves_its_subject_narrows_the_rules_and_ends() {
    let files = Files::new();
    files.write("acl", "allow all user jane topic plant/#\nallow all user jane topic jane/#");
    let access = files.access(listener(&[Authenticator::Jwt]));
    let credentials = client(Some("somebody else"), Some(&token("EdDSA")));
    let Verdict::Accepted { permissions, expires, .. } = access.authenticate(NOW, None, credentials).await
    else {
        panic!("refused");
    };
    assert_eq!(expires, Some(WallTime(2_000_000_000_000)));
    let may =
        |to: &str| permissions.may_publish(&Topic::parse(to.to_owned()).unwrap(), QoS::AtMostOnce, false);
    assert!(may("plant/7/state"), "the rules and the token allow it");
    assert!(!may("plant/7/reset"), "the token does not");
    assert!(!may("jane/x"), "the token does not");
    let may = |to: &str| permissions.may_subscribe(&TopicFilter::parse(to.to_owned()).unwrap());
    assert!(may("plant/#") && !may("jane/#") && !may("#"));
    assert!(permissions.may_receive(&Topic::parse("plant/x").unwrap()));
    let late = Now { wall: WallTime(2_000_000_000_000), ..NOW };
    let verdict = access.authenticate(late, None, client(None, Some(&token("EdDSA")))).await;
    assert!(matches!(verdict, Verdict::Refused(ReasonCode::BadUserNameOrPassword)));
}

#[tokio::test]
async fn a_token_may_come_as_the_user_name() {
    let files = Files::new();
    let mut config = files.config();
    config.jwt.as_mut().unwrap().token_in = TokenPlace::Username;
    let access = AccessControl::load(&config, vec![listener(&ALL)]).unwrap();
    assert_eq!(reason(&access, client(Some(&token("RS256")), None)).await, None);
}

#[tokio::test]
async fn a_listener_can_bind_the_client_identifier_to_what_is_proven() {
    let files = Files::new();
    let bound = |client_id| files.access(ListenerAccess { client_id, ..listener(&ALL) });
    let not_valid = Some(ReasonCode::ClientIdentifierNotValid);
    let own = with_certificate(client(None, None));
    let other = Credentials { client_id: ClientId::parse("meter-8"), ..own.clone() };
    let unnamed = Credentials { client_id: None, ..own.clone() };
    let common_name = bound(ClientIdRule::CommonName);
    assert_eq!(reason(&common_name, own).await, None);
    assert_eq!(reason(&common_name, other).await, not_valid);
    assert_eq!(reason(&common_name, unnamed).await, not_valid);
    assert_eq!(reason(&common_name, client(Some("jane"), Some(PASSWORD))).await, not_valid);
    let username = bound(ClientIdRule::Username);
    let jane = client(Some("jane"), Some(PASSWORD));
    assert_eq!(reason(&username, jane.clone()).await, not_valid);
    assert_eq!(reason(&username, Credentials { client_id: ClientId::parse("jane"), ..jane }).await, None);
    assert_eq!(username.counters().refused_client_id.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_open_listener_allows_everything_but_dollar_topics() {
    let files = Files::new();
    let open = ListenerAccess { acl: AclChoice::Open, ..listener(&ALL) };
    let access = files.access(open);
    assert!(may_publish(&access, client(None, None), "anything/at/all").await);
    assert!(!may_publish(&access, client(None, None), "$SYS/broker/uptime").await);
    assert!(!may_publish(&files.access(listener(&ALL)), client(None, None), "anything/at/all").await);
}

/// A hook that answers every question with the same body.
async fn hook(body: &'static str) -> HttpConfig {
    let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", service.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = service.accept().await {
            let mut question = [0; 4_096];
            let Ok(1..) = stream.read(&mut question).await else { continue };
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await.unwrap();
        }
    });
    HttpConfig {
        url,
        ca_file: None,
        timeout: Duration::from_secs(30),
        concurrency: 4,
        on_failure: FailurePolicy::Deny,
        cache_ttl: Duration::ZERO,
        cache_entries: 1,
    }
}

#[tokio::test]
async fn the_hook_takes_its_place_in_the_chain() {
    let files = Files::new();
    let chain = [Authenticator::Http, Authenticator::Password, Authenticator::Anonymous];
    let jane = || client(Some("jane"), Some(PASSWORD));
    for (body, on_failure, expected) in [
        (r#"{"result":"allow"}"#, FailurePolicy::Deny, None),
        (r#"{"result":"deny"}"#, FailurePolicy::Deny, Some(ReasonCode::NotAuthorized)),
        (r#"{"result":"ignore"}"#, FailurePolicy::Deny, None),
        ("garbage", FailurePolicy::Deny, Some(ReasonCode::ServerUnavailable)),
        ("garbage", FailurePolicy::Ignore, None),
    ] {
        let http = HttpConfig { on_failure, ..hook(body).await };
        let config = AccessConfig { http: Some(http), ..files.config() };
        let access = AccessControl::load(&config, vec![listener(&chain)]).unwrap();
        assert_eq!(reason(&access, jane()).await, expected, "{body}");
        let counters = access.counters();
        let by_hook = counters.accepted_by_http.load(Ordering::Relaxed);
        let failures = counters.hook_failures.load(Ordering::Relaxed);
        assert_eq!((by_hook, failures), (u64::from(body.contains("allow")), u64::from(body == "garbage")));
    }
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let files = Files::new();
    files.write("passwords", "jane\n");
    files.write("acl", "allow all topic a\nallow all listener nowhere topic a\n");
    files.write("jwks", "{}");
    files.write("ca", "no certificate");
    let http = HttpConfig {
        url: "https://localhost/".parse().unwrap(),
        ca_file: Some(files.path("ca")),
        timeout: Duration::from_secs(1),
        concurrency: 1,
        on_failure: FailurePolicy::Deny,
        cache_ttl: Duration::ZERO,
        cache_entries: 1,
    };
    let config = AccessConfig { http: Some(http), ..files.config() };
    let faults = AccessControl::load(&config, vec![listener(&ALL)]).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.key, fault.problem.as_str())).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], ("access.password_file", "line 1: expected a user name, `:` and a hash"));
    assert_eq!(told[1], ("access.acl_file", "line 2: there is no listener `nowhere`; there are field"));
    assert!(told[2].0 == "access.jwt.jwks_file" && told[2].1.starts_with("expected a JSON Web Key Set"));
    assert_eq!(told[3], ("access.http.ca_file", "holds no certificate"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_that_says_why() {
    let files = Files::new();
    fs::write(files.path("acl"), b"allow all topic a\n\xff\n").unwrap();
    fs::remove_file(files.path("passwords")).unwrap();
    let faults = AccessControl::load(&files.config(), vec![listener(&ALL)]).unwrap_err();
    assert!(faults[0].problem.starts_with("cannot be read: "), "{}", faults[0]);
    assert_eq!(faults[1].problem, "line 2: is not UTF-8");
}

#[tokio::test]
async fn a_reload_holds_for_those_who_come_in_and_a_fault_changes_nothing() {
    let files = Files::new();
    let access = files.access(listener(&ALL));
    assert!(!may_publish(&access, client(None, None), "fresh/x").await);
    files.write("acl", "allow all topic fresh/#");
    access.reload(&files.config(), vec![listener(&ALL)]).unwrap();
    assert!(may_publish(&access, client(None, None), "fresh/x").await);
    files.write("acl", "bogus");
    assert_eq!(access.reload(&files.config(), vec![listener(&ALL)]).unwrap_err().len(), 1);
    assert!(may_publish(&access, client(None, None), "fresh/x").await);
    assert_eq!(access.counters().accepted_anonymous.load(Ordering::Relaxed), 3, "a reload forgets no count");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_password_and_no_token_is_logged_or_printed() {
    let log = Log::default();
    let subscriber = || {
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(writer)
            .finish()
    };
    // With one subscriber alone, a call that another test makes first would be judged by that test's silence.
    let _second = tracing::Dispatch::new(subscriber());
    let _guard = tracing::subscriber::set_default(subscriber());
    tracing::callsite::rebuild_interest_cache();
    let files = Files::new();
    let chain = [Authenticator::Password, Authenticator::Jwt, Authenticator::Http, Authenticator::Anonymous];
    let config =
        AccessConfig { http: Some(hook("garbage planted-answer-2718281828").await), ..files.config() };
    let access = AccessControl::load(&config, vec![listener(&chain)]).unwrap();
    let tokens = ["RS256", "ES256", "EdDSA", "HS256", "none"].map(token);
    let mut printed = format!("{access:?}");
    let mut passwords: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let broken = tokens[0].replace('e', "f");
    passwords.extend([PASSWORD, "planted-password-wrong", &broken]);
    for password in &passwords {
        for username in [Some("jane"), Some("joe"), None] {
            let credentials = client(username, Some(password));
            printed += &format!("{credentials:?}");
            printed += &format!("{:?}", access.authenticate(NOW, None, credentials).await);
        }
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("client refused") && logged.contains("hook gives no answer"), "{logged}");
    assert!(printed.contains("meter-7") || printed.contains("Accepted"), "{printed}");
    let hash = fs::read_to_string(files.path("passwords")).unwrap();
    let hash = hash.rsplit('$').next().unwrap().trim();
    let signatures = passwords.iter().filter_map(|password| password.rsplit_once('.')).map(|(_, part)| part);
    let secrets = passwords.iter().copied().chain(signatures).chain(["planted", hash]);
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        assert!(!logged.contains(secret), "{secret} in the log: {logged}");
        assert!(!printed.contains(secret), "{secret} in what is printed: {printed}");
    }
}
