//! Prints how long our codec takes for a PUBLISH, how long `mqttbytes` takes in the same run, and the ratio.
//!
//! `cargo run --release -p rivulet-protocol --example codec_ratio`

#![allow(clippy::print_stdout, reason = "this is a program")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

#[path = "../benches/workload/mod.rs"]
mod workload;

use std::time::Instant;

use workload::{Ours, PACKETS, Theirs, V3_1_1, V5, V5_PROPERTIES};

/// Measurements of each side, taken in turns so that both see the same machine.
const ROUNDS: usize = 201;

/// Buffers in one measurement.
const BUFFERS: usize = 100;

fn main() {
    println!(
        "{:<24}{:>12}{:>12}{:>8}   median of {ROUNDS} rounds, ns per packet",
        "", "ours", "mqttbytes", "ratio"
    );
    for workload in [V3_1_1, V5, V5_PROPERTIES] {
        let (ours, theirs) = (Ours::new(workload), Theirs::new(workload));
        let buffers = || (0..BUFFERS).map(|_| ours.buffer()).collect::<Vec<_>>();
        report(
            &format!("decode {workload}"),
            || measure(buffers(), |buffer| ours.decode(buffer)),
            || measure(buffers(), |buffer| theirs.decode(buffer)),
        );
        report(
            &format!("encode {workload}"),
            || measure(vec![(); BUFFERS], |()| drop(ours.encode())),
            || measure(vec![(); BUFFERS], |()| drop(theirs.encode())),
        );
    }
}

/// Nanoseconds for one packet.
fn measure<T>(inputs: Vec<T>, run: impl Fn(T)) -> f64 {
    let start = Instant::now();
    inputs.into_iter().for_each(run);
    start.elapsed().as_nanos() as f64 / (BUFFERS * PACKETS) as f64
}

fn report(name: &str, ours: impl Fn() -> f64, theirs: impl Fn() -> f64) {
    let (mut our_times, mut their_times): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (ours(), theirs())).unzip();
    let (ours, theirs) = (median(&mut our_times), median(&mut their_times));
    println!("{name:<24}{ours:>12.1}{theirs:>12.1}{:>8.2}", ours / theirs);
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
