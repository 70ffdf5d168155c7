//! Flows: ordered lanes of MQTT packets inside one connection.

/// What a flow is for, and so which packets may travel on it.
///
/// TCP, TLS and WebSocket have the control flow alone. QUIC adds data flows on further streams.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FlowKind {
    /// The one flow that carries CONNECT and DISCONNECT, and on plain transports everything else.
    Control,
    /// A data flow that the client opened.
    ClientData,
    /// A data flow that the server opened.
    ServerData,
}
