//! Redundant audio (RED, RFC 2198), and what has the same name on video lines.

use super::*;
use crate::wire::sdp::Codec as Described;

const RED: CodecId = CodecId(5);

fn configured(codecs: &[Codec]) -> Negotiation {
    let config = Config { codecs: codecs.to_vec(), ..Config::default() };
    Negotiation::new(Arc::new(config), 42)
}

fn named(media: &Media) -> Vec<(u8, &str)> {
    media.codecs.iter().map(|codec| (codec.payload_type, codec.name.as_str())).collect()
}

fn parameters(media: &Media, payload_type: u8) -> &str {
    let found = media.codecs.iter().find(|codec| codec.payload_type == payload_type);
    found.map_or("", |codec| codec.fmtp.as_str())
}

#[test]
fn red_is_answered_behind_the_opus_that_it_carries() {
    let (negotiation, answer) = answered(CHROMIUM);
    let audio = &sections(&answer.sdp)[0];
    assert_eq!(named(audio), [(111, "opus"), (63, "red")]);
    assert_eq!((audio.codecs[1].clock_rate, audio.codecs[1].channels), (48_000, Some(2)));
    assert_eq!(parameters(audio, 63), "111/111");
    let payloads = &negotiation.session().lines[0].payloads;
    assert_eq!(payloads.lookup(63), Some(Payload::Media(RED)));
    assert_eq!((payloads.payload_type(RED), payloads.rtx_payload_type(RED)), (Some(63), None));
    assert_eq!(Codec::defaults()[usize::from(RED.0)], Codec::Red);
}

#[test]
fn who_puts_red_first_asks_for_it() {
    let mut negotiation = configured(&[Codec::Red, Codec::Opus]);
    let answer = negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
    let audio = &sections(&answer.sdp)[0];
    assert_eq!(named(audio), [(63, "red"), (111, "opus")]);
    assert_eq!(parameters(audio, 63), "111/111");
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    negotiation.assign_send(slot(2, MediaKind::Audio)).unwrap();
    let offer = sections(&negotiation.create_offer(&local()).unwrap());
    let added = offer.iter().find(|media| media.mid == Mid::new("s0")).unwrap();
    assert_eq!(named(added), [(63, "red"), (111, "opus")]);
}

#[test]
fn red_of_anything_but_the_lines_opus_is_declined() {
    let offered = capture(CHROMIUM);
    assert!(offered.contains("a=fmtp:63 111/111\r\n") && offered.contains("a=rtpmap:63 red/48000/2\r\n"));
    let taken = |offer: &str, codecs: &[Codec]| {
        let mut negotiation = configured(codecs);
        let answer = negotiation.accept_offer(offer, &local()).unwrap();
        named(&sections(&answer.sdp)[0]).contains(&(63, "red"))
    };
    let all = [Codec::Opus, Codec::Red];
    assert!(taken(&offered, &all));
    assert!(taken(&offered.replace("111/111", "111/111/111"), &all), "two older packets");
    for parameters in ["0/0", "111/0", "0/111", "111/", "/111", "63/63", "111/63", "x/y", "111;111"] {
        assert!(!taken(&offered.replace("63 111/111", &format!("63 {parameters}")), &all), "{parameters}");
    }
    assert!(!taken(&offered.replace("a=fmtp:63 111/111\r\n", ""), &all), "of what?");
    assert!(!taken(&offered.replace("red/48000/2", "red/48000"), &all), "of one channel");
    assert!(!taken(&offered.replace("red/48000/2", "red/8000/2"), &all));
    assert!(!taken(&offered.replace("opus/48000/2", "opus/48000"), &[Codec::Opus, Codec::Red, Codec::Vp8]));
    assert!(!taken(&offered, &[Codec::Red, Codec::Vp8]), "without Opus on our side");
    assert!(!taken(&offered, &[Codec::Opus]), "unwanted");
}

#[test]
fn s_rtp_09_nothing_of_fec_is_taken_of_any_browsers_offer() {
    let mut fec = 0;
    for (name, text) in captured().iter().filter(|(name, _)| name.ends_with(".offer.sdp")) {
        let offered = Description::parse(text).unwrap();
        let is_fec = |codec: &Described| {
            ["ulpfec", "flexfec", "flexfec-03"].iter().any(|name| codec.is(name))
                || codec.is("red") && codec.clock_rate == 90_000
        };
        let types = |media: &Media| -> Vec<u8> {
            media.codecs.iter().filter(|codec| is_fec(codec)).map(|codec| codec.payload_type).collect()
        };
        let answer = negotiation().accept_offer(text, &local()).unwrap();
        for (theirs, ours) in offered.media.iter().zip(&sections(&answer.sdp)) {
            fec += types(theirs).len();
            assert!(ours.codecs.iter().all(|codec| !is_fec(codec)), "{name}");
            let repaired = |codec: &Described| codec.repairs().is_some_and(|pt| types(theirs).contains(&pt));
            assert!(!ours.codecs.iter().any(repaired), "{name}: retransmissions of FEC");
            let red = ours.codecs.iter().filter(|codec| codec.is("red"));
            assert!(red.count() <= usize::from(ours.kind == Kind::Audio), "{name}");
        }
    }
    assert!(fec >= 8, "browsers offer it: {fec}");
}

#[test]
fn s_rtp_09_audios_red_on_a_video_line_and_videos_on_an_audio_line_are_declined() {
    let offer = capture("chromium-vp8-L1T3.offer.sdp")
        .replace(" 96 97", " 63 96 97")
        .replace("a=rtpmap:96", "a=rtpmap:63 red/48000/2\r\na=fmtp:63 96/96\r\na=rtpmap:96");
    let answer = negotiation().accept_offer(&offer, &local()).unwrap();
    assert_eq!(named(&sections(&answer.sdp)[0]), [(96, "VP8"), (97, "rtx")]);
    let offer = capture(CHROMIUM).replace("red/48000/2", "red/90000");
    let answer = negotiation().accept_offer(&offer, &local()).unwrap();
    assert_eq!(named(&sections(&answer.sdp)[0]), [(111, "opus")]);
}

#[test]
fn our_offers_number_red_as_the_participant_does_or_anew() {
    // Chromium has numbers for both.
    let (mut negotiation, _) = answered(CHROMIUM);
    (1..=2).for_each(|id| negotiation.assign_send(slot(id, MediaKind::Audio)).unwrap());
    let ours = negotiation.create_offer(&local()).unwrap();
    let added = sections(&ours).pop().unwrap();
    assert_eq!(named(&added), [(111, "opus"), (63, "red")]);
    assert_eq!(parameters(&added, 63), "111/111");
    negotiation.accept_answer(&peer::answer(&ours, |_| ())).unwrap();
    let session = negotiation.session();
    assert!([1, 2].iter().all(|id| session.line_of_slot(*id).unwrap().payloads.get(RED).is_some()));
    // A video sender has none for either.
    let (mut negotiation, _) = answered("chromium-vp8-L1T3.offer.sdp");
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    let added = sections(&negotiation.create_offer(&local()).unwrap()).pop().unwrap();
    let [(opus, "opus"), (red, "red")] = named(&added)[..] else { panic!("{added:?}") };
    assert!(opus != red && ![96, 97].contains(&opus) && ![96, 97].contains(&red));
    assert_eq!(parameters(&added, red), format!("{opus}/{opus}"));
}

#[test]
fn red_ends_with_an_answer_that_takes_its_opus_away_or_gives_it_another_meaning() {
    let after = |change: &dyn Fn(&mut Media)| {
        let (mut negotiation, _) = answered(CHROMIUM);
        (1..=2).for_each(|id| negotiation.assign_send(slot(id, MediaKind::Audio)).unwrap());
        let ours = negotiation.create_offer(&local()).unwrap();
        let added = Mid::new("s0");
        let answer = peer::answer(&ours, |media| {
            if media.mid == added {
                change(media);
            }
        });
        negotiation.accept_answer(&answer)?;
        let line = negotiation.session().line_of_slot(2).unwrap();
        Ok::<_, NegotiationError>(
            line.payloads.iter().map(|negotiated| negotiated.codec.0).collect::<Vec<_>>(),
        )
    };
    assert_eq!(after(&|_| ()), Ok(vec![0, RED.0]));
    assert_eq!(after(&|media| media.codecs.retain(|codec| codec.is("opus"))), Ok(vec![0]));
    let without = after(&|media| media.codecs.retain(|codec| codec.is("red")));
    assert!(matches!(without, Err(NegotiationError::Mismatch { what: "codecs", .. })), "{without:?}");
    let renamed = |fmtp: &'static str| {
        move |media: &mut Media| {
            media
                .codecs
                .iter_mut()
                .filter(|codec| codec.is("red"))
                .for_each(|codec| codec.fmtp = fmtp.into());
        }
    };
    assert_eq!(after(&renamed("0/0")), Ok(vec![0]));
    assert_eq!(after(&renamed("")), Ok(vec![0]));
}

/// A second audio section with an Opus of its own, which RED of that section carries.
#[test]
fn red_of_another_lines_opus_is_not_put_beside_ours() {
    let mut offer = Description::parse(&capture(CHROMIUM)).unwrap();
    let mut second = offer.media[0].clone();
    second.mid = Mid::new("9");
    second.streams.clear();
    offer.media[0].codecs.retain(|codec| !codec.is("red"));
    for codec in &mut second.codecs {
        if codec.is("opus") {
            codec.payload_type = 50;
        }
        if codec.is("red") {
            codec.fmtp = "50/50".into();
        }
    }
    offer.media.push(second);
    offer.bundle.push(Mid::new("9").unwrap());
    let mut negotiation = negotiation();
    negotiation.accept_offer(&offer.write(), &local()).unwrap();
    let line = |mid: &str| negotiation.session().line(mid).unwrap().payloads.clone();
    assert_eq!((line("0").payload_type(RED), line("9").payload_type(RED)), (None, Some(63)));
    (1..=3).for_each(|id| negotiation.assign_send(slot(id, MediaKind::Audio)).unwrap());
    let added = sections(&negotiation.create_offer(&local()).unwrap()).pop().unwrap();
    let [(111, "opus"), (red, "red")] = named(&added)[..] else { panic!("{added:?}") };
    assert_ne!(red, 63, "which means another Opus in this bundle");
    assert_eq!(parameters(&added, red), "111/111");
}
