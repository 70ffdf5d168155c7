//! `$SYS` from end to end: who is allowed to sees mosquitto's names with values, and nobody else does.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use rivulet_broker::{Config, RunningBroker, TransportKind};
use rivulet_client::{Client, Messages, Options, QoS, ReasonCode, Reconnect, message, subscription};

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names that exporters look for.
const NAMES: [&str; 21] = [
    "version",
    "uptime",
    "clients/total",
    "clients/connected",
    "clients/disconnected",
    "clients/maximum",
    "clients/expired",
    "messages/received",
    "messages/sent",
    "messages/stored",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
    "publish/bytes/received",
    "publish/bytes/sent",
    "bytes/received",
    "bytes/sent",
    "subscriptions/count",
    "retained messages/count",
    "store/messages/count",
    "store/messages/bytes",
];

async fn start(acl: &str, sys: &str) -> RunningBroker {
    let rules = if acl.is_empty() { "open" } else { "file" };
    let text = format!(
        "{acl}
         [sys]
         interval = {sys:?}
         [[listener]]
         transport = \"tcp\"
         address = \"127.0.0.1:0\"
         authentication = [\"anonymous\"]
         acl = \"{rules}\""
    );
    let config = Config::parse("test", &text, std::iter::empty());
    rivulet_broker::start(config.unwrap_or_else(|faults| panic!("{faults}"))).await.unwrap()
}

async fn connect(broker: &RunningBroker, client_id: &str) -> (Client, Messages) {
    let address = broker.address(TransportKind::Tcp).unwrap();
    let options = Options::new(&format!("mqtt://{address}")).unwrap().client_id(client_id).unwrap();
    Client::connect(options.reconnect(Reconnect::Never)).await.unwrap()
}

/// What came on each name below `$SYS/broker/` last, until `is_enough`.
async fn told(messages: &mut Messages, is_enough: impl Fn(&BTreeMap<String, String>) -> bool) {
    let mut told = BTreeMap::new();
    while !is_enough(&told) {
        let received = match tokio::time::timeout(PATIENCE, messages.recv()).await {
            Ok(Some(received)) => received,
            Ok(None) | Err(_) => panic!("only {told:#?}"),
        };
        let name = received.message.topic.as_str().strip_prefix("$SYS/broker/").unwrap().to_owned();
        told.insert(name, String::from_utf8(received.message.payload.to_vec()).unwrap());
    }
}

#[tokio::test]
async fn who_is_allowed_to_sees_names_of_mosquitto_with_values_that_move() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    std::fs::write(&acl, "allow subscribe topic $SYS/#\nallow all topic #\n").unwrap();
    let broker = start(&format!("[access]\nacl_file = {acl:?}"), "1s").await;
    let (meter, mut messages) = connect(&broker, "meter").await;
    meter.subscribe([subscription("$SYS/#", QoS::AtLeastOnce).unwrap()]).await.unwrap();
    told(&mut messages, |told| NAMES.iter().all(|name| told.contains_key(*name))).await;
    let (publisher, _none) = connect(&broker, "publisher").await;
    publisher.publish(message("a", "12345", QoS::AtLeastOnce).unwrap()).await.unwrap();
    told(&mut messages, |told| {
        let is = |name: &str, value: &str| told.get(name).is_some_and(|told| told == value);
        is("clients/connected", "2")
            && is("publish/messages/received", "1")
            && is("publish/bytes/received", "5")
    })
    .await;
    drop(publisher);
    broker.shutdown().await;
}

#[tokio::test]
async fn who_is_not_named_by_a_rule_does_not_see_them() {
    let broker = start("", "1s").await;
    let (client, _messages) = connect(&broker, "client").await;
    let granted = client.subscribe([subscription("$SYS/#", QoS::AtLeastOnce).unwrap()]).await.unwrap();
    assert_eq!(granted, [ReasonCode::NotAuthorized]);
    broker.shutdown().await;
}

#[tokio::test]
async fn with_an_interval_of_nothing_there_is_nothing_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    std::fs::write(&acl, "allow all topic $SYS/#\n").unwrap();
    let broker = start(&format!("[access]\nacl_file = {acl:?}"), "0s").await;
    let (client, mut messages) = connect(&broker, "client").await;
    client.subscribe([subscription("$SYS/#", QoS::AtLeastOnce).unwrap()]).await.unwrap();
    client.publish(message("$SYS/mark", "x", QoS::AtLeastOnce).unwrap()).await.unwrap();
    let first = tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
    assert_eq!(first.message.topic.as_str(), "$SYS/mark");
    broker.shutdown().await;
}
