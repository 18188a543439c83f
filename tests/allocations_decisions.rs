//! Deciding, keeping what was decided and writing it as JSON allocates nothing.

#[path = "../benches/support/lineage.rs"]
mod lineage;
#[path = "../benches/support/mod.rs"]
mod support;

use estafette::{Choice, Decision, Wish, srtp};
use lineage::Lineage;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use support::World;
use support::peer::Media;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LISTENERS: usize = 3;
const ROUNDS: usize = 1_000;

/// Writes the lines of what was decided into `text`, and counts them by their kind.
fn fetch(world: &mut World, text: &mut String, counts: &mut [usize; 4]) {
    text.clear();
    while let Some(decision) = world.engine.poll_decision() {
        write(text, &decision);
        let kind = match decision.choice {
            Choice::Estimate { .. } => 0,
            Choice::Granted { .. } => 1,
            Choice::Sent { .. } => 2,
            _ => 3,
        };
        counts[kind] += 1;
    }
}

#[cfg(feature = "json")]
fn write(text: &mut String, decision: &Decision) {
    writeln!(text, "{}", decision.json()).expect("text");
}

#[cfg(not(feature = "json"))]
fn write(text: &mut String, decision: &Decision) {
    writeln!(text, "{decision:?}").expect("text");
}

/// Eighty milliseconds of video, fifty pictures in a second, after which the listeners tell of them or are
/// silent; counts what the engine allocates of its own. Their wishes change now and then.
fn round(world: &mut World, at: usize, text: &mut String, counts: &mut [usize; 4]) -> usize {
    let packets = world.packets(Media::Video, 200, 4);
    let (source, listener) = (world.video(), world.participants[1 + at % LISTENERS]);
    let region = Region::new(GLOBAL);
    if at.is_multiple_of(5) {
        let slow = (at / 5 / LISTENERS).is_multiple_of(2);
        let wish = Wish { max_frame_rate: slow.then_some(12), ..Wish::default() };
        let participant = world.engine.participant(listener);
        participant.expect("it is there").set_wish(source, wish).expect("it is subscribed");
    }
    for packet in packets.chunks(1) {
        world.forward(packet);
        for _ in 0..19 {
            world.now += Duration::from_millis(1);
            world.tick();
        }
    }
    fetch(world, text, counts);
    let change = region.change();
    let told = world.tell();
    let region = Region::new(GLOBAL);
    if at % 50 >= 10 {
        world.receive(&told);
        fetch(world, text, counts);
    }
    let after = region.change();
    world.settle();
    change.allocations + change.reallocations + after.allocations + after.reallocations
}

// One test alone: the allocator counts for the whole process.
#[test]
fn a_decision_allocates_nothing() {
    let [first, ..] = srtp::Profile::ALL;
    let mut world = World::deciding(Box::new(Lineage::offering(first)), LISTENERS);
    let (mut text, mut counts) = (String::with_capacity(1 << 20), [0; 4]);
    // Queues, tables and histories grow to what the streams need.
    for at in 0..5 * ROUNDS {
        round(&mut world, at, &mut text, &mut counts);
    }
    println!("while all grows: {counts:?}");
    counts = [0; 4];
    let mut rounds: BTreeMap<usize, usize> = BTreeMap::new();
    for at in 0..ROUNDS {
        *rounds.entry(round(&mut world, at, &mut text, &mut counts)).or_default() += 1;
    }
    println!("estimates, grants, sent, other: {counts:?}; rounds by allocations: {rounds:?}");
    assert!(counts.iter().all(|count| *count > 10), "decisions of all kinds: {counts:?}");
    assert_eq!(rounds.keys().max(), Some(&0), "{rounds:?}");
}
