//! Unauthenticated input changes nothing (I-03): a digest of the engine's whole state before and after
//! proves it. What is authentic changes it, so the digest sees.

mod support;

use estafette::framing::Fault;
use estafette::mux::{Kind, kind_of};
use estafette::stun::{self, Class, TransactionId, Writer};
use estafette::{StreamEnd, limits};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::sync::OnceLock;
use support::client::ice::mac;
use support::client::publish::Plan;
use support::harness::{Options, home, millis, seconds, server, stream_to};
use support::hostility::{Mutation, Origin, mutation, noise, origin};
use support::stream::framed;
use support::{Client, Conference, Packet, captures};

const COUNT: u32 = 3;

/// A live call of three, the last one over TCP, and the datagrams both sides sent in it.
struct Live {
    conference: Conference,
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
}

impl Live {
    fn new() -> Live {
        let mut conference = Conference::<Client>::new(Options::default());
        let room = conference.room();
        for index in 0..COUNT - 1 {
            conference.add_with(room, index, Plan { key_parts: 4, parts: 2, ..Plan::default() });
        }
        conference.add_over_tcp(room, COUNT - 1);
        conference.connect();
        conference.tap = true;
        conference.drive(millis(400));
        conference.tap = false;
        let sent = conference.outgoing.drain(..).map(|packet| packet.data).collect();
        let mut live = Live { conference, sent, received: Vec::new() };
        // Every kind of what the engine received, once it has.
        for kind in [Kind::Stun, Kind::Rtcp, Kind::Rtcp].into_iter().chain([Kind::Rtp; 12]) {
            let packet = live.next_of(kind);
            live.received.push(packet.data.clone());
            live.conference.deliver(&packet);
        }
        // Somebody on the way repeats a check from elsewhere, which makes its address a known one.
        let check = live.conference.endpoint(0).ice.check(false);
        assert!(!live.keeps_state(|conference| conference.inject(Origin::Known.address(), &check)));
        live.conference.step();
        live
    }

    /// The next datagram of a kind at the engine's door.
    fn next_of(&mut self, kind: Kind) -> Packet {
        let conference = &mut self.conference;
        for _ in 0..5_000 {
            while let Some(packet) = conference.net.receive(conference.now) {
                if packet.to == server() && kind_of(&packet.data) == Some(kind) {
                    return packet;
                }
                conference.deliver(&packet);
            }
            conference.step();
            conference.now += millis(1);
        }
        panic!("nobody sends {kind:?}");
    }

    /// Does something and tells whether the engine is the same afterwards.
    fn keeps_state(&mut self, act: impl FnOnce(&mut Conference)) -> bool {
        self.conference.step();
        let before = self.conference.engine.state_digest();
        act(&mut self.conference);
        before == self.conference.engine.state_digest()
    }

    /// From strangers and from the participants' own addresses: nothing may change.
    fn refuses(&mut self, what: &str, data: &[u8]) {
        let participants = [Origin::Participant(0), Origin::Participant(1)];
        for origin in [Origin::Stranger(4_000), Origin::Known].into_iter().chain(participants) {
            let same = self.keeps_state(|conference| conference.inject(origin.address(), data));
            assert!(same, "{what} from {origin:?} changed something: {data:02x?}");
        }
    }

    fn alive(mut self) {
        self.conference.drive(seconds(1));
        self.conference.assert_all_seen(30);
    }
}

/// A Binding message with a user name and a password, and whatever class.
fn message(class: Class, username: &str, password: &str) -> Vec<u8> {
    let mut buf = vec![0; 512];
    let mut writer = Writer::new(&mut buf, class, stun::BINDING, TransactionId([9; 12])).unwrap();
    writer.attribute(stun::attribute::USERNAME, username.as_bytes()).unwrap();
    writer.priority(1).unwrap();
    writer.ice_controlling(1).unwrap();
    writer.use_candidate().unwrap();
    let len = writer.finish_with_integrity(mac(password)).unwrap();
    buf.truncate(len);
    buf
}

#[test]
fn i_03_stun_without_the_password_changes_nothing() {
    let mut live = Live::new();
    let good = live.conference.endpoint(0).ice.check(true);
    let ours = live.conference.seats[0].endpoint.ice.remote.clone().unwrap();
    let theirs = live.conference.seats[0].endpoint.ice.local.clone();
    let wrong = "not the password of anybody here";
    let named = format!("{}:{}", ours.ufrag, theirs.ufrag);
    for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
        live.refuses("a wrong password", &message(class, &named, wrong));
        live.refuses("an unknown name", &message(class, "0000nobodyhere:abcd", wrong));
        live.refuses("the peer's own password", &message(class, &named, &theirs.pwd));
        live.refuses("no name", &message(class, "", wrong));
    }
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1 << (at % 8);
        live.refuses("a check with a bit changed", &changed);
    }
    for len in 0..good.len() {
        live.refuses("a check cut off", &good[..len]);
    }
    live.alive();
}

#[test]
fn i_03_srtp_and_srtcp_with_wrong_tags_or_replayed_change_nothing() {
    let mut live = Live::new();
    let sealed: Vec<Vec<u8>> = live.received.iter().filter(|data| data[0] >= 128).cloned().collect();
    for data in &sealed {
        live.refuses("what came before", data);
        for at in [1, 2, 3, 4, 8, 11, 12, data.len() / 2, data.len() - 1] {
            let mut changed = data.clone();
            changed[at] ^= 0x10;
            live.refuses("a changed packet", &changed);
        }
        live.refuses("a packet cut off", &data[..data.len() - 1]);
    }
    // What we sent to others comes back.
    for data in live.sent.clone().iter().filter(|data| data[0] >= 128).step_by(7) {
        live.refuses("our own packet", data);
    }
    live.alive();
}

#[test]
fn i_03_new_sources_without_the_key_change_nothing() {
    let mut live = Live::new();
    for ssrc in 0..2_000u32 {
        let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 0];
        packet.extend((ssrc.wrapping_mul(0x9e37_79b1)).to_be_bytes());
        packet.extend([7; 60]);
        let same = live.keeps_state(|conference| conference.inject(home(0), &packet));
        assert!(same, "{ssrc}");
    }
    live.alive();
}

#[test]
fn i_03_records_of_dtls_under_no_key_of_ours_change_nothing() {
    let mut live = Live::new();
    // DTLS 1.2 records of the second epoch, and what claims to be of 1.3.
    for first in 20..64u8 {
        let mut record = vec![first, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, 0, 0, 40];
        record.extend([first; 40]);
        let same = live.keeps_state(|conference| conference.inject(home(0), &record));
        assert!(same, "content type {first}");
    }
    // Of strangers nothing at all, in clear or not, nor of an address that is not selected.
    let recorded = captures::recorded();
    let records: Vec<_> = recorded.iter().filter(|data| kind_of(data) == Some(Kind::Dtls)).collect();
    assert!(records.len() > 20, "{}", records.len());
    for record in records {
        for origin in [Origin::Stranger(4_001), Origin::Known] {
            let same = live.keeps_state(|conference| conference.inject(origin.address(), record));
            assert!(same, "{origin:?}: {record:02x?}");
        }
    }
    live.alive();
}

#[test]
fn i_03_garbage_of_every_first_byte_changes_nothing() {
    let mut live = Live::new();
    for first in 0..=255u8 {
        for len in [1usize, 2, 3, 4, 8, 11, 12, 13, 20, 21, 28, 60, 300, 1_200, limits::DATAGRAM] {
            let data: Vec<u8> = (0..len).map(|at| if at == 0 { first } else { (at * 37) as u8 }).collect();
            let same = live.keeps_state(|conference| {
                conference.inject(Origin::Stranger(4_002).address(), &data);
                conference.inject(Origin::Known.address(), &data);
                if !(20..64).contains(&first) {
                    conference.inject(home(0), &data);
                }
            });
            assert!(same, "{len} bytes that begin with {first}");
        }
    }
    live.refuses("nothing", &[]);
    live.refuses("too much", &vec![0x80; limits::DATAGRAM + 1]);
    live.alive();
}

#[test]
fn i_03_bytes_of_streams_change_nothing_but_their_own() {
    let mut live = Live::new();
    let good = live.conference.endpoint(0).ice.check(true);
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let from: SocketAddr = ([198, 51, 100, 40], 40).into();
    let media = live.received.iter().find(|data| data[0] >= 128).unwrap().clone();
    let pieces = [framed(&wrong), framed(&media), framed(&[0x16; 40]), vec![40], vec![1]];
    for piece in &pieces {
        let same = live.keeps_state(|conference| conference.inject_stream(from, piece));
        assert!(same, "{piece:02x?}");
    }
    let end = live.conference.ends.pop();
    assert!(matches!(end, Some((_, StreamEnd::Framing(Fault::TooLong)))), "{end:?}");
    // Nor do streams that come, stay silent and go.
    let same = live.keeps_state(|conference| {
        for port in 1..200 {
            let path = stream_to((from.ip(), port).into());
            conference.engine.open_stream(path).unwrap();
            if port % 2 == 0 {
                conference.engine.close_stream(path);
            }
        }
    });
    assert!(same);
    // On a participant's own stream: whole frames under no key.
    for data in [&wrong, &vec![0x80; 60], &vec![0x80; 1], &vec![0xff; 30]] {
        let own = home(COUNT - 1);
        let same = live.keeps_state(|conference| conference.inject_stream(own, &framed(data)));
        assert!(same, "{data:02x?}");
    }
    live.alive();
}

#[test]
fn what_is_authentic_changes_the_digest() {
    let mut live = Live::new();
    let check = live.conference.endpoint(0).ice.check(false);
    assert!(!live.keeps_state(|conference| conference.inject(home(0), &check)), "a check");
    let elsewhere = Origin::Stranger(4_003).address();
    let check = live.conference.endpoint(0).ice.check(false);
    assert!(!live.keeps_state(|conference| conference.inject(elsewhere, &check)), "a new address");

    // Media and a report, as they come from a client.
    for kind in [Kind::Rtp, Kind::Rtcp] {
        let packet = live.next_of(kind);
        assert!(!live.keeps_state(|conference| conference.deliver(&packet)), "{kind:?}");
    }
    // Time alone, too, once something was due.
    assert!(!live.keeps_state(|conference| conference.drive(millis(200))));
    // And what the embedder does.
    let id = live.conference.participant(2);
    assert!(!live.keeps_state(|conference| conference.engine.participant(id).unwrap().leave()));
}

#[test]
fn equal_engines_have_equal_digests() {
    let digest = |seed| {
        let mut conference = support::harness::live(3, Options { seed, ..Options::default() });
        conference.drive(millis(300));
        conference.engine.state_digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

/// Datagrams of recorded sessions of others, one in eight.
fn captured() -> &'static [Vec<u8>] {
    static CAPTURED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CAPTURED
        .get_or_init(|| captures::recorded().into_iter().step_by(8).filter(|data| !data.is_empty()).collect())
}

/// Whether a datagram of DTLS may hold a record in clear: of the first epoch, or behind another record.
fn in_clear(data: &[u8]) -> bool {
    let record = data.first_chunk::<13>().filter(|record| record[0] < 32);
    let clear = record.is_none_or(|[.., a, b, _, _, _, _, _, _, _, _]| [*a, *b] == [0, 0]);
    let rest = record.map_or(0, |record| 13 + usize::from(u16::from_be_bytes([record[11], record[12]])));
    data[0] < 32 && (clear || rest < data.len())
}

#[derive(Debug, Clone)]
enum Forged {
    Noise(Vec<u8>),
    Changed(usize, Vec<Mutation>),
}

fn forged() -> impl Strategy<Value = Forged> {
    prop_oneof![
        noise().prop_map(Forged::Noise),
        (any::<usize>(), prop::collection::vec(mutation(), 1..4)).prop_map(|(at, m)| Forged::Changed(at, m)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn i_03_whatever_nobody_sealed_changes_nothing(
        forgeries in prop::collection::vec((prop_oneof![4 => origin(), 1 => Just(Origin::Known)], forged()), 200..400),
    ) {
        let mut live = Live::new();
        let pool: Vec<Vec<u8>> =
            live.sent.iter().chain(&live.received).chain(captured()).cloned().collect();
        for (origin, forged) in forgeries {
            let data = match forged {
                Forged::Noise(data) => data,
                Forged::Changed(at, mutations) => {
                    let original = &pool[at % pool.len()];
                    let mut data = original.clone();
                    for mutation in &mutations {
                        if !data.is_empty() {
                            mutation.apply(&mut data);
                        }
                    }
                    if data == *original {
                        continue;
                    }
                    data
                }
            };
            // A record in clear from the pair in use is for DTLS to judge, after all.
            let own = matches!(origin, Origin::Participant(_));
            if own && kind_of(&data) == Some(Kind::Dtls) && in_clear(&data) {
                continue;
            }
            let same = live.keeps_state(|conference| conference.inject(origin.address(), &data));
            prop_assert!(same, "{:?}: {:02x?}", origin, data);
        }
    }
}
