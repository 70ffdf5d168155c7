//! UDP sockets that QUIC connections share.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// UDP sockets for QUIC, one for each kind of address, bound when the first connection needs them. Clones share them:
/// hundreds of clients, each with its own certificate, need no more than one socket.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    sockets: Arc<Mutex<Sockets>>,
}

#[derive(Debug, Default)]
struct Sockets {
    v4: Option<quinn::Endpoint>,
    v6: Option<quinn::Endpoint>,
}

impl Endpoint {
    /// Sockets on any port of any address.
    pub fn new() -> Self {
        Self::default()
    }

    /// A socket on this address; addresses of the other kind get one on any port.
    ///
    /// # Errors
    ///
    /// What the operating system says to binding it. Needs a tokio runtime.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        let socket = Some(quinn::Endpoint::client(local)?);
        let sockets = match local {
            SocketAddr::V4(_) => Sockets { v4: socket, v6: None },
            SocketAddr::V6(_) => Sockets { v4: None, v6: socket },
        };
        Ok(Self { sockets: Arc::new(Mutex::new(sockets)) })
    }

    /// The socket for a remote address.
    pub(crate) fn towards(&self, remote: SocketAddr) -> io::Result<quinn::Endpoint> {
        // Nothing panics while it is held, so a poisoned lock still holds good sockets.
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let (socket, any): (_, SocketAddr) = match remote {
            SocketAddr::V4(_) => (&mut sockets.v4, (Ipv4Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(_) => (&mut sockets.v6, (Ipv6Addr::UNSPECIFIED, 0).into()),
        };
        match socket {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(socket.insert(quinn::Endpoint::client(any)?).clone()),
        }
    }
}
