//! A forwarded packet allocates nothing: a property of the design, counted by the allocator.

#[path = "../benches/support/lineage.rs"]
mod lineage;
#[path = "../benches/support/mod.rs"]
mod support;

use estafette::mux::Protocol;
use estafette::negotiation::FeedbackKind;
use estafette::srtp;
use lineage::Lineage;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use support::World;
use support::peer::Media;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LISTENERS: usize = 10;

/// What the allocator was asked for, moved blocks included.
#[derive(Default)]
struct Counted {
    packets: usize,
    allocations: usize,
}

/// Forwards ten seconds of one `audio` and four video packets in turn, a millisecond apart; clients
/// answer every 50 packets, uncounted. Counts apart the calls in which only media moved, and those in
/// which reports, feedback or checks fell due as well.
fn forward(world: &mut World, audio: Media) -> [Counted; 2] {
    let layered = world.peers[0].layered;
    let mut counted = [Counted::default(), Counted::default()];
    for _ in 0..200 {
        let video = world.packets(Media::Video, 1_100, 40);
        let audio = world.packets(audio, 160, 10);
        let packets: Vec<_> =
            video.chunks(4).zip(audio.chunks(1)).flat_map(|(video, audio)| [audio, video]).collect();
        for burst in packets {
            for packet in burst {
                let packet = std::slice::from_ref(packet);
                let before = world.kept();
                let region = Region::new(GLOBAL);
                let sent = world.forward(packet);
                let change = region.change();
                assert!(sent == LISTENERS || layered && sent == LISTENERS / 2);
                let control = usize::from(world.kept() > before);
                counted[control].packets += sent;
                counted[control].allocations += change.allocations + change.reallocations;
            }
        }
        world.settle();
        // Where paths are told of: one feedback of each listener.
        let told = world.tell();
        let region = Region::new(GLOBAL);
        world.receive(&told);
        let change = region.change();
        counted[1].allocations += change.allocations + change.reallocations;
        world.settle();
    }
    counted
}

// One test alone: the allocator counts for the whole process.
#[test]
fn a_forwarded_packet_allocates_nothing() {
    // The profile of short tags is never negotiated by the handshake.
    let negotiated = |profile: &srtp::Profile| *profile != srtp::Profile::Aes128CmHmacSha1_32;
    let profiles = srtp::Profile::ALL.into_iter().filter(negotiated);
    let [first, ..] = srtp::Profile::ALL;
    // Over TCP every other frame arrives in two pieces and waits for its rest.
    let runs = profiles.map(|profile| (Protocol::Udp, profile, Media::Audio));
    for (over, profile, audio) in
        runs.chain([(Protocol::Tcp, first, Media::Audio), (Protocol::Udp, first, Media::Red)])
    {
        let dialect = Box::new(Lineage::offering(profile));
        let mut world = match audio {
            // Passed on to one half of the listeners, its blocks renumbered, and unpacked for the other.
            Media::Red => World::connected_with_red(dialect, LISTENERS),
            _ => World::connected_over(over, dialect, LISTENERS),
        };
        // Queues, tables and histories grow to what the streams need.
        forward(&mut world, audio);
        let [media, control] = forward(&mut world, audio);
        println!(
            "{:?} over {over:?}, {audio:?}: {} allocations over {} packets of media, {} over {} with RTCP, checks and timers due",
            world.profile(),
            media.allocations,
            media.packets,
            control.allocations,
            control.packets
        );
        assert!(media.packets > 50_000 && control.packets > 1_000, "both kinds were seen");
        assert_eq!(media.allocations, 0, "media alone");
        assert_eq!(control.allocations, 0, "with reports, feedback and checks");
    }

    // Feedback of the other kinds, to the publisher.
    for kind in [FeedbackKind::Ccfb, FeedbackKind::Remb] {
        let mut world = World::connected_telling(kind, Box::new(Lineage::offering(first)), LISTENERS);
        let id = world.participants[0];
        let stats = world.engine.participant(id).and_then(|publisher| publisher.transport_stats());
        assert_eq!(stats.and_then(|stats| stats.feedback), Some(kind));
        forward(&mut world, Media::Audio);
        let [media, control] = forward(&mut world, Media::Audio);
        assert!(media.packets > 50_000 && control.packets > 100, "{kind:?}: {} calls", control.packets);
        assert_eq!((media.allocations, control.allocations), (0, 0), "{kind:?}");
    }

    // With layers: every other listener gets two of three, so numbers are rewritten all the time.
    let mut world = World::layered(Box::new(Lineage::offering(first)), LISTENERS);
    forward(&mut world, Media::Audio);
    let [media, control] = forward(&mut world, Media::Audio);
    let all = 50 * 200 * LISTENERS;
    assert!(media.packets + control.packets < all * 9 / 10, "layers are left out");
    assert!(media.packets > 50_000, "{} of {all}", media.packets);
    assert_eq!((media.allocations, control.allocations), (0, 0), "with layers");

    // Fitted to paths: departures noted and paced, feedback read.
    let mut world = World::fitted(Box::new(Lineage::offering(first)), LISTENERS);
    forward(&mut world, Media::Audio);
    let [media, control] = forward(&mut world, Media::Audio);
    assert!(media.packets > 50_000 && control.packets > 1_000, "both kinds were seen");
    assert_eq!((media.allocations, control.allocations), (0, 0), "paced, with feedback");
}
