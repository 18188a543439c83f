//! Random conferences in virtual time: people join, leave, speak, fall silent, mute, look at each other and at
//! nobody, over links good and bad. After every step the invariants hold, whatever happened.
//!
//! `CONFERENCES=1000 cargo test --release --test conferences` is the campaign, `CONFERENCE=17` the one that
//! failed.

mod support;

use estafette::negotiation::MediaKind;
use estafette::random::Random;
use estafette::{
    ParticipantConfig, ParticipantId, RoomConfig, RoomId, SharedLines, SourceId, SubscribeRule, VideoLimits,
    View, Wish, speakers,
};
use std::collections::BTreeSet;
use std::time::Duration;
use support::client::publish::Plan;
use support::harness::{Options, held, millis, seconds};
use support::{Client, Conference, Link, Stage};

/// Conferences in the suite.
const USUAL: u64 = 40;
/// Loud and silent.
const LEVELS: [u8; 2] = [25, 127];
/// Until a wish shows: a key frame may have to be asked for twice.
const PATIENCE: Duration = Duration::from_millis(3_000);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn random_conferences_keep_the_invariants() {
    let seeds = match number("CONFERENCE") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CONFERENCES").unwrap_or(USUAL),
    };
    let mut sum = Sum::default();
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| Run::new(seed).play());
        match std::panic::catch_unwind(run) {
            Ok(one) => sum.add(&one),
            Err(panic) => {
                eprintln!("replay it with CONFERENCE={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{sum:?}");
    if number("CONFERENCE").is_none() {
        // The campaign is one of conferences, not of empty rooms.
        let Sum { conferences, packets, switches, repaired, shared } = sum;
        assert!(packets > 5_000 * conferences && switches > 2 * conferences, "{sum:?}");
        assert!(repaired > conferences && shared > conferences, "{sum:?}");
    }
}

/// What happened in all.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    conferences: u64,
    packets: u64,
    /// Layers that changed.
    switches: u64,
    repaired: u64,
    /// Sources that came on shared lines.
    shared: u64,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.conferences += other.conferences;
        self.packets += other.packets;
        self.switches += other.switches;
        self.repaired += other.repaired;
        self.shared += other.shared;
    }
}

struct Run {
    conference: Conference<Client>,
    rooms: Vec<RoomId>,
    /// What is allowed in each.
    limits: Vec<VideoLimits>,
    random: Random,
    top_n: usize,
    joined: u32,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random::new([0x52; 32]).fork(seed);
        let good = Link::delay(millis(5 + random.below(60)));
        let bad = good.clone().with(Stage::Loss(0.03)).with(Stage::Jitter(millis(8)));
        let bad = bad.with(Stage::Duplicate(0.02)).with(Stage::Reorder(0.02, millis(30)));
        let clean = random.below(3) == 0;
        let top_n = random.below(4) as usize;
        let last_n = [None, Some(1), Some(3)][random.below(3) as usize];
        let room = RoomConfig {
            speakers: speakers::Config { top_n, ..speakers::Config::default() },
            view: View { last_n, ..View::default() },
            ..RoomConfig::default()
        };
        let link = if clean { good } else { bad };
        let mut conference = Conference::new(Options { seed, link, room, ..Options::default() });
        conference.watch.in_order = clean;
        let rooms: Vec<RoomId> = (0..1 + random.below(3)).map(|_| conference.room()).collect();
        let limits = rooms.iter().map(|_| VideoLimits::default()).collect();
        Run { conference, rooms, limits, random, top_n, joined: 0 }
    }

    fn play(mut self) -> Sum {
        for _ in 0..4 {
            self.join();
        }
        self.conference.drive(seconds(1));
        for _ in 0..24 {
            match self.random.below(20) {
                0 | 1 => self.join(),
                2 => self.leave(),
                3 | 4 => self.speak(),
                5 => self.mute(),
                6 | 7 => self.look(),
                8..=11 => self.wish(),
                12 => self.cover(),
                13 => self.by_hand(),
                14 => self.offer(),
                15 => self.hold(),
                16 => self.limit(),
                _ => {}
            }
            let pause = millis(40 + self.random.below(700));
            self.conference.drive(pause);
            self.check();
        }
        self.conference.drive(seconds(2));
        self.check();
        self.close()
    }

    fn present(&mut self) -> Option<usize> {
        let seats = self.conference.seats.iter().enumerate();
        let there: Vec<usize> =
            seats.filter(|(_, seat)| seat.participant.is_some()).map(|(at, _)| at).collect();
        there.get(self.random.below(there.len().max(1) as u64) as usize).copied()
    }

    fn chance(&mut self, of: u64) -> bool {
        self.random.below(of) == 0
    }

    fn join(&mut self) {
        if self.conference.participants().len() >= 9 {
            return self.leave();
        }
        let at = self.random.below(self.rooms.len() as u64) as usize;
        let plan = Plan {
            encodings: 1 + 2 * self.random.below(2) as usize,
            frame_interval: millis(33 + self.random.below(30)),
            first_seq: self.random.below(65_536),
            ..Plan::default()
        };
        let index = self.joined;
        self.joined += 1;
        let mut client = self.conference.client(index, plan, at as u32);
        client.publisher.audio.level = LEVELS[self.random.below(2) as usize];
        let shared_lines = self.chance(3).then(|| SharedLines {
            audio: 1 + self.random.below(3) as u16,
            video: 1 + self.random.below(3) as u16,
        });
        let config = ParticipantConfig {
            shared_lines,
            publish: !self.chance(6),
            renegotiates: !self.chance(6),
            ..ParticipantConfig::default()
        };
        self.conference.join_as(self.rooms[at], client, config);
    }

    fn leave(&mut self) {
        if let Some(seat) = self.present() {
            self.conference.leave(seat);
        }
    }

    fn speak(&mut self) {
        let Some(seat) = self.present() else { return };
        let level = LEVELS[self.random.below(2) as usize];
        self.conference.endpoint(seat).publisher.audio.level = level;
    }

    fn mute(&mut self) {
        let Some(seat) = self.present() else { return };
        let (id, muted) = (self.conference.participant(seat), self.chance(2));
        self.conference.engine.participant(id).unwrap().set_muted(muted);
    }

    /// Somebody covers a camera or shows itself again, or an encoding of it stops or comes back.
    fn cover(&mut self) {
        let Some(seat) = self.present() else { return };
        let encoding = self.random.below(5) as usize;
        let publisher = &mut self.conference.endpoint(seat).publisher;
        match publisher.encoding(encoding) {
            Some(outgoing) => outgoing.stopped = !outgoing.stopped,
            None => publisher.plan.video = !publisher.plan.video,
        }
        // What is there is no longer what was wished for.
        let index = self.conference.seats[seat].endpoint.index;
        for seat in &mut self.conference.seats {
            seat.endpoint.receiver.limits.remove(&index);
        }
    }

    fn look(&mut self) {
        let Some(seat) = self.present() else { return };
        let room = self.conference.seats[seat].room;
        let members = self.conference.engine.room(room).unwrap().participants().to_vec();
        let pick = |random: &mut Random| -> Vec<ParticipantId> {
            members.iter().copied().filter(|_| random.below(3) == 0).collect()
        };
        let subscribe = match self.random.below(4) {
            0 => SubscribeRule::None,
            1 => SubscribeRule::Of(pick(&mut self.random)),
            _ => SubscribeRule::All,
        };
        let last_n = [None, Some(0), Some(1), Some(2)][self.random.below(4) as usize];
        let (on_stage, pinned) = (pick(&mut self.random), pick(&mut self.random));
        // What is subscribed to anew has no wish yet.
        self.conference.endpoint(seat).receiver.limits.clear();
        let id = self.conference.participant(seat);
        self.conference.engine.participant(id).unwrap().set_view(Some(View {
            subscribe,
            last_n,
            on_stage,
            pinned,
        }));
    }

    /// A source of somebody else in the room of a seat.
    fn source(&mut self, seat: usize) -> Option<(SourceId, u32, MediaKind)> {
        let (id, room) = (self.conference.participant(seat), self.conference.seats[seat].room);
        let room = self.conference.engine.room(room).unwrap();
        let others: Vec<_> = room.sources().filter(|source| source.participant != id).cloned().collect();
        let source = others.get(self.random.below(others.len().max(1) as u64) as usize)?;
        let seats = &self.conference.seats;
        let publisher = seats.iter().find(|seat| seat.participant == Some(source.participant))?;
        Some((source.id, publisher.endpoint.index, source.kind))
    }

    fn wish(&mut self) {
        let Some(seat) = self.present() else { return };
        let Some((source, index, kind)) = self.source(seat) else { return };
        let height = [None, Some(180), Some(360), Some(720), Some(0)][self.random.below(5) as usize];
        let wish = Wish {
            max_height: height.filter(|height| *height > 0),
            paused: height == Some(0),
            ..Wish::default()
        };
        let id = self.conference.participant(seat);
        if self.conference.engine.participant(id).unwrap().set_wish(source, wish).is_err() {
            return;
        }
        let whole =
            self.conference.seats.iter_mut().find(|seat| seat.endpoint.index == index).is_some_and(|seat| {
                let encodings = seat.endpoint.publisher.plan.encodings;
                (0..encodings).all(|at| seat.endpoint.publisher.encoding(at).is_some_and(|one| !one.stopped))
            });
        let shares = self.conference.engine.participant(id).unwrap().lines().next().is_some();
        let since = self.conference.now + PATIENCE;
        let limits = &mut self.conference.endpoint(seat).receiver.limits;
        match height.filter(|_| kind == MediaKind::Video && whole && !shares) {
            Some(height) => _ = limits.insert(index, (since, height)),
            None => _ = limits.remove(&index),
        }
    }

    fn by_hand(&mut self) {
        let Some(seat) = self.present() else { return };
        let Some((source, index, _)) = self.source(seat) else { return };
        let id = self.conference.participant(seat);
        let mut participant = self.conference.engine.participant(id).unwrap();
        if self.random.below(2) == 0 {
            let _ = participant.subscribe(source);
        } else {
            participant.unsubscribe(source);
        }
        // A subscription begins with a wish of its own.
        self.conference.endpoint(seat).receiver.limits.remove(&index);
    }

    fn offer(&mut self) {
        let Some(seat) = self.present().filter(|seat| self.conference.seats[*seat].endpoint.connected())
        else {
            return;
        };
        let id = self.conference.participant(seat);
        // Crossing offers have tests of their own.
        if !self.conference.engine.participant(id).unwrap().needs_negotiation() {
            self.conference.renegotiate(seat);
        }
    }

    /// Somebody takes nothing for a while, or takes it again.
    fn hold(&mut self) {
        let Some(seat) = self.present() else { return };
        let describe = &mut self.conference.endpoint(seat).describe;
        describe.hold = !describe.hold;
        self.conference.endpoint(seat).receiver.limits.clear();
        let id = self.conference.participant(seat);
        let free = !self.conference.engine.participant(id).unwrap().needs_negotiation();
        if free && self.conference.seats[seat].endpoint.connected() {
            self.conference.renegotiate(seat);
        }
    }

    /// Video is limited in a room, or not any more.
    fn limit(&mut self) {
        let at = self.random.below(self.rooms.len() as u64) as usize;
        let max_senders = [None, Some(0), Some(1), Some(2)][self.random.below(4) as usize];
        let limits = VideoLimits { max_senders, audio_only: self.chance(4), ..VideoLimits::default() };
        self.limits[at] = limits;
        self.conference.engine.room(self.rooms[at]).unwrap().set_video_limits(limits);
    }

    /// Cameras are granted of as many as may send, to all together.
    fn check_limits(&mut self) {
        for (room, limits) in self.rooms.clone().into_iter().zip(self.limits.clone()) {
            let room = self.conference.engine.room(room).unwrap();
            let members = room.participants().to_vec();
            let owners: Vec<_> = room.sources().map(|source| (source.id, source.participant)).collect();
            let mut senders = BTreeSet::new();
            for id in members {
                let participant = self.conference.engine.participant(id).unwrap();
                let granted = participant.allocation().filter(|share| share.granted.is_some());
                let sources: Vec<SourceId> = granted.map(|share| share.source).collect();
                senders.extend(owners.iter().filter(|(id, _)| sources.contains(id)).map(|(_, owner)| *owner));
            }
            let most = if limits.audio_only { Some(0) } else { limits.max_senders };
            assert!(most.is_none_or(|most| senders.len() <= most.into()), "{limits:?}: {senders:?}");
        }
    }

    /// What the harness does not see by itself.
    fn check(&mut self) {
        self.check_limits();
        for room in self.rooms.clone() {
            let heard = self.conference.engine.room(room).unwrap().heard().count();
            assert!(self.top_n == 0 || heard <= self.top_n, "{heard} are heard");
        }
        for seat in 0..self.conference.seats.len() {
            let Some(id) = self.conference.seats[seat].participant else { continue };
            let room = self.conference.seats[seat].room;
            let engine = &mut self.conference.engine;
            let videos: Vec<SourceId> = engine
                .room(room)
                .unwrap()
                .sources()
                .filter(|source| source.kind == MediaKind::Video)
                .map(|source| source.id)
                .collect();
            let participant = engine.participant(id).unwrap();
            let seen = participant.seen().filter(|source| videos.contains(source)).count();
            let by_hand = participant.by_hand().filter(|source| videos.contains(source)).count();
            let last_n = participant.view().last_n.map_or(usize::MAX, usize::from);
            assert!(seen - by_hand <= last_n, "{seen} seen, {by_hand} by hand, {last_n} at most");
            let taken: Vec<SourceId> = participant.lines().filter_map(|(_, source)| source).collect();
            assert!((1..taken.len()).all(|at| !taken[at..].contains(&taken[at - 1])), "two lines: {taken:?}");
        }
        let stats = self.conference.engine.stats();
        let streams = 8 * self.conference.participants().len();
        assert!(stats.history_pages <= streams * 64, "{} pages of {streams} streams", stats.history_pages);
    }

    /// Everything comes back, room by room.
    fn close(mut self) -> Sum {
        let events = self.conference.events.iter().map(|(_, event)| event);
        let of = |wanted: fn(&estafette::Event) -> bool| {
            events.clone().filter(|event| wanted(event)).count() as u64
        };
        let switches = of(|event| matches!(event, estafette::Event::LayerChanged { .. }));
        let shared = of(|event| matches!(event, estafette::Event::LineChanged { source: Some(_), .. }));
        let tracks = self.conference.seats.iter().flat_map(|seat| seat.endpoint.receiver.tracks.values());
        let repaired = tracks.map(|track| track.repaired).sum();
        for room in std::mem::take(&mut self.rooms) {
            self.conference.engine.room(room).unwrap().close();
            self.conference.drive(millis(50));
        }
        let stats = self.conference.engine.stats();
        assert_eq!(held(&stats), [0; 5]);
        Sum { conferences: 1, packets: stats.packets_forwarded, switches, repaired, shared }
    }
}
