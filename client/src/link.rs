//! A transport that is made: bytes in, bytes out, and an end in good order. The only place that tells transports apart
//! once there is a connection.

mod quic;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) use self::quic::{IDLE_TIMEOUT_MIN, QuicTarget};
use crate::error::Cause;

/// How long the peer may take to notice that we are done.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is read and thrown away at once while we wait for the peer's end.
const DISCARD_BYTES: usize = 4_096;

/// A transport that is made.
pub(crate) struct Link {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    closer: Closer,
}

/// What is left to do when both directions are done.
enum Closer {
    /// Nothing.
    Stream,
    /// The QUIC connection outlives its streams.
    Quic(quinn::Connection),
}

impl Link {
    /// MQTT over TCP.
    pub(crate) async fn tcp(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
        // Writes are gathered here; what is written is to go out.
        stream.set_nodelay(true).map_err(|error| format!("{address}: {error}"))?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: Box::new(reader), writer: Box::new(writer), closer: Closer::Stream })
    }

    /// Says that no more comes, waits until the peer says so too, and closes. What was written has then arrived: a
    /// QUIC connection that is closed at once would drop it.
    pub(crate) async fn close(mut self) {
        let goodbye = async {
            if self.writer.shutdown().await.is_ok() {
                let mut discarded = [0; DISCARD_BYTES];
                while self.reader.read(&mut discarded).await.is_ok_and(|count| count > 0) {}
            }
        };
        // A peer that does not notice loses its chance to say something; we lose nothing.
        drop(tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await);
        match self.closer {
            Closer::Stream => {}
            Closer::Quic(connection) => connection.close(quinn::VarInt::from_u32(0), b""),
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// How a transport failed, in words.
pub(crate) fn failure(error: &io::Error) -> Cause {
    let mut source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<quinn::ConnectionError>() {
            return Cause::Network(quic::problem(error));
        }
        source = inner.source();
    }
    Cause::Network(error.to_string())
}
