//! Redundant audio (RED, RFC 2198): passed on to who takes it, unpacked for who does not.

mod support;

use estafette::rtp::red::{self, Block};
use estafette::rtp::{PayloadType, SeqNo, Ssrc, WireSeq};
use estafette::{DropReason, RoomConfig, limits};
use support::client::publish::{AUDIO_LEVEL, MID, OPUS, Plan};
use support::client::receive::Raw;
use support::harness::{Options, millis, seconds};
use support::provocation::header;
use support::{Client, Conference};

const RED: u8 = 63;
/// The numbers of the first receiver: its RED is the publisher's Opus.
const OTHER_OPUS: u8 = 109;
const OTHER_RED: u8 = OPUS;
/// Of the second receiver, which takes no RED, but retransmissions.
const RTX: u8 = 112;
/// Where the publisher's sequence numbers begin: close to the wrap.
const FIRST: u64 = 65_530;

/// Seat 0 publishes; 1 has RED under other numbers, 2 none, 3 has the publisher's numbers.
fn call(room: RoomConfig) -> Conference<Client> {
    let mut conference = Conference::<Client>::new(Options { room, ..Options::default() });
    let room = conference.room();
    let numbers = [
        (OPUS, None, Some(RED)),
        (OTHER_OPUS, None, Some(OTHER_RED)),
        (OPUS, Some(RTX), None),
        (OPUS, None, Some(RED)),
    ];
    for (index, (opus, rtx, red)) in (0..).zip(numbers) {
        let plan = Plan { audio: index == 0, video: false, ..Plan::default() };
        let mut client = conference.client(index, plan, 0);
        client.describe.number_audio(opus, rtx, red);
        client.publisher.paused = true;
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(seconds(1));
    (1..4).for_each(|seat| conference.endpoint(seat).receiver.raw = Some(Vec::new()));
    conference
}

fn everybody_heard() -> RoomConfig {
    Options::default().room
}

fn number(payload_type: u8) -> PayloadType {
    PayloadType::new(payload_type).expect("below 128")
}

/// Two older blocks and the primary, all of one type; each says which packet it is of.
fn redundant(seq: u64, payload_type: u8) -> Vec<u8> {
    let block = |back: u64| vec![(seq - back) as u8; 20 + back as usize];
    let (oldest, older) = (block(2), block(1));
    let payload_type = number(payload_type);
    let blocks = [(1_920, &oldest), (960, &older)].map(|(age, data)| Block { payload_type, age, data });
    let mut buf = [0; 200];
    let len = red::write(&blocks, payload_type, &primary(seq), &mut buf).expect("room");
    buf[..len].to_vec()
}

fn primary(seq: u64) -> Vec<u8> {
    [&[0xfc][..], &seq.to_be_bytes(), &[seq as u8; 40]].concat()
}

fn send(conference: &mut Conference<Client>, seq: u64, payload_type: u8, payload: &[u8]) {
    let ssrc = conference.seats[0].endpoint.publisher.audio.ssrc;
    let header = header(payload_type, seq, ssrc, &[(MID, b"0"), (AUDIO_LEVEL, &[20])]);
    conference.endpoint(0).send_rtp(ssrc, SeqNo(seq), &header, payload);
    conference.drive(millis(20));
}

/// What came since the last look, after the rest has arrived.
fn received(conference: &mut Conference<Client>, seat: usize) -> Vec<Raw> {
    conference.drive(millis(100));
    std::mem::take(conference.endpoint(seat).receiver.raw.as_mut().expect("it keeps everything"))
}

fn contents(received: &[Raw]) -> Vec<(u8, Vec<u8>)> {
    received.iter().map(|raw| (raw.payload_type, raw.payload.clone())).collect()
}

fn assert_consecutive(received: &[Raw]) {
    let follow = received.windows(2).all(|pair| pair[1].seq.0 == pair[0].seq.0 + 1);
    assert!(follow, "{:?}", received.iter().map(|raw| raw.seq).collect::<Vec<_>>());
}

#[test]
fn red_goes_as_red_under_a_receivers_numbers_and_as_opus_to_who_has_none() {
    let mut conference = call(everybody_heard());
    let before = conference.engine.stats().dropped_in_all();
    let seqs = FIRST..FIRST + 40;
    for seq in seqs.clone() {
        // As Chromium does, every now and then a packet is plain.
        if seq.is_multiple_of(5) {
            send(&mut conference, seq, OPUS, &primary(seq));
        } else {
            send(&mut conference, seq, RED, &redundant(seq, OPUS));
        }
    }
    let expected = |red: Option<u8>, opus: u8| -> Vec<(u8, Vec<u8>)> {
        let of = |seq: u64| match red.filter(|_| !seq.is_multiple_of(5)) {
            Some(red) => (red, redundant(seq, opus)),
            None => (opus, primary(seq)),
        };
        seqs.clone().map(of).collect()
    };
    for (seat, red, opus) in [(1, Some(OTHER_RED), OTHER_OPUS), (2, None, OPUS), (3, Some(RED), OPUS)] {
        let came = received(&mut conference, seat);
        assert_eq!(contents(&came), expected(red, opus), "to {seat}");
        assert_consecutive(&came);
        assert!(came.iter().all(|raw| raw.timestamp == came[0].timestamp), "the primary's is the packet's");
    }
    assert_eq!(conference.engine.stats().dropped_in_all(), before);
}

#[test]
fn red_is_repaired_as_what_it_left_as() {
    let mut conference = call(everybody_heard());
    (FIRST..FIRST + 10).for_each(|seq| send(&mut conference, seq, RED, &redundant(seq, OPUS)));
    for seat in [1, 2, 3] {
        let came = received(&mut conference, seat);
        let wanted = came[4].clone();
        let track = conference.seats[seat].endpoint.receiver.track("0", false).expect("it is announced");
        let (rtx_ssrc, rtx_type) = (track.announced.rtx_ssrc, track.announced.rtx_payload_type);
        let ask = |writer: &mut estafette::rtcp::Writer<'_>| {
            writer.receiver_report(Ssrc(1), &[]).expect("room");
            writer.nack(Ssrc(1), wanted.ssrc, [WireSeq(wanted.seq.0 as u16)]).expect("room");
        };
        conference.endpoint(seat).send_rtcp(ask);
        let again = received(&mut conference, seat);
        if seat == 2 {
            let [repair] = &again[..] else { panic!("{again:?}") };
            assert_eq!((Some(repair.ssrc), Some(repair.payload_type)), (rtx_ssrc, rtx_type));
            assert_eq!(repair.payload_type, RTX);
            let number = (wanted.seq.0 as u16).to_be_bytes();
            assert_eq!(repair.payload, [&number[..], &primary(FIRST + 4)].concat());
        } else {
            // Of RED no retransmissions were negotiated, and nothing is sent plain a second time.
            assert_eq!((again, rtx_type), (Vec::new(), None));
        }
    }
}

/// Payloads that are not RED of Opus alone.
fn malformed() -> Vec<Vec<u8>> {
    let whole = redundant(FIRST, OPUS);
    let blocks = 4 + 4 + 1 + 22 + 21;
    // Cut anywhere before the primary has a byte.
    let mut all: Vec<Vec<u8>> = (1..=blocks).map(|len| whole[..len].to_vec()).collect();
    // One block, or the primary, of another type: silence, RED itself, the other receiver's Opus.
    for wrong in [0, 13, RED, OTHER_OPUS] {
        for at in [0, 4, 8] {
            let mut payload = whole.clone();
            payload[at] = payload[at] & 0x80 | wrong;
            all.push(payload);
        }
    }
    // Lengths past the end, and headers without one.
    all.push([&[0x80 | OPUS, 0, 3, 0xff, OPUS][..], &[1; 1_022]].concat());
    all.push([[0x80 | OPUS, 0, 0, 0]; limits::RED_BLOCKS].concat());
    all.push([[0x80 | OPUS, 0, 0, 0]; 300].concat());
    all
}

#[test]
fn s_rtp_09_red_that_is_not_of_opus_alone_is_dropped_and_leaves_no_gap() {
    let mut conference = call(everybody_heard());
    let count = |conference: &Conference<Client>| conference.engine.stats().dropped(DropReason::Payload);
    let before = conference.engine.stats().dropped_in_all();
    let mut seq = FIRST;
    let mut good = Vec::new();
    let all = malformed();
    for payload in &all {
        send(&mut conference, seq, RED, payload);
        good.push(seq + 1);
        send(&mut conference, seq + 1, RED, &redundant(seq + 1, OPUS));
        seq += 2;
    }
    assert_eq!(count(&conference), all.len() as u64);
    let dropped = conference.engine.stats().dropped_in_all() - before;
    assert_eq!(dropped, all.len() as u64, "at ingress and nowhere else");
    for (seat, red, opus) in [(1, Some(OTHER_RED), OTHER_OPUS), (2, None, OPUS), (3, Some(RED), OPUS)] {
        let came = received(&mut conference, seat);
        let expected: Vec<_> = good
            .iter()
            .map(|seq| red.map_or_else(|| (opus, primary(*seq)), |red| (red, redundant(*seq, opus))))
            .collect();
        assert_eq!(contents(&came), expected, "to {seat}");
        assert_consecutive(&came);
    }
}

#[test]
fn s_rtp_09_late_red_that_cannot_be_read_leaves_without_its_payload() {
    let mut conference = call(everybody_heard());
    for seq in [FIRST, FIRST + 1, FIRST + 3, FIRST + 4] {
        send(&mut conference, seq, RED, &redundant(seq, OPUS));
    }
    send(&mut conference, FIRST + 2, RED, &[0xff; 30]);
    for seat in [1, 2, 3] {
        let came = received(&mut conference, seat);
        let empty: Vec<u64> =
            came.iter().filter(|raw| raw.payload.is_empty()).map(|raw| raw.seq.0 - came[0].seq.0).collect();
        assert_eq!((came.len(), empty), (5, vec![2]), "its number was kept for it, to {seat}");
    }
}

#[test]
fn s_desc_05_sealed_red_goes_as_it_is_to_who_numbers_alike_and_to_nobody_else() {
    let room = RoomConfig { opaque: true, ..everybody_heard() };
    let mut conference = call(room);
    // What is sealed end to end may look like anything, RED of another type included.
    let mut sealed = vec![vec![0xff; 300], vec![0], redundant(FIRST, 0), redundant(FIRST, OPUS)];
    sealed.extend((0..20).map(|at: u8| (0..100).map(|byte: u8| byte.wrapping_mul(37) ^ at).collect()));
    for (seq, payload) in (FIRST..).zip(&sealed) {
        send(&mut conference, seq, RED, payload);
    }
    let expected: Vec<_> = sealed.iter().map(|payload| (RED, payload.clone())).collect();
    let came = received(&mut conference, 3);
    assert_eq!(contents(&came), expected);
    assert_consecutive(&came);
    for seat in [1, 2] {
        assert_eq!(received(&mut conference, seat), []);
        let participant = conference.participant(seat);
        let stats = conference.engine.participant(participant).unwrap().stats();
        assert_eq!(stats.dropped(DropReason::Unnegotiated), sealed.len() as u64, "to {seat}");
    }
    // Opus goes to everybody.
    let seq = FIRST + sealed.len() as u64;
    send(&mut conference, seq, OPUS, &[9; 50]);
    for (seat, opus) in [(1, OTHER_OPUS), (2, OPUS), (3, OPUS)] {
        assert_eq!(contents(&received(&mut conference, seat)), [(opus, vec![9; 50])], "to {seat}");
    }
}
