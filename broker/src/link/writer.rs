//! One flow outward: packets to bytes, one write for all that is ready, and credit back to the core.

use bytes::Bytes;
use rivulet_core::CloseCause;
use rivulet_core::cause::NetworkLoss;
use rivulet_core::output::Outgoing;
use rivulet_protocol::encoder::{EncodeError, OutBuffer};
use rivulet_protocol::{Encoder, Version};
use tracing::warn;

use super::desk::Command;
use super::{Arrival, FlowContext};
use crate::transport::FlowWriter;

/// What a peer takes as long as it has not said what: the largest packet that can be written (2.1.4).
const UNNEGOTIATED_PACKET_BYTES: usize = 268_435_460;

/// Why a writer stopped.
#[derive(Debug)]
pub(crate) enum WriterEnd {
    /// All was written, the end of the flow is next.
    Finish,
    /// All was written, the end of the connection is next.
    Close(CloseCause),
    /// The peer cannot be reached.
    Lost(NetworkLoss),
    /// The peer took nothing for too long.
    Stalled,
}

/// Writes what the engine leaves on the desk until it is told to stop, or cannot.
pub(crate) async fn run(flow: &mut impl FlowWriter, context: &FlowContext) -> WriterEnd {
    let mut encoder = Encoder::new(Version::V3_1_1, UNNEGOTIATED_PACKET_BYTES);
    let mut commands = Vec::new();
    let mut out = OutBuffer::new();
    let mut credit = 0;
    loop {
        context.desk.take(&mut commands).await;
        let mut end = None;
        for command in commands.drain(..) {
            match command {
                Command::Negotiated(negotiated) => encoder = negotiated,
                Command::Send(packet) => {
                    credit += 1;
                    match encode(&encoder, &packet, &mut out) {
                        Ok(()) => context.telemetry.packet_sent(&packet),
                        // The core measures before it sends; the peer is spared what it cannot take [MQTT-3.1.2-24].
                        Err(error) => {
                            warn!(connection = context.connection.0, %error, "packet not sent")
                        }
                    }
                }
                Command::Finish => end = Some(WriterEnd::Finish),
                Command::Close(cause) => end = Some(WriterEnd::Close(cause)),
            }
        }
        if let Err(failed) = write_all(flow, &mut out, context).await {
            return failed;
        }
        if let Some(end) = end {
            return end;
        }
        // Given back by halves: the core always has the other half to send with, and is told once for many packets.
        if credit > context.settings.flow_credit / 2 {
            let given =
                Arrival::Credit { connection: context.connection, flow: context.flow, packets: credit };
            if context.inbox.send(given).await.is_err() {
                return WriterEnd::Close(CloseCause::Drain);
            }
            credit = 0;
        }
    }
}

fn encode(encoder: &Encoder, packet: &Outgoing, out: &mut OutBuffer) -> Result<(), EncodeError> {
    match packet {
        Outgoing::Packet(packet) => encoder.encode(packet, out),
        Outgoing::Delivery(delivery) => encoder.encode_delivery(delivery, out),
    }
}

/// Writes all of `out`. A peer that takes a byte now and then is slow; one that takes none for the time-out is gone.
async fn write_all(
    flow: &mut impl FlowWriter,
    out: &mut OutBuffer,
    context: &FlowContext,
) -> Result<(), WriterEnd> {
    let stall = context.settings.write_timeout;
    let mut chunks = out.take();
    let bytes = chunks.iter().map(Bytes::len).sum();
    let mut written = 0;
    while written < chunks.len() {
        match tokio::time::timeout(stall, flow.write(&mut chunks[written..])).await {
            Ok(Ok(whole)) => written += whole,
            Ok(Err(loss)) => return Err(WriterEnd::Lost(loss)),
            Err(_elapsed) => return Err(WriterEnd::Stalled),
        }
    }
    context.telemetry.bytes_sent(bytes);
    Ok(())
}
