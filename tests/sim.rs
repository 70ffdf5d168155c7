//! A simulated world around the core: clients, a network that loses and reorders, a slow disk, crashes, a clock; and a
//! naive model that says after each step what was allowed and what is missing.
//!
//! Every run is its seed. `RIVULET_SIM_SEED` replays one, `RIVULET_SIM_STEPS` sets the length. The files are in `sim/`.

#![cfg(test)]

#[path = "sim/actions.rs"]
mod actions;
#[path = "sim/chance.rs"]
mod chance;
#[path = "sim/client.rs"]
mod client;
#[path = "sim/model.rs"]
mod model;
#[path = "sim/trace.rs"]
mod trace;
#[path = "sim/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rivulet_protocol::MessageProperties;
use world::World;

/// How long 3.1.1 clients with a kept session may stay away.
const SESSION_EXPIRY_V3_SECS: u32 = 100;
/// Steps of one run, unless the environment says otherwise.
const STEPS: usize = 3_000;
/// Steps between two times at which everything must come to rest.
const STEPS_TO_REST: usize = 500;

/// Messages are told apart by a number: their payload, or where that is empty their content type.
fn number_of(payload: &[u8], properties: &MessageProperties) -> u64 {
    let text = match &properties.content_type {
        Some(number) if payload.is_empty() => number.as_bytes(),
        Some(_) | None => payload,
    };
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn run(seed: u64) -> BTreeMap<&'static str, usize> {
    let steps = from_environment("RIVULET_SIM_STEPS").map_or(STEPS, |steps| steps as usize);
    let mut world = World::new(seed);
    for step in 1..=steps {
        world.trace.begin_step(step);
        world.model.begin_step(step);
        world.act();
        if step % STEPS_TO_REST == 0 || step == steps {
            world.trace.note("come to rest".to_owned());
            world.expect_rest();
        }
    }
    world.expect_retained();
    world.model.tally
}

#[test]
fn the_rules_hold_in_the_worlds_of_fixed_seeds() {
    if let Some(seed) = from_environment("RIVULET_SIM_SEED") {
        println!("seed {seed}: {:?}", run(seed));
        return;
    }
    let mut tally = BTreeMap::new();
    for (what, count) in (1..=40).flat_map(run) {
        *tally.entry(what).or_insert(0) += count;
    }
    let rare = tally.values().filter(|count| **count < 10).count();
    assert!(tally.len() == 14 && rare == 0, "worlds in which little happens prove little: {tally:?}");
}

#[test]
fn the_rules_hold_in_a_world_that_nobody_has_seen() {
    if from_environment("RIVULET_SIM_SEED").is_some() {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "a fresh seed must come from outside; it is printed")]
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64;
    println!("seed {seed}");
    println!("{:?}", run(seed));
}
