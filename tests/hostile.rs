//! Whatever strangers, participants and the embedder throw at an engine in a live call: nothing
//! panics, the counters add up, the call goes on.

mod support;

use estafette::mux::{Kind, kind_of};
use estafette::random::Random;
use estafette::rtp::{SeqNo, Ssrc};
use estafette::{
    DropReason, Event, Instant, ParticipantConfig, ParticipantId, RoomConfig, RoomId, SharedLines, SourceId,
    SubscribeRule, View, Wish,
};
use proptest::prelude::*;
use std::sync::OnceLock;
use std::time::Duration;
use support::client::publish::Plan;
use support::harness::{Options, home};
use support::hostility::{Call, HONEST, Op, Origin, lie, op};
use support::invariants::digest;
use support::{Client, Conference, captures};

/// Ids of all times, and what descriptions there were.
#[derive(Default)]
struct Known {
    rooms: Vec<RoomId>,
    participants: Vec<ParticipantId>,
    sources: Vec<SourceId>,
    texts: Vec<String>,
}

struct Siege {
    conference: Conference,
    known: Known,
    recorded: Vec<Vec<u8>>,
    random: Random,
}

impl Siege {
    /// A call of honest participants and one with keys who is not; the embedder's calls concern other
    /// rooms, and ids that are stale or of the wrong room.
    fn new(seed: u64) -> Self {
        let mut conference = Conference::<Client>::new(Options { seed, ..Options::default() });
        let room = conference.room();
        for index in 0..HONEST as u32 {
            conference.add_with(room, index, Plan { key_parts: 4, parts: 2, ..Plan::default() });
        }
        let hostile =
            conference.add_with(room, HONEST as u32, Plan { audio: true, video: true, ..Plan::default() });
        conference.endpoint(hostile).lawless = true;
        for seat in 0..HONEST {
            conference.endpoint(seat).receiver.distrusted.push(HONEST.to_string());
        }
        conference.connect();
        conference.tap = true;
        conference.drive(Duration::from_millis(300));
        conference.tap = false;
        let mut recorded: Vec<Vec<u8>> = conference.outgoing.drain(..).map(|packet| packet.data).collect();
        let hello = conference.endpoint(0).ice.check(true);
        recorded.push(hello);
        recorded.extend(captured().iter().cloned());
        let offer = conference.endpoint(0).describe.last.clone();
        let texts = vec![offer, "v=0\r\n".into(), String::new()];
        let known = Known { texts, ..Known::default() };
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Siege { conference, known, recorded, random: Random::new(bytes) }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Noise(origin, data) => self.forged(*origin, data),
            Op::Changed(origin, at, mutations) => {
                let original = &self.recorded[at % self.recorded.len()];
                let mut data = original.clone();
                for mutation in mutations.iter() {
                    if !data.is_empty() {
                        mutation.apply(&mut data);
                    }
                }
                if data != *original {
                    self.forged(*origin, &data);
                }
            }
            Op::Again(origin, at) => {
                let data = self.recorded[at % self.recorded.len()].clone();
                self.conference.inject(origin.address(), &data);
            }
            Op::SealedRtp(ssrc, seq, header, payload) => self.sealed_rtp(*ssrc, *seq, header, payload),
            Op::SealedRtcp(plain) => self.conference.endpoint(HONEST).send_plain_rtcp(plain),
            Op::SealedLies(lies) => {
                let client = self.conference.endpoint(HONEST);
                let own = [client.publisher.video.ssrc.0, client.publisher.audio.ssrc.0];
                let known: Vec<u32> =
                    client.receiver.tracks.keys().copied().chain(own).chain([0, u32::MAX]).collect();
                let pick = |at: u8| known[usize::from(at) % known.len()];
                let plain: Vec<u8> = lies
                    .iter()
                    .flat_map(|(kind, media, numbers)| lie(*kind, own[1], pick(*media), *numbers))
                    .collect();
                client.send_plain_rtcp(&plain);
            }
            Op::Call(call, a, b) => self.call(*call, *a, *b),
            Op::Back(micros) => {
                let past = self.conference.now - Duration::from_micros(u64::from(*micros));
                self.conference.engine.handle_timeout(past);
                self.conference.engine.handle_departure(past, estafette::TransmitId(u64::from(*micros)));
            }
            Op::Poll(size) => {
                self.conference.drain_with(usize::from(*size));
            }
            Op::Pass(millis) => self.conference.drive(Duration::from_millis(u64::from(*millis))),
        }
    }

    /// A datagram that nobody sealed: it is dropped, and nothing else (I-03, I-04).
    fn forged(&mut self, origin: Origin, data: &[u8]) {
        self.conference.step();
        let before = (digest(&self.conference.engine), self.conference.engine.stats().datagrams_dropped);
        self.conference.inject(origin.address(), data);
        // A record in clear from the pair in use is for DTLS to judge, after all.
        let clear = kind_of(data) == Some(Kind::Dtls) && matches!(origin, Origin::Participant(_));
        if !clear {
            let after = (digest(&self.conference.engine), self.conference.engine.stats().datagrams_dropped);
            assert_eq!((&before.0, before.1 + 1), (&after.0, after.1), "I-03: {origin:?} {data:02x?}");
        }
        self.conference.tap = true;
        self.conference.step();
        self.conference.tap = false;
        let replies =
            self.conference.outgoing.drain(..).filter(|packet| packet.to == origin.address()).count();
        assert!(replies <= usize::from(clear), "I-04: {replies} replies to {origin:?} {data:02x?}");
    }

    fn sealed_rtp(&mut self, ssrc: u32, seq: u16, header: &[u8], payload: &[u8]) {
        // Among few SSRCs, its own and ours too, so that some are met again.
        let client = self.conference.endpoint(HONEST);
        let own = [client.publisher.video.ssrc, client.publisher.video.rtx_ssrc, client.publisher.audio.ssrc];
        let theirs = client.receiver.tracks.keys().copied().map(Ssrc).nth(ssrc as usize % 4);
        let choices = [own[0], own[1], own[2], theirs.unwrap_or(Ssrc(0)), Ssrc(ssrc % 200), Ssrc(ssrc)];
        let ssrc = choices[ssrc as usize % choices.len()];
        let mut header = header.to_vec();
        header[2..4].copy_from_slice(&seq.to_be_bytes());
        header[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
        client.send_rtp(ssrc, SeqNo(u64::from(seq)), &header, payload);
    }

    fn call(&mut self, call: Call, a: usize, b: usize) {
        let known = &mut self.known;
        let engine = &mut self.conference.engine;
        let room = pick(&known.rooms, a);
        let participant = pick(&known.participants, a);
        let source = pick(&known.sources, b);
        let text = known.texts[b % known.texts.len()].clone();
        match call {
            Call::CreateRoom => {
                let config = RoomConfig { max_participants: 1 + a % 5, ..RoomConfig::default() };
                known.rooms.extend(engine.create_room(config));
            }
            Call::CloseRoom => drop(room.and_then(|id| engine.room(id)).map(estafette::Room::close)),
            Call::Join => {
                let label =
                    if b.is_multiple_of(3) { format!("{b}") } else { text.chars().take(b % 70).collect() };
                let config = ParticipantConfig {
                    label,
                    publish: b.is_multiple_of(2),
                    receive: !b.is_multiple_of(5),
                    renegotiates: !b.is_multiple_of(3),
                    shared_lines: b
                        .is_multiple_of(4)
                        .then_some(SharedLines { audio: b as u16 % 5, video: b as u16 }),
                    ..ParticipantConfig::default()
                };
                let joined = room.and_then(|id| engine.room(id)).map(|mut room| room.join(config));
                known.participants.extend(joined.and_then(Result::ok));
            }
            Call::Leave => {
                if let Some(participant) = participant.and_then(|id| engine.participant(id)) {
                    participant.leave();
                }
            }
            Call::Subscribe => {
                if let (Some(mut participant), Some(source)) =
                    (participant.and_then(|id| engine.participant(id)), source)
                {
                    let _ = participant.subscribe(source);
                }
            }
            Call::Unsubscribe => {
                if let (Some(mut participant), Some(source)) =
                    (participant.and_then(|id| engine.participant(id)), source)
                {
                    participant.unsubscribe(source);
                }
            }
            Call::View => {
                let members: Vec<_> = known.participants.iter().copied().take(b % 9).collect();
                let subscribe = match b % 4 {
                    0 => SubscribeRule::None,
                    1 => SubscribeRule::Of(members.clone()),
                    _ => SubscribeRule::All,
                };
                let last_n = (!b.is_multiple_of(5)).then_some(b as u16 % 7);
                let view = View { subscribe, last_n, on_stage: members.clone(), pinned: members };
                if let Some(mut participant) = participant.and_then(|id| engine.participant(id)) {
                    participant.set_view(Some(view));
                }
            }
            Call::Wish => {
                let wish = Wish {
                    max_height: Some(b as u16),
                    max_bitrate: b.is_multiple_of(2).then_some(estafette::Bitrate::from_kbps(a as u64)),
                    paused: b.is_multiple_of(3),
                    ..Wish::default()
                };
                if let (Some(mut participant), Some(source)) =
                    (participant.and_then(|id| engine.participant(id)), source)
                {
                    let _ = participant.set_wish(source, wish);
                }
            }
            Call::Offer => {
                let offer =
                    garbled(&mut self.random, &self.conference.seats[b % HONEST].endpoint.describe.last);
                let offer = if a.is_multiple_of(3) { offer } else { text };
                if let Some(Ok(answer)) =
                    participant.and_then(|id| engine.participant(id)).map(|mut p| p.accept_offer(&offer))
                {
                    known.texts.push(answer);
                }
            }
            Call::Answer => {
                if let Some(mut participant) = participant.and_then(|id| engine.participant(id)) {
                    let _ = participant.accept_answer(&text);
                }
            }
            Call::CreateOffer => {
                if let Some(Ok(offer)) =
                    participant.and_then(|id| engine.participant(id)).map(|mut p| p.create_offer())
                {
                    known.texts.push(offer);
                }
            }
            Call::Sources => {
                if let Some(room) = room.and_then(|id| engine.room(id)) {
                    known.sources.extend(room.sources().map(|info| info.id));
                }
                let live = self.conference.seats[a % HONEST].room;
                // Sources of the call, for participants of other rooms to ask for.
                let live = self.conference.engine.room(live).expect("the call goes on");
                known.sources.extend(live.sources().map(|info| info.id));
                known.sources.truncate(100);
            }
        }
        known.texts.truncate(30);
    }

    /// The honest hear and see each other as if nothing had happened.
    fn assert_alive(&mut self) {
        let before: Vec<_> = pairs().map(|(to, from)| self.conference.seen(to, from)).collect();
        self.conference.drive(Duration::from_secs(2));
        for ((to, from), before) in pairs().zip(before) {
            let seen = self.conference.seen(to, from);
            let flows = seen.video >= before.video + 40 && seen.audio >= before.audio + 80;
            assert!(flows && seen.broken.is_empty(), "{from} to {to}: {before:?}, then {seen:?}");
        }
        let left = self.conference.events.iter().filter(|(_, event)| {
            matches!(event, Event::Left { participant, .. } if !self.known.participants.contains(participant))
        });
        assert_eq!(left.count(), 0, "I-11: nobody of the call left");
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..HONEST).flat_map(|to| (0..HONEST).filter(move |from| *from != to).map(move |from| (to, from)))
}

fn pick<T: Copy>(from: &[T], at: usize) -> Option<T> {
    from.get(at % from.len().max(1)).copied()
}

/// A description with a few of its bytes, lines or numbers changed.
fn garbled(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive("\r\n").map(str::to_owned).collect();
    for _ in 0..=random.below(4) {
        let at = random.below(lines.len() as u64) as usize;
        match random.below(4) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[random.below(lines.len() as u64) as usize].clone()),
            2 => lines[at] = lines[at].replace(char::is_numeric, "9"),
            _ => {
                let mut bytes = std::mem::take(&mut lines[at]).into_bytes();
                let at_byte = random.below(bytes.len() as u64) as usize;
                bytes[at_byte] = random.next_u32() as u8;
                lines[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.concat()
}

/// One recorded datagram in eight: of all kinds, and fewer than those of the call itself.
fn captured() -> &'static [Vec<u8>] {
    static CAPTURED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CAPTURED
        .get_or_init(|| captures::recorded().into_iter().step_by(8).filter(|data| !data.is_empty()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn i_01_a_live_call_survives_anything(seed in any::<u64>(), ops in prop::collection::vec(op(), 40..160)) {
        let mut siege = Siege::new(seed);
        for op in &ops {
            siege.run(op);
        }
        siege.assert_alive();
    }
}

#[test]
fn i_03_recorded_sessions_of_others_change_nothing() {
    let mut siege = Siege::new(1);
    let before = siege.conference.engine.stats();
    let mut count = 0;
    for (at, datagram) in captures::recorded().iter().enumerate().step_by(3) {
        siege.forged(Origin::Stranger(1 + (at % 5_000) as u16), datagram);
        count += 1;
    }
    let after = siege.conference.engine.stats();
    assert!(after.datagrams_dropped - before.datagrams_dropped >= count);
    assert!(
        after.dropped(DropReason::UnknownUsername) > 0 && after.dropped(DropReason::UnknownAddress) > 100
    );
    siege.assert_alive();
}

#[test]
fn s_srtp_08_a_flood_of_bad_tags_disturbs_nobody() {
    let mut siege = Siege::new(2);
    let media: Vec<Vec<u8>> =
        siege.recorded.iter().filter(|data| kind_of(data) == Some(Kind::Rtp)).take(50).cloned().collect();
    let before = siege.conference.engine.stats().datagrams_dropped;
    for round in 0..20_000u32 {
        let mut datagram = media[round as usize % media.len()].clone();
        let last = datagram.len() - 1;
        datagram[last] ^= 1 + (round % 255) as u8;
        datagram[3] = round as u8;
        siege.conference.inject(home(round % HONEST as u32), &datagram);
        if round.is_multiple_of(100) {
            siege.conference.drive(Duration::from_millis(5));
        }
    }
    assert_eq!(siege.conference.engine.stats().datagrams_dropped - before, 20_000);
    siege.assert_alive();
}

#[test]
fn s_stun_17_a_flood_of_wrong_passwords_disturbs_nobody() {
    let mut siege = Siege::new(3);
    let right = siege.conference.endpoint(0).ice.check(true);
    let mut client = siege.conference.client(0, Plan::default(), 0);
    client.ice.local = siege.conference.endpoint(0).ice.local.clone();
    client.ice.remote = siege.conference.endpoint(0).ice.remote.clone();
    client.ice.remote.as_mut().unwrap().pwd = "a wrong password, long enough".into();
    let wrong = client.ice.check(true);
    assert_eq!(wrong.len(), right.len());
    let sent = |siege: &Siege| siege.conference.engine.stats().datagrams_sent;
    for round in 0..10_000u32 {
        let before = sent(&siege);
        siege.conference.inject(Origin::Stranger(1 + (round % 60_000) as u16).address(), &wrong);
        assert_eq!(sent(&siege), before);
        if round.is_multiple_of(100) {
            siege.conference.drive(Duration::from_millis(5));
        }
    }
    siege.assert_alive();
}

#[test]
fn time_at_the_ends_of_its_range_is_no_panic() {
    for at in [
        Instant::ZERO,
        Instant::from_micros(1),
        Instant::from_micros(u64::MAX - 1),
        Instant::from_micros(u64::MAX),
    ] {
        let mut siege = Siege::new(4);
        let mut buf = [0; 1_500];
        let engine = &mut siege.conference.engine;
        engine.handle_timeout(at);
        for _ in 0..10_000 {
            if engine.poll_transmit(at, &mut buf).is_none() {
                break;
            }
        }
        assert!(engine.poll_transmit(at, &mut buf).is_none(), "it ends");
        let media = siege.recorded[0].clone();
        siege.conference.engine.handle_datagram(
            at,
            estafette::Datagram {
                path: support::harness::path_to(home(0)),
                ecn: estafette::Ecn::Ce,
                data: &media,
            },
        );
    }
}
