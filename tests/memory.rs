//! What a participant holds: idle, and at most.

#[path = "../benches/support/mod.rs"]
mod support;

use estafette::{Datagram, DropReason, Ecn, RoomConfig, SubscribeRule, limits, participant_memory_bound};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use support::handshake::Ours;
use support::offer::Direction;
use support::peer::{Media, Peer};
use support::{World, path};

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

/// A publisher at its fastest and a listener whose datagrams nobody fetches: the live bytes of the two.
fn busiest() -> usize {
    let mut world = World::connected(Box::new(Ours::new()), 1);
    let before = live();
    let path = path(world.peers[0].address);
    for _ in 0..4_000 {
        for media in [Media::Audio, Media::Video] {
            let data = &*world.peers[0].packet(media, 1_150);
            world.engine.handle_datagram(world.now, Datagram { path, ecn: Ecn::NotEct, data });
        }
    }
    let stats = world.engine.stats();
    let pages = 2 * limits::HISTORY_PAGES_PER_STREAM;
    assert!(stats.history_pages >= pages, "two full histories: {} pages", stats.history_pages);
    let queued = usize::try_from(stats.packets_queued - stats.packets_forwarded - stats.packets_dropped);
    // Of 4,000 packets of each kind.
    assert_eq!(queued, Ok(4_000 + limits::AUDIO_QUEUE), "what came of video, and a full queue of sound");
    assert!(stats.dropped(DropReason::QueueFull) > 0, "and more was refused");
    live() - before
}

// One test alone: the allocator counts for the whole process.
#[test]
fn i_02_memory_is_bounded_per_participant_and_comes_back() {
    let room = || RoomConfig { view: SubscribeRule::None.into(), ..RoomConfig::default() };
    // The first world brings what is made once in a process, and gives the harness's own thread, whose
    // allocations count too, the time to come to rest.
    drop(World::with_room(Box::new(Ours::new()), room()));
    std::thread::sleep(std::time::Duration::from_millis(100));
    let nothing = live();
    let mut world = World::with_room(Box::new(Ours::new()), room());
    let (idle, left) = cycle(&mut world, Direction::Receive);
    let (silent, left_again) = cycle(&mut world, Direction::Send);
    println!(
        "live bytes per idle connected participant: {idle}; with silent audio and video declared: {silent}"
    );
    println!(
        "live bytes left by {PARTICIPANTS} participants: {left}, and {left_again} by as many after them"
    );
    assert!(idle <= 10 * 1_024, "{idle} bytes");
    assert!(left <= 4_096 && left_again <= 4_096, "back to the baseline");
    let bound = participant_memory_bound();
    drop(world);
    let busiest = busiest();
    println!("bound per participant: {bound} bytes; a fast publisher and a slow listener hold {busiest}");
    assert!(100 * idle < bound, "idle is a hundredth of it");
    assert!(busiest < bound, "two full histories of sixteen, and a full queue");
    // Each of sixteen sources may have four encodings, with a history each.
    assert!(64 * busiest > bound, "a bound that two streams of sixty-four come near");
    let left = live() - nothing;
    assert!(left <= 1_024, "an engine leaves nothing behind: {left}");
}
