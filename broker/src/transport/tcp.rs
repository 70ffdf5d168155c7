//! TCP: one socket, one flow.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rivulet_core::ListenerKey;
use rivulet_core::cause::NetworkLoss;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{FlowEnd, FlowReader, FlowWriter, Peer, TransportKind};
use crate::link::{self, Entrance, LinkEnd, Place};
use crate::telemetry::Telemetry;

/// Bytes that one read takes at most. They lie on the stack, so that an idle connection holds none.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Slices that one write hands to the kernel at most.
const WRITE_SLICES_MAX: usize = 64;

/// How long an accept loop waits after an error such as too many open files, before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a peer has to close its side once ours is closed. Whoever closes a socket with bytes unread makes the
/// kernel reset it, and a reset takes the last CONNACK or DISCONNECT with it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts connections for as long as the task lives. An error never ends it.
pub(crate) async fn accept(
    listener: TcpListener,
    key: ListenerKey,
    entrance: Entrance,
    telemetry: std::sync::Arc<Telemetry>,
) {
    let mut failures: u64 = 0;
    loop {
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                failures += 1;
                // Once per pause at most: the pause bounds how often this is logged.
                warn!(%error, failures, "cannot accept TCP connections, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failures = 0;
        let peer = Peer { transport: TransportKind::Tcp, listener: key, address };
        let Some(place) = entrance.place() else {
            telemetry.refused(&peer, entrance.places_max());
            continue;
        };
        tokio::spawn(serve(socket, peer, place, entrance.clone()));
    }
}

/// Opens a listening socket.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

async fn serve(mut socket: TcpStream, peer: Peer, _place: Place, entrance: Entrance) {
    if let Err(error) = socket.set_nodelay(true) {
        debug!(peer = %peer.address, %error, "cannot turn off Nagle's algorithm"); // gone already, as reading will show
    }
    let Some(context) = entrance.open(peer, None).await else {
        return;
    };
    let (read_half, write_half) = socket.split();
    let (mut reader, mut writer) = (TcpReader(read_half), TcpWriter(write_half));
    match link::run(&mut reader, &mut writer, &context).await {
        LinkEnd::Close(_cause) => close(&mut reader, &mut writer).await,
        LinkEnd::Lost => {}
    }
}

/// Ends our side, and waits for the peer to end its own.
async fn close(reader: &mut TcpReader<'_>, writer: &mut TcpWriter<'_>) {
    if writer.0.shutdown().await.is_err() {
        return; // the peer is gone
    }
    let drained = async {
        let mut ignored = BytesMut::new();
        while reader.read(&mut ignored).await.is_ok() {
            ignored.clear();
        }
    };
    // Whether the peer closed or time ran out: the socket is dropped next.
    drop(tokio::time::timeout(CLOSE_TIMEOUT, drained).await);
}

struct TcpReader<'a>(ReadHalf<'a>);

impl FlowReader for TcpReader<'_> {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<(), FlowEnd> {
        poll_fn(|context| {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
            let mut read = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.0).poll_read(context, &mut read)) {
                Ok(()) if read.filled().is_empty() => Err(FlowEnd::Finished),
                Ok(()) => {
                    buffer.extend_from_slice(read.filled());
                    Ok(())
                }
                Err(error) => Err(FlowEnd::Lost(loss(&error))),
            }
            .into()
        })
        .await
    }
}

struct TcpWriter<'a>(WriteHalf<'a>);

impl FlowWriter for TcpWriter<'_> {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<usize, NetworkLoss> {
        loop {
            match self.try_write(chunks) {
                Ok(bytes) => return Ok(advance(chunks, bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.0.writable().await.map_err(|error| loss(&error))?;
                }
                Err(error) => return Err(loss(&error)),
            }
        }
    }
}

impl TcpWriter<'_> {
    fn try_write(&self, chunks: &[Bytes]) -> io::Result<usize> {
        if let [chunk] = chunks {
            return self.0.try_write(chunk);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
        let filled = chunks.len().min(WRITE_SLICES_MAX);
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
        }
        self.0.try_write_vectored(&slices[..filled])
    }
}

/// Cuts written bytes off the front. Returns how many chunks are written whole.
fn advance(chunks: &mut [Bytes], mut bytes: usize) -> usize {
    for (index, chunk) in chunks.iter_mut().enumerate() {
        if bytes < chunk.len() {
            chunk.advance(bytes);
            return index;
        }
        bytes -= chunk.len();
    }
    chunks.len()
}

fn loss(error: &io::Error) -> NetworkLoss {
    if error.kind() == ErrorKind::TimedOut {
        NetworkLoss::TimedOut
    } else {
        NetworkLoss::Reset(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_cut_off_the_front() {
        let mut chunks = [Bytes::from_static(b"abc"), Bytes::from_static(b"de"), Bytes::from_static(b"f")];
        assert_eq!(advance(&mut chunks, 4), 1);
        assert_eq!(chunks[1], "e");
        assert_eq!(advance(&mut chunks[1..], 1), 1);
        assert_eq!(advance(&mut chunks[2..], 1), 1);
    }

    #[test]
    fn an_empty_chunk_is_written_with_the_bytes_around_it() {
        let mut chunks = [Bytes::from_static(b"a"), Bytes::new(), Bytes::from_static(b"b")];
        assert_eq!(advance(&mut chunks, 2), 3);
    }
}
