//! One connection: bytes to packets to the session, and back, as much as is ready in one go.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rivulet_protocol::encoder::OutBuffer;
use rivulet_protocol::packet::{Disconnect, DisconnectProperties};
use rivulet_protocol::{Decoder, Encoder, Packet, ReasonCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Application, Goodbye};
use crate::connect::{Accepted, READ_BYTES};
use crate::error::Cause;
use crate::keep_alive::{Due, KeepAlive};
use crate::link::{self, IDLE_TIMEOUT_MIN, Link};
use crate::request::{Published, Received, Request, Waiter};
use crate::session::{Heard, Sending, Session};
use crate::state::Connected;
use crate::unsent::Unsent;
use crate::{Options, Transport};

/// Encoded and not yet taken by the transport: from here on no further packet is encoded.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// How long the last packet may take to be written.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// One connection that the server has accepted.
pub(super) struct Connection {
    /// `None` once it is closed.
    link: Option<Link>,
    version: Version,
    decoder: Decoder,
    encoder: Encoder,
    inbox: BytesMut,
    outbox: OutBuffer,
    unsent: Unsent,
    /// Who waits until the transport has taken so many bytes, in their order.
    unwritten: VecDeque<(u64, Waiter<Published>)>,
    /// A message for which the application had no room.
    undelivered: Option<Received>,
    keep_alive: KeepAlive,
}

/// What happened next.
enum Turn {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Requests(usize),
    Delivered,
    Farewell(Option<Goodbye>),
    Timer,
}

impl Connection {
    pub(super) fn new(accepted: Accepted, connected: &Connected, options: &Options) -> Self {
        let Accepted { link, connack, decoder, inbox } = accepted;
        let version = options.connect.version;
        let packet_bytes_max = connack.properties.maximum_packet_bytes.unwrap_or(u32::MAX);
        let interval = ping_interval(connected.keep_alive_secs, options.url.transport());
        Self {
            link: Some(link),
            version,
            decoder,
            encoder: Encoder::new(version, usize::try_from(packet_bytes_max).unwrap_or(usize::MAX)),
            inbox,
            outbox: OutBuffer::new(),
            unsent: Unsent::default(),
            unwritten: VecDeque::new(),
            undelivered: None,
            keep_alive: KeepAlive::new(interval, options.ping_timeout, Instant::now()),
        }
    }

    /// Runs until the connection ends. With the wish to end comes the application's goodbye, if it gave one.
    pub(super) async fn run(
        &mut self,
        session: &mut Session,
        application: &mut Application,
    ) -> (Cause, Option<Goodbye>) {
        let mut requests = Vec::new();
        let mut are_requests_over = false;
        loop {
            if let Err(cause) = self.take_packets(session, application) {
                return (cause, None);
            }
            if let Err(cause) = self.put_packets(session, Instant::now()) {
                return (cause, None);
            }
            let room = if are_requests_over { 0 } else { session.room() };
            match self.turn(application, &mut requests, room).await {
                Turn::Read(Ok(0)) => return (Cause::Closed, None),
                Turn::Read(Ok(_)) => self.keep_alive.heard(Instant::now()),
                Turn::Read(Err(error)) | Turn::Written(Err(error)) => return (link::failure(&error), None),
                Turn::Written(Ok(_)) => self.written(),
                Turn::Requests(count) => {
                    are_requests_over = count == 0;
                    requests.drain(..).for_each(|request| session.request(request));
                }
                Turn::Farewell(goodbye) => return (Cause::Goodbye, goodbye),
                Turn::Delivered | Turn::Timer => {}
            }
        }
    }

    /// Waits for one thing to happen.
    async fn turn(
        &mut self,
        application: &mut Application,
        requests: &mut Vec<Request>,
        room: usize,
    ) -> Turn {
        let Some(link) = &mut self.link else {
            return Turn::Read(Ok(0));
        };
        let Application { requests: inbox, messages, goodbyes } = application;
        let deadline = self.keep_alive.deadline();
        let is_deaf = self.undelivered.is_some();
        if !is_deaf {
            self.inbox.reserve(READ_BYTES);
        }
        let is_writable = self.unsent.has_remaining();
        let has_room = room > 0 && self.unsent.remaining() < UNSENT_BYTES_MAX;
        tokio::select! {
            read = link.reader.read_buf(&mut self.inbox), if !is_deaf => Turn::Read(read),
            written = link.writer.write_buf(&mut self.unsent), if is_writable => Turn::Written(written),
            count = inbox.recv_many(requests, room), if has_room => Turn::Requests(count),
            permit = messages.reserve(), if is_deaf => {
                if let (Ok(permit), Some(received)) = (permit, self.undelivered.take()) {
                    permit.send(received);
                }
                Turn::Delivered
            }
            goodbye = Application::farewell(goodbyes, messages) => Turn::Farewell(goodbye),
            () = async { sleep_until(deadline.unwrap_or_else(Instant::now)).await }, if deadline.is_some() => {
                Turn::Timer
            }
        }
    }

    /// Hands what has arrived to the session, until the application has no more room.
    fn take_packets(&mut self, session: &mut Session, application: &Application) -> Result<(), Cause> {
        while self.undelivered.is_none()
            && let Some(packet) = self.decoder.decode(&mut self.inbox)?
        {
            match session.handle(packet)? {
                Heard::Nothing => {}
                Heard::Message(received) => match application.messages.try_send(received) {
                    // Closed: the application takes no messages.
                    Ok(()) | Err(TrySendError::Closed(_)) => {}
                    Err(TrySendError::Full(received)) => self.undelivered = Some(received),
                },
                Heard::Goodbye(disconnect) => {
                    return Err(Cause::Server {
                        reason: disconnect.reason,
                        said_why: disconnect.properties.reason_string.map(|why| why.to_string()),
                    });
                }
            }
        }
        Ok(())
    }

    /// Encodes what can go, pings included.
    fn put_packets(&mut self, session: &mut Session, now: Instant) -> Result<(), Cause> {
        while self.unsent.remaining() + self.outbox.len() < UNSENT_BYTES_MAX
            && let Some(sending) = session.poll_send()
        {
            match self.encoder.encode(&sending.packet, &mut self.outbox) {
                Ok(()) => {
                    let Sending { waiter, .. } = sending;
                    let end = self.unsent.end() + self.outbox.len() as u64;
                    self.unwritten.extend(waiter.map(|waiter| (end, waiter)));
                }
                Err(error) => session.unsendable(sending, error),
            }
        }
        if self.undelivered.is_some() {
            self.keep_alive.heard(now);
        }
        match self.keep_alive.poll(now) {
            Due::Nothing => {}
            Due::GiveUp => return Err(Cause::PingTimeout(self.keep_alive.timeout())),
            // A server that takes no packet of two bytes is not there for us.
            Due::Ping => self
                .encoder
                .encode(&Packet::PingReq, &mut self.outbox)
                .map_err(|error| Cause::Network(error.to_string()))?,
        }
        if !self.outbox.is_empty() {
            self.unsent.push(self.outbox.take());
            self.keep_alive.sent(now);
        }
        Ok(())
    }

    /// Tells those who waited only for this.
    fn written(&mut self) {
        let taken = self.unsent.taken();
        while self.unwritten.front().is_some_and(|(end, _)| *end <= taken) {
            if let Some((_, waiter)) = self.unwritten.pop_front() {
                // Nobody need wait.
                drop(waiter.send(Ok(Published { reason: ReasonCode::Success })));
            }
        }
    }

    /// Ends it: with the last word where there is somebody to hear it.
    pub(super) async fn close(&mut self, cause: &Cause, goodbye: Option<&Goodbye>) {
        for (_, waiter) in self.unwritten.drain(..) {
            drop(waiter.send(Err(crate::RequestError::ConnectionLost)));
        }
        let Some(mut link) = self.link.take() else {
            return;
        };
        let Some(packet) = last_word(self.version, cause, goodbye) else {
            if matches!(cause, Cause::Server { .. } | Cause::Closed) {
                link.close().await;
            }
            return;
        };
        // A goodbye that cannot be said in this version, or does not fit, ends as a connection without one does.
        if self.encoder.encode(&packet, &mut self.outbox).is_err() {
            return;
        }
        self.unsent.push(self.outbox.take());
        if let Ok(Ok(())) = timeout(GOODBYE_TIMEOUT, link.writer.write_all_buf(&mut self.unsent)).await {
            link.close().await;
        }
    }
}

/// What is said last. 3.1.1 knows only the normal goodbye.
fn last_word(version: Version, cause: &Cause, goodbye: Option<&Goodbye>) -> Option<Packet> {
    let packet = match (cause, goodbye) {
        (_, Some(goodbye)) => goodbye.packet.clone(),
        (Cause::Goodbye, None) => {
            Disconnect { reason: ReasonCode::Success, properties: DisconnectProperties::default() }
        }
        (cause, None) => {
            let reason = cause.reason().filter(|_| version.has_properties())?;
            Disconnect { reason, properties: DisconnectProperties::default() }
        }
    };
    Some(Packet::Disconnect(Box::new(packet)))
}

/// How often to ping. QUIC's idle time-out is fixed at its handshake, before the server has said its keep alive.
fn ping_interval(keep_alive_secs: u16, transport: Transport) -> Option<Duration> {
    let interval = Duration::from_secs(u64::from(keep_alive_secs));
    match transport {
        _ if keep_alive_secs == 0 => None,
        Transport::Quic => Some(interval.min(IDLE_TIMEOUT_MIN / 2)),
        Transport::Tcp => Some(interval),
    }
}
