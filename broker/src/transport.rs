//! What every transport promises: flows of bytes, each with an end that can be told from a loss.
//!
//! A transport moves bytes, packets and flows. It knows no session, no topic and no message.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use rivulet_core::ListenerKey;
use rivulet_core::cause::NetworkLoss;

mod proxy;
pub(crate) mod quic;
mod socket;
pub(crate) mod tcp;
mod websocket;

/// The transports.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TransportKind {
    /// MQTT over QUIC: one UDP port, TLS 1.3, a control flow on the first stream.
    Quic,
    /// Plain TCP: one flow.
    Tcp,
    /// TLS over TCP: one flow.
    Tls,
    /// WebSocket over TCP: one flow.
    WebSocket,
    /// WebSocket over TLS over TCP: one flow.
    SecureWebSocket,
}

impl TransportKind {
    /// Whether it encrypts, and so needs certificates.
    pub const fn has_tls(self) -> bool {
        match self {
            Self::Quic | Self::Tls | Self::SecureWebSocket => true,
            Self::Tcp | Self::WebSocket => false,
        }
    }

    /// Whether it is MQTT over WebSocket (chapter 6).
    pub const fn is_websocket(self) -> bool {
        match self {
            Self::WebSocket | Self::SecureWebSocket => true,
            Self::Quic | Self::Tcp | Self::Tls => false,
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        })
    }
}

/// Who is at the other end, as the transport sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// How it came.
    pub(crate) transport: TransportKind,
    /// Through which listener.
    pub(crate) listener: ListenerKey,
    /// From where.
    pub(crate) address: SocketAddr,
}

/// How a flow ends inwards.
#[derive(Clone, Debug)]
pub(crate) enum FlowEnd {
    /// The peer has sent all that it wanted to.
    Finished,
    /// The peer broke the flow off, with its code.
    Reset(u64),
    /// The connection is gone.
    Lost(NetworkLoss),
}

/// The inward half of a flow.
pub(crate) trait FlowReader: Send {
    /// Waits until bytes have arrived and appends them to `buffer`. A call that is given up loses nothing.
    fn read(&mut self, buffer: &mut BytesMut) -> impl Future<Output = Result<(), FlowEnd>> + Send;
}

/// The outward half of a flow.
pub(crate) trait FlowWriter: Send {
    /// Writes from the front of `chunks` what the transport takes at once, and waits if it takes nothing. Returns how
    /// many chunks are written whole; the next one is cut to what is left of it.
    fn write(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<usize, NetworkLoss>> + Send;
}
