//! What each test is given: a transport, a protocol version, and names that no other test uses, since all tests share
//! one broker.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::bytes::Connect;
use crate::client::Client;
use crate::packet::ConnAck;
use crate::wire::Wire;

/// How the bytes travel. The rules are the same on each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
    Quic,
}

impl Transport {
    pub(crate) const ALL: [Self; 5] =
        [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket, Self::Quic];
}

/// Version of the protocol that the client of the test speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    V311,
    V5,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::V311, Self::V5];

    /// The byte that says so in CONNECT.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

/// One run of one test.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) transport: Transport,
    pub(crate) version: Version,
    name: String,
}

impl Scene {
    pub(crate) fn new(transport: Transport, version: Version) -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        // The process identifier keeps runs apart against a broker that outlives them.
        let name = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        Self { transport, version, name }
    }

    /// A topic or filter of this run's own.
    pub(crate) fn topic(&self, end: &str) -> String {
        format!("{}/{end}", self.name)
    }

    /// A client identifier of this run's own.
    pub(crate) fn client_id(&self, who: &str) -> String {
        format!("{}/{who}", self.name)
    }

    /// A connection on which nothing was said.
    pub(crate) async fn open(&self) -> Client {
        static FENCES: AtomicU32 = AtomicU32::new(0);
        let fence = self.topic(&format!("fence/{}", FENCES.fetch_add(1, Ordering::Relaxed)));
        Client::new(self.version, Wire::open(self.transport).await, fence)
    }

    /// A CONNECT with clean start, to be completed.
    pub(crate) fn hello(&self, who: &str) -> Connect {
        Connect::new(self.version, self.client_id(who))
    }

    /// A client that was accepted, with clean start and nothing else asked for.
    pub(crate) async fn connect(&self, who: &str) -> Client {
        self.connect_as(&self.hello(who)).await.0
    }

    /// A client that was accepted, and how.
    pub(crate) async fn connect_as(&self, connect: &Connect) -> (Client, ConnAck) {
        let (client, connack) = self.try_connect(connect).await;
        assert_eq!(connack.code, 0, "the broker accepts this CONNECT: {connack:?}");
        (client, connack)
    }

    /// A client that was answered by CONNACK.
    pub(crate) async fn try_connect(&self, connect: &Connect) -> (Client, ConnAck) {
        let mut client = self.open().await;
        client.send(connect.bytes()).await;
        let connack = client.connack().await;
        (client, connack)
    }
}
