//! A flow over anything that is read and written as one stream of bytes.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rivulet_core::cause::NetworkLoss;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{FlowEnd, FlowReader, FlowWriter};
use crate::link::{self, FlowContext, LinkEnd};

/// Bytes that one read takes at most. They lie on the stack, so that an idle connection holds none.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Slices that one write hands to the socket at most.
const WRITE_SLICES_MAX: usize = 64;

/// How long a peer has to close its side once ours is closed. Whoever closes a socket with bytes unread makes the
/// kernel reset it, and a reset takes the last CONNACK or DISCONNECT with it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a flow can be laid over.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Serves the one flow of a socket until the connection is over.
pub(crate) async fn serve(socket: impl Socket, context: &FlowContext) {
    let (read_half, write_half) = tokio::io::split(socket);
    serve_halves(read_half, write_half, context).await;
}

/// The same for a socket whose halves are independent of each other.
pub(crate) async fn serve_halves<R, W>(read_half: R, write_half: W, context: &FlowContext)
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let (mut reader, mut writer) = (SocketReader(read_half), SocketWriter(write_half));
    match link::run(&mut reader, &mut writer, context).await {
        LinkEnd::Close(_cause) => close(&mut reader, &mut writer).await,
        LinkEnd::Lost => {}
    }
}

/// Ends our side, and waits for the peer to end its own.
async fn close<R, W>(reader: &mut SocketReader<R>, writer: &mut SocketWriter<W>)
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let ended = async {
        if writer.0.shutdown().await.is_err() {
            return; // the peer is gone
        }
        let mut ignored = BytesMut::new();
        while reader.read(&mut ignored).await.is_ok() {
            ignored.clear();
        }
    };
    // Whether the peer closed or time ran out: the socket is dropped next.
    drop(tokio::time::timeout(CLOSE_TIMEOUT, ended).await);
}

struct SocketReader<R>(R);

impl<R: AsyncRead + Send + Unpin> FlowReader for SocketReader<R> {
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

struct SocketWriter<W>(W);

impl<W: AsyncWrite + Send + Unpin> FlowWriter for SocketWriter<W> {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<usize, NetworkLoss> {
        let written =
            poll_fn(|context| self.poll_write(context, chunks)).await.map_err(|error| loss(&error))?;
        let whole = advance(chunks, written);
        if whole == chunks.len() {
            // What encrypts or frames may have kept the last bytes back.
            self.0.flush().await.map_err(|error| loss(&error))?;
        }
        Ok(whole)
    }
}

impl<W: AsyncWrite + Unpin> SocketWriter<W> {
    fn poll_write(&mut self, context: &mut Context<'_>, chunks: &[Bytes]) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.0);
        if let [chunk] = chunks {
            return socket.poll_write(context, chunk);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
        let filled = chunks.len().min(WRITE_SLICES_MAX);
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
        }
        socket.poll_write_vectored(context, &slices[..filled])
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

/// How a socket was lost.
pub(crate) fn loss(error: &io::Error) -> NetworkLoss {
    if error.kind() == ErrorKind::TimedOut {
        NetworkLoss::TimedOut
    } else if error.kind() == ErrorKind::UnexpectedEof {
        // A TLS peer that ends its TCP connection without the alert that TLS wants.
        NetworkLoss::ClosedByPeer
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
