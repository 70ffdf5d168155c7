//! One flow inward: bytes to packets, packets to the engine in batches.
//!
//! Backpressure is not reading: a batch that the engine has not taken, a full inbox, a paused flow and a client that
//! publishes too fast all keep this reader from its socket, and the transport holds the peer back.

use bytes::BytesMut;
use rivulet_protocol::{DecodeError, Decoder, Packet};

use super::{Arrival, Batch, BatchEnd, FlowContext, Pace};
use crate::transport::{FlowEnd, FlowReader};

/// Packets of one batch. Small packets would otherwise grow to many times their bytes once they are decoded.
const BATCH_PACKETS_MAX: usize = 256;

/// Reads a flow until it ends, is rejected, or the engine is gone.
pub(crate) async fn run(flow: &mut impl FlowReader, context: &FlowContext) {
    let mut decoder = Decoder::new(context.settings.maximum_packet_bytes);
    let mut buffer = BytesMut::new();
    loop {
        may_go_on(context).await;
        let before = buffer.len();
        let end = flow.read(&mut buffer).await.err();
        context.telemetry.bytes_received(buffer.len() - before);
        if hand_in(&mut decoder, &mut buffer, end, context).await.is_break() {
            return;
        }
    }
}

/// Hands in all packets of the buffer, and after them how the flow ended.
async fn hand_in(
    decoder: &mut Decoder,
    buffer: &mut BytesMut,
    end: Option<FlowEnd>,
    context: &FlowContext,
) -> std::ops::ControlFlow<()> {
    let mut end = end.map(BatchEnd::Flow);
    loop {
        // A place in the inbox first: packets are decoded when there is somewhere to put them.
        let Ok(place) = context.inbox.reserve().await else {
            return std::ops::ControlFlow::Break(());
        };
        let mut packets = Vec::new();
        let is_whole = decode(decoder, buffer, &mut packets, &context.pace);
        context.telemetry.packets_received(&packets);
        let batch_end = match is_whole {
            Ok(true) => end.take(),
            Ok(false) => None,
            Err(error) => Some(BatchEnd::Rejected(error)),
        };
        if packets.is_empty() && batch_end.is_none() {
            return std::ops::ControlFlow::Continue(());
        }
        let is_last = batch_end.is_some();
        let batch = Batch { packets: packets.into_iter(), end: batch_end };
        context.desk.batch_sent();
        place.send(Arrival::Batch { connection: context.connection, flow: context.flow, batch });
        if is_last {
            return std::ops::ControlFlow::Break(());
        }
        if is_whole == Ok(true) {
            return std::ops::ControlFlow::Continue(());
        }
        may_go_on(context).await;
    }
}

/// Waits until the engine takes more, and the client may publish more.
async fn may_go_on(context: &FlowContext) {
    if context.pace.ready().await {
        context.telemetry.held_back(context.connection);
    }
    context.desk.may_read().await;
}

/// Decodes up to a batch of packets, and as fast as the client may publish. `true`: what is left in the buffer is not a
/// whole packet.
fn decode(
    decoder: &mut Decoder,
    buffer: &mut BytesMut,
    packets: &mut Vec<Packet>,
    pace: &Pace,
) -> Result<bool, DecodeError> {
    while packets.len() < BATCH_PACKETS_MAX {
        match decoder.decode(buffer)? {
            Some(Packet::Publish(publish)) => {
                let may_go_on = pace.take(&publish);
                packets.push(Packet::Publish(publish));
                if !may_go_on {
                    break;
                }
            }
            Some(packet) => packets.push(packet),
            None => return Ok(true),
        }
    }
    Ok(false)
}
