//! THREATS.md, surface S-SIM: publishers whose layers are not what they say, one test each.
//! What is negotiated of rids (S-SIM-01, -02) is in the negotiation's own tests.

mod support;

use estafette::negotiation::MediaKind;
use estafette::payload::Resolution;
use estafette::payload::allocation::{self, Bitrates, Layer};
use estafette::rtp::{ExtensionKind, HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
use estafette::{Bitrate, DropReason, Event, Instant, SourceId, Wish};
use std::time::Duration;
use support::client::publish::{MID, Plan, VP8, VP8_RTX};
use support::harness::{Options, millis, seconds};
use support::media::Content;
use support::{Client, Conference};

/// One who publishes three encodings and one who watches, in a call that has run for a while.
fn call() -> Conference<Client> {
    let mut conference = Conference::new(Options::default());
    let room = conference.room();
    conference.add_with(room, 0, Plan { encodings: 3, ..Plan::default() });
    conference.add(room, 1);
    conference.connect();
    conference.drive(seconds(2));
    assert_eq!(height(&conference), Some(720), "the best there is");
    conference
}

/// The height of what the viewer got last.
fn height(conference: &Conference<Client>) -> Option<u16> {
    conference.seats[1].endpoint.receiver.track("0", true)?.height
}

fn source(conference: &Conference<Client>) -> SourceId {
    let publisher = conference.participant(0);
    let added = |event: &Event| match event {
        Event::SourceAdded(source) => {
            (source.participant == publisher && source.kind == MediaKind::Video).then_some(source.id)
        }
        _ => None,
    };
    conference.events.iter().find_map(|(_, event)| added(event)).expect("it is published")
}

fn wish(conference: &mut Conference<Client>, wish: Wish) {
    let (viewer, source) = (conference.participant(1), source(conference));
    conference.engine.participant(viewer).unwrap().set_wish(source, wish).unwrap();
}

fn below(height: u16) -> Wish {
    Wish { max_height: Some(height), ..Wish::default() }
}

/// Layers that changed for the viewer since a moment.
fn changes(conference: &Conference<Client>, since: Instant) -> usize {
    let viewer = conference.participant(1);
    let changed =
        |event: &Event| matches!(event, Event::LayerChanged { participant, .. } if *participant == viewer);
    conference.events.iter().filter(|(at, event)| *at >= since && changed(event)).count()
}

fn requests(conference: &mut Conference<Client>) -> Vec<u32> {
    let publisher = &mut conference.endpoint(0).publisher;
    (0..3).map(|at| publisher.encoding(at).unwrap().requests).collect()
}

fn stop(conference: &mut Conference<Client>, encoding: usize, stopped: bool) {
    conference.endpoint(0).publisher.encoding(encoding).unwrap().stopped = stopped;
}

/// No number is missing, and time went on as it does.
fn is_whole(conference: &Conference<Client>) {
    let track = conference.seats[1].endpoint.receiver.track("0", true).unwrap();
    assert_eq!((track.lost(), track.asked), (0, 0), "no number is missing over any switch");
    assert!(track.drift < millis(150), "{:?}", track.drift);
}

#[test]
fn s_sim_03_layers_that_stop_are_fallen_back_from_and_come_back() {
    let mut conference = call();
    stop(&mut conference, 2, true);
    conference.drive(millis(1_300));
    assert_eq!(height(&conference), Some(360), "the next that comes");
    stop(&mut conference, 1, true);
    conference.drive(millis(1_300));
    assert_eq!(height(&conference), Some(180));
    for encoding in [1, 2] {
        stop(&mut conference, encoding, false);
    }
    conference.drive(seconds(4));
    assert_eq!(height(&conference), Some(720));
    is_whole(&conference);
}

#[test]
fn s_sim_03_layers_that_never_come_are_not_waited_for() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    conference.add_with(room, 0, Plan { encodings: 3, ..Plan::default() });
    conference.add(room, 1);
    [0, 2].into_iter().for_each(|encoding| stop(&mut conference, encoding, true));
    conference.connect();
    conference.drive(seconds(1));
    assert_eq!(height(&conference), Some(360), "the only one");
    let before = conference.now;
    wish(&mut conference, below(180));
    conference.drive(seconds(5));
    assert_eq!((height(&conference), changes(&conference, before)), (Some(360), 0), "smaller there is none");
    wish(&mut conference, below(720));
    conference.drive(seconds(5));
    assert_eq!((height(&conference), changes(&conference, before)), (Some(360), 0), "nor larger");
    let asked = requests(&mut conference);
    assert!(asked[0] == 0 && asked[2] == 0 && asked[1] < 4, "{asked:?}");
    is_whole(&conference);
}

#[test]
fn s_sim_03_a_layer_that_flaps_does_not_make_its_subscribers_flap() {
    let mut conference = call();
    let (before, asked) = (conference.now, requests(&mut conference));
    for _ in 0..20 {
        for stopped in [true, false] {
            stop(&mut conference, 2, stopped);
            conference.drive(millis(800));
        }
    }
    // Down once, and up and down again while it was still trusted.
    let seen = changes(&conference, before);
    assert!((1..=4).contains(&seen), "{seen} changes in 32 s");
    let flapped: Vec<u32> =
        requests(&mut conference).iter().zip(asked).map(|(now, then)| now - then).collect();
    assert!(flapped.iter().all(|requests| *requests <= 8), "{flapped:?}");
    let track = conference.seats[1].endpoint.receiver.track("0", true).unwrap();
    assert!(track.longest_silence < millis(900), "{:?}", track.longest_silence);
    // Now it stays.
    conference.drive(seconds(20));
    assert_eq!(height(&conference), Some(720));
    is_whole(&conference);
}

#[test]
fn s_sim_04_sender_reports_that_disagree_or_jump_move_no_timestamp_back() {
    // The client sees to it that none goes back.
    for offset in [90_000 * 3_600, 0u32.wrapping_sub(90_000 * 3_600), 90_000 / 4, 1 << 31] {
        let mut conference = call();
        for (round, wanted) in [180, 360, 720, 180, 720].into_iter().enumerate() {
            let encoding = conference.endpoint(0).publisher.encoding(round % 3).unwrap();
            encoding.report_offset = encoding.report_offset.wrapping_add(offset);
            conference.drive(millis(1_500));
            wish(&mut conference, below(wanted));
            // Four key frames may seem too old, half a second apart.
            conference.drive(millis(3_500));
            assert_eq!(height(&conference), Some(wanted));
        }
        let track = conference.seats[1].endpoint.receiver.track("0", true).unwrap();
        assert_eq!((track.lost(), track.asked), (0, 0));
        // A quarter of a second is believed, an hour is not.
        assert!(track.drift < millis(600), "{offset}: {:?}", track.drift);
    }
}

#[test]
fn s_sim_05_what_is_measured_decides_not_what_is_announced() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let mut publisher = conference.client(0, Plan { encodings: 3, ..Plan::default() }, 0);
    publisher.describe.offer_extensions([ExtensionKind::VideoLayersAllocation.uri()]);
    conference.join(room, publisher);
    conference.add(room, 1);
    // The smallest one claims a hundred times what it needs, the others next to nothing.
    let (_, extensions) = conference.endpoint(0).describe.published_video().unwrap();
    let uri = ExtensionKind::VideoLayersAllocation.uri();
    let id = extensions.iter().find(|(_, known)| known == uri).map(|(id, _)| *id).expect("it was agreed on");
    let layers: Vec<Layer> = [(180u16, 60_000), (360, 1), (720, 2)]
        .into_iter()
        .zip(0..)
        .map(|((height, kbps), stream)| Layer {
            stream,
            spatial_id: 0,
            bitrates: Bitrates::new(&[Bitrate::from_kbps(kbps)]).unwrap(),
            size: Some((Resolution { width: height / 9 * 16, height }, 30)),
        })
        .collect();
    for stream in 0..3u8 {
        let mut value = vec![0; 64];
        let len = allocation::write(&mut value, stream, 3, &layers).unwrap();
        value.truncate(len);
        let encoding = conference.endpoint(0).publisher.encoding(stream.into()).unwrap();
        encoding.allocation = Some((id, value));
    }
    conference.connect();
    conference.drive(seconds(2));
    let within = |kbps| Wish { max_bitrate: Some(Bitrate::from_kbps(kbps)), ..Wish::default() };
    // 25 frames of 3, 4 and 5 packets of 1,100 bytes are 660, 880 and 1,100 kbit/s.
    for (kbps, wanted) in [(750, 180), (1_000, 360), (1_300, 720)] {
        wish(&mut conference, within(kbps));
        conference.drive(seconds(2));
        let received = |conference: &Conference<Client>| {
            conference.seats[1].endpoint.receiver.track("0", true).unwrap().packets
        };
        let before = received(&conference);
        conference.drive(seconds(2));
        let rate = (received(&conference) - before) * 1_100 * 8 / 2_000;
        assert_eq!(height(&conference), Some(wanted), "within {kbps} kbit/s");
        assert!(rate <= kbps, "{rate} of {kbps} kbit/s");
    }
    // Below what the least takes there is nothing.
    wish(&mut conference, within(300));
    conference.drive(millis(500));
    let before = conference.seats[1].endpoint.receiver.track("0", true).unwrap().packets;
    conference.drive(Duration::from_secs(2));
    assert_eq!(conference.seats[1].endpoint.receiver.track("0", true).unwrap().packets, before);
    is_whole(&conference);
}

/// A packet of the publisher's video under another rid, SSRC and payload type, sealed.
fn send_as(conference: &mut Conference<Client>, rid: &[u8], (ssrc, seq, payload_type): (u32, u16, u8)) {
    let client = conference.endpoint(0);
    let (_, extensions) = client.describe.published_video().unwrap();
    let kind = if payload_type == VP8 { ExtensionKind::Rid } else { ExtensionKind::RepairedRid };
    let id = extensions.iter().find(|(_, uri)| uri == kind.uri()).map(|(id, _)| *id).unwrap();
    let mut buf = [0; 64];
    let (number, payload_type) = (WireSeq(seq), PayloadType::new(payload_type).unwrap());
    let mut header = HeaderWriter::new(&mut buf, true, payload_type, number, RtpTime(7), Ssrc(ssrc)).unwrap();
    header.extension(MID, b"1").unwrap();
    header.extension(id, rid).unwrap();
    let len = header.finish().unwrap();
    let payload = Content {
        room: 0,
        publisher: 0,
        video: true,
        frame: 1,
        part: 0,
        parts: 1,
        keyframe: true,
        height: 180,
    };
    let repaired = [&[0, 9][..], &payload.payload()].concat();
    let payload = if payload_type.get() == VP8 { payload.payload() } else { repaired };
    client.send_rtp(Ssrc(ssrc), SeqNo(seq.into()), &buf[..len], &payload);
}

#[test]
fn s_sim_01_a_rid_that_was_not_offered_and_a_repair_without_its_stream_are_dropped() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    conference.add_with(room, 0, Plan { encodings: 3, ..Plan::default() });
    conference.add(room, 1);
    stop(&mut conference, 2, true);
    conference.connect();
    conference.drive(seconds(1));
    let dropped = |conference: &Conference<Client>, reason| conference.engine.stats().dropped(reason);
    let before =
        [DropReason::Unnegotiated, DropReason::Retransmission].map(|reason| dropped(&conference, reason));
    for (at, rid) in [&b"x"[..], b"Q", b"qq", b"q-", b"\0"].into_iter().enumerate() {
        send_as(&mut conference, rid, (0x9000 + at as u32, 5, VP8));
        conference.drive(millis(50));
    }
    send_as(&mut conference, b"f", (0x9100, 5, VP8_RTX));
    conference.drive(millis(50));
    let after =
        [DropReason::Unnegotiated, DropReason::Retransmission].map(|reason| dropped(&conference, reason));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [5, 1]);
    conference.drive(seconds(1));
    assert_eq!(height(&conference), Some(360), "what is there goes on");
    is_whole(&conference);
}

#[test]
fn s_sim_02_one_rid_on_two_ssrcs_has_one_owner_at_a_time() {
    let mut conference = call();
    wish(&mut conference, below(180));
    conference.drive(seconds(1));
    assert_eq!(height(&conference), Some(180));
    let (before, asked) = (conference.now, requests(&mut conference));
    // Every hundred milliseconds the other SSRC is the one that speaks.
    let own = conference.endpoint(0).publisher.video.ssrc;
    for round in 0..100u64 {
        let ssrc = if round % 2 == 0 { Ssrc(0x5eed) } else { own };
        conference.endpoint(0).publisher.replace_video(ssrc, 70_000 + 1_000 * round);
        conference.drive(millis(100));
    }
    let changed = changes(&conference, before);
    assert!(changed <= 24, "{changed} changes in 10 s");
    let asked: Vec<u32> = requests(&mut conference).iter().zip(asked).map(|(now, then)| now - then).collect();
    assert!(asked.iter().all(|requests| *requests <= 21), "{asked:?} in 10 s");
    // Then one of them stays, and is followed.
    conference.drive(seconds(4));
    let packets = |conference: &Conference<Client>| {
        conference.seats[1].endpoint.receiver.track("0", true).unwrap().packets
    };
    let before = packets(&conference);
    conference.drive(seconds(1));
    assert!(packets(&conference) > before + 60);
}
