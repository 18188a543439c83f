//! The whole engine, three times: nobody authenticated, a participant that says anything under its own
//! keys, a room of five with one that is hostile. What must hold is looked at after each operation.

use super::Script;
use super::support::handshake::{Keys, Ours};
use super::support::offer::Direction;
use super::support::peer::{Media, SSRCS};
use super::support::{World, path};
use estafette::mux::{Ecn, Path};
use estafette::rtp::{Packet, SeqNo};
use estafette::{Datagram, DropReason, EngineStats, SubscribeRule, View, Wish, mux};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The unauthenticated wire: a publisher and a listener that connected, and datagrams of nobody, from
/// strangers and from their own addresses. Nothing but counters changes (I-03; records of DTLS from
/// their own addresses are for the association to judge), strangers get no more than they sent (I-04), and media goes on (I-07).
pub fn engine_wire(data: &[u8]) {
    let mut script = Script(data);
    let mut world = World::connected(Box::new(Ours::new()), 1);
    let mut strangers = Strangers::default();
    // What can be seen on the wire: a check, a handshake's beginning, media.
    let check = first_datagram(&mut world, mux::Kind::Stun);
    let seen = [check, world.packets(Media::Audio, 160, 1).remove(0), HELLO.to_vec()];
    while let Some(operation) = script.byte() {
        let origin = match operation >> 5 {
            at @ 0..=1 => path(world.peers[usize::from(at)].address),
            at => path(SocketAddr::from(([203, 0, 113, at], 7))),
        };
        let before = world.engine.stats();
        match operation & 7 {
            0 => strangers.hand_in(&mut world, origin, script.chunk()),
            1..=4 => {
                // Changed somewhere that is authenticated, cut or continued.
                let kind = usize::from(operation & 3) % seen.len();
                let mut bytes = seen[kind].clone();
                changed(&mut bytes, &mut script);
                if bytes != seen[kind] {
                    strangers.hand_in(&mut world, origin, &bytes);
                }
            }
            5 => {
                // An empty payload is padding, which is absorbed.
                let packets = world.packets(Media::Video, 1 + usize::from(operation >> 5) * 150, 2);
                assert_eq!(world.forward(&packets), 2, "I-07: media goes on");
                continue;
            }
            6 => {
                world.run(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 4));
                continue;
            }
            _ => {
                world.engine.handle_timeout(world.now);
                world.settle();
                continue;
            }
        }
        let after = world.engine.stats();
        assert_eq!(held(&before), held(&after), "I-03: {operation:#x}");
        assert_eq!(before.media_received, after.media_received, "I-03: nothing was authentic");
        assert_eq!(before.packets_queued, after.packets_queued, "I-03: nothing is forwarded");
        balanced(&world);
    }
    world.settle();
    let packets = world.packets(Media::Audio, 160, 3);
    assert_eq!(world.forward(&packets), 3, "I-07: media goes on");
    let connected =
        |id| world.engine.participant(id).is_some_and(|participant| participant.stats().connected);
    assert!(world.participants.iter().copied().all(connected), "I-11: everybody is still connected");
}

/// The beginning of a ClientHello (RFC 6347, section 4.2.2), whole as far as its fragment goes.
const HELLO: &[u8] = &[
    22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 1, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 12, 0xfe, 0xfd, 1, 2,
    3, 4, 5, 6, 7, 8, 9, 10,
];

/// What strangers sent and got. They prove nothing, ever.
#[derive(Default)]
struct Strangers(BTreeMap<SocketAddr, [usize; 2]>);

impl Strangers {
    /// Hands in a datagram and takes what the engine says to it.
    fn hand_in(&mut self, world: &mut World, path: Path, data: &[u8]) {
        let account = self.0.entry(path.remote).or_default();
        account[0] += data.len();
        let judged = mux::kind_of(data) == Some(mux::Kind::Dtls)
            && world.peers.iter().any(|peer| peer.address == path.remote);
        let before = world.engine.state_digest();
        world.engine.handle_datagram(world.now, Datagram { path, ecn: Ecn::Ce, data });
        assert!(judged || before == world.engine.state_digest(), "I-03: {path:?}: {data:02x?}");
        let mut buf = [0; 2_048];
        while let Some(transmit) = world.engine.poll_transmit(world.now, &mut buf) {
            let to = transmit.path.remote;
            match world.peers.iter_mut().find(|peer| peer.address == to) {
                Some(peer) => peer.handle_datagram(world.now, &buf[..transmit.len]),
                None => {
                    let account = self.0.entry(to).or_default();
                    account[1] += transmit.len;
                    assert!(account[1] <= 3 * account[0], "I-04: {to}: {account:?}");
                }
            }
        }
    }
}

/// A datagram of the first peer's as it goes over the wire.
fn first_datagram(world: &mut World, kind: mux::Kind) -> Vec<u8> {
    world.peers[0].check();
    let said = std::iter::from_fn(|| world.peers[0].poll_transmit());
    said.filter(|datagram| mux::kind_of(datagram) == Some(kind)).last().unwrap_or_default()
}

/// One to three changes that the script tells.
fn changed(bytes: &mut Vec<u8>, script: &mut Script<'_>) {
    let what = script.byte().unwrap_or(0);
    for _ in 0..=what >> 6 {
        let (at, value) = (usize::from(script.byte().unwrap_or(0)), script.byte().unwrap_or(1));
        if bytes.is_empty() {
            return;
        }
        let at = at % bytes.len();
        match what & 3 {
            0 => bytes[at] ^= value | 1,
            1 => bytes.truncate(at + 1),
            2 => bytes.extend_from_slice(script.chunk()),
            _ => bytes[at] = value,
        }
    }
}

/// An authenticated participant with arbitrary inner packets: its datagrams are sealed under its real keys,
/// which comes to the same as a cipher that does nothing, and meets the code that really runs. A
/// publisher and a listener, either of whom says anything; descriptions, time and calls at will.
pub fn engine_inner(data: &[u8]) {
    let mut script = Script(data);
    let mut world = World::connected(Box::new(Ours::new()), 1);
    let mut forwarded = 0;
    while let Some(operation) = script.byte() {
        // A publisher's bytes, or its listener's.
        let peer = usize::from(operation >> 7);
        match operation & 15 {
            0 => hand_in(&mut world, peer, script.chunk()),
            1 => {
                let from = SocketAddr::from(([203, 0, 113, operation >> 4], 7));
                let datagram = Datagram { path: path(from), ecn: Ecn::Ce, data: script.chunk() };
                world.engine.handle_datagram(world.now, datagram);
            }
            2..=4 => {
                let media = if operation & 0x10 == 0 { Media::Audio } else { Media::Video };
                let mut packets = world.packets(media, usize::from(operation >> 5) * 150, 1);
                if operation & 15 == 4 {
                    // One that never arrives: the next one shows the gap.
                    packets.clear();
                }
                forwarded += world.forward(&packets);
            }
            12 => describe(&mut world, peer, &mut script),
            13 => {
                if let Some(participant) = world.engine.participant(world.participants[peer]) {
                    participant.leave();
                }
            }
            14 if world.peers.len() < 4 => {
                world.join(if peer == 0 { Direction::Receive } else { Direction::Send }, 1);
                world.settle();
            }
            15 => look(&mut world, peer, &mut script),
            _ => provoke(&mut world, peer, operation & 15, &mut script),
        }
        balanced(&world);
        assert!(world.engine.stats().packets_forwarded >= forwarded as u64);
    }
}

/// A room of five: a publisher, three listeners, and one who publishes too and is hostile. Whatever it
/// says, does and describes, the publisher's media reaches all three (I-07, S-ROOM-06).
pub fn engine_room(data: &[u8]) {
    const PUBLISHER: usize = 0;
    const HOSTILE: usize = 1;
    let mut script = Script(data);
    let mut world = World::new(Box::new(Ours::new()));
    for _ in [PUBLISHER, HOSTILE] {
        world.join(Direction::Send, 1);
        world.settle();
    }
    for _ in 0..3 {
        // A line for each publisher's audio and video.
        world.join(Direction::Receive, 2);
        world.settle();
    }
    for media in [Media::Audio, Media::Video] {
        let packets = world.packets(media, 100, 2);
        world.forward(&packets);
    }
    let mut left = false;
    while let Some(operation) = script.byte() {
        match operation & 15 {
            0 => hand_in(&mut world, HOSTILE, script.chunk()),
            1..=3 => {
                // Media of its own, under the SSRCs that it announced.
                let media = if operation & 0x10 == 0 { Media::Audio } else { Media::Video };
                for _ in 0..=operation >> 5 {
                    let packet =
                        world.peers[HOSTILE].packet(media, usize::from(script.byte().unwrap_or(9)) * 4);
                    hand_in(&mut world, HOSTILE, &packet);
                }
            }
            4 => reaches_all(&mut world, operation >> 5),
            12 => describe(&mut world, HOSTILE, &mut script),
            13 if !left => {
                left = true;
                if let Some(participant) = world.engine.participant(world.participants[HOSTILE]) {
                    participant.leave();
                }
            }
            _ => {
                provoke(&mut world, HOSTILE, operation & 15, &mut script);
                // The others answer in time: theirs is not the silence that ends consent.
                world.settle();
            }
        }
        balanced(&world);
        for at in [0, 2, 3, 4] {
            let present = world.engine.participant(world.participants[at]).is_some();
            assert!(present, "I-07: participant {at} is gone");
        }
    }
    reaches_all(&mut world, 3);
}

/// Packets of the first publisher's come out three times each.
fn reaches_all(world: &mut World, size: u8) {
    world.settle();
    let before = world.engine.stats();
    // An empty payload is padding, which is absorbed.
    let len = 1 + usize::from(size) * 100;
    let mut packets = world.packets(Media::Audio, len, 2);
    packets.extend(world.packets(Media::Video, len, 1));
    let left = world.forward(&packets);
    let after = world.engine.stats();
    assert_eq!(after.media_received - before.media_received, 3, "I-07: all of it was taken");
    assert!(left >= 9, "I-07: {left} of 9 packets left");
    for reason in [DropReason::QueueFull, DropReason::HistoryFull] {
        assert_eq!(after.dropped(reason), before.dropped(reason), "I-07: {}", reason.name());
    }
}

/// What a participant with keys can do besides media and descriptions.
fn provoke(world: &mut World, peer: usize, operation: u8, script: &mut Script<'_>) {
    match operation {
        5 | 6 => authentic_rtp(world, peer, script),
        7..=9 => authentic_rtcp(world, peer, script),
        10 => world.run(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 8)),
        11 => {
            world.now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)));
            world.engine.handle_timeout(world.now);
        }
        _ => world.settle(),
    }
}

/// Another view, another wish.
fn look(world: &mut World, peer: usize, script: &mut Script<'_>) {
    let [a, b] = [(); 2].map(|()| script.byte().unwrap_or(0));
    let members: Vec<_> = world.participants.iter().copied().take(usize::from(a & 3)).collect();
    let subscribe = match a >> 2 & 3 {
        0 => SubscribeRule::None,
        1 => SubscribeRule::Of(members.clone()),
        _ => SubscribeRule::All,
    };
    let last_n = (a & 0x80 == 0).then_some(u16::from(a >> 4 & 7));
    let sources: Vec<_> = world
        .engine
        .room(world.room)
        .map_or_else(Vec::new, |room| room.sources().map(|source| source.id).collect());
    let Some(mut participant) = world.engine.participant(world.participants[peer]) else { return };
    participant.set_view(Some(View { subscribe, last_n, on_stage: members, pinned: Vec::new() }));
    if let Some(source) = sources.get(usize::from(b & 7)) {
        let wish = Wish { max_height: Some(u16::from(b) * 4), paused: b & 8 != 0, ..Wish::default() };
        let _ = participant.set_wish(*source, wish);
        if b & 16 != 0 {
            participant.unsubscribe(*source);
        } else if b & 32 != 0 {
            let _ = participant.subscribe(*source);
        }
    }
}

/// A text of the script's as offer and answer.
fn describe(world: &mut World, peer: usize, script: &mut Script<'_>) {
    let text = String::from_utf8_lossy(script.chunk()).into_owned();
    if let Some(mut participant) = world.engine.participant(world.participants[peer]) {
        let _ = participant.accept_offer(&text);
        let _ = participant.accept_answer(&text);
        let _ = participant.create_offer();
    }
}

/// Datagrams and packets are accounted for, and nothing is due behind a drain (I-06).
fn balanced(world: &World) {
    let stats = world.engine.stats();
    assert_eq!(
        stats.datagrams_received,
        stats.datagrams_consumed + stats.media_received + stats.datagrams_dropped,
        "I-06: every datagram was consumed, kept or dropped"
    );
    assert!(stats.packets_forwarded + stats.packets_dropped <= stats.packets_queued, "I-06: {stats:?}");
    let reasons = stats.dropped_in_all() - stats.dropped(DropReason::EventLost);
    assert_eq!(reasons, stats.datagrams_dropped + stats.packets_dropped, "I-06: {stats:?}");
}

fn held(stats: &EngineStats) -> [usize; 5] {
    [stats.rooms, stats.participants, stats.sources, stats.subscriptions, stats.history_pages]
}

fn hand_in(world: &mut World, peer: usize, data: &[u8]) {
    let path = path(world.peers[peer].address);
    world.engine.handle_datagram(world.now, Datagram { path, ecn: Ecn::NotEct, data });
}

/// Any header and payload that parse, under a peer's key and, mostly, with an SSRC of its streams.
fn authentic_rtp(world: &mut World, peer: usize, script: &mut Script<'_>) {
    let select = script.byte().unwrap_or(0);
    let mut bytes = script.chunk().to_vec();
    let Some(first) = bytes.first_mut() else { return };
    *first = 0x80 | (*first & 0x3f);
    if let Some(ssrc) = SSRCS.get(usize::from(select & 3))
        && let Some(field) = bytes.get_mut(8..12)
    {
        field.copy_from_slice(&ssrc.to_be_bytes());
    }
    let Ok(packet) = Packet::parse(&bytes) else { return };
    let (header_len, seq, ssrc) = (packet.header_len(), packet.sequence_number(), packet.ssrc());
    let plain_len = bytes.len() - header_len;
    bytes.resize(bytes.len() + 64, 0);
    let Some(Keys { sealer, .. }) = &world.peers[peer].keys else { return };
    let seq = SeqNo(u64::from(seq.0) + u64::from(select >> 6) * 65_536);
    let Ok(len) = sealer.seal_rtp_in_place(seq, ssrc, header_len, &mut bytes, plain_len) else { return };
    hand_in(world, peer, &bytes[..len]);
}

/// Any RTCP under a peer's key: a header is put in front so that much of it is well framed.
fn authentic_rtcp(world: &mut World, peer: usize, script: &mut Script<'_>) {
    let (kind, count) = (script.byte().unwrap_or(0), script.byte().unwrap_or(0));
    let body = script.chunk();
    let mut bytes = vec![0x80 | (count & 31), 200 + kind % 8, 0, (body.len() / 4) as u8];
    bytes.extend_from_slice(&body[..body.len() / 4 * 4]);
    let len = bytes.len();
    bytes.resize(len + 64, 0);
    let Some(Keys { sealer, .. }) = &mut world.peers[peer].keys else { return };
    if let Ok(len) = sealer.seal_rtcp(&mut bytes, len) {
        hand_in(world, peer, &bytes[..len]);
    }
}
