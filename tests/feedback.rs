//! Congestion control feedback to publishers, of each kind: what it says of packets is what came, when and
//! how marked; and each participant has its own kind.

mod support;

use estafette::negotiation::FeedbackKind;
use estafette::rtcp::{Arrival, Metric};
use estafette::rtp::{ExtensionKind, SeqNo, Ssrc};
use estafette::{Bitrate, Ecn, EngineConfig, Instant, TransportStats, limits};
use std::collections::{BTreeMap, BTreeSet};
use support::client::publish::Plan;
use support::harness::{Options, home, millis, seconds, server};
use support::{Client, Conference, Link, Stage};

/// A conference of those who know these kinds, connected.
fn knowing(kinds: &[&[FeedbackKind]], options: Options) -> Conference {
    let mut conference = Conference::<Client>::new(options);
    conference.tap = true;
    let room = conference.room();
    for (index, kinds) in (0..).zip(kinds) {
        let mut client = conference.client(index, Plan::default(), 0);
        client.describe.feedback = kinds.to_vec();
        conference.join(room, client);
    }
    conference.connect();
    conference
}

fn telling(kind: FeedbackKind, options: Options) -> Conference {
    knowing(&[&[kind]], options)
}

fn transport(conference: &mut Conference, seat: usize) -> TransportStats {
    let id = conference.participant(seat);
    conference.engine.participant(id).expect("it is there").transport_stats().expect("it is there")
}

/// The first arrival of each of seat 0's RTP packets: what is not encrypted tells which it is.
fn arrivals(conference: &Conference) -> BTreeMap<(Ssrc, u16), Instant> {
    let mut arrivals = BTreeMap::new();
    for (at, packet) in conference.incoming.iter().filter(|(_, packet)| packet.from == home(0)) {
        if let Ok(rtp) = estafette::rtp::Packet::parse(&packet.data)
            && estafette::mux::kind_of(&packet.data) == Some(estafette::mux::Kind::Rtp)
        {
            arrivals.entry((rtp.ssrc(), rtp.sequence_number().0)).or_insert(*at);
        }
    }
    arrivals
}

/// What reports say of a packet.
#[derive(Default)]
struct Told {
    /// At last, and when that came.
    metric: Option<(Instant, Metric)>,
    times: usize,
}

fn told(client: &Client) -> BTreeMap<(Ssrc, u16), Told> {
    let mut told = BTreeMap::<_, Told>::new();
    for report in &client.reports {
        for (ssrc, metrics) in &report.streams {
            for (seq, metric) in metrics {
                let packet = told.entry((*ssrc, seq.0)).or_default();
                packet.metric = metric.map(|metric| (report.at, metric));
                packet.times += 1;
            }
        }
    }
    told
}

/// That what was told as come is what came, each at its time: the reports take 20 ms. Media ends before.
fn assert_told(conference: &mut Conference, mark: Ecn) -> usize {
    conference.endpoint(0).publisher.paused = true;
    conference.drive(seconds(1));
    let (came, told) = (arrivals(conference), told(&conference.seats[0].endpoint));
    assert!(came.keys().all(|packet| told.contains_key(packet)));
    for (packet, Told { metric, .. }) in &told {
        assert_eq!(metric.is_some(), came.contains_key(packet), "{packet:?}: {metric:?}");
        let Some((at, metric)) = metric else { continue };
        assert_eq!(metric.ecn, mark);
        let Arrival::Before(units) = metric.arrival else { panic!("{metric:?}") };
        let since = (*at - millis(20)) - came[packet];
        let least = millis(1_000) * u32::from(units) / 1_024;
        assert!(since >= least && since < least + millis(1), "{since:?} against {least:?}");
    }
    told.len()
}

#[test]
fn reports_by_stream_tell_each_packet_once_with_its_time() {
    let mut conference = telling(FeedbackKind::Ccfb, Options::default());
    conference.drive(seconds(3));
    assert!(assert_told(&mut conference, Ecn::NotEct) > 300);
    let client = &conference.seats[0].endpoint;
    assert!(told(client).values().all(|packet| packet.times == 1));
    let streams: BTreeSet<_> = told(client).keys().map(|(ssrc, _)| *ssrc).collect();
    assert_eq!(streams, BTreeSet::from([client.publisher.audio.ssrc, client.publisher.video.ssrc]));
    assert_eq!((client.feedbacks, client.rates.len()), (0, 0), "one kind alone");
    // Paced like transport-wide feedback: the clock of the reports goes on by what passes between them.
    let gaps = client.reports.windows(2).map(|pair| {
        let units = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        (pair[1].at - pair[0].at, millis(1_000) * units / 65_536)
    });
    for (passed, told) in gaps {
        assert!(passed >= limits::FEEDBACK_INTERVAL && passed <= limits::FEEDBACK_INTERVAL_MAX + millis(50));
        assert!(passed.abs_diff(told) < millis(1), "{passed:?} against {told:?}");
    }
    let sent = client.reports.len() as u64;
    let stats = transport(&mut conference, 0);
    assert_eq!((stats.feedback, stats.ccfb_messages_sent), (Some(FeedbackKind::Ccfb), sent));
}

#[test]
fn reports_by_stream_tell_losses_repairs_and_late_packets() {
    let mut conference = telling(FeedbackKind::Ccfb, Options::default());
    let link = Link::lossy(0.05).with(Stage::Jitter(millis(15))).with(Stage::Duplicate(0.02));
    conference.net.set_link(home(0), server(), link);
    conference.drive(seconds(5));
    assert!(assert_told(&mut conference, Ecn::NotEct) > 500);
    let client = &conference.seats[0].endpoint;
    let told = told(client);
    assert!(told.values().filter(|packet| packet.metric.is_none()).count() > 10, "losses are told");
    assert!(told.values().any(|packet| packet.times > 1), "what came late is told after all");
    let repairs = told.keys().filter(|(ssrc, _)| *ssrc == client.publisher.video.rtx_ssrc);
    assert!(repairs.count() > 10, "retransmissions are told of");
}

#[test]
fn marks_are_reported_and_counted() {
    for (mark, counts) in [(Ecn::Ect1, [true, false]), (Ecn::Ce, [false, true]), (Ecn::Ect0, [false; 2])] {
        let mut conference = telling(FeedbackKind::Ccfb, Options::default());
        conference.ecn = mark;
        conference.drive(seconds(1));
        assert!(assert_told(&mut conference, mark) > 50);
        let packets = arrivals(&conference).len() as u64;
        let stats = transport(&mut conference, 0);
        let counted = [stats.packets_received_with_ect1, stats.packets_received_with_ce];
        assert_eq!(counted, counts.map(|counts| if counts { packets } else { 0 }));
    }
}

#[test]
fn s_rtcp_09_numbers_left_out_cost_a_few_datagrams_a_round() {
    let mut conference = telling(FeedbackKind::Ccfb, Options::default());
    conference.drive(millis(500));
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(500));
    let (start, before) = (conference.now, conference.endpoint(0).reports.len());
    // Twenty streams, of each a number in five hundred, for two seconds; none of them has a place.
    for round in 0..20u64 {
        for stream in 0..20u8 {
            let number = 500 * (round + 1);
            let header =
                [&[0x80, 60][..], &(number as u16).to_be_bytes(), &[0; 4], &[9, 9, 9, stream]].concat();
            let ssrc = Ssrc(u32::from_be_bytes([9, 9, 9, stream]));
            conference.endpoint(0).send_rtp(ssrc, SeqNo(number), &header, b"x");
        }
        conference.drive(millis(100));
    }
    let client = conference.endpoint(0);
    let reports = &client.reports[before..];
    // A report has some six hundred metrics at most, a round four of them.
    assert!(reports.iter().all(|report| report.at >= start));
    let rounds = 2_000 / limits::FEEDBACK_INTERVAL.as_millis() as usize + 2;
    assert!(reports.len() > 20 && reports.len() <= rounds * usize::from(limits::FEEDBACK_DATAGRAMS));
    let told: BTreeSet<_> =
        reports.iter().flat_map(|report| &report.streams).map(|(ssrc, _)| ssrc.0).collect();
    assert_eq!(told.len(), 20, "each has its turn");
}

#[test]
fn the_estimate_is_said_once_a_second_of_all_streams_and_stays_above_what_comes() {
    let mut conference = telling(FeedbackKind::Remb, Options::default());
    conference.drive(seconds(6));
    let client = &conference.seats[0].endpoint;
    assert_eq!((client.feedbacks, client.reports.len()), (0, 0), "one kind alone");
    let streams = [client.publisher.audio.ssrc, client.publisher.video.ssrc];
    assert!(client.rates.len() >= 5, "{:?}", client.rates);
    assert!(client.rates.iter().all(|(.., ssrcs)| ssrcs == &streams));
    let gaps = client.rates.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.max().is_some_and(|gap| gap < millis(1_450)), "{:?}", client.rates);
    let bits: u64 = conference.incoming.iter().map(|(_, packet)| 8 * packet.data.len() as u64).sum();
    let (came, said) = (bits / 6, client.rates.last().expect("some").1.as_bps());
    assert!(said > came * 5 / 4 && said < came * 2, "{said} against {came}");
    assert_eq!(transport(&mut conference, 0).feedback, Some(FeedbackKind::Remb));
}

#[test]
fn the_estimate_falls_where_packets_wait_and_never_above_what_may_be_published() {
    let mut conference = telling(FeedbackKind::Remb, Options::default());
    conference.drive(seconds(3));
    let said = |conference: &Conference| conference.seats[0].endpoint.rates.last().expect("some").1;
    let before = said(&conference);
    // Each tenth of a second what comes is a little later than before.
    for wait in 1..=15 {
        conference.net.set_link(home(0), server(), Link::delay(millis(20 + 15 * wait)));
        conference.drive(millis(100));
    }
    let after = said(&conference);
    assert!(after < Bitrate::from_bps(before.as_bps() * 3 / 4), "{before:?}, {after:?}");
    assert!(after > Bitrate::from_bps(before.as_bps() / 4), "{before:?}, {after:?}");
}

#[test]
fn everybody_has_the_best_kind_of_their_own() {
    use FeedbackKind::{Ccfb, Remb, TransportWide};
    let kinds: [&[FeedbackKind]; 4] = [&FeedbackKind::ALL, &[TransportWide, Remb], &[Remb], &[]];
    let mut conference = knowing(&kinds, Options::default());
    conference.drive(seconds(3));
    conference.assert_all_seen(20);
    for (seat, kind) in [Some(Ccfb), Some(TransportWide), Some(Remb), None].into_iter().enumerate() {
        let client = &conference.seats[seat].endpoint;
        let got = [!client.reports.is_empty(), client.feedbacks > 0, !client.rates.is_empty()];
        let expected = [Some(Ccfb), Some(TransportWide), Some(Remb)].map(|one| one == kind);
        assert_eq!(got, expected, "seat {seat}");
        // The same on what it receives, on lines of the engine's own, too: without numbers where none are needed.
        let numbered = client.describe.last.contains(ExtensionKind::TransportSequenceNumber.uri());
        assert_eq!(numbered, kind != Some(Ccfb), "seat {seat}");
        assert_eq!(transport(&mut conference, seat).feedback, kind);
    }
}

#[test]
fn a_kind_that_is_not_configured_is_not_used() {
    let engine = EngineConfig { feedback: vec![FeedbackKind::TransportWide], ..Options::default().engine };
    let mut conference = knowing(&[&FeedbackKind::ALL], Options { engine, ..Options::default() });
    conference.drive(seconds(1));
    let client = &conference.seats[0].endpoint;
    assert!(client.feedbacks > 5 && client.reports.is_empty() && client.rates.is_empty());
}

#[test]
fn the_kind_changes_with_a_description() {
    let mut conference = knowing(&[&FeedbackKind::ALL], Options::default());
    conference.drive(seconds(1));
    let counts = |conference: &Conference| {
        let client = &conference.seats[0].endpoint;
        [client.reports.len(), client.rates.len()]
    };
    assert!(counts(&conference)[0] > 5);
    conference.endpoint(0).describe.feedback = vec![FeedbackKind::Remb];
    conference.renegotiate(0);
    conference.drive(millis(50));
    let before = counts(&conference);
    conference.drive(seconds(2));
    let after = counts(&conference);
    assert!(after[0] == before[0] && after[1] > before[1] + 1, "{before:?}, {after:?}");
}

#[test]
fn who_publishes_nothing_or_may_not_gets_no_feedback() {
    let mut conference = knowing(&[&[FeedbackKind::Ccfb][..]; 2], Options::default());
    let client = conference.endpoint(1);
    (client.publisher.paused, client.lawless) = (true, true);
    conference.drive(seconds(1));
    let before = conference.endpoint(1).reports.len();
    conference.drive(seconds(3));
    assert_eq!(conference.endpoint(1).reports.len(), before, "of silence nothing is told");
    let mut offer = Plan::default();
    (offer.audio, offer.video) = (false, false);
    let mut listener = conference.client(2, offer, 0);
    listener.describe.feedback = vec![FeedbackKind::Ccfb];
    let room = conference.seats[0].room;
    let seat = conference.join(room, listener);
    conference.connect();
    conference.drive(seconds(1));
    for number in 1..100u8 {
        let header = [&[0x80, 111, 0, number][..], &[0; 4], &[7; 4]].concat();
        conference.endpoint(seat).send_rtp(Ssrc(0x0707_0707), SeqNo(number.into()), &header, b"x");
        conference.drive(millis(10));
    }
    assert_eq!(transport(&mut conference, seat).feedback, Some(FeedbackKind::Ccfb));
    assert!(conference.endpoint(seat).reports.is_empty());
}

#[test]
fn i_08_feedback_of_every_kind_is_the_same_for_the_same_seeds() {
    let run = || {
        let link = Link::lossy(0.05).with(Stage::Jitter(millis(9)));
        let options = Options { link, record: true, ..Options::default() };
        let kinds: [&[FeedbackKind]; 3] =
            [&FeedbackKind::ALL, &[FeedbackKind::TransportWide], &[FeedbackKind::Remb]];
        let mut conference = knowing(&kinds, options);
        conference.drive(seconds(3));
        conference.transcript.take().expect("it was recorded").digest()
    };
    assert_eq!(run(), run());
}
