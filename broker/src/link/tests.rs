use std::collections::VecDeque;
use std::future::pending;

use bytes::{Bytes, BytesMut};
use rivulet_core::output::Outgoing;
use rivulet_protocol::{Encoder, Version};

use super::*;

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a";
const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

/// Gives prepared bytes, then an end, or nothing for ever.
struct Prepared {
    reads: VecDeque<Vec<u8>>,
    end: Option<FlowEnd>,
}

impl FlowReader for Prepared {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<(), FlowEnd> {
        match self.reads.pop_front() {
            Some(bytes) => {
                buffer.extend_from_slice(&bytes);
                Ok(())
            }
            None => match self.end.take() {
                Some(end) => Err(end),
                None => pending().await,
            },
        }
    }
}

/// Keeps what is written, one element for each write; takes nothing where there is no room.
#[derive(Default)]
struct Paper {
    writes: Vec<Vec<u8>>,
    is_full: bool,
    is_torn: bool,
}

impl FlowWriter for Paper {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<usize, NetworkLoss> {
        if self.is_torn {
            return Err(NetworkLoss::Reset("torn".to_owned()));
        }
        if self.is_full {
            pending::<()>().await;
        }
        self.writes.push(chunks.concat());
        Ok(chunks.len())
    }
}

fn context(flow_credit: u32, write_timeout: Duration) -> (FlowContext, mpsc::Receiver<Arrival>) {
    let (inbox, arrivals) = mpsc::channel(8);
    let settings = LinkSettings {
        maximum_packet_bytes: 1024,
        flow_credit,
        write_timeout,
        publish_rates: PublishRates::default(),
        connection_rates: ConnectionRates::default(),
    };
    let context = FlowContext {
        connection: ConnectionKey(1),
        flow: FlowKey::CONTROL,
        desk: Arc::default(),
        inbox,
        settings: Arc::new(settings),
        pace: Arc::new(Pace::new(PublishRates::default())),
        telemetry: Arc::default(),
    };
    (context, arrivals)
}

fn reader(reads: &[&[u8]], end: Option<FlowEnd>) -> Prepared {
    Prepared { reads: reads.iter().map(|bytes| bytes.to_vec()).collect(), end }
}

fn batch(arrival: Option<Arrival>) -> Batch {
    match arrival {
        Some(Arrival::Batch { batch, .. }) => batch,
        other => panic!("a batch, not {other:?}"),
    }
}

fn pingresp() -> Command {
    Command::Send(Outgoing::Packet(Packet::PingResp))
}

const SOON: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_secs(60);

/// Runs a reader to its end as an engine does that keeps up: all batches that it hands in.
async fn batches(mut flow: Prepared) -> Vec<Batch> {
    let (context, mut arrivals) = context(64, LATE);
    let mut reading = pin!(reader::run(&mut flow, &context));
    let mut batches = Vec::new();
    let mut is_reading = true;
    while is_reading || !arrivals.is_empty() {
        tokio::select! {
            biased;
            () = &mut reading, if is_reading => is_reading = false,
            arrival = arrivals.recv() => {
                assert!(arrivals.len() <= 1, "two batches wait at most, and one of them is taken here");
                batches.push(batch(arrival));
                context.desk.batch_done();
            }
        }
    }
    batches
}

#[tokio::test]
async fn what_one_read_brings_is_one_batch_in_order() {
    let bytes = [CONNECT, PINGREQ, &PINGREQ[..1]].concat();
    let batches = batches(reader(&[&bytes, &PINGREQ[1..]], Some(FlowEnd::Finished))).await;
    assert!(matches!(batches[0].packets.as_slice(), [Packet::Connect(_), Packet::PingReq]), "{batches:?}");
    assert_eq!(batches[1].packets.as_slice(), [Packet::PingReq]);
    assert!(matches!(batches[2].end, Some(BatchEnd::Flow(FlowEnd::Finished))), "{batches:?}");
    assert_eq!(batches.len(), 3);
}

#[tokio::test]
async fn bytes_that_are_no_packet_come_after_the_packets_before_them_and_end_the_reading() {
    let bytes = [CONNECT, b"\x00\x00", PINGREQ].concat();
    let batches = batches(reader(&[&bytes], None)).await;
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].packets.len(), 1);
    assert!(matches!(batches[0].end, Some(BatchEnd::Rejected(_))), "{batches:?}");
}

#[tokio::test]
async fn a_flood_of_small_packets_waits_as_bytes() {
    let bytes = [CONNECT, &PINGREQ.repeat(2_000)].concat();
    let batches = batches(reader(&[&bytes], Some(FlowEnd::Finished))).await;
    assert!(batches.iter().all(|batch| batch.packets.len() <= 256));
    assert_eq!(batches.iter().map(|batch| batch.packets.len()).sum::<usize>(), 2_001);
}

#[tokio::test]
async fn a_paused_flow_is_not_read() {
    let (context, mut arrivals) = context(64, LATE);
    context.desk.pause(true);
    let mut read = reader(&[CONNECT], Some(FlowEnd::Finished));
    let mut reading = pin!(reader::run(&mut read, &context));
    tokio::select! {
        biased;
        () = &mut reading => panic!("read while paused"),
        () = tokio::task::yield_now() => {}
    }
    assert!(arrivals.try_recv().is_err());
    context.desk.pause(false);
    reading.await;
    assert_eq!(batch(arrivals.recv().await).packets.len(), 1);
}

#[tokio::test]
async fn commands_that_wait_together_are_one_write() {
    let (context, _arrivals) = context(64, LATE);
    let negotiated = Command::Negotiated(Encoder::new(Version::V5, 1024));
    context.desk.leave(&mut vec![negotiated, pingresp(), pingresp(), Command::Close(CloseCause::Drain)]);
    let mut paper = Paper::default();
    let end = writer::run(&mut paper, &context).await;
    assert!(matches!(end, WriterEnd::Close(CloseCause::Drain)), "{end:?}");
    assert_eq!(paper.writes, [PINGRESP.repeat(2)]);
}

#[tokio::test]
async fn credit_comes_back_for_what_was_written_once_it_is_more_than_half() {
    let (context, mut arrivals) = context(4, LATE);
    context.desk.leave(&mut vec![pingresp(), pingresp()]);
    let mut paper = Paper::default();
    let mut writing = pin!(writer::run(&mut paper, &context));
    tokio::select! {
        biased;
        end = &mut writing => panic!("{end:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(arrivals.try_recv().is_err(), "half of the credit is left");
    context.desk.leave(&mut vec![pingresp()]);
    tokio::select! {
        biased;
        end = &mut writing => panic!("{end:?}"),
        arrival = arrivals.recv() => {
            assert!(matches!(arrival, Some(Arrival::Credit { packets: 3, .. })), "{arrival:?}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_lost_in_time() {
    let (context, mut arrivals) = context(64, SOON);
    context.desk.leave(&mut vec![pingresp()]);
    let mut paper = Paper { is_full: true, ..Paper::default() };
    let end = run(&mut reader(&[], None), &mut paper, &context).await;
    assert!(matches!(end, LinkEnd::Lost), "{end:?}");
    let arrival = arrivals.recv().await;
    assert!(matches!(arrival, Some(Arrival::Lost { loss: NetworkLoss::TimedOut, .. })), "{arrival:?}");
}

#[tokio::test]
async fn what_a_peer_said_before_it_went_is_read_although_it_cannot_be_written_to() {
    let (context, mut arrivals) = context(64, LATE);
    context.desk.leave(&mut vec![pingresp()]);
    let mut paper = Paper { is_torn: true, ..Paper::default() };
    let goodbye = [CONNECT, b"\xe0\x00"].concat();
    let end = run(&mut reader(&[&goodbye], Some(FlowEnd::Finished)), &mut paper, &context).await;
    assert!(matches!(end, LinkEnd::Lost), "{end:?}");
    let said: Vec<Packet> = batch(arrivals.recv().await).packets.collect();
    assert!(matches!(said[..], [Packet::Connect(_), Packet::Disconnect(_)]), "{said:?}");
    let last = batch(arrivals.recv().await);
    assert!(matches!(last.end, Some(BatchEnd::Flow(FlowEnd::Finished))), "{:?}", last.end);
    assert!(arrivals.try_recv().is_err(), "its loss is told once");
}

fn publish(payload: &[u8]) -> Vec<u8> {
    [&[0x30, u8::try_from(payload.len() + 3).unwrap(), 0, 1, b't'], payload].concat()
}

/// The times at which the packets of `reads`, with a CONNECT before them, came to an engine that keeps up, by a clock that jumps to them.
async fn times(rates: PublishRates, reads: &[Vec<u8>]) -> (Vec<(Duration, usize)>, u64) {
    let (mut context, mut arrivals) = context(64, LATE);
    context.pace = Arc::new(Pace::new(rates));
    let mut reads = VecDeque::from(reads.to_vec());
    if let Some(first) = reads.front_mut() {
        first.splice(0..0, CONNECT.iter().copied());
    }
    let mut flow = Prepared { reads, end: Some(FlowEnd::Finished) };
    let start = crate::clock::runtime_now();
    let mut times = Vec::new();
    let engine = async {
        loop {
            let batch = batch(arrivals.recv().await);
            times.push((start.elapsed(), batch.packets.len()));
            context.desk.batch_done();
            if batch.end.is_some() {
                return;
            }
        }
    };
    tokio::join!(reader::run(&mut flow, &context), engine);
    let held_back = context.telemetry.counters().held_back.load(std::sync::atomic::Ordering::Relaxed);
    (times, held_back)
}

fn per_second(number: u32, burst_seconds: u64) -> Option<crate::rate::Rate> {
    let per_second = std::num::NonZeroU32::new(number).unwrap();
    Some(crate::rate::Rate { per_second, burst: Duration::from_secs(burst_seconds) })
}

#[tokio::test(start_paused = true)]
async fn a_client_that_publishes_too_fast_is_not_read_for_as_long_as_it_takes_and_loses_nothing() {
    let rates = PublishRates { messages: per_second(2, 2), bytes: None };
    let all_at_once = publish(b"x").repeat(7);
    let (times, held_back) = times(rates, &[all_at_once]).await;
    let seconds: Vec<_> = times
        .iter()
        .filter(|(_, packets)| *packets > 0)
        .map(|(at, packets)| (at.as_secs_f64(), *packets))
        .collect();
    let mut expected = vec![(0.0, 5), (0.5, 1), (1.0, 1), (1.5, 1)];
    // The runtime's timers count in milliseconds and may be one late.
    for (found, expected) in seconds.iter().zip(expected.drain(..)) {
        assert!(found.0 >= expected.0 && found.0 < expected.0 + 0.01 && found.1 == expected.1, "{seconds:?}");
    }
    assert_eq!(times.iter().map(|(_, packets)| packets).sum::<usize>(), 8);
    assert!(held_back >= 3, "{held_back}");
}

#[tokio::test(start_paused = true)]
async fn large_messages_are_paid_for_before_the_next_is_read() {
    let rates = PublishRates { messages: None, bytes: per_second(10, 1) };
    let (times, held_back) = times(rates, &[publish(&[0; 60]), publish(&[0; 1]), PINGREQ.to_vec()]).await;
    let [first, second, ..] = &times[..] else { panic!("two batches at least, not {times:?}") };
    assert_eq!(*first, (Duration::ZERO, 2));
    assert!(second.0 >= Duration::from_secs(5) && second.0 < Duration::from_secs(6), "{times:?}");
    assert_eq!(times.iter().map(|(_, packets)| packets).sum::<usize>(), 4);
    assert!(held_back >= 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_not_held_back() {
    let rates = PublishRates { messages: per_second(1, 1), bytes: None };
    let (times, held_back) = times(rates, &[PINGREQ.repeat(100)]).await;
    assert!(times.iter().all(|(at, _)| at.is_zero()), "{times:?}");
    assert_eq!(times.iter().map(|(_, packets)| packets).sum::<usize>(), 101);
    assert_eq!(held_back, 0);
}
