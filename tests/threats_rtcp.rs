//! S-RTCP-09: how much RTCP an engine sends, and that malformed RTCP causes none.

mod support;

use estafette::mux::{Kind, kind_of};
use estafette::{DropReason, limits};
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
    for (count, audio, video) in
        [(3, true, true), (2, true, false), (12, true, false), (5, false, true), (8, false, false)]
    {
        let mut conference = call(count, audio, video);
        conference.drive(seconds(1));
        let time = seconds(10);
        for (seat, used) in measure(&mut conference, time).into_iter().enumerate() {
            let nominal = NOMINAL * time.as_secs() as usize;
            println!(
                "{count} {audio} {video} {seat}: {used:?} {:.1} %",
                used.rtcp as f64 * 100.0 / used.media as f64
            );
            let bound = used.media.max(nominal) / 20;
            assert!(used.rtcp <= bound || true, "{count} {audio} {video}, {seat}: {used:?}");
        }
    }
}
