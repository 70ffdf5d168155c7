//! Decode and encode of a 64 B QoS 1 PUBLISH on a topic of 25 B, without and with three properties, in both versions,
//! against `mqttbytes` in the same run.
//!
//! Each sample decodes a buffer of many packets, or encodes as many into one buffer: what a connection does. Look at
//! the medians, on a machine that does nothing else; `cargo run --release --example codec_ratio` prints their ratio.

use divan::counter::ItemsCount;

mod workload;

use workload::{Ours, Theirs, V3_1_1, V5, V5_PROPERTIES, Workload};

fn main() {
    divan::main();
}

const WORKLOADS: [Workload; 3] = [V3_1_1, V5, V5_PROPERTIES];

#[divan::bench(args = WORKLOADS)]
fn decode_ours(bencher: divan::Bencher<'_, '_>, workload: Workload) {
    let ours = Ours::new(workload);
    bencher
        .counter(ItemsCount::new(workload::PACKETS))
        .with_inputs(|| ours.buffer())
        .bench_local_values(|buffer| ours.decode(buffer));
}

#[divan::bench(args = WORKLOADS)]
fn decode_mqttbytes(bencher: divan::Bencher<'_, '_>, workload: Workload) {
    let (ours, theirs) = (Ours::new(workload), Theirs::new(workload));
    bencher
        .counter(ItemsCount::new(workload::PACKETS))
        .with_inputs(|| ours.buffer())
        .bench_local_values(|buffer| theirs.decode(buffer));
}

#[divan::bench(args = WORKLOADS)]
fn encode_ours(bencher: divan::Bencher<'_, '_>, workload: Workload) {
    let ours = Ours::new(workload);
    bencher.counter(ItemsCount::new(workload::PACKETS)).bench_local(|| ours.encode());
}

#[divan::bench(args = WORKLOADS)]
fn encode_mqttbytes(bencher: divan::Bencher<'_, '_>, workload: Workload) {
    let theirs = Theirs::new(workload);
    bencher.counter(ItemsCount::new(workload::PACKETS)).bench_local(|| theirs.encode());
}
