//! The hook against a service in this process that answers as each test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rivulet_core::{Instant, ListenerKey};
use rivulet_protocol::{ClientId, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

const NOW: Now = Now { instant: Instant(1_000_000), wall: WallTime(1_800_000_000_000) };
/// Generous: only a test of an answer that never comes waits for a time-out, and that one sets its own.
const PATIENCE: Duration = Duration::from_secs(30);
const QUESTIONS: usize = 64;

/// A service that sends the same bytes back for every question, and keeps the questions.
struct Service {
    url: Uri,
    questions: mpsc::Receiver<Value>,
    asked: Arc<AtomicUsize>,
}

/// What a service does with a question.
#[derive(Clone)]
enum Behaviour {
    Answer(String),
    Silence,
    HangUp,
}

fn ok(body: &str) -> Behaviour {
    status("200 OK", body)
}

fn status(status: &str, body: &str) -> Behaviour {
    Behaviour::Answer(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

impl Service {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mqtt/auth", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, questions) = mpsc::channel(QUESTIONS);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour.clone(), sender.clone(), count.clone()));
            }
        });
        Self { url, questions, asked }
    }

    fn settings(&self) -> HookSettings {
        HookSettings {
            url: self.url.clone(),
            roots: RootCertStore::empty(),
            timeout: PATIENCE,
            concurrency: 4,
            on_failure: FailurePolicy::Deny,
            cache_ttl: Duration::ZERO,
            cache_entries: 16,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    questions: mpsc::Sender<Value>,
    asked: Arc<AtomicUsize>,
) {
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() < length.parse().unwrap() {
            continue;
        }
        assert!(head.starts_with("POST /mqtt/auth HTTP/1.1\r\n"), "{head}");
        asked.fetch_add(1, Ordering::SeqCst);
        // Full where a test does not look at its questions.
        drop(questions.try_send(serde_json::from_str(body).unwrap()));
        read.clear();
        match &behaviour {
            Behaviour::Answer(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            Behaviour::Silence => {}
            Behaviour::HangUp => return,
        }
    }
}

fn credentials(password: &'static [u8]) -> Credentials {
    Credentials {
        listener: ListenerKey(0),
        version: Version::V5,
        client_id: ClientId::parse("meter-7"),
        username: Some("jane".to_owned()),
        password: Some(Bytes::from_static(password)),
        identity: None,
        step: None,
    }
}

async fn answer(settings: HookSettings) -> Result<HookAnswer, HookFault> {
    Hook::new(settings).unwrap().ask(NOW, "field", None, &credentials(b"secret")).await
}

async fn answer_to(behaviour: Behaviour) -> Result<HookAnswer, HookFault> {
    let service = Service::start(behaviour).await;
    answer(service.settings()).await
}

#[tokio::test]
async fn the_question_holds_what_the_client_showed() {
    let mut service = Service::start(ok(r#"{"result":"deny"}"#)).await;
    let hook = Hook::new(service.settings()).unwrap();
    let identity = Identity {
        common_name: Some("meter-7".to_owned()),
        serial: Some("0a".to_owned()),
        organizational_unit: None,
        san_dns: vec!["m7.example".to_owned()],
        san_uri: vec![],
    };
    let shown = Credentials { identity: Some(identity), ..credentials(b"pass\"word") };
    hook.ask(NOW, "field", Some([192, 0, 2, 7].into()), &shown).await.unwrap();
    let expected = json!({
        "client_id": "meter-7", "username": "jane", "password": "pass\"word", "listener": "field",
        "peer": "192.0.2.7", "version": "5.0",
        "cert": {"cn": "meter-7", "ou": null, "serial": "0a", "san_dns": ["m7.example"], "san_uri": []},
    });
    assert_eq!(service.questions.recv().await.unwrap(), expected);

    let bare = Credentials { client_id: None, username: None, ..credentials(b"\xff\x00") };
    hook.ask(NOW, "field", None, &bare).await.unwrap();
    let expected = json!({
        "client_id": null, "username": null, "password": null, "password_base64": "/wA=", "listener": "field",
        "peer": null, "version": "5.0", "cert": null,
    });
    assert_eq!(service.questions.recv().await.unwrap(), expected);
}

#[tokio::test]
async fn the_service_allows_denies_or_leaves_it_to_others() {
    let jane = HookProof { username: Some("jane".to_owned()), ..HookProof::default() };
    assert_eq!(answer_to(ok(r#"{"result":"allow"}"#)).await, Ok(HookAnswer::Allow(jane)));
    assert_eq!(answer_to(ok(r#"{"result":"deny"}"#)).await, Ok(HookAnswer::Deny));
    assert_eq!(answer_to(ok(r#"{"result":"ignore"}"#)).await, Ok(HookAnswer::Ignore));
}

#[tokio::test]
async fn an_allow_may_name_the_user_the_end_and_the_topics() {
    let body = r#"{"result":"allow","expires_in":60,"username":"joe","publish":["a/#"],"subscribe":[]}"#;
    let Ok(HookAnswer::Allow(proof)) = answer_to(ok(body)).await else { panic!("is allowed") };
    assert_eq!(proof.username.as_deref(), Some("joe"));
    assert_eq!(proof.expires, Some(WallTime(1_800_000_060_000)));
    let topic = rivulet_protocol::Topic::parse("a/b").unwrap();
    assert!(proof.grants.may_publish(&topic) && !proof.grants.may_receive(&topic));
}

#[tokio::test]
async fn an_answer_of_another_form_is_a_failure() {
    for body in [
        "",
        "allow",
        "{}",
        r#"{"result":"ALLOW"}"#,
        r#"{"result":"allow","subscribes":["a"]}"#,
        r#"{"result":"allow","expires_in":-1}"#,
        r#"{"result":"allow","publish":["a/#/b"]}"#,
        r#"{"result":"allow"} and more"#,
    ] {
        let fault = answer_to(ok(body)).await.unwrap_err();
        assert!(matches!(fault, HookFault::Form(_)), "{body} {fault}");
    }
    let long = format!(r#"{{"result":"allow","username":"{}"}}"#, "x".repeat(ANSWER_BYTES_MAX));
    assert_eq!(answer_to(ok(&long)).await, Err(HookFault::Body));
    let cut = Behaviour::Answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}".to_owned());
    let service = Service::start(cut).await;
    let settings = HookSettings { timeout: Duration::from_millis(50), ..service.settings() };
    assert!(answer(settings).await.is_err());
}

#[tokio::test]
async fn another_status_is_a_failure_and_a_redirect_is_not_followed() {
    for (line, code) in [("500 Oops", 500), ("204 No Content", 204), ("401 Unauthorized", 401)] {
        assert_eq!(answer_to(status(line, r#"{"result":"allow"}"#)).await, Err(HookFault::Status(code)));
    }
    let service = Service::start(ok(r#"{"result":"allow"}"#)).await;
    let moved = format!("HTTP/1.1 307 Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", service.url);
    assert_eq!(answer_to(Behaviour::Answer(moved)).await, Err(HookFault::Status(307)));
    assert_eq!(service.asked(), 0, "the password went to nobody else");
}

#[tokio::test]
async fn no_answer_in_time_is_a_failure() {
    let service = Service::start(Behaviour::Silence).await;
    let timeout = Duration::from_millis(50);
    let settings = HookSettings { timeout, ..service.settings() };
    assert_eq!(answer(settings).await, Err(HookFault::Timeout(timeout)));
}

#[tokio::test]
async fn what_is_no_service_is_a_failure() {
    let garbage = Behaviour::Answer("SSH-2.0-OpenSSH_9.6\r\n".to_owned());
    assert!(matches!(answer_to(garbage).await, Err(HookFault::Unreachable(_))));
    assert!(matches!(answer_to(Behaviour::HangUp).await, Err(HookFault::Unreachable(_))));
    // A port that was free a moment ago: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let service = Service::start(Behaviour::Silence).await;
    let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let fault = answer(HookSettings { url, ..service.settings() }).await.unwrap_err();
    assert!(fault.to_string().contains("refused"), "{fault}");
}

#[tokio::test]
async fn questions_beyond_the_bound_wait_within_the_same_time_out() {
    let service = Service::start(Behaviour::Silence).await;
    let timeout = Duration::from_millis(300);
    let settings = HookSettings { timeout, concurrency: 2, ..service.settings() };
    let hook = Arc::new(Hook::new(settings).unwrap());
    let ask = |_| {
        let hook = hook.clone();
        tokio::spawn(async move { hook.ask(NOW, "field", None, &credentials(b"secret")).await })
    };
    let asking: Vec<_> = (0..8).map(ask).collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap(), Err(HookFault::Timeout(timeout)));
    }
    assert!(service.asked() <= 2, "{}", service.asked());
}

#[tokio::test]
async fn an_answer_is_remembered_for_the_same_question_and_its_time_alone() {
    let service = Service::start(ok(r#"{"result":"allow","expires_in":5}"#)).await;
    let settings = HookSettings { cache_ttl: Duration::from_secs(60), ..service.settings() };
    let hook = Hook::new(settings).unwrap();
    let ask = async |seconds: u64, listener: &'static str, credentials: Credentials| {
        let now = Now { instant: NOW.instant + Duration::from_secs(seconds), wall: NOW.wall };
        hook.ask(now, listener, None, &credentials).await.unwrap();
        service.asked()
    };
    assert_eq!(ask(0, "field", credentials(b"secret")).await, 1);
    assert_eq!(ask(4, "field", credentials(b"secret")).await, 1, "remembered");
    assert_eq!(ask(4, "field", credentials(b"Secret")).await, 2, "another password");
    assert_eq!(ask(4, "office", credentials(b"secret")).await, 3, "another listener");
    let other = Credentials { client_id: ClientId::parse("meter-8"), ..credentials(b"secret") };
    assert_eq!(ask(4, "field", other).await, 4, "another client");
    assert_eq!(ask(5, "field", credentials(b"secret")).await, 5, "what has expired is asked again");
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let service = Service::start(status("503 Later", "")).await;
    let settings = HookSettings { cache_ttl: Duration::from_secs(60), ..service.settings() };
    let hook = Hook::new(settings).unwrap();
    for asked in 1..=3 {
        hook.ask(NOW, "field", None, &credentials(b"secret")).await.unwrap_err();
        assert_eq!(service.asked(), asked);
    }
}
