//! What no datagram can be made to show from outside.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::candidate::HostCandidate;
use crate::conference::config::{EngineConfig, ParticipantConfig, RoomConfig};
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SourceId, SubscriptionId};
use crate::conference::negotiation::MediaKind;
use crate::conference::reading::Ingress;
use crate::conference::source::{Encoding, Newest, Source, SourceInfo};
use crate::conference::view::View;
use crate::forwarding::ladder::Ladder;
use crate::wire::rtcp;
use crate::wire::rtp::{SeqNo, Ssrc};
use crate::wire::stun::{self, Class, TransactionId, Writer};
use smallvec::SmallVec;

fn engine() -> Engine {
    let config = EngineConfig {
        candidates: vec![HostCandidate::udp(([203, 0, 113, 1], 9).into())],
        ..EngineConfig::default()
    };
    Engine::new(config, [7; 32], Instant::from_millis(1)).expect("a good configuration")
}

/// A publisher, who has nothing yet, and one that takes no offers.
fn room(engine: &mut Engine) -> [ParticipantId; 2] {
    let room = engine.create_room(RoomConfig::default()).expect("the first one");
    [true, false].map(|renegotiates| {
        let config = ParticipantConfig { renegotiates, ..ParticipantConfig::default() };
        engine.room(room).expect("it is there").join(config).expect("room for two")
    })
}

/// A source as an offer brings it.
fn publish(engine: &mut Engine, participant: ParticipantId, kind: MediaKind) -> SourceId {
    let room = engine.participants.get(participant).expect("it is there").room;
    let ingress = Ingress::new([0; limits::CODECS], SmallVec::new());
    engine.add_source(|id| Source {
        info: SourceInfo {
            id,
            room,
            participant,
            number: 0,
            kind,
            mid: "0".into(),
            screen: false,
            track: String::new(),
        },
        ingress,
        encodings: smallvec::smallvec![Encoding::default()],
        ladder: Ladder::default(),
        live: false,
        lapsed: false,
        held_back: false,
        audience: Vec::new(),
        subscriptions: Vec::new(),
        fir_seq: 0,
    })
}

#[test]
fn s_room_05_sources_above_the_shared_lines_stay_unseen_and_each_subscription_has_one() {
    let mut engine = engine();
    let [publisher, viewer] = room(&mut engine);
    for count in 1..=2 * limits::SPARE_LINES {
        publish(&mut engine, publisher, MediaKind::Video);
        let participant = engine.participants.get(viewer).expect("it is there");
        assert_eq!(participant.subscriptions.len(), count.min(limits::SPARE_LINES));
    }
    let participant = engine.participants.get_mut(viewer).expect("it is there");
    let (mut keys, negotiation) = (participant.subscriptions.clone(), &mut participant.negotiation);
    let slot_of = |key: &SubscriptionId| engine.subscriptions.get(*key).expect("it is there").slot;
    keys.retain(|key| !negotiation.remove_send(slot_of(key)));
    assert!(keys.is_empty(), "{keys:?} can never be sent");
}

#[test]
fn sound_takes_no_place_of_what_is_in_view() {
    let mut engine = engine();
    let [publisher, _] = room(&mut engine);
    let room = engine.participants.get(publisher).expect("it is there").room;
    for _ in 0..limits::SUBSCRIPTIONS_PER_PARTICIPANT + 20 {
        publish(&mut engine, publisher, MediaKind::Audio);
    }
    let videos = [(); 5].map(|()| publish(&mut engine, publisher, MediaKind::Video));
    let id = engine.room(room).expect("it is there").join(ParticipantConfig::default()).expect("a place");
    let view = View { last_n: Some(3), ..View::default() };
    let mut viewer = engine.participant(id).expect("it just joined");
    viewer.set_view(Some(view));
    assert_eq!(viewer.seen().filter(|source| videos.contains(source)).collect::<Vec<_>>(), videos[..3]);
    let held = engine.participants.get(id).expect("it is there").subscriptions.len();
    assert_eq!(held, limits::SUBSCRIPTIONS_PER_PARTICIPANT);
}

#[test]
fn i_03_the_digest_sees_what_only_authentic_packets_change() {
    let mut engine = engine();
    let [publisher, viewer] = room(&mut engine);
    let source = publish(&mut engine, publisher, MediaKind::Audio);
    let mut seen = vec![engine.state_digest()];
    let mut changed = |engine: &Engine, what: &str| {
        let digest = engine.state_digest();
        assert_eq!(digest, engine.state_digest());
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    };
    let now = Instant::from_millis(2);
    let participant = engine.participants.get_mut(publisher).expect("it is there");
    participant.budget.take(now, 100);
    changed(&engine, "the budget");
    let participant = engine.participants.get_mut(publisher).expect("it is there");
    participant.rtcp_budget.take(now);
    changed(&engine, "the budget of RTCP");
    let participant = engine.participants.get_mut(publisher).expect("it is there");
    participant.rebound = Some(now);
    changed(&engine, "a change of m-line");
    engine.participants.get_mut(viewer).expect("it is there").lines.clear();
    engine.participants.get_mut(viewer).expect("it is there").reserve_lines();
    changed(&engine, "lines that wait");
    engine.sources.get_mut(source).expect("it is there").encodings[0].left =
        Some(Newest { seq: SeqNo(1), timestamp: 2, at: now, codec: 0, ended: false });
    changed(&engine, "where a stream was left");
    let mut buf = [0; 64];
    let writer = Writer::new(&mut buf, Class::Request, stun::BINDING, TransactionId([9; 12]));
    let len = writer.expect("room").finish().expect("room");
    engine.directory.on_transmit(publisher, &buf[..len]);
    changed(&engine, "a check of ours");
}

#[test]
fn byes_that_find_no_room_go_with_the_next_datagram() {
    let mut engine = engine();
    let [_, viewer] = room(&mut engine);
    let participant = engine.participants.get_mut(viewer).expect("it is there");
    participant.rtcp.seldom().ended.extend((0..70).map(Ssrc));
    let mut told = Vec::new();
    for expected in [vec![31, 17], vec![22]] {
        assert!(engine.participants.get(viewer).expect("it is there").rtcp.has_ended());
        let mut buf = [0; 200];
        let mut writer = rtcp::Writer::new(&mut buf);
        engine.write_byes(viewer, &mut writer);
        let len = writer.len();
        let compound = rtcp::Compound::parse(&buf[..len]).expect("it is well formed");
        let byes: Vec<_> = compound
            .packets()
            .map(|packet| match packet {
                rtcp::Packet::Bye(bye) => bye.ssrcs().collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(byes.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        told.extend(byes.concat());
    }
    assert!(told.into_iter().eq((0..70).map(Ssrc)));
    assert!(!engine.participants.get(viewer).expect("it is there").rtcp.has_ended());
}
