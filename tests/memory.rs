//! What a participant holds: idle, and at most.

#[path = "../benches/support/mod.rs"]
mod support;

use estafette::{EngineConfig, RoomConfig, SubscribeRule, limits};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use support::World;
use support::handshake::Ours;
use support::offer::Direction;
use support::peer::{Media, Peer};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PARTICIPANTS: usize = 250;

/// Bytes that are allocated now. What the C side of the handshake's primitives holds is not seen.
fn live() -> usize {
    let stats = GLOBAL.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Connects a room in which everybody does the same and closes it. Gives the live bytes per connected
/// participant, and what is left when all have gone.
fn cycle(world: &mut World, direction: Direction) -> (usize, isize) {
    let empty = live();
    for _ in 0..PARTICIPANTS {
        world.join(direction, 1);
        world.settle();
    }
    assert!(world.peers.iter().all(Peer::connected));
    world.forget_peers();
    let full = live();
    world.reopen();
    (full.saturating_sub(empty) / PARTICIPANTS, live().cast_signed() - empty.cast_signed())
}

/// A publisher and ten listeners who fetch nothing for a while. Gives the live bytes per participant,
/// pages of history apart.
fn flooded() -> usize {
    let mut world = World::new(Box::new(Ours::new()));
    let empty = live();
    world.join(Direction::Send, 1);
    world.settle();
    for _ in 0..10 {
        world.join(Direction::Receive, 1);
        world.settle();
    }
    for _ in 0..10 {
        let packets = world.packets(Media::Video, 1_100, 500);
        world.hand_in(&packets);
        let packets = world.packets(Media::Audio, 100, 500);
        world.hand_in(&packets);
    }
    world.forget_peers();
    let pages = world.engine.stats().history_pages * limits::HISTORY_PAGE;
    (live() - empty - pages) / 11
}

// One test alone: the allocator counts for the whole process.
#[test]
fn i_02_memory_is_bounded_per_participant_and_comes_back() {
    let nothing = live();
    let room = || RoomConfig { subscribe: SubscribeRule::None, ..RoomConfig::default() };
    let mut world = World::with_room(Box::new(Ours::new()), room());
    let (idle, left) = cycle(&mut world, Direction::Receive);
    let (silent, left_again) = cycle(&mut world, Direction::Send);
    println!(
        "live bytes per idle connected participant: {idle}; with silent audio and video declared: {silent}"
    );
    println!(
        "live bytes left by {PARTICIPANTS} participants: {left}, and {left_again} by as many after them"
    );
    assert!(idle <= 16 * 1_024, "{idle} bytes");
    assert!(left <= 4_096 && left_again <= 4_096, "back to the baseline");
    let (flooded, bound) = (flooded(), EngineConfig::participant_memory_bound());
    println!("live bytes per participant of a flooded room: {flooded}; at most: {bound}");
    assert!(silent < flooded && flooded <= bound, "{flooded} of {bound} bytes");
    drop(world);
    assert!(live() <= nothing + 1_024, "an engine leaves nothing behind");
}
