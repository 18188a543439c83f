//! S-RTCP-09: how much RTCP an engine sends, and that malformed RTCP causes none.

mod support;

use estafette::mux::{Kind, kind_of};
use estafette::{DropReason, limits, rtcp};
use std::time::Duration;
use support::client::publish::Plan;
use support::harness::{Options, home, live, millis, seconds};
use support::{Client, Conference};

/// Bytes of headers in front of a datagram: bandwidth counts from IP upwards (RFC 3550, section 6.2).
const UDP_IP: usize = 28;

/// The bandwidth that a silent participant's session is taken to have, in bytes a second: one voice of
/// 64 kbit/s (RFC 3551, section 4.5.14).
const NOMINAL: usize = 8_000;

/// Bytes from and to one participant in a while.
#[derive(Debug, Default, Clone, Copy)]
struct Bandwidth {
    rtcp: usize,
    media: usize,
}

/// A conference of audio and perhaps video, connected.
fn call(count: u32, audio: bool, video: bool) -> Conference {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..count {
        conference.add_with(room, index, Plan { audio, video, ..Plan::default() });
    }
    conference.connect();
    conference
}

/// What each participant gets and gives while `time` passes.
fn measure(conference: &mut Conference, time: Duration) -> Vec<Bandwidth> {
    let received = |conference: &mut Conference, seat: usize| {
        let id = conference.participant(seat);
        let stats = conference.engine.participant(id).expect("it is there").stats();
        stats.bytes_received as usize + UDP_IP * stats.datagrams_received as usize
    };
    let seats = 0..conference.seats.len();
    let before: Vec<_> = seats.clone().map(|seat| received(conference, seat)).collect();
    conference.tap = true;
    conference.drive(time);
    conference.tap = false;
    let sent = std::mem::take(&mut conference.outgoing);
    seats
        .map(|seat| {
            let to = sent.iter().filter(|packet| packet.to == home(seat as u32));
            let of = |kind| {
                let of = to.clone().filter(move |packet| kind_of(&packet.data) == Some(kind));
                of.map(|packet| packet.data.len() + UDP_IP).sum::<usize>()
            };
            let media = of(Kind::Rtp) + received(conference, seat) - before[seat];
            Bandwidth { rtcp: of(Kind::Rtcp), media }
        })
        .collect()
}

#[test]
fn s_rtcp_09_reports_and_feedback_stay_within_a_twentieth_of_the_bandwidth() {
    let rooms = [(3, true, true), (2, true, false), (12, true, false), (5, false, true), (8, false, false)];
    for (count, audio, video) in rooms {
        let mut conference = call(count, audio, video);
        conference.drive(seconds(1));
        let time = seconds(6);
        for (seat, used) in measure(&mut conference, time).into_iter().enumerate() {
            let nominal = NOMINAL * time.as_secs() as usize;
            let bound = used.media.max(nominal) / 20;
            println!("{count} {audio} {video} {seat}: {used:?} of {bound}");
            assert!(used.rtcp <= bound, "{count} {audio} {video}, {seat}: {used:?} of {bound}");
            assert_eq!(used.rtcp > 0, audio || video);
        }
    }
}

#[test]
fn s_rtcp_09_four_compounds_at_start_and_in_a_round() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..12 {
        conference.add(room, index);
    }
    conference.tap = true;
    let (mut compounds, mut since) = (vec![0; 12], vec![None; 12]);
    for _ in 0..400 {
        conference.drive(millis(10));
        let now = conference.now;
        let mut round = vec![0; 12];
        for packet in std::mem::take(&mut conference.outgoing) {
            let seat = (0..12).find(|seat| packet.to == home(*seat)).expect("somebody's") as usize;
            // A sealed compound shows its first packet's type; what is in haste has another.
            if kind_of(&packet.data) == Some(Kind::Rtcp) && matches!(packet.data[1], 200 | 201) {
                round[seat] += 1;
            }
        }
        for seat in 0..12 {
            assert!(round[seat] <= usize::from(limits::REPORT_DATAGRAMS), "{round:?}");
            if conference.endpoint(seat).connected() && since[seat].is_none() {
                since[seat] = Some(now);
            }
            compounds[seat] += round[seat];
            let age = since[seat].map_or(Duration::ZERO, |since| now - since);
            // Those of the start, then no more than one round in the shortest interval.
            let rounds = 1 + age.as_millis() as usize / 800;
            assert!(compounds[seat] <= 4 * rounds, "{seat} after {age:?}: {compounds:?}");
        }
    }
    assert!(compounds.iter().all(|compounds| *compounds > 0), "{compounds:?}");
}

/// A length past the end.
const TOO_LONG: &[u8] = &[0x80, 201, 0, 9, 0, 0, 0, 1];
/// A request without a number behind a good report.
const REPORT_AND_CUT: &[u8] = &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];

/// Authentic bytes that are no RTCP, or not to their end.
const MALFORMED: [&[u8]; 8] = [
    TOO_LONG,
    REPORT_AND_CUT,
    // A count that does not fit, padding of nothing.
    &[0x85, 201, 0, 1, 0, 0, 0, 1],
    &[0xa0, 201, 0, 1, 0, 0, 0, 0],
    // Behind a good report: half a header, and another version.
    &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 206],
    &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x41, 206, 0, 0],
    // A description without end, a request that is cut.
    &[0x81, 202, 0, 2, 0, 0, 0, 7, 1, 2, b'a', b'b'],
    &[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
];

#[test]
fn s_rtcp_09_malformed_rtcp_causes_no_rtcp() {
    let run = |hostile: bool| {
        let mut conference = live(3, Options::default());
        conference.tap = true;
        let before = conference.engine.stats().datagrams_dropped;
        for round in 0..40 {
            if hostile {
                let plain = MALFORMED[round % MALFORMED.len()];
                conference.endpoint(0).send_plain_rtcp(plain);
            }
            conference.drive(millis(25));
        }
        let rtcp = conference.outgoing.iter().filter(|packet| kind_of(&packet.data) == Some(Kind::Rtcp));
        // To whom, of what type, how long: the same as if nothing had been said.
        let rtcp: Vec<_> = rtcp.map(|packet| (packet.to, packet.data[1], packet.data.len())).collect();
        (rtcp, conference.engine.stats().datagrams_dropped - before)
    };
    let (quiet, none) = run(false);
    let (provoked, dropped) = run(true);
    assert_eq!(quiet, provoked);
    assert_eq!((none, dropped), (0, 40));
}

#[test]
fn s_rtcp_09_forged_media_does_not_quicken_feedback() {
    let run = |hostile: bool| {
        let mut conference = call(2, true, false);
        conference.drive(Duration::from_secs(1));
        let ssrc = conference.seats[0].endpoint.publisher.audio.ssrc;
        let forged = [&[0x80, 111, 0, 1, 0, 0, 0, 0][..], &ssrc.0.to_be_bytes(), &[7; 1_200]].concat();
        let before = conference.seats[0].endpoint.feedbacks;
        for _ in 0..2_000 {
            if hostile {
                conference.inject(home(0), &forged);
            }
            conference.drive(millis(1));
        }
        conference.seats[0].endpoint.feedbacks - before
    };
    let quiet = run(false);
    assert!(quiet > 0 && quiet < 15, "{quiet}: seldom, as little is sent");
    assert_eq!(run(true), quiet);
}

#[test]
fn s_rtcp_01_what_follows_a_malformed_packet_is_dropped_and_counted() {
    let mut conference = live(2, Options::default());
    let id = conference.participant(0);
    let fault = |conference: &mut Conference, fault| {
        let participant = conference.engine.participant(id).expect("it is there");
        participant.stats().dropped(DropReason::Rtcp(fault))
    };
    conference.endpoint(0).send_plain_rtcp(REPORT_AND_CUT);
    conference.drive(millis(100));
    assert_eq!(fault(&mut conference, rtcp::Fault::Nack), 1);
    conference.endpoint(0).send_plain_rtcp(TOO_LONG);
    conference.drive(millis(100));
    assert_eq!(fault(&mut conference, rtcp::Fault::Length), 1);
    conference.assert_all_seen(20);
}
