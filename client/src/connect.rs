//! From a URL to an accepted CONNECT: address, transport, CONNECT, CONNACK, all within one time limit.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use rivulet_protocol::encoder::OutBuffer;
use rivulet_protocol::packet::{ConnAck, Connect, ConnectProperties};
use rivulet_protocol::{ClientId, Decoder, Encoder, Packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::error::{Cause, ConnectError, OptionsError, ServerFault};
use crate::link::{self, Link, QuicTarget};
use crate::{Options, Transport};

/// How long an address has before the next one is tried beside it.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Room for what is read at once.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// Makes connections to one server.
#[derive(Debug)]
pub(crate) struct Connector {
    options: Options,
    quic: Option<QuicTarget>,
}

/// A connection that the server has accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) link: Link,
    pub(crate) connack: ConnAck,
    pub(crate) decoder: Decoder,
    /// What came after CONNACK.
    pub(crate) inbox: BytesMut,
}

impl Connector {
    pub(crate) fn new(mut options: Options) -> Result<Self, ConnectError> {
        let quic = match options.tls.take() {
            Some(tls) if options.url.transport() == Transport::Quic => Some(QuicTarget {
                endpoint: options.endpoint.take().unwrap_or_default(),
                config: Link::quic_config(tls, options.connect.keep_alive_secs)
                    .map_err(|problem| ConnectError::Transport { url: options.url.clone(), problem })?,
                server_name: options.server_name.clone().unwrap_or_else(|| options.url.host().to_owned()),
            }),
            Some(_) | None => None,
        };
        let properties = &mut options.connect.properties;
        if options.connect.version.has_properties() {
            properties.maximum_packet_bytes = Some(options.packet_bytes_max.get());
        } else {
            *properties = ConnectProperties::default();
        }
        Ok(Self { options, quic })
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The server chose an identifier: the session is found by it.
    pub(crate) fn set_client_id(&mut self, id: ClientId) {
        self.options.connect.client_id = Some(id);
    }

    /// Connects once.
    pub(crate) async fn connect(&self, clean_start: bool) -> Result<Accepted, ConnectError> {
        let deadline = Instant::now() + self.options.connect_timeout;
        let addresses = self.within(deadline, "the host's address", self.resolve()).await?;
        let answer = match self.options.url.transport() {
            Transport::Quic => "an answer from this UDP port (is anybody listening there?)",
            Transport::Tcp => "an answer from this TCP port",
        };
        let link = self.within(deadline, answer, self.race(addresses)).await?;
        let connect = Connect { clean_start, ..self.options.connect.clone() };
        self.within(deadline, "CONNACK", self.handshake(link, connect)).await
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        awaited: &'static str,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        timeout_at(deadline, work).await.unwrap_or_else(|_| {
            let (url, timeout) = (self.options.url.clone(), self.options.connect_timeout);
            Err(ConnectError::Timeout { url, timeout, awaited })
        })
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let url = &self.options.url;
        let resolved = tokio::net::lookup_host((url.host(), url.port())).await;
        let unknown = |source| ConnectError::Resolve { url: url.clone(), source };
        let mut addresses: Vec<_> = resolved.map_err(unknown)?.collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(unknown(std::io::ErrorKind::NotFound.into()));
        }
        Ok(addresses)
    }

    /// The first transport that answers. The next address starts when one fails, or does not answer soon: a name may
    /// stand for addresses that nobody listens on, and UDP does not tell.
    async fn race(&self, addresses: Vec<SocketAddr>) -> Result<Link, ConnectError> {
        let mut waiting = addresses.into_iter();
        let mut attempts = JoinSet::new();
        let mut problems = Vec::new();
        loop {
            if let Some(address) = waiting.next() {
                self.attempt(&mut attempts, address);
            }
            if attempts.is_empty() {
                return Err(self.no_transport(&problems));
            }
            tokio::select! {
                Some(attempt) = attempts.join_next() => match attempt {
                    Ok(Ok(link)) => return Ok(link),
                    Ok(Err(problem)) => problems.push(problem),
                    Err(error) => problems.push(error.to_string()),
                },
                () = tokio::time::sleep(NEXT_ADDRESS_AFTER), if waiting.len() > 0 => {}
            }
        }
    }

    fn attempt(&self, attempts: &mut JoinSet<Result<Link, String>>, address: SocketAddr) {
        match &self.quic {
            Some(target) => attempts.spawn(Link::quic(target.clone(), address)),
            None => attempts.spawn(Link::tcp(address)),
        };
    }

    fn no_transport(&self, problems: &[String]) -> ConnectError {
        ConnectError::Transport { url: self.options.url.clone(), problem: problems.join("; ") }
    }

    async fn handshake(&self, mut link: Link, connect: Connect) -> Result<Accepted, ConnectError> {
        let version = connect.version;
        let url = || self.options.url.clone();
        let mut out = OutBuffer::new();
        // The server's limit is not known before CONNACK.
        Encoder::new(version, usize::MAX)
            .encode(&Packet::Connect(Box::new(connect)), &mut out)
            .map_err(|error| OptionsError::Connect(error.to_string()))?;
        let packet_bytes_max = usize::try_from(self.options.packet_bytes_max.get()).unwrap_or(usize::MAX);
        let mut decoder = Decoder::with_version(version, packet_bytes_max);
        let mut inbox = BytesMut::with_capacity(READ_BYTES);
        let first = async {
            for chunk in out.take() {
                link.writer.write_all(&chunk).await.map_err(|error| link::failure(&error))?;
            }
            loop {
                if let Some(packet) = decoder.decode(&mut inbox)? {
                    return Ok(packet);
                }
                match link.reader.read_buf(&mut inbox).await {
                    Ok(0) => return Err(Cause::Closed),
                    Ok(_) => {}
                    Err(error) => return Err(link::failure(&error)),
                }
            }
        };
        let connack = match first.await {
            Ok(Packet::ConnAck(connack)) => connack,
            Ok(other) => {
                let cause = ServerFault::UnexpectedPacket(other.packet_type()).into();
                return Err(ConnectError::Lost { url: url(), cause });
            }
            Err(cause) => return Err(ConnectError::Lost { url: url(), cause }),
        };
        if connack.reason.is_error() {
            link.close().await;
            return Err(refusal(url(), *connack));
        }
        Ok(Accepted { link, connack: *connack, decoder, inbox })
    }
}

fn refusal(url: crate::Url, connack: ConnAck) -> ConnectError {
    ConnectError::Refused {
        url,
        reason: connack.reason,
        said_why: connack.properties.reason_string.map(|why| why.to_string()),
        server_reference: connack.properties.server_reference.map(|server| server.to_string()),
    }
}
