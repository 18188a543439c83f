//! Threats to the RTP of a live conference, each named by its identifier.

mod support;

use estafette::rtp::{Packet, SeqNo, Ssrc};
use estafette::{Bitrate, DropReason, ParticipantConfig, limits};
use support::client::publish::{ABS_SEND_TIME, AUDIO_LEVEL, COLOR_SPACE, MID, OPUS, Plan, VP8, VP8_RTX};
use support::harness::{Options, home, live, millis, seconds};
use support::media::Content;
use support::provocation::{dropped, header, others_are_undisturbed, provoked};
use support::{Client, Conference};

#[test]
fn i_01_an_element_that_is_repeated_at_the_end_of_a_page_is_kept_once() {
    let mut conference = provoked(3);
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    let (ssrc, rtx) = (Ssrc(0x5151_5151), conference.seats[0].endpoint.publisher.video.rtx_ssrc);
    let media = |seq: u64, len: usize| (ssrc, seq, header(VP8, seq, ssrc, &[(MID, b"1")]), vec![0x10; len]);
    // A new stream's history has a page to itself, of which 134 bytes are left; number 5 is missing.
    let mut packets = vec![media(1, 250)];
    packets.extend([2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18].map(|seq| media(seq, 1_000)));
    assert_eq!(limits::HISTORY_PAGE - 250 - 16 * 1_000, 134);
    // 112 bytes of header, which would be 144 if each element were kept.
    let levels = [(AUDIO_LEVEL, &[5][..]); 48];
    let repair = [&[0, 5][..], &[0x10; 10]].concat();
    packets.push((rtx, 40_000, header(VP8_RTX, 40_000, rtx, &levels), repair));
    packets.push(media(19, 1_000));
    conference.tap = true;
    let before = conference.engine.stats();
    assert_eq!(dropped(&mut conference, DropReason::HistoryFull, &packets), 0);
    let after = conference.engine.stats();
    assert_eq!(after.dropped_in_all(), before.dropped_in_all());
    let sent = conference.outgoing.iter().filter(|packet| packet.to == home(1));
    let headers = sent.filter_map(|packet| Packet::parse(&packet.data).ok());
    let levels: Vec<_> =
        headers.map(|header| header.extensions().filter(|(id, _)| *id == AUDIO_LEVEL).count()).collect();
    assert!(levels.contains(&1) && levels.iter().all(|count| *count <= 1), "{levels:?}");
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_06_under_an_encrypted_header_another_lines_payload_type_moves_with_its_mid_alone() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..3 {
        let mut client = conference.client(index, Plan::default(), 0);
        client.describe.cryptex = true;
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(seconds(1));
    conference.endpoint(0).lawless = true;
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    let audio = conference.seats[0].endpoint.publisher.audio.ssrc;
    let before = conference.seen(1, 0);
    // Types of nobody, and the other line's without its name: dropped, and no change of line.
    let stray = [(98, &b"0"[..]), (98, b"1"), (VP8, b"0")].into_iter().enumerate().map(|(at, (pt, mid))| {
        let seq = 60_500 + at as u64;
        (audio, seq, header(pt, seq, audio, &[(MID, mid)]), vec![0x10; 40])
    });
    let mut stray: Vec<_> = stray.collect();
    stray.push((audio, 60_503, header(VP8, 60_503, audio, &[(AUDIO_LEVEL, &[1])]), vec![0x10; 40]));
    assert_eq!(dropped(&mut conference, DropReason::Unnegotiated, &stray), 4);
    // With its name the SSRC goes there at once.
    let moved: Vec<_> = (0..10)
        .map(|at| {
            let (seq, frame) = (60_510 + at, 1_000 + at as u32);
            let content = Content {
                room: 0,
                publisher: 0,
                video: true,
                frame,
                part: 0,
                parts: 1,
                keyframe: true,
                height: 180,
            };
            (audio, seq, header(VP8, seq, audio, &[(MID, b"1")]), content.payload())
        })
        .collect();
    assert_eq!(dropped(&mut conference, DropReason::Rebinding, &moved), 0);
    conference.drive(millis(100));
    let seen = conference.seen(1, 0);
    assert_eq!((seen.video, seen.audio), (before.video + 10, before.audio));
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_04_a_payload_type_that_was_not_negotiated_is_dropped() {
    let mut conference = provoked(3);
    let video = conference.seats[0].endpoint.publisher.video.ssrc;
    let sources = conference.engine.stats().sources;
    let mut packets = Vec::new();
    // On a stream that is known, and on new ones that name a line.
    for (at, payload_type) in (0u8..128).filter(|pt| ![OPUS, VP8, VP8_RTX].contains(pt)).enumerate() {
        if (64..96).contains(&payload_type) {
            // RTCP to a multiplexer (RFC 5761, section 4).
            continue;
        }
        let seq = 1_000 + at as u64;
        packets.push((video, seq, header(payload_type, seq, video, &[(MID, b"1")]), vec![0x10; 40]));
        if at < 8 {
            let ssrc = Ssrc(0x1000 + at as u32);
            packets.push((ssrc, seq, header(payload_type, seq, ssrc, &[(MID, b"1")]), vec![0x10; 40]));
        }
    }
    // Media of the other kind's line, and of the repair's type on the media's stream.
    packets.push((video, 2_000, header(OPUS, 2_000, video, &[]), vec![0x10; 40]));
    packets.push((video, 2_001, header(VP8_RTX, 2_001, video, &[]), vec![0x10; 40]));
    let expected = packets.len() as u64;
    assert_eq!(dropped(&mut conference, DropReason::Unnegotiated, &packets), expected);
    assert_eq!(conference.engine.stats().sources, sources);
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_04_a_mid_that_was_not_negotiated_is_dropped() {
    let mut conference = provoked(3);
    let mids: [&[u8]; 6] = [b"2", b"00", b"no-such", b" ", b"\0", &[0xff; 16]];
    let packet = |(at, mid): (usize, &&[u8])| {
        let (ssrc, seq) = (Ssrc(0x2000 + at as u32), 100 + at as u64);
        (ssrc, seq, header(VP8, seq, ssrc, &[(MID, mid)]), vec![0x10; 40])
    };
    let packets: Vec<_> = mids.iter().enumerate().map(packet).collect();
    assert_eq!(dropped(&mut conference, DropReason::Unnegotiated, &packets), 6);
    // Names of no meaning here, rid among them, are under identifiers that were not negotiated.
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_06_a_mid_of_nobody_on_a_bound_ssrc_is_dropped_and_changes_nothing() {
    let mut conference = provoked(3);
    let video = conference.seats[0].endpoint.publisher.video.ssrc;
    // Ahead of its own numbers, so that those are not taken for replays.
    let packets: Vec<_> = (0..20)
        .map(|at| (video, 66_000 + at, header(VP8, 66_000 + at, video, &[(MID, b"9")]), vec![0x10; 40]))
        .collect();
    let received = |conference: &mut Conference<Client>| {
        let participant = conference.participant(0);
        conference.engine.participant(participant).unwrap().stats().packets_received
    };
    assert_eq!(dropped(&mut conference, DropReason::Unnegotiated, &packets), 20);
    let before = received(&mut conference);
    conference.drive(seconds(1));
    assert_eq!(conference.engine.stats().dropped(DropReason::Rebinding), 0);
    assert!(received(&mut conference) > before + 100, "its own media goes on");
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_06_a_mid_of_another_line_takes_the_ssrc_there_at_a_bounded_rate() {
    let mut conference = live(3, Options::default());
    conference.endpoint(0).lawless = true;
    let audio = conference.seats[0].endpoint.publisher.audio.ssrc;
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    let before = (conference.seen(1, 0).audio, conference.seen(1, 0).video);
    // The microphone's SSRC becomes the camera's, which RFC 9143 allows.
    let content = |frame| Content {
        room: 0,
        publisher: 0,
        video: true,
        frame,
        part: 0,
        parts: 1,
        keyframe: true,
        height: 180,
    };
    let moved =
        |seq: u64, frame| (audio, seq, header(VP8, seq, audio, &[(MID, b"1")]), content(frame).payload());
    let refused = dropped(&mut conference, DropReason::Rebinding, &[moved(60_500, 1_000)]);
    assert_eq!(refused, 0);
    let packets: Vec<_> = (1..10).map(|at| moved(60_500 + at, 1_000 + at as u32)).collect();
    assert_eq!(dropped(&mut conference, DropReason::Rebinding, &packets), 0, "it is at home there now");
    conference.drive(millis(100));
    let seen = conference.seen(1, 0);
    assert!(seen.video >= before.1 + 10, "{seen:?} after {before:?}");
    assert_eq!(seen.audio, before.0);

    // Back and forth within the second: refused, whatever it claims.
    let back: Vec<_> = (0..10)
        .map(|at| {
            let seq = 60_510 + at;
            (
                audio,
                seq,
                header(OPUS, seq, audio, &[(MID, b"0")]),
                Content::audio(0, 0, 5_000 + at as u32).payload(),
            )
        })
        .collect();
    assert_eq!(dropped(&mut conference, DropReason::Rebinding, &back), 10);
    conference.drive(limits::REBINDING_INTERVAL);
    let (seq, payload) = (60_520, Content::audio(0, 0, 6_000).payload());
    let home = (audio, seq, header(OPUS, seq, audio, &[(MID, b"0")]), payload);
    assert_eq!(dropped(&mut conference, DropReason::Rebinding, &[home]), 0);
    assert_eq!(conference.seen(1, 0).audio, before.0 + 1);
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_08_retransmissions_of_nothing_known_are_dropped() {
    let mut conference = provoked(3);
    conference.drive(seconds(1));
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    let video = &conference.seats[0].endpoint.publisher.video;
    let (rtx, newest) = (video.rtx_ssrc, (65_400 + video.sent - 1) as u16);
    let mut seq = 50_000;
    let mut repair = |payload_type: u8, payload: Vec<u8>| {
        seq += 1;
        (rtx, seq, header(payload_type, seq, rtx, &[(MID, b"1")]), payload)
    };
    let of = |number: u16, rest: &[u8]| [&number.to_be_bytes()[..], rest].concat();
    let short = [repair(VP8_RTX, vec![7])];
    assert_eq!(dropped(&mut conference, DropReason::Retransmission, &short), 1, "a short payload");
    let ahead = [1, 2, 100, 30_000].map(|ahead| repair(VP8_RTX, of(newest.wrapping_add(ahead), &[1; 40])));
    assert_eq!(dropped(&mut conference, DropReason::Retransmission, &ahead), 4, "never missing");
    let known = [0, 1, 5].map(|back| repair(VP8_RTX, of(newest.wrapping_sub(back), &[1; 40])));
    assert_eq!(dropped(&mut conference, DropReason::Duplicate, &known), 3, "here already");
    let old = [20_000, 30_000].map(|back| repair(VP8_RTX, of(newest.wrapping_sub(back), &[1; 40])));
    assert_eq!(dropped(&mut conference, DropReason::Duplicate, &old), 2, "out of the window");
    let odd = [VP8, OPUS, 98].map(|payload_type| repair(payload_type, of(newest, &[1; 40])));
    assert_eq!(dropped(&mut conference, DropReason::Unnegotiated, &odd), 3, "no apt");
    // A retransmission of a retransmission is one of a number that its media never had.
    let nested = [repair(VP8_RTX, of(50_001, &of(newest, &[1; 40])))];
    assert_eq!(dropped(&mut conference, DropReason::Duplicate, &nested), 1);
    // Padding alone is a probe.
    let before = conference.engine.stats().datagrams_dropped;
    let mut probe = header(VP8_RTX, 60_000, rtx, &[(MID, b"1")]);
    probe[0] |= 0x20;
    conference.endpoint(0).send_rtp(rtx, SeqNo(60_000), &probe, &[0, 0, 0, 4]);
    conference.drive(millis(50));
    assert_eq!(conference.engine.stats().datagrams_dropped, before);
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_09_red_and_fec_are_not_negotiated_and_dropped() {
    let mut conference = provoked(3);
    let (audio, video) = {
        let publisher = &conference.seats[0].endpoint.publisher;
        (publisher.audio.ssrc, publisher.video.ssrc)
    };
    let red = [0xef, 0, 3, 0xff, 0x6f];
    let packets = [
        (audio, 70, header(63, 70, audio, &[(MID, b"0")]), red.to_vec()),
        (video, 70, header(98, 70, video, &[(MID, b"1")]), vec![0xff; 30]),
    ];
    assert_eq!(dropped(&mut conference, DropReason::Unnegotiated, &packets), 2);
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_11_a_publisher_over_its_budget_is_cut_at_ingress_and_nobody_else_pays() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let loud = conference.client(0, Plan { parts: 20, ..Plan::default() }, 0);
    let config = ParticipantConfig { max_publish_packets: 100, ..ParticipantConfig::default() };
    conference.join_as(room, loud, config);
    conference.add(room, 1);
    conference.add(room, 2);
    conference.connect();
    conference.endpoint(0).lawless = true;
    for seat in 1..3 {
        conference.endpoint(seat).receiver.distrusted.push("0".into());
    }
    conference.drive(seconds(3));
    let publisher = &conference.seats[0].endpoint.publisher;
    let sent = publisher.audio.sent + publisher.video.sent;
    let stats = conference.engine.stats();
    let refused = stats.dropped(DropReason::PublishRate);
    assert!(sent > 1_200 && refused > 700, "{refused} of {sent}");
    let participant = conference.participant(0);
    let media = conference.engine.participant(participant).unwrap().stats().packets_received;
    assert!((300..=450).contains(&media), "{media}: a second's worth and three seconds' rate");
    let other = conference.participant(1);
    let others = conference.engine.participant(other).unwrap().stats();
    assert_eq!(others.dropped(DropReason::PublishRate), 0);
    others_are_undisturbed(&mut conference);
}

#[test]
fn s_rtp_11_bytes_are_counted_too_and_forgeries_are_not() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let client = conference.client(0, Plan::default(), 0);
    let rate = Bitrate::from_kbps(1_000);
    let config = ParticipantConfig { max_publish_bitrate: rate, ..ParticipantConfig::default() };
    conference.join_as(room, client, config);
    conference.add(room, 1);
    conference.add(room, 2);
    conference.connect();
    conference.drive(seconds(1));
    assert_eq!(conference.engine.stats().dropped(DropReason::PublishRate), 0, "it sends 750 kbit/s");
    // Somebody who knows its address but not its key.
    let video = conference.seats[0].endpoint.publisher.video.ssrc;
    let forged = [header(VP8, 1, video, &[(MID, b"1")]), vec![7; 1_200]].concat();
    (0..2_000).for_each(|_| conference.inject(home(0), &forged));
    conference.drive(seconds(2));
    assert_eq!(conference.engine.stats().dropped(DropReason::PublishRate), 0, "forgeries take nothing");
    conference.assert_all_seen(40);
}

#[test]
fn s_rtp_11_bytes_above_the_budget_are_refused() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let client = conference.client(0, Plan::default(), 0);
    // It sends 750 kbit/s.
    let config = ParticipantConfig { max_publish_bitrate: Bitrate::from_kbps(300), ..Default::default() };
    conference.join_as(room, client, config);
    conference.add(room, 1);
    conference.add(room, 2);
    conference.connect();
    conference.endpoint(0).lawless = true;
    for seat in 1..3 {
        conference.endpoint(seat).receiver.distrusted.push("0".into());
    }
    let of_seat = |conference: &mut Conference<Client>, seat| {
        let participant = conference.participant(seat);
        let stats = conference.engine.participant(participant).unwrap().stats();
        (stats.dropped(DropReason::PublishRate), stats.bytes_received)
    };
    let before = of_seat(&mut conference, 0);
    conference.drive(seconds(5));
    let after = of_seat(&mut conference, 0);
    assert!(after.0 > before.0 + 50, "{before:?}, {after:?}");
    assert_eq!(of_seat(&mut conference, 1).0, 0);
    others_are_undisturbed(&mut conference);
}

#[test]
fn rfc_8285_section_6_two_byte_elements_go_to_those_who_take_mixed_forms_alone() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for (index, mixed) in [true, true, false].into_iter().enumerate() {
        let mut client = conference.client(index as u32, Plan::default(), 0);
        client.describe.mixed = mixed;
        conference.join(room, client);
    }
    conference.connect();
    conference.endpoint(0).lawless = true;
    (1..3).for_each(|seat| conference.endpoint(seat).receiver.distrusted.push("0".into()));
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    conference.tap = true;
    conference.outgoing.clear();
    // High dynamic range takes 28 bytes, which the one-byte form has no way to say.
    let space: Vec<u8> = [9, 16, 9, 0].into_iter().chain(4..28).collect();
    let video = conference.seats[0].endpoint.publisher.video.ssrc;
    for seq in 65_900..65_920 {
        let elements: &[(u8, &[u8])] = if seq % 2 == 0 {
            &[(MID, b"1"), (COLOR_SPACE, &space)]
        } else {
            &[(MID, b"1"), (COLOR_SPACE, &[9; 4])]
        };
        conference.endpoint(0).send_rtp(video, SeqNo(seq), &header(VP8, seq, video, elements), &[0x10; 777]);
    }
    conference.drive(millis(100));
    for (seat, mixed) in [(1, true), (2, false)] {
        let sent = conference.outgoing.iter().filter(|packet| packet.to == home(seat));
        let packets: Vec<_> = sent
            .filter(|packet| (777..900).contains(&packet.data.len()))
            .map(|packet| Packet::parse(&packet.data).unwrap())
            .collect();
        let with =
            |space: &[u8]| packets.iter().filter(|one| one.extension(COLOR_SPACE) == Some(space)).count();
        assert_eq!(packets.len(), 20, "each is forwarded, to {seat}");
        assert_eq!((with(&space), with(&[9; 4])), (if mixed { 10 } else { 0 }, 10), "to {seat}");
        // One form in a packet, and the short one wherever it does.
        let two_byte = packets.iter().filter(|packet| packet.extension_profile() == Some(0x1000));
        assert_eq!(two_byte.count(), if mixed { 10 } else { 0 }, "to {seat}");
        assert!(packets.iter().all(|packet| packet.extensions().count() > 0));
    }
}

#[test]
fn s_rtp_13_nothing_of_a_publisher_but_its_media_reaches_a_subscriber() {
    let mut conference = provoked(2);
    let audio = conference.seats[0].endpoint.publisher.audio.ssrc;
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    conference.tap = true;
    conference.outgoing.clear();
    let secret = b"private!";
    let elements: [(u8, &[u8]); 6] = [
        (AUDIO_LEVEL, &[5]),
        (ABS_SEND_TIME, &[9, 9, 9]),
        (MID, b"0"),
        (7, secret),
        (9, secret),
        (14, secret),
    ];
    for seq in 60_500..60_520 {
        let mut plain = header(OPUS, seq, audio, &elements);
        // Contributing sources name participants elsewhere.
        plain[0] |= 2;
        plain.splice(12..12, *b"privates");
        let payload = Content::audio(0, 0, 9_000 + seq as u32).payload();
        conference.endpoint(0).send_rtp(audio, SeqNo(seq), &plain, &payload);
    }
    conference.drive(millis(100));
    let is_media = |data: &[u8]| data.len() > 100 && data[0] & 0xc0 == 0x80 && !(192..224).contains(&data[1]);
    let packets: Vec<_> =
        conference.outgoing.iter().filter(|packet| packet.to == home(1) && is_media(&packet.data)).collect();
    assert_eq!(packets.len(), 20, "each was forwarded");
    for packet in packets {
        let read = Packet::parse(&packet.data).expect("ours");
        let clear = &packet.data[..read.header_len()];
        assert!(!clear.windows(7).any(|window| window == b"private"), "{clear:?}");
        assert_eq!(read.csrcs().len(), 0);
        assert_ne!(read.ssrc(), audio);
        // Level and what the engine itself numbers; departure is its own.
        assert!(read.extensions().all(|(id, _)| [1, 2, 3].contains(&id)), "{:?}", read.extensions());
        assert_ne!(read.extension(ABS_SEND_TIME), Some(&[9, 9, 9][..]));
    }
    // What the descriptions say: no address, no name but the ones given here. RTCP's names are
    // watched by every client of these tests.
    conference.drive(seconds(2));
    let described = &conference.seats[1].endpoint.describe.last;
    let address = home(0).ip().to_string();
    assert!(!described.contains("secret-cname") && !described.contains(&address), "{described}");
    assert!(!described.contains("camera") && !described.contains("audio-track"), "{described}");
}
