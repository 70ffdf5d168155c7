//! One QUIC stream as one flow.

use bytes::{Bytes, BytesMut};
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use rivulet_core::cause::NetworkLoss;

use crate::transport::{FlowEnd, FlowReader, FlowWriter};

/// Frames that one read takes at most.
const READ_CHUNKS_MAX: usize = 32;

/// The inward half.
pub(super) struct StreamReader<'a>(pub(super) &'a mut RecvStream);

impl FlowReader for StreamReader<'_> {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<(), FlowEnd> {
        let mut chunks: [Bytes; READ_CHUNKS_MAX] = [const { Bytes::new() }; READ_CHUNKS_MAX];
        match self.0.read_chunks(&mut chunks).await {
            Ok(Some(count)) => {
                buffer.reserve(chunks[..count].iter().map(Bytes::len).sum());
                for chunk in &chunks[..count] {
                    buffer.extend_from_slice(chunk);
                }
                Ok(())
            }
            Ok(None) => Err(FlowEnd::Finished),
            Err(ReadError::Reset(code)) => Err(FlowEnd::Reset(code.into_inner())),
            Err(ReadError::ConnectionLost(error)) => Err(FlowEnd::Lost(loss(&error))),
            Err(
                error
                @ (ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected),
            ) => Err(FlowEnd::Lost(NetworkLoss::Reset(error.to_string()))),
        }
    }
}

/// The outward half.
pub(super) struct StreamWriter<'a>(pub(super) &'a mut SendStream);

impl FlowWriter for StreamWriter<'_> {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<usize, NetworkLoss> {
        match self.0.write_chunks(chunks).await {
            Ok(written) => Ok(written.chunks),
            Err(WriteError::ConnectionLost(error)) => Err(loss(&error)),
            Err(
                error @ (WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected),
            ) => Err(NetworkLoss::Reset(error.to_string())),
        }
    }
}

/// How a connection was lost, in words for the log.
pub(super) fn loss(error: &ConnectionError) -> NetworkLoss {
    match error {
        ConnectionError::ApplicationClosed(_) => NetworkLoss::ClosedByPeer,
        ConnectionError::TimedOut => NetworkLoss::TimedOut,
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => NetworkLoss::Reset(error.to_string()),
    }
}
